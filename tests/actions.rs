//! What an activation does beside an event: lists, campaigns and profiles at three vendors, each once, through cuts and
//! restarts.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use espalier::sandbox::{Options, Sandbox};
use espalier::store::settings::Kind;
use serde_json::{Value, json};
use support::shop::track;
use support::{Daemon, client, espalier, eventually};

crate::on_both!(lists_campaigns_and_profiles_at_three_vendors, many_go_into_a_list_by_a_job);

/// An event and more at one account, and what each vendor can.
const BOUGHT: &str = r#"
name = "bought"
when = { did = "Order Completed" }
[[activate]]
destination = "klaviyo"
event = "Bought"
[[activate]]
destination = "klaviyo"
list = "UwQxX4"
[[activate]]
destination = "klaviyo"
profile = true
[[activate]]
destination = "hubspot"
list = "1044"
[[activate]]
destination = "marketo"
list = "1044"
[[activate]]
destination = "marketo"
campaign = "3712"
[[activate]]
destination = "marketo"
event = "Own"
"#;

/// And out of it again.
const SENT_BACK: &str = r#"
name = "sent-back"
when = { did = "Order Refunded" }
[[activate]]
destination = "klaviyo"
remove_from = "UwQxX4"
[[activate]]
destination = "hubspot"
remove_from = "1044"
[[activate]]
destination = "marketo"
remove_from = "1044"
[[activate]]
destination = "hubspot"
list = "4040"
"#;

async fn vendors() -> (Sandbox, String, SocketAddr) {
    let (sandbox, at) = support::vendors(Options::default()).await;
    let more = r#"look_after = "200ms"
types = { Own = { activity_type = 100002, attributes = { total = "total" } } }
campaigns = { 3712 = { orderTotal = "total" } }
[delivery]
backoff = "100ms"
"#;
    (sandbox, support::accounts(at) + more, at)
}

/// What a vendor's people met, in the words of the simulator, sorted.
fn met(sandbox: &Sandbox, vendor: &str) -> Vec<String> {
    let mut met: Vec<String> =
        sandbox.effects(vendor).iter().map(|effect| format!("{}: {}", effect.person, effect.event)).collect();
    met.sort();
    met
}

