//! Faults that are asked for, calls that are cut, and what the sandbox says it received.

use serde_json::json;

use super::hubspot::{UPSERT, contact};
use super::klaviyo::{bulk, event, single};
use super::{Counts, World};

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
