//! Expressions that are one name, or that with the least that is done to a name: they are answered from what is known,
//! without the language. What is not certain is left to it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::language::Expression;
use super::scene::{Found, Scene};
use crate::rules::amount::Amount;

/// A longer path is for the language, which counts its work.
const DEEPEST: usize = 8;

/// One of these.
#[derive(Clone, Debug, PartialEq)]
pub struct Short {
    /// The parts of the name.
    pub path: Box<[Box<str>]>,
    /// What is done to it.
    pub kind: Kind,
}

/// What is done to a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Nothing: `cart.products`.
    Name,
    /// `cart.total is defined`
    Defined,
    /// `person.first_name | default('')`
    Default(Box<str>),
    /// `cart.total | money`
    Money,
}

impl Short {
    /// From an expression that uses these names; `None` where it is none of these.
    pub fn of(text: &str, names: &BTreeSet<String>) -> Option<Self> {
        let name = names.first().filter(|_| names.len() == 1)?;
        let parts: Vec<&str> = name.split('.').collect();
        let is_plain = |part: &&str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        // The catalogue answers by itself.
        if parts.len() > DEEPEST || !parts.iter().all(is_plain) || parts.first() == Some(&"catalogue") {
            return None;
        }
        let rest = text.trim().strip_prefix(name.as_str())?;
        let filter = rest.trim_start().strip_prefix('|').map(str::trim);
        let kind = match (rest, filter) {
            ("", _) => Kind::Name,
            (_, Some("money")) => Kind::Money,
            (_, Some(filter)) => Kind::Default(literal(filter.strip_prefix("default(")?.strip_suffix(')')?)?.into()),
            _ if rest.starts_with(' ') && rest.split_whitespace().eq(["is", "defined"]) => Kind::Defined,
            _ => return None,
        };
        Some(Self { path: parts.into_iter().map(Box::from).collect(), kind })
    }

    /// Its value, where that is certain.
    fn answer(&self, scene: &Scene<'_>) -> Option<Value> {
        match (&self.kind, scene.find(&self.path)) {
            (Kind::Name | Kind::Default(_), Found::Value(value)) => Some(value),
            (Kind::Default(text), Found::Missing) => Some((**text).into()),
            (Kind::Defined, Found::Value(_)) => Some(true.into()),
            (Kind::Defined, Found::Missing) => Some(false.into()),
            (Kind::Money, Found::Value(value @ (Value::String(_) | Value::Number(_)))) => {
                Some(Amount::of(&value)?.to_decimals(2).into())
            }
            _ => None,
        }
    }
}

/// A text in quotes, of which no character means anything.
fn literal(quoted: &str) -> Option<&str> {
    let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(['\'', '"', '\\'])).then_some(inner)
}

impl Expression {
    /// Its value in a scene.
    ///
    /// # Errors
    /// Why it has none; no word of it is the person's.
    pub fn value_in(&self, scene: &Scene<'_>) -> Result<Value, String> {
        match self.short().map(|short| (&short.kind, short.answer(scene))) {
            Some((_, Some(value))) => Ok(value),
            Some((Kind::Name, None)) => Err(self.without_value()),
            Some((_, None)) | None => self.value(scene.seen()),
        }
    }

    /// Whether it holds in a scene.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn holds_in(&self, scene: &Scene<'_>) -> Result<bool, String> {
        match self.short().filter(|short| short.kind == Kind::Defined).and_then(|short| short.answer(scene)) {
            Some(answer) => Ok(answer == Value::Bool(true)),
            None => self.holds(scene.seen()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: Option<(&str, Kind)>) {
        let found = Expression::compile(text).expect(text).short().cloned();
        assert_eq!(
            found.map(|short| (short.path.join("."), short.kind)),
            wanted.map(|(p, k)| (p.to_owned(), k)),
            "{text}"
        );
    }

    #[test]
    fn only_what_is_one_of_these_is() {
        check(" cart.products ", Some(("cart.products", Kind::Name)));
        check("key", Some(("key", Kind::Name)));
        check("cart.total  is defined", Some(("cart.total", Kind::Defined)));
        check("cart.total|money", Some(("cart.total", Kind::Money)));
        check("person.name | default( \"you\" )", None);
        check("person.name | default(\"you\")", Some(("person.name", Kind::Default("you".into()))));
        for other in [
            "(key)",
            "true",
            "catalogue.p1",
            "cart.total is not defined",
            "cart.total | money(0)",
            "cart.total | money | upper",
            "key | default('a' ~ 'b')",
            "key | default('\\n')",
            "key | default('a') ~ key | default('b')",
            "key | default(key)",
            "products[0].name",
            "key ~ key",
            "a.b.c.d.e.f.g.h.i",
        ] {
            check(other, None);
        }
    }
}
