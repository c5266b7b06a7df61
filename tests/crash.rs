//! SIGKILL at random moments under load, on both stores: every acknowledged event is decided, every due activation reaches
//! the vendors once in effect, none twice. `ESPALIER_KILLS` sets how often it is killed (30 times on the embedded store and
//! 15 on PostgreSQL unless told otherwise).

#![expect(clippy::disallowed_methods, reason = "a killed process lives in the machine's time and environment")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use espalier::store::settings::Kind;
use sqlx::{Connection, PgConnection};
use support::load::{COOL, LEFT, PING, Told, configuration, vendors};
use support::stores::{connected, server};
use support::{Daemon, espalier, pause};

crate::on_both!(nothing_acknowledged_is_lost_and_nothing_is_sent_twice);

/// The next calls are taken in and then cut: the vendor has them, and we do not know.
async fn cut_after_acceptance(vendors: std::net::SocketAddr, vendor: &str) {
    let path = if vendor == "marketo" { "activities/external" } else { "" };
    let fault = serde_json::json!({ "vendor": vendor, "kind": "close_after_accept", "times": 1, "path": path });
    support::fault(vendors, fault).await;
}

/// What a crash may leave behind: nothing special, a record cut in the middle, or a state that cannot be opened.
fn harm(store: &Path, round: u64) {
    match round % 5 {
        3 => {
            let mut segments: Vec<_> =
                fs::read_dir(store.join("journal")).expect("the journal").map(|e| e.expect("a file").path()).collect();
            segments.sort();
            let mut last =
                fs::File::options().append(true).open(segments.last().expect("a segment")).expect("a segment");
            last.write_all(&[0x9A, 0xE5, 1, 1, 200, 0, 0, 0, 7, 7]).expect("a torn record");
        }
        4 => {
            for file in ["db", "conf"] {
                fs::write(store.join("state").join(file), b"broken by a test").expect("a broken state");
            }
        }
        _ => {}
    }
}

/// What befalls a database while the daemon works: nothing special, its connections are cut, or one of its processes is
/// killed. Then it ends all others, forgets what it had in memory, and begins again with what its log has.
async fn harm_database(database: &str, round: u64) {
    let mut connection = connected(database).await;
    match round % 4 {
        1 => {
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity
                       where datname = current_database() and pid <> pg_backend_pid()";
            sqlx::raw_sql(sql).execute(&mut connection).await.expect("a statement");
        }
        // Another's server, with whatever else it has, is let be.
        3 if server().await.own.is_some() => {
            let (pid,): (i32,) =
                sqlx::query_as("select pg_backend_pid()").fetch_one(&mut connection).await.expect("a number");
            let sent = Command::new("kill").args(["-KILL", &pid.to_string()]).status().expect("the kill command");
            assert!(sent.success(), "SIGKILL was not sent");
            // It is over when the others are told.
            connection.ping().await.expect_err("its process is gone");
            return;
        }
        _ => {}
    }
    connection.close().await.expect("a close");
}

/// Kills the daemon and starts it again. On PostgreSQL what it had is free at once, or, now and then, when its time is over.
async fn kill(daemon: &mut Daemon, store: &Path, round: u64, random: &mut fastrand::Rng) {
    let Some(database) = daemon.database.clone() else {
        daemon.kill();
        harm(store, round);
        return daemon.start_ready().await;
    };
    harm_database(&database, round).await;
    pause(random.u64(0..400)).await;
    daemon.kill();
    let mut connection = connected(&database).await;
    if round % 7 == 6 {
        let before = term(&mut connection).await;
        daemon.start();
        daemon.ready().await;
        let began = Instant::now();
        while term(&mut connection).await == before {
            assert!(began.elapsed() < Duration::from_secs(20), "what the killed one had is nobody's");
            pause(50).await;
        }
    } else {
        daemon.start_ready().await;
    }
    connection.close().await.expect("a close");
}

/// Which holder of the engine's lease the last one is.
async fn term(connection: &mut PgConnection) -> i64 {
    let sql = "select epoch from leases where name = 'engine'";
    let (epoch,): (i64,) = sqlx::query_as(sql).fetch_one(connection).await.expect("a lease");
    epoch
}

/// Puts a thousand codes more into the pool of the load, by the running daemon.
fn more_codes(folder: &Path, round: u64) {
    let codes: String = (0..1_000).map(|n| format!("R{round}-{n}\n")).collect();
    fs::write(folder.join("codes.csv"), codes).expect("a file");
    let (is_well, text) = espalier(folder, &["codes", "import", "cool", "codes.csv"]);
    assert!(is_well, "{text}");
}

async fn nothing_acknowledged_is_lost_and_nothing_is_sent_twice(kind: Kind) {
    let usual = if kind == Kind::Embedded { 30 } else { 15 };
    let kills: u64 = std::env::var("ESPALIER_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let (sandbox, address) = vendors().await;
    let triggers = [("ping", PING), ("left", LEFT), ("cool", COOL)];
    let mut daemon = Daemon::new(folder.path(), &store, &configuration(address), &triggers).on(kind).await;
    daemon.start_ready().await;
    more_codes(folder.path(), kills);
    let told = Arc::new(Told::default());
    // What waits to be decided is not to be so much that nothing else is seen.
    let loads = told.begin_with(4, if kind == Kind::Embedded { 4 } else { 20 }, daemon.intake);
    let mut random = fastrand::Rng::with_seed(kills);
    for round in 0..kills {
        pause(random.u64(50..600)).await;
        if round % 3 == 0 {
            cut_after_acceptance(address, if round % 2 == 0 { "marketo" } else { "klaviyo" }).await;
            pause(random.u64(0..60)).await;
        }
        kill(&mut daemon, &store, round, &mut random).await;
        if round % 10 == 9 {
            more_codes(folder.path(), round);
        }
    }
    pause(500).await;
    told.all_is_taken_once(loads, &sandbox, &daemon).await;
    let cooled: Vec<_> =
        sandbox.effects_from("klaviyo", 0).into_iter().filter(|effect| effect.event == "Cooled").collect();
    // On PostgreSQL there are half as many rounds, and less comes in each.
    let few = if kind == Kind::Embedded { 50 } else { 15 };
    assert!(cooled.len() > few, "cool-downs are tested too: {} fires", cooled.len());
    // Each has a code, and nobody else has it.
    let mut codes = BTreeMap::new();
    for effect in cooled.iter().filter(|effect| !effect.body.is_null()) {
        let text = effect.body.to_string();
        let code =
            text.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("none").to_owned();
        assert!(code.starts_with('R'), "a code of the pool, and not {code}");
        if let Some(other) = codes.insert(code.clone(), effect.id.clone()) {
            panic!("{code} was given to {other} and to {}", effect.id);
        }
    }
    assert!(codes.len() > few, "codes are tested too: {}", codes.len());
    assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
}
