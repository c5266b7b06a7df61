//! What a daemon does at Marketo and HubSpot beyond single calls: bulk imports beside other work, people taken out of lists
//! without being made, people who are forgotten. In virtual time.

mod support;

use espalier::clock::Clock;
use espalier::identity;
use espalier::model::Span;
use espalier::ops::identity::{Told, Word, tell};
use espalier::ops::receipts;
use espalier::store::settings::Kind;
use serde_json::{Value, json};
use support::world::World;
use support::{client, pause};

crate::on_both!(
    many_are_imported_and_hold_up_nobody,
    what_is_no_import_leaves_beside_one,
    one_bad_row_of_an_import_is_one_dead_letter,
    who_is_forgotten_is_forgotten_at_both_vendors,
);

fn destinations(vendors: &str) -> String {
    format!(
        r#"[destination.marketo]
kind = "marketo"
base_url = "{vendors}/marketo"
client_id = "${{file:SECRET}}"
client_secret = "${{file:SECRET}}"
activity_type = 100001
unlimited = true
[destination.hubspot]
kind = "hubspot"
token = "${{file:SECRET}}"
hub_id = 1234567
base_url = "{vendors}/hubspot"
unlimited = true
"#
    )
}

fn trigger(name: &str, event: &str, action: &str, vendors: &[&str]) -> (&'static str, String) {
    let does: Vec<String> =
        vendors.iter().map(|vendor| format!("{{ destination = \"{vendor}\", {action} }}")).collect();
    let text = format!("name = \"{name}\"\nwhen = {{ did = \"{event}\" }}\nactivate = [{}]\n", does.join(", "));
    (String::leak(name.to_owned()), text)
}

/// How many of Marketo's effects are these.
fn count(world: &World, is_so: impl Fn(&str, &Value) -> bool) -> usize {
    world.sandbox.effects("marketo").iter().filter(|effect| is_so(&effect.event, &effect.body)).count()
}

/// Fifteen hundred people go into a list, who have waited for the vendor: after a probe of 300 by calls the others are one
/// import. An event of somebody else leaves while the vendor still works on it.
async fn many_are_imported_and_hold_up_nobody(kind: Kind) {
    let triggers = [
        trigger("joined", "Joined", "list = \"1044\"", &["marketo"]),
        trigger("form", "Form Submitted", "event = \"Form\"", &["marketo"]),
    ];
    let mut world = World::on(kind, &triggers, destinations).await;
    world.fault(json!({ "vendor": "marketo", "kind": "status", "status": 503, "times": 1_000_000 })).await;
    for _ in 0..3 {
        world.does("Joined", 500).await;
    }
    assert_eq!(world.queued("marketo"), 1_500);
    // What is in a call's hands would be missing in the import.
    world.until("a rest", Span::ZERO, |w| w.is_at_rest("marketo")).await;
    world.heal().await;
    let imported = |world: &World| count(world, |event, body| event == "added to 1044" && body["imported"] == true);
    world.until("an import", Span::from_secs(1), |w| imported(w) >= 1_000).await;
    let before = world.outcomes("marketo").get("accepted").copied().unwrap_or_default();

    // The clock stands still, so the import cannot end.
    world.does("Form Submitted", 1).await;
    world.until("the form", Span::ZERO, |w| count(w, |event, _| event == "form") == 1).await;
    for _ in 0..500 {
        if world.outcomes("marketo").get("accepted").copied().unwrap_or_default() > before {
            break;
        }
        pause(4).await;
    }
    assert_eq!(world.outcomes("marketo").get("accepted").copied().unwrap_or_default(), before + 1);

    world.until("all of it", Span::from_secs(1), |w| w.is_through("marketo")).await;
    let in_list = count(&world, |event, _| event == "added to 1044");
    assert_eq!((in_list, world.sandbox.counts("marketo").duplicates), (1_500, 0), "each once");
    assert_eq!(world.outcomes("marketo").get("accepted"), Some(&1_501));
    world.daemon.stop().await.expect("an end");
}

/// A queue in which lists and events alternate: what came along with an import, and is none, goes back and leaves in its turn.
async fn what_is_no_import_leaves_beside_one(kind: Kind) {
    let more = |vendors: &str| destinations(vendors).replace("activity_type = ", "bulk_from = 100\nactivity_type = ");
    let triggers = [
        trigger("joined", "Joined", "list = \"1044\"", &["marketo"]),
        trigger("welcomed", "Joined", "event = \"Welcome\"", &["marketo"]),
    ];
    let mut world = World::on(kind, &triggers, more).await;
    world
        .fault(json!({ "vendor": "marketo", "kind": "status", "status": 503, "path": "/identity/", "times": 5 }))
        .await;
    world.does("Joined", 500).await;
    assert_eq!(world.queued("marketo"), 1_000);
    world.until("all of it", Span::from_secs(1), |w| w.is_through("marketo")).await;
    assert_eq!(world.outcomes("marketo").get("accepted"), Some(&1_000));
    let of = |event: &str| count(&world, |known, _| known == event);
    assert_eq!((of("added to 1044"), of("welcomed")), (500, 500), "each once");
    assert!(count(&world, |_, body| body["imported"] == true) >= 100);
    let leads = world.sandbox.effects("marketo").into_iter().map(|effect| effect.person);
    assert_eq!(leads.collect::<std::collections::BTreeSet<_>>().len(), 500);
    world.daemon.stop().await.expect("an end");
}

