//! What activations need at a vendor: an event of this name with these fields, a list, a campaign.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{Action, Timestamp};

/// What sort of value a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// Any text.
    Text,
    /// A number, or an exact amount as text.
    Number,
    /// Yes or no.
    Boolean,
    /// An instant.
    Datetime,
    /// A list.
    List,
    /// An object.
    Object,
}

/// A field of what is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// As the payload calls it.
    pub name: String,
    /// What sort of value it has.
    pub kind: FieldKind,
}

/// What activations ask of an account, each once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// An event of this name, this list, this campaign. What is known of people needs nothing to be there.
    pub action: Action,
    /// What goes with it.
    pub fields: Vec<Field>,
    /// The triggers that ask for it.
    pub triggers: Vec<Arc<str>>,
    /// It may be asked for one person more than once.
    pub repeats: bool,
}

impl FieldKind {
    /// As written in a trigger's file.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("text", Self::Text),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("datetime", Self::Datetime),
        ("list", Self::List),
        ("object", Self::Object),
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("text", |(word, _)| word)
    }

    /// What all of these values are; none where there are none. A text is a number only with a decimal point in one of
    /// them: other digits are numbers of orders, products and people.
    pub fn of<'v>(values: impl IntoIterator<Item = &'v Value>) -> Option<Self> {
        let mut values = values.into_iter().filter(|value| !value.is_null()).peekable();
        values.peek()?;
        let (mut kinds, mut has_point) = (Vec::new(), false);
        for value in values {
            let kind = match value {
                Value::Bool(_) => Self::Boolean,
                Value::Array(_) => Self::List,
                Value::Object(_) => Self::Object,
                Value::Number(_) => {
                    has_point = true;
                    Self::Number
                }
                Value::String(text) if is_amount(text) => {
                    has_point |= text.contains('.');
                    Self::Number
                }
                Value::String(text) if text.contains('T') && Timestamp::parse(text).is_some() => Self::Datetime,
                Value::String(_) | Value::Null => Self::Text,
            };
            kinds.push(kind);
        }
        let first = kinds.first().copied()?;
        let is_one = kinds.iter().all(|kind| *kind == first) && (first != Self::Number || has_point);
        Some(if is_one { first } else { Self::Text })
    }
}

/// Digits, with a point at most.
fn is_amount(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    is_digits(whole) && is_digits(part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(values: Value, wanted: Option<FieldKind>) {
        assert_eq!(FieldKind::of(values.as_array().expect("a list")), wanted, "{values}");
    }

    #[test]
    fn a_field_is_what_all_its_values_are() {
        check(json!([]), None);
        check(json!([null]), None);
        check(json!([1, 2.5]), Some(FieldKind::Number));
        check(json!(["20.50", "39"]), Some(FieldKind::Number));
        check(json!(["1001", "1002"]), Some(FieldKind::Text));
        check(json!(["c1", "20.50"]), Some(FieldKind::Text));
        check(json!([true, false, null]), Some(FieldKind::Boolean));
        check(json!(["2026-11-02T10:30:00.000Z"]), Some(FieldKind::Datetime));
        check(json!([[1], []]), Some(FieldKind::List));
        check(json!([{}, 1]), Some(FieldKind::Text));
        check(json!(["1.", "-"]), Some(FieldKind::Text));
    }
}
