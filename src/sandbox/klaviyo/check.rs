//! What Klaviyo's payloads must be like: its OpenAPI of revision 2026-07-15, and the limits of its pages "Events API
//! overview". Finds every mistake with its pointer.

use std::fmt;

use serde_json::{Map, Value};

use super::people::{Identifier, identifier};
use crate::sandbox::call::{instant, is_email};

/// Metric names stay under 128 characters (OpenAPI).
const METRIC_CHARS: usize = 128;
/// Properties of one event (OpenAPI).
const PROPERTIES: usize = 400;
/// "100 KB" for a string, read strictly (OpenAPI).
const STRING_BYTES: usize = 100_000;
/// Elements of an array (RudderStack's notes on the vendor's page).
const ELEMENTS: usize = 4_000;
/// Objects and arrays inside each other, `properties` included (the same).
const LEVELS: usize = 10;
/// Characters of an `external_id` (Segment's code).
const EXTERNAL_ID_CHARS: usize = 255;
/// 1990-01-01T00:00:00Z; events lie after it (OpenAPI).
const FIRST: i64 = 631_152_000_000;
/// A year; events lie at most so far ahead (OpenAPI).
const AHEAD: i64 = 365 * 86_400_000;

/// What depends on the call.
pub(super) struct Rules {
    /// When it came.
    pub now: i64,
    /// Whether its revision knows `backfill`.
    pub has_backfill: bool,
}

/// A mistake.
pub(super) struct Wrong {
    /// Where, as JSON:API points.
    pub pointer: String,
    /// What, in words.
    pub detail: String,
}

impl Wrong {
    /// A mistake at a place.
    pub fn new(at: &At<'_>, detail: String) -> Self {
        Self { pointer: at.to_string(), detail }
    }
}

/// An event that is ready to be taken.
pub(super) struct Record<'a> {
    /// In the order in which they decide whose it is.
    pub identifiers: Vec<Identifier>,
    /// The first of them, e-mail before all others.
    pub person: &'a str,
    pub metric: &'a str,
    pub unique_id: Option<&'a str>,
    /// The time as it was sent.
    pub time: Option<&'a str>,
    /// The time that counts, in milliseconds.
    pub at: i64,
    /// Points at its attributes.
    pub pointer: String,
    pub body: &'a Value,
}

/// A place in the payload; text is made of it only for a mistake.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    up: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root(&'a str),
    Name(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// Where it begins.
    pub fn root(pointer: &'a str) -> Self {
        Self { up: None, step: Step::Root(pointer) }
    }
    fn name(&'a self, name: &'a str) -> At<'a> {
        At { up: Some(self), step: Step::Name(name) }
    }
    fn index(&'a self, index: usize) -> At<'a> {
        At { up: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            up.fmt(f)?;
        }
        match self.step {
            Step::Root(text) => f.write_str(text),
            Step::Name(name) => write!(f, "/{name}"),
            Step::Index(index) => write!(f, "/{index}"),
        }
    }
}

type Mistakes = Vec<Wrong>;

const EVENT: &[&str] = &["properties", "time", "value", "value_currency", "unique_id", "backfill", "metric"];
const SINGLE: &[&str] =
    &["properties", "time", "value", "value_currency", "unique_id", "backfill", "metric", "profile"];
const TEXTS: &[&str] = &["first_name", "last_name", "organization", "locale", "title", "image"];
const IDENTIFIERS: &[&str] = &["email", "phone_number", "external_id", "anonymous_id", "_kx"];
const LOCATION: &[&str] =
    &["address1", "address2", "city", "country", "latitude", "longitude", "region", "zip", "timezone", "ip"];

/// The body of `POST /api/events`. Empty only with a mistake.
pub(super) fn single<'a>(payload: &'a Value, rules: &Rules, wrong: &mut Mistakes) -> Vec<Record<'a>> {
    let at = At::root("/data");
    let data = document(payload, wrong);
    let Some(attributes) = resource(data, "event", SINGLE, &at, wrong) else { return Vec::new() };
    let at = at.name("attributes");
    let whose = profile(attributes.get("profile"), &at.name("profile"), Profile::OfEvent, wrong);
    let found = event(attributes, data.unwrap_or(payload), &at, rules, wrong);
    match (whose, found) {
        (Some(whose), Some(record)) => vec![Record { identifiers: whose.0, person: whose.1, ..record }],
        _ => Vec::new(),
    }
}

