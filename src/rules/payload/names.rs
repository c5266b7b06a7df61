//! The names that templates may use, so that a wrong one is found before anything fires.

use std::collections::BTreeSet;

use crate::model::IdentifierKind;
use crate::model::mistake::instead;
use crate::rules::condition::Condition;
use crate::rules::leaf::Leaf;
use crate::rules::written::{Reading, Value};

/// What can be asked for, in the order of docs/payload.md.
const TOP: &[&str] = &[
    "trigger",
    "title",
    "occasion",
    "occurred_at",
    "key",
    "person",
    "traits",
    "event",
    "events",
    "products",
    "cart",
    "last_order",
    "catalogue",
];
/// Of `person`, beside the kinds of identifiers.
const PERSON: &[&str] = &["first_name", "last_name", "name", "email", "phone", "user_id", "anonymous_id", "first_seen"];
/// Of `cart`.
const CART: &[&str] = &["id", "products", "quantity", "total", "currency", "recovery_url"];
/// Of `last_order`.
const ORDER: &[&str] = &["id", "at", "products", "quantity", "total", "currency"];

/// What each condition's events are called in templates, in the order of [`Condition::leaves`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeafNames(Vec<Option<Box<str>>>);

/// What one trigger's templates may use.
pub struct Names {
    top: Vec<&'static str>,
    events: Vec<Box<str>>,
}

impl LeafNames {
    /// From what `as` said for each leaf. Where it said nothing it is the event's name, `product_viewed`, if no condition
    /// before it is called so.
    pub fn of(condition: &Condition, said: &[Option<String>]) -> Self {
        let leaves = condition.leaves();
        let mut names: Vec<Option<Box<str>>> =
            (0..leaves.len()).map(|n| said.get(n).cloned().flatten().map(Into::into)).collect();
        for (n, leaf) in leaves.iter().enumerate() {
            // What was not done has no events.
            if names[n].is_some() || matches!(leaf, Leaf::DidNot(_)) {
                continue;
            }
            let Some((reads, _)) = leaf.asks().sources().into_iter().next() else { continue };
            let usual: Box<str> = snake(&reads.event).into();
            if !names.iter().flatten().any(|known| *known == usual) {
                names[n] = Some(usual);
            }
        }
        Self(names)
    }

    /// Each with the place of its leaf.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().enumerate().filter_map(|(n, name)| Some((n, name.as_deref()?)))
    }
}

/// `Product Viewed` as `product_viewed`.
fn snake(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join("_")
}

impl Names {
    /// Of a trigger with such conditions; `more` are the names that its other tables bring.
    pub fn new(leaves: &LeafNames, more: &[&'static str]) -> Self {
        Self {
            top: TOP.iter().chain(more).copied().collect(),
            events: leaves.iter().map(|(_, name)| name.into()).collect(),
        }
    }

    /// The same with some names more.
    pub fn and(&self, more: &[&'static str]) -> Self {
        Self { top: self.top.iter().chain(more).copied().collect(), events: self.events.clone() }
    }

    /// Reports the first name that is not known; true when there is none.
    pub fn check(&self, used: &BTreeSet<String>, value: &Value<'_, '_>, reading: &mut Reading<'_>) -> bool {
        let wrong = used.iter().find_map(|name| self.wrong(name));
        if let Some((words, way)) = wrong {
            reading.mistake(value.span(), value.path().to_owned(), words).suggestion = Some(way);
            return false;
        }
        true
    }

    /// What is wrong with a name, and the way out.
    fn wrong(&self, name: &str) -> Option<(String, String)> {
        let mut parts = name.split('.');
        let (top, field) = (parts.next().unwrap_or_default(), parts.next());
        if !self.top.contains(&top) {
            return Some((format!("uses `{top}`, which is not known here"), instead(top, &self.top, "known")));
        }
        let field = field?;
        let known: Vec<&str> = match top {
            "person" if IdentifierKind::parse(field).is_some() => return None,
            "person" => PERSON.to_vec(),
            "cart" => CART.to_vec(),
            "last_order" => ORDER.to_vec(),
            "events" => self.events.iter().map(|name| &**name).collect(),
            _ => return None,
        };
        let is_known = known.contains(&field);
        (!is_known).then(|| (format!("uses `{top}.{field}`, which is not known"), instead(field, &known, "known")))
    }
}
