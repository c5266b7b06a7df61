//! The real libraries that send to the tracking API, unmodified, with only the host changed, and our own snippet; in a real
//! browser, too. `scripts/test` installs them; without them these tests fail.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use espalier::model::{Identifier, IdentifierKind, Person, Timestamp};
use espalier::store::Store as _;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;
use serde_json::Value;
use support::{Daemon, WRITE_KEY, client, eventually, shop};

fn libraries() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/libraries")
}

/// A program of the libraries' own folder, or of the system.
fn program(name: &str) -> Command {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/libraries/bin/python");
    let (program, needed) = match name {
        "python" => (python.clone(), python),
        other => (other.into(), libraries().join("node_modules/playwright-core/package.json")),
    };
    assert!(needed.exists(), "the libraries are not installed: run scripts/test");
    Command::new(program)
}

/// Runs one script to its end.
fn run(language: &str, script: &str, arguments: &[&str]) -> Output {
    let mut command = program(language);
    command.arg(libraries().join(script)).args(arguments);
    let ended = command.output().unwrap_or_else(|e| panic!("{language}: {e}; scripts/test installs it"));
    println!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ended
}

/// Ends the daemon and looks who is in its store.
async fn person_after(daemon: &mut Daemon, store: &Path, user: &str) -> Person {
    assert!(daemon.terminate().success());
    let settings = Settings { path: store.to_owned(), ..Settings::default() };
    let store = Embedded::open(&settings, Timestamp::default()).expect("the store");
    let name = Identifier::new(IdentifierKind::UserId, user);
    let id = store.find(&name).await.expect("a whole store").expect("somebody of this name");
    let story = store.story(id).await.expect("a whole store").expect("their story");
    store.close().await.expect("an end");
    story.person
}

fn names(person: &Person) -> Vec<&str> {
    let mut names: Vec<&str> = person.history.entries().iter().map(|e| &*e.name).collect();
    names.sort_unstable();
    names
}

