//! A trigger file as it is written: TOML tables whose every key is read once, with its place, and what is left over is
//! a mistake.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::model::Span;
use crate::model::mistake::{Mistake, instead};

use super::amount::Amount;
use super::names::Names;

/// One file being read; collects every mistake.
pub struct Reading<'t> {
    file: &'t str,
    text: &'t str,
    mistakes: Vec<Mistake>,
    names: &'t Names<'t>,
    /// `as` of each condition that is about events, in the order they are read.
    leaf_names: Vec<Option<String>>,
}

/// One table of it. Keys that were asked for are known; [`Table::finish`] reports the others.
pub struct Table<'a, 't> {
    table: &'a DeTable<'t>,
    /// Dotted name of the table: empty at the top.
    path: String,
    span: Range<usize>,
    known: Vec<&'static str>,
}

/// A value with its place.
pub struct Value<'a, 't> {
    value: &'a DeValue<'t>,
    path: String,
    span: Range<usize>,
}

impl<'t> Reading<'t> {
    pub fn new(file: &'t str, text: &'t str, names: &'t Names<'t>) -> Self {
        Self { file, text, mistakes: Vec::new(), names, leaf_names: Vec::new() }
    }

    /// What cohorts and segments there are.
    pub fn names(&self) -> &'t Names<'t> {
        self.names
    }

    /// What the next condition's events are called in templates, where it says so.
    pub fn name_leaf(&mut self, name: Option<String>) {
        self.leaf_names.push(name);
    }

    /// What was said of each condition, in the order they were read.
    pub fn leaf_names(&self) -> &[Option<String>] {
        &self.leaf_names
    }

    /// The file's own table, or `None` when it is not TOML at all.
    pub fn document(&mut self) -> Option<Spanned<DeTable<'t>>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table),
            Err(broken) => {
                let span = broken.span().unwrap_or(0..0);
                self.mistake(span, String::new(), broken.message());
                None
            }
        }
    }

    pub fn mistake(&mut self, span: Range<usize>, key: String, words: impl Into<String>) -> &mut Mistake {
        self.mistakes.push(Mistake::at(self.file, self.text, span, key, words));
        let last = self.mistakes.len() - 1;
        &mut self.mistakes[last]
    }

    /// A place of the file, for what is found wrong later.
    pub fn place(&self, span: Range<usize>, key: &str) -> Mistake {
        Mistake::at(self.file, self.text, span, key, "")
    }

    /// What was found wrong, in the file's order.
    pub fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort();
        self.mistakes
    }

    pub fn has_mistakes(&self) -> bool {
        !self.mistakes.is_empty()
    }
}

impl<'a, 't> Table<'a, 't> {
    pub fn top(document: &'a Spanned<DeTable<'t>>) -> Self {
        Self { table: document.get_ref(), path: String::new(), span: 0..0, known: Vec::new() }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of `key`, if it is there.
    pub fn get(&mut self, key: &'static str) -> Option<Value<'a, 't>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Some(Value { value: value.get_ref(), path, span: value.span() })
    }

    /// The text of `key`, if it is one; no mistake when it is not.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        match self.table.get(key)?.get_ref() {
            DeValue::String(text) => Some(text.trim()),
            _ => None,
        }
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// All entries, for tables whose keys are the user's own.
    pub fn entries(&self) -> impl Iterator<Item = (String, Value<'a, 't>)> + use<'a, 't> {
        let path = self.path.clone();
        self.table.iter().map(move |(key, value)| {
            let name = key.get_ref().to_string();
            let path = format!("{path}.{name}");
            (name, Value { value: value.get_ref(), path, span: value.span() })
        })
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self, reading: &mut Reading<'_>) {
        for (key, _) in self.table {
            let name: &Cow<'_, str> = key.get_ref();
            if self.known.contains(&&**name) {
                continue;
            }
            let path = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
            let mistake = reading.mistake(key.span(), path, "is not a key that is known here");
            mistake.suggestion = Some(instead(name, &self.known, "known here"));
        }
    }
}

impl<'a, 't> Value<'a, 't> {
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    fn wrong(&self, reading: &mut Reading<'_>, wanted: &str) {
        reading.mistake(self.span.clone(), self.path.clone(), format!("must be {wanted}"));
    }

