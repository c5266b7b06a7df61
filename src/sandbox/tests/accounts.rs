//! Several accounts, records that come late, and what goes wrong with reads.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{START, World};
use crate::clock::VirtualClock;
use crate::model::Timestamp;
use crate::sandbox::{Options, Sandbox};

const TOKEN: (&str, &str) = ("x-auth-token", "sandbox");
const CUSTOMERS: &str = "/bigcommerce/stores/sandbox/v3/customers?limit=2&page=";

#[tokio::test]
async fn accounts_of_one_vendor_share_nothing() {
    let clock = VirtualClock::new(Timestamp::from_millis(START));
    let with = |key: &str| Options { api_key: key.to_owned(), ..Options::default() };
    let sandbox = Sandbox::empty(Arc::new(clock.clone()))
        .open("north", "bigcommerce", with("a"))
        .and_then(|s| s.open("south", "bigcommerce", with("b")))
        .expect("two accounts");
    for wrong in [("north", "bigcommerce"), ("a/b", "bigcommerce"), ("west", "bazaar")] {
        assert!(sandbox.clone().open(wrong.0, wrong.1, Options::default()).is_err(), "{wrong:?}");
    }
    let world = World { clock, sandbox };
    world.fill("south", "customers", 1);
    for (path, key, status, count) in [("north", "a", 200, 0), ("south", "b", 200, 1), ("south", "a", 401, 0)] {
        let reply = world.get(&format!("/{path}/stores/sandbox/v3/customers"), &[("x-auth-token", key)]).await;
        assert_eq!((reply.status, reply.at("/data").as_array().map_or(0, Vec::len)), (status, count), "{path} {key}");
    }
    assert_eq!(world.get("/bigcommerce/stores/sandbox/v3/customers", &[TOKEN]).await.status, 404);
    assert_eq!((world.counts("north").refused, world.counts("south").refused), (0, 1));
}

#[tokio::test]
async fn a_record_that_is_late_is_seen_from_then_on() {
    let world = World::free();
    let customer = json!({"email": "late@example.com"});
    let visible = Timestamp::from_millis(START + 60_000);
    let id = world.sandbox.put_late("bigcommerce", "customers", customer, visible).expect("a customer");
    assert_eq!(world.get(&format!("{CUSTOMERS}1"), &[TOKEN]).await.at("/meta/pagination/total"), 0);
    world.turn(60_000);
    let reply = world.get(&format!("{CUSTOMERS}1"), &[TOKEN]).await;
    assert_eq!(reply.at("/data/0/date_modified"), "2026-11-23T16:00:00Z", "changed when it was put in");
    assert!(world.sandbox.remove("bigcommerce", "customers", &id));
    assert_eq!(world.get(&format!("{CUSTOMERS}1"), &[TOKEN]).await.at("/meta/pagination/total"), 0);
    for (account, kind) in [("bigcommerce", "carts"), ("bazaar", "orders")] {
        assert!(world.sandbox.put(account, kind, json!({})).is_err());
    }
}

#[tokio::test]
async fn reads_go_wrong_in_each_way() {
    let world = World::free();
    world.fill("bigcommerce", "customers", 6);
    let page = async |n: u32| world.get(&format!("{CUSTOMERS}{n}"), &[TOKEN]).await;
    let order = |kind: &str| world.sandbox.fault(json!({"vendor": "bigcommerce", "kind": kind})).expect("a fault");
    let good = page(1).await;
    order("truncated");
    let broken = page(1).await;
    assert_eq!((broken.status, broken.body), (200, Some(Value::Null)), "no JSON any more");
    order("html");
    let html = page(1).await;
    assert_eq!((html.status, html.header("content-type")), (200, "text/html; charset=UTF-8"));
    order("content_type");
    let wrong = page(1).await;
    assert_eq!((wrong.header("content-type"), &wrong.body), ("text/html; charset=UTF-8", &good.body));
    order("error_inside");
    assert_eq!((page(1).await.status, page(1).await.body), (200, good.body.clone()));
    order("revoke_token");
    order("revoke_scope");
    assert_eq!((page(1).await.status, page(1).await.status), (401, 403));
    assert_eq!(page(1).await.body, good.body);
    order("repeat_page");
    assert_eq!(page(2).await.body, good.body);
    order("cursor_loop");
    assert_eq!(page(3).await.at("/meta/pagination/total_pages"), 4, "there is always one more");
    world.sandbox.fault(json!({"vendor": "bigcommerce", "kind": "status", "skip": 2})).expect("a fault");
    assert_eq!((page(1).await.status, page(2).await.status, page(3).await.status), (200, 200, 503));
}
