//! A manifest as it is written: TOML tables whose every key is read once, with its place, and what is left over is a
//! mistake.

use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Body, Expression, Path, Paths, Text};
use crate::model::Span;
use crate::model::mistake::{Mistake, instead};

/// One file being read; collects every mistake.
pub(crate) struct Reading<'t> {
    file: &'t str,
    text: &'t str,
    mistakes: Vec<Mistake>,
}

/// What `manifest` makes of `text`, which mistakes call `file`.
///
/// # Errors
/// All mistakes, in the file's order.
pub(crate) fn read<T>(
    file: &str,
    text: &str,
    manifest: impl FnOnce(Table<'_, '_>, &mut Reading<'_>) -> Option<T>,
) -> Result<T, Vec<Mistake>> {
    let mut reading = Reading::new(file, text);
    let manifest = reading.document().and_then(|document| manifest(Table::top(&document), &mut reading));
    let mistakes = reading.into_mistakes();
    match manifest {
        Some(manifest) if mistakes.is_empty() => Ok(manifest),
        _ => Err(mistakes),
    }
}

/// One table of it. Keys that were asked for are known; [`Table::finish`] reports the others.
pub(crate) struct Table<'a, 't> {
    table: &'a DeTable<'t>,
    path: String,
    span: Range<usize>,
    known: Vec<&'static str>,
}

/// A value with its place.
pub(crate) struct Value<'a, 't> {
    value: &'a DeValue<'t>,
    path: String,
    span: Range<usize>,
}

impl<'t> Reading<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, mistakes: Vec::new() }
    }

    /// The file's own table, or `None` when it is not TOML at all.
    pub(crate) fn document(&mut self) -> Option<Spanned<DeTable<'t>>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table),
            Err(broken) => {
                self.add(broken.span().unwrap_or(0..0), "", broken.message());
                None
            }
        }
    }

    fn add(&mut self, span: Range<usize>, key: &str, words: impl Into<String>) {
        self.mistakes.push(Mistake::at(self.file, self.text, span, key, words));
    }

    fn add_with(&mut self, span: Range<usize>, key: &str, words: impl Into<String>, way: impl Into<String>) {
        self.mistakes.push(Mistake::at(self.file, self.text, span, key, words).suggest(way));
    }

    /// What was found wrong, in the file's order.
    pub(crate) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort();
        // What several read alike is wrong once.
        self.mistakes.dedup();
        self.mistakes
    }
}

/// `key` within `path`; keys that are not plain words are quoted.
fn join(path: &str, key: &str) -> String {
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let key = if plain { key.to_owned() } else { format!("\"{key}\"") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

impl<'a, 't> Table<'a, 't> {
    pub(crate) fn top(document: &'a Spanned<DeTable<'t>>) -> Self {
        Self { table: document.get_ref(), path: String::new(), span: 0..0, known: Vec::new() }
    }

    /// The value of `key`, if it is there.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Value<'a, 't>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        Some(Value { value: value.get_ref(), path: join(&self.path, key), span: value.span() })
    }

    /// The value of `key`; a mistake when it is missing.
    pub(crate) fn need(&mut self, key: &'static str, reading: &mut Reading<'_>) -> Option<Value<'a, 't>> {
        let value = self.get(key);
        if value.is_none() {
            reading.add(self.span.clone(), &join(&self.path, key), "is missing");
        }
        value
    }

    /// All entries, for tables whose keys are the user's own.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (String, Value<'a, 't>)> + use<'a, 't> {
        let path = self.path.clone();
        self.table.iter().map(move |(key, value)| {
            let name = key.get_ref().to_string();
            let path = join(&path, &name);
            (name, Value { value: value.get_ref(), path, span: value.span() })
        })
    }

    /// A mistake about the table as a whole.
    pub(crate) fn wrong(&self, reading: &mut Reading<'_>, words: impl Into<String>) {
        reading.add(self.span.clone(), &self.path, words);
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self, reading: &mut Reading<'_>) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let way = instead(name, &self.known, "known here");
            reading.add_with(key.span(), &join(&self.path, name), "is not a key that is known here", way);
        }
    }
}

impl<'a, 't> Value<'a, 't> {
    /// A mistake about this value.
    pub(crate) fn wrong(&self, reading: &mut Reading<'_>, words: impl Into<String>) {
        reading.add(self.span.clone(), &self.path, words);
    }

    /// A mistake about this value, which should have been one of `known`.
    pub(crate) fn unknown(&self, reading: &mut Reading<'_>, written: &str, known: &[&str]) {
        let way = instead(written, known, "known here");
        reading.add_with(self.span.clone(), &self.path, format!("`{written}` is not known"), way);
    }

    pub(crate) fn text(&self, reading: &mut Reading<'_>) -> Option<String> {
        match self.value {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            DeValue::String(_) => {
                self.wrong(reading, "must not be empty");
                None
            }
            _ => {
                self.wrong(reading, "must be a text in quotes");
                None
            }
        }
    }

