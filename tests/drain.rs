//! A daemon that is told to stop: it takes no more at once, finishes what is under way within its time, and says how it
//! ended; and what it tells a service manager meanwhile.

#![expect(clippy::disallowed_methods, reason = "a process that is told to stop lives in the machine's time")]

mod support;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::any;
use espalier::store::settings::Kind;
use support::load::PING;
use support::{Daemon, client, command, eventually, pause, serve};

crate::on_both!(what_is_under_way_is_finished_and_nothing_more_is_taken);

/// A vendor that takes its time; says how often it was asked and how often it has answered.
#[derive(Clone, Default)]
struct Slow {
    asked: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Slow {
    async fn serve(&self, takes: Duration) -> std::net::SocketAddr {
        let slow = self.clone();
        let answer = move || {
            let slow = slow.clone();
            async move {
                slow.asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(takes).await;
                slow.answered.fetch_add(1, Ordering::SeqCst);
                "{}"
            }
        };
        serve(Router::new().fallback(any(answer))).await
    }
}

fn configuration(vendor: std::net::SocketAddr) -> String {
    format!(
        "[delivery]\nlinger = \"0ms\"\n\
         [destination.klaviyo]\nkind = \"webhook\"\nurl = \"http://{vendor}/\"\ntoken = \"${{env:TEST_SECRET}}\"\n\
         [destination.marketo]\nkind = \"webhook\"\nurl = \"http://{vendor}/\"\ntoken = \"${{env:TEST_SECRET}}\"\n"
    )
}

/// With `[ops] drain` of so long.
fn draining(folder: &Path, drain: &str) {
    let path = folder.join("espalier.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    std::fs::write(&path, text.replace("[ops]\n", &format!("[ops]\ndrain = \"{drain}\"\n"))).expect("a file");
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().expect("the kill command");
    assert!(sent.success(), "{name} was not sent");
}

fn begin(folder: &Path, environment: &[(&str, &str)]) -> Child {
    let log = || std::fs::File::options().create(true).append(true).open(folder.join("daemon.log")).expect("a log");
    let mut command = command(folder, &["run"]);
    command.env("RUST_LOG", "info").envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().expect("the daemon's program")
}

async fn ended(child: &mut Child, limit: Duration) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a process of ours") {
            return status;
        }
        if began.elapsed() > limit {
            child.kill().expect("a process of ours");
            panic!("it did not end within {limit:?}");
        }
        pause(20).await;
    }
}

async fn ready(ops: std::net::SocketAddr) -> u16 {
    match client().get(format!("http://{ops}/readyz")).send().await {
        Ok(answer) => answer.status().as_u16(),
        Err(_) => 0,
    }
}

fn ping(n: u32) -> String {
    serde_json::json!({
        "type": "track", "event": "Ping", "messageId": format!("m{n}"), "userId": "u1",
        "properties": { "ping_id": format!("p{n}") },
    })
    .to_string()
}

/// A daemon whose vendor has a call in hand, and the process.
async fn with_a_call_in_hand(kind: Kind, folder: &Path, slow: &Slow, takes: Duration, drain: &str) -> (Daemon, Child) {
    let vendor = slow.serve(takes).await;
    let daemon = Daemon::new(folder, &folder.join("store"), &configuration(vendor), &[("ping", PING)]).on(kind).await;
    draining(folder, drain);
    let child = begin(folder, &[]);
    let ops = daemon.ops;
    eventually("the daemon is ready", Duration::from_secs(60), || async { ready(ops).await == 200 }).await;
    assert_eq!(daemon.post(&client(), "/v1/track", ping(1)).await, Some(200));
    eventually("the vendor is asked", Duration::from_secs(20), || async { slow.asked.load(Ordering::SeqCst) > 0 })
        .await;
    (daemon, child)
}

