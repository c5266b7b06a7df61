//! The search text of `query: "…"`: terms like `updated_at:>='2026-11-01T00:00:00Z'`, joined by `AND` or a blank.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sandbox::records::Row;
use crate::sandbox::stamp;

/// One comparison.
struct Term {
    field: String,
    compare: &'static str,
    value: String,
}

/// What a search asks, and what it warns of.
#[derive(Default)]
pub(super) struct Search {
    terms: Vec<Term>,
    /// Terms that the vendor does not know are ignored, and all records come: only this list tells.
    pub warnings: Vec<Value>,
}

/// Fields with an instant.
const TIMES: [&str; 3] = ["updated_at", "created_at", "processed_at"];
/// Fields with text, and where a record has it.
const TEXTS: [(&str, &str); 9] = [
    ("id", "legacyResourceId"),
    ("email", "email"),
    ("name", "name"),
    ("status", "status"),
    ("financial_status", "displayFinancialStatus"),
    ("fulfillment_status", "displayFulfillmentStatus"),
    ("state", "state"),
    ("handle", "handle"),
    ("test", "test"),
];

impl Search {
    /// Reads a text; an instant that is none is refused, an unknown field only warned of.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut search = Self::default();
        for word in words(text) {
            if word == "AND" {
                continue;
            }
            let Some((field, rest)) = word.split_once(':') else {
                search.warn(&word, "invalid_field");
                continue;
            };
            let compare = [">=", "<=", ">", "<"].into_iter().find(|c| rest.starts_with(c)).unwrap_or("");
            let value = rest.get(compare.len()..).unwrap_or("").trim_matches(['\'', '"']).to_owned();
            if TIMES.contains(&field) {
                if stamp::read(&value, 0).is_none() {
                    return Err(format!("Invalid value for {field}: {value}"));
                }
            } else if !TEXTS.iter().any(|(known, _)| *known == field) {
                search.warn(field, "invalid_field");
                continue;
            }
            search.terms.push(Term { field: field.to_owned(), compare, value });
        }
        Ok(search)
    }

    fn warn(&mut self, field: &str, code: &str) {
        self.warnings.push(json!({"field": field, "message": "Invalid search field for this query.", "code": code}));
    }

    /// From when until before when records may have changed.
    pub fn window(&self) -> (i64, i64) {
        let mut window = (i64::MIN, i64::MAX);
        for term in self.terms.iter().filter(|t| t.field == "updated_at") {
            let Some(at) = stamp::read(&term.value, 0) else { continue };
            match term.compare {
                ">=" => window.0 = window.0.max(at),
                ">" => window.0 = window.0.max(at.saturating_add(1)),
                "<" => window.1 = window.1.min(at),
                "<=" => window.1 = window.1.min(at.saturating_add(1)),
                _ => {}
            }
        }
        window
    }

    /// Whether a record is meant.
    pub fn fits(&self, row: &Arc<Row>) -> bool {
        self.terms.iter().all(|term| {
            if TIMES.contains(&term.field.as_str()) {
                let is = match term.field.as_str() {
                    "updated_at" => row.modified,
                    "created_at" => row.created,
                    _ => match row.body.get("processedAt").and_then(Value::as_str).and_then(|t| stamp::read(t, 0)) {
                        Some(at) => at,
                        None => return false,
                    },
                };
                let Some(at) = stamp::read(&term.value, 0) else { return false };
                return match term.compare {
                    ">=" => is >= at,
                    ">" => is > at,
                    "<=" => is <= at,
                    "<" => is < at,
                    _ => is == at,
                };
            }
            let place = TEXTS.iter().find(|(name, _)| *name == term.field).map_or("", |(_, place)| place);
            let is = match row.body.get(place) {
                Some(Value::String(text)) => text.clone(),
                Some(other) if !other.is_null() => other.to_string(),
                // `status:open` of an abandoned checkout: it has no such field, only an end.
                _ if term.field == "status" => {
                    let is_open = row.body.get("completedAt").is_none_or(Value::is_null);
                    return is_open == term.value.eq_ignore_ascii_case("open") || term.value == "any";
                }
                _ => return false,
            };
            match (term.compare, is.parse::<u64>(), term.value.parse::<u64>()) {
                (">", Ok(is), Ok(value)) => is > value,
                (">=", Ok(is), Ok(value)) => is >= value,
                ("<", Ok(is), Ok(value)) => is < value,
                ("<=", Ok(is), Ok(value)) => is <= value,
                _ => is.eq_ignore_ascii_case(&term.value),
            }
        })
    }
}

/// Parts between blanks that are not within quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        if quote.is_none() && c.is_whitespace() {
            words.push(String::new());
            continue;
        }
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.retain(|w| !w.is_empty());
    words
}
