//! Two daemons on one PostgreSQL know each other, and what one has is the other's when it is killed.

#![expect(clippy::disallowed_methods, reason = "a killed process lives in the machine's time and environment")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::load::{PING, configuration, vendors};
use support::postgres::Server;
use support::{Daemon, eventually};

/// A daemon of this name, with the database's address in a file of its own.
fn member(folder: &Path, name: &str, url: &str, rest: &str) -> Daemon {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("url"), url).expect("a file");
    let daemon = Daemon::new(&folder, &folder.join("store"), rest, &[("ping", PING)]);
    let file = folder.join("espalier.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let at = folder.join("url").display().to_string();
    let store = format!("[store]\nkind = \"postgres\"\nname = \"{name}\"\nurl = \"${{file:{at}}}\"\n");
    std::fs::write(&file, text.replace("[store]\n", &store)).expect("the configuration");
    daemon
}

async fn status(of: &Daemon) -> Value {
    of.page("/api/status").await.json().await.expect("a status")
}

/// What this one has, as the other tells it.
fn has(status: &Value, name: &str) -> Vec<String> {
    let members = status["cluster"]["members"].as_array().cloned().unwrap_or_default();
    let alive = members.iter().filter(|one| one["name"] == name && one["is_alive"] == true);
    let holds = alive.flat_map(|one| one["holds"].as_array().cloned().unwrap_or_default());
    holds.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_daemon_had_is_anothers_within_ten_seconds() {
    let server = Server::begin().await;
    let url = server.database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_sandbox, address) = vendors().await;
    let [mut one, mut two] = ["one", "two"].map(|name| member(folder.path(), name, &url, &configuration(address)));
    one.start_ready().await;
    let first = || async { has(&status(&one).await, "one").iter().any(|what| what == "engine") };
    eventually("the first one decides", Duration::from_secs(20), first).await;
    two.start_ready().await;
    let known = || async {
        let told = status(&two).await;
        let page = two.page("/").await.text().await.unwrap_or_default();
        told["engine"]["doing"].as_str().is_some_and(|doing| doing.ends_with("another daemon decides, one"))
            && ["engine", "night", "alerts", "volume"]
                .iter()
                .all(|what| has(&told, "one").iter().any(|one| one == what))
            && has(&told, "one").iter().any(|what| what.starts_with("account:"))
            && page.contains("Daemons that share the store")
    };
    eventually("the second one knows what the first one has", Duration::from_secs(20), known).await;
    let had = has(&status(&two).await, "one");
    assert!(status(&two).await["is_ready"] == true, "it takes messages");
    one.kill();
    let began = Instant::now();
    let taken = || async {
        let has = has(&status(&two).await, "two");
        had.iter().all(|what| what.starts_with("series:") || has.contains(what))
    };
    eventually("the second one has all of it", Duration::from_secs(15), taken).await;
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    let told = status(&two).await;
    let takeovers = told["cluster"]["takeovers"].as_array().cloned().unwrap_or_default();
    assert!(takeovers.iter().any(|one| one["of"] == "engine" && one["from"] == "one" && one["to"] == "two"), "{told}");
    assert!(two.terminate().success(), "it ends well");
}
