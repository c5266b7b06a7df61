//! HubSpot: contacts, events of contacts that exist, batches, the rolling window.

use serde_json::{Value, json};

use super::{World, with};

pub const UPSERT: &str = "/crm/objects/2026-03/contacts/batch/upsert";
const SEND: &str = "/events/2026-03/send";

pub fn contact(email: &str, trace: &str) -> Value {
    let contact = json!({"id": email, "idProperty": "email", "properties": {"email": email, "firstname": "Ines"}});
    if trace.is_empty() { contact } else { with(contact, "/objectWriteTraceId", json!(trace)) }
}

fn occurrence(uuid: u8) -> Value {
    json!({
        "eventName": "pe1234567_cart_left", "email": "ines@example.com", "occurredAt": "2026-11-23T16:30:00.000Z",
        "uuid": format!("7d4e2f8a-5a1b-5c0e-9a77-0d2c1f6b9e{uuid:02x}"), "properties": {"cart_value": "74.5"},
    })
}

#[tokio::test]
async fn hubspot_upserts_contacts() {
    let world = World::free();
    let reply = world.hubspot(UPSERT, &json!({"inputs": [contact("a@e.com", "1"), contact("b@e.com", "2")]})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.at("/results/1/id"), "608051", "results come in another order");
    assert_eq!(reply.at("/results/1/new"), &json!(true));
    assert_eq!(reply.at("/results/1/objectWriteTraceId"), "1");
    let mixed = json!({"inputs": [contact("A@e.com", "1"), contact("nobody", "2"), contact("c@e.com", "3")]});
    let reply = world.hubspot("/crm/v3/objects/contacts/batch/upsert", &mixed).await;
    assert_eq!(reply.status, 207);
    assert_eq!(reply.at("/numErrors"), &json!(1));
    assert_eq!(reply.at("/errors/0/context/objectWriteTraceId/0"), "2");
    assert_eq!((reply.at("/results/1/id"), reply.at("/results/1/new")), (&json!("608051"), &json!(false)));
    for (body, words) in [
        (json!({"inputs": []}), "Invalid input: inputs may not be empty"),
        (json!({"inputs": [contact("a@e.com", "1"), contact("A@e.com", "2")]}), "Duplicate IDs found in batch input"),
        (
            json!({"inputs": [contact("d@e.com", ""), contact("nobody", "")]}),
            "Property value \"nobody\" is not a valid email",
        ),
        (
            json!({"inputs": [with(contact("d@e.com", ""), "/properties/First Name", json!("I"))]}),
            "Property \"First Name\" does not exist",
        ),
        (
            json!({"inputs": [with(contact("d@e.com", ""), "/idProperty", json!("phone"))]}),
            "Property \"phone\" is not a unique identifier property of contacts",
        ),
        (
            json!({"inputs": (0..101).map(|i| contact(&format!("{i}@e.com"), "")).collect::<Vec<_>>()}),
            "The maximum number of inputs supported in a batch request is 100, received 101",
        ),
    ] {
        let reply = world.hubspot(UPSERT, &body).await;
        assert_eq!((reply.status, reply.at("/message")), (400, &json!(words)));
        assert_eq!(reply.at("/category"), "VALIDATION_ERROR");
    }
    let wrong = [("authorization", "Bearer wrong"), ("content-type", "application/json")];
    let reply = world.send("POST", &format!("/hubspot{UPSERT}"), &wrong, mixed.to_string()).await;
    assert_eq!((reply.status, reply.at("/category")), (401, &json!("INVALID_AUTHENTICATION")));
}

#[tokio::test]
async fn hubspot_reads_contacts_by_address_and_forgets_them() {
    let world = World::free();
    world.hubspot(UPSERT, &json!({"inputs": [contact("a@e.com", "1"), contact("b@e.com", "2")]})).await;
    let read = async |emails: &[&str]| {
        let inputs: Vec<Value> = emails.iter().map(|email| json!({"id": email})).collect();
        let body =
            json!({"idProperty": "email", "inputs": inputs, "properties": ["email"], "propertiesWithHistory": []});
        world.hubspot("/crm/objects/2026-03/contacts/batch/read", &body).await
    };
    let all = read(&["A@e.com", "b@e.com"]).await;
    assert_eq!(
        (all.status, all.at("/results/0/id"), all.at("/results/1/id")),
        (200, &json!("608051"), &json!("608052"))
    );
    let some = read(&["c@e.com", "b@e.com"]).await;
    assert_eq!((some.status, some.at("/results/0/id")), (207, &json!("608052")));
    assert_eq!(
        (some.at("/errors/0/category"), some.at("/errors/0/context/ids")),
        (&json!("OBJECT_NOT_FOUND"), &json!(["c@e.com"]))
    );
    let forget = "/crm/objects/2026-03/contacts/gdpr-delete";
    for (body, status) in [
        (json!({"objectId": "A@e.com", "idProperty": "email"}), 204),
        (json!({"objectId": "nobody@e.com", "idProperty": "email"}), 204),
        (json!({"objectId": "608051"}), 404),
        (json!({"objectId": "x", "idProperty": "email"}), 400),
        (json!({"objectId": "a@e.com", "idProperty": "phone"}), 400),
        (json!({}), 400),
    ] {
        assert_eq!(world.hubspot(forget, &body).await.status, status, "{body}");
    }
    assert_eq!(read(&["a@e.com"]).await.at("/results"), &json!([]));
    // Neither address may be used again.
    let again =
        world.hubspot(UPSERT, &json!({"inputs": [contact("a@e.com", "1"), contact("nobody@e.com", "2")]})).await;
    assert_eq!((again.status, again.at("/numErrors")), (207, &json!(2)));
    let effects: Vec<_> = world.sandbox.effects("hubspot").into_iter().map(|e| (e.event, e.person)).collect();
    assert_eq!(effects, [("forgotten".to_owned(), "a@e.com".to_owned())]);
}

