//! Good and bad requests at each vendor, with the answers that they earn.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

use super::{Counts, Options, Sandbox};
use crate::clock::VirtualClock;
use crate::model::Timestamp;

/// 2026-11-23T16:00:00Z, the beginning of a minute.
const START: i64 = 1_795_449_600_000;

struct World {
    clock: VirtualClock,
    sandbox: Sandbox,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    /// None when the connection was cut.
    body: Option<Value>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }
    fn at(&self, pointer: &str) -> &Value {
        self.body.as_ref().and_then(|b| b.pointer(pointer)).unwrap_or(&Value::Null)
    }
}

impl World {
    fn new(options: Options) -> Self {
        let clock = VirtualClock::new(Timestamp::from_millis(START));
        Self { sandbox: Sandbox::new(Arc::new(clock.clone()), options), clock }
    }
    fn limited() -> Self {
        Self::new(Options::default())
    }
    fn free() -> Self {
        Self::new(Options { limits: false, ..Options::default() })
    }
    fn turn(&self, ms: i64) {
        self.clock.set(Timestamp::from_millis(START + ms));
    }
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.sandbox.router().oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.ok().map(|b| serde_json::from_slice(&b).unwrap_or(Value::Null));
        Reply { status: head.status.as_u16(), headers: head.headers, body }
    }
    async fn klaviyo(&self, path: &str, body: &Value) -> Reply {
        let headers = [
            ("authorization", "Klaviyo-API-Key sandbox"),
            ("revision", "2026-07-15"),
            ("content-type", "application/vnd.api+json"),
        ];
        self.send("POST", &format!("/klaviyo/api/{path}"), &headers, body.to_string()).await
    }
    async fn hubspot(&self, path: &str, body: &Value) -> Reply {
        let headers = [("authorization", "Bearer sandbox"), ("content-type", "application/json")];
        self.send("POST", &format!("/hubspot{path}"), &headers, body.to_string()).await
    }
    async fn token(&self) -> String {
        let path =
            "/marketo/identity/oauth/token?grant_type=client_credentials&client_id=sandbox&client_secret=sandbox";
        let reply = self.send("GET", path, &[], String::new()).await;
        reply.at("/access_token").as_str().expect("a token").to_owned()
    }
    async fn marketo(&self, token: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (method, body) = if body.is_null() { ("GET", String::new()) } else { ("POST", body.to_string()) };
        self.send(method, &format!("/marketo/rest/v1/{path}"), &headers, body).await
    }
    async fn fault(&self, fault: Value) {
        let reply = self.send("POST", "/_sandbox/faults", &[], fault.to_string()).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
    }
    fn counts(&self, vendor: &str) -> Counts {
        self.sandbox.counts(vendor)
    }
}

/// The same value with one place changed; null takes it away.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match value.pointer_mut(parent).expect("a place") {
        Value::Object(map) if new.is_null() => drop(map.remove(name)),
        Value::Object(map) => drop(map.insert(name.to_owned(), new)),
        _ => panic!("{parent} is not an object"),
    }
    value
}

// === Klaviyo ===

fn event(id: &str) -> Value {
    json!({"type": "event", "attributes": {
        "unique_id": id, "time": "2026-11-23T15:59:00+00:00", "value": 74.5, "value_currency": "EUR",
        "properties": {"Items": [{"SKU": "WT-1"}]},
        "metric": {"data": {"type": "metric", "attributes": {"name": "Cart Left"}}},
    }})
}

fn profile() -> Value {
    json!({"data": {"type": "profile", "attributes": {"email": "ines@example.com", "phone_number": "+351912345678"}}})
}

fn single(id: &str) -> Value {
    with(json!({"data": event(id)}), "/data/attributes/profile", profile())
}

