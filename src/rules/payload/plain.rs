//! What every payload says, whatever the trigger adds: the trigger, the occasion, the newest event that speaks for it.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::model::{Entry, Identifier, OccasionId, Person, RawJson, Timestamp};
use crate::rules::leaf::Leaf;
use crate::rules::program::Program;
use crate::rules::trigger::Trigger;
use crate::rules::view::{Keyless, View};

/// The most products in one payload.
const MOST_PRODUCTS: usize = 50;
/// The most names that go with an activation.
const MOST_NAMES: usize = 20;
/// The most traits that go with an activation.
const MOST_TRAITS: usize = 50;
/// What is said of a product, where it is known.
const PRODUCT: &[&str] = &[
    "product_id",
    "variant_id",
    "sku",
    "name",
    "brand",
    "category",
    "variant",
    "price",
    "quantity",
    "currency",
    "url",
    "image_url",
];
/// What is always said as it is, and first.
pub const FIXED: &[&str] = &["trigger", "occasion", "occurred_at", "key"];
/// Names that the payload gives itself: an event's own property of that name does not overwrite them.
const OWN: &[&str] = &["trigger", "occasion", "occurred_at", "key", "segment", "on", "products"];

/// The trigger, the occasion, the newest event that speaks for it, and its products: lent from the person, since most
/// of it is only written down.
pub struct Plain<'a> {
    /// What the payload says of itself.
    own: Vec<(&'static str, Cow<'a, str>)>,
    /// Of the event, whatever it says.
    said: Option<&'a Map<String, Value>>,
    products: Vec<&'a Value>,
}

impl<'a> Plain<'a> {
    /// Of one occasion.
    pub fn of(trigger: &'a Trigger, view: &View<'a>, key: &'a str, occasion: OccasionId) -> Self {
        let mut own: Vec<(&'static str, Cow<'a, str>)> = vec![
            ("trigger", (&*trigger.name).into()),
            ("occasion", occasion.to_string().into()),
            ("occurred_at", view.now.to_string().into()),
        ];
        if let Some(segment) = trigger.segment_name() {
            own.extend([("segment", segment.into()), ("on", key.into())]);
        } else if !key.is_empty() {
            own.push(("key", key.into()));
        }
        let speaking = trigger.condition.leaves().into_iter().filter(|leaf| !matches!(leaf, Leaf::DidNot(_)));
        let newest = speaking.filter_map(|leaf| Some((leaf, leaf.asks().evidence(view)?)));
        let newest = newest.max_by_key(|(_, entry)| entry.order());
        Self {
            own,
            said: newest.and_then(|(_, entry)| entry.fields().as_object()),
            products: newest.map(|(leaf, entry)| products(leaf, entry, view)).unwrap_or_default(),
        }
    }

    /// The properties of the event that speaks for it.
    pub fn event(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.said.into_iter().flatten().filter(|(name, _)| !OWN.contains(&name.as_str()))
    }

    /// Its products.
    pub fn products(&self) -> impl Iterator<Item = Value> {
        self.products.iter().map(|product| {
            told(product).map(|(name, value)| (name.to_owned(), value.clone())).collect::<Map<_, _>>().into()
        })
    }

    /// All of it as JSON, with what a trigger adds: after what tells one occasion from another, and before the event's
    /// own. A vendor that takes only so many fields takes the first.
    pub fn with(&self, added: &Map<String, Value>) -> RawJson {
        RawJson::of(&With { plain: self, added })
    }
}

struct With<'a> {
    plain: &'a Plain<'a>,
    added: &'a Map<String, Value>,
}

impl Serialize for With<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Self { plain, added } = self;
        let (first, rest): (Vec<_>, Vec<_>) = plain.own.iter().partition(|(name, _)| FIXED.contains(name));
        let is_new = |name: &str| !added.contains_key(name);
        let mut said = s.serialize_map(None)?;
        for (name, text) in &first {
            match added.get(*name) {
                Some(value) => said.serialize_entry(name, value)?,
                None => said.serialize_entry(name, text)?,
            }
        }
        for (name, value) in added.iter().filter(|(name, _)| first.iter().all(|(known, _)| known != name)) {
            said.serialize_entry(name, value)?;
        }
        for (name, text) in rest.iter().filter(|(name, _)| is_new(name)) {
            said.serialize_entry(name, text)?;
        }
        for (name, value) in plain.event().filter(|(name, _)| is_new(name)) {
            said.serialize_entry(name, value)?;
        }
        if !plain.products.is_empty() && is_new("products") {
            said.serialize_entry("products", &Products(&plain.products))?;
        }
        said.end()
    }
}

