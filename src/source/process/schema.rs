//! What records look like, so that a change of it is noticed: the names of their fields, with their types.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields and their types, such as `string` or `number, null`.
pub type Fields = BTreeMap<String, String>;

/// The fields of a JSON Schema.
pub fn fields(schema: &Value) -> Fields {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, of)| (name.clone(), kind(of))).collect()
}

fn kind(of: &Value) -> String {
    let mut kinds: Vec<String> = match of.get("type") {
        Some(Value::String(kind)) => vec![kind.clone()],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => of.get("anyOf").and_then(Value::as_array).into_iter().flatten().map(kind).collect(),
    };
    kinds.sort();
    kinds.dedup();
    kinds.join(", ")
}

/// What is different now, in words; none when nothing is.
pub fn news(before: &Fields, now: &Fields) -> Option<String> {
    let named = |names: Vec<&String>, words: &str| {
        let some: Vec<&str> = names.iter().take(10).map(|name| name.as_str()).collect();
        let more = if names.len() > 10 { ", and more" } else { "" };
        (!names.is_empty()).then(|| format!("{words}: {}{more}", some.join(", ")))
    };
    let parts = [
        named(now.keys().filter(|name| !before.contains_key(*name)).collect(), "new"),
        named(before.keys().filter(|name| !now.contains_key(*name)).collect(), "gone"),
        named(
            now.iter().filter(|(name, kind)| before.get(*name).is_some_and(|b| b != *kind)).map(|(n, _)| n).collect(),
            "of another type",
        ),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_told_in_words() {
        let before = fields(&json!({"properties": {"a": {"type": "string"}, "b": {"type": ["null", "number"]}}}));
        let same = fields(&json!({"properties": {"b": {"type": ["number", "null"]}, "a": {"type": ["string"]}}}));
        assert_eq!(news(&before, &same), None);
        let now = fields(&json!({"properties": {"b": {"type": "number"}, "c": {"anyOf": [{"type": "string"}]}}}));
        assert_eq!(news(&before, &now).as_deref(), Some("new: c; gone: a; of another type: b"));
        assert_eq!(fields(&json!(7)), Fields::new());
    }
}
