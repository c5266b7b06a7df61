use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::identity;
use crate::source::Limits;

const LIMITS: Limits = Limits { message: 1_000, messages: 3 };

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an instant")
}

/// The only place that calls the API.
fn read_at(body: &str, path: &str) -> Result<Read, Refused> {
    let names = identity::Settings::default();
    let source: Arc<str> = "web".into();
    let arrival = Arrival { source: &source, at: at("2026-11-23T12:00:00Z"), names: &names, limits: &LIMITS };
    read(body.as_bytes(), Call::from_path(path).expect("a path"), &arrival)
}

fn one(message: &Value) -> Event {
    let read = read_at(&json!({ "batch": [message] }).to_string(), "batch").expect("a batch");
    assert_eq!(read.rejected, []);
    read.events.into_iter().next().expect("an event")
}

/// An event in words: kind, name, identifiers, properties, traits.
fn words(event: &Event) -> Vec<String> {
    let mut words = vec![format!("{:?} {}", event.kind, event.name).trim().to_owned()];
    words.extend(event.identifiers.iter().map(|i| i.to_text()));
    if event.properties.get() != "{}" {
        words.push(format!("properties {}", event.properties.get()));
    }
    if event.traits.get() != "{}" {
        words.push(format!("traits {}", event.traits.get()));
    }
    words
}

#[track_caller]
fn check(message: Value, wanted: &[&str]) {
    assert_eq!(words(&one(&message)), wanted);
}

#[track_caller]
fn wrong(message: &str, reason: &str) {
    let read = read_at(&format!("{{\"batch\":[{message}]}}"), "batch").expect("a batch");
    assert_eq!(read.rejected.iter().map(|r| r.reason.as_str()).collect::<Vec<_>>(), [reason]);
    assert_eq!(read.rejected.first().map(|r| r.body.as_str()), Some(message));
}

#[test]
fn track_is_something_done() {
    check(
        json!({"type": "track", "event": " Product Added ", "userId": 42, "anonymousId": null,
            "properties": {"price": 1.50, "email": "A@example.com", "cart_id": "c1", "order_id": "o1"}}),
        &[
            "Did Product Added",
            "user_id:42",
            "email:a@example.com",
            "cart:c1",
            r#"properties {"price":1.5,"email":"A@example.com","cart_id":"c1","order_id":"o1"}"#,
        ],
    );
}

