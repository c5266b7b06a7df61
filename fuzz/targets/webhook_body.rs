//! The shop's webhooks: the first line says the topic, the rest is the body.
#![no_main]

mod common;

use std::sync::OnceLock;

use espalier::source::manifest::Manifest;
use espalier::source::webhook::Webhooks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static SHOP: OnceLock<Webhooks> = OnceLock::new();
    let shop = SHOP.get_or_init(|| {
        let text = include_str!("../../connectors/shopify/connector.toml");
        let manifest = Manifest::read("connector.toml", text).expect("the connector that ships");
        Webhooks { manifest, secrets: Vec::new(), shop: None }
    });
    let (topic, body) = match data.iter().position(|b| *b == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&b"orders/create"[..], data),
    };
    let topic = String::from_utf8_lossy(topic).into_owned();
    let headers = |name: &str| Some(if name.eq_ignore_ascii_case("x-shopify-topic") { topic.clone() } else { "1".to_owned() });
    common::with_arrival(|arrival| {
        let _ = shop.verify(&headers, body);
        if let Ok(read) = shop.read(&headers, body, arrival) {
            read.events.iter().for_each(common::is_sound);
        }
    });
});
