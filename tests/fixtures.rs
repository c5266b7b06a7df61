//! Every shipped connector against samples of its vendor: what `espalier connector test` runs. `UPDATE=1` writes down what
//! is made; read the difference before keeping it.

use std::path::{Path, PathBuf};

use espalier::source::fixture::{self, Kind};
use espalier::source::manifest::{Manifest, Topic, shipped, shipped_names};
use serde_json::Value;

fn manifest(connector: &str) -> Manifest {
    let text = shipped(connector).expect("a shipped connector");
    Manifest::read("connector.toml", text).unwrap_or_else(|mistakes| panic!("{connector}: {mistakes:#?}"))
}

/// The files of a connector's samples, by name.
fn files(connector: &str) -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors").join(connector).join("fixtures");
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .expect("a folder of fixtures")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            (path.file_name().expect("a name").to_string_lossy().into_owned(), path)
        })
        .collect();
    found.sort();
    found
}

/// What the sample in a file makes.
fn made(manifest: &Manifest, kind: &Kind, path: &Path, files: &[(String, PathBuf)]) -> Value {
    let body = std::fs::read(path).expect("a fixture");
    match kind {
        Kind::Topic(topic) => fixture::shown(&fixture::topic(manifest, topic, &body).expect("a topic"), &[]),
        Kind::Page(list) => {
            let start = format!("{list}.lookup.");
            let lookups: Vec<(String, Vec<u8>)> = files
                .iter()
                .filter_map(|(name, path)| {
                    let name = name.strip_prefix(&start)?.strip_suffix(".json")?;
                    Some((name.to_owned(), std::fs::read(path).expect("a fixture")))
                })
                .collect();
            let page = fixture::page(manifest, list, &body, &lookups);
            let page = page.unwrap_or_else(|words| panic!("{}: {words}", path.display()));
            fixture::shown(&page.read, &page.items)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration")]
fn updating() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

#[test]
fn samples_make_the_events_beside_them() {
    let mut different = Vec::new();
    for connector in shipped_names() {
        let (manifest, files) = (manifest(connector), files(connector));
        for (name, path) in &files {
            let Some(kind) = fixture::kind(&manifest, name) else { continue };
            let made = made(&manifest, &kind, path, &files);
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
fn every_topic_and_list_has_a_sample() {
    for connector in shipped_names() {
        let manifest = manifest(connector);
        let sampled: Vec<Kind> =
            files(connector).iter().filter_map(|(name, _)| fixture::kind(&manifest, name)).collect();
        assert_eq!(fixture::missing(&manifest, &sampled), Vec::<String>::new(), "of {connector}");
    }
}

#[test]
fn whatever_a_vendor_sends_is_read_without_a_panic() {
    let bodies = ["", "null", "[]", "{}", "7", "\"x\"", "{\"id\":{},\"line_items\":7,\"customer\":[]}"];
    for connector in shipped_names() {
        let manifest = manifest(connector);
        for (topic, kind) in &manifest.topics {
            for body in bodies {
                let read = fixture::topic(&manifest, topic, body.as_bytes()).expect("a topic");
                let counted = read.rejected.len() + read.ignored + read.acknowledged;
                assert_eq!((read.events.len(), counted), (0, 1), "{connector} {topic} {body}");
            }
            if let Topic::Emit(emits) = kind {
                assert!(!emits.is_empty());
            }
        }
        for list in manifest.streams.keys() {
            for body in bodies {
                if let Ok(mapped) = fixture::page(&manifest, list, body.as_bytes(), &[]) {
                    assert_eq!(mapped.read.events.len(), 0, "{connector} {list} {body}");
                }
            }
        }
    }
}
