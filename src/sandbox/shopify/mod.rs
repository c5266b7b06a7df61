//! Shopify: the Admin GraphQL API as a client that pulls uses it, tokens by client credentials, and subscriptions to
//! webhooks. Facts from the vendor's pages on rate limits, versioning and webhooks of 2026; what it says in words is
//! partly unverified.
//!
//! Kinds of records: `orders`, `customers`, `products`, `abandonedCheckouts`, `webhookSubscriptions`, in the shape of
//! GraphQL with the lists as `{"nodes": […]}`.

/// What a query costs.
mod cost;
/// Operations and their fields.
mod graphql;
/// The text of `query:`.
mod search;
/// Which fields are shown.
mod select;
/// Subscriptions to webhooks.
mod subscriptions;

use std::sync::{Arc, Mutex};

use axum::http::Method;
use base64::Engine;
use serde_json::{Map, Value, json};

use super::bucket::Bucket;
use super::call::{Answer, Call, Verdict, call_id};
use super::faults::{Fault, Kind};
use super::received::{Ledger, key, lock};
use super::records::{Records, Row, Shape, Times};
use super::stamp::Stamp;
use super::{Options, Vendor, made_up};
use graphql::{Field, Operation};
use search::Search;
use select::Wrong;

/// Points in the bucket and points that come back each second on a Standard plan (page on rate limits).
const POINTS: (i64, i64) = (2_000, 100);
/// Life of a token by client credentials: 24 hours.
const LIFE: i64 = 86_400_000;
/// Records in a page.
const PAGE: u64 = 250;
/// The oldest version served; older ones fall forward to it (page on versioning).
const OLDEST: &str = "2025-10";

/// The simulated shop.
pub(super) struct Shopify {
    options: Arc<Options>,
    ledger: Ledger,
    records: Records,
    state: Mutex<Memory>,
}

struct Memory {
    bucket: Bucket,
    /// Tokens by client credentials, with their ends.
    tokens: Vec<(String, i64)>,
    count: u64,
}

const CREATED: Times = &[("/createdAt", Stamp::Zulu)];
const UPDATED: Times = &[("/updatedAt", Stamp::Zulu)];

fn shape(kind: &str) -> Option<Shape> {
    let new_id: fn(u64) -> Value = match kind {
        "orders" => |n| format!("gid://shopify/Order/{}", 8_000_000 + n).into(),
        "customers" => |n| format!("gid://shopify/Customer/{}", 8_000_000 + n).into(),
        "products" => |n| format!("gid://shopify/Product/{}", 8_000_000 + n).into(),
        "abandonedCheckouts" => |n| format!("gid://shopify/AbandonedCheckout/{}", 8_000_000 + n).into(),
        "webhookSubscriptions" => |n| format!("gid://shopify/WebhookSubscription/{}", 892_403_750 + n).into(),
        _ => return None,
    };
    Some(Shape { id: "/id", new_id, created: CREATED, modified: UPDATED })
}

/// The kind behind a root field, the object that knows its fields, and its keys of sorting.
fn connection(name: &str) -> Option<(Value, &'static [&'static str])> {
    Some(match name {
        "orders" => {
            let mut order = made_up::shopify::order(1, 0);
            let lists =
                [("refunds", made_up::shopify::refund(1, 1, 0)), ("fulfillments", made_up::shopify::fulfillment(1, 0))];
            for (list, one) in lists {
                super::records::set(&mut order, &format!("/{list}"), json!([one]));
            }
            (order, &["CREATED_AT", "ID", "ORDER_NUMBER", "PROCESSED_AT", "TOTAL_PRICE", "UPDATED_AT", "RELEVANCE"])
        }
        "customers" => {
            (made_up::shopify::customer(1, 0), &["CREATED_AT", "ID", "LOCATION", "NAME", "RELEVANCE", "UPDATED_AT"])
        }
        "products" => (
            made_up::shopify::product(1, 0),
            &[
                "CREATED_AT",
                "ID",
                "INVENTORY_TOTAL",
                "PRODUCT_TYPE",
                "PUBLISHED_AT",
                "RELEVANCE",
                "TITLE",
                "UPDATED_AT",
                "VENDOR",
            ],
        ),
        // Has no UPDATED_AT (vendor page on AbandonedCheckoutSortKeys).
        "abandonedCheckouts" => (
            made_up::shopify::abandoned_checkout(1, 0),
            &["CHECKOUT_ID", "CREATED_AT", "CUSTOMER_NAME", "ID", "RELEVANCE", "TOTAL_PRICE"],
        ),
        "webhookSubscriptions" => (subscriptions::sample(), &["CREATED_AT", "ID"]),
        _ => return None,
    })
}