async fn what_is_under_way_is_finished_and_nothing_more_is_taken(kind: Kind) {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = Slow::default();
    let (daemon, mut child) = with_a_call_in_hand(kind, folder.path(), &slow, Duration::from_secs(3), "20s").await;
    // A connection from before, as libraries keep them.
    let kept = client();
    assert_eq!(daemon.post(&kept, "/v1/track", ping(2)).await, Some(200));
    signal(&child, "-TERM");
    let ops = daemon.ops;
    eventually("it is not ready any more", Duration::from_secs(1), || async { ready(ops).await == 503 }).await;
    for client in [kept, client()] {
        let url = format!("http://{}/v1/track", daemon.intake);
        let answer = client.post(url).basic_auth(support::WRITE_KEY, Some("")).body(ping(3)).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status().as_u16(), 503);
        let retry_after: u64 = answer.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
        assert!(retry_after >= 1);
        assert_eq!(answer.headers()["connection"], "close");
    }
    let (asked, before) = (slow.asked.load(Ordering::SeqCst), slow.answered.load(Ordering::SeqCst));
    assert!(asked > before, "a call is still under way when nothing more is taken");
    let status = ended(&mut child, Duration::from_secs(20)).await;
    assert!(status.success(), "{status}: {}", daemon.log_end());
    assert_eq!(slow.asked.load(Ordering::SeqCst), slow.answered.load(Ordering::SeqCst), "every call was waited for");
    assert!(daemon.log_end().contains("stopped"));

    // What the vendor took is known: it is not sent again. What was refused was not kept.
    let before = slow.asked.load(Ordering::SeqCst);
    let mut child = begin(folder.path(), &[]);
    eventually("the daemon is ready", Duration::from_secs(60), || async { ready(ops).await == 200 }).await;
    // Two destinations, two pings: whatever had not begun leaves now.
    eventually("the rest is sent", Duration::from_secs(20), || async { slow.asked.load(Ordering::SeqCst) >= 4 }).await;
    pause(500).await;
    assert_eq!(slow.asked.load(Ordering::SeqCst), 4, "{before} before, and each once");
    signal(&child, "-INT");
    assert!(ended(&mut child, Duration::from_secs(20)).await.success(), "Ctrl-C is the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_in_time_is_cut_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = Slow::default();
    let (daemon, mut child) =
        with_a_call_in_hand(Kind::Embedded, folder.path(), &slow, Duration::from_secs(25), "1s").await;
    let began = Instant::now();
    signal(&child, "-TERM");
    let status = ended(&mut child, Duration::from_secs(15)).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "it was given its time");
    assert_eq!(status.code(), Some(1), "{}", daemon.log_end());
    assert!(daemon.log_end().contains("some work did not end in time"), "{}", daemon.log_end());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = Slow::default();
    let (daemon, mut child) =
        with_a_call_in_hand(Kind::Embedded, folder.path(), &slow, Duration::from_secs(25), "60s").await;
    signal(&child, "-TERM");
    let ops = daemon.ops;
    eventually("it is stopping", Duration::from_secs(2), || async { ready(ops).await == 503 }).await;
    let began = Instant::now();
    signal(&child, "-TERM");
    let status = ended(&mut child, Duration::from_secs(15)).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(1), "{}", daemon.log_end());
    // Nothing is lost by that.
    let asked = slow.asked.load(Ordering::SeqCst);
    let mut child = begin(folder.path(), &[]);
    eventually("the daemon is ready", Duration::from_secs(60), || async { ready(ops).await == 200 }).await;
    eventually("it is sent", Duration::from_secs(20), || async { slow.asked.load(Ordering::SeqCst) > asked }).await;
    child.kill().expect("a process of ours");
    child.wait().expect("a process of ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let listener = UnixDatagram::bind(&socket).expect("a socket");
    listener.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let daemon = Daemon::new(folder.path(), &folder.path().join("store"), "", &[]);
    let at = socket.to_str().expect("a path in UTF-8");
    let mut child = begin(folder.path(), &[("NOTIFY_SOCKET", at), ("WATCHDOG_USEC", "400000")]);
    let ops = daemon.ops;
    // Once it is over, or the time is: what was said, in its order.
    let hear = |until: &'static str| {
        let listener = listener.try_clone().expect("the socket");
        tokio::task::spawn_blocking(move || {
            let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
            while !heard.iter().any(|one: &String| one.starts_with(until)) {
                let length = listener.recv(&mut buffer).expect("something is said in time");
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                heard.extend(text.lines().map(str::to_owned));
            }
            heard
        })
    };
    let heard = hear("READY=1").await.expect("a listener");
    assert!(heard.iter().any(|one| one == "STATUS=opening the store"), "{heard:?}");
    assert_ne!(ready(ops).await, 0, "it listens when it says so");
    let began = Instant::now();
    for _ in 0..3 {
        hear("WATCHDOG=1").await.expect("a listener");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "twice in the time it waits: {:?}", began.elapsed());
    let heard = hear("STATUS=0 events wait").await.expect("a listener");
    assert!(heard.iter().any(|one| one.contains("no trouble")), "{heard:?}");
    signal(&child, "-TERM");
    hear("STOPPING=1").await.expect("a listener");
    assert!(ended(&mut child, Duration::from_secs(20)).await.success());
}
