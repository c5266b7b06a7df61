//! Traces of a whole daemon, at a collector of the test's own that reads OTLP's protobuf by hand (feature `otel`).

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use espalier::model::Span;
use serde_json::json;
use support::shop::track;
use support::world::World;
use tokio::sync::Semaphore;

/// A field of a message: its number, and its bytes or its number's eight bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, varint(&mut bytes).to_be_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).expect("a length"),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        found.push((key >> 3, value.to_vec()));
        bytes = rest;
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for n in 0.. {
        let (first, rest) = bytes.split_first().expect("a number");
        *bytes = rest;
        value |= u64::from(first & 0x7F) << (7 * n);
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn all(message: &[u8], number: u64) -> Vec<Vec<u8>> {
    fields(message).into_iter().filter(|(one, _)| *one == number).map(|(_, value)| value).collect()
}

fn one(message: &[u8], number: u64) -> Vec<u8> {
    all(message, number).pop().unwrap_or_default()
}

/// A span, as opentelemetry/proto/trace/v1/trace.proto numbers its fields.
#[derive(Clone, Debug)]
struct Seen {
    trace: String,
    id: String,
    parent: String,
    name: String,
    began: u64,
    ended: u64,
    facts: BTreeMap<String, String>,
    links: BTreeSet<String>,
}

fn spans(body: &[u8]) -> Vec<Seen> {
    let scopes = all(body, 1).into_iter().flat_map(|resource| all(&resource, 2));
    let spans = scopes.flat_map(|scope| all(&scope, 2));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let number = |bytes: Vec<u8>| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let fact = |attribute: Vec<u8>| {
        let value = one(&attribute, 2);
        let words = one(&value, 1);
        let said = if words.is_empty() { hex::encode(one(&value, 3)) } else { text(words) };
        (text(one(&attribute, 1)), said)
    };
    let seen = |span: Vec<u8>| Seen {
        trace: hex::encode(one(&span, 1)),
        id: hex::encode(one(&span, 2)),
        parent: hex::encode(one(&span, 4)),
        name: text(one(&span, 5)),
        began: number(one(&span, 7)),
        ended: number(one(&span, 8)),
        facts: all(&span, 9).into_iter().map(fact).collect(),
        links: all(&span, 13).iter().map(|link| hex::encode(one(link, 1))).collect(),
    };
    spans.map(seen).collect()
}

/// One daemon at a time: a process has one listener.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What comes to a collector, and where that is.
async fn collector() -> (Arc<Mutex<Vec<Bytes>>>, SocketAddr) {
    let bodies: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let kept = bodies.clone();
    let take = move |body: Bytes| {
        kept.lock().expect("what came").push(body);
        std::future::ready("")
    };
    let at = support::serve(Router::new().route("/v1/traces", post(take))).await;
    (bodies, at)
}

/// A vendor that answers only when the daemon was told to stop: the end of that exchange is told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_while_the_daemon_stops_is_told() {
    let _one = ONE.lock().await;
    let (bodies, at) = collector().await;
    let (called, answers) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (on_call, on_answer) = (called.clone(), answers.clone());
    let slow = move || {
        let (called, answers) = (on_call.clone(), on_answer.clone());
        async move {
            called.add_permits(1);
            let _permit = answers.acquire_owned().await;
            StatusCode::ACCEPTED
        }
    };
    let vendor = support::serve(Router::new().fallback(slow)).await;
    let trigger = "name = \"form\"\nper = \"form\"\nwhen = { did = \"form\" }\n\
                   activate = [{ destination = \"esp\", event = \"form\" }]\n";
    let lane = |_: &str| {
        format!(
            "[log]\notlp = \"http://{at}\"\n[destination.esp]\nkind = \"klaviyo\"\napi_key = \"${{file:SECRET}}\"\n\
             base_url = \"http://{vendor}\"\n"
        )
    };
    let mut world = World::begin(&[("form", trigger.to_owned())], lane).await;
    world.does("form", 1).await;
    let permit = tokio::time::timeout(Duration::from_secs(30), called.acquire()).await;
    permit.expect("a call in time").expect("a call").forget();
    let stopping = world.daemon.watched.stopping.clone();
    let daemon = world.daemon;
    let stopped = tokio::spawn(daemon.stop());
    stopping.cancelled().await;
    answers.add_permits(1_000);
    assert!(stopped.await.expect("an end").expect("an end"), "nothing was cut");
    let spans: Vec<Seen> = bodies.lock().expect("what came").iter().flat_map(|body| spans(body)).collect();
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert!(["exchange", "call", "settle"].iter().all(|name| names.contains(name)), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_of_one_event_is_told_though_it_waits() {
    let _one = ONE.lock().await;
    let (bodies, at) = collector().await;
    let trigger = "name = \"left\"\nexpires = \"7d\"\nwhen = { last = \"Product Added\", over = \"30m\" }\n\
        activate = [{ destination = \"esp\", event = \"left\" }]\n";
    let lane = |vendors: &str| {
        format!(
            "[log]\notlp = \"http://{at}\"\n[destination.esp]\nkind = \"klaviyo\"\napi_key = \"${{file:SECRET}}\"\n\
             base_url = \"{vendors}/klaviyo\"\n"
        )
    };
    let world = World::begin(&[("left", trigger.to_owned())], lane).await;
    let mut added = track("m1", "Product Added", json!({ "product_id": "p-secret" }));
    added["userId"] = json!("u-secret");
    added["context"] = json!({ "traits": { "email": "secret@example.com" } });
    {
        use espalier::clock::Clock;
        added["timestamp"] = json!(world.clock.now().to_string());
    }
    world.tells(vec![added]).await;
    world.turn(Span::from_minutes(29), Span::from_minutes(1)).await;
    world.until("it to be sent", Span::from_secs(10), |w| w.events("klaviyo").len() == 1 && w.is_through("esp")).await;
    let occasion = world.sandbox.effects("klaviyo")[0].clone();
    let seen = || bodies.lock().expect("what came").iter().flat_map(|body| spans(body)).collect::<Vec<Seen>>();
    world.until("the last step", Span::from_secs(1), |_| seen().iter().any(|span| span.name == "settle")).await;
    world.daemon.stop().await.expect("an end");
    let spans = seen();
    let settle = spans.iter().find(|span| span.name == "settle").expect("its end").clone();
    let of = |trace: &str| spans.iter().filter(|span| span.trace == trace).cloned().collect::<Vec<Seen>>();
    let names = |trace: &[Seen]| trace.iter().map(|span| span.name.clone()).collect::<BTreeSet<String>>();
    // The occasion's trace is its id, which the vendor was given as well.
    let occasion_trace = of(&settle.trace);
    assert!(format!("{occasion:?}").contains(&settle.trace), "{occasion:?} is not {}", settle.trace);
    let steps = ["call", "commit", "decide", "exchange", "settle"];
    assert_eq!(names(&occasion_trace), steps.map(str::to_owned).into());
    let root = occasion_trace.iter().find(|span| span.name == "decide").expect("a root");
    assert_eq!(root.parent, "");
    assert!(occasion_trace.iter().filter(|span| span.name != "decide").all(|span| span.parent == root.id));
    assert_eq!((root.facts["trigger"].as_str(), root.facts["verdict"].as_str()), ("left", "activated"));
    let call = occasion_trace.iter().find(|span| span.name == "call").expect("a call");
    assert_eq!((call.facts["lane"].as_str(), call.facts["family"].as_str()), ("esp", "events"));
    // It names the event that it came from, whose trace began half an hour before.
    let [event] = root.links.iter().collect::<Vec<_>>()[..] else { panic!("{root:?}") };
    let event_trace = of(event);
    assert_eq!(names(&event_trace), ["accept", "commit", "decide", "journal"].map(str::to_owned).into());
    let accept = event_trace.iter().find(|span| span.name == "accept").expect("its beginning");
    assert_eq!(accept.parent, "");
    assert!(root.began - accept.ended >= 30 * 60 * 1_000_000_000, "{root:?} {accept:?}");
    // Nothing of the person is in any of it.
    for body in bodies.lock().expect("what came").iter() {
        let text = String::from_utf8_lossy(body);
        assert!(!text.contains("secret") && !text.contains("Product"), "{text}");
    }
}
