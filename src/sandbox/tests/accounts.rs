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

#[tokio::test]
async fn a_cursor_that_loops_gives_the_same_page_again() {
    let world = World::free();
    for (account, kind) in
        [("shopify", "customers"), ("klaviyo", "events"), ("hubspot", "email_events"), ("salesforce", "Lead")]
    {
        world.fill(account, kind, 3);
        world
            .sandbox
            .fault(json!({"vendor": account, "path": "/", "kind": "cursor_loop", "skip": 1}))
            .expect("a fault");
    }
    let form = "grant_type=client_credentials&client_id=sandbox&client_secret=sandbox".to_owned();
    let session = world.send("POST", "/salesforce/services/oauth2/token", &[], form).await;
    let session = format!("Bearer {}", session.at("/access_token").as_str().expect("a session"));
    let leads = "/salesforce/services/data/v66.0/query?q=SELECT+Id+FROM+Lead";
    let page = world.get(leads, &[("authorization", &session)]).await;
    assert!(page.at("/nextRecordsUrl").as_str().is_some_and(|next| next.ends_with("-0")), "{:?}", page.body);

    let klaviyo = [("authorization", "Klaviyo-API-Key sandbox"), ("revision", "2026-07-15")];
    let first = world.get("/klaviyo/api/events", &klaviyo).await;
    let stuck = world.get("/klaviyo/api/events", &klaviyo).await;
    let next = stuck.at("/links/next").as_str().and_then(|n| n.strip_prefix("http://127.0.0.1")).expect("a next page");
    assert_eq!(world.get(next, &klaviyo).await.at("/data"), first.at("/data"));

    let path = "/hubspot/email/public/v1/events?limit=10";
    let hubspot = [("authorization", "Bearer sandbox")];
    let first = world.get(path, &hubspot).await;
    let stuck = world.get(path, &hubspot).await;
    assert_eq!((first.at("/hasMore"), stuck.at("/hasMore")), (&json!(false), &json!(true)));
    let again = format!("{path}&offset={}", stuck.at("/offset").as_str().expect("an offset"));
    assert_eq!(world.get(&again, &hubspot).await.at("/events"), first.at("/events"));

    let query = json!({"query": "query($after: String){ customers(first:10, after:$after){ nodes{ id } pageInfo{ hasNextPage endCursor } } }"});
    let shopify = [("x-shopify-access-token", "sandbox"), ("content-type", "application/json")];
    let ask = async |after: &Value| {
        let mut query = query.clone();
        query["variables"] = json!({"after": after});
        world.send("POST", "/shopify/admin/api/2026-07/graphql.json", &shopify, query.to_string()).await
    };
    let first = ask(&Value::Null).await;
    let stuck = ask(&Value::Null).await;
    assert_eq!(stuck.at("/data/customers/pageInfo/hasNextPage"), &json!(true));
    let again = ask(stuck.at("/data/customers/pageInfo/endCursor")).await;
    assert_eq!(again.at("/data/customers/nodes"), first.at("/data/customers/nodes"));
}
