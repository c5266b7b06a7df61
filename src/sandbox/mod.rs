//! Simulated vendors as one router, in memory: the platforms that send mail, and the shops and CRMs that are read.
//! They refuse what the vendors would refuse, drop the repeats that the vendors drop, and fail on demand. They call
//! nobody, and share no code with what they test.
//!
//! Each vendor is a pure state machine from [`Call`] to [`Answer`]; this file is the only one that waits.

/// BigCommerce's orders, customers, products and hooks.
mod bigcommerce;
/// Points that come back at a steady rate.
mod bucket;
/// A call and its answer as values.
mod call;
/// What goes wrong on demand.
mod faults;
/// What tests put in and ask for.
mod held;
/// HubSpot's contacts and custom events, its CRM search and e-mail events.
mod hubspot;
/// Klaviyo's events and profiles.
mod klaviyo;
/// Lists and who is in them.
mod lists;
/// Made-up records in each vendor's form.
pub mod made_up;
/// Magento's orders, customers, carts and products.
mod magento;
/// Marketo's leads and activities.
mod marketo;
/// Effects and counts.
mod received;
/// Receivers of one kind of call.
mod receiver;
/// What accounts keep for who reads them.
mod records;
/// Salesforce's objects by SOQL.
mod salesforce;
/// Shopify's Admin GraphQL.
mod shopify;
/// Simulated visitors.
pub mod shoppers;
/// How vendors write instants.
mod stamp;
#[cfg(test)]
mod tests;
/// Quotas.
mod window;
/// WooCommerce's REST API.
mod woocommerce;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::{any, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::clock::SharedClock;
use call::{Answer, Call, Verdict};
use faults::{Fault, Faults, Kind};
use received::lock;
pub use received::{Counts, Effect};
pub use records::Read;
use stamp::Stamp;

/// The vendors that activations go to, as they are called in paths and faults.
pub const VENDORS: [&str; 3] = ["klaviyo", "hubspot", "marketo"];

/// Those that one kind of call serves, and any webhook.
pub const RECEIVERS: [&str; 3] = ["webhook", "brevo", "braze"];

/// The vendors that are only read.
pub const SOURCES: [&str; 5] = ["shopify", "woocommerce", "bigcommerce", "magento", "salesforce"];

/// Bodies above this are not even read.
const READ: usize = 32_000_000;

/// What the simulated accounts are like.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether quotas are kept. Benchmarks switch them off.
    pub limits: bool,
    /// The secret: Klaviyo's, Brevo's and Braze's key; HubSpot's, Shopify's, BigCommerce's and Magento's token; the client secret at
    /// Marketo, Shopify and Salesforce; WooCommerce's consumer secret.
    pub api_key: String,
    /// The client id at Marketo, Shopify and Salesforce; WooCommerce's and Magento's consumer key.
    pub client_id: String,
    /// HubSpot's account: event names begin with `pe{hub_id}_`.
    pub hub_id: u64,
    /// Marketo's one approved custom activity type.
    pub activity_type: u64,
    /// Custom activity types of events of their own, approved too.
    pub activity_types: Vec<u64>,
    /// Lists that each account has, by the vendor's id.
    pub lists: Vec<String>,
    /// Marketo's campaigns that can be requested, by number.
    pub campaigns: Vec<String>,
    /// Calls that Salesforce allows in 24 hours.
    pub daily_calls: u32,
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
            activity_types: vec![100_002],
            lists: vec!["UwQxX4".to_owned(), "1044".to_owned()],
            campaigns: vec!["3712".to_owned()],
            daily_calls: 100_000,
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
    /// What it gives to who reads.
    fn records(&self) -> &records::Records;
    /// Puts a record in; see [`records::Records::put`].
    fn put(&self, kind: &str, record: Value, now: i64, visible: i64) -> Result<String, String> {
        self.records().put(kind, record, now, visible)
    }
    /// What it accepted under this id is lost: its own record does not show it. False when there is none.
    fn lose(&self, id: &str) -> bool {
        self.ledger().lose(id)
    }
    /// Tokens that it issued are dead from now on.
    fn revoke(&self) {}
}