async fn lists_campaigns_and_profiles_at_three_vendors(kind: Kind) {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, destinations, at) = vendors().await;
    let triggers = [("bought", BOUGHT), ("sent-back", SENT_BACK)];
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &destinations, &triggers).on(kind).await;
    daemon.start_ready().await;
    let http = client();
    // The first answer about a list at each vendor is cut after it was taken: adding somebody twice is adding them once.
    for vendor in ["klaviyo", "hubspot"] {
        let fault = json!({ "vendor": vendor, "kind": "close_after_accept", "times": 2 });
        support::fault(at, fault).await;
    }
    let ordered = track("m1", "Order Completed", json!({ "order_id": "o1", "total": "20.50" })).to_string();
    assert_eq!(daemon.post(&http, "/v1/track", ordered).await, Some(200));
    let of = |events: &[&str]| events.iter().map(|event| format!("ines@example.com: {event}")).collect::<Vec<_>>();
    let all = [
        ("klaviyo", of(&["Bought", "added to UwQxX4"])),
        ("hubspot", of(&["added to 1044"])),
        ("marketo", of(&["added to 1044", "bought", "campaign 3712"])),
    ];
    eventually("what was bought at all vendors", Duration::from_secs(30), || async {
        all.iter().all(|(vendor, wanted)| met(&sandbox, vendor) == *wanted)
    })
    .await;
    let requested = sandbox.effects("marketo").into_iter().find(|e| e.event == "campaign 3712").expect("a request");
    assert_eq!(requested.body["tokens"], json!([{ "name": "{{my.orderTotal}}", "value": "20.50" }]));
    let own = sandbox.effects("marketo").into_iter().find(|e| e.event == "bought").expect("an activity");
    assert_eq!(own.body["activityTypeId"], 100_002);

    // Each has its own end in the story of the person, and its own call in the preview.
    let run = |args: &[&str]| espalier(folder.path(), args);
    let settled = || async {
        let (_, text) = run(&["explain", "ines@example.com", "--trigger", "bought"]);
        text.matches("accepted by the vendor").count() == 7
    };
    eventually("seven settled", Duration::from_secs(20), settled).await;
    let (_, text) = run(&["explain", "ines@example.com", "--trigger", "bought"]);
    for said in ["klaviyo (list UwQxX4)", "klaviyo (profile)", "klaviyo (Bought)", "marketo (campaign 3712)"] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    let (is_well, text) = run(&["payload", "bought", "ines@example.com", "--json"]);
    let shown: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(is_well, "{text}");
    let said: Vec<String> = (0..7).map(|n| shown[n]["does"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(said, ["Bought", "list UwQxX4", "profile", "list 1044", "list 1044", "campaign 3712", "Own"]);
    assert_eq!(shown[1]["calls"][1]["call"], "POST /api/lists/UwQxX4/relationships/profiles");
    assert_eq!(shown[5]["calls"][1]["call"], "POST /rest/v1/campaigns/3712/trigger.json");

    // What is decided once is queued once, whatever is read again: nothing more comes after a kill.
    daemon.kill();
    daemon.start_ready().await;
    let back = track("m2", "Order Refunded", json!({ "order_id": "o1" })).to_string();
    assert_eq!(daemon.post(&http, "/v1/track", back).await, Some(200));
    let all = [
        ("klaviyo", of(&["Bought", "added to UwQxX4", "removed from UwQxX4"])),
        ("hubspot", of(&["added to 1044", "removed from 1044"])),
        ("marketo", of(&["added to 1044", "bought", "campaign 3712", "removed from 1044"])),
    ];
    eventually("what was sent back at all vendors", Duration::from_secs(30), || async {
        all.iter().all(|(vendor, wanted)| met(&sandbox, vendor) == *wanted)
    })
    .await;
    // A list that is not there is a dead letter in the vendor's words, and stops nothing.
    let refused = || async {
        let (_, text) = run(&["dead-letters", "list"]);
        text.contains("sent-back") && text.contains("List does not exist")
    };
    eventually("the dead letter", Duration::from_secs(20), refused).await;
    assert!(daemon.terminate().success());
    for (vendor, wanted) in &all {
        assert_eq!(met(&sandbox, vendor), *wanted, "{vendor}");
    }
}

/// A hundred people at once: a job puts them into their list. The daemon is stopped before the job is through, and makes it
/// again: had it waited, the one who fails in the first would be a dead letter.
async fn many_go_into_a_list_by_a_job(kind: Kind) {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, destinations, at) = vendors().await;
    let trigger = "name = \"joined\"\nwhen = { did = \"Joined\" }\n\
                   activate = [{ destination = \"klaviyo\", list = \"UwQxX4\" }]\n";
    let rest = format!("{destinations}linger = \"500ms\"\n");
    let mut daemon =
        Daemon::new(folder.path(), &folder.path().join("store"), &rest, &[("joined", trigger)]).on(kind).await;
    daemon.start_ready().await;
    let http = client();
    let fault = json!({ "vendor": "klaviyo", "kind": "bad_record", "path": "/api/profile-bulk-import-jobs" });
    support::fault(at, fault).await;
    let joined = |n: u32| {
        let traits = json!({ "email": format!("p{n}@example.com") });
        let (id, user) = (format!("m{n}"), format!("u{n}"));
        json!({ "type": "track", "event": "Joined", "messageId": id, "userId": user, "context": { "traits": traits } })
    };
    let batch = json!({ "batch": (0..100).map(joined).collect::<Vec<_>>() });
    assert_eq!(daemon.post(&http, "/v1/batch", batch.to_string()).await, Some(200));
    let in_list = || met(&sandbox, "klaviyo").iter().filter(|one| one.ends_with("added to UwQxX4")).count();
    eventually("a job", Duration::from_secs(20), || async { in_list() > 0 }).await;
    assert_eq!(in_list(), 99, "all but one in one job");
    assert!(daemon.terminate().success());
    daemon.start_ready().await;
    eventually("everybody in the list", Duration::from_secs(30), || async { in_list() == 100 }).await;
    let settled = || async { daemon.metric("espalier_activations_total{lane=\"klaviyo\",outcome=\"accepted\"}").await };
    eventually("the end of the job", Duration::from_secs(30), || async { settled().await == Some(100) }).await;
    assert!(daemon.terminate().success());
    assert_eq!(sandbox.effects("klaviyo").len(), 100, "each once");
}