/// Of a file with a bad row only that one is a dead letter.
async fn one_bad_row_of_an_import_is_one_dead_letter(kind: Kind) {
    let more = |vendors: &str| destinations(vendors).replace("activity_type = ", "bulk_from = 100\nactivity_type = ");
    let mut world = World::on(kind, &[trigger("joined", "Joined", "list = \"1044\"", &["marketo"])], more).await;
    world.fault(json!({ "vendor": "marketo", "kind": "bad_record", "path": "/bulk/v1/leads.json" })).await;
    // So often that the lane rests, by a clock that stands still, until all of them wait.
    world
        .fault(json!({ "vendor": "marketo", "kind": "status", "status": 503, "path": "/identity/", "times": 5 }))
        .await;
    world.does("Joined", 200).await;
    assert_eq!(world.queued("marketo"), 200);
    world.until("all of it", Span::from_secs(1), |w| w.is_through("marketo")).await;
    assert_eq!(count(&world, |event, body| event == "added to 1044" && body["imported"] == true), 199);
    let dead = world.daemon.watched.store.dead_letters(Some("marketo"), 10).await.expect("dead letters");
    let [one] = &*dead else { panic!("{dead:?}") };
    assert!(format!("{one:?}").contains("import_failed"), "{one:?}");
    world.daemon.stop().await.expect("an end");
}

/// Who has these addresses at both vendors: they are asked as an adapter would not, by the addresses in the URL.
async fn known(world: &World, email: &str) -> (bool, bool) {
    let http = client();
    let ask = async |request: reqwest::RequestBuilder| -> Value {
        let text = request.send().await.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&text).expect("JSON")
    };
    let query = "grant_type=client_credentials&client_id=sandbox&client_secret=sandbox";
    let token = ask(http.get(format!("{}/marketo/identity/oauth/token?{query}", world.vendors))).await;
    let token = token["access_token"].as_str().expect("a token").to_owned();
    let leads = format!("{}/marketo/rest/v1/leads.json?filterType=email&filterValues={email}", world.vendors);
    let leads = ask(http.get(leads).bearer_auth(token)).await;
    let body = json!({ "idProperty": "email", "inputs": [{ "id": email }], "properties": ["email"] });
    let read = format!("{}/hubspot/crm/objects/2026-03/contacts/batch/read", world.vendors);
    let request = http.post(read).bearer_auth("sandbox").header("content-type", "application/json");
    let contacts = ask(request.body(body.to_string())).await;
    let is_any = |list: &Value| list.as_array().is_some_and(|all| !all.is_empty());
    (is_any(&leads["result"]), is_any(&contacts["results"]))
}

/// Somebody whom a vendor does not know is in none of its lists, and is not made for being taken out of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_taken_out_of_a_list_is_not_made_at_the_vendor() {
    let both = ["marketo", "hubspot"];
    let triggers = [
        trigger("left", "Left", "remove_from = \"1044\"", &both),
        trigger("joined", "Joined", "list = \"1044\"", &both),
    ];
    let mut world = World::begin(&triggers, destinations).await;
    world.does("Left", 1).await;
    let is_through =
        |w: &World| both.iter().all(|vendor| w.is_through(vendor) && w.outcomes(vendor).get("accepted") == Some(&1));
    world.until("what there was to do", Span::from_secs(1), is_through).await;
    assert_eq!(known(&world, "p0@example.com").await, (false, false));
    world.does("Joined", 1).await;
    let is_through =
        |w: &World| both.iter().all(|vendor| w.is_through(vendor) && w.outcomes(vendor).get("accepted") == Some(&2));
    world.until("both lists", Span::from_secs(1), is_through).await;
    assert_eq!(known(&world, "p1@example.com").await, (true, true));
    for vendor in both {
        assert_eq!(world.events(vendor), ["added to 1044"], "{vendor}");
    }
    world.daemon.stop().await.expect("an end");
}

/// Whoever is forgotten here is forgotten at both, with a receipt; a vendor that never knew them is asked too.
async fn who_is_forgotten_is_forgotten_at_both_vendors(kind: Kind) {
    let both = ["marketo", "hubspot"];
    let mut world = World::on(kind, &[trigger("joined", "Joined", "list = \"1044\"", &both)], destinations).await;
    world.does("Joined", 1).await;
    world.until("both lists", Span::from_secs(1), |w| both.iter().all(|v| w.is_through(v))).await;
    assert_eq!(known(&world, "p0@example.com").await, (true, true));
    let store = &*world.daemon.watched.store;
    let settings = identity::Settings::default();
    let hers = Told::of(Word::Erase, &["user_id:u0".to_owned()]);
    let stranger = Told { is_anybody: true, ..Told::of(Word::Erase, &["email:old@example.com".to_owned()]) };
    for told in [hers, stranger] {
        tell(store, &told, &settings, world.clock.now()).await.expect("written down");
    }
    world.decided().await;
    world.turn(Span::from_minutes(61), Span::from_minutes(1)).await;
    let is_through =
        |w: &World| both.iter().all(|vendor| w.is_through(vendor) && w.outcomes(vendor).get("accepted") == Some(&3));
    world.until("both erasures", Span::from_secs(1), is_through).await;
    assert_eq!(known(&world, "p0@example.com").await, (false, false));
    assert_eq!(world.events("marketo"), ["added to 1044", "deleted"]);
    assert_eq!(world.events("hubspot"), ["added to 1044", "forgotten"]);
    let receipts = receipts(store).await.expect("receipts");
    assert_eq!(receipts.len(), 2);
    assert!(receipts.iter().all(|one| one.destinations.len() == 2 && one.destinations.iter().all(|d| d.is_done)));
    world.daemon.stop().await.expect("an end");
}