struct Products<'a>(&'a [&'a Value]);

impl Serialize for Products<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|product| Told(product)))
    }
}

struct Told<'a>(&'a Value);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(told(self.0))
    }
}

/// The products that an order or cart event lists; else those of the events that the leaf counted, newest state.
fn products<'a>(leaf: &Leaf, newest: &'a Entry, view: &View<'a>) -> Vec<&'a Value> {
    if let Some(Value::Array(listed)) = newest.fields().get("products") {
        return listed.iter().filter(|said| is_product(said)).take(MOST_PRODUCTS).collect();
    }
    let mut kept: Vec<(Option<&Value>, &Value)> = Vec::new();
    let Some((reads, _)) = leaf.asks().sources().into_iter().next() else { return Vec::new() };
    for entry in view.matching(reads, Keyless::Ignored).filter(|entry| is_product(entry.fields())) {
        let id = product_id(entry.fields());
        kept.retain(|(other, _)| !is_same(*other, id));
        kept.push((id, entry.fields()));
    }
    // What was taken out of the cart again is not in it.
    for entry in view.entries().iter().filter(|e| &*e.name == "Product Removed") {
        if view.key.is_none_or(|(path, key)| path.carries(entry.fields(), key)) {
            let id = product_id(entry.fields());
            let added_later = view
                .matching(reads, Keyless::Ignored)
                .any(|e| e.order() > entry.order() && is_same(product_id(e.fields()), id));
            if !added_later {
                kept.retain(|(other, _)| !is_same(*other, id));
            }
        }
    }
    kept.into_iter().map(|(_, product)| product).take(MOST_PRODUCTS).collect()
}

fn product_id(fields: &Value) -> Option<&Value> {
    ["product_id", "sku", "name"].iter().find_map(|name| fields.get(*name))
}

/// True where both are written alike.
fn is_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(Value::String(one)), Some(Value::String(other))) => one == other,
        // Numbers that are alike may be written otherwise.
        (one, other) => one.map(Value::to_string) == other.map(Value::to_string),
    }
}

fn is_product(fields: &Value) -> bool {
    fields.get("product_id").is_some() || fields.get("sku").is_some()
}

/// What is said of a product, by the names that are known.
fn told(fields: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    PRODUCT.iter().filter_map(|name| Some((*name, fields.get(*name)?)))
}

/// The names that go with an activation.
pub fn identifiers(person: &Person) -> Vec<Identifier> {
    let mut identifiers = person.identifiers.clone();
    identifiers.sort();
    identifiers.truncate(MOST_NAMES);
    identifiers
}

/// The person's names and plain traits, for the vendor's profile, with those that are computed at T. Identifiers go by
/// themselves.
pub fn traits(program: &Program, person: &Person, at: Timestamp) -> RawJson {
    let plain = person.traits.iter().filter(|(name, t)| {
        !matches!(&***name, "email" | "phone" | "id")
            && matches!(t.value, Value::String(_) | Value::Number(_) | Value::Bool(_))
    });
    let mut plain: Map<String, Value> =
        plain.take(MOST_TRAITS).map(|(name, t)| (name.to_string(), t.value.clone())).collect();
    plain.extend(program.computed_traits(person, at));
    RawJson::from_value(&Value::Object(plain))
}

/// The id of an occasion: 16 bytes of BLAKE3 over what makes it one.
pub fn occasion(trigger: &Trigger, who: Option<&Identifier>, key: &str, at: Timestamp) -> OccasionId {
    let mut hash = blake3::Hasher::new();
    let who = who.map(Identifier::to_text).unwrap_or_default();
    for part in [trigger.name.as_bytes(), &trigger.meaning.to_be_bytes(), who.as_bytes(), key.as_bytes()] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(&at.as_millis().to_le_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    OccasionId(id)
}
