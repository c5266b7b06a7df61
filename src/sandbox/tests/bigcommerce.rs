//! BigCommerce: v2 and v3 lists, dates, the window of calls, hooks.

use serde_json::{Value, json};

use super::{Reply, World};

const TOKEN: (&str, &str) = ("x-auth-token", "sandbox");
const JSON: (&str, &str) = ("accept", "application/json");

impl World {
    async fn big(&self, path: &str) -> Reply {
        self.get(&format!("/bigcommerce/stores/sandbox/{path}"), &[TOKEN, JSON]).await
    }
}

#[tokio::test]
async fn bigcommerce_v2_gives_bare_arrays_and_nothing_at_the_end() {
    let world = World::free();
    let ids = world.fill("bigcommerce", "orders", 520);
    let mut sizes = Vec::new();
    for page in 1.. {
        let reply = world.big(&format!("v2/orders?sort=date_modified:asc&limit=250&page={page}")).await;
        if reply.status == 204 {
            assert_eq!(reply.body, Some(Value::Null));
            break;
        }
        sizes.push(reply.at("").as_array().map_or(0, Vec::len));
    }
    assert_eq!((sizes, world.read("bigcommerce")), (vec![250, 250, 20], ids));
    let count = async |query: &str| {
        world.big(&format!("v2/orders?limit=250&{query}")).await.at("").as_array().map_or(0, Vec::len)
    };
    // Both bounds are among them, in either form of date.
    assert_eq!(count("min_date_modified=2026-11-23T15:00:10Z&max_date_modified=2026-11-23T15:00:20Z").await, 11);
    let rfc =
        "min_date_modified=Mon,%2023%20Nov%202026%2015:00:10%20%2B0000&max_date_modified=2026-11-23T15:00:20%2B00:00";
    assert_eq!(count(rfc).await, 11);
    assert_eq!(count("min_date_modified=2026-11-23T15:08:30").await, 0, "without a zone it is the store's own time");
    assert_eq!(count("date_modified:min=2026-11-23T15:08:30Z").await, 250, "a filter that it does not know is ignored");
    let order = world.big("v2/orders/101").await;
    assert_eq!(order.at("/date_modified"), "Mon, 23 Nov 2026 15:00:00 +0000");
    world.fill("bigcommerce", "order_products", 2);
    assert_eq!(world.big("v2/orders/101/products").await.at("/0/order_id"), 101);
    let xml = world.get("/bigcommerce/stores/sandbox/v2/orders", &[TOKEN, ("accept", "text/xml")]).await;
    assert_eq!(xml.header("content-type"), "application/xml");
}

#[tokio::test]
async fn bigcommerce_v3_wraps_and_counts_its_pages() {
    let world = World::free();
    world.fill("bigcommerce", "customers", 30);
    world.fill("bigcommerce", "products", 3);
    let page = world.big("v3/customers?date_modified:min=2026-11-23T15:00:05Z&limit=10&page=3").await;
    let pagination = page.at("/meta/pagination");
    assert_eq!((pagination["total"].clone(), pagination["total_pages"].clone()), (json!(25), json!(3)));
    assert_eq!(page.at("/data").as_array().map(Vec::len), Some(5));
    assert_eq!(world.big("v3/customers?email:in=person7@example.com").await.at("/data/0/id"), 7);
    assert_eq!(world.big("v3/customers?page=9").await.at("/data"), &json!([]));
    assert_eq!(world.big("v3/catalog/products").await.at("/meta/pagination/count"), 3);
    assert_eq!(world.big("v3/customers?date_modified:min=soon").await.status, 422);
    let unknown = world.get("/bigcommerce/stores/sandbox/v3/customers", &[("x-auth-token", "wrong")]).await;
    assert_eq!((unknown.status, unknown.at("/title")), (401, &json!("Unauthorized")));
}

#[tokio::test]
async fn bigcommerce_counts_calls_in_windows_of_thirty_seconds() {
    let world = World::limited();
    for left in (0..150).rev() {
        let reply = world.big("v2/store").await;
        assert_eq!((reply.status, reply.header("x-rate-limit-requests-left")), (200, left.to_string().as_str()));
    }
    world.turn(10_000);
    let spent = world.big("v2/store").await;
    assert_eq!((spent.status, spent.header("x-rate-limit-time-reset-ms")), (429, "20000"));
    world.turn(30_000);
    assert_eq!(world.big("v2/store").await.status, 200);
    assert_eq!(world.counts("bigcommerce").throttled, 1);
}

#[tokio::test]
async fn bigcommerce_keeps_hooks_that_are_off_unless_said() {
    let world = World::free();
    let send = async |method: &str, path: &str, body: Value| {
        let path = format!("/bigcommerce/stores/sandbox/v3/{path}");
        world.send(method, &path, &[TOKEN, JSON, ("content-type", "application/json")], body.to_string()).await
    };
    let hook =
        json!({"scope": "store/order/*", "destination": "https://espalier.example/h", "headers": {"x-secret": "s"}});
    let made = send("POST", "hooks", hook).await;
    assert_eq!((made.status, made.at("/data/is_active")), (200, &json!(false)));
    let path = format!("hooks/{}", made.at("/data/id"));
    assert_eq!(send("PUT", &path, json!({"is_active": true})).await.at("/data/is_active"), true);
    assert_eq!(world.big("v3/hooks").await.at("/data/0/scope"), "store/order/*");
    assert_eq!(send("DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(world.big(&format!("v3/{path}")).await.status, 404);
    let plain = json!({"scope": "store/order/*", "destination": "http://espalier.example/h"});
    assert_eq!(send("POST", "hooks", plain).await.status, 422);
}
