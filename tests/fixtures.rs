//! Every shipped connector against samples of its vendor, by the command that its writer has: `espalier connector test`.
//! `UPDATE=1` writes down what is made; read the difference before keeping it.

use std::path::Path;
use std::process::Command;

use espalier::destination::webhook;
use espalier::source::fixture;
use espalier::source::manifest::{Manifest, Topic, shipped, shipped_names};

fn manifest(connector: &str) -> Manifest {
    let text = shipped(connector).expect("a shipped connector");
    Manifest::read("connector.toml", text).unwrap_or_else(|mistakes| panic!("{connector}: {mistakes:#?}"))
}

fn espalier(args: &[&str], folder: &Path) -> (bool, String) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_espalier")).args(args).current_dir(folder).output().expect("the program");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration")]
fn updating() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

#[test]
fn samples_make_what_is_written_down_and_none_is_missing() {
    for connector in shipped_names().chain(webhook::manifest::shipped_names()) {
        let mut args = vec!["connector", "test", connector];
        args.extend(updating().then_some("--update"));
        let (is_well, told) = espalier(&args, Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(is_well && !told.contains("no sample of"), "{connector}:\n{told}");
    }
}

/// What `connector new` writes is a connector whose test passes, and a wrong sample fails it in words.
#[test]
fn a_new_connector_begins_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (is_well, told) = espalier(&["connector", "new", "acme"], folder.path());
    assert!(is_well, "{told}");
    let (is_well, told) = espalier(&["connector", "test", "connectors/acme"], folder.path());
    assert!(is_well && told.contains("1 samples, 0 wrong"), "{told}");
    let sample = folder.path().join("connectors/acme/fixtures/orders.page.json");
    let text = std::fs::read_to_string(&sample).expect("a sample").replacen("49.90", "50.00", 1);
    std::fs::write(&sample, text).expect("a file");
    let (is_well, told) = espalier(&["connector", "test", "connectors/acme"], folder.path());
    let line = "events[0].properties.total: makes \"50.00\", and \"49.90\" is written down";
    assert!(!is_well && told.contains(line), "{told}");
    let (is_well, told) = espalier(&["connector", "new", "acme"], folder.path());
    assert!(!is_well && told.contains("is there already"), "{told}");
}

#[test]
fn a_new_destination_begins_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (is_well, told) = espalier(&["connector", "new", "acme", "--destination"], folder.path());
    assert!(is_well, "{told}");
    let (is_well, told) = espalier(&["connector", "test", "connectors/acme"], folder.path());
    assert!(is_well && told.contains("1 samples, 0 wrong"), "{told}");
    let sample = folder.path().join("connectors/acme/fixtures/cart.activation.json");
    let text = std::fs::read_to_string(&sample).expect("a sample").replacen("20.50", "21.00", 1);
    std::fs::write(&sample, text).expect("a file");
    let (is_well, told) = espalier(&["connector", "test", "connectors/acme"], folder.path());
    let line = "calls[0].body.data.total: makes \"21.00\", and \"20.50\" is written down";
    assert!(!is_well && told.contains(line), "{told}");
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
