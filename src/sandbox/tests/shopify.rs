//! Shopify: what lets in, pages and windows, points, mistakes in queries, subscriptions.

use serde_json::{Value, json};

use super::{Reply, World};

const ORDERS: &str =
    "query($first:Int!,$after:String,$query:String){ orders(first:$first,after:$after,query:$query,sortKey:UPDATED_AT){
    nodes{ id legacyResourceId name updatedAt email totalPriceSet{shopMoney{amount currencyCode}} customer{ id email }
        lineItems(first:1){ nodes{ sku quantity } } }
    pageInfo{ hasNextPage endCursor } } }";

impl World {
    async fn shopify(&self, token: &str, query: &str, variables: Value) -> Reply {
        let headers = [("x-shopify-access-token", token), ("content-type", "application/json")];
        let body = json!({"query": query, "variables": variables}).to_string();
        self.send("POST", "/shopify/admin/api/2026-07/graphql.json", &headers, body).await
    }
    /// All orders of a search, page by page.
    async fn shopify_orders(&self, query: &str) -> Vec<String> {
        let (mut after, mut ids) = (Value::Null, Vec::new());
        loop {
            let page = self.shopify("sandbox", ORDERS, json!({"first": 50, "after": after, "query": query})).await;
            let nodes = page.at("/data/orders/nodes").as_array().unwrap_or_else(|| panic!("{:?}", page.body));
            ids.extend(nodes.iter().map(|n| n["id"].as_str().expect("an id").to_owned()));
            if page.at("/data/orders/pageInfo/hasNextPage") == &json!(false) {
                return ids;
            }
            after = page.at("/data/orders/pageInfo/endCursor").clone();
        }
    }
}

#[tokio::test]
async fn shopify_gives_all_orders_of_a_window_once() {
    let world = World::free();
    let ids = world.fill("shopify", "orders", 120);
    assert_eq!(world.shopify_orders("").await, ids);
    let window = "updated_at:>='2026-11-23T15:00:10Z' AND updated_at:<'2026-11-23T15:01:10Z'";
    assert_eq!(world.shopify_orders(window).await, ids[10..70]);
    world
        .sandbox
        .change("shopify", "orders", &ids[0], json!({"displayFinancialStatus": "REFUNDED"}))
        .expect("an order");
    assert_eq!(world.shopify_orders("updated_at:>='2026-11-23T16:00:00Z'").await, ids[..1]);
    let page = world.shopify("sandbox", ORDERS, json!({"first": 1})).await;
    let order = page.at("/data/orders/nodes/0");
    assert_eq!(order["totalPriceSet"]["shopMoney"]["currencyCode"], "EUR");
    assert_eq!(order["lineItems"]["nodes"].as_array().map(Vec::len), Some(1), "as many as were asked for");
    assert_eq!(order.get("phone"), None, "only what was selected");
    // A search field that is unknown is ignored, and only warned of.
    let query = json!({"first": 250, "query": "modified:>='2026-11-23T16:00:00Z'"});
    let loose = world.shopify("sandbox", ORDERS, query).await;
    assert_eq!(loose.at("/data/orders/nodes").as_array().map(Vec::len), Some(120));
    assert_eq!(loose.at("/extensions/search/0/warnings/0/field"), "modified");
}

#[tokio::test]
async fn shopify_says_what_is_wrong_with_a_query() {
    let world = World::free();
    world.fill("shopify", "orders", 1);
    for (query, code) in [
        ("{ orders(first:1){ nodes{ id colour } } }", "undefinedField"),
        ("{ orders(first:1){ nodes{ customer } } }", "selectionMismatch"),
        ("{ orders(first:1){ nodes{ id{ x } } } }", "selectionMismatch"),
        ("{ orders{ nodes{ id } } }", "BAD_REQUEST"),
        ("{ orders(first:250){ nodes{ lineItems(first:50){ nodes{ id } } } } }", "MAX_COST_EXCEEDED"),
        ("{ orders(first:251){ nodes{ id } } }", "BAD_REQUEST"),
        ("{ orders(first:1, query:\"updated_at:>='soon'\"){ nodes{ id } } }", "BAD_REQUEST"),
        ("{ orders(first:1, after:\"xyz\"){ nodes{ id } } }", "INVALID_CURSOR"),
        ("{ abandonedCheckouts(first:1, sortKey:UPDATED_AT){ nodes{ id } } }", "argumentLiteralsIncompatible"),
        ("{ carts(first:1){ nodes{ id } } }", "undefinedField"),
        ("{ orders(first:1){ nodes{ id }", "syntaxError"),
        ("query($first:Int!){ orders(first:$first){ nodes{ id } } }", "syntaxError"),
    ] {
        let reply = world.shopify("sandbox", query, json!({})).await;
        assert_eq!(
            (reply.status, reply.at("/errors/0/extensions/code")),
            (200, &json!(code)),
            "{query}: {:?}",
            reply.body
        );
    }
    let open = "{ orders(first:1){ nodes{ customer{ lastOrder{ id } } refunds{ id transactions(first:5){ nodes{ kind } } } } } }";
    let reply = world.shopify("sandbox", open, json!({})).await;
    assert_eq!(
        reply.at("/data/orders/nodes/0"),
        &json!({"customer": {"lastOrder": null}, "refunds": []}),
        "{:?}",
        reply.body
    );
    for kind in ["customers", "products", "abandonedCheckouts"] {
        world.fill("shopify", kind, 3);
        let reply = world
            .shopify("sandbox", &format!("{{ {kind}(first:10){{ edges{{ node{{ id }} cursor }} }} }}"), json!({}))
            .await;
        assert_eq!(reply.at(&format!("/data/{kind}/edges")).as_array().map(Vec::len), Some(3), "{:?}", reply.body);
    }
}

