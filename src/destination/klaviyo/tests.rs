//! What Klaviyo is sent, and what its answers mean.

mod jobs;
mod words;

use serde_json::{Value, json};

use super::answer::{Verdict, verdict};
use super::*;
use crate::destination::testing::{NOW, Talk, came, doing, item, of, with};
use crate::destination::{Halt, Item, Next};
use crate::model::http::{Answer, Method};
use crate::model::{Action, Identifier, IdentifierKind, Outcome, RawJson};

fn talk(batch: Vec<Item>, vendor: impl FnMut(usize, &Request) -> Answer) -> Talk {
    let settings = serde_json::from_value(json!({ "api_key": "pk_1" })).expect("settings");
    Talk::with(Klaviyo::new("lane", settings).exchange(batch), vendor)
}

fn items(n: u8) -> Vec<Item> {
    (0..n).map(item).collect()
}

/// An error with a pointer to the profile at `place` of a bulk.
fn pointing(place: usize) -> Value {
    let pointer = format!("/data/attributes/events-bulk-create/data/{place}/attributes/profile");
    json!({ "errors": [{ "code": "invalid", "title": "Invalid input.", "detail": "no", "source": { "pointer": pointer } }] })
}

/// The table of vendor answers, row by row.
#[test]
fn each_answer_means_what_the_vendor_says() {
    let error = |code: &str| json!({ "errors": [{ "code": code, "title": "T", "detail": "D" }] });
    let until = |ms: i64| Verdict::Halt(Halt::Quota { window: "of the endpoint", until: NOW + Span::from_millis(ms) });
    let throttled = json!({ "errors": [{ "code": "throttled", "detail": "Request was throttled. Expected available in 2.5 seconds." }] });
    let credentials = Verdict::Halt(Halt::Credentials("T: D".into()));
    for status in [200, 201, 202, 204] {
        assert_eq!(verdict(&came(status, Value::Null), NOW), Verdict::All(Outcome::Accepted), "{status}");
    }
    assert_eq!(verdict(&came(400, error("not_authenticated")), NOW), credentials);
    assert_eq!(verdict(&came(401, error("authentication_failed")), NOW), credentials);
    assert_eq!(verdict(&came(403, error("permission_denied")), NOW), credentials);
    for status in [404, 406, 410, 415] {
        let meant = verdict(&came(status, json!({ "message": "gone" })), NOW);
        assert!(matches!(meant, Verdict::Halt(Halt::Configuration(_))), "{status}: {meant:?}");
    }
    assert_eq!(verdict(&came(413, Value::Null), NOW), Verdict::TooLarge);
    assert_eq!(verdict(&with("retry-after", "7", 429, throttled.clone()), NOW), until(7_000));
    assert_eq!(verdict(&came(429, throttled), NOW), until(2_500));
    assert_eq!(verdict(&with("ratelimit-reset", "3", 429, Value::Null), NOW), until(3_000));
    assert_eq!(verdict(&came(429, Value::Null), NOW), until(1_000));
    for status in [408, 500, 502, 503, 504, 521] {
        assert!(matches!(verdict(&came(status, Value::Null), NOW), Verdict::Down(..)), "{status}");
    }
    let html = Answer::Came(Response { status: 403, headers: vec![], body: b"<html>".to_vec() });
    assert!(matches!(verdict(&html, NOW), Verdict::Down(..)), "a challenge in front of the API is no refusal");
    for answer in [Answer::NotSent("x".into()), Answer::Unclear("x".into())] {
        // The dedupe key makes a resend safe, so nothing has to be looked for.
        let Verdict::Down(Outcome::Later { may_have_left, is_throttled, .. }, _) = verdict(&answer, NOW) else {
            panic!("later")
        };
        assert!(!may_have_left && !is_throttled);
    }
    assert_eq!(
        verdict(&came(400, pointing(3)), NOW),
        Verdict::Named(vec![(3, "no".into())], "invalid".into(), "Invalid input.: no".into())
    );
}

