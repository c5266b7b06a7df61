//! Salesforce: objects by SOQL over REST, tokens by client credentials. Facts from the vendor's pages on the REST API and
//! from public clients; numbers are partly unverified.
//!
//! Kinds of records: any object by its API name (`Contact`, `Lead`, `Order`, `Cart__c`, …). An object knows the fields of
//! its made-up record and those of every record that was put in.

/// Queries.
mod soql;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Verdict};
use super::faults::{Fault, Kind};
use super::received::{Ledger, key, lock};
use super::records::{Records, Row, Shape, set};
use super::stamp::Stamp;
use super::window::Rolling;
use super::{Options, Vendor, made_up};
use crate::model::Timestamp;
use soql::Query;

/// Life of a session: two hours are usual (unverified).
const LIFE: i64 = 2 * 3_600_000;
/// Records in a page: usual and least that may be asked for.
const PAGE: (usize, usize) = (2_000, 200);
/// A cursor dies when nobody asks it for so long (old vendor text: 15 minutes).
const CURSOR_LIFE: i64 = 15 * 60_000;
/// Cursors open at a time; the oldest gives way.
const CURSORS: usize = 10;
/// Bytes of path and query.
const URI_BYTES: usize = 16_384;

/// The simulated org.
pub(super) struct Salesforce {
    options: Arc<Options>,
    ledger: Ledger,
    records: Records,
    state: Mutex<Memory>,
}

struct Memory {
    /// Sessions with their ends.
    sessions: Vec<(String, i64)>,
    /// Calls in 24 hours, of everybody in the org.
    calls: Rolling,
    count: u64,
    cursors: VecDeque<Cursor>,
}

/// A query whose later pages are still to come, as it was when it was asked.
struct Cursor {
    id: String,
    used: i64,
    object: String,
    rows: Vec<Arc<Row>>,
    shown: Vec<Value>,
    size: usize,
}

fn shape(kind: &str) -> Option<Shape> {
    let new_id: fn(u64) -> Value = match kind {
        "Contact" => |n| made_up::salesforce::id("003", 900_000 + n).into(),
        "Lead" => |n| made_up::salesforce::id("00Q", 900_000 + n).into(),
        "Account" => |n| made_up::salesforce::id("001", 900_000 + n).into(),
        "Opportunity" => |n| made_up::salesforce::id("006", 900_000 + n).into(),
        "Order" => |n| made_up::salesforce::id("801", 900_000 + n).into(),
        _ => |n| made_up::salesforce::id("a00", 900_000 + n).into(),
    };
    let is_name = kind.starts_with(|c: char| c.is_ascii_uppercase())
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some(Shape {
        id: "/Id",
        new_id,
        created: &[("/CreatedDate", Stamp::NoColon)],
        modified: &[("/SystemModstamp", Stamp::NoColon), ("/LastModifiedDate", Stamp::NoColon)],
    })
}

impl Vendor for Salesforce {
    fn answer(&self, call: &Call) -> Answer {
        if call.uri_bytes > URI_BYTES {
            return Answer::empty(414).with(Verdict::Refused);
        }
        if call.path == "/services/oauth2/token" {
            return self.issue(call);
        }
        if call.path == "/services/data" {
            let versions =
                ["66.0", "67.0", "68.0"].map(|v| json!({"version": v, "url": format!("/services/data/v{v}")}));
            return Answer::json(200, &json!(versions));
        }
        let given = call.credentials("Bearer").or_else(|| call.credentials("OAuth")).unwrap_or("");
        if !lock(&self.state).sessions.iter().any(|(session, end)| session == given && *end > call.at) {
            return error(401, "INVALID_SESSION_ID", "Session expired or invalid");
        }
        if self.options.limits && !lock(&self.state).calls.take(call.at) {
            return error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").with(Verdict::Throttled);
        }
        let not_found = || error(404, "NOT_FOUND", "The requested resource does not exist");
        let rest = call.path.strip_prefix("/services/data/v").and_then(|p| p.split_once('/'));
        let Some((version, rest)) = rest.filter(|(v, _)| v.parse::<f64>().is_ok_and(|v| v >= 31.0)) else {
            return not_found();
        };
        if call.method != Method::GET {
            return error(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed. Allowed are GET");
        }
        let answer = match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["query" | "queryAll"] => self.query(call, version, rest == "queryAll"),
            ["query" | "queryAll", locator] => self.page(call, version, locator),
            ["limits"] => {
                let memory = lock(&self.state);
                Answer::json(
                    200,
                    &json!({"DailyApiRequests": {"Max": memory.calls.limit(), "Remaining": memory.calls.left()}}),
                )
            }
            ["sobjects", object, "describe"] => self.describe(object),
            _ => not_found(),
        };
        let memory = lock(&self.state);
        let used = memory.calls.limit() - memory.calls.left();
        answer.header("sforce-limit-info", format!("api-usage={used}/{}", memory.calls.limit()))
    }

