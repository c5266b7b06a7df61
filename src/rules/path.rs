//! A dotted path into an event's properties.

use std::borrow::Cow;

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

    /// Its first part, and where it goes on from there.
    pub fn split(&self) -> (&str, Self) {
        match self.0.split_first() {
            Some((first, rest)) => (first, Self(rest.to_vec())),
            None => ("", Self(Vec::new())),
        }
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

    /// False when no event whose properties are this text can carry a key: most that do not are told without being
    /// parsed.
    pub fn may_lead(&self, properties: &str) -> bool {
        // Only what is escaped is written otherwise.
        self.0.iter().all(|part| properties.contains(&**part)) || properties.contains('\\')
    }

    /// True when the event carries `key`: like [`Path::keys`], without making them.
    pub fn carries(&self, properties: &Value, key: &str) -> bool {
        let is_key = |value: &Value| match value {
            Value::String(text) => text.trim() == key,
            other => key_text(other).is_some_and(|k| &*k == key),
        };
        let products = properties.get("products").and_then(Value::as_array);
        leads_to(properties, &self.0, &is_key)
            || products.into_iter().flatten().any(|product| leads_to(product, &self.0, &is_key))
    }
}

/// False when no event whose properties are this text can carry `key`: most are told apart without being parsed.
pub fn may_carry(properties: &str, key: &str) -> bool {
    // An escape, or a number such as 1e2, is not written as the key is.
    let is_plain = key.bytes().all(|b| b.is_ascii_digit()) || key.parse::<f64>().is_err();
    !is_plain || properties.contains(key) || properties.contains('\\')
}

/// Texts and numbers are keys; an empty one is none.
pub fn key_text(value: &Value) -> Option<Box<str>> {
    key_of(value).map(Box::from)
}

/// The same, lent where it is a text.
pub fn key_of(value: &Value) -> Option<Cow<'_, str>> {
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

/// Like [`walk`], to the first value that is looked for.
fn leads_to(value: &Value, parts: &[Box<str>], is_it: &impl Fn(&Value) -> bool) -> bool {
    if let Value::Array(items) = value {
        return items.iter().any(|item| leads_to(item, parts, is_it));
    }
    match parts.split_first() {
        None => is_it(value),
        Some((first, rest)) => value.get(&**first).is_some_and(|inner| leads_to(inner, rest, is_it)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_carry_a_key_is_told_without_parsing() {
        let cases = [
            (r#"{"id":"a 1 "}"#, "a 1", true),
            (r#"{"id":7}"#, "7", true),
            (r#"{"id":7.5}"#, "7.5", true),
            (r#"{"id":1e2}"#, "100.0", true),
            (r#"{"id":"\u0041"}"#, "A", true),
            (r#"{"products":[{"id":"x"},{"id":[9,"y"]}]}"#, "y", true),
            (r#"{"id":"b"}"#, "a", false),
            (r#"{"other":"a"}"#, "a", false),
        ];
        let path = Path::new("id");
        for (text, key, carries) in cases {
            let value: Value = serde_json::from_str(text).expect("a case");
            assert_eq!(path.carries(&value, key), carries, "{text} {key}");
            assert_eq!(path.keys(&value).iter().any(|k| &**k == key), carries, "{text} {key}");
            assert!(may_carry(text, key) || !carries, "{text} {key}");
            assert!(path.may_lead(text) || !carries, "{text} {key}");
        }
        assert!(!may_carry(r#"{"id":"b"}"#, "a"));
        assert!(!may_carry(r#"{"id":17}"#, "18"));
        assert!(!Path::new("id").may_lead(r#"{"other":"a"}"#) && !Path::new("a.id").may_lead(r#"{"a":1}"#));
        assert!(Path::new("id").may_lead(r#"{"\u0069d":"a"}"#));
    }
}
