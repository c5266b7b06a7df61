//! Klaviyo read back: filters, cursors, what is included, windows of calls.

use serde_json::{Value, json};

use super::{Reply, World};
use crate::sandbox::made_up::engagement::klaviyo_metric;

impl World {
    async fn klaviyo_get(&self, path: &str) -> Reply {
        self.get(path, &[("authorization", "Klaviyo-API-Key sandbox"), ("revision", "2026-07-15")]).await
    }
}

#[tokio::test]
async fn klaviyo_gives_events_of_a_metric_in_pages() {
    let world = World::free();
    let ids = world.fill("klaviyo", "events", 250);
    let opened = json!({"metric": klaviyo_metric("Opened Email"), "profile": "01X", "event_properties": {}});
    world.sandbox.put("klaviyo", "events", opened).expect("an event");
    let metrics = world.klaviyo_get("/klaviyo/api/metrics?filter=equals(integration.name,%22Klaviyo%22)").await;
    let all = metrics.at("/data").as_array().expect("metrics");
    let clicked = all.iter().find(|m| m["attributes"]["name"] == "Clicked Email").expect("a metric")["id"].clone();
    let filter = format!(
        "and(equals(metric_id,{clicked}),greater-or-equal(datetime,2026-11-23T15:00:10Z),less-than(datetime,2026-11-23T17:00:00%2B00:00))"
    )
    .replace('"', "%22");
    let mut path = format!("/klaviyo/api/events?filter={filter}&sort=datetime&page[size]=100&include=profile,metric");
    let mut sizes = Vec::new();
    loop {
        let page = world.klaviyo_get(&path).await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        sizes.push(page.at("/data").as_array().map_or(0, Vec::len));
        assert!(page.at("/included/0/attributes/email").is_string());
        match page.at("/links/next") {
            Value::String(next) => path = next.strip_prefix("http://127.0.0.1").expect("the same host").to_owned(),
            _ => break,
        }
    }
    assert_eq!((sizes, world.sandbox.reads("klaviyo").len()), (vec![100, 100, 40], 4));
    assert_eq!(world.read("klaviyo")[all.len()..], ids[10..]);
    let newest = world.klaviyo_get("/klaviyo/api/events?page[size]=1&fields[event]=datetime").await;
    assert_eq!(newest.at("/data/0/attributes"), &json!({"datetime": "2026-11-23T16:00:00+00:00"}));
    let profiles = world.klaviyo_get("/klaviyo/api/profiles?filter=equals(email,%22person7@example.com%22)&additional-fields[profile]=subscriptions").await;
    assert_eq!(
        profiles.at("/data/0/attributes/subscriptions/email/marketing/consent"),
        "SUBSCRIBED",
        "{:?}",
        profiles.body
    );
}

#[tokio::test]
async fn klaviyo_refuses_reads_that_are_wrong() {
    let world = World::free();
    for query in [
        "filter=equals(colour,%22red%22)",
        "filter=and(equals(metric_id,%22x%22)",
        "filter=equals(datetime,2026-11-23T15:00:10Z)",
        "filter=less-than(datetime,soon)",
        "sort=updated",
        "page[size]=1001",
        "page[cursor]=x",
    ] {
        assert_eq!(world.klaviyo_get(&format!("/klaviyo/api/events?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(world.get("/klaviyo/api/events", &[("revision", "2026-07-15")]).await.status, 401);
}

#[tokio::test]
async fn klaviyo_counts_reads_by_endpoint() {
    let world = World::limited();
    for _ in 0..10 {
        assert_eq!(world.klaviyo_get("/klaviyo/api/metrics").await.status, 200);
    }
    let spent = world.klaviyo_get("/klaviyo/api/metrics").await;
    assert_eq!((spent.status, spent.header("retry-after")), (429, "1"));
    let events = world.klaviyo_get("/klaviyo/api/events").await;
    assert_eq!((events.status, events.header("ratelimit-remaining")), (200, "3499"));
    world.turn(1_000);
    assert_eq!(world.klaviyo_get("/klaviyo/api/metrics").await.status, 200);
}