/// The body of `POST /api/event-bulk-create-jobs`: every event that is sound.
pub(super) fn bulk<'a>(payload: &'a Value, rules: &Rules, wrong: &mut Mistakes) -> Vec<Record<'a>> {
    let at = At::root("/data");
    let data = document(payload, wrong);
    let mut records = Vec::new();
    let Some(job) = resource(data, "event-bulk-create-job", &["events-bulk-create"], &at, wrong) else {
        return records;
    };
    let at = at.name("attributes");
    let at = at.name("events-bulk-create");
    let Some(groups) = list(job.get("events-bulk-create"), &at, wrong) else { return records };
    let at = at.name("data");
    for (i, group) in groups.iter().enumerate() {
        let at = at.index(i);
        let names: &[&str] =
            if rules.has_backfill { &["profile", "events", "backfill"] } else { &["profile", "events"] };
        let Some(attributes) = resource(Some(group), "event-bulk-create", names, &at, wrong) else { continue };
        let at = at.name("attributes");
        truth(attributes, "backfill", &at, wrong);
        let whose = profile(attributes.get("profile"), &at.name("profile"), Profile::OfBulk, wrong);
        let at = at.name("events");
        let Some(events) = list(attributes.get("events"), &at, wrong) else { continue };
        let at = at.name("data");
        for (j, one) in events.iter().enumerate() {
            let at = at.index(j);
            let Some(attributes) = resource(Some(one), "event", EVENT, &at, wrong) else { continue };
            let found = event(attributes, one, &at.name("attributes"), rules, wrong);
            if let (Some(whose), Some(record)) = (&whose, found) {
                records.push(Record { identifiers: whose.0.clone(), person: whose.1, ..record });
            }
        }
    }
    records
}

/// The body of `POST /api/profile-import`.
pub(super) fn profile_import<'a>(payload: &'a Value, wrong: &mut Mistakes) -> Option<(Vec<Identifier>, &'a Value)> {
    let data = document(payload, wrong)?;
    let whose = person(data, &At::root("/data"), Profile::Import, wrong)?;
    Some((whose.0, data.get("attributes")?))
}

/// The profiles of a job that imports them, each with the identifier to show. Empty only with a mistake.
pub(super) fn profiles_import<'a>(payload: &'a Value, wrong: &mut Mistakes) -> Vec<Whose<'a>> {
    let at = At::root("/data");
    let Some(data) = document(payload, wrong).and_then(|data| object(Some(data), &at, wrong)) else {
        return Vec::new();
    };
    only(data, &["type", "attributes", "relationships"], &at, wrong);
    is_kind(data, "profile-bulk-import-job", &at, wrong);
    let at = At::root("/data/attributes");
    let Some(attributes) = object(data.get("attributes"), &at, wrong) else { return Vec::new() };
    only(attributes, &["profiles"], &at, wrong);
    let profiles = attributes.get("profiles").and_then(|profiles| profiles.get("data")).and_then(Value::as_array);
    let at = At::root("/data/attributes/profiles/data");
    let all = profiles.map(Vec::as_slice).unwrap_or_default().iter().enumerate();
    all.filter_map(|(n, profile)| person(profile, &at.index(n), Profile::Import, wrong)).collect()
}

/// `{"data": …}` and nothing else.
fn document<'a>(payload: &'a Value, wrong: &mut Mistakes) -> Option<&'a Value> {
    let at = At::root("");
    let document = object(Some(payload), &at, wrong)?;
    only(document, &["data"], &at, wrong);
    document.get("data")
}

/// A resource of this type; gives its attributes, which have only these names.
fn resource<'a>(
    value: Option<&'a Value>,
    kind: &str,
    names: &[&str],
    at: &At<'_>,
    wrong: &mut Mistakes,
) -> Option<&'a Map<String, Value>> {
    let resource = object(value, at, wrong)?;
    only(resource, &["type", "attributes"], at, wrong);
    is_kind(resource, kind, at, wrong);
    let at = at.name("attributes");
    let attributes = object(resource.get("attributes"), &at, wrong)?;
    only(attributes, names, &at, wrong);
    Some(attributes)
}

