//! A trigger is paused and resumed by command, by page, and where no daemon runs; one that fires too often pauses itself.

mod support;

use std::time::Duration;

use espalier::store::settings::Kind;
use serde_json::{Value, json};
use support::shop::{self, track, trigger};
use support::{Daemon, client, espalier, eventually};

crate::on_both!(what_is_held_leaves_when_somebody_resumes_the_trigger);

const LIMIT: Duration = Duration::from_secs(30);

async fn decided(daemon: &Daemon, n: u64) {
    let counted = || async { daemon.metric("espalier_events_decided_total").await == Some(n) };
    eventually("all is decided", LIMIT, counted).await;
}

async fn what_is_held_leaves_when_somebody_resumes_the_trigger(kind: Kind) {
    let form = trigger("form", "per = \"form\"\n", "Form Submitted", "Form");
    let at_most_two = "title = \"At most two an hour\"\nper = \"product_id\"\nguard = { most = 2 }\n";
    let guarded = trigger("guarded", at_most_two, "Product Viewed", "Viewed");
    let (folder, sandbox, mut daemon) = shop::on(kind, &[("form", &form), ("guarded", &guarded)]).await;
    let http = client();
    let sent = |event: &str| sandbox.effects("klaviyo").iter().filter(|e| e.event == event).count();
    let run = |args: &[&str]| espalier(folder.path(), args);
    let held = |name: &str| {
        let (_, text) = espalier(folder.path(), &["triggers", "held", name, "--json"]);
        serde_json::from_str::<Vec<Value>>(&text).expect("JSON")
    };

    // By command.
    let (is_well, text) = run(&["triggers", "pause", "form", "--policy", "keep"]);
    assert!(is_well && text.contains("(keep)"), "{text}");
    let (is_well, text) = run(&["triggers", "pause", "nothing"]);
    assert!(!is_well && text.contains("there is no trigger `nothing`"), "{text}");
    for n in ["1", "2"] {
        let body = track(n, "Form Submitted", json!({ "form": n })).to_string();
        assert_eq!(daemon.post(&http, "/v1/track", body).await, Some(200));
    }
    decided(&daemon, 2).await;
    assert_eq!((sent("Form"), held("form").len()), (0, 2));
    let (_, text) = run(&["explain", "user_id:u1", "--trigger", "form"]);
    assert!(text.contains("held: the trigger is paused"), "{text}");
    assert!(text.contains("held back now: paused since"), "{text}");
    // A killed daemon forgets none of it.
    daemon.kill();
    daemon.start_ready().await;
    assert_eq!(held("form").len(), 2);
    let (is_well, text) = run(&["triggers", "resume", "form"]);
    assert!(is_well && text.contains("form: live"), "{text}");
    eventually("what was held leaves", LIMIT, || async { sent("Form") == 2 }).await;
    assert!(held("form").is_empty());

    // By its guard. It says so, and the page too.
    for n in ["3", "4", "5", "6"] {
        let body = track(n, "Product Viewed", json!({ "product_id": n })).to_string();
        assert_eq!(daemon.post(&http, "/v1/track", body).await, Some(200));
    }
    eventually("the guard holds two", LIMIT, || async { sent("Viewed") == 2 && held("guarded").len() == 2 }).await;
    let page = daemon.page("/").await.text().await.expect("text");
    assert!(page.contains("<strong>trigger guarded</strong> paused itself"), "{page}");
    assert_eq!(daemon.metric("espalier_trigger_live{trigger=\"guarded\"}").await, Some(0));
    assert_eq!(daemon.metric("espalier_trigger_live{trigger=\"form\"}").await, Some(1));
    assert!(daemon.log_end().contains("has paused itself"), "{}", daemon.log_end());

    // By the page, with the token and not without it.
    let at = format!("http://{}/triggers/guarded", daemon.ops);
    let page = daemon.page("/triggers/guarded").await.text().await.expect("text");
    assert!(page.contains("paused itself at") && page.contains("Resume"), "{page}");
    let post = async |token: &str| {
        let kind = "application/x-www-form-urlencoded";
        let call = http.post(&at).bearer_auth(token).header("content-type", kind).body("what=resume&held=drop");
        call.send().await.expect("an answer")
    };
    assert!(post("guess").await.text().await.expect("text").contains("espalier account link"), "the way in");
    assert_eq!(held("guarded").len(), 2);
    post(&daemon.admin_token()).await;
    let page = daemon.page("/triggers/guarded").await.text().await.expect("text");
    assert!(page.contains("<span class=\"chip well\">live</span>"), "{page}");
    eventually("what was held goes nowhere", LIMIT, || async { held("guarded").is_empty() }).await;
    assert_eq!(sent("Viewed"), 2);

    // Where no daemon runs.
    assert!(daemon.terminate().success());
    let (is_well, text) = run(&["triggers", "pause", "form"]);
    assert!(is_well && text.contains("(drop)"), "{text}");
    let (_, text) = run(&["triggers", "list"]);
    assert!(text.contains("paused since") && text.contains("guarded"), "{text}");
    daemon.start_ready().await;
    let body = track("7", "Form Submitted", json!({ "form": "7" })).to_string();
    assert_eq!(daemon.post(&http, "/v1/track", body).await, Some(200));
    decided(&daemon, 1).await;
    assert_eq!((sent("Form"), held("form").len()), (2, 0));
}
