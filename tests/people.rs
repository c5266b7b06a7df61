//! What somebody says of people by hand, with the daemon running and without: links, parting, access and erasure.

mod support;

use serde_json::{Value, json};
use support::{Daemon, client, espalier, eventually};

const FORM: &str = r#"
name = "form"
[[when.all]]
did = "Form Submitted"
[[activate]]
destination = "nowhere"
event = "Form"
"#;

const NOWHERE: &str =
    "[destination.nowhere]\nkind = \"klaviyo\"\nbase_url = \"http://127.0.0.1:9\"\napi_key = \"${env:TEST_SECRET}\"";

/// The names that `identity show` says.
fn names(folder: &std::path::Path, person: &str) -> Vec<String> {
    let (is_well, said) = espalier(folder, &["identity", "show", person, "--json"]);
    if !is_well {
        return vec![said.trim().to_owned()];
    }
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    let mut names: Vec<String> = serde_json::from_value(shown["identifiers"].clone()).expect("names");
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_linked_parted_shown_and_forgotten_by_hand() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut daemon = Daemon::new(folder, &folder.join("store"), NOWHERE, &[("form", FORM)]);
    daemon.start_ready().await;
    let http = client();
    for (user, event) in [("a", "Page Viewed"), ("b", "Form Submitted"), ("b", "Page Viewed")] {
        let body = json!({ "userId": user, "event": event, "properties": { "of": user },
            "context": { "traits": { "email": format!("{user}@shop.example") } } });
        assert_eq!(daemon.post(&http, "/v1/track", body.to_string()).await, Some(200));
    }
    let is_decided = async || daemon.metric("espalier_events_decided_total").await == Some(3);
    eventually("everything is decided", std::time::Duration::from_secs(20), is_decided).await;

    let by_hand = |args: &[&str]| espalier(folder, args);
    assert_eq!(by_hand(&["identity", "link", "user_id:a", "user_id:b"]), (true, "Done.\n".into()));
    let all = ["email:a@shop.example", "email:b@shop.example", "user_id:a", "user_id:b"];
    assert_eq!(names(folder, "b@shop.example"), all);
    let (_, said) = by_hand(&["identity", "audit"]);
    assert!(said.contains("1 people; 1 of them have several names of one kind."), "{said}");
    assert!(said.contains("espalier identity unlink "), "{said}");

    assert_eq!(by_hand(&["identity", "unlink", "user_id:b", "email:b@shop.example"]), (true, "Done.\n".into()));
    assert_eq!(names(folder, "user_id:a"), ["email:a@shop.example", "user_id:a"]);
    assert_eq!(names(folder, "user_id:b"), ["email:b@shop.example", "user_id:b"]);
    let events = |person: &str| {
        let (is_well, said) = by_hand(&["person", "export", person]);
        assert!(is_well, "{said}");
        let export: Value = serde_json::from_str(&said).expect("JSON");
        let events = export["events"].as_array().expect("events").clone();
        events.iter().map(|event| event["properties"]["of"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((events("user_id:a"), events("user_id:b")), (vec!["a".into()], vec!["b".into(), "b".into()]));
    let (_, said) = by_hand(&["identity", "audit"]);
    assert!(said.contains("somebody took these names out of them"), "{said}");

    for (args, words) in [
        (&["identity", "link", "user_id:a", "nonsense"][..], "`nonsense` names nobody"),
        (&["identity", "unlink", "user_id:a", "email:a@shop.example"], "nobody would be left"),
        (&["identity", "unlink", "user_id:nobody"], "nobody goes by `user_id:nobody`"),
        (&["person", "export", "nobody@shop.example"], "nobody goes by that name"),
        (&["person", "erase", "user_id:a"], "this cannot be taken back"),
    ] {
        let (is_well, said) = by_hand(args);
        assert!(!is_well && said.contains(words), "{args:?}: {said}");
    }

    let file = folder.join("a.json");
    let (is_well, said) = by_hand(&["person", "export", "user_id:a", "--out", file.to_str().expect("a path")]);
    assert!(is_well, "{said}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600, "nobody else may read it");

    let (is_well, said) = by_hand(&["person", "erase", "user_id:a", "--yes"]);
    assert!(
        is_well && said.starts_with("Done.") && said.contains("2 names, 1 events") && said.contains("nowhere: waits"),
        "{said}"
    );
    assert_eq!(names(folder, "a@shop.example"), ["espalier: nobody goes by that name"]);

    // Without a daemon it is written down, and in force when one runs.
    assert!(daemon.terminate().success());
    let (is_well, said) = by_hand(&["person", "erase", "user_id:b", "--yes"]);
    assert!(is_well && said.starts_with("Written down"), "{said}");
    assert_eq!(names(folder, "user_id:b").len(), 2);
    daemon.start_ready().await;
    let is_gone = async || names(folder, "user_id:b") == ["espalier: nobody goes by that name"];
    eventually("who was to be forgotten is", std::time::Duration::from_secs(20), is_gone).await;
    let log = std::fs::read_to_string(folder.join("daemon.log")).expect("the log");
    assert!(!log.contains("shop.example"), "no name is in the log");
}
