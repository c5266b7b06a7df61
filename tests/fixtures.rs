//! Every shipped connector against sample messages of its vendor: `connectors/NAME/fixtures/TOPIC.json` makes what
//! `TOPIC.events.json` says. `UPDATE=1` writes what is made; read the difference before keeping it.
//!
//! The topic is the file's name up to the first dot, its two underscores, or else its first one, read as a slash.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use espalier::identity;
use espalier::model::setting::Secret;
use espalier::model::{Event, Timestamp};
use espalier::source::manifest::{Manifest, Topic, shipped, shipped_names};
use espalier::source::webhook::Webhooks;
use espalier::source::{Arrival, Limits, Read};
use serde_json::{Value, json};

fn folder(connector: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors").join(connector).join("fixtures")
}

/// The sample messages of a connector: topic and file.
fn samples(connector: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(folder(connector))
        .expect("a folder of fixtures")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned();
            let topic = name.split('.').next()?;
            let slash = if topic.contains("__") { "__" } else { "_" };
            let topic = topic.replacen(slash, "/", 1);
            (!name.ends_with(".events")).then_some((topic, path))
        })
        .collect();
    found.sort();
    found
}

fn webhooks(connector: &str) -> Webhooks {
    let text = shipped(connector).expect("a shipped connector");
    let manifest = Manifest::read("connector.toml", text).expect("a right manifest");
    Webhooks { manifest, secrets: vec![Secret::new("hush")], shop: None }
}

fn read(webhooks: &Webhooks, topic: &str, body: &[u8]) -> Read {
    let webhook = &webhooks.manifest.webhook;
    let headers = |name: &str| {
        let topic = (name == webhook.topic_header).then(|| topic.to_owned());
        topic.or_else(|| (Some(name) == webhook.id_header.as_deref()).then(|| "delivery-1".to_owned()))
    };
    let names = identity::Settings::default();
    let source: Arc<str> = "shop".into();
    let at = Timestamp::parse("2026-11-23T12:00:00Z").expect("an instant");
    let limits = Limits { message: 1 << 20, messages: 1 };
    let arrival = Arrival { source: &source, at, names: &names, limits: &limits };
    webhooks.read(&headers, body, &arrival).expect("a topic")
}

/// What is worth reading of an event; the keys of repetition are hashes, so only their number.
fn shown(event: &Event) -> Value {
    json!({
        "kind": format!("{:?}", event.kind),
        "name": &*event.name,
        "at": event.at,
        "identifiers": event.identifiers.iter().map(|i| i.to_text()).collect::<Vec<_>>(),
        "properties": event.properties.to_value(),
        "traits": event.traits.to_value(),
        "dedupe": event.dedupe.len(),
    })
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration")]
fn updating() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

#[test]
fn samples_make_the_events_beside_them() {
    let mut different = Vec::new();
    for connector in shipped_names() {
        let webhooks = webhooks(connector);
        for (topic, path) in samples(connector) {
            let body = std::fs::read(&path).expect("a fixture");
            let read = read(&webhooks, &topic, &body);
            let made = json!({
                "events": read.events.iter().map(shown).collect::<Vec<_>>(),
                "rejected": read.rejected.iter().map(|r| r.reason.as_str()).collect::<Vec<_>>(),
                "acknowledged": read.acknowledged,
                "ignored": read.ignored,
            });
            let golden = path.with_extension("events.json");
            if updating() {
                let text = serde_json::to_string_pretty(&made).expect("JSON");
                std::fs::write(&golden, text + "\n").expect("a written file");
            }
            let wanted = std::fs::read(&golden).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            if wanted.as_ref() != Some(&made) {
                different.push(format!("{}:\n{made:#}", golden.display()));
            }
        }
    }
    assert!(different.is_empty(), "other events than written down:\n{}", different.join("\n"));
}

#[test]
fn every_topic_has_a_sample() {
    for connector in shipped_names() {
        let sampled: Vec<String> = samples(connector).into_iter().map(|(topic, _)| topic).collect();
        let missing: Vec<String> =
            webhooks(connector).manifest.topics.into_keys().filter(|topic| !sampled.contains(topic)).collect();
        assert_eq!(missing, Vec::<String>::new(), "of {connector}");
    }
}

#[test]
fn whatever_a_shop_sends_is_read_without_a_panic() {
    for connector in shipped_names() {
        let webhooks = webhooks(connector);
        for (topic, kind) in &webhooks.manifest.topics {
            for body in ["", "null", "[]", "{}", "7", "\"x\"", "{\"id\":{},\"line_items\":7,\"customer\":[]}"] {
                let read = read(&webhooks, topic, body.as_bytes());
                let counted = read.rejected.len() + read.ignored + read.acknowledged;
                assert_eq!((read.events.len(), counted), (0, 1), "{topic} {body}");
            }
            if let Topic::Emit(emits) = kind {
                assert!(!emits.is_empty());
            }
        }
    }
}
