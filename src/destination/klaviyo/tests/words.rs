//! What is passed on without a trigger: how it is said, and what refusals of it mean.

use super::*;
use crate::model::Channel;

fn told(batch: Vec<Item>, more: Value, vendor: impl FnMut(usize, &Request) -> Answer) -> Talk {
    let mut settings = json!({ "api_key": "pk_1" });
    settings.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
    let settings = serde_json::from_value(settings).expect("settings");
    Talk::with(Klaviyo::new("lane", settings).exchange(batch), vendor)
}

fn named(n: u8, action: Action, names: &[(IdentifierKind, &str)]) -> Item {
    let mut item = of(n, names.iter().map(|(kind, value)| Identifier::new(kind.clone(), *value)).collect());
    item.activation.action = action;
    item
}

fn profiles(body: &Value) -> &Vec<Value> {
    body["data"]["attributes"]["profiles"]["data"].as_array().expect("profiles")
}

#[test]
fn each_sort_is_one_call_and_a_no_is_said_of_all_addresses() {
    let two = [(IdentifierKind::Email, "a@example.com"), (IdentifierKind::Email, "b@example.com")];
    let batch = vec![
        doing(1, Action::Subscribe(Channel::Email)),
        named(2, Action::Subscribe(Channel::Sms), &[(IdentifierKind::Phone, "+351912345678")]),
        named(3, Action::Unsubscribe(Channel::Email), &two),
        named(4, Action::Suppress, &two),
        doing(5, Action::Unsuppress),
    ];
    let consent = json!({ "consent": { "channels": ["email", "sms"], "list": "VRgFBd" } });
    let talk = told(batch, consent, |_, _| came(202, Value::Null));
    assert_eq!(talk.words(), ["accepted"; 5]);
    assert_eq!(
        talk.paths(),
        [
            "/api/profile-subscription-bulk-create-jobs",
            "/api/profile-subscription-bulk-delete-jobs",
            "/api/profile-suppression-bulk-create-jobs",
            "/api/profile-suppression-bulk-delete-jobs",
        ]
    );
    let subscribed = talk.body(0);
    assert_eq!(subscribed["data"]["relationships"]["list"]["data"]["id"], "VRgFBd");
    assert_eq!(
        profiles(&subscribed),
        &vec![
            json!({ "type": "profile", "attributes": { "email": "p1@example.com",
                "subscriptions": { "email": { "marketing": { "consent": "SUBSCRIBED" } } } } }),
            json!({ "type": "profile", "attributes": { "phone_number": "+351912345678",
                "subscriptions": { "sms": { "marketing": { "consent": "SUBSCRIBED" } } } } }),
        ]
    );
    // With a list they are not in it would hold for everything, so it names none.
    assert_eq!(talk.body(1)["data"].get("relationships"), None);
    assert_eq!((profiles(&talk.body(1)).len(), profiles(&talk.body(2)).len()), (2, 2));
}

#[test]
fn a_hundred_addresses_are_one_call_and_somebodys_stay_together() {
    let names: Vec<(IdentifierKind, String)> =
        (0..3).map(|n| (IdentifierKind::Email, format!("a{n}@example.com"))).collect();
    let names: Vec<(IdentifierKind, &str)> = names.iter().map(|(kind, value)| (kind.clone(), value.as_str())).collect();
    let batch = (0..40).map(|n| named(n, Action::Suppress, &names)).collect();
    let talk = told(batch, json!({}), |_, _| came(202, Value::Null));
    let sizes: Vec<usize> = (0..talk.asked.len()).map(|n| profiles(&talk.body(n)).len()).collect();
    assert_eq!(sizes, [99, 21]);
}