fn bulk(events: Vec<Value>) -> Value {
    let group = json!({"type": "event-bulk-create", "attributes": {"profile": profile(), "events": {"data": events}}});
    json!({"data": {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": [group]}}}})
}

#[tokio::test]
async fn klaviyo_refuses_what_is_wrong_and_points_at_it() {
    let world = World::free();
    let deep = (0..10).fold(json!(1), |inner, _| json!([inner]));
    let many: Value = (0..401).map(|i| (format!("p{i}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    let profile = "/data/attributes/profile/data/attributes";
    for (place, new, pointer) in [
        ("/data/type", json!("events"), "/data/type"),
        ("/data/attributes/properties", Value::Null, "/data/attributes/properties"),
        ("/data/attributes/properties", many, "/data/attributes/properties"),
        ("/data/attributes/properties/deep", deep, "/data/attributes/properties/deep/0/0/0/0/0/0/0/0/0"),
        ("/data/attributes/properties/long", json!("x".repeat(100_001)), "/data/attributes/properties/long"),
        ("/data/attributes/properties/list", json!(vec![0; 4_001]), "/data/attributes/properties/list"),
        ("/data/attributes/time", json!("yesterday"), "/data/attributes/time"),
        ("/data/attributes/time", json!("2026-11-23T15:59:00"), "/data/attributes/time"),
        ("/data/attributes/time", json!("2028-01-01T00:00:00Z"), "/data/attributes/time"),
        ("/data/attributes/time", json!("1989-01-01T00:00:00Z"), "/data/attributes/time"),
        ("/data/attributes/value", json!("74.5"), "/data/attributes/value"),
        ("/data/attributes/value_currency", json!("euro"), "/data/attributes/value_currency"),
        ("/data/attributes/unique_id", json!(7), "/data/attributes/unique_id"),
        ("/data/attributes/colour", json!("red"), "/data/attributes/colour"),
        ("/data/attributes/metric/data/type", Value::Null, "/data/attributes/metric/data/type"),
        (
            "/data/attributes/metric/data/attributes/name",
            json!("m".repeat(128)),
            "/data/attributes/metric/data/attributes/name",
        ),
        ("/data/attributes/profile", Value::Null, "/data/attributes/profile"),
        ("/data/attributes/profile/data/attributes", json!({}), profile),
        ("/data/attributes/profile/data/attributes/email", json!("ines"), &format!("{profile}/email")),
        ("/data/attributes/profile/data/attributes/email", json!(""), &format!("{profile}/email")),
        ("/data/attributes/profile/data/attributes/phone_number", json!("0912"), &format!("{profile}/phone_number")),
        ("/data/attributes/profile/data/attributes/nickname", json!("I"), &format!("{profile}/nickname")),
    ] {
        let reply = world.klaviyo("events", &with(single("a"), place, new)).await;
        assert_eq!(reply.status, 400, "{place}");
        assert_eq!(reply.at("/errors/0/source/pointer"), pointer);
        assert_eq!(reply.at("/errors/1"), &Value::Null, "{place}");
    }
    let good = [
        ("/data/attributes/value", Value::Null),
        ("/data/attributes/time", Value::Null),
        ("/data/attributes/unique_id", Value::Null),
        ("/data/attributes/backfill", json!(true)),
        ("/data/attributes/properties", json!({})),
        ("/data/attributes/profile/data/attributes", json!({"external_id": "c1", "first_name": "Ines"})),
        ("/data/attributes/metric/data/attributes/name", json!("é".repeat(127))),
    ];
    for (place, new) in good {
        let reply = world.klaviyo("events", &with(single("a"), place, new)).await;
        assert_eq!((reply.status, reply.body), (202, Some(Value::Null)), "{place}");
    }
}

#[tokio::test]
async fn klaviyo_asks_for_key_revision_and_type() {
    let world = World::free();
    let body = single("a").to_string();
    let key = ("authorization", "Klaviyo-API-Key sandbox");
    let (json, revision) = (("content-type", "application/json"), ("revision", "2026-07-15"));
    for (headers, status) in [
        (vec![revision, json], 401),
        (vec![("authorization", "Klaviyo-API-Key wrong"), revision, json], 401),
        (vec![("authorization", "Bearer sandbox"), revision, json], 401),
        (vec![key, json], 400),
        (vec![key, ("revision", "latest"), json], 400),
        (vec![key, revision, ("content-type", "text/plain")], 415),
        (vec![key, revision, json], 202),
    ] {
        let reply = world.send("POST", "/klaviyo/api/events/", &headers, body.clone()).await;
        assert_eq!(reply.status, status, "{headers:?}");
    }
    let old = [key, ("revision", "2025-01-15"), json];
    let body = with(single("b"), "/data/attributes/backfill", json!(true)).to_string();
    assert_eq!(world.send("POST", "/klaviyo/api/events", &old, body).await.status, 400);
    assert_eq!(world.send("GET", "/klaviyo/api/accounts", &[key, revision], String::new()).await.status, 200);
    assert_eq!(world.send("GET", "/klaviyo/api/events", &[key, revision], String::new()).await.status, 405);
    assert_eq!(world.send("GET", "/klaviyo/api/flows", &[key, revision], String::new()).await.status, 404);
}

#[tokio::test]
async fn klaviyo_drops_repeats_in_silence() {
    let world = World::free();
    let untimed = |id: Value| with(single(""), "/data/attributes/unique_id", id);
    let other_person =
        with(single("a"), "/data/attributes/profile/data/attributes", json!({"email": "rui@example.com"}));
    let same_person =
        with(single("a"), "/data/attributes/profile/data/attributes", json!({"email": "INES@example.com"}));
    for (body, effects) in [
        (single("a"), 1),
        (single("a"), 1),
        (same_person, 1),
        (other_person, 2),
        (single("b"), 3),
        (untimed(Value::Null), 4),
        (untimed(Value::Null), 4),
        (bulk(vec![event("a"), event("c")]), 5),
    ] {
        let path = if body.pointer("/data/attributes/metric").is_some() { "events" } else { "event-bulk-create-jobs" };
        assert_eq!(world.klaviyo(path, &body).await.status, 202);
        assert_eq!(world.counts("klaviyo").effects, effects, "{body}");
    }
    assert_eq!(world.counts("klaviyo").duplicates, 4);
    let first = world.sandbox.effects("klaviyo").remove(0);
    let of_effect = (first.id.as_str(), first.event.as_str(), first.person.as_str(), first.at.as_str());
    assert_eq!(of_effect, ("a", "Cart Left", "ines@example.com", "2026-11-23T15:59:00+00:00"));
    assert_eq!(first.body, single("a")["data"]);
}

#[tokio::test]
async fn klaviyo_takes_a_job_whole_or_not_at_all() {
    let world = World::free();
    let place = "/data/attributes/events-bulk-create/data/0/attributes/events/data";
    let bad = with(event("b"), "/attributes/value", json!("x"));
    let reply = world.klaviyo("event-bulk-create-jobs", &bulk(vec![event("a"), bad.clone(), event("c"), bad])).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.at("/errors/0/source/pointer"), &format!("{place}/1/attributes/value"));
    assert_eq!(reply.at("/errors/1/source/pointer"), &format!("{place}/3/attributes/value"));
    let reply = world.klaviyo("event-bulk-create-jobs", &bulk(vec![event("a"), event("a")])).await;
    assert_eq!(reply.at("/errors/0/source/pointer"), &format!("{place}/1/attributes/unique_id"));
    let numbered = |n: usize| bulk((0..n).map(|i| event(&i.to_string())).collect());
    assert_eq!(world.klaviyo("event-bulk-create-jobs", &numbered(1_001)).await.status, 400);
    assert_eq!(world.counts("klaviyo").effects, 0);
    assert_eq!(world.klaviyo("event-bulk-create-jobs", &numbered(1_000)).await.status, 202);
    assert_eq!(world.counts("klaviyo").effects, 1_000);
    assert_eq!(world.klaviyo("event-bulk-create-jobs", &bulk(vec![])).await.status, 400);
    let heavy = with(event("h"), "/attributes/properties/t", json!(vec!["x".repeat(90_000); 60]));
    assert_eq!(world.klaviyo("event-bulk-create-jobs", &bulk(vec![heavy])).await.status, 413);
}

#[tokio::test]
async fn klaviyo_keeps_burst_and_steady_windows() {
    let world = World::limited();
    for second in 0..15 {
        world.turn(second * 1_000);
        for i in 0..10 {
            let reply = world.klaviyo("event-bulk-create-jobs", &bulk(vec![event(&format!("{second}/{i}"))])).await;
            assert_eq!(reply.status, 202);
            assert_eq!(reply.header("ratelimit-limit"), "150");
            assert_eq!(reply.header("ratelimit-remaining"), (149 - second * 10 - i).to_string());
        }
        let reply = world.klaviyo("event-bulk-create-jobs", &bulk(vec![event("x")])).await;
        assert_eq!(reply.status, 429);
        assert_eq!(reply.header("ratelimit-limit"), "");
        let (wait, words) = if second < 14 { ("1", "1 second.") } else { ("46", "46 seconds.") };
        assert_eq!(reply.header("retry-after"), wait);
        assert_eq!(reply.at("/errors/0/detail"), &format!("Request was throttled. Expected available in {words}"));
    }
    assert_eq!(world.klaviyo("events", &single("own window")).await.status, 202);
    world.turn(60_000);
    assert_eq!(world.klaviyo("event-bulk-create-jobs", &bulk(vec![event("x")])).await.status, 202);
    assert_eq!(world.counts("klaviyo").throttled, 15);
}

#[tokio::test]
async fn klaviyo_imports_profiles() {
    let world = World::free();
    let body = |attributes: Value| json!({"data": {"type": "profile", "attributes": attributes}});
    for (attributes, status) in [
        (json!({"email": "ines@example.com", "properties": {"tier": "gold"}}), 201),
        (json!({"email": "ines@example.com", "external_id": "c1"}), 200),
        (json!({"external_id": "c1"}), 200),
        (json!({"first_name": "Ines"}), 400),
        (json!({"anonymous_id": "a", "email": "ines@example.com"}), 400),
        (json!({"email": "i@e.com", "properties": {"t": vec!["x".repeat(50_000); 3]}}), 413),
    ] {
        assert_eq!(world.klaviyo("profile-import", &body(attributes.clone())).await.status, status, "{attributes}");
    }
}

// === HubSpot ===

const UPSERT: &str = "/crm/objects/2026-03/contacts/batch/upsert";
const SEND: &str = "/events/2026-03/send";

fn contact(email: &str, trace: &str) -> Value {
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

// === Marketo ===

fn activity(lead: u64) -> Value {
    json!({
        "leadId": lead, "activityDate": "2026-11-23T15:59:00+00:00", "activityTypeId": 100_001,
        "primaryAttributeValue": "cart-left",
        "attributes": [{"apiName": "activationId", "value": "act-1"}, {"apiName": "cartValue", "value": 74.5}],
    })
}

#[tokio::test]
async fn marketo_tokens_live_an_hour() {
    let world = World::limited();
    let token = world.token().await;
    world.turn(600_000);
    let path = "/marketo/identity/oauth/token?grant_type=client_credentials&client_id=sandbox&client_secret=";
    let again = world.send("POST", &format!("{path}sandbox"), &[], String::new()).await;
    assert_eq!((again.at("/access_token"), again.at("/expires_in")), (&json!(token), &json!(2_999)));
    assert_eq!(world.send("GET", &format!("{path}wrong"), &[], String::new()).await.status, 401);
    let usage = "stats/usage.json";
    assert_eq!(world.marketo(&token, usage, &Value::Null).await.at("/success"), &json!(true));
    assert_eq!(world.marketo("nonsense", usage, &Value::Null).await.at("/errors/0/code"), "601");
    world.turn(3_600_000);
    let reply = world.marketo(&token, usage, &Value::Null).await;
    assert_eq!((reply.status, reply.at("/errors/0/code")), (200, &json!("602")));
    let new = world.token().await;
    assert_ne!(new, token);
    assert_eq!(world.marketo(&new, usage, &Value::Null).await.at("/result/0/total"), &json!(2));
}

#[tokio::test]
async fn marketo_syncs_leads_record_by_record() {
    let world = World::free();
    let token = world.token().await;
    let input = json!({"action": "createOrUpdate", "lookupField": "email", "input": [
        {"email": "a@e.com", "firstName": "A"}, {"firstName": "B"}, {"email": "ç@e.com"}, {"email": "nobody"},
        {"email": "A@e.com"}, {"email": "c@e.com", "first name": "C"}, {"email": "c@e.com", "x": {}},
    ]});
    let reply = world.marketo(&token, "leads.json", &input).await;
    assert_eq!(reply.at("/success"), &json!(true));
    let results: Vec<&str> = (0..7)
        .map(|i| {
            let code = reply.at(&format!("/result/{i}/reasons/0/code")).as_str();
            code.unwrap_or_else(|| reply.at(&format!("/result/{i}/status")).as_str().unwrap_or(""))
        })
        .collect();
    assert_eq!(results, ["created", "1002", "1003", "1003", "updated", "1006", "1003"]);
    assert_eq!((reply.at("/result/0/id"), reply.at("/result/4/id")), (&json!(1_001), &json!(1_001)));
    let found = world.marketo(&token, "leads.json?filterType=email&filterValues=A@e.com,b@e.com", &Value::Null).await;
    assert_eq!((found.at("/result/0/id"), found.at("/result/1")), (&json!(1_001), &Value::Null));
    let double = json!({"action": "createDuplicate", "input": [{"email": "a@e.com"}]});
    assert_eq!(world.marketo(&token, "leads.json", &double).await.at("/result/0/status"), "created");
    let reply = world.marketo(&token, "leads.json", &input).await;
    assert_eq!(reply.at("/result/0/reasons/0/code"), "1007");
    let found = world.marketo(&token, "leads.json?filterType=email&filterValues=a@e.com", &Value::Null).await;
    assert_eq!(found.at("/result").as_array().map(Vec::len), Some(2));
    let many = json!({"input": (0..301).map(|i| json!({"email": format!("{i}@e.com")})).collect::<Vec<_>>()});
    let reply = world.marketo(&token, "leads.json", &many).await;
    assert_eq!((reply.status, reply.at("/success"), reply.at("/errors/0/code")), (200, &json!(false), &json!("1003")));
}

#[tokio::test]
async fn marketo_adds_an_activity_each_time() {
    let world = World::free();
    let token = world.token().await;
    world.marketo(&token, "leads.json", &json!({"input": [{"email": "a@e.com"}, {"email": "b@e.com"}]})).await;
    let many: Vec<Value> = (0..21).map(|i| json!({"apiName": format!("a{i}"), "value": 1})).collect();
    for (record, code) in [
        (activity(1_001), ""),
        (activity(1_001), ""),
        (activity(9), "1004"),
        (with(activity(1_001), "/activityTypeId", json!(6)), "1003"),
        (with(activity(1_001), "/primaryAttributeValue", Value::Null), "1002"),
        (with(activity(1_001), "/activityDate", Value::Null), "1002"),
        (with(activity(1_001), "/activityDate", json!("today")), "1003"),
        (with(activity(1_001), "/leadId", json!("1001")), "1003"),
        (with(activity(1_001), "/attributes", json!([{"apiName": "x", "value": {}}])), "1003"),
        (with(activity(1_001), "/attributes", json!([{"apiName": "x", "value": "x".repeat(70_000)}])), "1049"),
        (with(activity(1_001), "/attributes", json!(many)), "1028"),
        (activity(1_002), ""),
    ] {
        let reply = world.marketo(&token, "activities/external.json", &json!({"input": [record]})).await;
        assert_eq!(reply.at("/success"), &json!(true));
        let status = if code.is_empty() { "added" } else { "skipped" };
        assert_eq!(reply.at("/result/0/status"), status, "{record}");
        assert_eq!(reply.at("/result/0/errors/0/code").as_str().unwrap_or(""), code, "{record}");
    }
    let counts = world.counts("marketo");
    assert_eq!((counts.effects, counts.duplicates, counts.refused), (3, 0, 9));
    let effect = world.sandbox.effects("marketo").remove(2);
    assert_eq!((effect.id.as_str(), effect.event.as_str(), effect.person.as_str()), ("act-1", "cart-left", "b@e.com"));
}

#[tokio::test]
async fn marketo_gives_activities_back_in_pages() {
    let world = World::free();
    let token = world.token().await;
    world.marketo(&token, "leads.json", &json!({"input": [{"email": "a@e.com"}, {"email": "b@e.com"}]})).await;
    for lead in [1_001, 1_002] {
        let input = json!({"input": vec![activity(lead); 200]});
        world.marketo(&token, "activities/external.json", &input).await;
    }
    let read = async |since: &str, query: &str| {
        let path = format!("activities/pagingtoken.json?sinceDatetime={since}");
        let page = world.marketo(&token, &path, &Value::Null).await;
        let mut place = page.at("/nextPageToken").as_str().expect("a token").to_owned();
        let mut sizes = Vec::new();
        loop {
            let path = format!("activities.json?nextPageToken={place}&activityTypeIds=100001{query}");
            let page = world.marketo(&token, &path, &Value::Null).await;
            assert_eq!(page.at("/success"), &json!(true), "{:?}", page.body);
            sizes.push(page.at("/result").as_array().map_or(0, Vec::len));
            page.at("/nextPageToken").as_str().expect("a token").clone_into(&mut place);
            if page.at("/moreResult") == &json!(false) {
                return sizes;
            }
        }
    };
    assert_eq!(read("2026-11-23T00:00:00Z", "").await, [300, 100]);
    assert_eq!(read("2026-11-23T00:00:00%2B00:00", "&leadIds=1002,7").await, [200]);
    assert_eq!(read("2026-11-23T00:00:00Z", "&leadIds=1002&batchSize=150").await, [150, 50]);
    assert_eq!(read("2026-11-23T15:59:01Z", "").await, [0], "activities before the instant are not given");
    let leads = (0..31).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let path = format!("activities.json?nextPageToken=00&activityTypeIds=100001&leadIds={leads}");
    assert_eq!(world.marketo(&token, &path, &Value::Null).await.at("/errors/0/code"), "1003");
}

#[tokio::test]
async fn marketo_refuses_calls_by_code() {
    let world = World::limited();
    let token = world.token().await;
    let bearer = format!("Bearer {token}");
    let auth = ("authorization", bearer.as_str());
    let json = ("content-type", "application/json");
    for (method, path, headers, body, code) in [
        ("POST", "leads.json", vec![json], "{}", "600"),
        ("POST", "leads.json", vec![auth], "{}", "612"),
        ("POST", "leads.json", vec![auth, json], "{", "609"),
        ("POST", "leads.json", vec![auth, json], "{}", "1002"),
        ("DELETE", "leads.json", vec![auth, json], "", "605"),
        ("GET", "activities/external.json", vec![auth], "", "605"),
        ("GET", "nothing.json", vec![auth], "", "610"),
        ("GET", "leads.json?filterType=email", vec![auth], "", "1003"),
        ("GET", "activities/pagingtoken.json?sinceDatetime=now", vec![auth], "", "704"),
    ] {
        let reply = world.send(method, &format!("/marketo/rest/v1/{path}"), &headers, body.to_owned()).await;
        assert_eq!((reply.status, reply.at("/errors/0/code")), (200, &json!(code)), "{method} {path}");
    }
    let big = world.marketo(&token, "leads.json", &json!({"input": "x".repeat(1_000_001)})).await;
    assert_eq!(big.status, 413);
    assert_eq!(world.marketo(&token, &format!("leads.json?x={}", "y".repeat(8_200)), &Value::Null).await.status, 414);
}

#[tokio::test]
async fn marketo_keeps_its_three_quotas() {
    let world = World::limited();
    let token = world.token().await;
    let code = async |path| world.marketo(&token, path, &Value::Null).await.at("/errors/0/code").clone();
    for _ in 0..100 {
        assert_eq!(code("stats/usage.json").await, Value::Null);
    }
    assert_eq!(code("stats/usage.json").await, "606");
    world.turn(20_000);
    assert_eq!(code("stats/usage.json").await, Value::Null);
    world.turn(60_000);
    world.fault(json!({"vendor": "marketo", "kind": "slow", "delay_ms": 5_000, "times": 10})).await;
    let router = world.sandbox.router();
    let slow = || {
        let request =
            Request::get("/marketo/rest/v1/stats/usage.json").header("authorization", format!("Bearer {token}"));
        tokio::spawn(router.clone().oneshot(request.body(Body::empty()).expect("a request")))
    };
    let waiting: Vec<_> = (0..10).map(|_| slow()).collect();
    while world.counts("marketo").requests < 113 {
        tokio::task::yield_now().await;
    }
    assert_eq!(code("stats/usage.json").await, "615");
    world.turn(65_000);
    for one in waiting {
        one.await.expect("a task").expect("an answer");
    }
    assert_eq!(code("stats/usage.json").await, Value::Null);
    assert_eq!(world.counts("marketo").throttled, 2);
}

// === faults and looking ===

#[tokio::test]
async fn faults_come_in_order_and_run_out() {
    let world = World::free();
    world.fault(json!({"vendor": "klaviyo", "path": "bulk", "kind": "status", "status": 500})).await;
    world.fault(json!({"vendor": "klaviyo", "kind": "status", "status": 503, "times": 2})).await;
    world.fault(json!({"vendor": "klaviyo", "kind": "status", "status": 429, "retry_after": 7})).await;
    world.fault(json!({"vendor": "klaviyo", "kind": "bad_record"})).await;
    for (status, retry_after) in [(503, ""), (503, ""), (429, "7"), (400, ""), (202, "")] {
        let reply = world.klaviyo("events", &single("a")).await;
        assert_eq!((reply.status, reply.header("retry-after")), (status, retry_after));
    }
    assert_eq!(world.klaviyo("event-bulk-create-jobs", &bulk(vec![event("b")])).await.status, 500);
    assert_eq!(world.klaviyo("event-bulk-create-jobs", &bulk(vec![event("b")])).await.status, 202);
    world.fault(json!({"vendor": "marketo", "path": "leads", "kind": "code", "code": "611"})).await;
    world.fault(json!({"vendor": "marketo", "kind": "bad_record"})).await;
    let token = world.token().await;
    let input = json!({"input": [{"email": "a@e.com"}, {"email": "b@e.com"}]});
    assert_eq!(world.marketo(&token, "leads.json", &input).await.at("/errors/0/code"), "611");
    let reply = world.marketo(&token, "leads.json", &input).await;
    assert_eq!((reply.at("/result/0/status"), reply.at("/result/1/status")), (&json!("skipped"), &json!("created")));
    world.fault(json!({"vendor": "hubspot", "kind": "bad_record"})).await;
    let reply = world.hubspot(UPSERT, &json!({"inputs": [contact("a@e.com", "1"), contact("b@e.com", "2")]})).await;
    assert_eq!((reply.status, reply.at("/errors/0/context/objectWriteTraceId/0")), (207, &json!("1")));
    world.fault(json!({"vendor": "hubspot", "kind": "status"})).await;
    assert_eq!(world.send("DELETE", "/_sandbox/faults", &[], String::new()).await.status, 204);
    assert_eq!(world.hubspot(UPSERT, &json!({"inputs": [contact("a@e.com", "1")]})).await.status, 200);
    for wrong in [json!({"vendor": "x", "kind": "close"}), json!({"vendor": "klaviyo", "kind": "flood"}), json!(3)] {
        assert_eq!(world.send("POST", "/_sandbox/faults", &[], wrong.to_string()).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn cut_calls_have_no_answer() {
    let world = World::free();
    for (kind, effects) in [("close", 0), ("close_after_accept", 1)] {
        world.fault(json!({"vendor": "klaviyo", "kind": kind})).await;
        assert_eq!(world.klaviyo("events", &single("a")).await.body, None);
        assert_eq!(world.counts("klaviyo").effects, effects);
    }
    world.fault(json!({"vendor": "klaviyo", "kind": "timeout"})).await;
    let body = single("b");
    let mut held = Box::pin(world.klaviyo("events", &body));
    assert!(futures_util::poll!(&mut held).is_pending());
    world.turn(59_999);
    assert!(futures_util::poll!(&mut held).is_pending());
    world.turn(60_000);
    assert_eq!(held.await.body, None);
    assert_eq!(world.counts("klaviyo").effects, 1);
}

#[tokio::test]
async fn a_client_sees_a_cut_as_a_broken_connection() {
    let world = World::free();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/klaviyo/api/events", listener.local_addr().expect("an address"));
    let router = world.sandbox.router();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let client = reqwest::Client::builder().build().expect("a client");
    let send = async || {
        let request = client.post(&url).header("revision", "2026-07-15").json(&single("a"));
        request.header("authorization", "Klaviyo-API-Key sandbox").send().await
    };
    for (kind, effects) in [("close", 0), ("close_after_accept", 1)] {
        world.fault(json!({"vendor": "klaviyo", "kind": kind})).await;
        let answer = send().await;
        assert!(answer.is_err(), "{kind}: {answer:?}");
        assert_eq!(world.counts("klaviyo").effects, effects);
    }
    assert_eq!(send().await.expect("an answer").status(), 202);
    server.abort();
}

#[tokio::test]
async fn what_was_received_can_be_asked_for() {
    let world = World::free();
    world.klaviyo("events", &single("a")).await;
    let reply = world.send("GET", "/_sandbox/received?vendor=klaviyo", &[], String::new()).await;
    assert_eq!(reply.at("/effects/0/id"), "a");
    let counts = json!({"requests": 1, "effects": 1, "duplicates": 0, "refused": 0, "throttled": 0});
    assert_eq!(reply.at("/counts"), &counts);
    assert_eq!(world.send("GET", "/_sandbox/received", &[], String::new()).await.status, 400);
    world.send("DELETE", "/_sandbox/received", &[], String::new()).await;
    assert_eq!(world.counts("klaviyo"), Counts::default());
}
