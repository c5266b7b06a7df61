//! CRM records: search with its cap of 10,000 results, lists, batch reads and associations. Facts from the public API
//! specification 2026-09 and threads on search.
//!
//! Kinds of records: any object type (`contacts`, `deals`, `orders`, `carts`, `2-123456`, …), each with `properties`, all
//! text or null, and perhaps `associations` (`{"contacts": ["51"]}`), which only the associations' own path shows; and
//! `email_events`. Of contacts that were upserted only a batch read tells.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{FIRST_CONTACT, Hubspot, error, throttled};
use crate::sandbox::call::{Answer, Call};
use crate::sandbox::received::lock;
use crate::sandbox::records::{Row, Shape, Times};
use crate::sandbox::stamp::{self, Stamp};

/// Results that one search pages through.
const CAP: usize = 10_000;
/// Records in a page: search and list.
const PAGE: (usize, usize) = (200, 100);

/// What is read.
pub(super) enum Ask {
    Search(String),
    List(String),
    BatchRead(String),
    Associations(String, String),
    EmailEvents,
    Occurrences,
}

impl Ask {
    /// By method and path; the version stands before or after the family.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let (is_get, is_post) = (*method == Method::GET, *method == Method::POST);
        if path == "/email/public/v1/events" && is_get {
            return Some(Self::EmailEvents);
        }
        let occurrences =
            ["/events/v3/events", "/events/event-occurrences/2026-03", "/events/event-occurrences/2026-09"];
        if occurrences.contains(&path) && is_get {
            return Some(Self::Occurrences);
        }
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let version = |v: &str| matches!(v, "v3" | "v4" | "2026-03" | "2026-09");
        match parts.as_slice() {
            ["crm", "v3", "objects", kind] if is_get => Some(Self::List((*kind).to_owned())),
            ["crm", "objects", v, kind] if version(v) && is_get => Some(Self::List((*kind).to_owned())),
            ["crm", "v3", "objects", kind, "search"] if is_post => Some(Self::Search((*kind).to_owned())),
            ["crm", "objects", v, kind, "search"] if version(v) && is_post => Some(Self::Search((*kind).to_owned())),
            ["crm", "v3", "objects", kind, "batch", "read"] if is_post => Some(Self::BatchRead((*kind).to_owned())),
            ["crm", "objects", v, kind, "batch", "read"] if version(v) && is_post => {
                Some(Self::BatchRead((*kind).to_owned()))
            }
            ["crm", "associations", v, from, to, "batch", "read"]
            | ["crm", v, "associations", from, to, "batch", "read"]
                if version(v) && is_post =>
            {
                Some(Self::Associations((*from).to_owned(), (*to).to_owned()))
            }
            _ => None,
        }
    }
}

/// Where records have their ids and times. Contacts alone call the last change `lastmodifieddate`.
pub(super) fn shape(kind: &str) -> Option<Shape> {
    const CONTACT: Times = &[("/properties/lastmodifieddate", Stamp::ZuluMillis), ("/updatedAt", Stamp::ZuluMillis)];
    const OTHER: Times = &[("/properties/hs_lastmodifieddate", Stamp::ZuluMillis), ("/updatedAt", Stamp::ZuluMillis)];
    const CREATED: Times = &[("/properties/createdate", Stamp::ZuluMillis), ("/createdAt", Stamp::ZuluMillis)];
    const HS_CREATED: Times = &[("/properties/hs_createdate", Stamp::ZuluMillis), ("/createdAt", Stamp::ZuluMillis)];
    let new_id: fn(u64) -> Value = |n| (700_000 + n).to_string().into();
    if kind == "email_events" {
        return Some(Shape { id: "/id", new_id, created: &[], modified: &[("/created", Stamp::Millis)] });
    }
    let is_kind =
        !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    is_kind.then_some(Shape {
        id: "/id",
        new_id,
        created: if matches!(kind, "contacts" | "deals" | "companies") { CREATED } else { HS_CREATED },
        modified: if kind == "contacts" { CONTACT } else { OTHER },
    })
}

