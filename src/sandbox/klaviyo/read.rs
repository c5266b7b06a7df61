//! Reading back: events, metrics and profiles, in pages with a cursor. Facts from the OpenAPI of revision 2026-07-15.
//!
//! Kinds of records: `events` (`metric`: an id; `profile`: an id or a whole profile, which is then put in too), `metrics`
//! and `profiles`, each flat: attributes beside the id. Klaviyo's own metrics are there from the beginning.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use serde_json::{Value, json};

use super::{JSON_API, Klaviyo, error, filter};
use crate::sandbox::call::{Answer, Call, query_of};
use crate::sandbox::made_up::engagement::klaviyo_metric;
use crate::sandbox::received::{key, lock};
use crate::sandbox::records::{Records, Row, Shape, set};
use crate::sandbox::stamp::{self, Stamp};

/// Names of Klaviyo's own metrics (unverified).
const METRICS: [&str; 10] = [
    "Received Email",
    "Opened Email",
    "Clicked Email",
    "Bounced Email",
    "Marked Email as Spam",
    "Unsubscribed from Email Marketing",
    "Unsubscribed from List",
    "Dropped Email",
    "Subscribed to Email Marketing",
    "Subscribed to List",
];

/// What can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Events,
    Metrics,
    Profiles,
}

impl Kind {
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/api/events" => Some(Self::Events),
            "/api/metrics" => Some(Self::Metrics),
            "/api/profiles" => Some(Self::Profiles),
            _ => None,
        }
    }
    fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Metrics => "metrics",
            Self::Profiles => "profiles",
        }
    }
    /// Usual and largest page. Of events the prose says 200 where the parameter says 1,000.
    fn sizes(self) -> (usize, usize) {
        match self {
            Self::Events => (200, 1_000),
            Self::Metrics => (200, 200),
            Self::Profiles => (20, 100),
        }
    }
    /// Fields to sort by; the first is the usual one.
    fn sorts(self) -> &'static [&'static str] {
        match self {
            Self::Events => &["-datetime", "datetime", "timestamp", "-timestamp"],
            Self::Metrics => &[""],
            Self::Profiles => &["id", "-id", "updated", "-updated", "created", "-created"],
        }
    }
}

/// Where records have their ids and times.
pub(super) fn shape(kind: &str) -> Option<Shape> {
    let new_id: fn(u64) -> Value = match kind {
        "events" => |n| format!("4Ev{n:06}").into(),
        "metrics" => |n| format!("Metr{n:02}").into(),
        "profiles" => |n| format!("01SANDBOX{n:017}").into(),
        "flows" => |n| format!("Flow{n:02}").into(),
        _ => return None,
    };
    Some(match kind {
        "events" => Shape { id: "/id", new_id, created: &[], modified: &[("/datetime", Stamp::Offset)] },
        "profiles" => Shape {
            id: "/id",
            new_id,
            created: &[("/created", Stamp::Offset)],
            modified: &[("/updated", Stamp::Offset)],
        },
        _ => Shape {
            id: "/id",
            new_id,
            created: &[("/created", Stamp::Offset)],
            modified: &[("/updated", Stamp::Offset)],
        },
    })
}

/// Klaviyo's own metrics, and one of a shop's.
pub(super) fn own_metrics(records: &Records) {
    for name in METRICS {
        let integration = json!({"object": "integration", "id": "0rG4eQ", "name": "Klaviyo", "category": "Internal"});
        let metric = json!({"id": klaviyo_metric(name), "name": name, "integration": integration});
        // The shape is there and the record is an object: it cannot fail.
        drop(records.put("metrics", metric, 0, i64::MIN));
    }
    let integration = json!({"object": "integration", "id": "0eMvjm", "name": "API", "category": "API"});
    let metric = json!({"id": klaviyo_metric("Cart Abandoned"), "name": "Cart Abandoned", "integration": integration});
    drop(records.put("metrics", metric, 0, i64::MIN));
}