/// An event's own attributes. The person is filled in by the caller.
fn event<'a>(
    attributes: &'a Map<String, Value>,
    body: &'a Value,
    at: &At<'_>,
    rules: &Rules,
    wrong: &mut Mistakes,
) -> Option<Record<'a>> {
    let before = wrong.len();
    if let Some(properties) = object(attributes.get("properties"), &at.name("properties"), wrong) {
        if properties.len() > PROPERTIES {
            wrong.push(Wrong::new(&at.name("properties"), format!("More than {PROPERTIES} properties.")));
        }
        for (name, value) in properties {
            nested(value, 1, &at.name("properties").name(name), wrong);
        }
    }
    let time = text(attributes, "time", at, wrong);
    let mut when = rules.now;
    if let Some(time) = time {
        match instant(time) {
            Some(ms) if ms > FIRST && ms <= rules.now.saturating_add(AHEAD) => when = ms,
            Some(_) => wrong.push(Wrong::new(
                &at.name("time"),
                "The time must lie after 1990 and at most one year ahead.".to_owned(),
            )),
            None => wrong.push(Wrong::new(&at.name("time"), "Not an ISO 8601 date-time.".to_owned())),
        }
    }
    if attributes.get("value").is_some_and(|v| !v.is_number() && !v.is_null()) {
        wrong.push(Wrong::new(&at.name("value"), "Not a valid number.".to_owned()));
    }
    if let Some(currency) = text(attributes, "value_currency", at, wrong)
        && (currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()))
    {
        wrong.push(Wrong::new(&at.name("value_currency"), "Not an ISO 4217 currency code.".to_owned()));
    }
    let unique_id = text(attributes, "unique_id", at, wrong).filter(|id| !id.is_empty());
    truth(attributes, "backfill", at, wrong);
    if !rules.has_backfill && attributes.contains_key("backfill") {
        wrong.push(Wrong::new(&at.name("backfill"), "'backfill' is not a valid field in this revision.".to_owned()));
    }
    let metric = metric(attributes.get("metric"), &at.name("metric"), wrong)?;
    let pointer = at.to_string();
    let identifiers = Vec::new();
    (wrong.len() == before).then_some(Record {
        identifiers,
        person: "",
        metric,
        unique_id,
        time,
        at: when,
        pointer,
        body,
    })
}

/// The metric's name.
fn metric<'a>(value: Option<&'a Value>, at: &At<'_>, wrong: &mut Mistakes) -> Option<&'a str> {
    let holder = object(value, at, wrong)?;
    only(holder, &["data"], at, wrong);
    let at = at.name("data");
    let attributes = resource(holder.get("data"), "metric", &["name", "service"], &at, wrong)?;
    let at = at.name("attributes");
    text(attributes, "service", &at, wrong);
    let name = text(attributes, "name", &at, wrong).unwrap_or("");
    if name.trim().is_empty() || name.chars().count() >= METRIC_CHARS {
        let words = format!("A metric's name is required and has fewer than {METRIC_CHARS} characters.");
        wrong.push(Wrong::new(&at.name("name"), words));
        return None;
    }
    Some(name)
}

/// The three places that a profile is written in differ a little (OpenAPI).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// `meta` stands in the attributes.
    OfEvent,
    /// `meta` stands beside them.
    OfBulk,
    /// The same, and there is no `anonymous_id`.
    Import,
}

/// Identifiers, and the one to show.
pub(super) type Whose<'a> = (Vec<Identifier>, &'a str);

/// `{"data": profile}`.
fn profile<'a>(value: Option<&'a Value>, at: &At<'_>, kind: Profile, wrong: &mut Mistakes) -> Option<Whose<'a>> {
    let holder = object(value, at, wrong)?;
    only(holder, &["data"], at, wrong);
    match holder.get("data") {
        Some(data) => person(data, &at.name("data"), kind, wrong),
        None => {
            wrong.push(Wrong::new(&at.name("data"), "This field is required.".to_owned()));
            None
        }
    }
}

fn person<'a>(data: &'a Value, at: &At<'_>, kind: Profile, wrong: &mut Mistakes) -> Option<Whose<'a>> {
    let before = wrong.len();
    let data = object(Some(data), at, wrong)?;
    let beside: &[&str] =
        if kind == Profile::OfEvent { &["type", "id", "attributes"] } else { &["type", "id", "attributes", "meta"] };
    only(data, beside, at, wrong);
    is_kind(data, "profile", at, wrong);
    let id = text(data, "id", at, wrong).filter(|id| !id.is_empty());
    let attributes_at = at.name("attributes");
    let attributes = object(data.get("attributes"), &attributes_at, wrong)?;
    let at = &attributes_at;
    let mut identifiers: Vec<Identifier> = id.map(|id| identifier("id", id)).into_iter().collect();
    let mut shown = "";
    for (name, value) in attributes {
        let name = name.as_str();
        let is_known = match name {
            "anonymous_id" => kind != Profile::Import,
            "meta" => kind == Profile::OfEvent,
            _ => IDENTIFIERS.contains(&name) || TEXTS.contains(&name) || matches!(name, "location" | "properties"),
        };
        if !is_known {
            wrong.push(unknown(name, at));
        } else if matches!(name, "location" | "properties" | "meta") {
            if value.is_null() {
                continue;
            }
            if let Some(map) = object(Some(value), &at.name(name), wrong) {
                let place = at.name(name);
                if name == "location" {
                    only(map, LOCATION, &place, wrong);
                }
                for (key, value) in map {
                    nested(value, 1, &place.name(key), wrong);
                }
            }
        } else {
            text(attributes, name, at, wrong);
        }
    }
    for name in IDENTIFIERS {
        let Some(value) = attributes.get(*name).and_then(Value::as_str) else { continue };
        let words = match *name {
            "email" if !is_email(value) => Some("Invalid email address"),
            "phone_number" if !is_e164(value) => {
                Some("Invalid phone number format (example of a valid one: +12345678901)")
            }
            "external_id" if value.chars().count() > EXTERNAL_ID_CHARS => Some("Too long."),
            _ => None,
        };
        if let Some(words) = words {
            wrong.push(Wrong::new(&at.name(name), words.to_owned()));
        }
        if value.is_empty() {
            continue;
        }
        identifiers.push(identifier(name, value));
        if shown.is_empty() {
            shown = value;
        }
    }
    if identifiers.is_empty() && wrong.len() == before {
        let words = "At least one of id, email, phone_number, external_id, anonymous_id or _kx is required.";
        wrong.push(Wrong::new(at, words.to_owned()));
    }
    if shown.is_empty() {
        shown = id.unwrap_or("");
    }
    (wrong.len() == before).then_some((identifiers, shown))
}

