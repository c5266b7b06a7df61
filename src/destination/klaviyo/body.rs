//! Bodies, in JSON:API (API reference, revision 2026-07-15).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use super::word;
use crate::model::{Action, ActionKind, Activation, IdentifierKind, RawJson, Timestamp};

/// Properties of one event at most.
const MOST_PROPERTIES: usize = 400;
/// A string in them at most.
const LONGEST_TEXT: usize = 100_000;
/// Nesting and elements of an array at most.
const DEEPEST: usize = 10;
const LONGEST_ARRAY: usize = 4_000;

/// What the vendor would refuse, said before it is asked: a code and words.
pub fn check(activation: &Activation) -> Result<(), (&'static str, String)> {
    if matches!(&activation.action, Action::Event(name) if name.is_empty() || name.len() >= 128) {
        return Err(("metric_name", "a metric's name has 1 to 127 bytes".into()));
    }
    let names = |kind: IdentifierKind| activation.identifiers.iter().any(|i| i.kind == kind);
    if !(names(IdentifierKind::Email) || names(IdentifierKind::Phone) || names(IdentifierKind::UserId)) {
        let words = "the person has no e-mail address, phone number or account id: a profile of Klaviyo needs one";
        return Err(("no_identifier", words.into()));
    }
    let kind = activation.action.kind();
    if !ActionKind::OF_TRIGGERS.contains(&kind) && word::addresses(activation).is_empty() {
        return Err(("no_identifier", "the person has no address by which Klaviyo could know them".into()));
    }
    // Only an event carries the payload.
    if kind != ActionKind::Event || is_small(activation.payload.get()) {
        return Ok(());
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

/// So short an object, with so few brackets, is within every limit: nobody needs to read it.
fn is_small(text: &str) -> bool {
    let brackets = || text.bytes().filter(|b| matches!(b, b'{' | b'[')).count();
    text.starts_with('{') && text.len() < 5 * MOST_PROPERTIES && brackets() <= DEEPEST
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

/// `POST /api/events`; what happened before `backfill` starts no flow.
pub fn single(activation: &Activation, backfill: Option<Timestamp>) -> Vec<u8> {
    let profile = Profile::of(activation);
    let attributes =
        Event { profile: Some(Data { data: Typed::new("profile", &profile) }), ..Event::of(activation, backfill) };
    bytes(&Data { data: Typed::new("event", attributes) })
}

/// `POST /api/event-bulk-create-jobs`, grouped by profile; and for each profile the places of its activations.
pub fn bulk(activations: &[&Activation], backfill: Option<Timestamp>) -> (Vec<u8>, Vec<Vec<usize>>) {
    let mut place_of: HashMap<Profile, usize> = HashMap::new();
    let mut profiles: Vec<Vec<usize>> = Vec::new();
    for (n, activation) in activations.iter().enumerate() {
        let place = *place_of.entry(Profile::of(activation)).or_insert_with(|| {
            profiles.push(Vec::new());
            profiles.len() - 1
        });
        if let Some(places) = profiles.get_mut(place) {
            places.push(n);
        }
    }
    let mut in_order: Vec<(Profile, usize)> = place_of.into_iter().collect();
    in_order.sort_unstable_by_key(|(_, place)| *place);
    let data: Vec<_> = in_order
        .iter()
        .zip(&profiles)
        .map(|((profile, _), places)| {
            let events = places
                .iter()
                .filter_map(|n| activations.get(*n))
                .map(|activation| Typed::new("event", Event::of(activation, backfill)))
                .collect();
            let profile = Data { data: Typed::new("profile", profile) };
            Typed::new("event-bulk-create", OfProfile { profile, events: Data { data: events } })
        })
        .collect();
    let job = Typed::new("event-bulk-create-job", Job { events: Data { data } });
    (bytes(&Data { data: job }), profiles)
}

pub(super) fn bytes(body: &impl Serialize) -> Vec<u8> {
    // It fails only for a payload that is no JSON, which only a damaged store can hold; the vendor then says so.
    serde_json::to_vec(body).unwrap_or_default()
}

/// JSON:API's envelope of a resource, or of several.
#[derive(Serialize)]
struct Data<T> {
    data: T,
}

/// A resource.
#[derive(Serialize)]
struct Typed<T> {
    r#type: &'static str,
    attributes: T,
}

impl<T> Typed<T> {
    fn new(name: &'static str, attributes: T) -> Self {
        Self { r#type: name, attributes }
    }
}

#[derive(Serialize)]
struct Job<'a> {
    #[serde(rename = "events-bulk-create")]
    events: Data<Vec<Typed<OfProfile<'a>>>>,
}

#[derive(Serialize)]
struct OfProfile<'a> {
    profile: Data<Typed<&'a Profile<'a>>>,
    events: Data<Vec<Typed<Event<'a>>>>,
}

#[derive(Serialize)]
struct Event<'a> {
    unique_id: String,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_currency: Option<String>,
    properties: &'a RawJson,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    backfill: bool,
    metric: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Data<Typed<&'a Profile<'a>>>>,
}

/// What of a payload is said beside it as well.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Amounts {
    value: Value,
    revenue: Value,
    total: Value,
    currency: Value,
}

impl<'a> Event<'a> {
    fn of(activation: &'a Activation, backfill: Option<Timestamp>) -> Self {
        let said: Amounts = serde_json::from_str(activation.payload.get()).unwrap_or_default();
        let value = [&said.value, &said.revenue, &said.total].into_iter().find_map(money);
        let currency = said.currency.as_str().filter(|c| c.len() == 3 && value.is_some()).map(str::to_uppercase);
        Self {
            unique_id: activation.occasion.to_string(),
            time: activation.at,
            value,
            value_currency: currency,
            properties: &activation.payload,
            backfill: backfill.is_some_and(|before| activation.at < before),
            metric: json!({ "data": { "type": "metric", "attributes": { "name": activation.action.of() } } }),
            profile: None,
        }
    }
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
#[derive(PartialEq, Eq, Hash, Serialize)]
pub(super) struct Profile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) anonymous_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Computed>,
}

/// Traits that we compute: they have no names of the profile's own.
#[derive(Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
struct Computed {
    #[serde(skip_serializing_if = "Option::is_none")]
    engagement_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engagement_open_rate: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engagement_click_rate: Option<Number>,
}

/// The traits that a profile takes, in either spelling.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    first_name: Value,
    #[serde(rename = "firstName")]
    given: Value,
    last_name: Value,
    #[serde(rename = "lastName")]
    family: Value,
}

impl<'a> Profile<'a> {
    /// As an event has it.
    pub(super) fn of(activation: &'a Activation) -> Self {
        let first = |kind: IdentifierKind| activation.identifiers.iter().find(|i| i.kind == kind).map(|i| &*i.value);
        let names: Names = serde_json::from_str(activation.traits.get()).unwrap_or_default();
        let computed: Computed = serde_json::from_str(activation.traits.get()).unwrap_or_default();
        let said = |spellings: [&Value; 2]| {
            spellings.into_iter().find_map(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
        };
        Self {
            email: first(IdentifierKind::Email),
            phone_number: first(IdentifierKind::Phone),
            external_id: first(IdentifierKind::UserId),
            anonymous_id: first(IdentifierKind::AnonymousId),
            first_name: said([&names.first_name, &names.given]),
            last_name: said([&names.last_name, &names.family]),
            properties: (computed != Computed::default()).then_some(computed),
        }
    }
}