impl Vendor for Shopify {
    fn answer(&self, call: &Call) -> Answer {
        if call.path == "/admin/oauth/access_token" {
            return self.issue(call);
        }
        let version = call.path.strip_prefix("/admin/api/").and_then(|p| p.strip_suffix("/graphql.json"));
        let Some(version) = version.filter(|v| is_version(v)) else {
            return plain(404, "Not Found");
        };
        if call.method != Method::POST {
            return plain(405, "Method Not Allowed");
        }
        if !self.lets_in(call) {
            return plain(401, "[API] Invalid API key or access token (unrecognized login or wrong password)");
        }
        if !call.has_type(&["application/json"]) {
            return plain(415, "Unsupported Media Type");
        }
        let Ok(body) = serde_json::from_slice::<Value>(&call.body) else {
            return plain(400, "The request body is not valid JSON");
        };
        let served = if version < OLDEST { OLDEST } else { version };
        self.run(call, &body).header("x-shopify-api-version", served)
    }

    fn failure(&self, call: &Call, fault: &Fault) -> Answer {
        let answer = match (fault.kind, fault.status()) {
            (Kind::RevokeScope, _) => {
                let words = "Access denied for this field. Required access: a scope that was revoked.";
                errors(200, words, "ACCESS_DENIED")
            }
            (Kind::ErrorInside, _) => {
                let words = format!(
                    "Internal error. Looks like something went wrong on our end.\nRequest ID: {}",
                    call_id(call, "internal")
                );
                errors(200, &words, "INTERNAL_SERVER_ERROR")
            }
            (_, 429) => plain(429, "Exceeded rate limit").with(Verdict::Throttled),
            (_, 401) => plain(401, "[API] Invalid API key or access token (unrecognized login or wrong password)"),
            (_, status) => plain(status, "Internal Server Error"),
        };
        match fault.retry_after {
            Some(seconds) => answer.header("retry-after", format!("{seconds}.0")),
            None => answer,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
    fn records(&self) -> &Records {
        &self.records
    }
    fn put(&self, kind: &str, record: Value, now: i64, visible: i64) -> Result<String, String> {
        let id = self.records.put(kind, record, now, visible)?;
        // The number at the end of the gid, where a test did not write it.
        let number = id.rsplit('/').next().unwrap_or("").to_owned();
        if let Some(row) = self.records.find(kind, &id)
            && row.body.get("legacyResourceId").is_none()
        {
            let mut body = row.body.clone();
            super::records::set(&mut body, "/legacyResourceId", number.into());
            self.records.put(kind, body, now, visible)?;
        }
        Ok(id)
    }
    fn revoke(&self) {
        lock(&self.state).tokens.clear();
    }
}

impl Shopify {
    /// An empty shop.
    pub fn new(options: Arc<Options>) -> Self {
        let state = Memory { bucket: Bucket::new(POINTS.0, POINTS.1), tokens: Vec::new(), count: 0 };
        let ledger = Ledger::new(options.bodies);
        Self { options, ledger, records: Records::new(shape), state: Mutex::new(state) }
    }

    /// Client credentials, as a form or as JSON. Each call gives a new token; older ones go on until their end.
    fn issue(&self, call: &Call) -> Answer {
        let json: Value = serde_json::from_slice(&call.body).unwrap_or(Value::Null);
        let form = call.form();
        let field = |name: &str| {
            let in_form = form.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
            json.get(name).and_then(Value::as_str).or(in_form).unwrap_or("")
        };
        let failed = |status, error: &str, words: &str| {
            Answer::json(status, &json!({"error": error, "error_description": words})).with(Verdict::Refused)
        };
        if call.method != Method::POST {
            return failed(405, "invalid_request", "Use POST");
        }
        if field("grant_type") != "client_credentials" {
            return failed(400, "unsupported_grant_type", "The grant type is not supported");
        }
        if field("client_id") != self.options.client_id || field("client_secret") != self.options.api_key {
            return failed(401, "invalid_client", "Client authentication failed");
        }
        let mut memory = lock(&self.state);
        memory.count += 1;
        let token = format!("shpat_{:032x}", key(&[b"shopify", &memory.count.to_le_bytes(), &call.at.to_le_bytes()]));
        memory.tokens.retain(|(_, end)| *end > call.at);
        memory.tokens.push((token.clone(), call.at.saturating_add(LIFE)));
        let scope = "read_orders,read_all_orders,read_customers,read_products";
        Answer::json(200, &json!({"access_token": token, "scope": scope, "expires_in": LIFE / 1_000 - 1}))
    }

    /// A token of the shop's own app, or one by client credentials before its end.
    fn lets_in(&self, call: &Call) -> bool {
        let given = call.header("x-shopify-access-token");
        given == self.options.api_key
            || lock(&self.state).tokens.iter().any(|(token, end)| token == given && *end > call.at)
    }

    /// One operation: its price first, then its fields.
    fn run(&self, call: &Call, body: &Value) -> Answer {
        let text = body.get("query").and_then(Value::as_str).unwrap_or("");
        let variables = body.get("variables").unwrap_or(&Value::Null);
        let operation = match graphql::parse(text, variables) {
            Ok(operation) => operation,
            Err(words) => return errors(200, &words, "syntaxError"),
        };
        let requested = if operation.is_mutation { 10 } else { cost::requested(&operation.fields) };
        if requested > cost::MOST {
            let words =
                format!("Query cost is {requested}, which exceeds the single query max cost limit ({}).", cost::MOST);
            return errors(200, &words, "MAX_COST_EXCEEDED");
        }
        if self.options.limits && !lock(&self.state).bucket.take(requested, call.at) {
            let throttled = json!({"message": "Throttled", "extensions": {
                "code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"}});
            let body = json!({"errors": [throttled], "extensions": {"cost": self.cost(call, requested, None)}});
            return Answer::json(200, &body).with(Verdict::Throttled);
        }
        let mut warnings = Vec::new();
        let done = self.fields(call, &operation, &mut warnings);
        let used = done.as_ref().map_or(0, |(_, used)| (*used).min(requested));
        if self.options.limits {
            lock(&self.state).bucket.give(requested - used);
        }
        match done {
            Ok((data, used)) => {
                let mut extensions = json!({"cost": self.cost(call, requested, Some(used.min(requested)))});
                if !warnings.is_empty() {
                    super::records::set(&mut extensions, "/search", warnings.into());
                }
                Answer::json(200, &json!({"data": data, "extensions": extensions}))
            }
            Err((words, code)) => errors(200, &words, code),
        }
    }

    fn cost(&self, call: &Call, requested: i64, actual: Option<i64>) -> Value {
        let mut memory = lock(&self.state);
        let available = memory.bucket.level(call.at);
        json!({"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": {
            "maximumAvailable": memory.bucket.size() as f64, "currentlyAvailable": available,
            "restoreRate": memory.bucket.rate() as f64,
        }})
    }

    /// The data, and what it cost.
    fn fields(&self, call: &Call, operation: &Operation, warnings: &mut Vec<Value>) -> Result<(Value, i64), Wrong> {
        let mut data = Map::new();
        let mut used = 0;
        for field in &operation.fields {
            let value = if operation.is_mutation {
                used += 10;
                self.mutate(call, field)?
            } else if field.name == "shop" {
                used += 1;
                let shop = json!({
                    "id": "gid://shopify/Shop/1", "name": "Sandbox", "myshopifyDomain": "sandbox.myshopify.com",
                    "currencyCode": "EUR", "ianaTimezone": "Europe/Lisbon", "email": "shop@example.com",
                    "plan": {"displayName": "Development", "partnerDevelopment": true},
                    "primaryDomain": {"host": "shop.example", "url": "https://shop.example"},
                });
                select::select(&field.fields, &shop, &shop, "Shop")?
            } else if let Some((schema, keys)) = connection(&field.name) {
                let (value, records) = self.list(call, field, &schema, keys, warnings)?;
                used += cost::actual(field, records);
                value
            } else if let Some((schema, _)) = connection(&format!("{}s", field.name)) {
                used += 1;
                let id = field.argument("id").and_then(Value::as_str).unwrap_or("");
                let row = self.records.find(&format!("{}s", field.name), id).filter(|r| r.visible <= call.at);
                let shown =
                    select::select(&field.fields, row.as_ref().map_or(&schema, |r| &r.body), &schema, &field.name)?;
                if row.is_some() { shown } else { Value::Null }
            } else {
                return Err((format!("Field '{}' doesn't exist on type 'QueryRoot'", field.name), "undefinedField"));
            };
            data.insert(field.alias.clone(), value);
        }
        Ok((data.into(), used))
    }

    /// A page of a connection, and how many records it has.
    fn list(
        &self,
        call: &Call,
        field: &Field,
        schema: &Value,
        keys: &[&str],
        warnings: &mut Vec<Value>,
    ) -> Result<(Value, usize), Wrong> {
        let invalid = |words: String| (words, "argumentLiteralsIncompatible");
        let first = field.argument("first").and_then(Value::as_u64).unwrap_or(0);
        if first == 0 {
            return Err(("you must provide one of first or last".to_owned(), "BAD_REQUEST"));
        }
        if first > PAGE {
            return Err(("first cannot exceed 250".to_owned(), "BAD_REQUEST"));
        }
        let sort = field.argument("sortKey").and_then(Value::as_str).unwrap_or("ID");
        if !keys.contains(&sort) {
            return Err(invalid(format!("Argument 'sortKey' on Field '{}' has an invalid value ({sort})", field.name)));
        }
        let is_reverse = field.argument("reverse").and_then(Value::as_bool).unwrap_or(false);
        let text = field.argument("query").and_then(Value::as_str).unwrap_or("");
        let search = Search::read(text).map_err(|words| (words, "BAD_REQUEST"))?;
        let (from, until) = search.window();
        let mut rows = self.records.between(&field.name, from, until, call.at);
        rows.retain(|row| search.fits(row));
        let order = |row: &Row| match sort {
            "UPDATED_AT" => (row.modified, row.number),
            "CREATED_AT" | "PROCESSED_AT" => (row.created, row.number),
            _ => (0, row.number),
        };
        rows.sort_by_key(|row| order(row));
        if is_reverse {
            rows.reverse();
        }
        if let Some(after) = field.argument("after").and_then(Value::as_str) {
            let words = || ("Invalid cursor for current pagination sort.".to_owned(), "INVALID_CURSOR");
            let last = read_cursor(after, sort).ok_or_else(words)?;
            rows.retain(|row| if is_reverse { order(row) < last } else { order(row) > last });
        }
        let has_more = rows.len() as u64 > first || call.is_stuck;
        rows.truncate(usize::try_from(first).unwrap_or(250));
        self.records.note(&field.name, text, &rows, call.at);
        if !search.warnings.is_empty() {
            warnings.push(json!({"path": [field.alias], "query": text, "warnings": search.warnings}));
        }
        let stuck = field.argument("after").and_then(Value::as_str).map(str::to_owned);
        let cursor = |n: usize| {
            let at = rows.get(n).map_or((0, 0), |row| order(row));
            // Stuck, the page's end is where it began.
            if call.is_stuck {
                stuck.clone().unwrap_or_else(|| write_cursor((i64::MIN, 0), sort))
            } else {
                write_cursor(at, sort)
            }
        };
        let bodies: Vec<&Value> = rows.iter().map(|r| &r.body).collect();
        let page = select::connection(field, &bodies, schema, has_more, &cursor)?;
        Ok((page, rows.len()))
    }
}

/// Opaque on purpose: JSON in base64, as the vendor's are.
fn write_cursor((value, id): (i64, u64), sort: &str) -> String {
    let text = json!({"last_id": id, "last_value": value, "sort": sort}).to_string();
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn read_cursor(cursor: &str, sort: &str) -> Option<(i64, u64)> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(cursor).ok()?;
    let read: Value = serde_json::from_slice(&bytes).ok()?;
    let is_same = read.get("sort").and_then(Value::as_str) == Some(sort);
    is_same.then_some((read.get("last_value")?.as_i64()?, read.get("last_id")?.as_u64()?))
}

/// `2026-07`, or `unstable`.
fn is_version(text: &str) -> bool {
    text == "unstable"
        || (text.len() == 7
            && text
                .split_once('-')
                .is_some_and(|(year, month)| year.parse::<u16>().is_ok() && matches!(month, "01" | "04" | "07" | "10")))
}

/// Errors outside GraphQL: one text.
fn plain(status: u16, words: &str) -> Answer {
    Answer::json(status, &json!({"errors": words})).with(Verdict::Refused)
}

/// Errors within GraphQL: HTTP 200 and no data.
fn errors(status: u16, words: &str, code: &str) -> Answer {
    Answer::json(status, &json!({"errors": [{"message": words, "extensions": {"code": code}}]})).with(Verdict::Refused)
}
