//! SIGKILL at random moments under load: every acknowledged event is decided, every due activation reaches the vendors
//! once in effect, none twice. `ESPALIER_KILLS` sets how often it is killed (30 unless told otherwise).

#![expect(clippy::disallowed_methods, reason = "a killed process lives in the machine's time and environment")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use espalier::clock::SystemClock;
use espalier::sandbox::{Options, Sandbox};
use support::{Daemon, client, pause};

/// Fires at once, for each ping by itself.
const PING: &str = r#"
name = "ping"
title = "Each ping"
per = "ping_id"
expires = "30d"

[[when.all]]
did = "Ping"

[[activate]]
destination = "klaviyo"
event = "Pinged"

[[activate]]
destination = "marketo"
event = "Pinged"
"#;

/// Fires by time alone, so that timers are killed too.
const LEFT: &str = r#"
name = "left"
title = "Cart left for a second"
per = "cart_id"
expires = "30d"

[[when.all]]
last = "Product Added"
over = "1s"

[[when.all]]
did_not = "Order Completed"
since = "Product Added"

[[activate]]
destination = "klaviyo"
event = "Left"
"#;

/// What the load was told, and how far it may go.
#[derive(Default)]
struct Told {
    /// Pings that were answered 200.
    pings: Mutex<BTreeSet<u64>>,
    /// Carts whose `Product Added` was answered 200 and that nobody bought.
    left: Mutex<BTreeSet<u64>>,
    /// Carts that were bought in the same message.
    bought: Mutex<BTreeSet<u64>>,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Told {
    /// One connection's share of the load: each message is sent again until it is acknowledged, as every library does.
    async fn load(self: Arc<Self>, intake: std::net::SocketAddr) {
        let client = client();
        while !self.stop.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let body = message(n);
            loop {
                let sent = client.post(format!("http://{intake}/v1/batch")).basic_auth(support::WRITE_KEY, Some(""));
                match sent.body(body.clone()).send().await {
                    Ok(answer) if answer.status().is_success() => {
                        self.acknowledged(n);
                        pause(4).await;
                        break;
                    }
                    // A refusal of the message itself would never end: it is the test that is wrong.
                    Ok(answer) if answer.status().is_client_error() => panic!("refused with {}", answer.status()),
                    _ if self.stop.load(Ordering::Relaxed) => break,
                    _ => pause(5).await,
                }
            }
        }
    }

    fn acknowledged(&self, n: u64) {
        let kept = match n % 4 {
            0 => &self.left,
            1 => &self.bought,
            _ => &self.pings,
        };
        kept.lock().expect("no panic while held").insert(n);
    }
}

/// The n-th message: one of four is a cart that is left, one a cart that is bought at once, two are pings.
fn message(n: u64) -> String {
    let now = jiff::Timestamp::now();
    let track = |event: &str, suffix: &str, properties: serde_json::Value| {
        serde_json::json!({
            "type": "track", "event": event, "messageId": format!("m-{n}{suffix}"), "timestamp": now.to_string(),
            "userId": format!("u{}", n % 300), "properties": properties,
            "context": { "traits": { "email": format!("u{}@example.com", n % 300) } },
        })
    };
    let cart = format!("c{n}");
    let batch = match n % 4 {
        0 => vec![track("Product Added", "", serde_json::json!({ "cart_id": cart, "product_id": "P-1" }))],
        1 => vec![
            track("Product Added", "a", serde_json::json!({ "cart_id": cart, "product_id": "P-1" })),
            track("Order Completed", "b", serde_json::json!({ "cart_id": cart, "order_id": format!("o{n}") })),
        ],
        _ => vec![track("Ping", "", serde_json::json!({ "ping_id": format!("p{n}") }))],
    };
    serde_json::json!({ "batch": batch }).to_string()
}

/// The vendors, without limits, and where they listen.
async fn vendors() -> (Sandbox, std::net::SocketAddr) {
    let sandbox = Sandbox::new(Arc::new(SystemClock), Options { limits: false, ..Options::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await.expect("the vendors") });
    (sandbox, address)
}

fn configuration(vendors: std::net::SocketAddr) -> String {
    format!(
        r#"[delivery]
linger = "0ms"
backoff = "50ms"
longest = "500ms"
breaker = 3
probe = "200ms"
mended = "300ms"
[destination.klaviyo]
kind = "klaviyo"
api_key = "${{env:TEST_SANDBOX_KEY}}"
base_url = "http://{vendors}/klaviyo"
unlimited = true
[destination.marketo]
kind = "marketo"
base_url = "http://{vendors}/marketo"
client_id = "${{env:TEST_SANDBOX_KEY}}"
client_secret = "${{env:TEST_SANDBOX_KEY}}"
activity_type = 100001
look_after = "400ms"
unlimited = true
"#
    )
}

