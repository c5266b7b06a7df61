//! `[code]`: a discount code, the same one for all, or one of a pool for each occasion.

use serde_json::Value;

use crate::model::codes::LONGEST_CODE;
use crate::rules::written::{Reading, Table};

/// Codes left at which people are told, unless the file says another number.
const USUAL_LOW: u64 = 100;

/// What the file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    /// The payload's field.
    pub field: Box<str>,
    /// Where it comes from.
    pub source: CodeSource,
}

/// Where a code comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum CodeSource {
    /// The same for everybody.
    Value(Box<str>),
    /// The next one of a pool.
    Pool {
        /// Its name.
        name: Box<str>,
        /// The code when the pool is empty; without one nothing is sent then.
        otherwise: Option<Box<str>>,
        /// People are told when no more than so many are left.
        low: u64,
    },
}

impl Code {
    /// Reads the table; every mistake goes to `reading`.
    pub fn read(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let field = table.get("field").map_or(Some("code".to_owned()), |value| value.text(reading));
        let (value, pool) = (table.get("value"), table.get("pool"));
        let (otherwise, low) = (table.get("otherwise"), table.get("low"));
        let span = table.span();
        let path = table.path().to_owned();
        table.finish(reading);
        let short = |text: Option<String>, at: &crate::rules::written::Value<'_, '_>, reading: &mut Reading<'_>| {
            if text.as_ref().is_some_and(|text| text.len() > LONGEST_CODE) {
                reading.mistake(at.span(), at.path().to_owned(), format!("must be at most {LONGEST_CODE} bytes"));
            }
            text.map(Box::from)
        };
        let source = match (value, pool) {
            (Some(value), None) => {
                for other in [otherwise, low].into_iter().flatten() {
                    reading.mistake(other.span(), other.path().to_owned(), "is for a pool only");
                }
                let text = value.text(reading);
                CodeSource::Value(short(text, &value, reading)?)
            }
            (None, Some(pool)) => {
                let name = pool.text(reading)?;
                if !is_pool_name(&name) {
                    let words = "must be at most 64 lower-case letters, digits and dashes";
                    reading.mistake(pool.span(), pool.path().to_owned(), words);
                }
                let otherwise = otherwise.and_then(|value| {
                    let text = value.text(reading);
                    short(text, &value, reading)
                });
                let low = low.map_or(Some(USUAL_LOW), |value| value.whole_number(reading, 0, 1_000_000));
                CodeSource::Pool { name: name.into(), otherwise, low: low? }
            }
            _ => {
                let words = "says either `value`, the same code for all, or `pool`, one for each occasion";
                reading.mistake(span, path, words).suggestion = Some("pool = \"win-back\"".into());
                return None;
            }
        };
        Some(Self { field: field?.into(), source })
    }

    /// The pool it takes from, and the mark at which that is low.
    pub fn pool(&self) -> Option<(&str, u64)> {
        match &self.source {
            CodeSource::Value(_) => None,
            CodeSource::Pool { name, low, .. } => Some((name, *low)),
        }
    }

    /// The code of an occasion that was given `given`.
    ///
    /// # Errors
    /// When the pool is empty, and nothing else is to be said.
    pub fn said(&self, given: Option<&str>) -> Result<Value, Box<str>> {
        match (&self.source, given) {
            (CodeSource::Value(value), _) => Ok((**value).into()),
            (CodeSource::Pool { .. }, Some(code)) => Ok(code.into()),
            (CodeSource::Pool { otherwise: Some(code), .. }, None) => Ok((**code).into()),
            (CodeSource::Pool { name, .. }, None) => Err(format!("the pool of codes `{name}` is empty").into()),
        }
    }
}

/// True for what a pool may be called.
pub fn is_pool_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