/// Six messages of six kinds, each once; and an error that is told when the key is wrong.
async fn six_messages(language: &str, script: &str, prefix: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let mut daemon = Daemon::new(folder.path(), &store, "", &[]);
    daemon.start_ready().await;
    let host = format!("http://{}", daemon.intake);

    assert!(!run(language, script, &[&host, "wrong", prefix]).status.success(), "a wrong key goes unnoticed");
    assert!(run(language, script, &[&host, WRITE_KEY, prefix]).status.success(), "the library reports an error");
    eventually("six messages are decided", Duration::from_secs(20), || async {
        daemon.metric("espalier_events_decided_total").await == Some(6)
    })
    .await;
    let accepted = "espalier_intake_messages_total{source=\"web\",result=\"accepted\"}";
    assert_eq!(daemon.metric(accepted).await, Some(6), "each came once");

    let person = person_after(&mut daemon, &store, &format!("{prefix}-new")).await;
    assert_eq!(names(&person), ["Page Viewed", "Product Added", "Screen Viewed"]);
    for (kind, value) in [
        (IdentifierKind::Email, format!("{prefix}@example.com")),
        (IdentifierKind::UserId, format!("{prefix}-user")),
        (IdentifierKind::AnonymousId, format!("{prefix}-anonymous")),
        (IdentifierKind::Cart, format!("{prefix}-cart")),
    ] {
        let name = Identifier::new(kind, value);
        assert!(person.identifiers.contains(&name), "{} is one of theirs", name.to_text());
    }
    assert_eq!(person.trait_value("plan"), Some(&Value::from("gold")));
    assert_eq!(person.trait_value("group_id"), Some(&Value::from("g1")));
    let added = person.history.entries().iter().find(|e| &*e.name == "Product Added").expect("an entry");
    assert_eq!(added.fields()["price"], 19.9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_library_for_node() {
    six_messages("node", "segment.mjs", "node").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_library_for_python() {
    six_messages("python", "client.py", "python").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rudderstacks_library_for_node() {
    six_messages("node", "rudder.mjs", "rudder").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_library_in_a_browser() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let mut daemon = Daemon::new(folder.path(), &store, "", &[]);
    daemon.start_ready().await;
    let intake = format!("http://{}", daemon.intake);
    let ended = run("node", "browser.mjs", &[&intake, WRITE_KEY, "/usr/bin/chromium"]);
    assert!(ended.status.success(), "the browser met something it should not");
    eventually("five messages are decided", Duration::from_secs(20), || async {
        daemon.metric("espalier_events_decided_total").await == Some(5)
    })
    .await;
    let person = person_after(&mut daemon, &store, "browser-user").await;
    assert_eq!(names(&person), ["Left With The Page", "Page Viewed", "Product Added"]);
    assert_eq!(person.trait_value("plan"), Some(&Value::from("gold")));
}

const STUDIED: &str = r#"
name = "studied"
per = "product_id"
[[when.all]]
seconds_on = "Product Viewed"
over = "2s"
within = "session"
[[activate]]
destination = "klaviyo"
event = "Studied"
"#;

const VIEWED: &str = r#"
name = "viewed"
per = "product_id"
[[when.all]]
did = "Product Viewed"
at_least = 3
[[activate]]
destination = "klaviyo"
event = "Viewed"
"#;

/// A shop's pages with `/espalier.js`, which are viewed, hidden, left, reloaded and cut off; what the browser stores and
/// sends is looked at by the script, what comes of it here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_snippet_in_a_browser() {
    let (folder, sandbox, mut daemon) = shop::open(&[("studied", STUDIED), ("viewed", VIEWED)]).await;
    let intake = format!("http://{}", daemon.intake);
    let screenshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&screenshots).expect("a folder");

    let arguments = [intake.as_str(), WRITE_KEY, "/usr/bin/chromium", &screenshots.display().to_string()];
    let ended = run("node", "snippet.mjs", &arguments);
    assert!(ended.status.success(), "the browser met something it should not");
    let seen: Value = serde_json::from_slice(&ended.stdout).expect("what the browser saw");
    let fired = |event: &str| sandbox.effects("klaviyo").iter().filter(|e| e.event == event).count();
    eventually("both triggers fire", Duration::from_secs(20), || async {
        fired("Studied") == 1 && fired("Viewed") == 1
    })
    .await;

    let person = person_after(&mut daemon, &folder.path().join("store"), "snippet-user").await;
    let entries = person.history.entries();
    let of = |name: &str| entries.iter().filter(|e| &*e.name == name).collect::<Vec<_>>();
    // Sent twice and more, by beacon and by the next page: known again by their ids.
    for once in ["Before Reload", "Made Offline", "Left Offline", "Product Added"] {
        assert_eq!(of(once).len(), 1, "{once}");
    }
    for never in ["Too Old", "Too Large", "After The Refusal"] {
        assert!(of(never).is_empty(), "{never}");
    }
    assert_eq!(of("Product Viewed").len(), 3);
    let seconds: Vec<&Value> = of("Page Left")
        .iter()
        .filter(|e| e.fields()["view_id"] == seen["view"])
        .map(|e| &e.fields()["dwell_seconds"])
        .collect();
    assert_eq!(seconds.len(), 2, "when it was hidden, and when it was left");
    assert_eq!(seconds.last(), Some(&&seen["left"]), "how long in all");
    let identifier = Identifier::new(IdentifierKind::AnonymousId, seen["anonymous"].as_str().expect("an id"));
    assert!(person.identifiers.contains(&identifier), "the browser's id is theirs");
    let sessions: std::collections::BTreeSet<_> = entries.iter().filter_map(|e| e.session.as_deref()).collect();
    assert_eq!(sessions.len(), 2, "one before half an hour of silence, one after it");
    assert!(person.trait_value("timezone").is_some(), "quiet hours are on their clock");
    assert_eq!((fired("Studied"), fired("Viewed")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_snippet_is_served_to_every_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), "", &[]);
    daemon.start_ready().await;
    let url = format!("http://{}/espalier.js", daemon.intake);
    let get = |name: &'static str, value: String| client().get(&url).header(name, value).send();
    let answer = get("origin", "https://shop.example".into()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    for (name, wanted) in [("access-control-allow-origin", "*"), ("vary", "accept-encoding")] {
        assert_eq!(answer.headers()[name], wanted);
    }
    let tag = answer.headers()["etag"].to_str().expect("a tag").to_owned();
    assert_eq!(get("if-none-match", tag.clone()).await.expect("an answer").status(), 304);

    // Not where it is switched off.
    assert!(daemon.terminate().success());
    let file = folder.path().join("espalier.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, text.replace("[intake]\n", "[intake]\nsnippet = false\n")).expect("the configuration");
    daemon.start_ready().await;
    assert_eq!(get("if-none-match", tag).await.expect("an answer").status(), 404);
}
