//! Simulated vendors: Klaviyo, HubSpot and Marketo as one router, in memory. They refuse what the vendors would
//! refuse, drop the repeats that the vendors drop, and fail on demand. They share no code with what they test.
//!
//! Each vendor is a pure state machine from [`Call`] to [`Answer`]; this file is the only one that waits.

/// A call and its answer as values.
mod call;
/// What goes wrong on demand.
mod faults;
/// HubSpot's contacts and custom events.
mod hubspot;
/// Klaviyo's events and profiles.
mod klaviyo;
/// Marketo's leads and custom activities.
mod marketo;
/// Effects and counts.
mod received;
/// Simulated visitors.
pub mod shoppers;
#[cfg(test)]
mod tests;
/// Quotas.
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{any, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::clock::SharedClock;
use call::{Answer, Call, Verdict};
use faults::{Fault, Faults, Kind};
pub use received::{Counts, Effect};

/// The vendors, as they are called in paths and faults.
pub const VENDORS: [&str; 3] = ["klaviyo", "hubspot", "marketo"];

/// Bodies above this are not even read.
const READ: usize = 32_000_000;

/// What the simulated accounts are like.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether quotas are kept. Benchmarks switch them off.
    pub limits: bool,
    /// Klaviyo's private key, HubSpot's token, Marketo's client secret.
    pub api_key: String,
    /// Marketo's client id.
    pub client_id: String,
    /// HubSpot's account: event names begin with `pe{hub_id}_`.
    pub hub_id: u64,
    /// Marketo's one approved custom activity type.
    pub activity_type: u64,
    /// So many of the first effects at each vendor keep the record as it was sent; the others only who and what.
    pub bodies: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: true,
            api_key: "sandbox".to_owned(),
            client_id: "sandbox".to_owned(),
            hub_id: 1_234_567,
            activity_type: 100_001,
            bodies: 20_000,
        }
    }
}

/// One vendor.
trait Vendor: Send + Sync {
    /// Answers a call, and remembers what it did.
    fn answer(&self, call: &Call) -> Answer;
    /// A failure in the vendor's form. `code` is meant where the vendor answers with codes.
    fn failure(&self, call: &Call, fault: &Fault) -> Answer;
    /// What it took in.
    fn ledger(&self) -> &received::Ledger;
}

/// The simulated vendors. Clones share everything.
#[derive(Clone)]
pub struct Sandbox {
    clock: SharedClock,
    faults: Arc<Faults>,
    vendors: Arc<[Desk; 3]>,
}

/// A vendor with the calls that wait at it.
struct Desk {
    name: &'static str,
    vendor: Box<dyn Vendor>,
    in_progress: AtomicUsize,
}

impl Sandbox {
    /// Empty accounts that go by `clock`.
    pub fn new(clock: SharedClock, options: Options) -> Self {
        let options = Arc::new(options);
        let desk = |name, vendor| Desk { name, vendor, in_progress: AtomicUsize::new(0) };
        let [klaviyo, hubspot, marketo] = VENDORS;
        let vendors = [
            desk(klaviyo, Box::new(klaviyo::Klaviyo::new(options.clone())) as Box<dyn Vendor>),
            desk(hubspot, Box::new(hubspot::Hubspot::new(options.clone()))),
            desk(marketo, Box::new(marketo::Marketo::new(options))),
        ];
        Self { clock, faults: Arc::default(), vendors: Arc::new(vendors) }
    }

    /// All vendors, each below its name, and `/_sandbox/…` to look at them and to order faults.
    pub fn router(&self) -> Router {
        let mut router = Router::new()
            .route("/_sandbox/faults", post(add_fault).delete(clear_faults))
            .route("/_sandbox/received", axum::routing::get(show_received).delete(clear_received));
        for (place, name) in VENDORS.into_iter().enumerate() {
            let door = move |State(sandbox): State<Self>, request: Request| async move {
                match sandbox.vendors.get(place) {
                    Some(desk) => sandbox.serve(desk, request).await,
                    None => StatusCode::NOT_FOUND.into_response(),
                }
            };
            router = router.route(&format!("/{name}/{{*path}}"), any(door));
        }
        router.with_state(self.clone())
    }

    /// What the activations at `vendor` came to, oldest first; empty for an unknown vendor.
    pub fn effects(&self, vendor: &str) -> Vec<Effect> {
        self.effects_from(vendor, 0)
    }
    /// The same from the nth on: for who asks again and again.
    pub fn effects_from(&self, vendor: &str, n: usize) -> Vec<Effect> {
        self.desk(vendor).map(|d| d.vendor.ledger().effects_from(n)).unwrap_or_default()
    }

