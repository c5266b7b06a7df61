//! A shop that moves from a folder to PostgreSQL and back while its customers go on: whoever takes over on the copy goes on
//! with what waited there, timers fire, and nothing is sent twice. The copies are killed on their way.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use support::load::{COOL, LEFT, PING, Told, configuration, vendors};
use support::postgres::Server;
use support::{Daemon, command, espalier, pause};

const TRIGGERS: [(&str, &str); 3] = [("ping", PING), ("left", LEFT), ("cool", COOL)];

/// Times that a copy is killed.
const KILLS: usize = 3;

/// A daemon on a folder.
fn on_folder(at: &Path, rest: &str) -> (Daemon, String) {
    let store = at.join("store");
    (Daemon::new(at, &store, rest, &TRIGGERS), format!("sled://{}", store.display()))
}

/// A daemon on a database, whose address stands in a file.
fn on_database(at: &Path, url: &str, rest: &str) -> (Daemon, String) {
    std::fs::write(at.join("url"), url).expect("a file");
    let daemon = Daemon::new(at, &at.join("store"), rest, &TRIGGERS);
    let reference = format!("${{file:{}}}", at.join("url").display());
    let file = at.join("espalier.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let store = format!("[store]\nkind = \"postgres\"\nurl = \"{reference}\"\n");
    std::fs::write(&file, text.replace("[store]\n", &store)).expect("the configuration");
    (daemon, reference)
}

/// Copies, and is killed a few times on its way; what it said in the end.
async fn copy(by: &Path, from: &str, to: &str, random: &mut fastrand::Rng) -> String {
    let args = ["store", "copy", "--from", from, "--to", to];
    let mut kills = 0;
    // One that was killed holds the database for ten seconds.
    for _ in 0..1_200 {
        if kills == KILLS {
            let (is_well, text) = espalier(by, &args);
            // It may have come to its end before it was killed.
            if is_well || text.contains("there is a store in") {
                return text;
            }
            assert!(text.contains("another `espalier store copy`"), "{text}");
        } else {
            let begun = command(by, &args).current_dir(by).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut begun = begun.expect("the program");
            pause(random.u64(50..400)).await;
            let is_at_work = begun.try_wait().expect("a process of ours").is_none();
            let _ = begun.kill();
            kills = match begun.wait().expect("a process of ours").success() {
                // There is nothing left to kill.
                true => KILLS,
                false if is_at_work => kills + 1,
                // One that was killed is still in its way.
                false => kills,
            };
        }
        pause(50).await;
    }
    panic!("it is not copied");
}

fn codes(folder: &Path) {
    let codes: String = (0..5_000).map(|n| format!("C{n}\n")).collect();
    std::fs::write(folder.join("codes.csv"), codes).expect("a file");
    let (is_well, text) = espalier(folder, &["codes", "import", "cool", "codes.csv"]);
    assert!(is_well, "{text}");
}

/// Customers come for a while; then the daemon is told to stop in the middle of it.
async fn work(daemon: &mut Daemon, told: &Arc<Told>, more: usize) {
    let loads = told.begin(daemon.intake);
    let wanted = told.acknowledged_so_far() + more;
    while told.acknowledged_so_far() < wanted {
        pause(20).await;
    }
    assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
    told.end(loads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_moves_there_and_back_and_nothing_is_lost_or_sent_twice() {
    let server = Server::begin().await;
    let (sandbox, address) = vendors().await;
    let rest = configuration(address);
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let paths: Vec<PathBuf> = folders.iter().map(|folder| folder.path().to_owned()).collect();
    let (mut first, at_first) = on_folder(&paths[0], &rest);
    let (mut there, at_there) = on_database(&paths[1], &server.database().await, &rest);
    let (mut back, at_back) = on_folder(&paths[2], &rest);
    let told = Arc::new(Told::default());
    let mut random = fastrand::Rng::with_seed(7);

    first.start_ready().await;
    codes(&paths[0]);
    work(&mut first, &told, 1_200).await;
    let said = copy(&paths[0], &at_first, &at_there, &mut random).await;
    assert!(said.contains("the same in both") || said.contains("there is a store"), "{said}");
    there.start_ready().await;
    work(&mut there, &told, 1_200).await;
    copy(&paths[1], &at_there, &at_back, &mut random).await;
    back.start_ready().await;
    let loads = told.begin(back.intake);
    pause(2_000).await;
    told.all_is_taken_once(loads, &sandbox, &back).await;

    let mut given = BTreeSet::new();
    for effect in sandbox.effects_from("klaviyo", 0).into_iter().filter(|effect| effect.event == "Cooled") {
        let text = effect.body.to_string();
        if let Some(code) = text.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()) {
            assert!(given.insert(code.to_owned()) || code == "NONE", "{code} was given twice");
        }
    }
    assert!(given.len() > 20, "codes move, too: {}", given.len());
    assert!(back.terminate().success(), "it ends well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_copied_is_told_without_a_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let _configured = Daemon::new(folder.path(), &store, "", &[]);
    let at = format!("sled://{}", store.display());
    let refused = |from: &str, to: &str, words: &str| {
        let (is_well, text) = espalier(folder.path(), &["store", "copy", "--from", from, "--to", to]);
        assert!(!is_well && text.contains(words) && !text.contains("hunter2"), "{from} {to}: {text}");
    };
    let nobody = "postgres://shop:hunter2@127.0.0.1:1/shop";
    refused(&at, "hunter2", "a store is named");
    refused(&at, &at, "both are folders");
    refused(nobody, nobody, "both are databases");
    refused(&at, nobody, "there is no store in");
    refused(nobody, &at, "no connection to PostgreSQL");
    refused(&at, "${env:ESPALIER_NO_SUCH}", "is not set");
    assert!(!folder.path().join("store").join("journal").exists(), "nothing is made of a database that is not there");
}
