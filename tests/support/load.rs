//! A load whose answers are written down, and what the vendors must have taken of it.

#![expect(clippy::disallowed_methods, reason = "real processes live in the machine's time")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use espalier::sandbox::{Options, Sandbox};

use super::{Daemon, WRITE_KEY, client, pause};

/// Fires at once, for each ping by itself.
pub const PING: &str = r#"
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
pub const LEFT: &str = r#"
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

/// Fires for each product, but not twice within two seconds for one person, and never late: what was fired in time must
/// not be expired in a replay, for then it would cool nothing down. Each takes a code of a pool.
pub const COOL: &str = r#"
name = "cool"
title = "Something added, now and then"
per = "product_id"
cooldown = "2s"
expires = "1s"

[code]
pool = "cool"
otherwise = "NONE"

[[when.all]]
did = "Product Added"

[[activate]]
destination = "klaviyo"
event = "Cooled"
"#;

/// What [`COOL`] says.
const COOLDOWN_MS: i64 = 2_000;

/// What the load was told, and how far it may go.
#[derive(Default)]
pub struct Told {
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
    /// Begins a load of four connections.
    pub fn begin(self: &Arc<Self>, intake: SocketAddr) -> Vec<tokio::task::JoinHandle<()>> {
        self.begin_with(4, 4, intake)
    }

    /// Begins a load of so many connections, each with a pause of so many milliseconds between two messages, or begins it
    /// again after its end.
    pub fn begin_with(
        self: &Arc<Self>,
        connections: usize,
        ms: u64,
        intake: SocketAddr,
    ) -> Vec<tokio::task::JoinHandle<()>> {
        self.stop.store(false, Ordering::Relaxed);
        (0..connections).map(|_| tokio::spawn(self.clone().load(ms, intake))).collect()
    }

