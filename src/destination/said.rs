//! What an activation says under a name of the settings: a trait, or with `payload.` before it what the payload has at a
//! dotted path.

use serde_json::Value;

use crate::model::Activation;

/// An activation's traits and payload, parsed once.
pub struct Said {
    traits: Value,
    payload: Value,
}

impl Said {
    /// Of this activation.
    pub fn of(activation: &Activation) -> Self {
        Self { traits: activation.traits.to_value(), payload: activation.payload.to_value() }
    }

    /// What it says there.
    pub fn at(&self, name: &str) -> Option<&Value> {
        match name.strip_prefix("payload.") {
            Some(path) => at(&self.payload, path),
            None => self.traits.get(name),
        }
        .filter(|value| !value.is_null())
    }
}

/// What a value has at a dotted path; a number names an element of a list.
pub fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}
