//! WooCommerce: what lets in, pages, dates with and without the flag, webhooks, the host's limit.

use serde_json::{Value, json};

use super::{Reply, World};

/// `sandbox:sandbox`.
const KEY: (&str, &str) = ("authorization", "Basic c2FuZGJveDpzYW5kYm94");

impl World {
    async fn woo(&self, path: &str) -> Reply {
        self.get(&format!("/woocommerce/wp-json/wc/v3/{path}"), &[KEY]).await
    }
    async fn woo_send(&self, method: &str, path: &str, body: Value) -> Reply {
        let headers = [KEY, ("content-type", "application/json")];
        self.send(method, &format!("/woocommerce/wp-json/wc/v3/{path}"), &headers, body.to_string()).await
    }
}

#[tokio::test]
async fn woocommerce_pages_through_all_orders() {
    let world = World::free();
    let ids = world.fill("woocommerce", "orders", 250);
    let mut page = world.woo("orders?per_page=100&orderby=id&order=asc").await;
    assert_eq!((page.header("x-wp-total"), page.header("x-wp-totalpages")), ("250", "3"));
    loop {
        let link = page.header("link").to_owned();
        let Some(next) = link.split(", ").find(|l| l.ends_with("rel=\"next\"")) else { break };
        let url = next.trim_start_matches('<').split('>').next().expect("a link");
        let path = url.strip_prefix("http://127.0.0.1").expect("the same host").to_owned();
        page = world.get(&path, &[KEY]).await;
        assert_eq!(page.status, 200);
    }
    assert_eq!(world.read("woocommerce"), ids);
    assert_eq!(world.woo("orders?page=4&per_page=100").await.body, Some(json!([])));
    for wrong in ["orders?per_page=101", "orders?page=0", "orders?orderby=updated", "orders?modified_after=soon"] {
        assert_eq!(world.woo(wrong).await.at("/code"), "rest_invalid_param", "{wrong}");
    }
}

#[tokio::test]
async fn woocommerce_reads_dates_as_its_own_time_without_the_flag() {
    let world = World::free();
    world.fill("woocommerce", "orders", 60);
    let count =
        async |query: &str| world.woo(&format!("orders?per_page=100&{query}")).await.header("x-wp-total").to_owned();
    // The bounds themselves are not among them.
    let window = "modified_after=2026-11-23T15:00:10&modified_before=2026-11-23T15:00:20";
    assert_eq!(count(&format!("{window}&dates_are_gmt=true")).await, "9");
    assert_eq!(count(window).await, "0");
    assert_eq!(count("modified_after=2026-11-23T12:00:10&modified_before=2026-11-23T12:00:20").await, "9");
    assert_eq!(count("modified_after=2026-11-23T15:00:10Z&dates_are_gmt=true").await, "49");
    let order = world.woo("orders?orderby=id&order=asc&_fields=date_modified,date_modified_gmt").await;
    let dates = json!({"date_modified": "2026-11-23T12:00:00", "date_modified_gmt": "2026-11-23T15:00:00"});
    assert_eq!(order.at("/0"), &dates);
    world.fill("woocommerce", "customers", 5);
    let all = world.woo("customers?role=all&modified_after=2027-01-01T00:00:00&dates_are_gmt=true").await;
    assert_eq!(all.header("x-wp-total"), "5", "customers have no filter by change");
}

#[tokio::test]
async fn woocommerce_asks_for_key_and_secret() {
    let world = World::free();
    let path = "/woocommerce/wp-json/wc/v3/orders";
    assert_eq!(world.get(path, &[]).await.at("/code"), "woocommerce_rest_cannot_view");
    assert_eq!(world.get(path, &[("authorization", "Basic eDp5")]).await.status, 401);
    assert_eq!(world.get(&format!("{path}?consumer_key=sandbox&consumer_secret=sandbox"), &[]).await.status, 200);
    assert!(world.sandbox.reads("woocommerce").iter().all(|r| !r.asked.contains("consumer")));
    assert_eq!(world.get("/woocommerce/wp-json/wc/v3/carts", &[KEY]).await.at("/code"), "rest_no_route");
    assert_eq!(world.woo("orders/7").await.at("/code"), "woocommerce_rest_order_invalid_id");
}

#[tokio::test]
async fn woocommerce_gives_refunds_below_their_order() {
    let world = World::free();
    let ids = world.fill("woocommerce", "orders", 2);
    let order: u64 = ids[0].parse().expect("a number");
    world.sandbox.put("woocommerce", "refunds", json!({"order_id": order, "amount": "5.00"})).expect("a refund");
    let refunds = world.woo(&format!("orders/{order}/refunds")).await;
    assert_eq!((refunds.at("/0/amount"), refunds.at("/0/order_id")), (&json!("5.00"), &Value::Null));
    assert_eq!(refunds.at("/0/date_created_gmt"), "2026-11-23T16:00:00");
    assert_eq!(world.woo(&format!("orders/{}/refunds", ids[1])).await.body, Some(json!([])));
    assert_eq!(world.woo("orders/7/refunds").await.status, 404);
    assert_eq!(world.woo("refunds").await.status, 404);
}

#[tokio::test]
async fn woocommerce_keeps_webhooks() {
    let world = World::free();
    let hook = json!({"name": "o", "topic": "order.updated", "delivery_url": "https://espalier.example/h", "secret": "s3cret"});
    let made = world.woo_send("POST", "webhooks", hook).await;
    assert_eq!((made.status, made.at("/status"), made.at("/secret")), (201, &json!("active"), &Value::Null));
    let id = made.at("/id").to_string();
    world.sandbox.change("woocommerce", "webhooks", &id, json!({"status": "disabled"})).expect("a webhook");
    assert_eq!(world.woo("webhooks?status=disabled").await.at("/0/id").to_string(), id);
    let back = world.woo_send("PUT", &format!("webhooks/{id}"), json!({"status": "active"})).await;
    assert_eq!(back.at("/status"), "active");
    assert_eq!(world.woo_send("DELETE", &format!("webhooks/{id}"), Value::Null).await.status, 501);
    assert_eq!(world.woo_send("DELETE", &format!("webhooks/{id}?force=true"), Value::Null).await.status, 200);
    assert_eq!(world.woo_send("POST", "webhooks", json!({"topic": "cart.updated"})).await.status, 400);
}

#[tokio::test]
async fn woocommerce_refuses_more_than_its_host_bears() {
    let world = World::limited();
    world.fault(json!({"vendor": "woocommerce", "kind": "slow", "delay_ms": 1_000, "times": 4})).await;
    let mut held: Vec<_> = (0..4).map(|_| Box::pin(world.woo("orders"))).collect();
    for one in &mut held {
        assert!(futures_util::poll!(one).is_pending());
    }
    let refused = world.woo("orders").await;
    assert_eq!((refused.status, world.counts("woocommerce").throttled), (503, 1));
    world.turn(1_000);
    for one in held {
        assert_eq!(one.await.status, 200);
    }
}
