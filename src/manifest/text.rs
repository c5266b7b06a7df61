//! Texts and bodies of requests with expressions in them: `"{{ window.from }}"`.
//!
//! A text that is one expression and nothing else keeps that expression's type, so that `null` stays `null`; what is
//! `null` in a query or header is left out.

use serde_json::{Map, Value};

use super::{Expression, Seen};

/// A text with expressions in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Text(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Said(String),
    Asked(Expression),
}

impl Text {
    /// Compiles `text`, whose expressions may use the names in `known` only.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn compile(text: &str, known: &[&str]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inner, next) = after.split_once("}}").ok_or("has a `{{` without its `}}`")?;
            if !before.is_empty() {
                parts.push(Part::Said(before.to_owned()));
            }
            parts.push(Part::Asked(Expression::compile(inner.trim(), known)?));
            rest = next;
        }
        if !rest.is_empty() {
            parts.push(Part::Said(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// What it says; `Null` when it is one expression that gives nothing.
    pub fn value(&self, seen: &Seen) -> Value {
        match self.0.as_slice() {
            [Part::Asked(one)] => one.value(seen).unwrap_or(Value::Null),
            parts => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Said(said) => text.push_str(said),
                        Part::Asked(asked) => match asked.value(seen) {
                            Some(Value::String(said)) => text.push_str(&said),
                            Some(other) => text.push_str(&other.to_string()),
                            None => {}
                        },
                    }
                }
                Value::String(text)
            }
        }
    }

    /// What it says; none when it is one expression that gives nothing.
    ///
    /// # Errors
    /// Which expression could not be worked out.
    pub fn said(&self, seen: &Seen) -> Result<Option<Value>, String> {
        if let [Part::Asked(one)] = self.0.as_slice() {
            return one.said(seen);
        }
        for part in &self.0 {
            if let Part::Asked(asked) = part {
                asked.said(seen)?;
            }
        }
        Ok(Some(self.value(seen)))
    }

    /// What it says, as text; none where that is nothing.
    pub fn text(&self, seen: &Seen) -> Option<String> {
        match self.value(seen) {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }
}

/// A JSON body whose texts have expressions in them.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Said as it is.
    Said(Value),
    /// Worked out.
    Asked(Text),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Vec<(String, Self)>),
}

impl Body {
    /// Compiles every text in `value`.
    ///
    /// # Errors
    /// The first text that is wrong, and how.
    pub fn compile(value: &Value, known: &[&str]) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Asked(Text::compile(text, known)?),
            Value::Array(items) => {
                Self::List(items.iter().map(|item| Self::compile(item, known)).collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => {
                let entries = entries.iter().map(|(key, item)| Ok((key.clone(), Self::compile(item, known)?)));
                Self::Object(entries.collect::<Result<_, String>>()?)
            }
            other => Self::Said(other.clone()),
        })
    }

    /// What it says, without the entries and items that are expressions which give nothing; none where all of it is one.
    ///
    /// # Errors
    /// Which expression could not be worked out.
    pub fn said(&self, seen: &Seen) -> Result<Option<Value>, String> {
        Ok(Some(match self {
            Self::Said(value) => value.clone(),
            Self::Asked(text) => return text.said(seen),
            Self::List(items) => {
                items.iter().filter_map(|item| item.said(seen).transpose()).collect::<Result<Vec<_>, _>>()?.into()
            }
            Self::Object(entries) => {
                let said =
                    |(key, item): &(String, Self)| Some(item.said(seen).transpose()?.map(|said| (key.clone(), said)));
                Value::Object(entries.iter().filter_map(said).collect::<Result<Map<_, _>, _>>()?)
            }
        }))
    }

    /// What it says.
    pub fn value(&self, seen: &Seen) -> Value {
        match self {
            Self::Said(value) => value.clone(),
            Self::Asked(text) => text.value(seen),
            Self::List(items) => items.iter().map(|item| item.value(seen)).collect(),
            Self::Object(entries) => {
                Value::Object(entries.iter().map(|(key, item)| (key.clone(), item.value(seen))).collect::<Map<_, _>>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lone_expression_keeps_its_type() {
        let seen = Seen::of(&json!({"page": {"size": 250, "token": null}, "window": {"from": "2026"}}));
        let body = json!({"query": "{ orders { id } }", "variables": {"first": "{{ page.size }}",
            "after": "{{ page.token }}", "query": "updated_at:>='{{ window.from }}' {{ page.token }}"}, "list": [1, "{{ page.size + 1 }}"]});
        let body = Body::compile(&body, &["page", "window"]).expect("compiled");
        let wanted = json!({"query": "{ orders { id } }", "variables": {"first": 250, "after": null,
            "query": "updated_at:>='2026' "}, "list": [1, 251]});
        assert_eq!(body.value(&seen), wanted);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("{{ page", "has a `{{` without its `}}`"),
            ("{{ pgae.size }}", "uses `pgae`, but only page can be used here"),
        ] {
            assert_eq!(Text::compile(text, &["page"]).err().as_deref(), Some(words));
        }
    }
}
