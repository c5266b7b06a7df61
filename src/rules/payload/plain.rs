//! What every payload says, whatever the trigger adds: the trigger, the occasion, the newest event that speaks for it.

use serde_json::{Map, Value, json};

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
/// Names that the payload gives itself: an event's own property of that name does not overwrite them.
pub const OWN: &[&str] = &["trigger", "occasion", "occurred_at", "key", "segment", "on", "products"];

/// The trigger, the occasion, the newest event that speaks for it, and its products.
pub fn plain(trigger: &Trigger, view: &View<'_>, key: &str, occasion: OccasionId) -> Map<String, Value> {
    let at = view.now;
    let mut said = Map::new();
    said.insert("trigger".into(), json!(*trigger.name));
    said.insert("occasion".into(), json!(occasion.to_string()));
    said.insert("occurred_at".into(), json!(at));
    if let Some(segment) = trigger.segment_name() {
        said.insert("segment".into(), json!(segment));
        said.insert("on".into(), json!(key));
    } else if !key.is_empty() {
        said.insert("key".into(), json!(key));
    }
    let speaking = trigger.condition.leaves().into_iter().filter(|leaf| !matches!(leaf, Leaf::DidNot(_)));
    let newest = speaking.filter_map(|leaf| Some((leaf, leaf.asks().evidence(view)?))).max_by_key(|(_, e)| e.order());
    if let Some((leaf, entry)) = newest {
        if let Value::Object(properties) = entry.fields() {
            let own = properties.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
            said.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        }
        let products = products(leaf, entry, view);
        if !products.is_empty() {
            said.insert("products".into(), Value::Array(products));
        }
    }
    said
}

/// The products that an order or cart event lists; else those of the events that the leaf counted, newest state.
fn products(leaf: &Leaf, newest: &Entry, view: &View<'_>) -> Vec<Value> {
    if let Some(Value::Array(listed)) = newest.fields().get("products") {
        return listed.iter().filter_map(product).take(MOST_PRODUCTS).collect();
    }
    let mut kept: Vec<(String, Value)> = Vec::new();
    let Some((reads, _)) = leaf.asks().sources().into_iter().next() else { return Vec::new() };
    for entry in view.matching(reads, Keyless::Ignored) {
        let Some(product) = product(entry.fields()) else { continue };
        let id = product_id(entry.fields());
        kept.retain(|(other, _)| *other != id);
        kept.push((id, product));
    }
    // What was taken out of the cart again is not in it.
    for entry in view.entries().iter().filter(|e| &*e.name == "Product Removed") {
        if view.key.is_none_or(|(path, key)| path.carries(entry.fields(), key)) {
            let id = product_id(entry.fields());
            let added_later = view
                .matching(reads, Keyless::Ignored)
                .any(|e| e.order() > entry.order() && product_id(e.fields()) == id);
            if !added_later {
                kept.retain(|(other, _)| *other != id);
            }
        }
    }
    kept.into_iter().map(|(_, product)| product).take(MOST_PRODUCTS).collect()
}

fn product_id(fields: &Value) -> String {
    ["product_id", "sku", "name"].iter().find_map(|name| fields.get(*name)).map(Value::to_string).unwrap_or_default()
}

fn product(fields: &Value) -> Option<Value> {
    let known = PRODUCT.iter().filter_map(|name| Some(((*name).to_owned(), fields.get(*name)?.clone())));
    let product: Map<String, Value> = known.collect();
    (product.contains_key("product_id") || product.contains_key("sku")).then_some(Value::Object(product))
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
