use serde_json::{Value, json};

use super::answer::{Verdict, verdict};
use super::*;
use crate::destination::testing::{NOW, Talk, came, item, of, with};
use crate::model::{Identifier, IdentifierKind, RawJson};

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
