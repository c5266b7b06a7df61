//! HubSpot's CRM and e-mail events read: the cap, ties, rates, lists, associations, offsets.

use serde_json::{Value, json};

use super::{Reply, START, World};
use crate::model::{Span, Timestamp};

const AUTH: (&str, &str) = ("authorization", "Bearer sandbox");

impl World {
    async fn search(&self, kind: &str, body: Value) -> Reply {
        let headers = [AUTH, ("content-type", "application/json")];
        self.send("POST", &format!("/hubspot/crm/objects/2026-09/{kind}/search"), &headers, body.to_string()).await
    }
}

fn window(property: &str, from: i64, until: i64) -> Value {
    json!([{"filters": [
        {"propertyName": property, "operator": "GTE", "value": from.to_string()},
        {"propertyName": property, "operator": "LT", "value": until.to_string()},
    ]}])
}

#[tokio::test]
async fn hubspot_searches_a_window_page_by_page() {
    let world = World::free();
    let ids = world.fill("hubspot", "contacts", 450);
    let from = START - 3_600_000;
    let filter = window("lastmodifieddate", from + 10_000, from + 420_000);
    let mut body =
        json!({"filterGroups": filter, "sorts": ["lastmodifieddate"], "properties": ["email"], "limit": 200});
    loop {
        let page = world.search("contacts", body.clone()).await;
        assert_eq!((page.status, page.at("/total")), (200, &json!(410)), "{:?}", page.body);
        match page.at("/paging/next/after") {
            Value::String(after) => body["after"] = after.clone().into(),
            _ => break,
        }
    }
    assert_eq!(world.read("hubspot"), ids[10..420]);
    let newest = json!({"sorts": [{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}], "limit": 1});
    let newest = world.search("contacts", newest).await;
    assert_eq!(newest.at("/results/0/id"), &json!(ids[449]));
    assert_eq!(newest.at("/results/0/properties/firstname"), "Mara", "the usual properties");
    let one = json!({"filterGroups": [{"filters": [{"propertyName": "email", "operator": "EQ", "value": "person7@example.com"}]}]});
    assert_eq!(world.search("contacts", one).await.at("/total"), 1);
    world.fill("hubspot", "deals", 2);
    let deals = json!({"filterGroups": window("hs_lastmodifieddate", from, from + 1_000)});
    assert_eq!(world.search("deals", deals).await.at("/results/0/properties/dealname"), "Deal 1");
}

#[tokio::test]
async fn hubspot_ends_a_search_at_ten_thousand() {
    let world = World::free();
    // All of one millisecond, as after an update in bulk.
    let at = Timestamp::from_millis(START - 1_000);
    world.sandbox.fill("hubspot", "contacts", 10_300, at, Span::ZERO).expect("contacts");
    let page = |after: u64| json!({"sorts": ["hs_object_id"], "limit": 200, "after": after.to_string()});
    let last = world.search("contacts", page(9_800)).await;
    assert_eq!((last.status, last.at("/total"), last.at("/paging/next/after")), (200, &json!(10_300), &json!("10000")));
    let beyond = world.search("contacts", page(10_000)).await;
    assert_eq!((beyond.status, beyond.at("/category")), (400, &json!("VALIDATION_ERROR")));
    let rest =
        json!({"filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": "GT", "value": "10050"}]}]});
    assert_eq!(world.search("contacts", rest).await.at("/total"), 300);
    for wrong in [
        json!({"limit": 201}),
        json!({"after": "x"}),
        json!({"sorts": ["a", "b"]}),
        json!({"filterGroups": vec![json!({"filters": []}); 7]}),
        json!({"filterGroups": [{"filters": [{"propertyName": "email", "operator": "LIKE", "value": "x"}]}]}),
        json!({"filterGroups": [{"filters": [{"propertyName": "email", "operator": "EQ", "value": 7}]}]}),
    ] {
        assert_eq!(world.search("contacts", wrong.clone()).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn hubspot_allows_five_searches_a_second() {
    let world = World::limited();
    for _ in 0..5 {
        let reply = world.search("contacts", json!({})).await;
        assert_eq!((reply.status, reply.header("x-hubspot-ratelimit-max")), (200, ""));
    }
    let spent = world.search("contacts", json!({})).await;
    assert_eq!((spent.status, spent.at("/policyName")), (429, &json!("SECONDLY")));
    world.turn(1_000);
    assert_eq!(world.search("contacts", json!({})).await.status, 200);
    assert_eq!(world.counts("hubspot").throttled, 1);
    let list = world.get("/hubspot/crm/objects/2026-09/contacts", &[AUTH]).await;
    assert_eq!((list.status, list.header("x-hubspot-ratelimit-remaining")), (200, "99"));
    assert_eq!(world.get("/hubspot/crm/objects/2026-09/contacts", &[]).await.status, 401);
}

#[tokio::test]
async fn hubspot_lists_and_joins() {
    let world = World::free();
    let ids = world.fill("hubspot", "orders", 150);
    world.sandbox.change("hubspot", "orders", &ids[3], json!({"archived": true})).expect("an order");
    let first = world.get("/hubspot/crm/objects/2026-09/orders?limit=100&properties=hs_total_price", &[AUTH]).await;
    let after = first.at("/paging/next/after").as_str().expect("a cursor").to_owned();
    let second = world.get(&format!("/hubspot/crm/objects/2026-09/orders?limit=100&after={after}"), &[AUTH]).await;
    assert_eq!((second.at("/results").as_array().map(Vec::len), second.at("/paging")), (Some(49), &Value::Null));
    assert_eq!(first.at("/results/0/associations"), &Value::Null);
    let archived = world.get("/hubspot/crm/objects/2026-09/orders?archived=true", &[AUTH]).await;
    assert_eq!(archived.at("/results/0/id"), &json!(ids[3]));
    let inputs = json!({"inputs": [{"id": ids[0]}, {"id": ids[1]}]});
    let joined = world.hubspot("/crm/associations/2026-09/orders/contacts/batch/read", &inputs).await;
    assert_eq!(joined.at("/results/1/to/0/toObjectId"), "52");
    world.fill("hubspot", "contacts", 3);
    let people = json!({"idProperty": "email", "inputs": [{"id": "Person2@example.com"}], "properties": ["phone"]});
    let people = world.hubspot("/crm/objects/2026-09/contacts/batch/read", &people).await;
    assert_eq!(people.at("/results/0/id"), "52");
}

#[tokio::test]
async fn hubspot_gives_mail_events_by_offset() {
    let world = World::free();
    let mut ids = world.fill("hubspot", "email_events", 25);
    let from = START - 3_600_000;
    let base = format!(
        "/hubspot/email/public/v1/events?startTimestamp={from}&endTimestamp={}&limit=10&eventType=CLICK",
        from + 24_000
    );
    let mut page = world.get(&base, &[AUTH]).await;
    while page.at("/hasMore") == &json!(true) {
        let offset = page.at("/offset").as_str().expect("an offset").to_owned();
        page = world.get(&format!("{base}&offset={offset}"), &[AUTH]).await;
    }
    ids.truncate(24);
    ids.reverse();
    assert_eq!(world.read("hubspot"), ids, "the newest first");
    let offset = page.at("/offset").as_str().expect("an offset");
    let other = format!("/hubspot/email/public/v1/events?startTimestamp={from}&offset={offset}");
    assert_eq!(world.get(&other, &[AUTH]).await.status, 400, "an offset belongs to its window");
}