    pub(crate) fn yes_or_no(&self, reading: &mut Reading<'_>) -> Option<bool> {
        if let DeValue::Boolean(yes) = self.value {
            return Some(*yes);
        }
        self.wrong(reading, "must be true or false");
        None
    }

    /// The value that its word stands for.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)], reading: &mut Reading<'_>) -> Option<T> {
        let word = self.text(reading)?;
        let found = words.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            self.unknown(reading, &word, &words.iter().map(|(known, _)| *known).collect::<Vec<_>>());
        }
        found.map(|(_, value)| *value)
    }

    /// A whole number within bounds.
    pub(crate) fn whole(&self, least: u64, most: u64, reading: &mut Reading<'_>) -> Option<u64> {
        let number = self.json().as_u64().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.wrong(reading, format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// A length of time.
    pub(crate) fn span(&self, reading: &mut Reading<'_>) -> Option<Span> {
        let text = self.text(reading)?;
        let span = text.parse().ok();
        if span.is_none() {
            self.wrong(reading, "is a length of time, written like \"30s\", \"15m\", \"24h\" or \"14d\"");
        }
        span
    }

    /// A text with expressions in it.
    pub(crate) fn template(&self, known: &[&str], reading: &mut Reading<'_>) -> Option<Text> {
        let text = match self.json() {
            Json::Number(number) => number.to_string(),
            _ => self.text(reading)?,
        };
        Text::compile(&text, known).map_err(|words| self.wrong(reading, words)).ok()
    }

    /// A body whose texts have expressions in them.
    pub(crate) fn body(&self, known: &[&str], reading: &mut Reading<'_>) -> Option<Body> {
        Body::compile(&self.json(), known).map_err(|words| self.wrong(reading, words)).ok()
    }

    /// Where in a message something lies.
    pub(crate) fn path(&self, reading: &mut Reading<'_>) -> Option<Path> {
        let text = self.text(reading)?;
        let path = Path::parse(&text);
        if path.is_none() {
            self.wrong(reading, format!("`{text}` is not a path: write it like \"customer.email\""));
        }
        path
    }

    /// One path or a list of them.
    pub(crate) fn paths(&self, reading: &mut Reading<'_>) -> Option<Paths> {
        if !self.is_list() {
            return self.path(reading).map(|path| vec![path]);
        }
        let items = self.list(reading);
        if items.is_empty() {
            self.wrong(reading, "must not be empty");
        }
        let paths: Paths = items.iter().filter_map(|item| item.path(reading)).collect();
        (!paths.is_empty()).then_some(paths)
    }

    /// An expression over these names.
    pub(crate) fn expression(&self, names: &[&str], reading: &mut Reading<'_>) -> Option<Expression> {
        let text = self.text(reading)?;
        Expression::compile(&text, names).map_err(|words| self.wrong(reading, words)).ok()
    }

    /// One value, or each of a list.
    pub(crate) fn each(self, reading: &mut Reading<'_>) -> Vec<Self> {
        if self.is_list() { self.list(reading) } else { vec![self] }
    }

    pub(crate) fn table(&self, reading: &mut Reading<'_>) -> Option<Table<'a, 't>> {
        if let DeValue::Table(table) = self.value {
            return Some(Table { table, path: self.path.clone(), span: self.span.clone(), known: Vec::new() });
        }
        self.wrong(reading, "must be a table");
        None
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    pub(crate) fn list(&self, reading: &mut Reading<'_>) -> Vec<Self> {
        let DeValue::Array(items) = self.value else {
            self.wrong(reading, "must be a list");
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items
            .map(|(n, item)| Self { value: item.get_ref(), path: format!("{}[{n}]", self.path), span: item.span() })
            .collect()
    }

    /// The value as JSON, whatever it is; dates as text.
    pub(crate) fn json(&self) -> Json {
        json(self.value)
    }
}

/// The entries of a table whose keys are the writer's own.
pub(crate) fn entries<'a, 't>(value: Option<Value<'a, 't>>, reading: &mut Reading<'_>) -> Vec<(String, Value<'a, 't>)> {
    value.and_then(|v| v.table(reading)).map(|t| t.entries().collect()).unwrap_or_default()
}

/// Named texts.
pub(crate) fn texts(value: Option<Value<'_, '_>>, known: &[&str], reading: &mut Reading<'_>) -> Vec<(String, Text)> {
    let entries = entries(value, reading);
    entries.into_iter().filter_map(|(name, value)| Some((name, value.template(known, reading)?))).collect()
}

fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Integer(n) => {
            i64::from_str_radix(&n.as_str().replace('_', ""), n.radix()).map_or(Json::Null, Into::into)
        }
        DeValue::Float(n) => n.as_str().replace('_', "").parse::<f64>().map_or(Json::Null, Into::into),
        DeValue::Datetime(at) => at.to_string().into(),
        DeValue::Array(items) => items.iter().map(|i| json(i.get_ref())).collect(),
        DeValue::Table(table) => table.iter().map(|(k, v)| (k.get_ref().to_string(), json(v.get_ref()))).collect(),
    }
}
