//! BigCommerce: v2 orders, v3 customers, catalogue and hooks of one store. v2 answers bare arrays and 204 where there is
//! nothing; v3 wraps in `data` and `meta`. Facts from its pages on rate limits and webhooks, and from public clients.
//!
//! Kinds of records: `orders` (v2), `order_products` (v2, by `order_id`), `customers`, `products`, `hooks` (v3).

use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Value, json};

use super::call::{Answer, Call, Verdict};
use super::faults::{Fault, Kind};
use super::received::{Ledger, lock};
use super::records::{Records, Row, Shape, Times};
use super::stamp::{self, Stamp};
use super::window::Fixed;
use super::{Options, Vendor};

/// The store's code in paths.
const STORE: &str = "/stores/sandbox/";
/// 150 calls in 30 seconds on Standard and Plus (number unverified).
const CALLS: (u32, i64) = (150, 30_000);
/// Records in a page: usual and most.
const PAGE: (usize, usize) = (50, 250);
/// A date without a zone is the store's own time: six hours behind UTC here (unverified).
const BEFORE_UTC: i64 = 6 * 3_600_000;

/// The simulated store.
pub(super) struct Bigcommerce {
    options: Arc<Options>,
    ledger: Ledger,
    records: Records,
    calls: Mutex<Fixed>,
}

fn shape(kind: &str) -> Option<Shape> {
    let new_id = |n: u64| (90_000 + n).into();
    let (created, modified): (Times, Times) = match kind {
        "orders" => (&[("/date_created", Stamp::Rfc2822)], &[("/date_modified", Stamp::Rfc2822)]),
        "customers" | "products" => (&[("/date_created", Stamp::Zulu)], &[("/date_modified", Stamp::Zulu)]),
        "order_products" | "hooks" => (&[], &[]),
        _ => return None,
    };
    Some(Shape { id: "/id", new_id, created, modified })
}

/// v2 or v3: they differ in every answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    V2,
    V3,
}

impl Vendor for Bigcommerce {
    fn answer(&self, call: &Call) -> Answer {
        let path = call.path.strip_prefix(STORE).unwrap_or("");
        let (api, path) = match path.split_once('/') {
            Some(("v2", rest)) => (Api::V2, rest),
            Some(("v3", rest)) => (Api::V3, rest),
            _ => return Api::V3.error(404, "The requested resource was not found."),
        };
        let token = call.header("x-auth-token");
        if token != self.options.api_key {
            let words = if token.is_empty() { "X-Auth-Token header is required" } else { "Unauthorized" };
            return api.error(401, words);
        }
        let mut calls = lock(&self.calls);
        if self.options.limits && !calls.has_room(call.at) {
            let answer = api.error(429, "Too many requests").with(Verdict::Throttled);
            return with_window(answer, &mut calls, call.at);
        }
        calls.count(call.at);
        drop(calls);
        let answer = match (path, &call.method, api) {
            ("store", &Method::GET, Api::V2) => Answer::json(200, &store()),
            ("orders", &Method::GET, Api::V2) => self.orders(call),
            ("customers", &Method::GET, Api::V3) => self.list(call, "customers"),
            ("catalog/products", &Method::GET, Api::V3) => self.list(call, "products"),
            ("hooks", &Method::GET, Api::V3) => self.list(call, "hooks"),
            ("hooks", &Method::POST, Api::V3) => self.create_hook(call),
            _ => match (path.split_once('/'), api) {
                (Some(("hooks", id)), Api::V3) => self.hook(call, id),
                (Some(("orders", rest)), Api::V2) if call.method == Method::GET => self.order(call, rest),
                (Some(("catalog", rest)), Api::V3) if call.method == Method::GET => {
                    match rest.strip_prefix("products/").and_then(|id| self.records.find("products", id)) {
                        Some(row) => Answer::json(200, &json!({"data": row.body, "meta": {}})),
                        None => api.error(404, "The requested resource was not found."),
                    }
                }
                _ => api.error(404, "The requested resource was not found."),
            },
        };
        with_window(answer, &mut lock(&self.calls), call.at)
    }