impl Hubspot {
    /// One read, with the quota that it falls under.
    pub(super) fn read(&self, ask: &Ask, call: &Call) -> Answer {
        let mut headers = Vec::new();
        if self.options.limits {
            // Answers to searches carry no headers of the quota (unverified).
            if matches!(ask, Ask::Search(_)) {
                let mut memory = lock(&self.state);
                if !memory.day.has_room(call.at) {
                    return throttled(call, "DAILY");
                }
                if !memory.searches.take(call.at) {
                    return throttled(call, "SECONDLY");
                }
                memory.day.count(call.at);
            } else {
                match self.take_crm_quota(call) {
                    Ok(given) => headers = given,
                    Err(answer) => return answer,
                }
            }
        }
        let mut answer = if let Ask::EmailEvents = ask {
            self.email_events(call)
        } else if let Ask::Occurrences = ask {
            self.occurrences(call)
        } else if let Ask::List(kind) = ask {
            self.list(call, kind)
        } else if !call.has_type(&["application/json"]) {
            error(call, 415, "VALIDATION_ERROR", "Unsupported Media Type")
        } else {
            match serde_json::from_slice::<Value>(&call.body) {
                Ok(body) if body.is_object() => match ask {
                    Ask::Search(kind) => self.search(call, kind, &body),
                    Ask::BatchRead(kind) => self.batch_read(call, kind, &body),
                    Ask::Associations(from, to) => self.associations(call, from, to, &body),
                    Ask::List(_) | Ask::EmailEvents | Ask::Occurrences => {
                        error(call, 400, "VALIDATION_ERROR", "Invalid input JSON")
                    }
                },
                _ => error(call, 400, "VALIDATION_ERROR", "Invalid input JSON"),
            }
        };
        answer.headers.append(&mut headers);
        answer
    }

