//! Good and bad requests at each vendor, with the answers that they earn.

mod accounts;
mod bigcommerce;
mod faults;
mod hubspot;
mod hubspot_search;
mod klaviyo;
mod klaviyo_read;
mod magento;
mod marketo;
mod marketo_read;
mod planning;
mod receivers;
mod salesforce;
mod shopify;
mod woocommerce;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::Value;
use tower::ServiceExt;

use super::{Counts, Options, Sandbox};
use crate::clock::VirtualClock;
use crate::model::{Span, Timestamp};

/// 2026-11-23T16:00:00Z, the beginning of a minute.
const START: i64 = 1_795_449_600_000;

struct World {
    clock: VirtualClock,
    sandbox: Sandbox,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    /// None when the connection was cut.
    body: Option<Value>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }
    fn at(&self, pointer: &str) -> &Value {
        self.body.as_ref().and_then(|b| b.pointer(pointer)).unwrap_or(&Value::Null)
    }
}

impl World {
    fn new(options: Options) -> Self {
        let clock = VirtualClock::new(Timestamp::from_millis(START));
        Self { sandbox: Sandbox::new(Arc::new(clock.clone()), options), clock }
    }
    fn limited() -> Self {
        Self::new(Options::default())
    }
    fn free() -> Self {
        Self::new(Options { limits: false, ..Options::default() })
    }
    fn turn(&self, ms: i64) {
        self.clock.set(Timestamp::from_millis(START + ms));
    }
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.sandbox.router().oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.ok().map(|b| serde_json::from_slice(&b).unwrap_or(Value::Null));
        Reply { status: head.status.as_u16(), headers: head.headers, body }
    }
    async fn klaviyo(&self, path: &str, body: &Value) -> Reply {
        let headers = [
            ("authorization", "Klaviyo-API-Key sandbox"),
            ("revision", "2026-07-15"),
            ("content-type", "application/vnd.api+json"),
        ];
        self.send("POST", &format!("/klaviyo/api/{path}"), &headers, body.to_string()).await
    }
    async fn hubspot(&self, path: &str, body: &Value) -> Reply {
        let headers = [("authorization", "Bearer sandbox"), ("content-type", "application/json")];
        self.send("POST", &format!("/hubspot{path}"), &headers, body.to_string()).await
    }
    async fn token(&self) -> String {
        let path =
            "/marketo/identity/oauth/token?grant_type=client_credentials&client_id=sandbox&client_secret=sandbox";
        let reply = self.send("GET", path, &[], String::new()).await;
        reply.at("/access_token").as_str().expect("a token").to_owned()
    }
    async fn marketo(&self, token: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (method, body) = if body.is_null() { ("GET", String::new()) } else { ("POST", body.to_string()) };
        self.send(method, &format!("/marketo/rest/v1/{path}"), &headers, body).await
    }
    async fn fault(&self, fault: Value) {
        let reply = self.send("POST", "/_sandbox/faults", &[], fault.to_string()).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
    }
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers, String::new()).await
    }
    /// Fills an account with made-up records: one each second, from an hour before the start.
    fn fill(&self, account: &str, kind: &str, count: u64) -> Vec<String> {
        let from = Timestamp::from_millis(START - 3_600_000);
        self.sandbox.fill(account, kind, count, from, Span::from_secs(1)).expect("a known kind")
    }
    /// Ids of what was read, in the order of the reads.
    fn read(&self, account: &str) -> Vec<String> {
        self.sandbox.reads(account).into_iter().flat_map(|r| r.ids).collect()
    }
    fn counts(&self, vendor: &str) -> Counts {
        self.sandbox.counts(vendor)
    }
}

/// The same value with one place changed; null takes it away.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match value.pointer_mut(parent).expect("a place") {
        Value::Object(map) if new.is_null() => drop(map.remove(name)),
        Value::Object(map) => drop(map.insert(name.to_owned(), new)),
        _ => panic!("{parent} is not an object"),
    }
    value
}
