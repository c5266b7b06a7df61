//! SIGKILL at random moments under load: every acknowledged event is decided, every due activation reaches the vendors
//! once in effect, none twice. `ESPALIER_KILLS` sets how often it is killed (30 unless told otherwise).

#![expect(clippy::disallowed_methods, reason = "a killed process lives in the machine's time and environment")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Daemon, client, eventually, pause};

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