#[test]
fn pages_get_what_the_context_knows() {
    check(
        json!({"type": "page", "anonymousId": "an1", "name": "Pricing", "category": null,
            "properties": {"url": "https://shop.example/p"},
            "context": {"page": {"url": "no", "title": "T", "path": null, "search": "?q"}, "traits": {"phone": "+351912345678"}}}),
        &[
            "Did Page Viewed",
            "anonymous_id:an1",
            "phone:+351912345678",
            r#"properties {"url":"https://shop.example/p","name":"Pricing","title":"T","search":"?q"}"#,
        ],
    );
    check(
        json!({"type": "screen", "userId": "u1", "name": "Home"}),
        &["Did Screen Viewed", "user_id:u1", r#"properties {"name":"Home"}"#],
    );
    check(json!({"type": "screen", "userId": "u1", "context": []}), &["Did Screen Viewed", "user_id:u1"]);
}

#[test]
fn identify_sets_traits_wherever_they_are() {
    check(
        json!({"type": "identify", "userId": "u1", "traits": {"email": "ines@example.com", "phone": 5}}),
        &["Identify", "user_id:u1", "email:ines@example.com", r#"traits {"email":"ines@example.com","phone":5}"#],
    );
    check(
        json!({"type": "identify", "anonymousId": "an1", "context": {"traits": {"email": "ines@example.com"},
            "externalId": [{"type": "shopify_customer", "id": 7}, {"type": "brazeId", "id": "x"}]}}),
        &[
            "Identify",
            "anonymous_id:an1",
            "email:ines@example.com",
            "shopify_customer:7",
            r#"traits {"email":"ines@example.com"}"#,
        ],
    );
}

#[test]
fn identify_keeps_the_clients_time_zone() {
    #[track_caller]
    fn zone(traits: Value, context: Value, wanted: &str) {
        let event = one(&json!({"type": "identify", "userId": "u1", "traits": traits, "context": context}));
        assert_eq!(event.traits.get(), wanted);
    }
    let here = || json!({"timezone": "Europe/Lisbon"});
    zone(json!({"plan": "pro"}), here(), r#"{"timezone":"Europe/Lisbon","plan":"pro"}"#);
    zone(json!({}), here(), r#"{"timezone":"Europe/Lisbon"}"#);
    zone(json!({"timezone": "UTC"}), here(), r#"{"timezone":"UTC"}"#);
    zone(json!({"time_zone": "UTC"}), here(), r#"{"time_zone":"UTC"}"#);
    zone(json!({"a": 1}), json!({"timezone": "x".repeat(65)}), r#"{"a":1}"#);
    zone(json!({"a": 1}), json!({"timezone": {"b": 2}}), r#"{"a":1}"#);
    zone(json!({}), json!({"timezone": "a\"b"}), r#"{"timezone":"a\"b"}"#);
    // Whoever only did something is asked for no zone.
    assert_eq!(one(&json!({"type": "track", "event": "A", "userId": "u", "context": here()})).traits.get(), "{}");
}

#[test]
fn group_and_alias() {
    check(
        json!({"type": "group", "userId": "u1", "groupId": "g\"1", "traits": {"plan": "pro"}}),
        &["Identify", "user_id:u1", r#"traits {"group_id":"g\"1","group":{"plan":"pro"}}"#],
    );
    check(
        json!({"type": "alias", "userId": "u1", "previousId": "old", "anonymousId": "shared-device"}),
        &["Alias", "user_id:u1", "user_id:old", "anonymous_id:old"],
    );
}

#[test]
fn wrong_messages_say_what_is_wrong() {
    wrong(r#"7"#, "is not an object");
    wrong(r#"{"userId":"u1"}"#, "has no type");
    wrong(r#"{"type":"trak","userId":"u1"}"#, "its type is none of track, identify, page, screen, group and alias");
    wrong(r#"{"type":"track","userId":"u1","event":" "}"#, "has no event name");
    let long = format!(r#"{{"type":"track","userId":"u1","event":"{}"}}"#, "x".repeat(201));
    wrong(&long, "its event name is longer than 200 bytes");
    wrong(r#"{"type":"track","userId":"u1","event":"E","properties":[]}"#, "properties is not an object");
    wrong(r#"{"type":"track","event":"E","userId":"null"}"#, "names nobody: it has no userId, anonymousId or e-mail");
    wrong(r#"{"type":"track","event":"E","userId":"u","timestamp":"soon"}"#, "timestamp is not a time");
    wrong(r#"{"type":"alias","userId":"u1"}"#, "has no previousId");
    wrong(r#"{"type":"group","userId":"u1"}"#, "has no groupId");
    wrong(r#"{"type":"track","type":"page"}"#, "could not be read: is one of its keys given twice?");
    wrong(&format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000)), "is larger than 1000 bytes");
    wrong(&format!(r#"{{"a":{}{}}}"#, "[".repeat(400), "]".repeat(400)), "is nested deeper than 100 levels");
}

#[test]
fn a_wrong_message_does_not_cost_the_others() {
    let body = r#"{"batch":[{"type":"page","userId":"u1"},{"messageId":"m2"},{"type":"page","userId":"u3"}]}"#;
    let read = read_at(body, "import").expect("a batch");
    assert_eq!(read.events.len(), 2);
    let rejected = read.rejected.first().expect("one");
    assert_eq!((rejected.index, rejected.message_id.as_deref()), (1, Some("m2")));
}

#[test]
fn what_is_no_request_is_refused_whole() {
    for body in ["", "{", "[1", "{\"batch\":[}", "{} {}"] {
        assert!(matches!(read_at(body, "b"), Err(Refused::Unreadable(_))), "{body}");
    }
    for body in ["{}", "[]", "null", "{\"batch\":7}"] {
        assert_eq!(
            read_at(body, "b").err(),
            Some(Refused::Unreadable("the body has no `batch` list".into())),
            "{body}"
        );
    }
    assert!(matches!(read_at("{\"batch\":[1,2,3,4]}", "b"), Err(Refused::TooLarge(_))));
    assert!(matches!(read_at("nope", "t"), Err(Refused::Unreadable(_))));
    assert_eq!(read_at("7", "t").expect("read").rejected.len(), 1);
}

#[test]
fn the_path_says_the_type_of_a_single_message() {
    let read = read_at(r#"{"event":"E","userId":"u","type":"page"}"#, "t").expect("read");
    assert_eq!(read.events.first().map(|e| &*e.name), Some("E"));
    assert_eq!(Call::from_path("identify"), Some(Call::One(MessageType::Identify)));
    assert_eq!(Call::from_path("x"), None);
}

#[track_caller]
fn happens(extra: &str, wanted: &str, claimed: Option<&str>) {
    let body = format!(r#"{{"sentAt":"2026-11-23T09:00:05Z","batch":[{{"type":"page","userId":"u"{extra}}}]}}"#);
    let read = read_at(&body, "b").expect("a batch");
    let event = read.events.first().expect("an event");
    assert_eq!((event.at, event.claimed_at), (at(wanted), claimed.map(at)), "{extra}");
    assert_eq!(read.clamped, usize::from(claimed.is_some()));
}

#[test]
fn the_time_is_the_clients_choice_or_corrected_by_its_own_clock() {
    happens("", "2026-11-23T12:00:00Z", None);
    happens(r#","timestamp":"2026-11-20T10:00:00+01:00""#, "2026-11-20T09:00:00Z", None);
    happens(r#","timestamp":1795428000"#, "2026-11-23T10:00:00Z", None);
    happens(r#","timestamp":null,"originalTimestamp":"2026-11-23T09:00:00Z""#, "2026-11-23T11:59:55Z", None);
    happens(
        r#","originalTimestamp":"2026-11-23T08:00:00Z","sentAt":"2026-11-23T08:00:01Z""#,
        "2026-11-23T11:59:59Z",
        None,
    );
    happens(r#","timestamp":"2026-11-23T12:10:00Z""#, "2026-11-23T12:10:00Z", None);
    happens(r#","timestamp":"2026-11-23T12:10:01Z""#, "2026-11-23T12:00:00Z", Some("2026-11-23T12:10:01Z"));
}

#[test]
fn the_batchs_context_lies_beneath_the_messages() {
    let body = r#"{"context":{"sessionId":7,"traits":{"email":"a@example.com"},"page":{"url":"u","title":"t"}},
        "batch":[{"type":"page","anonymousId":"x","context":{"sessionId":"s","page":{"url":"own"}}}]}"#;
    let read = read_at(body, "b").expect("a batch");
    let event = read.events.first().expect("an event");
    assert_eq!(event.session.as_deref(), Some("s"));
    assert_eq!(
        words(event),
        ["Did Page Viewed", "anonymous_id:x", "email:a@example.com", r#"properties {"url":"own","title":"t"}"#,]
    );
}

#[test]
fn a_message_is_known_again_by_its_id_or_else_by_its_content() {
    let key = |message: Value| one(&message).dedupe;
    let page = |id: &str, path: &str| json!({"type": "page", "userId": "u", "messageId": id, "name": path});
    assert_eq!(key(page("m1", "a")), key(page("m1", "b")));
    assert_ne!(key(page("m1", "a")), key(page("m2", "a")));
    assert_eq!(key(page("", "a")), key(page("", "a")));
    assert_ne!(key(page("", "a")), key(page("", "b")));
}

#[test]
fn an_emoji_cut_in_two_costs_nothing() {
    let body = r#"{"type":"page","userId":"u","name":"a\ud83d"}"#;
    let read = read_at(body, "p").expect("read");
    let event = read.events.first().expect("an event");
    assert_eq!(event.properties.to_value(), json!({"name": "a\u{fffd}"}));
}

#[test]
fn the_write_key_may_be_in_the_body() {
    assert_eq!(write_key(br#"{"batch":[],"writeKey":"wk"}"#).as_deref(), Some("wk"));
    for none in [r#"{"writeKey":""}"#, "{}", "x", "[]"] {
        assert_eq!(write_key(none.as_bytes()), None);
    }
}

/// Bodies captured from the real libraries.
#[test]
fn captured_bodies_are_read_whole() {
    for (name, events) in
        [("segment-analytics-node-3.1.0", 3), ("segment-analytics-python-2.4.0", 2), ("rudder-sdk-node-3.0.13", 1)]
    {
        let Some(text) = crate::source::shared(&format!("fixtures/segment/{name}.json")) else { continue };
        let captured: Value = serde_json::from_slice(&text).expect("JSON");
        let read = read_at(&captured.get("body").expect("a body").to_string(), "batch").expect("a batch");
        assert_eq!((read.events.len(), read.rejected.len()), (events, 0), "{name}");
    }
}

#[test]
fn what_is_said_of_an_e_mail_is_no_visit() {
    let origin = |name: &str| one(&json!({"type": "track", "event": name, "userId": "u"})).origin;
    assert_eq!(origin("Email Opened"), Origin::Email);
    assert_eq!(origin("Unsubscribed"), Origin::Email);
    assert_eq!(origin("Product Viewed"), Origin::Tracking);
    assert_eq!(origin("Email Form Shown"), Origin::Tracking);
}
