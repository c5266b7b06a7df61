//! A realistic mix of events from 100,000 people under 20 triggers: how many are decided in a second.

use std::time::Instant;

use crate::daemon::{CACHE_MB, KEY, begin, idle, klaviyo_at, sandbox};
use crate::load::flood;

const PEOPLE: u64 = 100_000;
const BATCHES: u64 = 2_000;

/// Six that ship, and fourteen of the same kinds with other names and numbers.
pub fn triggers() -> Vec<(String, String)> {
    let shipped = [
        include_str!("../../config/triggers/cart-abandoned.toml"),
        include_str!("../../config/triggers/form-submitted.toml"),
        include_str!("../../config/triggers/landing-page-visited.toml"),
        include_str!("../../config/triggers/lapsed-customer.toml"),
        include_str!("../../config/triggers/purchase-follow-up.toml"),
        include_str!("../../config/triggers/viewed-not-added.toml"),
    ];
    let names = [
        "cart-abandoned",
        "form-submitted",
        "landing-page-visited",
        "lapsed-customer",
        "purchase-follow-up",
        "viewed-not-added",
    ];
    (0..20)
        .map(|n| {
            let (kind, round) = (n % names.len(), n / names.len());
            let name = format!("{}-{round}", names[kind]);
            let text = shipped[kind]
                .replace(&format!("\"{}\"", names[kind]), &format!("\"{name}\""))
                .replace("\"30m\"", &format!("\"{}m\"", 30 + 5 * round))
                .replace("\"30d\"", &format!("\"{}d\"", 30 + round))
                .replace("\"90d\"", &format!("\"{}d\"", 90 + round))
                .replace("at_least = 3", &format!("at_least = {}", 3 + round))
                .replace("\"hubspot\"", "\"klaviyo\"")
                .replace("\"marketo\"", "\"klaviyo\"");
            // Two ways to one place would be one too many.
            let text = match text.match_indices("[[activate]]").nth(1) {
                Some((second, _)) => text[..second].to_owned(),
                None => text,
            };
            (name, text)
        })
        .collect()
}

/// One message: 55 % product views, 20 % pages, 12 % adds, 4 % orders, 3 % forms, 3 % landing pages, 3 % identifies.
pub fn message(n: u64, now: jiff::Timestamp) -> String {
    // A few people do much: the square of an even share.
    let share = ((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64) / ((1_u64 << 53) as f64);
    let person = (share * share * PEOPLE as f64) as u64;
    let product = n.wrapping_mul(2_654_435_761) % 500;
    let head = format!(
        "\"messageId\":\"t-{n}-{now}\",\"anonymousId\":\"a{person}\",\"userId\":\"u{person}\",\"timestamp\":\"{now}\",\"context\":{{\"traits\":{{\"email\":\"u{person}@example.com\"}}}}"
    );
    let item = format!(
        "\"product_id\":\"p{product}\",\"sku\":\"S-{product}\",\"name\":\"Product {product}\",\"price\":\"19.90\",\"currency\":\"EUR\",\"quantity\":1,\"url\":\"https://shop.example/p/{product}\",\"image_url\":\"https://shop.example/i/{product}.jpg\""
    );
    let track = |name: &str, properties: &str| {
        format!("{{\"type\":\"track\",\"event\":\"{name}\",{head},\"properties\":{{{properties}}}}}")
    };
    match n % 100 {
        0..55 => track("Product Viewed", &item),
        55..75 => format!(
            "{{\"type\":\"page\",\"name\":\"Shop\",{head},\"properties\":{{\"path\":\"/c/{}\",\"url\":\"https://shop.example/c/{}\"}}}}",
            product % 20,
            product % 20
        ),
        75..87 => track("Product Added", &format!("\"cart_id\":\"c{person}\",{item}")),
        87..91 => track(
            "Order Completed",
            &format!(
                "\"order_id\":\"o{n}\",\"cart_id\":\"c{person}\",\"total\":\"39.80\",\"currency\":\"EUR\",\"products\":[{{{item}}}]"
            ),
        ),
        91..94 => track("Form Submitted", &format!("\"form\":\"f{}\"", n % 5)),
        94..97 => track("Landing Page Visited", "\"page\":\"spring\""),
        _ => format!("{{\"type\":\"identify\",{head},\"traits\":{{\"city\":\"Ghent\",\"plan\":\"b{}\"}}}}", n % 3),
    }
}

fn batch(n: u64) -> Vec<u8> {
    let now = jiff::Timestamp::now();
    let messages: Vec<String> = (0..100).map(|one| message(n * 100 + one, now)).collect();
    format!("{{\"batch\":[{}]}}", messages.join(",")).into_bytes()
}

/// From the first request to the last decision.
pub async fn decided() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, vendor) = sandbox().await;
    let ours = begin(folder.path(), &klaviyo_at(vendor), &triggers()).await;
    let mut rates = Vec::new();
    for round in 0..crate::ROUNDS as u64 {
        let began = Instant::now();
        let load = flood(ours.intake, "/v1/batch", KEY, 8, BATCHES, move |n| batch(round * BATCHES + n)).await;
        idle(&ours).await;
        let rate = (BATCHES * 100) as f64 / began.elapsed().as_secs_f64();
        rates.push(rate);
        println!(
            "round {round}: {rate:.0} events/s decided, accepted at {:.0}/s; {} people, {} activations",
            100.0 * load.per_second(),
            ours.watched.store.counts().people,
            sandbox.counts("klaviyo").effects
        );
    }
    println!(
        "triggers: sled's cache {CACHE_MB} MB, 20 triggers, {PEOPLE} people: {:.0} events/s decided (wanted 15,000)",
        crate::load::median(rates)
    );
    ours.stop().await.expect("an end");
}