    /// One connection's share of the load: each message is sent again until it is acknowledged, as every library does.
    async fn load(self: Arc<Self>, ms: u64, intake: SocketAddr) {
        let client = client();
        while !self.stop.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let body = message(n);
            loop {
                let sent = client.post(format!("http://{intake}/v1/batch")).basic_auth(WRITE_KEY, Some(""));
                match sent.body(body.clone()).send().await {
                    Ok(answer) if answer.status().is_success() => {
                        self.note(n);
                        pause(ms).await;
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

    fn note(&self, n: u64) {
        let kept = match n % 4 {
            0 => &self.left,
            1 => &self.bought,
            _ => &self.pings,
        };
        kept.lock().expect("no panic while held").insert(n);
    }
}

/// The n-th message: one of four is a cart that is left, one a cart that is bought at once, two are pings. With every
/// other cart that is left comes a ping so late that carts of the same person were left since.
fn message(n: u64) -> String {
    let now = jiff::Timestamp::now();
    let track = |event: &str, suffix: &str, properties: serde_json::Value| {
        let at = if suffix == "late" { now - jiff::SignedDuration::from_millis(1_500) } else { now };
        serde_json::json!({
            "type": "track", "event": event, "messageId": format!("m-{n}{suffix}"), "timestamp": at.to_string(),
            "userId": format!("u{}", n % 300), "properties": properties,
            "context": { "traits": { "email": format!("u{}@example.com", n % 300) } },
        })
    };
    let (cart, product) = (format!("c{n}"), format!("q{n}"));
    let batch = match n % 4 {
        0 => {
            let added = track("Product Added", "", serde_json::json!({ "cart_id": cart, "product_id": product }));
            let late = track("Ping", "late", serde_json::json!({ "ping_id": format!("late{n}") }));
            if n.is_multiple_of(8) { vec![added] } else { vec![added, late] }
        }
        1 => vec![
            track("Product Added", "a", serde_json::json!({ "cart_id": cart, "product_id": product })),
            track("Order Completed", "b", serde_json::json!({ "cart_id": cart, "order_id": format!("o{n}") })),
        ],
        _ => vec![track("Ping", "", serde_json::json!({ "ping_id": format!("p{n}") }))],
    };
    serde_json::json!({ "batch": batch }).to_string()
}

/// The vendors, without limits, and where they listen.
pub async fn vendors() -> (Sandbox, SocketAddr) {
    super::vendors(Options { limits: false, bodies: u64::MAX, ..Options::default() }).await
}

pub fn configuration(vendors: SocketAddr) -> String {
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

/// What the vendors took, read on from where it was read last.
#[derive(Default)]
struct Taken {
    read: [usize; 2],
    /// Klaviyo's occasions of each key.
    keys: BTreeMap<String, Vec<String>>,
    /// When Klaviyo was told of each person's [`COOL`].
    cooled: BTreeMap<String, BTreeSet<i64>>,
    /// Marketo's occasions.
    marketo: BTreeSet<String>,
}

impl Taken {
    fn read_on(&mut self, sandbox: &Sandbox) {
        for effect in sandbox.effects_from("klaviyo", self.read[0]) {
            let text = effect.body.to_string();
            let key =
                text.split("\"key\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a body with a key");
            self.keys.entry(key.to_owned()).or_default().push(effect.id);
            if effect.event == "Cooled" {
                let at: jiff::Timestamp = effect.at.parse().expect("an instant");
                assert!(
                    self.cooled.entry(effect.person).or_default().insert(at.as_millisecond()),
                    "two at one instant"
                );
            }
            self.read[0] += 1;
        }
        for effect in sandbox.effects_from("marketo", self.read[1]) {
            assert!(self.marketo.insert(effect.id), "no activity is sent twice, though Marketo has no dedupe key");
            self.read[1] += 1;
        }
    }
}

impl Told {
    /// Ends the load; then waits until all that was acknowledged and is due is at the vendors, and fails if anything
    /// is there twice or should not be there.
    pub async fn all_is_taken_once(
        self: &Arc<Self>,
        loads: Vec<tokio::task::JoinHandle<()>>,
        sandbox: &Sandbox,
        daemon: &Daemon,
    ) {
        self.end(loads).await;
        let kept = |of: &Mutex<BTreeSet<u64>>| of.lock().expect("no panic while held").clone();
        let (pings, left, bought) = (kept(&self.pings), kept(&self.left), kept(&self.bought));
        assert!(
            pings.len() > 100 && left.len() > 50 && bought.len() > 50,
            "a load worth the name: {} pings",
            pings.len()
        );
        let mut taken = Taken::default();
        let missing = |taken: &mut Taken| {
            taken.read_on(sandbox);
            let at_marketo = |n: &&u64| {
                taken.keys.get(&format!("p{n}")).is_some_and(|ids| ids.iter().all(|id| taken.marketo.contains(id)))
            };
            let at_klaviyo = |key: String| taken.keys.contains_key(&key);
            [
                pings.iter().filter(|n| !at_klaviyo(format!("p{n}"))).count(),
                left.iter().filter(|n| !at_klaviyo(format!("c{n}"))).count(),
                pings.iter().filter(|n| at_klaviyo(format!("p{n}")) && !at_marketo(n)).count(),
            ]
        };
        // However much there is to decide anew and to catch up with: it fails only when nothing moves any more.
        let mut last = (missing(&mut taken), daemon.metric("espalier_backlog_events").await);
        let mut waits = 0;
        while last.0 != [0, 0, 0] {
            pause(50).await;
            let now = (missing(&mut taken), daemon.metric("espalier_backlog_events").await);
            waits = if now == last { waits + 1 } else { 0 };
            last = now;
            assert!(
                waits < 300,
                "missing at the vendors (pings, carts, activities): {:?} of {} and {}, with {:?} events to decide; {:?} {:?}\n{}",
                last.0,
                pings.len(),
                left.len(),
                last.1,
                sandbox.counts("klaviyo"),
                sandbox.counts("marketo"),
                daemon.log_end()
            );
        }
        // Anything sent twice would come now or has come.
        pause(1_500).await;
        taken.read_on(sandbox);
        for (key, ids) in &taken.keys {
            assert_eq!(ids.len(), 1, "{key} was effective once at Klaviyo");
        }
        for (person, times) in &taken.cooled {
            let times: Vec<i64> = times.iter().copied().collect();
            let apart = times.windows(2).all(|pair| pair[1] - pair[0] >= COOLDOWN_MS);
            assert!(apart, "{person} cooled down between two of {times:?}");
        }
        for n in &bought {
            assert!(!taken.keys.contains_key(&format!("c{n}")), "cart {n} was bought");
        }
    }

    /// What was acknowledged so far, as a load that has ended.
    pub fn so_far(&self) -> Arc<Self> {
        let copy = |of: &Mutex<BTreeSet<u64>>| Mutex::new(of.lock().expect("no panic while held").clone());
        let (pings, left, bought) = (copy(&self.pings), copy(&self.left), copy(&self.bought));
        Arc::new(Self { pings, left, bought, ..Self::default() })
    }

    /// Ends the load.
    pub async fn end(&self, loads: Vec<tokio::task::JoinHandle<()>>) {
        self.stop.store(true, Ordering::Relaxed);
        for load in loads {
            load.await.expect("a load");
        }
    }

    /// The numbers of the messages that were acknowledged so far.
    pub fn acknowledged(&self) -> BTreeSet<u64> {
        let kept =
            [&self.pings, &self.left, &self.bought].map(|kept| kept.lock().expect("no panic while held").clone());
        kept.into_iter().flatten().collect()
    }

    /// How many messages were acknowledged so far.
    pub fn acknowledged_so_far(&self) -> usize {
        [&self.pings, &self.left, &self.bought].iter().map(|kept| kept.lock().expect("no panic while held").len()).sum()
    }
}