#[tokio::test]
async fn shopify_lets_in_with_a_token_until_its_end() {
    let world = World::free();
    let ask = |secret: &str| format!("grant_type=client_credentials&client_id=sandbox&client_secret={secret}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = "/shopify/admin/oauth/access_token";
    assert_eq!(world.send("POST", path, &form, ask("wrong")).await.status, 401);
    let reply = world.send("POST", path, &form, ask("sandbox")).await;
    let token = reply.at("/access_token").as_str().expect("a token").to_owned();
    let shop = async |token: &str| world.shopify(token, "{ shop{ currencyCode } }", json!({})).await.status;
    assert_eq!((shop("wrong").await, shop("sandbox").await, shop(&token).await), (401, 200, 200));
    world.fault(json!({"vendor": "shopify", "kind": "revoke_token"})).await;
    assert_eq!((shop(&token).await, shop(&token).await, shop("sandbox").await), (401, 401, 200));
    let reply = world.send("POST", path, &form, ask("sandbox")).await;
    let token = reply.at("/access_token").as_str().expect("a token").to_owned();
    world.turn(86_400_000);
    assert_eq!(shop(&token).await, 401);
}

#[tokio::test]
async fn shopify_throttles_by_points_and_fills_again() {
    let world = World::limited();
    world.fill("shopify", "orders", 1);
    let ask = async || world.shopify("sandbox", ORDERS, json!({"first": 150})).await;
    // 77 points are asked for, and nearly all come back: there is one order.
    let first = ask().await;
    assert_eq!(first.at("/extensions/cost/requestedQueryCost"), 77);
    assert_eq!(first.at("/extensions/cost/throttleStatus/currentlyAvailable"), 1_997);
    let mut asked = 1;
    let spent = loop {
        let reply = ask().await;
        asked += 1;
        if reply.at("/errors/0/extensions/code") == "THROTTLED" {
            break reply;
        }
        assert!(asked < 2_000, "never throttled");
    };
    assert_eq!((spent.status, spent.at("/data")), (200, &Value::Null));
    let left = spent.at("/extensions/cost/throttleStatus/currentlyAvailable").as_i64().expect("points");
    assert!(left < 77);
    world.turn((77 - left) * 10);
    assert_eq!(ask().await.at("/errors"), &Value::Null);
    assert_eq!(world.counts("shopify").throttled, 1);
}

#[tokio::test]
async fn shopify_keeps_subscriptions() {
    let world = World::free();
    let create = "mutation($topic: WebhookSubscriptionTopic!, $hook: WebhookSubscriptionInput!){
        webhookSubscriptionCreate(topic:$topic, webhookSubscription:$hook){ webhookSubscription{ id topic uri } userErrors{ field message } } }";
    let hook = json!({"topic": "ORDERS_CREATE", "hook": {"uri": "https://espalier.example/shop", "format": "JSON"}});
    let reply = world.shopify("sandbox", create, hook.clone()).await;
    let id = reply.at("/data/webhookSubscriptionCreate/webhookSubscription/id").clone();
    assert!(id.is_string(), "{:?}", reply.body);
    let again = world.shopify("sandbox", create, hook).await;
    assert_eq!(again.at("/data/webhookSubscriptionCreate/userErrors").as_array().map(Vec::len), Some(1));
    let list = "{ webhookSubscriptions(first:250){ nodes{ id topic uri } } }";
    assert_eq!(
        world.shopify("sandbox", list, json!({})).await.at("/data/webhookSubscriptions/nodes/0/topic"),
        "ORDERS_CREATE"
    );
    let delete =
        "mutation($id: ID!){ webhookSubscriptionDelete(id:$id){ deletedWebhookSubscriptionId userErrors{ message } } }";
    let reply = world.shopify("sandbox", delete, json!({"id": id})).await;
    assert_eq!(reply.at("/data/webhookSubscriptionDelete/deletedWebhookSubscriptionId"), &id);
    assert!(world.sandbox.records("shopify", "webhookSubscriptions").is_empty());
}
