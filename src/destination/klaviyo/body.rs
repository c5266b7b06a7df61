//! Bodies, in JSON:API (API reference, revision 2026-07-15).

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::model::{Activation, IdentifierKind};

/// Properties of one event at most.
const MOST_PROPERTIES: usize = 400;
/// A string in them at most.
const LONGEST_TEXT: usize = 100_000;
/// Nesting and elements of an array at most.
const DEEPEST: usize = 10;
const LONGEST_ARRAY: usize = 4_000;

/// What the vendor would refuse, said before it is asked: a code and words.
pub fn check(activation: &Activation) -> Result<(), (&'static str, String)> {
    if activation.event.len() >= 128 || activation.event.is_empty() {
        return Err(("metric_name", "a metric's name has 1 to 127 bytes".into()));
    }
    let names = |kind: IdentifierKind| activation.identifiers.iter().any(|i| i.kind == kind);
    if !(names(IdentifierKind::Email) || names(IdentifierKind::Phone) || names(IdentifierKind::UserId)) {
        let words = "the person has no e-mail address, phone number or account id: a profile of Klaviyo needs one";
        return Err(("no_identifier", words.into()));
    }
    let payload = activation.payload.to_value();
    let Some(properties) = payload.as_object() else { return Err(("payload", "the payload is not an object".into())) };
    if properties.len() > MOST_PROPERTIES {
        return Err(("payload", format!("the payload has more than {MOST_PROPERTIES} properties")));
    }
    if !fits(&payload, 0) {
        return Err((
            "payload",
            "the payload has a text over 100 KB, a list over 4,000 or nests deeper than 10".into(),
        ));
    }
    Ok(())
}

fn fits(value: &Value, depth: usize) -> bool {
    match value {
        Value::String(text) => text.len() <= LONGEST_TEXT,
        Value::Array(items) => {
            depth < DEEPEST && items.len() <= LONGEST_ARRAY && items.iter().all(|i| fits(i, depth + 1))
        }
        Value::Object(entries) => depth < DEEPEST && entries.values().all(|i| fits(i, depth + 1)),
        _ => true,
    }
}

/// `POST /api/events`
pub fn single(activation: &Activation) -> Vec<u8> {
    let mut attributes = event(activation);
    attributes.insert("profile".into(), json!({ "data": { "type": "profile", "attributes": profile(activation) } }));
    json!({ "data": { "type": "event", "attributes": attributes } }).to_string().into_bytes()
}

/// `POST /api/event-bulk-create-jobs`, grouped by profile; and for each profile the places of its activations.
pub fn bulk(activations: &[&Activation]) -> (Vec<u8>, Vec<Vec<usize>>) {
    let mut place_of: HashMap<String, usize> = HashMap::new();
    let mut profiles: Vec<(Map<String, Value>, Vec<usize>)> = Vec::new();
    for (n, activation) in activations.iter().enumerate() {
        let profile = profile(activation);
        let key = Value::Object(profile.clone()).to_string();
        let place = *place_of.entry(key).or_insert_with(|| {
            profiles.push((profile, Vec::new()));
            profiles.len() - 1
        });
        if let Some((_, places)) = profiles.get_mut(place) {
            places.push(n);
        }
    }
    let data: Vec<Value> = profiles
        .iter()
        .map(|(profile, places)| {
            let events: Vec<Value> = places
                .iter()
                .filter_map(|n| activations.get(*n))
                .map(|activation| json!({ "type": "event", "attributes": event(activation) }))
                .collect();
            json!({ "type": "event-bulk-create", "attributes": {
                "profile": { "data": { "type": "profile", "attributes": profile } },
                "events": { "data": events },
            } })
        })
        .collect();
    let body = json!({ "data": { "type": "event-bulk-create-job", "attributes": { "events-bulk-create": { "data": data } } } });
    (body.to_string().into_bytes(), profiles.into_iter().map(|(_, places)| places).collect())
}

fn event(activation: &Activation) -> Map<String, Value> {
    let payload = activation.payload.to_value();
    let mut attributes = Map::new();
    attributes.insert("unique_id".into(), activation.occasion.to_string().into());
    attributes.insert("time".into(), activation.at.to_string().into());
    if let Some(value) = ["value", "revenue", "total"].iter().find_map(|name| money(payload.get(*name)?)) {
        attributes.insert("value".into(), value);
        if let Some(currency) = payload.get("currency").and_then(Value::as_str).filter(|c| c.len() == 3) {
            attributes.insert("value_currency".into(), currency.to_uppercase().into());
        }
    }
    attributes.insert("properties".into(), payload);
    let metric = json!({ "data": { "type": "metric", "attributes": { "name": &*activation.event } } });
    attributes.insert("metric".into(), metric);
    attributes
}

/// A number, or a text that is one.
fn money(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from),
        _ => None,
    }
}

/// The profile: each kind of name in its own slot, never an anonymous id as `external_id`.
fn profile(activation: &Activation) -> Map<String, Value> {
    let first =
        |kind: IdentifierKind| activation.identifiers.iter().find(|i| i.kind == kind).map(|i| Value::from(&*i.value));
    let mut profile = Map::new();
    for (name, kind) in [
        ("email", IdentifierKind::Email),
        ("phone_number", IdentifierKind::Phone),
        ("external_id", IdentifierKind::UserId),
        ("anonymous_id", IdentifierKind::AnonymousId),
    ] {
        profile.extend(first(kind).map(|value| (name.to_owned(), value)));
    }
    let traits = activation.traits.to_value();
    for (name, ours) in [("first_name", ["first_name", "firstName"]), ("last_name", ["last_name", "lastName"])] {
        let said = ours.iter().find_map(|t| traits.get(*t)?.as_str()).filter(|t| !t.is_empty());
        profile.extend(said.map(|text| (name.to_owned(), Value::from(text))));
    }
    profile
}