    /// What `vendor` counted; zeros for an unknown vendor.
    pub fn counts(&self, vendor: &str) -> Counts {
        self.desk(vendor).map(|d| d.vendor.ledger().counts()).unwrap_or_default()
    }

    fn desk(&self, vendor: &str) -> Option<&Desk> {
        self.vendors.iter().find(|d| d.name == vendor)
    }

    /// One call, with the fault that is due.
    async fn serve(&self, desk: &Desk, request: Request) -> Response<Body> {
        let place = Place::take(desk);
        let (head, body) = request.into_parts();
        let path = head.uri.path().strip_prefix('/').and_then(|p| p.strip_prefix(desk.name)).unwrap_or("");
        let mut call = Call {
            method: head.method,
            path: path.trim_end_matches('/').to_owned(),
            query: pairs(&head.uri),
            uri_bytes: head.uri.path_and_query().map_or(0, |p| p.as_str().len()),
            headers: head.headers,
            body: axum::body::Bytes::new(),
            at: 0,
            bad_record: false,
            in_progress: place.number,
        };
        let ledger = desk.vendor.ledger();
        ledger.open().counts.requests += 1;
        let Ok(body) = to_bytes(body, READ).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        call.body = body;
        let fault = self.faults.take(desk.name, &call.method, &call.path);
        if let Some(f) = &fault
            && matches!(f.kind, Kind::Timeout | Kind::Slow)
        {
            self.wait(i64::from(f.delay_ms)).await;
        }
        call.at = self.clock.now().as_millis();
        let (answer, is_cut) = match fault {
            Some(f) => match f.kind {
                Kind::Timeout | Kind::Close => return call::cut(),
                Kind::Status | Kind::Code => (desk.vendor.failure(&call, &f), false),
                Kind::Slow => (desk.vendor.answer(&call), false),
                Kind::CloseAfterAccept => (desk.vendor.answer(&call), true),
                Kind::BadRecord => {
                    call.bad_record = true;
                    (desk.vendor.answer(&call), false)
                }
            },
            None => (desk.vendor.answer(&call), false),
        };
        match answer.verdict {
            Verdict::Accepted => {}
            Verdict::Refused => ledger.open().counts.refused += 1,
            Verdict::Throttled => ledger.open().counts.throttled += 1,
        }
        if is_cut { call::cut() } else { answer.into_response() }
    }

    /// Waits until the clock has gone on by so much.
    async fn wait(&self, millis: i64) {
        let at = self.clock.now().as_millis().saturating_add(millis);
        // The clock's own kind of instant is read from its text, since this room knows no other.
        if let Ok(at) = serde_json::from_value(Value::String(call::iso(at))) {
            self.clock.until(at).await;
        }
    }
}

/// A call's place among those in progress; given back also when the caller hangs up.
struct Place<'a> {
    desk: &'a Desk,
    number: usize,
}

impl<'a> Place<'a> {
    fn take(desk: &'a Desk) -> Self {
        Self { desk, number: desk.in_progress.fetch_add(1, Ordering::SeqCst) + 1 }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.desk.in_progress.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The query's names and values, decoded; nothing when it cannot be.
fn pairs(uri: &Uri) -> Vec<(String, String)> {
    match uri.query() {
        None => Vec::new(),
        Some(_) => Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default(),
    }
}

// === what tests and people use beside the vendors' own paths ===

async fn add_fault(State(sandbox): State<Sandbox>, body: String) -> Response<Body> {
    let fault = serde_json::from_str::<Fault>(&body).map_err(|e| e.to_string());
    match fault.and_then(|f| sandbox.faults.add(f)) {
        Ok(waiting) => Json(json!({"waiting": waiting})).into_response(),
        Err(words) => (StatusCode::BAD_REQUEST, Json(json!({"error": words}))).into_response(),
    }
}

async fn clear_faults(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.faults.clear();
    StatusCode::NO_CONTENT
}

async fn show_received(State(sandbox): State<Sandbox>, uri: Uri) -> Response<Body> {
    let query = pairs(&uri);
    let vendor = query.iter().find(|(n, _)| n == "vendor").map_or("", |(_, v)| v.as_str());
    match sandbox.desk(vendor) {
        Some(desk) => {
            let ledger = desk.vendor.ledger();
            Json(json!({"effects": ledger.effects_from(0), "counts": ledger.counts()})).into_response()
        }
        None => {
            let words = format!("ask with ?vendor= and one of {}", VENDORS.join(", "));
            (StatusCode::BAD_REQUEST, Json(json!({"error": words}))).into_response()
        }
    }
}

async fn clear_received(State(sandbox): State<Sandbox>) -> StatusCode {
    for desk in sandbox.vendors.iter() {
        desk.vendor.ledger().clear();
    }
    StatusCode::NO_CONTENT
}