impl Klaviyo {
    /// A profile that an event carries is put in by itself.
    pub(super) fn put_read(&self, kind: &str, mut record: Value, now: i64, visible: i64) -> Result<String, String> {
        if kind == "events" && record.get("profile").is_some_and(Value::is_object) {
            let profile = record.get("profile").cloned().unwrap_or_default();
            let id = self.records.put("profiles", profile, now, i64::MIN)?;
            set(&mut record, "/profile", id.into());
        }
        self.records.put(kind, record, now, visible)
    }

    /// `GET /api/events`, `/api/metrics`, `/api/profiles`.
    pub(super) fn read(&self, call: &Call, kind: Kind) -> Answer {
        let invalid = |words: &str| error(call, 400, "invalid", words, None);
        let (mut rows, sort) = match self.wanted(call, kind) {
            Ok(both) => both,
            Err(words) => return invalid(&words),
        };
        let (usual, most) = kind.sizes();
        let size = match call.param("page[size]").map_or(Ok(usual), str::parse) {
            Ok(size) if (1..=most).contains(&size) => size,
            _ => return invalid(&format!("page[size] must be between 1 and {most}.")),
        };
        let place = |row: &Row| -> (i64, u64) {
            match sort.trim_start_matches('-') {
                "datetime" | "timestamp" | "updated" => (row.modified, row.number),
                "created" => (row.created, row.number),
                _ => (0, row.number),
            }
        };
        rows.sort_by_key(|r| place(r));
        let is_reverse = sort.starts_with('-');
        if is_reverse {
            rows.reverse();
        }
        let cursor = call.param("page[cursor]");
        if let Some(cursor) = cursor {
            let Some(last) = read_cursor(cursor) else { return invalid("The page cursor is invalid.") };
            rows.retain(|r| if is_reverse { place(r) < last } else { place(r) > last });
        }
        let has_more = rows.len() > size || call.is_stuck;
        rows.truncate(size);
        self.records.note(kind.name(), call.param("filter").unwrap_or(""), &rows, call.at);
        let next = has_more.then(|| match (call.is_stuck, rows.last()) {
            (false, Some(last)) => write_cursor(place(last)),
            _ => cursor.map_or_else(|| write_cursor((if is_reverse { i64::MAX } else { i64::MIN }, 0)), str::to_owned),
        });
        let link = |cursor: &str| {
            let others = call.query.iter().map(|(n, v)| (n.as_str(), v.as_str())).filter(|(n, _)| *n != "page[cursor]");
            format!("{}{}?{}", call.base, call.path, query_of(others.chain([("page[cursor]", cursor)])))
        };
        let data: Vec<Value> = rows.iter().map(|r| self.shown(call, kind, r)).collect();
        let links = json!({
            "self": format!("{}{}?{}", call.base, call.path, query_of(call.query.iter().map(|(n, v)| (n.as_str(), v.as_str())))),
            "next": next.as_deref().map(link), "prev": null,
        });
        let mut body = json!({"data": data, "links": links});
        if kind == Kind::Events && call.param("include").is_some() {
            set(&mut body, "/included", self.included(call, &rows).into());
        }
        Answer { content_type: JSON_API, ..Answer::json(200, &body) }
    }