    fn failure(&self, _: &Call, fault: &Fault) -> Answer {
        let answer = match (fault.kind, fault.status()) {
            (Kind::RevokeScope, _) => {
                error(403, "API_DISABLED_FOR_ORG", "The REST API is not enabled for this Organization.")
            }
            (_, 401) => error(401, "INVALID_SESSION_ID", "Session expired or invalid"),
            (_, 403) => error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").with(Verdict::Throttled),
            // Seen without a body (a public client).
            (_, status @ (406 | 420)) => Answer::empty(status).with(Verdict::Refused),
            (_, status) => error(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred."),
        };
        match fault.retry_after {
            Some(seconds) => answer.header("retry-after", seconds),
            None => answer,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
    fn records(&self) -> &Records {
        &self.records
    }
    fn put(&self, kind: &str, mut record: Value, now: i64, visible: i64) -> Result<String, String> {
        if record.get("IsDeleted").is_none() {
            set(&mut record, "/IsDeleted", false.into());
        }
        self.records.put(kind, record, now, visible)
    }
    fn revoke(&self) {
        lock(&self.state).sessions.clear();
    }
}

impl Salesforce {
    /// An empty org.
    pub fn new(options: Arc<Options>) -> Self {
        let state = Memory {
            sessions: Vec::new(),
            calls: Rolling::new(options.daily_calls as usize, 86_400_000),
            count: 0,
            cursors: VecDeque::new(),
        };
        let ledger = Ledger::new(options.bodies);
        Self { options, ledger, records: Records::new(shape), state: Mutex::new(state) }
    }

    /// Client credentials. There is no `expires_in`: a session's end shows by 401.
    fn issue(&self, call: &Call) -> Answer {
        let form = call.form();
        let field = |name: &str| form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
        let failed = |error: &str, words: &str| {
            Answer::json(400, &json!({"error": error, "error_description": words})).with(Verdict::Refused)
        };
        if call.method != Method::POST || field("grant_type") != "client_credentials" {
            return failed("unsupported_grant_type", "grant type not supported");
        }
        if field("client_id") != self.options.client_id {
            return failed("invalid_client_id", "client identifier invalid");
        }
        if field("client_secret") != self.options.api_key {
            return failed("invalid_client", "invalid client credentials");
        }
        let mut memory = lock(&self.state);
        memory.count += 1;
        let session = format!("00Dxx!{:032x}", key(&[b"session", &memory.count.to_le_bytes(), &call.at.to_le_bytes()]));
        memory.sessions.retain(|(_, end)| *end > call.at);
        memory.sessions.push((session.clone(), call.at.saturating_add(LIFE)));
        Answer::json(
            200,
            &json!({
                "access_token": session, "instance_url": call.base, "id": format!("{}/id/00Dxx0000000001AAA/005xx0000000001AAA", call.base),
                "token_type": "Bearer", "issued_at": call.at.to_string(), "signature": "c2FuZGJveA==", "scope": "api",
            }),
        )
    }

    /// `…/query` sees live records only, `…/queryAll` deleted ones too.
    fn query(&self, call: &Call, version: &str, with_deleted: bool) -> Answer {
        let query = match soql::read(call.param("q").unwrap_or("")) {
            Ok(query) => query,
            Err(words) => return error(400, "MALFORMED_QUERY", &words),
        };
        let Some(schema) = self.schema(&query.object) else {
            let words = format!("sObject type '{}' is not supported.", query.object);
            return error(400, "INVALID_TYPE", &words);
        };
        let asked = query.fields.iter().map(String::as_str);
        let tested = query.condition.iter().flat_map(soql::Condition::fields);
        let sorted = query.order.iter().map(|(f, _)| f.as_str());
        if let Some(wrong) = asked.chain(tested).chain(sorted).find(|f| !self.knows(&schema, f)) {
            let words = format!("No such column '{wrong}' on entity '{}'.", query.object);
            return error(400, "INVALID_FIELD", &words);
        }
        for (fields, relation) in &query.below {
            let object = relation.trim_end_matches('s');
            let Some(schema) = self.schema(object) else {
                let words = format!("Didn't understand relationship '{relation}' in FROM part of query call.");
                return error(400, "INVALID_TYPE", &words);
            };
            if let Some(wrong) = fields.iter().find(|f| !self.knows(&schema, f)) {
                let words = format!("No such column '{wrong}' on entity '{object}'.");
                return error(400, "INVALID_FIELD", &words);
            }
        }
        let rows = self.chosen(call, &query, with_deleted);
        let shown: Vec<Value> = rows.iter().map(|r| self.shown(call, version, &query, r)).collect();
        let hint =
            call.header("sforce-query-options").split_once("batchSize=").and_then(|(_, n)| n.trim().parse().ok());
        let size = hint.unwrap_or(PAGE.0).clamp(PAGE.1, PAGE.0);
        let mut memory = lock(&self.state);
        memory.count += 1;
        // Sixteen characters with the prefix of query locators.
        let id = format!("01gxx{:010}AAA", memory.count);
        if memory.cursors.len() >= CURSORS {
            memory.cursors.pop_front();
        }
        memory.cursors.push_back(Cursor { id: id.clone(), used: call.at, object: query.object, rows, shown, size });
        drop(memory);
        let answer = self.page(call, version, &format!("{id}-0"));
        // One that is read to its end with its first page takes nobody's place.
        lock(&self.state).cursors.retain(|cursor| cursor.id != id || cursor.shown.len() > cursor.size || call.is_stuck);
        answer
    }

    /// The page of a cursor from the number after its dash on.
    fn page(&self, call: &Call, version: &str, locator: &str) -> Answer {
        let gone = || error(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
        let Some((id, from)) = locator.rsplit_once('-').and_then(|(id, n)| Some((id, n.parse::<usize>().ok()?))) else {
            return gone();
        };
        let mut memory = lock(&self.state);
        memory.cursors.retain(|c| call.at.saturating_sub(c.used) < CURSOR_LIFE);
        let Some(cursor) = memory.cursors.iter_mut().find(|c| c.id == id) else { return gone() };
        cursor.used = call.at;
        let total = cursor.shown.len();
        let until = from.saturating_add(cursor.size).min(total);
        let page = cursor.shown.get(from.min(until)..until).unwrap_or(&[]);
        let rows = cursor.rows.get(from.min(until)..until).unwrap_or(&[]);
        let asked = call.param("q").unwrap_or(locator);
        self.records.note(&cursor.object, asked, rows, call.at);
        let is_done = until >= total && !call.is_stuck;
        let mut body = json!({"totalSize": total, "done": is_done, "records": page});
        let next = if call.is_stuck { from } else { until };
        if !is_done {
            set(&mut body, "/nextRecordsUrl", format!("/services/data/v{version}/query/{id}-{next}").into());
        }
        Answer::json(200, &body)
    }

    /// The records that the query means, in its order.
    fn chosen(&self, call: &Call, query: &Query, with_deleted: bool) -> Vec<Arc<Row>> {
        let mut rows = self.records.all(&query.object, call.at);
        rows.retain(|row| {
            let is_deleted = row.body.get("IsDeleted") == Some(&true.into());
            let value = |field: &str| self.value(&row.body, field);
            (with_deleted || !is_deleted) && query.condition.as_ref().is_none_or(|c| c.holds(&value))
        });
        let text = |row: &Row, field: &str| match self.value(&row.body, field) {
            Value::String(text) => text,
            Value::Number(number) => format!("{:020.4}", number.as_f64().unwrap_or(0.0)),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        // Stable, so the last key first.
        for (field, is_down) in query.order.iter().rev() {
            if *is_down {
                rows.sort_by_cached_key(|row| Reverse(text(row, field)));
            } else {
                rows.sort_by_cached_key(|row| text(row, field));
            }
        }
        rows.truncate(query.limit.unwrap_or(usize::MAX));
        rows
    }

    /// What an object's fields are, by example; none for an object that is not there.
    fn schema(&self, object: &str) -> Option<Value> {
        let mut schema = made_up::record("salesforce", object, 1, Timestamp::from_millis(0)).unwrap_or(json!({}));
        for row in self.records.all(object, i64::MAX) {
            for (name, value) in row.body.as_object().into_iter().flatten() {
                if schema.get(name).is_none() {
                    set(&mut schema, &format!("/{name}"), value.clone());
                }
            }
        }
        (schema != json!({})).then_some(schema)
    }

    /// `Account.Name` is a field of the record that `AccountId` names.
    fn knows(&self, schema: &Value, field: &str) -> bool {
        match field.split_once('.') {
            None => schema.get(field).is_some(),
            Some((relation, inner)) => {
                schema.get(format!("{relation}Id")).is_some()
                    && self.schema(object_of(relation)).is_some_and(|s| self.knows(&s, inner))
            }
        }
    }

    fn value(&self, body: &Value, field: &str) -> Value {
        match field.split_once('.') {
            None => body.get(field).cloned().unwrap_or_default(),
            Some((relation, inner)) => {
                let id = body.get(format!("{relation}Id")).and_then(Value::as_str).unwrap_or("");
                self.records.find(object_of(relation), id).map_or(Value::Null, |row| self.value(&row.body, inner))
            }
        }
    }

    /// A record with its attributes and the fields that were selected.
    fn shown(&self, call: &Call, version: &str, query: &Query, row: &Row) -> Value {
        let attributes = |object: &str, id: &str| json!({"type": object, "url": format!("/services/data/v{version}/sobjects/{object}/{id}")});
        let mut shown = Map::from_iter([("attributes".to_owned(), attributes(&query.object, &row.id))]);
        for field in &query.fields {
            let value = self.value(&row.body, field);
            match field.split_once('.') {
                None => drop(shown.insert(field.clone(), value)),
                Some((relation, inner)) => {
                    let id = row.body.get(format!("{relation}Id")).and_then(Value::as_str).unwrap_or("");
                    let object = object_of(relation);
                    let is_there = self.records.find(object, id).is_some();
                    let below = shown.entry(relation.to_owned()).or_insert_with(|| {
                        if is_there { json!({"attributes": attributes(object, id)}) } else { Value::Null }
                    });
                    if is_there {
                        set(below, &format!("/{}", inner.replace('.', "/")), value);
                    }
                }
            }
        }
        for (fields, relation) in &query.below {
            let (object, fields) = (relation.trim_end_matches('s').to_owned(), fields.clone());
            let mut rows = self.records.all(&object, call.at);
            let of = format!("{}Id", query.object);
            rows.retain(|below| below.body.get(&of).and_then(Value::as_str) == Some(&row.id));
            let below = Query { fields, object, condition: None, order: Vec::new(), limit: None, below: Vec::new() };
            let records: Vec<Value> = rows.iter().map(|row| self.shown(call, version, &below, row)).collect();
            // Where there are none there is no list either.
            let list = json!({"totalSize": records.len(), "done": true, "records": records});
            shown.insert(relation.clone(), if rows.is_empty() { Value::Null } else { list });
        }
        shown.into()
    }

    fn describe(&self, object: &str) -> Answer {
        let Some(schema) = self.schema(object) else {
            return error(404, "NOT_FOUND", "The requested resource does not exist");
        };
        let names = schema.as_object().into_iter().flatten().map(|(name, value)| {
            let kind = if value.is_boolean() {
                "boolean"
            } else if value.is_number() {
                "double"
            } else {
                "string"
            };
            json!({"name": name, "type": kind, "nillable": true, "calculated": false, "custom": name.ends_with("__c")})
        });
        Answer::json(200, &json!({"name": object, "queryable": true, "fields": names.collect::<Vec<_>>()}))
    }
}

/// The object that a relation leads to.
fn object_of(relation: &str) -> &str {
    if relation.ends_with("Contact") { "Contact" } else { relation }
}

/// Errors are a list.
fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!([{"message": message, "errorCode": code}])).with(Verdict::Refused)
}