#[test]
fn few_go_alone_and_many_together() {
    let accept = |_: usize, _: &Request| came(202, Value::Null);
    let few = talk(items(49), accept);
    assert_eq!(few.paths(), vec!["/api/events"; 49]);
    let many = talk(items(50), accept);
    assert_eq!(many.paths(), ["/api/event-bulk-create-jobs"]);
    assert_eq!(many.words(), vec!["accepted"; 50]);
}

#[test]
fn what_is_urgent_does_not_go_with_the_bulk_of_others() {
    let mut batch = items(60);
    for n in [10, 50] {
        batch[n].activation.priority = 80;
    }
    let talk = talk(batch, |_, _| came(202, Value::Null));
    assert_eq!(talk.paths(), ["/api/events", "/api/events", "/api/event-bulk-create-jobs"]);
    assert_eq!(talk.body(2)["data"]["attributes"]["events-bulk-create"]["data"].as_array().map(Vec::len), Some(58));
    assert_eq!(talk.words(), vec!["accepted"; 60]);
}

#[test]
fn a_refused_bulk_goes_again_without_those_it_names() {
    let talk = talk(items(60), |n, _| if n == 0 { came(400, pointing(7)) } else { came(202, Value::Null) });
    assert_eq!(talk.asked.len(), 2);
    assert_eq!(talk.body(1)["data"]["attributes"]["events-bulk-create"]["data"].as_array().map(Vec::len), Some(59));
    for (n, word) in talk.words().into_iter().enumerate() {
        assert_eq!(word, if n == 7 { "refused" } else { "accepted" }, "{n}");
    }
}

#[test]
fn a_named_profile_of_several_events_is_tried_event_by_event() {
    let mut batch = items(60);
    batch[59].activation.identifiers = batch[0].activation.identifiers.clone();
    let talk = talk(batch, |n, request| match n {
        0 => came(400, pointing(0)),
        _ if request.path == "/api/events" && n == 2 => came(400, json!({ "errors": [{ "code": "invalid" }] })),
        _ => came(202, Value::Null),
    });
    assert_eq!(talk.words().iter().filter(|w| **w == "refused").count(), 1);
    assert_eq!(talk.asked.iter().filter(|r| r.path == "/api/events").count(), 2);
}

#[test]
fn a_refusal_that_names_nobody_is_found_one_by_one() {
    let talk = talk(items(50), |n, request| match request.path.as_str() {
        "/api/event-bulk-create-jobs" => came(400, json!({ "errors": [{ "code": "invalid" }] })),
        _ if n == 10 => came(400, json!({ "errors": [{ "code": "invalid", "detail": "p@x.yz is wrong" }] })),
        _ => came(202, Value::Null),
    });
    assert_eq!(talk.asked.len(), 51);
    let refused: Vec<_> = talk.outcomes.iter().flatten().filter(|(_, o)| *o != Outcome::Accepted).collect();
    let [(400, Outcome::Refused { words, .. })] = refused[..] else { panic!("{refused:?}") };
    assert!(!words.contains('@'), "no personal data in a dead letter's words: {words}");
}

#[test]
fn too_large_is_halved() {
    let talk = talk(items(64), |_, request| {
        let profiles = request.body.windows(18).filter(|w| w == b"\"event-bulk-create").count();
        if profiles > 17 { came(413, Value::Null) } else { came(202, Value::Null) }
    });
    assert_eq!(talk.words(), vec!["accepted"; 64]);
    assert!((6..=8).contains(&talk.asked.len()), "{}", talk.asked.len());
}

#[test]
fn a_halt_leaves_what_was_not_tried_as_it_was() {
    let talk =
        talk(items(5), |n, _| if n < 2 { came(202, Value::Null) } else { with("retry-after", "3", 429, Value::Null) });
    assert_eq!(talk.words(), ["accepted", "accepted", "untried", "untried", "untried"]);
    assert!(matches!(talk.halt, Some(Halt::Quota { .. })));
}