/// Strings, arrays and depth, all the way down.
fn nested(value: &Value, level: usize, at: &At<'_>, wrong: &mut Mistakes) {
    match value {
        Value::String(text) if text.len() > STRING_BYTES => {
            wrong.push(Wrong::new(at, "A string cannot be larger than 100 KB.".to_owned()));
        }
        Value::Array(_) | Value::Object(_) if level >= LEVELS => {
            wrong.push(Wrong::new(at, format!("More than {LEVELS} levels of nesting.")));
        }
        Value::Array(all) if all.len() > ELEMENTS => {
            wrong.push(Wrong::new(at, format!("More than {ELEMENTS} elements.")));
        }
        Value::Array(all) => {
            for (i, value) in all.iter().enumerate() {
                nested(value, level + 1, &at.index(i), wrong);
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                nested(value, level + 1, &at.name(name), wrong);
            }
        }
        _ => {}
    }
}

// === small shapes ===

fn object<'a>(value: Option<&'a Value>, at: &At<'_>, wrong: &mut Mistakes) -> Option<&'a Map<String, Value>> {
    let words = match value {
        Some(Value::Object(map)) => return Some(map),
        Some(_) => "Not a valid object.",
        None => "This field is required.",
    };
    wrong.push(Wrong::new(at, words.to_owned()));
    None
}

/// `{"data": [ … ]}` with at least one element.
fn list<'a>(value: Option<&'a Value>, at: &At<'_>, wrong: &mut Mistakes) -> Option<&'a Vec<Value>> {
    let holder = object(value, at, wrong)?;
    only(holder, &["data"], at, wrong);
    let words = match holder.get("data") {
        Some(Value::Array(all)) if !all.is_empty() => return Some(all),
        Some(Value::Array(_)) => "This list may not be empty.",
        Some(_) => "Not a valid list.",
        None => "This field is required.",
    };
    wrong.push(Wrong::new(&at.name("data"), words.to_owned()));
    None
}

fn only(map: &Map<String, Value>, names: &[&str], at: &At<'_>, wrong: &mut Mistakes) {
    for name in map.keys().filter(|n| !names.contains(&n.as_str())) {
        wrong.push(unknown(name, at));
    }
}

fn unknown(name: &str, at: &At<'_>) -> Wrong {
    Wrong::new(&at.name(name), format!("'{name}' is not a valid field for the resource."))
}

fn is_kind(map: &Map<String, Value>, kind: &str, at: &At<'_>, wrong: &mut Mistakes) {
    if map.get("type").and_then(Value::as_str) != Some(kind) {
        wrong.push(Wrong::new(&at.name("type"), format!("The type must be '{kind}'.")));
    }
}

/// A string or nothing.
fn text<'a>(map: &'a Map<String, Value>, name: &str, at: &At<'_>, wrong: &mut Mistakes) -> Option<&'a str> {
    match map.get(name) {
        Some(Value::String(text)) if text.len() <= STRING_BYTES => Some(text),
        None | Some(Value::Null) => None,
        Some(_) => {
            wrong.push(Wrong::new(&at.name(name), "Not a valid string.".to_owned()));
            None
        }
    }
}

fn truth(map: &Map<String, Value>, name: &str, at: &At<'_>, wrong: &mut Mistakes) {
    if map.get(name).is_some_and(|v| !v.is_boolean() && !v.is_null()) {
        wrong.push(Wrong::new(&at.name(name), "Not a valid boolean.".to_owned()));
    }
}

/// A plus, then 7 to 15 digits, the first not zero.
fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
    })
}
