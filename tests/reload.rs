//! Trigger files that change while the whole daemon runs: taken up by a signal, by the watch and by the command; refused
//! whole with one mistake in them.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::shop::{self, track};
use support::{client, espalier, eventually};

const LIMIT: Duration = Duration::from_secs(30);

/// Waits for time alone, so that only people who are adopted have a timer for it.
const LEFT: &str = r#"
name = "left"
per = "cart_id"
[[when.all]]
last = "Product Added"
over = "3h"
[[activate]]
destination = "klaviyo"
event = "Left"
"#;

const EAGER: &str = r#"
name = "eager-people"
[when]
cohort = "eager"
"#;

const OK: &str = "espalier_trigger_reloads_total{result=\"ok\"}";
const REFUSED: &str = "espalier_trigger_reloads_total{result=\"refused\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_triggers_hold_from_now_on_and_wrong_ones_not_at_all() {
    let form = shop::trigger("form", "", "Form Submitted", "Form");
    // True of whoever added something, before or after it comes.
    let added = "title = \"Something was added\"\nper = \"cart_id\"\n";
    let added = shop::trigger("added", added, "Product Added", "Added");
    let (folder, sandbox, mut daemon) = shop::open(&[("form", &form)]).await;
    let http = client();
    let trigger = |name: &str| folder.path().join("triggers").join(format!("{name}.toml"));
    let send = async |id: &str, event: &str, properties: Value| {
        assert_eq!(daemon.post(&http, "/v1/track", track(id, event, properties).to_string()).await, Some(200));
    };
    let sent = |event: &str| {
        let effects = sandbox.effects("klaviyo").into_iter().filter(|e| e.event == event);
        effects.map(|e| e.body.to_string()).collect::<Vec<_>>()
    };
    send("1", "Product Added", json!({ "cart_id": "before" })).await;
    send("2", "Form Submitted", json!({})).await;
    eventually("what lies before is decided", LIMIT, || async { sent("Form").len() == 1 }).await;

    // Nothing changed: only the signal can have made this one.
    daemon.hang_up();
    eventually("SIGHUP is heard", LIMIT, || async { daemon.metric(OK).await == Some(1) }).await;

    // The watch takes it up; the idle engine adopts who was there, and sets a timer without any event.
    let next_timer = || {
        let (_, text) = espalier(folder.path(), &["status", "--json"]);
        serde_json::from_str::<Value>(&text).expect("JSON")["journal"]["next_timer"].clone()
    };
    assert_eq!(next_timer(), Value::Null);
    std::fs::write(trigger("left"), LEFT).expect("a trigger");
    eventually("the change is seen", LIMIT, || async { daemon.metric(OK).await == Some(2) }).await;
    eventually("people are adopted", LIMIT, || async { !next_timer().is_null() }).await;

    // The command takes up another; it fires for what comes, not for what was.
    std::fs::write(trigger("added"), &added).expect("a trigger");
    let (is_well, text) = espalier(folder.path(), &["triggers", "reload"]);
    assert!(is_well && text.contains("3 triggers, 0 segments"), "{text}");
    let page = daemon.page("/triggers").await;
    assert!(page.text().await.expect("text").contains("Something was added"));
    for (id, cart) in [("3", "after"), ("4", "later")] {
        send(id, "Product Added", json!({ "cart_id": cart })).await;
        eventually(cart, LIMIT, || async { sent("Added").iter().any(|body| body.contains(cart)) }).await;
    }
    assert_eq!(sent("Added").len(), 2, "none for the cart of before: {:?}", sent("Added"));

    // One wrong file and one unknown destination: both told, nothing taken, the old program goes on.
    std::fs::write(trigger("added"), added.replace("did =", "didd =")).expect("a trigger");
    std::fs::write(trigger("left"), LEFT.replace("klaviyo", "nowhere")).expect("a trigger");
    std::fs::remove_file(trigger("form")).expect("a trigger");
    let (is_well, text) = espalier(folder.path(), &["triggers", "reload"]);
    assert!(!is_well && text.contains("added.toml:6:") && text.contains("didd"), "{text}");
    assert!(text.contains("left.toml:8:") && text.contains("nowhere"), "{text}");
    assert!(daemon.metric(REFUSED).await >= Some(1));
    assert!(daemon.log_end().contains("added.toml:6:"), "{}", daemon.log_end());
    send("5", "Product Added", json!({ "cart_id": "still" })).await;
    send("6", "Form Submitted", json!({})).await;
    eventually("the old triggers go on", LIMIT, || async { sent("Added").len() == 3 }).await;

    // Without the token nobody may ask.
    let call = http.post(format!("http://{}/api/triggers/reload", daemon.ops)).send().await.expect("an answer");
    assert_eq!(call.status(), 401);

    // Once the mistakes are gone it is taken up: one trigger is no more, and there is a segment of a new cohort.
    std::fs::write(trigger("added"), &added).expect("a trigger");
    std::fs::write(trigger("left"), LEFT).expect("a trigger");
    let configuration = folder.path().join("espalier.toml");
    let text = std::fs::read_to_string(&configuration).expect("the configuration");
    std::fs::write(&configuration, text + "[cohorts.eager]\ndid = \"Product Added\"\n").expect("the configuration");
    std::fs::create_dir(folder.path().join("segments")).expect("a folder");
    std::fs::write(folder.path().join("segments/eager.toml"), EAGER).expect("a segment");
    let (is_well, text) = espalier(folder.path(), &["triggers", "reload"]);
    assert!(is_well && text.contains("2 triggers, 1 segments"), "{text}");
    assert!(daemon.terminate().success());
    let (is_well, text) = espalier(folder.path(), &["triggers", "reload"]);
    assert!(!is_well && text.contains("no daemon runs"), "{text}");
}