#[test]
fn who_is_named_in_a_refusal_is_left_out_and_the_rest_is_said_again() {
    let pointer = json!({ "errors": [{ "code": "invalid", "title": "Invalid input.", "detail": "no",
        "source": { "pointer": "/data/attributes/profiles/data/2/attributes/email" } }] });
    let two = [(IdentifierKind::Email, "a@example.com"), (IdentifierKind::Email, "b@example.com")];
    // The third entry is the second person's.
    let batch = vec![named(1, Action::Suppress, &two), named(2, Action::Suppress, &two), doing(3, Action::Suppress)];
    let talk = told(batch, json!({}), |n, _| if n == 0 { came(400, pointer.clone()) } else { came(202, Value::Null) });
    assert_eq!(talk.words(), ["accepted", "refused", "accepted"]);
    assert_eq!(profiles(&talk.body(1)).len(), 3);
    // One that names nobody is found by saying each alone.
    let batch = (0..4).map(|n| doing(n, Action::Suppress)).collect();
    let bad = |_: usize, request: &Request| {
        let is_bad = request.body.windows(14).any(|w| w == b"p2@example.com");
        if is_bad { came(400, json!({ "errors": [{ "code": "invalid" }] })) } else { came(202, Value::Null) }
    };
    assert_eq!(told(batch, json!({}), bad).words(), ["accepted", "accepted", "refused", "accepted"]);
}

#[test]
fn somebody_is_forgotten_by_each_address_and_done_when_all_are() {
    let names = [
        (IdentifierKind::UserId, "42"),
        (IdentifierKind::Email, "a@example.com"),
        (IdentifierKind::Phone, "+351912345678"),
    ];
    let batch = || vec![named(1, Action::Erase, &names), doing(2, Action::Erase)];
    let talk = told(batch(), json!({}), |_, _| came(202, Value::Null));
    assert_eq!(talk.words(), ["accepted"; 2]);
    assert_eq!(talk.paths(), ["/api/data-privacy-deletion-jobs"; 3]);
    assert_eq!(
        talk.body(1)["data"]["attributes"]["profile"]["data"]["attributes"],
        json!({ "phone_number": "+351912345678" })
    );
    // The second address is still to be said when the vendor goes down: the whole is tried again.
    let talk = told(batch(), json!({}), |n, _| came(if n == 1 { 503 } else { 202 }, Value::Null));
    assert_eq!(talk.words(), ["later", "untried"]);
    // What one address is refused with keeps no other from being forgotten; somebody has to look at it.
    for status in [400, 404] {
        let talk = told(batch(), json!({}), |n, _| came(if n == 0 { status } else { 202 }, json!({ "errors": [] })));
        assert_eq!((talk.words(), talk.asked.len()), (vec!["refused", "accepted"], 3), "{status}");
    }
}

#[test]
fn a_scope_that_is_missing_stops_nothing_else() {
    let error = || came(403, json!({ "errors": [{ "code": "permission_denied" }] }));
    let batch = vec![doing(1, Action::Erase), doing(2, Action::Suppress), item(3)];
    let talk = told(batch, json!({}), |_, request| match request.path.as_str() {
        "/api/events" => came(202, Value::Null),
        _ => error(),
    });
    assert_eq!((talk.words(), talk.halt.as_ref()), (vec!["refused", "refused", "accepted"], None));
    let batch = vec![doing(1, Action::Subscribe(Channel::Email))];
    let list = json!({ "consent": { "list": "gone" } });
    let talk = told(batch, list, |_, _| came(404, json!({ "errors": [{ "code": "not_found" }] })));
    assert_eq!((talk.words(), talk.halt.as_ref()), (vec!["refused"], None));
}

#[test]
fn without_an_address_nothing_is_asked() {
    let batch = vec![
        named(1, Action::Erase, &[(IdentifierKind::UserId, "42")]),
        named(2, Action::Suppress, &[(IdentifierKind::Phone, "+351912345678")]),
    ];
    let talk = told(batch, json!({}), |_, _| came(202, Value::Null));
    assert_eq!((talk.words(), talk.asked.len()), (vec!["refused"; 2], 0));
}

#[test]
fn erasures_come_last_and_a_minutes_worth_of_them_at_a_time() {
    let mut batch: Vec<Item> = (0..60).map(|n| doing(n, Action::Erase)).collect();
    batch.push(item(61));
    let talk = told(batch, json!({}), |_, _| came(202, Value::Null));
    assert_eq!((talk.paths()[0], talk.asked.len()), ("/api/events", 51));
    let count = |word: &str| talk.words().iter().filter(|one| **one == word).count();
    assert_eq!((count("accepted"), count("later")), (51, 10));
    for (_, later) in talk.outcomes.iter().flatten().filter(|(_, one)| *one != Outcome::Accepted) {
        let Outcome::Later { not_before, is_throttled: true, .. } = later else { panic!("{later:?}") };
        assert_eq!(*not_before, NOW + Span::from_minutes(1));
    }
}
