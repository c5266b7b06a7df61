//! What templates see: the person, what they did, the cart, the last order. Only what the trigger's templates ask for
//! is put together, and it is made into values of the language only where more is done with it than to say it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value as Seen;
use minijinja::value::Serde;
use serde_json::{Map, Value, json};

use super::cart::Cart;
use super::names::LeafNames;
use super::plain::Plain;
use super::product::of_item;
use super::reads::Reads;
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

/// What a name leads to.
pub enum Found {
    /// This.
    Value(Value),
    /// There is nothing, but what it would be part of is there.
    Missing,
    /// Nor is that.
    Nowhere,
}

/// What templates speak of. Nothing of it is put together before one asks.
pub struct Scene<'a> {
    fire: Fire<'a>,
    view: View<'a>,
    plain: &'a Plain<'a>,
    leaves: &'a LeafNames,
    reads: &'a Reads,
    /// What the trigger's other tables say.
    more: Vec<(&'static str, Value)>,
    cart: OnceCell<Option<Cart<'a>>>,
    last_order: OnceCell<Option<Cart<'a>>>,
    seen: OnceCell<Seen>,
}

impl<'a> Scene<'a> {
    /// Of one fire. `plain` is what the payload says anyway, `reads` how much of all this the language asks for.
    pub fn new(fire: &Fire<'a>, leaves: &'a LeafNames, plain: &'a Plain<'a>, reads: &'a Reads) -> Self {
        Self {
            fire: *fire,
            view: fire.view(),
            plain,
            leaves,
            reads,
            more: Vec::new(),
            cart: OnceCell::new(),
            last_order: OnceCell::new(),
            seen: OnceCell::new(),
        }
    }

    /// One thing more.
    pub fn put(&mut self, name: &'static str, value: Value) {
        self.more.push((name, value));
        self.seen.take();
    }

    /// Without so many that were put last.
    pub fn forget(&mut self, count: usize) {
        self.more.truncate(self.more.len().saturating_sub(count));
        self.seen.take();
    }

    /// What a name leads to. What is null is not there.
    pub fn find(&self, path: &[Box<str>]) -> Found {
        let Some((top, inner)) = path.split_first() else { return Found::Nowhere };
        let first = inner.first();
        let part = self.part(top, &|name| first.is_none_or(|first| **first == *name));
        let missing = |n| if n == inner.len() { Found::Missing } else { Found::Nowhere };
        let Some(mut found) = part.filter(|value| !value.is_null()) else { return missing(0) };
        for (n, name) in inner.iter().enumerate() {
            match found.get_mut(&**name).map(Value::take).filter(|value| !value.is_null()) {
                Some(value) => found = value,
                None => return missing(n + 1),
            }
        }
        take_nulls(&mut found);
        Found::Value(found)
    }

    /// All that the language asks for, as it sees it.
    pub fn seen(&self) -> &Seen {
        self.seen.get_or_init(|| {
            let read = self.reads.iter().filter_map(|(top, part)| Some((top, self.part(top, &|name| part.has(name))?)));
            let more = self.more.iter().map(|(name, value)| (*name, value.clone()));
            let known = read.chain(more).filter(|(_, value)| !value.is_null());
            // Of the catalogue only what is asked for is looked up.
            let lookup = Seen::from_object(Lookup(self.fire.shelf.catalogue.clone()));
            let known = known.map(|(name, value)| (name.to_owned(), shown(value)));
            Seen::from_pairs(known.chain([("catalogue".to_owned(), lookup)]).collect::<BTreeMap<_, _>>())
        })
    }

    /// One thing, with those of its fields that are read.
    fn part(&self, top: &str, is_read: &dyn Fn(&str) -> bool) -> Option<Value> {
        let fire = &self.fire;
        let catalogue = fire.shelf.catalogue;
        Some(match top {
            "trigger" => json!(*fire.trigger.name),
            "title" => json!(fire.trigger.title),
            "occasion" => json!(fire.occasion.to_string()),
            "occurred_at" => json!(fire.at),
            "key" => json!(fire.key),
            "person" => person(fire.person, is_read),
            "traits" => {
                let traits = fire.person.traits.iter().filter(|(name, _)| is_read(name));
                traits.map(|(name, t)| (name.to_string(), t.value.clone())).collect()
            }
            "event" => {
                let own = self.plain.event().filter(|(name, _)| is_read(name));
                own.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            "products" => self.plain.products().collect(),
            "events" => events(fire, self.leaves, &self.view, is_read),
            "cart" => self.cart.get_or_init(|| Cart::of(&self.view, catalogue)).as_ref()?.to_value(is_read),
            "last_order" => {
                self.last_order.get_or_init(|| Cart::last_order(&self.view, catalogue)).as_ref()?.to_value(is_read)
            }
            _ => self.more.iter().find(|(name, _)| *name == top)?.1.clone(),
        })
    }
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
fn person(person: &Person, is_read: &dyn Fn(&str) -> bool) -> Value {
    let mut said = Map::new();
    for identifier in &person.identifiers {
        let kind = identifier.kind.to_string();
        if is_read(&kind) {
            said.entry(kind).or_insert_with(|| (*identifier.value).into());
        }
    }
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| person.trait_value(name)).and_then(Value::as_str);
        found.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let (first, last) = (text(&["first_name", "firstName"]), text(&["last_name", "lastName"]));
    let both = [first.as_deref(), last.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let name = text(&["name"]).or_else(|| Some(both).filter(|both| !both.is_empty()));
    for (key, value) in [("first_name", first), ("last_name", last), ("name", name)] {
        said.extend(value.filter(|_| is_read(key)).map(|value| (key.to_owned(), value.into())));
    }
    if is_read("email") && !person.identifiers.iter().any(|i| i.kind == IdentifierKind::Email) {
        said.extend(text(&["email"]).map(|email| ("email".to_owned(), email.into())));
    }
    if is_read("first_seen") {
        said.insert("first_seen".to_owned(), json!(person.first_seen));
    }
    Value::Object(said)
}

/// What each condition counted, oldest first.
fn events(fire: &Fire<'_>, leaves: &LeafNames, view: &View<'_>, is_read: &dyn Fn(&str) -> bool) -> Value {
    let all = fire.trigger.condition.leaves();
    let named = leaves.iter().filter(|(_, name)| is_read(name)).filter_map(|(n, name)| {
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
