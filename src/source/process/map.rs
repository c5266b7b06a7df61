//! From a record to events and products, and the text by which one is known again that has no id.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Progress, Record};
use crate::source::manifest::records::Mapping;
use crate::source::mapping::{Body, Message};
use crate::source::stream::Mapped;
use crate::source::{Arrival, Rejected};

/// Adds what a record makes, and says of which stream of the mapping it is; none, where that maps no such stream.
pub fn map<'m>(
    mapping: &'m Mapping,
    record: &Record,
    progress: &Progress,
    arrival: &Arrival<'_>,
    into: &mut Mapped,
) -> Option<&'m str> {
    let (name, makes) = mapping.of(record.stream.namespace.as_deref(), &record.stream.name)?;
    // A topic is known by what stands before its slash: two streams must not be one.
    let full = record.stream.to_string().replace('/', ".");
    let done = match &record.record {
        Ok(value) => {
            let message = Message {
                record: value,
                topic: &full,
                id: None,
                body: Body::Text(&told_apart(value)),
                origin: makes.origin,
                at: record.at,
                fresh: progress.fresh(name),
                settings: &Value::Null,
            };
            into.add(makes, &message, arrival)
        }
        Err(words) => Err(words.clone()),
    };
    if let Err(reason) = done {
        let body = record.text.clone();
        into.read.rejected.push(Rejected { index: 0, message_id: None, reason, body });
    }
    Some(name)
}

/// What a record says, in one way however it is written: keys in order, nothing that is null (Airbyte leaves it out),
/// none of the columns in which a tap says when and how it read (`_sdc_…`) but the one that says that a row is gone.
fn told_apart(record: &Value) -> String {
    let Value::Object(fields) = record else { return record.to_string() };
    let is_told = |name: &str| !name.starts_with("_sdc_") || name == "_sdc_deleted_at";
    let told: BTreeMap<&str, Value> =
        fields.iter().filter(|(name, _)| is_told(name)).filter_map(|(k, v)| Some((k.as_str(), ordered(v)?))).collect();
    serde_json::to_string(&told).unwrap_or_default()
}

fn ordered(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => return None,
        Value::Object(fields) => {
            let ordered: BTreeMap<&String, Value> =
                fields.iter().filter_map(|(name, value)| Some((name, ordered(value)?))).collect();
            Value::Object(ordered.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(items) => items.iter().map(|item| ordered(item).unwrap_or(Value::Null)).collect(),
        plain => plain.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_the_same_is_the_same() {
        let one = json!({"b": {"y": null, "x": 1}, "a": "t", "n": null, "_sdc_extracted_at": "1"});
        let other = json!({"a": "t", "b": {"x": 1}, "_sdc_extracted_at": "2"});
        assert_eq!(told_apart(&one), told_apart(&other));
        assert_eq!(told_apart(&one), r#"{"a":"t","b":{"x":1}}"#);
        let gone = json!({"a": "t", "b": {"x": 1}, "_sdc_deleted_at": "2"});
        assert_ne!(told_apart(&one), told_apart(&gone));
    }
}
