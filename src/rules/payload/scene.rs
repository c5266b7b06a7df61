//! What templates see: the person, what they did, the cart, the last order. Only what the trigger's templates ask for
//! is put together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::Value as Seen;
use minijinja::value::Serde;
use serde_json::{Map, Value, json};

use super::cart;
use super::names::LeafNames;
use super::product::of_item;
use crate::model::{Catalogue, Codes, Entry, IdentifierKind, Loaded, OccasionId, Person, Sales, Timestamp};
use crate::rules::program::Program;
use crate::rules::trigger::Trigger;
use crate::rules::view::View;

/// The most events told of one condition: the newest.
const MOST_EVENTS: usize = 20;

/// One edge that starts something.
#[derive(Clone, Copy)]
pub struct Fire<'a> {
    /// What is asked.
    pub program: &'a Program,
    /// Which of it fired.
    pub trigger: &'a Trigger,
    /// For whom.
    pub person: &'a Person,
    /// For which key; empty without `per`.
    pub key: &'a str,
    /// The edge.
    pub at: Timestamp,
    /// Its id.
    pub occasion: OccasionId,
    /// What lies outside of the person.
    pub shelf: Shelf<'a>,
}

/// What a payload is made with beside the person. No edge depends on it.
#[derive(Clone, Copy)]
pub struct Shelf<'a> {
    /// What is for sale.
    pub catalogue: &'a Arc<Catalogue>,
    /// What was ordered.
    pub sales: &'a Sales,
    /// Discount codes that may be given.
    pub codes: &'a Codes,
}

impl<'a> Shelf<'a> {
    /// What a step was lent.
    pub fn of(loaded: &'a Loaded) -> Self {
        Self { catalogue: &loaded.catalogue, sales: &loaded.sales, codes: &loaded.codes }
    }
}

impl<'a> Fire<'a> {
    /// The person as the trigger sees them at the edge.
    pub(super) fn view(&self) -> View<'a> {
        self.program.view(self.trigger, self.person, self.key, self.at)
    }
}

/// What templates speak of, by name.
#[derive(Debug)]
pub struct Scene(BTreeMap<String, Seen>);

impl Scene {
    /// One thing more. What is null is not there.
    pub fn put(&mut self, name: &str, value: Value) {
        if !value.is_null() {
            self.0.insert(name.to_owned(), shown(value));
        }
    }

    /// As the language sees it.
    pub fn seen(&self) -> Seen {
        Seen::from_pairs(self.0.clone())
    }
}

/// Puts together what is asked for. `plain` is what the payload says anyway.
pub fn scene(fire: &Fire<'_>, leaves: &LeafNames, plain: &Map<String, Value>, tops: &BTreeSet<&str>) -> Scene {
    let view = fire.view();
    let one = |name: &str| {
        Some(match name {
            "trigger" => json!(*fire.trigger.name),
            "title" => json!(fire.trigger.title),
            "occasion" => json!(fire.occasion.to_string()),
            "occurred_at" => json!(fire.at),
            "key" => json!(fire.key),
            "person" => person(fire.person),
            "traits" => fire.person.traits.iter().map(|(name, t)| (name.to_string(), t.value.clone())).collect(),
            "event" => plain
                .iter()
                .filter(|(name, _)| !super::plain::OWN.contains(&name.as_str()))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect(),
            "products" => plain.get("products").cloned().unwrap_or_else(|| json!([])),
            "events" => events(fire, leaves, &view),
            "cart" => cart::cart(&view, fire.shelf.catalogue)?,
            "last_order" => cart::last_order(&view, fire.shelf.catalogue)?,
            _ => return None,
        })
    };
    // Of the catalogue only what is asked for is looked up.
    let lookup = Seen::from_object(Lookup(fire.shelf.catalogue.clone()));
    let mut scene = Scene(BTreeMap::from([("catalogue".to_owned(), lookup)]));
    tops.iter().filter_map(|name| Some((*name, one(name)?))).for_each(|(name, value)| scene.put(name, value));
    scene
}

/// `catalogue[id]`
#[derive(Debug)]
struct Lookup(Arc<Catalogue>);

impl minijinja::value::Object for Lookup {
    fn get_value(self: &Arc<Self>, key: &Seen) -> Option<Seen> {
        let id = key.as_str().map(str::to_owned).or_else(|| key.is_number().then(|| key.to_string()))?;
        Some(shown(of_item(self.0.get(&id)?)))
    }
}

/// Without what is null, which is not there.
fn shown(mut value: Value) -> Seen {
    take_nulls(&mut value);
    Seen::from(Serde(value))
}

fn take_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(take_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(take_nulls),
        _ => {}
    }
}

/// The names they go by, the first of each kind; and what they are called.
fn person(person: &Person) -> Value {
    let mut said = Map::new();
    for identifier in &person.identifiers {
        said.entry(identifier.kind.to_string()).or_insert_with(|| (*identifier.value).into());
    }
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| person.trait_value(name)).and_then(Value::as_str);
        found.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let (first, last) = (text(&["first_name", "firstName"]), text(&["last_name", "lastName"]));
    let both = [first.as_deref(), last.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let name = text(&["name"]).or_else(|| Some(both).filter(|both| !both.is_empty()));
    for (key, value) in [("first_name", first), ("last_name", last), ("name", name)] {
        said.extend(value.map(|value| (key.to_owned(), value.into())));
    }
    if !said.contains_key("email") && !person.identifiers.iter().any(|i| i.kind == IdentifierKind::Email) {
        said.extend(text(&["email"]).map(|email| ("email".to_owned(), email.into())));
    }
    said.insert("first_seen".to_owned(), json!(person.first_seen));
    Value::Object(said)
}

/// What each condition counted, oldest first.
fn events(fire: &Fire<'_>, leaves: &LeafNames, view: &View<'_>) -> Value {
    let all = fire.trigger.condition.leaves();
    let named = leaves.iter().filter_map(|(n, name)| {
        let asks = all.get(n)?.asks();
        let (reads, _) = asks.sources().into_iter().next()?;
        let mut counted: Vec<&Entry> = view.counted(reads, asks.window()).rev().take(MOST_EVENTS).collect();
        counted.reverse();
        Some((name.to_owned(), counted.into_iter().map(event).collect::<Value>()))
    });
    Value::Object(named.collect())
}

/// One event: its properties, with its name and time where they have none of that name.
fn event(entry: &Entry) -> Value {
    let mut said = match entry.fields() {
        Value::Object(properties) => properties.clone(),
        _ => Map::new(),
    };
    said.entry("event").or_insert_with(|| (*entry.name).into());
    said.entry("at").or_insert_with(|| json!(entry.at));
    Value::Object(said)
}
