//! Brevo's and Braze's events, and the receiver that takes anything.

use serde_json::{Value, json};

use super::World;

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn brevo_takes_an_event_of_a_contact() {
    let world = World::free();
    let good = json!({"event_name": "Cart_Left", "event_date": "2026-11-23T10:30:00Z",
        "identifiers": {"email_id": "a@e.com"}, "event_properties": {"total": "9.00"}});
    let headers = [("api-key", "sandbox"), JSON];
    let send = |body: Value| world.send("POST", "/brevo/v3/events", &headers, body.to_string());
    assert_eq!(send(good.clone()).await.status, 204);
    assert_eq!(world.sandbox.effects("brevo")[0].person, "a@e.com");
    for (pointer, value) in [
        ("/event_name", json!("Cart Left")),
        ("/identifiers", json!({})),
        ("/identifiers/email_id", json!("nobody")),
        ("/event_date", json!("yesterday")),
    ] {
        let reply = send(super::with(good.clone(), pointer, value)).await;
        assert_eq!((reply.status, reply.at("/code")), (400, &json!("invalid_parameter")), "{pointer}");
    }
    let reply = world.send("POST", "/brevo/v3/events", &[("api-key", "x"), JSON], good.to_string()).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn brevo_takes_ten_a_second() {
    let world = World::limited();
    let body = json!({"event_name": "A", "identifiers": {"ext_id": "u1"}}).to_string();
    let mut statuses = Vec::new();
    for _ in 0..11 {
        let reply = world.send("POST", "/brevo/v3/events", &[("api-key", "sandbox"), JSON], body.clone()).await;
        statuses.push((reply.status, reply.header("x-sib-ratelimit-reset").to_owned()));
    }
    assert_eq!((statuses[9].0, statuses[10].clone()), (204, (429, "1".to_owned())));
}

#[tokio::test]
async fn braze_names_the_events_that_it_does_not_take() {
    let world = World::free();
    let event = |user: &str| json!({"external_id": user, "name": "A", "time": "2026-11-23T10:30:00Z"});
    let headers = [("authorization", "Bearer sandbox"), JSON];
    let send = |events: Vec<Value>| {
        world.send("POST", "/braze/users/track", &headers, json!({ "events": events }).to_string())
    };
    let reply = send(vec![event("u1"), json!({"name": "A", "time": "2026-11-23T10:30:00Z"}), event("u2")]).await;
    assert_eq!((reply.status, reply.at("/events_processed")), (201, &json!(2)));
    assert_eq!((reply.at("/errors/0/index"), reply.at("/errors/1")), (&json!(1), &Value::Null));
    assert_eq!(send(vec![event("u"); 76]).await.status, 400);
    assert_eq!(send(Vec::new()).await.status, 400);
}

#[tokio::test]
async fn a_recorder_keeps_what_came_as_it_came() {
    let world = World::free();
    for _ in 0..2 {
        let headers = [("webhook-id", "i1"), JSON];
        assert_eq!(world.send("POST", "/webhook/in", &headers, "{ \"type\" : \"A\" }".into()).await.status, 204);
    }
    let effects = world.sandbox.effects("webhook");
    assert_eq!(effects.len(), 1, "the second is a repeat");
    assert_eq!((effects[0].event.as_str(), &effects[0].body["text"]), ("A", &json!("{ \"type\" : \"A\" }")));
    assert_eq!(world.counts("webhook").duplicates, 1);
}