#[test]
fn a_body_names_the_person_each_way_and_carries_the_payload_as_it_is() {
    let names = vec![
        Identifier::new(IdentifierKind::AnonymousId, "anon-1"),
        Identifier::new(IdentifierKind::UserId, "u-1"),
        Identifier::new(IdentifierKind::Email, "ines@example.com"),
    ];
    let talk = talk(vec![of(1, names)], |_, _| came(202, Value::Null));
    let attributes = &talk.body(0)["data"]["attributes"];
    assert_eq!(attributes["unique_id"], "01010101010101010101010101010101");
    assert_eq!((&attributes["value"], &attributes["value_currency"]), (&json!(20.5), &json!("EUR")));
    assert_eq!(attributes["properties"]["total"], "20.50");
    assert_eq!(attributes["metric"]["data"]["attributes"]["name"], "Cart Abandoned");
    assert_eq!(
        attributes["profile"]["data"]["attributes"],
        json!({ "email": "ines@example.com", "external_id": "u-1", "anonymous_id": "anon-1",
                "first_name": "Ines", "last_name": "Mota" })
    );
}

#[test]
fn what_is_computed_of_a_person_goes_into_the_profiles_properties() {
    let mut item = of(1, vec![Identifier::new(IdentifierKind::Email, "ines@example.com")]);
    let traits = json!({ "plan": "gold", "engagement_level": "high", "engagement_open_rate": 0.25 });
    item.activation.traits = RawJson::from_value(&traits);
    let talk = talk(vec![item], |_, _| came(202, Value::Null));
    let profile = &talk.body(0)["data"]["attributes"]["profile"]["data"]["attributes"];
    assert_eq!(profile["properties"], json!({ "engagement_level": "high", "engagement_open_rate": 0.25 }));
}

#[test]
fn what_the_vendor_would_refuse_is_not_sent() {
    let nobody = of(1, vec![Identifier::new(IdentifierKind::AnonymousId, "anon-1")]);
    let mut deep = item(2);
    deep.activation.payload =
        crate::model::RawJson::trusted(format!("{{\"a\":{}1{}}}", "[".repeat(11), "]".repeat(11)));
    let mut nested = item(3);
    nested.activation.payload =
        crate::model::RawJson::trusted(format!("{{\"a\":{}1{}}}", "[".repeat(9), "]".repeat(9)));
    let mut wide = item(4);
    let entries: Vec<String> = (0..401).map(|n| format!("\"{n}\":0")).collect();
    wide.activation.payload = crate::model::RawJson::trusted(format!("{{{}}}", entries.join(",")));
    let talk = talk(vec![nobody, deep, nested, wide], |_, _| came(202, Value::Null));
    assert_eq!(talk.words(), ["refused", "refused", "accepted", "refused"]);
}

// === lists and profiles ===

/// A vendor that has every profile, by a number that follows from the address.
fn has_all(_: usize, request: &Request) -> Answer {
    match request.path.as_str() {
        "/api/profile-import" => {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let email = body["data"]["attributes"]["email"].as_str().expect("an address");
            came(200, json!({ "data": { "type": "profile", "id": format!("id of {email}") } }))
        }
        _ => came(204, Value::Null),
    }
}

#[test]
fn people_are_imported_once_and_then_go_into_their_lists_together() {
    let into = |n, list: &str| doing(n, Action::AddToList(list.into()));
    let batch =
        vec![into(1, "L1"), into(1, "L2"), into(2, "L1"), doing(2, Action::RemoveFromList("L3".into())), item(3)];
    let talk = talk(batch, has_all);
    assert_eq!(talk.words(), ["accepted"; 5]);
    let list = |id: &str| format!("/api/lists/{id}/relationships/profiles");
    let (l1, l2, l3) = (list("L1"), list("L2"), list("L3"));
    assert_eq!(talk.paths(), ["/api/events", "/api/profile-import", "/api/profile-import", &l1, &l2, &l3]);
    assert_eq!(talk.asked.iter().filter(|r| r.method == Method::Delete).count(), 1);
    let member = |n: u8| json!({ "type": "profile", "id": format!("id of p{n}@example.com") });
    assert_eq!(talk.body(3), json!({ "data": [member(1), member(2)] }));
    assert_eq!((talk.body(5), talk.asked[5].method), (json!({ "data": [member(2)] }), Method::Delete));
}