    fn failure(&self, call: &Call, fault: &Fault) -> Answer {
        let api = if call.path.contains("/v2/") { Api::V2 } else { Api::V3 };
        let answer = match (fault.kind, fault.status()) {
            (Kind::RevokeScope, _) => api.error(403, "You don't have a required scope to access the endpoint"),
            (_, 401) => api.error(401, "Unauthorized"),
            (_, 429) => api.error(429, "Too many requests").with(Verdict::Throttled),
            (_, status) => {
                api.error(status, "The store has encountered an operation error and is unable to complete the request.")
            }
        };
        match fault.retry_after {
            Some(seconds) => answer.header("x-rate-limit-time-reset-ms", seconds.saturating_mul(1_000)),
            None => answer,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
    fn records(&self) -> &Records {
        &self.records
    }
}

impl Bigcommerce {
    /// An empty store.
    pub fn new(options: Arc<Options>) -> Self {
        let ledger = Ledger::new(options.bodies);
        let calls = Mutex::new(Fixed::new(CALLS.0, CALLS.1));
        Self { options, ledger, records: Records::new(shape), calls }
    }

    /// `GET /v2/orders`. Names of filters that it does not know are ignored, and then everything comes.
    fn orders(&self, call: &Call) -> Answer {
        if !call.header("accept").contains("json") && !call.header("accept").contains("*/*") {
            // Without a word for JSON, v2 may answer XML.
            let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><orders></orders>".to_owned();
            return Answer { body, content_type: "application/xml", ..Answer::empty(200) };
        }
        let (page, size) = match page(call) {
            Ok(both) => both,
            Err(name) => return Api::V2.error(400, &format!("The field '{name}' is invalid.")),
        };
        let bounds = match (date(call, "min_date_modified"), date(call, "max_date_modified")) {
            (Ok(min), Ok(max)) => (min, max),
            (Err(name), _) | (_, Err(name)) => return Api::V2.error(400, &format!("The field '{name}' is invalid.")),
        };
        // Both bounds are inclusive.
        let until = bounds.1.map_or(i64::MAX, |at| at.saturating_add(1));
        let mut rows = self.records.between("orders", bounds.0.unwrap_or(i64::MIN), until, call.at);
        let has =
            |row: &Row, name: &str, value: &str| row.body.get(name).map(Value::to_string).as_deref() == Some(value);
        for name in ["status_id", "customer_id", "is_deleted"] {
            if let Some(wanted) = call.param(name) {
                rows.retain(|r| has(r, name, wanted));
            }
        }
        let sort = call.param("sort").unwrap_or("id:asc");
        let (field, direction) = sort.split_once(':').unwrap_or((sort, "asc"));
        match field {
            "date_modified" => rows.sort_by_key(|r| (r.modified, r.number)),
            "date_created" => rows.sort_by_key(|r| (r.created, r.number)),
            _ => rows.sort_by_key(|r| r.number),
        }
        if direction == "desc" {
            rows.reverse();
        }
        let rows = cut(rows, if call.is_stuck { 1 } else { page }, size);
        self.records.note("orders", &call.asked(), &rows, call.at);
        bare(&rows)
    }

    /// `/v2/orders/{id}` and its lines.
    fn order(&self, call: &Call, rest: &str) -> Answer {
        let (id, part) = rest.split_once('/').map_or((rest, None), |(id, part)| (id, Some(part)));
        let Some(order) = self.records.find("orders", id).filter(|r| r.visible <= call.at) else {
            return Api::V2.error(404, "The requested resource was not found.");
        };
        match part {
            None => Answer::json(200, &order.body),
            Some("products") => {
                let mut rows = self.records.all("order_products", call.at);
                rows.retain(|r| r.body.get("order_id").map(Value::to_string).as_deref() == Some(id));
                let (page, size) = page(call).unwrap_or((1, PAGE.0));
                bare(&cut(rows, page, size))
            }
            Some("shipping_addresses" | "coupons") => Answer::empty(204),
            Some(_) => Api::V2.error(404, "The requested resource was not found."),
        }
    }

    /// A v3 list.
    fn list(&self, call: &Call, kind: &str) -> Answer {
        let invalid = |name: &str| Api::V3.error(422, &format!("The filter '{name}' is invalid."));
        let (page, size) = match page(call) {
            Ok(both) => both,
            Err(name) => return invalid(name),
        };
        let bounds =
            ["date_modified:min", "date_modified:max", "date_created:min", "date_created:max"].map(|n| date(call, n));
        let [Ok(min), Ok(max), Ok(created_min), Ok(created_max)] = bounds else { return invalid("date") };
        let until = max.map_or(i64::MAX, |at: i64| at.saturating_add(1));
        let mut rows = self.records.between(kind, min.unwrap_or(i64::MIN), until, call.at);
        rows.retain(|r| created_min.is_none_or(|at| r.created >= at) && created_max.is_none_or(|at| r.created <= at));
        if let Some(ids) = call.param("id:in") {
            rows.retain(|r| ids.split(',').any(|id| id == r.id));
        }
        if let Some(emails) = call.param("email:in") {
            rows.retain(|r| emails.split(',').any(|e| r.body.get("email").and_then(Value::as_str) == Some(e)));
        }
        match (call.param("sort").unwrap_or("id"), call.param("direction")) {
            ("date_modified" | "date_modified:asc" | "last_modified", None | Some("asc")) => {}
            ("date_modified:desc", _) | ("date_modified", _) => rows.reverse(),
            ("date_created" | "date_created:asc", _) => rows.sort_by_key(|r| (r.created, r.number)),
            _ => rows.sort_by_key(|r| r.number),
        }
        let total = rows.len();
        let pages = total.div_ceil(size).max(usize::from(call.is_stuck) * (page + 1));
        let rows = cut(rows, if call.is_stuck { 1 } else { page }, size);
        self.records.note(kind, &call.asked(), &rows, call.at);
        let data: Vec<&Value> = rows.iter().map(|r| &r.body).collect();
        let pagination = json!({
            "total": total, "count": rows.len(), "per_page": size, "current_page": page, "total_pages": pages,
            "links": {"current": format!("?page={page}&limit={size}")},
        });
        Answer::json(200, &json!({"data": data, "meta": {"pagination": pagination}}))
    }

    /// `POST /v3/hooks`. A hook is off unless `is_active` says otherwise (older text of the vendor).
    fn create_hook(&self, call: &Call) -> Answer {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("");
        if !text("scope").starts_with("store/") {
            return Api::V3.error(422, "The scope is invalid.");
        }
        if !text("destination").starts_with("https://") {
            return Api::V3.error(422, "The destination must be an https URL.");
        }
        let seconds = call.at.div_euclid(1_000);
        let hook = json!({
            "client_id": "sandbox", "store_hash": "sandbox", "scope": text("scope"), "destination": text("destination"),
            "headers": body.get("headers").cloned().unwrap_or(json!({})), "is_active": body.get("is_active") == Some(&true.into()),
            "created_at": seconds, "updated_at": seconds, "events_history_enabled": false,
        });
        match self.records.put("hooks", hook, call.at, i64::MIN).map(|id| self.records.find("hooks", &id)) {
            Ok(Some(row)) => Answer::json(200, &json!({"data": row.body, "meta": {}})),
            _ => Api::V3.error(422, "The hook is invalid."),
        }
    }

    /// One hook: read, changed, deleted.
    fn hook(&self, call: &Call, id: &str) -> Answer {
        let Some(row) = self.records.find("hooks", id) else {
            return Api::V3.error(404, "The requested resource was not found.");
        };
        match call.method {
            Method::GET => Answer::json(200, &json!({"data": row.body, "meta": {}})),
            Method::DELETE => {
                self.records.remove("hooks", id);
                Answer::json(200, &json!({"data": row.body, "meta": {}}))
            }
            Method::PUT => {
                let patch = serde_json::from_slice::<Value>(&call.body).unwrap_or(Value::Null);
                let changed = self.records.change("hooks", id, patch, call.at).map(|()| self.records.find("hooks", id));
                match changed {
                    Ok(Some(row)) => Answer::json(200, &json!({"data": row.body, "meta": {}})),
                    _ => Api::V3.error(422, "The hook is invalid."),
                }
            }
            _ => Api::V3.error(405, "Method not allowed"),
        }
    }
}

impl Api {
    /// An error in this version's form.
    fn error(self, status: u16, words: &str) -> Answer {
        let body = match self {
            Self::V2 => json!([{"status": status, "message": words, "details": {}}]),
            Self::V3 => json!({
                "status": status, "title": words, "errors": {},
                "type": "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes",
            }),
        };
        Answer::json(status, &body).with(Verdict::Refused)
    }
}

/// Every answer tells the window; its reset is milliseconds from now, no clock time.
fn with_window(answer: Answer, calls: &mut Fixed, now: i64) -> Answer {
    answer
        .header("x-rate-limit-time-window-ms", CALLS.1)
        .header("x-rate-limit-requests-quota", calls.limit())
        .header("x-rate-limit-requests-left", calls.left(now))
        .header("x-rate-limit-time-reset-ms", CALLS.1 - now.rem_euclid(CALLS.1))
}

/// Page from 1, and its size.
fn page(call: &Call) -> Result<(usize, usize), &'static str> {
    let number = |name: &'static str, usual: usize| call.param(name).map_or(Ok(usual), |v| v.parse().map_err(|_| name));
    let (page, size) = (number("page", 1)?, number("limit", PAGE.0)?);
    if page == 0 {
        return Err("page");
    }
    // More than the most gives the most.
    if size == 0 { Err("limit") } else { Ok((page, size.min(PAGE.1))) }
}

fn date<'a>(call: &Call, name: &'a str) -> Result<Option<i64>, &'a str> {
    // A plus that was not encoded reads as a blank.
    match call.param(name) {
        None => Ok(None),
        Some(text) => {
            let read = stamp::read(text, BEFORE_UTC).or_else(|| stamp::read(&text.replace(' ', "+"), BEFORE_UTC));
            read.map(Some).ok_or(name)
        }
    }
}

fn cut(mut rows: Vec<Arc<Row>>, page: usize, size: usize) -> Vec<Arc<Row>> {
    rows.drain(..(page - 1).saturating_mul(size).min(rows.len()));
    rows.truncate(size);
    rows
}

/// v2's list: 204 without a body where there is nothing.
fn bare(rows: &[Arc<Row>]) -> Answer {
    if rows.is_empty() {
        return Answer::empty(204);
    }
    let bodies: Vec<&Value> = rows.iter().map(|r| &r.body).collect();
    Answer::json(200, &json!(bodies))
}

/// `GET /v2/store`.
fn store() -> Value {
    json!({
        "id": "sandbox", "domain": "shop.example", "secure_url": "https://shop.example", "name": "Sandbox",
        "currency": "EUR", "timezone": {"name": "Etc/GMT+6", "raw_offset": -21_600}, "plan_name": "Standard",
    })
}
