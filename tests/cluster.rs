//! Two daemons on one PostgreSQL, under load: daemons are killed, or stand still until the other has taken over, and all
//! connections are cut, at random moments. Every acknowledged event is decided, every due activation reaches the vendors
//! once in effect, none twice. `ESPALIER_ROUNDS` sets how often (6 unless told otherwise).

#![expect(clippy::disallowed_methods, reason = "a killed process lives in the machine's time and environment")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use support::load::{COOL, LEFT, PING, Told, configuration, vendors};
use support::postgres::Server;
use support::{Daemon, espalier, eventually, pause};

/// A daemon's folder, with the database's address in a file of its own.
fn member(folder: &Path, url: &str, rest: &str) -> Daemon {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("url"), url).expect("a file");
    let triggers = [("ping", PING), ("left", LEFT), ("cool", COOL)];
    let daemon = Daemon::new(folder, &folder.join("store"), rest, &triggers);
    let file = folder.join("espalier.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let at = folder.join("url").display().to_string();
    let store = format!("[store]\nkind = \"postgres\"\nurl = \"${{file:{at}}}\"\n");
    std::fs::write(&file, text.replace("[store]\n", &store)).expect("the configuration");
    daemon
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_daemon_has_begun_another_ends_and_nothing_is_lost_or_sent_twice() {
    let rounds: u64 = std::env::var("ESPALIER_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let server = Server::begin().await;
    let url = server.database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, address) = vendors().await;
    let mut members = ["one", "two"].map(|name| member(&folder.path().join(name), &url, &configuration(address)));
    for daemon in &mut members {
        daemon.start_ready().await;
    }
    let told = Arc::new(Told::default());
    let mut loads = told.begin(members[0].intake);
    loads.extend(told.begin(members[1].intake));
    let mut random = fastrand::Rng::with_seed(rounds);
    for round in 0..rounds {
        pause(random.u64(200..1_500)).await;
        let daemon = &mut members[random.usize(..2)];
        match round % 3 {
            0 => {
                daemon.kill();
                daemon.start_ready().await;
            }
            1 => {
                let cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'espalier'";
                server.say(cut).await;
            }
            // Longer than a lease: when it goes on, what it had is another's.
            _ => {
                daemon.stand_still();
                pause(7_000).await;
                daemon.go_on();
            }
        }
    }
    pause(500).await;
    told.all_is_taken_once(loads, &sandbox, &members[0]).await;
    for daemon in &mut members {
        assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_on_it_and_say_what_is_not_for_it() {
    let server = Server::begin().await;
    let url = server.database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, address) = vendors().await;
    let mut daemon = member(folder.path(), &url, &configuration(address));
    std::fs::write(folder.path().join("codes.csv"), "A1\nA2\n").expect("a file");
    let import = ["codes", "import", "cool", "codes.csv"];
    let (is_well, text) = espalier(folder.path(), &import);
    assert!(is_well && text.contains('2'), "without a daemon: {text}");
    daemon.start_ready().await;
    let (is_well, text) = espalier(folder.path(), &["codes", "list"]);
    assert!(is_well && text.contains("cool"), "by the daemon: {text}");
    for (args, instead) in [
        (&["store", "rebuild"][..], "base backup"),
        (&["store", "backup", "copy"], "pg_dump"),
        (&["store", "export", "all.jsonl"], "pg_dump"),
        (&["store", "verify"], "pg_amcheck"),
    ] {
        let (is_well, text) = espalier(folder.path(), args);
        assert!(!is_well && text.contains(instead), "{args:?}: {text}");
    }
    let (is_well, text) = espalier(folder.path(), &["store", "compact"]);
    assert!(is_well, "{text}");
    assert!(daemon.terminate().success(), "it ends well");
    // What it had is free at once.
    let began = std::time::Instant::now();
    daemon.start_ready().await;
    let engine = || async { daemon.page("/api/status").await.text().await.is_ok_and(|text| text.contains("idle")) };
    eventually("the engine is its own again", Duration::from_secs(4), engine).await;
    assert!(began.elapsed() < Duration::from_secs(6), "given back, and not run out");
}