/// The next calls are taken in and then cut: the vendor has them, and we do not know.
async fn cut_after_acceptance(vendors: std::net::SocketAddr, vendor: &str) {
    let fault = serde_json::json!({ "vendor": vendor, "kind": "close_after_accept", "times": 1 });
    let path = if vendor == "marketo" { "activities/external" } else { "" };
    let mut fault = fault;
    fault["path"] = path.into();
    client().post(format!("http://{vendors}/_sandbox/faults")).json(&fault).send().await.expect("the vendors");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_sent_twice() {
    let kills: u64 = std::env::var("ESPALIER_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let (sandbox, address) = vendors().await;
    let mut daemon = Daemon::new(folder.path(), &store, &configuration(address), &[("ping", PING), ("left", LEFT)]);
    daemon.start_ready().await;
    let told = Arc::new(Told::default());
    let loads: Vec<_> = (0..4).map(|_| tokio::spawn(told.clone().load(daemon.intake))).collect();
    let mut random = fastrand::Rng::with_seed(kills);
    for round in 0..kills {
        pause(random.u64(50..600)).await;
        if round % 3 == 0 {
            cut_after_acceptance(address, if round % 2 == 0 { "marketo" } else { "klaviyo" }).await;
            pause(random.u64(0..60)).await;
        }
        daemon.kill();
        harm(&store, round);
        daemon.start_ready().await;
    }
    pause(500).await;
    told.stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.expect("a load");
    }
    let pings = told.pings.lock().expect("no panic while held").clone();
    let left = told.left.lock().expect("no panic while held").clone();
    let bought = told.bought.lock().expect("no panic while held").clone();
    assert!(pings.len() > 100 && left.len() > 50 && bought.len() > 50, "a load worth the name: {} pings", pings.len());

    // What each vendor took, by key, once everything due has arrived.
    let by_key = || -> (BTreeMap<String, Vec<String>>, BTreeSet<String>) {
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for effect in sandbox.effects("klaviyo") {
            let text = effect.body.to_string();
            let key =
                text.split("\"key\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
            keys.entry(key).or_default().push(effect.id);
        }
        let marketo: BTreeSet<String> = sandbox.effects("marketo").into_iter().map(|e| e.id).collect();
        (keys, marketo)
    };
    let missing = || {
        let (keys, marketo) = by_key();
        let at_marketo =
            |n: &&u64| keys.get(&format!("p{n}")).is_some_and(|ids| ids.iter().all(|id| marketo.contains(id)));
        let at_klaviyo = |key: String| keys.contains_key(&key);
        [
            pings.iter().filter(|n| !at_klaviyo(format!("p{n}"))).count(),
            left.iter().filter(|n| !at_klaviyo(format!("c{n}"))).count(),
            pings.iter().filter(|n| at_klaviyo(format!("p{n}")) && !at_marketo(n)).count(),
        ]
    };
    let mut waits = 0;
    while missing() != [0, 0, 0] {
        waits += 1;
        let missing = missing();
        let metrics = match waits < 300 {
            true => String::new(),
            false => client()
                .get(format!("http://{}/metrics", daemon.ops))
                .send()
                .await
                .expect("metrics")
                .text()
                .await
                .expect("text"),
        };
        assert!(
            waits < 300,
            "missing at the vendors (pings, carts, activities): {missing:?} of {} and {}; {:?} {:?}\n{metrics}\n{}",
            pings.len(),
            left.len(),
            sandbox.counts("klaviyo"),
            sandbox.counts("marketo"),
            daemon.log_end()
        );
        pause(50).await;
    }
    // Anything sent twice would come now or has come.
    pause(1_500).await;
    let (keys, _) = by_key();
    for (key, ids) in &keys {
        assert_eq!(ids.len(), 1, "{key} was effective once at Klaviyo");
    }
    for n in &bought {
        assert!(!keys.contains_key(&format!("c{n}")), "cart {n} was bought");
    }
    let marketo = sandbox.effects("marketo");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, effect) in marketo.iter().enumerate() {
        if let Some(first) = seen.insert(&effect.id, n) {
            eprintln!("twice: {first} and {n} of {}: {} {}", marketo.len(), effect.at, effect.body);
        }
    }
    let once: BTreeSet<&str> = marketo.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(once.len(), marketo.len(), "no activity was sent twice, though Marketo has no dedupe key");
    assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
}