    fn search(&self, call: &Call, kind: &str, body: &Value) -> Answer {
        let invalid = |words: &str| error(call, 400, "VALIDATION_ERROR", words);
        let limit = body.get("limit").map_or(Some(10), Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let Some(limit) = limit.filter(|n| (1..=PAGE.0).contains(n)) else {
            return invalid("limit must be between 1 and 200");
        };
        let after = match body.get("after") {
            None | Some(Value::Null) => Some(0),
            Some(Value::String(text)) if text.is_empty() => Some(0),
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_u64().and_then(|n| usize::try_from(n).ok()),
        };
        let Some(after) = after else { return invalid("after is not a valid cursor") };
        if after.saturating_add(limit) > CAP {
            return invalid(&format!("ERROR: paging beyond {CAP} results is not allowed"));
        }
        let filter = match Filter::read(body) {
            Ok(filter) => filter,
            Err(words) => return invalid(&words),
        };
        let sorts = match sorts(body) {
            Ok(sorts) => sorts,
            Err(words) => return invalid(&words),
        };
        let mut rows = self.records.all(kind, call.at);
        rows.retain(|row| filter.fits(row) && row.body.get("archived") != Some(&true.into()));
        rows.sort_by(|a, b| {
            for (property, is_down) in &sorts {
                let order = match property.as_str() {
                    // The two that are paged by are known as numbers.
                    "lastmodifieddate" | "hs_lastmodifieddate" => a.modified.cmp(&b.modified),
                    "hs_object_id" => a.number.cmp(&b.number),
                    _ => compare(&value_of(a, property), &value_of(b, property)),
                };
                let order = if *is_down { order.reverse() } else { order };
                if order != Ordering::Equal {
                    return order;
                }
            }
            a.number.cmp(&b.number)
        });
        let total = rows.len();
        rows.drain(..after.min(total));
        rows.truncate(limit);
        let next = if call.is_stuck { after } else { after + rows.len() };
        self.records.note(kind, &body.get("filterGroups").unwrap_or(&Value::Null).to_string(), &rows, call.at);
        let properties = names(body.get("properties"));
        let results: Vec<Value> = rows.iter().map(|r| shown(kind, r, &properties)).collect();
        let mut answer = json!({"total": total, "results": results});
        if next < total || call.is_stuck {
            crate::sandbox::records::set(&mut answer, "/paging/next/after", next.to_string().into());
        }
        Answer::json(200, &answer)
    }

    /// By id, without a cap; `archived=true` gives those that were deleted, and only those.
    fn list(&self, call: &Call, kind: &str) -> Answer {
        let limit = call.param("limit").map_or(Ok(10), str::parse::<usize>);
        let Some(limit) = limit.ok().filter(|n| (1..=PAGE.1).contains(n)) else {
            return error(call, 400, "VALIDATION_ERROR", "limit must be between 1 and 100");
        };
        let after = call.param("after").map_or(Ok(0), str::parse::<u64>).unwrap_or(0);
        let archived = call.param("archived") == Some("true");
        let mut rows = self.records.all(kind, call.at);
        rows.retain(|r| (r.body.get("archived") == Some(&true.into())) == archived);
        rows.sort_by_key(|r| r.number);
        rows.retain(|r| r.number > after);
        let has_more = rows.len() > limit || call.is_stuck;
        rows.truncate(limit);
        self.records.note(kind, "list", &rows, call.at);
        let properties = names(call.param("properties").map(Value::from).as_ref());
        let results: Vec<Value> = rows.iter().map(|r| shown(kind, r, &properties)).collect();
        let mut answer = json!({"results": results});
        if let Some(last) = rows.last().filter(|_| has_more) {
            let next = if call.is_stuck { after } else { last.number };
            crate::sandbox::records::set(&mut answer, "/paging/next/after", next.to_string().into());
        }
        Answer::json(200, &answer)
    }

    fn batch_read(&self, call: &Call, kind: &str, body: &Value) -> Answer {
        let inputs = match super::inputs(&only_inputs(body), 100) {
            Ok(inputs) => inputs.to_vec(),
            Err(words) => return error(call, 400, "VALIDATION_ERROR", &words),
        };
        let by = body.get("idProperty").and_then(Value::as_str);
        let ids: Vec<&str> = inputs.iter().filter_map(|i| i.get("id").and_then(Value::as_str)).collect();
        let mut rows = self.records.all(kind, call.at);
        rows.retain(|r| match by {
            None => ids.contains(&r.id.as_str()),
            Some("email") => addresses(r).any(|email| ids.iter().any(|id| id.eq_ignore_ascii_case(&email))),
            Some(name) => value_of(r, name).is_some_and(|v| ids.iter().any(|id| id.eq_ignore_ascii_case(&v))),
        });
        self.records.note(kind, "batch", &rows, call.at);
        let properties = names(body.get("properties"));
        let mut results: Vec<Value> = rows.iter().map(|r| shown(kind, r, &properties)).collect();
        if kind != "contacts" || by != Some("email") {
            return Answer::json(200, &json!({"status": "COMPLETE", "results": results}));
        }
        // Those that were upserted too; 207 where an address is nobody's.
        let mut missing = Vec::new();
        let memory = lock(&self.state);
        for id in ids {
            let is_it = |r: &Arc<Row>| addresses(r).any(|email| email.eq_ignore_ascii_case(id));
            match memory.by_email.get(id.to_lowercase().as_str()) {
                Some(place) => results.push(json!({
                    "id": (FIRST_CONTACT + *place as u64).to_string(), "archived": false,
                    "properties": {"email": id.to_lowercase()},
                })),
                None if rows.iter().any(is_it) => {}
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            return Answer::json(200, &json!({"status": "COMPLETE", "results": results}));
        }
        let error = json!({
            "status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": missing},
            "message": "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.",
        });
        Answer::json(207, &json!({"status": "COMPLETE", "results": results, "numErrors": 1, "errors": [error]}))
    }

    fn associations(&self, call: &Call, from: &str, to: &str, body: &Value) -> Answer {
        let inputs = match super::inputs(&only_inputs(body), 1_000) {
            Ok(inputs) => inputs.to_vec(),
            Err(words) => return error(call, 400, "VALIDATION_ERROR", &words),
        };
        let mut results = Vec::new();
        for id in inputs.iter().filter_map(|i| i.get("id").and_then(Value::as_str)) {
            let row = self.records.find(from, id);
            let ids =
                row.as_ref().and_then(|r| r.body.pointer(&format!("/associations/{to}"))).and_then(Value::as_array);
            let to: Vec<Value> = ids.into_iter().flatten().map(|id| {
                json!({"toObjectId": id, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": null}]})
            }).collect();
            if !to.is_empty() {
                results.push(json!({"from": {"id": id}, "to": to}));
            }
        }
        Answer::json(200, &json!({"status": "COMPLETE", "results": results}))
    }
}

fn only_inputs(body: &Value) -> Map<String, Value> {
    body.get("inputs").map(|i| Map::from_iter([("inputs".to_owned(), i.clone())])).unwrap_or_default()
}

/// Names in a list, or parted by commas.
fn names(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => text.split(',').map(|n| n.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// A record with the properties that were asked for; unknown names are ignored (unverified).
fn shown(kind: &str, row: &Row, properties: &[String]) -> Value {
    let usual: &[&str] = match kind {
        "contacts" => &["createdate", "email", "firstname", "lastmodifieddate", "lastname"],
        "deals" => &["amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "pipeline"],
        _ => &["hs_createdate", "hs_lastmodifieddate"],
    };
    let mut given = Map::from_iter([("hs_object_id".to_owned(), Value::from(row.id.clone()))]);
    if let Some(all) = row.body.get("properties").and_then(Value::as_object) {
        let asked = |name: &str| {
            if properties.is_empty() { usual.contains(&name) } else { properties.iter().any(|p| p == name) }
        };
        let always =
            |name: &str| matches!(name, "createdate" | "lastmodifieddate" | "hs_createdate" | "hs_lastmodifieddate");
        given.extend(all.iter().filter(|(n, _)| asked(n) || always(n)).map(|(n, v)| (n.clone(), v.clone())));
    }
    json!({
        "id": row.id, "properties": given, "createdAt": row.body.get("createdAt"), "updatedAt": row.body.get("updatedAt"),
        "archived": row.body.get("archived").unwrap_or(&false.into()),
    })
}

/// A contact's addresses: a second one leads to it, too (RudderStack's code).
fn addresses(row: &Arc<Row>) -> impl Iterator<Item = String> {
    let all = ["email", "hs_additional_emails"].into_iter().filter_map(|name| value_of(row, name));
    let all: Vec<String> =
        all.flat_map(|v| v.split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>()).collect();
    all.into_iter().filter(|one| !one.is_empty())
}

/// A property's text.
fn value_of(row: &Arc<Row>, property: &str) -> Option<String> {
    if property == "hs_object_id" {
        return Some(row.id.clone());
    }
    match row.body.get("properties")?.get(property)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Instants and numbers by size, all else as text.
fn compare(a: &Option<String>, b: &Option<String>) -> Ordering {
    match (a.as_deref().and_then(size), b.as_deref().and_then(size)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}

/// A number; an instant in milliseconds, as epoch or ISO.
fn size(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().or_else(|| stamp::read(text, 0).map(|ms| ms as f64))
}

/// `sorts`: at most one, as text (`-name` is descending) or as an object.
fn sorts(body: &Value) -> Result<Vec<(String, bool)>, String> {
    let mut sorts = Vec::new();
    for sort in body.get("sorts").and_then(Value::as_array).into_iter().flatten() {
        match sort {
            Value::String(text) => sorts.push((text.trim_start_matches('-').to_owned(), text.starts_with('-'))),
            Value::Object(map) => {
                let name = map.get("propertyName").and_then(Value::as_str).ok_or("sorts need a propertyName")?;
                let is_down = map.get("direction").and_then(Value::as_str) == Some("DESCENDING");
                sorts.push((name.to_owned(), is_down));
            }
            _ => return Err("sorts are texts or objects".to_owned()),
        }
    }
    if sorts.len() > 1 { Err("only one sort is allowed".to_owned()) } else { Ok(sorts) }
}

/// Groups of which one must hold, with filters all of which must.
struct Filter(Vec<Vec<(String, String, Vec<String>)>>);

impl Filter {
    fn read(body: &Value) -> Result<Self, String> {
        let groups = body.get("filterGroups").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if groups.len() > 6 {
            return Err("at most 6 filterGroups are allowed".to_owned());
        }
        let mut read = Vec::new();
        for group in groups {
            let filters = group.get("filters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            if filters.is_empty() || filters.len() > 6 {
                return Err("a filterGroup has 1 to 6 filters".to_owned());
            }
            read.push(filters.iter().map(one_filter).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self(read))
    }

    fn fits(&self, row: &Arc<Row>) -> bool {
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|group| group.iter().all(|(name, operator, values)| holds(row, name, operator, values)))
    }
}

fn one_filter(filter: &Value) -> Result<(String, String, Vec<String>), String> {
    let text = |name: &str| filter.get(name).and_then(Value::as_str);
    let name = text("propertyName").ok_or("a filter needs a propertyName")?;
    let operator = text("operator").ok_or("a filter needs an operator")?;
    let values: Vec<String> = match operator {
        "IN" | "NOT_IN" => names(filter.get("values")),
        "HAS_PROPERTY" | "NOT_HAS_PROPERTY" => Vec::new(),
        "BETWEEN" => [text("value"), text("highValue")].into_iter().flatten().map(str::to_owned).collect(),
        "EQ" | "NEQ" | "LT" | "LTE" | "GT" | "GTE" | "CONTAINS_TOKEN" => {
            text("value").into_iter().map(str::to_owned).collect()
        }
        other => return Err(format!("{other} is not an operator")),
    };
    let needed = match operator {
        "BETWEEN" => 2,
        "HAS_PROPERTY" | "NOT_HAS_PROPERTY" => 0,
        _ => 1,
    };
    // Values are text, numbers too.
    if values.len() < needed {
        return Err(format!("the filter on {name} has no value"));
    }
    Ok((name.to_owned(), operator.to_owned(), values))
}

fn holds(row: &Arc<Row>, name: &str, operator: &str, values: &[String]) -> bool {
    let is = value_of(row, name);
    let first = values.first().cloned();
    match operator {
        "HAS_PROPERTY" => return is.is_some_and(|v| !v.is_empty()),
        "NOT_HAS_PROPERTY" => return is.is_none_or(|v| v.is_empty()),
        "NEQ" => return compare(&is, &first) != Ordering::Equal,
        "NOT_IN" => return !values.iter().any(|v| is.as_ref() == Some(v)),
        _ => {}
    }
    let Some(is) = is else { return false };
    let order = compare(&Some(is.clone()), &first);
    match operator {
        "EQ" => order == Ordering::Equal,
        "LT" => order == Ordering::Less,
        "LTE" => order != Ordering::Greater,
        "GT" => order == Ordering::Greater,
        "GTE" => order != Ordering::Less,
        "BETWEEN" => order != Ordering::Less && compare(&Some(is), &values.get(1).cloned()) != Ordering::Greater,
        "IN" => values.contains(&is),
        _ => first.is_some_and(|token| is.to_lowercase().contains(&token.trim_matches('*').to_lowercase())),
    }
}