#[test]
fn only_what_is_asked_for_is_written_to_a_profile() {
    let mut whole = doing(1, Action::Profile);
    let traits =
        r#"{"firstName":"Ines","plan":"gold","city":"Faro","locale":"pt-PT","engagement_level":"high","email":"x"}"#;
    whole.activation.traits = RawJson::trusted(traits);
    let mut listed = doing(2, Action::AddToList("L1".into()));
    listed.activation.traits = whole.activation.traits.clone();
    let talk = talk(vec![whole, listed], has_all);
    assert_eq!(talk.words(), ["accepted", "accepted"]);
    assert_eq!(
        talk.body(0)["data"]["attributes"],
        json!({ "email": "p1@example.com", "first_name": "Ines", "locale": "pt-PT", "location": { "city": "Faro" },
            "properties": { "plan": "gold", "engagement_level": "high" } })
    );
    assert_eq!(
        talk.body(1)["data"]["attributes"],
        json!({ "email": "p2@example.com", "first_name": "Ines", "properties": { "engagement_level": "high" } })
    );
}

#[test]
fn an_anonymous_id_is_no_part_of_a_profile() {
    let names = vec![Identifier::new(IdentifierKind::UserId, "u1"), Identifier::new(IdentifierKind::AnonymousId, "a1")];
    let mut item = of(1, names);
    item.activation.action = Action::Profile;
    item.activation.traits = RawJson::empty();
    let talk = talk(vec![item], |_, _| came(201, json!({ "data": { "type": "profile", "id": "01A" } })));
    assert_eq!(talk.body(0)["data"]["attributes"], json!({ "external_id": "u1" }));
}

/// One id that is none refuses all; who it is of is found by halving, and comes again with the id they have then.
#[test]
fn a_profile_that_was_merged_away_does_not_hold_up_the_others() {
    let batch = (0..8).map(|n| doing(n, Action::AddToList("L1".into()))).collect();
    let talk = talk(batch, |n, request| {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        if request.path.starts_with("/api/lists") && text.contains("p5@") {
            let error =
                json!({ "code": "invalid", "detail": "Invalid profile IDs: 1", "source": { "pointer": "/data/" } });
            return came(400, json!({ "errors": [error] }));
        }
        has_all(n, request)
    });
    assert_eq!(talk.words()[5], "later");
    assert_eq!(talk.words().iter().filter(|word| **word == "accepted").count(), 7);
}

/// A trigger that names a list which is not there is that trigger's matter: the lane goes on.
#[test]
fn a_missing_list_stops_nobody_else() {
    let batch = vec![doing(1, Action::AddToList("gone".into())), doing(2, Action::AddToList("L1".into()))];
    let talk = talk(batch, |n, request| match request.path.contains("/gone/") {
        true => came(404, json!({ "errors": [{ "code": "not_found" }] })),
        false => has_all(n, request),
    });
    assert_eq!((talk.words(), &talk.halt), (vec!["refused", "accepted"], &None));
}

#[test]
fn what_happened_long_ago_starts_no_flow() {
    for (revision, after, wanted) in [
        ("2026-07-15", Some("30s"), json!(true)),
        ("2026-07-15", Some("2m"), Value::Null),
        ("2026-07-15", None, Value::Null),
        ("2026-04-15", Some("30s"), Value::Null),
    ] {
        let settings = json!({ "api_key": "k", "revision": revision, "backfill_after": after });
        let klaviyo = Klaviyo::new("lane", serde_json::from_value(settings).expect("settings"));
        let talk = Talk::with(klaviyo.exchange(vec![item(1)]), |_, _| came(202, Value::Null));
        assert_eq!(talk.body(0)["data"]["attributes"]["backfill"], wanted, "{revision} {after:?}");
    }
}

/// Whether events that are stored already refuse a bulk is not known; alone they are taken and dropped.
#[test]
fn a_bulk_that_is_refused_for_an_event_it_has_goes_on_alone() {
    let talk = talk(items(60), |n, _| match n {
        0 => {
            let mut answer = pointing(3);
            answer["errors"][0]["detail"] = "This unique_id is repeated for the same profile and metric.".into();
            came(400, answer)
        }
        _ => came(202, Value::Null),
    });
    assert_eq!(talk.words(), ["accepted"; 60]);
    assert_eq!(talk.paths(), ["/api/event-bulk-create-jobs", "/api/events", "/api/event-bulk-create-jobs"]);
}
