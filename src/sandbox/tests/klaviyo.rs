//! Klaviyo: what it refuses and where it points, repeats, jobs, windows, profiles.

use serde_json::{Value, json};

use super::{World, with};

pub fn event(id: &str) -> Value {
    json!({"type": "event", "attributes": {
        "unique_id": id, "time": "2026-11-23T15:59:00+00:00", "value": 74.5, "value_currency": "EUR",
        "properties": {"Items": [{"SKU": "WT-1"}]},
        "metric": {"data": {"type": "metric", "attributes": {"name": "Cart Left"}}},
    }})
}

fn profile() -> Value {
    json!({"data": {"type": "profile", "attributes": {"email": "ines@example.com", "phone_number": "+351912345678"}}})
}

pub fn single(id: &str) -> Value {
    with(json!({"data": event(id)}), "/data/attributes/profile", profile())
}

pub fn bulk(events: Vec<Value>) -> Value {
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
    assert_eq!(world.send("GET", "/klaviyo/api/profile-import", &[key, revision], String::new()).await.status, 405);
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