    /// The records that the filter means, and the sort.
    fn wanted(&self, call: &Call, kind: Kind) -> Result<(Vec<Arc<Row>>, &'static str), String> {
        let asked = call.param("sort");
        let sort = kind.sorts().iter().find(|s| asked.is_none_or(|a| a == **s));
        let sort = *sort.ok_or_else(|| format!("'{}' is not a valid sort.", asked.unwrap_or("")))?;
        let (mut from, mut until) = (i64::MIN, i64::MAX);
        let mut equal: Vec<(&'static str, Vec<String>)> = Vec::new();
        for test in filter::read(call.param("filter").unwrap_or(""))? {
            let time = match (test.field.as_str(), kind) {
                ("datetime", Kind::Events) | ("updated", Kind::Profiles) => {
                    let at = test.values.first().and_then(|v| stamp::read(v, 0));
                    Some(at.ok_or_else(|| format!("Invalid datetime provided for {}", test.field))?)
                }
                ("timestamp", Kind::Events) => {
                    let at: Option<i64> = test.values.first().and_then(|v| v.parse().ok());
                    Some(at.ok_or("Invalid timestamp provided")?.saturating_mul(1_000))
                }
                _ => None,
            };
            // Of `updated` there are only greater-than and less-than.
            match (test.operator.as_str(), time) {
                ("greater-or-equal", Some(at)) if kind == Kind::Events => from = from.max(at),
                ("greater-than", Some(at)) => from = from.max(at.saturating_add(1)),
                ("less-than", Some(at)) => until = until.min(at),
                ("less-or-equal", Some(at)) if kind == Kind::Events => until = until.min(at.saturating_add(1)),
                ("equals" | "any", None) => {
                    let place = match (test.field.as_str(), kind) {
                        ("metric_id", Kind::Events) => "/metric",
                        ("profile_id", Kind::Events) => "/profile",
                        ("integration.name", Kind::Metrics) => "/integration/name",
                        ("integration.category", Kind::Metrics) => "/integration/category",
                        ("id", Kind::Profiles) => "/id",
                        ("email", Kind::Profiles) => "/email",
                        ("external_id", Kind::Profiles) => "/external_id",
                        (field, _) => return Err(format!("'{field}' is not an allowed field to filter by.")),
                    };
                    equal.push((place, test.values));
                }
                (operator, _) => return Err(format!("'{operator}' is not allowed for the field '{}'.", test.field)),
            }
        }
        let mut rows = self.records.between(kind.name(), from, until, call.at);
        match kind {
            Kind::Events => rows.extend(self.sent(from, until)),
            Kind::Metrics => rows.extend(self.sent_metrics()),
            Kind::Profiles => {}
        }
        rows.retain(|row| {
            equal.iter().all(|(place, values)| {
                row.body.pointer(place).and_then(Value::as_str).is_some_and(|is| values.iter().any(|v| v == is))
            })
        });
        Ok((rows, sort))
    }

    /// Events that were sent, as far as their records are kept, as they are read back: without their `unique_id`.
    fn sent(&self, from: i64, until: i64) -> Vec<Arc<Row>> {
        let effects = self.ledger.effects_from(0).into_iter().enumerate();
        let sent = effects.filter(|(_, effect)| effect.body.is_object()).filter_map(|(n, effect)| {
            // The vendor keeps whole seconds.
            let at = stamp::read(&effect.at, 0)?.div_euclid(1_000) * 1_000;
            let body = json!({
                "metric": klaviyo_metric(&effect.event), "profile": format!("01SENT{:020}", key(&[effect.person.as_bytes()]) % (1 << 60)),
                "event_properties": effect.body.pointer("/attributes/properties"), "datetime": Stamp::Offset.write(at),
            });
            let number = 1_000_000 + n as u64;
            Some(Row { id: format!("4Sent{n:06}"), number, created: at, modified: at, visible: at, body })
        });
        sent.filter(|row| (from..until).contains(&row.modified)).map(Arc::new).collect()
    }

    /// The metrics that events which were sent have made.
    fn sent_metrics(&self) -> Vec<Arc<Row>> {
        let names: BTreeSet<String> = self.ledger.effects_from(0).into_iter().map(|effect| effect.event).collect();
        let new = names.iter().filter(|name| self.records.find("metrics", &klaviyo_metric(name)).is_none());
        let rows = new.enumerate().map(|(n, name)| {
            let integration = json!({"object": "integration", "id": "0eMvjm", "name": "API", "category": "API"});
            let id = klaviyo_metric(name);
            let body = json!({"id": id, "name": name, "integration": integration});
            Arc::new(Row { id, number: 1_000_000 + n as u64, created: 0, modified: 0, visible: 0, body })
        });
        rows.collect()
    }

    /// A record in JSON:API form.
    fn shown(&self, call: &Call, kind: Kind, row: &Row) -> Value {
        match kind {
            Kind::Events => {
                let relation = |kind: &str| json!({"data": {"type": kind, "id": row.body.get(kind)}});
                let mut attributes = json!({
                    "timestamp": row.modified.div_euclid(1_000), "event_properties": row.body.get("event_properties"),
                    "datetime": row.body.get("datetime"), "uuid": uuid(&row.id, row.modified),
                });
                sparse(call, "event", &mut attributes);
                json!({
                    "type": "event", "id": row.id, "attributes": attributes,
                    "relationships": {"profile": relation("profile"), "metric": relation("metric")},
                    "links": {"self": format!("{}/api/events/{}/", call.base, row.id)},
                })
            }
            Kind::Metrics => flat(call, "metric", &row.id, &row.body),
            Kind::Profiles => {
                let mut shown = flat(call, "profile", &row.id, &row.body);
                // Subscriptions only come when they are asked for.
                if call.param("additional-fields[profile]").is_none_or(|f| !f.contains("subscriptions"))
                    && let Some(attributes) = shown.pointer_mut("/attributes").and_then(Value::as_object_mut)
                {
                    attributes.shift_remove("subscriptions");
                }
                shown
            }
        }
    }

    /// The profiles and metrics of these events, each once.
    fn included(&self, call: &Call, rows: &[Arc<Row>]) -> Vec<Value> {
        let mut included = Vec::new();
        for kind in call.param("include").unwrap_or("").split(',').filter(|k| matches!(*k, "profile" | "metric")) {
            let ids: BTreeSet<&str> = rows.iter().filter_map(|r| r.body.get(kind).and_then(Value::as_str)).collect();
            for id in ids {
                let body = self.records.find(&format!("{kind}s"), id).map_or(json!({}), |r| r.body.clone());
                let mut one = flat(call, kind, id, &body);
                if let Some(attributes) = one.pointer_mut("/attributes").and_then(Value::as_object_mut) {
                    attributes.shift_remove("subscriptions");
                }
                included.push(one);
            }
        }
        included
    }

    /// Quota of the endpoint: seconds to wait when it is spent.
    pub(super) fn take_read_quota(&self, kind: Kind, now: i64) -> Result<[(&'static str, String); 3], i64> {
        let mut memory = lock(&self.state);
        match kind {
            Kind::Events => memory.list_events.take(now),
            Kind::Metrics => memory.metrics.take(now),
            Kind::Profiles => memory.profiles.take(now),
        }
    }
}

/// A record whose attributes lie beside its id.
fn flat(call: &Call, kind: &str, id: &str, body: &Value) -> Value {
    let mut attributes = body.clone();
    if let Some(map) = attributes.as_object_mut() {
        map.shift_remove("id");
    }
    sparse(call, kind, &mut attributes);
    json!({"type": kind, "id": id, "attributes": attributes, "links": {"self": format!("{}/api/{kind}s/{id}/", call.base)}})
}

/// Keeps the attributes of `fields[kind]`.
fn sparse(call: &Call, kind: &str, attributes: &mut Value) {
    if let (Some(wanted), Some(map)) = (call.param(&format!("fields[{kind}]")), attributes.as_object_mut()) {
        map.retain(|name, _| wanted.split(',').any(|w| w.split('.').next() == Some(name)));
    }
}

fn uuid(id: &str, at: i64) -> uuid::Uuid {
    uuid::Builder::from_random_bytes(key(&[b"event", id.as_bytes(), &at.to_le_bytes()]).to_be_bytes()).into_uuid()
}

/// Opaque on purpose.
fn write_cursor((at, number): (i64, u64)) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("next::{at}::{number}"))
}

fn read_cursor(cursor: &str) -> Option<(i64, u64)> {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (at, number) = text.strip_prefix("next::")?.split_once("::")?;
    Some((at.parse().ok()?, number.parse().ok()?))
}
