//! A dotted path into an event's properties.

use serde_json::Value;

/// `order.lines.sku`. A path that crosses an array goes on in each element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Box<str>>);

impl Path {
    /// From its text; parts are separated by dots.
    pub fn new(text: &str) -> Self {
        Self(text.split('.').map(Into::into).collect())
    }

    /// As it is written.
    pub fn to_text(&self) -> String {
        self.0.join(".")
    }

    /// Every value it leads to; arrays at the end are opened too.
    pub fn values<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        let mut found = Vec::new();
        walk(root, &self.0, &mut found);
        found
    }

    /// The keys that an event carries for `per`: in its properties, and in each of `products`. Each once, as text.
    pub fn keys(&self, properties: &Value) -> Vec<Box<str>> {
        let mut found = Vec::new();
        walk(properties, &self.0, &mut found);
        if let Some(Value::Array(products)) = properties.get("products") {
            for product in products {
                walk(product, &self.0, &mut found);
            }
        }
        let mut keys: Vec<Box<str>> = Vec::new();
        for value in found {
            if let Some(key) = key_text(value)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        keys
    }

    /// True when the event carries `key`: like [`Path::keys`], without making them.
    pub fn carries(&self, properties: &Value, key: &str) -> bool {
        let mut found = Vec::new();
        walk(properties, &self.0, &mut found);
        if let Some(Value::Array(products)) = properties.get("products") {
            for product in products {
                walk(product, &self.0, &mut found);
            }
        }
        found.iter().any(|value| match value {
            Value::String(text) => text.trim() == key,
            other => key_text(other).is_some_and(|k| &*k == key),
        })
    }
}

/// Texts and numbers are keys; an empty one is none.
fn key_text(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().into()),
        Value::Number(n) => Some(n.to_string().into()),
        _ => None,
    }
}

fn walk<'v>(value: &'v Value, parts: &[Box<str>], found: &mut Vec<&'v Value>) {
    if let Value::Array(items) = value {
        for item in items {
            walk(item, parts, found);
        }
        return;
    }
    match parts.split_first() {
        None => found.push(value),
        Some((first, rest)) => {
            if let Some(inner) = value.get(&**first) {
                walk(inner, rest, found);
            }
        }
    }
}