/// The simulated vendors. Clones share everything.
#[derive(Clone)]
pub struct Sandbox {
    clock: SharedClock,
    faults: Arc<Faults>,
    desks: Vec<Arc<Desk>>,
}

/// An account with the calls that wait at it.
struct Desk {
    /// As it is called in paths, faults and by tests.
    name: String,
    /// Which vendor's it is.
    kind: &'static str,
    vendor: Box<dyn Vendor>,
    in_progress: AtomicUsize,
    /// The newest good answer, for the fault that repeats it.
    last: Mutex<Option<Answer>>,
}

impl Sandbox {
    /// One empty account at each vendor, called as the vendor is; all go by `clock`.
    pub fn new(clock: SharedClock, options: Options) -> Self {
        let mut sandbox = Self::empty(clock);
        for kind in VENDORS.into_iter().chain(RECEIVERS).chain(SOURCES) {
            sandbox.desks.extend(desk(kind, kind, options.clone()));
        }
        sandbox
    }

    /// No account yet: for those that [`Self::open`] adds.
    pub fn empty(clock: SharedClock) -> Self {
        Self { clock, faults: Arc::default(), desks: Vec::new() }
    }

    /// Adds an empty account at `vendor`, reached below `/{account}/`. Before the router is made, and before clones.
    ///
    /// Fails when there is no such vendor, or the name is taken or no part of a path.
    pub fn open(mut self, account: &str, vendor: &str, options: Options) -> Result<Self, String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if account.is_empty() || !account.chars().all(is_name) || matches!(account, "_sandbox" | "services") {
            return Err(format!("`{account}` cannot be an account: use letters, digits, `-`, `_` and `.`"));
        }
        if self.desk(account).is_some() {
            return Err(format!("there is an account `{account}` already"));
        }
        let new = desk(account, vendor, options).ok_or_else(|| format!("`{vendor}` is not a vendor"))?;
        self.desks.push(new);
        Ok(self)
    }

    /// All vendors, each below its name, and `/_sandbox/…` to look at them and to order faults.
    pub fn router(&self) -> Router {
        let mut router = Router::new()
            .route("/_sandbox/faults", post(add_fault).delete(clear_faults))
            .route("/_sandbox/received", axum::routing::get(show_received).delete(clear_received));
        let mut is_rooted = false;
        for desk in &self.desks {
            let place = Arc::clone(desk);
            let door = move |State(sandbox): State<Self>, request: Request| {
                let desk = Arc::clone(&place);
                async move { sandbox.serve(&desk, request).await }
            };
            router = router.route(&format!("/{}/{{*path}}", desk.name), any(door.clone()));
            // Salesforce's next page is named from the root of its host, where no other account is.
            if desk.kind == "salesforce" && !is_rooted {
                is_rooted = true;
                router = router.route("/services/{*path}", any(door));
            }
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

    /// `vendor` loses what it accepted under this id, as [`Effect::id`] says it; false when there is none.
    pub fn lose(&self, vendor: &str, id: &str) -> bool {
        self.desk(vendor).is_some_and(|d| d.vendor.lose(id))
    }

    /// What `vendor` counted; zeros for an unknown vendor.
    pub fn counts(&self, vendor: &str) -> Counts {
        self.desk(vendor).map(|d| d.vendor.ledger().counts()).unwrap_or_default()
    }

    fn desk(&self, vendor: &str) -> Option<&Desk> {
        self.desks.iter().find(|d| d.name == vendor).map(AsRef::as_ref)
    }

    /// One call, with the fault that is due.
    async fn serve(&self, desk: &Desk, request: Request) -> Response<Body> {
        let place = Place::take(desk);
        let (head, body) = request.into_parts();
        let path =
            head.uri.path().strip_prefix('/').and_then(|p| p.strip_prefix(&desk.name)).unwrap_or(head.uri.path());
        let host = head.headers.get("host").and_then(|h| h.to_str().ok()).unwrap_or("127.0.0.1");
        let mut call = Call {
            method: head.method,
            path: path.trim_end_matches('/').to_owned(),
            query: pairs(&head.uri),
            base: format!("http://{host}/{}", desk.name),
            uri_bytes: head.uri.path_and_query().map_or(0, |p| p.as_str().len()),
            headers: head.headers,
            body: axum::body::Bytes::new(),
            at: 0,
            bad_record: false,
            is_stuck: false,
            in_progress: place.number,
        };
        let ledger = desk.vendor.ledger();
        ledger.open().counts.requests += 1;
        let Ok(body) = to_bytes(body, READ).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        call.body = body;
        let fault = self.faults.take(&desk.name, &call.method, &call.path);
        if let Some(f) = &fault
            && matches!(f.kind, Kind::Timeout | Kind::Slow)
        {
            self.wait(i64::from(f.delay_ms)).await;
        }
        call.at = self.clock.now().as_millis();
        let kind = fault.as_ref().map(|f| f.kind);
        if matches!(kind, Some(Kind::Timeout | Kind::Close)) {
            return call::cut();
        }
        let answer = match fault {
            Some(fault) => {
                let last = lock(&desk.last).clone();
                fault.answer(desk.vendor.as_ref(), &mut call, last)
            }
            None => desk.vendor.answer(&call),
        };
        if kind.is_none() && answer.verdict == Verdict::Accepted && !call.path.contains("oauth") {
            *lock(&desk.last) = Some(answer.clone());
        }
        match answer.verdict {
            Verdict::Accepted => {}
            Verdict::Refused => ledger.open().counts.refused += 1,
            Verdict::Throttled => ledger.open().counts.throttled += 1,
        }
        if kind == Some(Kind::CloseAfterAccept) {
            return call::cut();
        }
        let mut answer = answer.into_response();
        // Who reads learns how far our clock is from theirs by it.
        if let Some(Ok(date)) = Stamp::Rfc2822.write(call.at).as_str().map(HeaderValue::from_str) {
            answer.headers_mut().insert(header::DATE, date);
        }
        answer
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

/// An account at a vendor of this name.
fn desk(account: &str, vendor: &str, options: Options) -> Option<Arc<Desk>> {
    let kind = VENDORS.into_iter().chain(RECEIVERS).chain(SOURCES).find(|known| *known == vendor)?;
    let options = Arc::new(options);
    let vendor: Box<dyn Vendor> = match kind {
        "klaviyo" => Box::new(klaviyo::Klaviyo::new(options)),
        "hubspot" => Box::new(hubspot::Hubspot::new(options)),
        "marketo" => Box::new(marketo::Marketo::new(options)),
        "shopify" => Box::new(shopify::Shopify::new(options)),
        "woocommerce" => Box::new(woocommerce::Woocommerce::new(options)),
        "bigcommerce" => Box::new(bigcommerce::Bigcommerce::new(options)),
        "magento" => Box::new(magento::Magento::new(options)),
        "salesforce" => Box::new(salesforce::Salesforce::new(options)),
        other => Box::new(receiver::Account::new(other, options)?),
    };
    let (in_progress, last) = (AtomicUsize::new(0), Mutex::default());
    Some(Arc::new(Desk { name: account.to_owned(), kind, vendor, in_progress, last }))
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
    let fault = serde_json::from_str::<Value>(&body).map_err(|e| e.to_string());
    match fault.and_then(|f| sandbox.fault(f)) {
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
            let names: Vec<&str> = sandbox.desks.iter().map(|d| d.name.as_str()).collect();
            let words = format!("ask with ?vendor= and one of {}", names.join(", "));
            (StatusCode::BAD_REQUEST, Json(json!({"error": words}))).into_response()
        }
    }
}

async fn clear_received(State(sandbox): State<Sandbox>) -> StatusCode {
    for desk in &sandbox.desks {
        desk.vendor.ledger().clear();
        desk.vendor.records().forget_reads();
    }
    StatusCode::NO_CONTENT
}
