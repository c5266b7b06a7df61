//! A million activations wait, the process is killed: how soon does it accept again, and in how much memory.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::{KEY, PING, batch, configure, klaviyo_at, message};
use crate::load::{Connection, flood, resident_of};

/// Activations in the outbox at the kill.
const QUEUED: u64 = 1_000_000;
/// sled's cache and ours, as the defaults have them.
const CACHES: u64 = 128 << 20;

/// The program, as its users run it.
pub fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_espalier"))
        .args(["run", "--config"])
        .arg(folder.join("espalier.toml"))
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .spawn()
        .expect("the program")
}

/// Until a message is accepted.
pub async fn accepts(intake: std::net::SocketAddr) {
    loop {
        if let Ok(mut connection) = Connection::open(intake).await
            && connection.post("/v1/track", KEY, &message(0)).await.is_ok_and(|status| status == 200)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub async fn after_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let (intake, nobody) = (free(), free());
    let rest = format!("[intake]\nlisten = \"{intake}\"\n{}", klaviyo_at(nobody));
    configure(folder.path(), "", &rest, &[("ping".into(), PING.into())]);
    let mut child = start(folder.path());
    accepts(intake).await;
    flood(intake, "/v1/batch", KEY, 8, QUEUED / 100, batch).await;
    // What is accepted is decided, and queued, in its time.
    let store = folder.path().join("store");
    loop {
        let status = Command::new(env!("CARGO_BIN_EXE_espalier"))
            .args(["status", "--json", "--config"])
            .arg(folder.path().join("espalier.toml"))
            .output()
            .expect("the program");
        let said: serde_json::Value = serde_json::from_slice(&status.stdout).expect("the status as JSON");
        if said["journal"]["backlog"] == 0 {
            println!("queued: {}", said["lanes"][0]["queued"]);
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let before = resident_of(child.id());
    child.kill().expect("a process of ours");
    child.wait().expect("a process of ours");

    let own = resident_of(std::process::id());
    let began = Instant::now();
    let sled = sled::Config::new().path(store.join("state")).cache_capacity(64 << 20).open().expect("sled opens");
    let alone = began.elapsed();
    let sleds = resident_of(std::process::id()).saturating_sub(own);
    drop(sled);
    let began = Instant::now();
    let mut child = start(folder.path());
    accepts(intake).await;
    let took = began.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = resident_of(child.id());
    child.kill().expect("a process of ours");
    child.wait().expect("a process of ours");
    println!("opening: first accept {took:?} after process start, sled's own open {alone:?} (wanted at most 1 s more)");
    let more = |bytes: u64| bytes.saturating_sub(CACHES) >> 20;
    println!(
        "opening: resident above the configured caches: {} MB before the kill, {} MB after it (wanted at most 150)",
        more(before),
        more(after)
    );
    println!("opening: a bare sled with the same cache that is only opened: {} MB in all", sleds >> 20);
}