    pub fn text(&self, reading: &mut Reading<'_>) -> Option<String> {
        match self.value {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            DeValue::String(_) => {
                reading.mistake(self.span.clone(), self.path.clone(), "must not be empty");
                None
            }
            _ => {
                self.wrong(reading, "a text in quotes");
                None
            }
        }
    }

    /// The text, when the value is one; no mistake when it is not.
    pub fn as_text(&self) -> Option<&str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// True for `false`; no mistake for anything else.
    pub fn is_no(&self) -> bool {
        matches!(self.value, DeValue::Boolean(false))
    }

    /// The number, when the value is one; no mistake when it is not.
    pub fn as_number(&self) -> Option<f64> {
        match self.value {
            DeValue::Integer(n) => n.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Float(n) => n.as_str().replace('_', "").parse::<f64>().ok().filter(|n| n.is_finite()),
            _ => None,
        }
    }

    pub fn yes_or_no(&self, reading: &mut Reading<'_>) -> Option<bool> {
        if let DeValue::Boolean(yes) = self.value {
            return Some(*yes);
        }
        self.wrong(reading, "true or false");
        None
    }

    pub fn whole_number(&self, reading: &mut Reading<'_>, least: u64, most: u64) -> Option<u64> {
        let number = match self.value {
            DeValue::Integer(n) => u64::from_str_radix(&n.as_str().replace('_', ""), n.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.wrong(reading, &format!("a whole number from {least} to {most}"));
        }
        number
    }

    pub fn length(&self, reading: &mut Reading<'_>) -> Option<Span> {
        let read = match self.value {
            DeValue::String(text) => text.parse::<Span>(),
            _ => Err("a length of time is written in quotes, like \"30m\", \"24h\" or \"14d\"".to_owned()),
        };
        match read {
            Ok(span) if span > Span::ZERO => Some(span),
            Ok(_) => {
                reading.mistake(self.span.clone(), self.path.clone(), "must be longer than nothing");
                None
            }
            Err(words) => {
                reading.mistake(self.span.clone(), self.path.clone(), words);
                None
            }
        }
    }

    pub fn table(&self, reading: &mut Reading<'_>) -> Option<Table<'a, 't>> {
        if let DeValue::Table(table) = self.value {
            return Some(Table { table, path: self.path.clone(), span: self.span.clone(), known: Vec::new() });
        }
        self.wrong(reading, "a table");
        None
    }

    pub fn list(&self, reading: &mut Reading<'_>) -> Vec<Value<'a, 't>> {
        let DeValue::Array(items) = self.value else {
            self.wrong(reading, "a list");
            return Vec::new();
        };
        self.items(items)
    }

    fn items(&self, items: &'a DeArray<'t>) -> Vec<Value<'a, 't>> {
        items
            .iter()
            .enumerate()
            .map(|(n, item)| Value { value: item.get_ref(), path: format!("{}[{n}]", self.path), span: item.span() })
            .collect()
    }

    pub fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// A text, number or boolean as JSON.
    pub fn scalar(&self, reading: &mut Reading<'_>) -> Option<serde_json::Value> {
        let scalar = match self.value {
            DeValue::String(text) => Some(text.as_ref().into()),
            DeValue::Boolean(yes) => Some((*yes).into()),
            DeValue::Integer(n) => i64::from_str_radix(&n.as_str().replace('_', ""), n.radix()).ok().map(Into::into),
            DeValue::Float(n) => {
                n.as_str().replace('_', "").parse::<f64>().ok().filter(|n| n.is_finite()).map(Into::into)
            }
            _ => None,
        };
        if scalar.is_none() {
            self.wrong(reading, "a text, a number, true or false");
        }
        scalar
    }

    /// A number.
    pub fn number(&self, reading: &mut Reading<'_>) -> Option<f64> {
        let number = self.as_number();
        if number.is_none() {
            self.wrong(reading, "a number");
        }
        number
    }

    /// A number that is added up or compared with a sum.
    pub fn amount(&self, reading: &mut Reading<'_>) -> Option<Amount> {
        let amount = Amount::new(self.number(reading)?);
        if amount.is_none() {
            self.wrong(reading, "a number up to 1e15");
        }
        amount
    }
}