#[tokio::test]
async fn hubspot_takes_events_of_contacts_that_exist_once() {
    let world = World::free();
    assert_eq!(world.hubspot(SEND, &occurrence(0)).await.status, 204);
    assert_eq!(world.counts("hubspot").effects, 0, "nobody is enrolled before the contact exists");
    world.hubspot(UPSERT, &json!({"inputs": [contact("ines@example.com", "1")]})).await;
    let by_id = |id: &str| with(with(occurrence(2), "/email", Value::Null), "/objectId", json!(id));
    for (body, status, effects) in [
        (occurrence(1), 204, 1),
        (occurrence(1), 204, 1),
        (with(occurrence(1), "/eventName", json!("pe1234567_other")), 204, 2),
        (by_id("608051"), 204, 3),
        (by_id("608052"), 400, 3),
        (with(occurrence(3), "/email", Value::Null), 400, 3),
        (with(occurrence(3), "/eventName", json!("pe7654321_cart_left")), 404, 3),
        (with(occurrence(3), "/eventName", Value::Null), 400, 3),
        (with(occurrence(3), "/uuid", json!("act-1")), 400, 3),
        (with(occurrence(3), "/occurredAt", json!("today")), 400, 3),
        (with(occurrence(3), "/properties", Value::Null), 400, 3),
        (with(occurrence(3), "/properties/list", json!(["a"])), 400, 3),
        (with(occurrence(3), "/properties/name", json!("x".repeat(257))), 400, 3),
        (with(occurrence(3), "/properties/cart_url", json!("x".repeat(1_025))), 400, 3),
        (with(occurrence(3), "/properties/cart_url", json!("x".repeat(1_024))), 204, 4),
        (with(occurrence(4), "/properties/total", json!(7.5)), 204, 5),
        // From before its contact: taken, and starts nothing.
        (with(occurrence(5), "/occurredAt", json!("2026-11-23T15:00:00Z")), 204, 5),
        (with(occurrence(6), "/occurredAt", Value::Null), 204, 6),
    ] {
        assert_eq!(world.hubspot(SEND, &body).await.status, status, "{body}");
        assert_eq!(world.counts("hubspot").effects, effects, "{body}");
    }
    let effects = world.sandbox.effects("hubspot");
    assert!(effects.iter().all(|e| e.person == "ines@example.com"));
}

#[tokio::test]
async fn hubspot_sinks_a_whole_batch_of_events_for_one() {
    let world = World::free();
    world.hubspot(UPSERT, &json!({"inputs": [contact("ines@example.com", "1")]})).await;
    let bad = with(occurrence(2), "/properties/x", json!({}));
    for path in ["/events/2026-03/send/batch", "/events/v3/send/batch", "/events/custom/2026-09/send/batch"] {
        let body = json!({"inputs": [occurrence(1), bad, occurrence(3)]});
        assert_eq!(world.hubspot(path, &body).await.status, 400);
    }
    assert_eq!(world.counts("hubspot").effects, 0);
    let batch = |n: usize| json!({"inputs": vec![occurrence(1); n]});
    assert_eq!(world.hubspot("/events/2026-03/send/batch", &batch(501)).await.status, 400);
    assert_eq!(world.hubspot("/events/2026-03/send/batch", &batch(500)).await.status, 204);
    let counts = world.counts("hubspot");
    assert_eq!((counts.effects, counts.duplicates), (1, 499));
}

#[tokio::test]
async fn hubspot_keeps_a_rolling_window() {
    let world = World::limited();
    let body = json!({"inputs": [contact("a@e.com", "1")]});
    for i in 0..100 {
        world.turn(i * 50);
        let reply = world.hubspot(UPSERT, &body).await;
        assert_eq!((reply.status, reply.header("x-hubspot-ratelimit-remaining")), (200, (99 - i).to_string().as_str()));
    }
    let reply = world.hubspot(UPSERT, &body).await;
    assert_eq!((reply.status, reply.at("/policyName")), (429, &json!("TEN_SECONDLY_ROLLING")));
    assert_eq!(world.hubspot(SEND, &occurrence(1)).await.status, 204, "events have a window of their own");
    world.turn(10_000);
    assert_eq!(world.hubspot(UPSERT, &body).await.status, 200);
    assert_eq!(world.hubspot(UPSERT, &body).await.status, 429);
}
