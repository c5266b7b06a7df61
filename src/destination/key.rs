//! By what a vendor's record of somebody is found: a sort of name that people have with us, and the vendor's field for it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Activation, Identifier, IdentifierKind};

/// `[destination.NAME.found_by]`: without it the e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The sort of name, as mappings write it: `user_id`, `shop_customer` (the customer number at the source `shop`),
    /// `phone`, `email`.
    pub name: String,
    /// The vendor's field that has it, of which no two records have the same value.
    pub field: String,
}

impl Default for Key {
    fn default() -> Self {
        Self { name: "email".into(), field: "email".into() }
    }
}

impl Key {
    /// True for the e-mail address, which is compared without regard to case.
    pub fn is_email(&self) -> bool {
        self.name == "email"
    }

    fn is(&self, kind: &IdentifierKind) -> bool {
        match kind {
            IdentifierKind::Email => self.name == "email",
            IdentifierKind::UserId => self.name == "user_id",
            IdentifierKind::Phone => self.name == "phone",
            IdentifierKind::Customer(source) => self.name.strip_suffix("_customer") == Some(source),
            _ => false,
        }
    }

    /// The value by which the record is found.
    pub fn of<'a>(&self, activation: &'a Activation) -> Option<&'a str> {
        self.all_of(activation).next()
    }

    /// All the values that somebody has.
    pub fn all_of<'a>(&self, activation: &'a Activation) -> impl Iterator<Item = &'a str> {
        let mine = activation.identifiers.iter().filter(|name| self.is(&name.kind));
        mine.map(|Identifier { value, .. }| &**value)
    }

    /// The values by which these are found, each once.
    pub fn each_once<'a>(&self, activations: impl Iterator<Item = &'a Activation>) -> Vec<&'a str> {
        let mut values: Vec<&str> = activations.filter_map(|activation| self.of(activation)).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// Equal for values that are the same to the vendor.
    pub fn same(&self, value: &str) -> String {
        if self.is_email() { value.to_lowercase() } else { value.to_owned() }
    }

    /// What is wrong with it: keys below the destination's own, and words.
    pub fn mistakes(&self) -> Vec<(Vec<String>, String)> {
        let mut mistakes = Vec::new();
        let mut at = |key: &str, words: String| mistakes.push((vec!["found_by".to_owned(), key.to_owned()], words));
        let kind = IdentifierKind::parse(&self.name);
        if !kind.as_ref().is_some_and(|kind| self.is(kind)) {
            at("name", format!("`{}` is no sort of name: user_id, phone, email or <source>_customer", self.name));
        }
        let is_field = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if self.field.is_empty() || !self.field.chars().all(is_field) {
            at("field", format!("`{}` is no field: letters, digits and underscores", self.field));
        }
        mistakes
    }
}
