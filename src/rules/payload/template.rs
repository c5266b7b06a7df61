//! A value of a payload as the file writes it: texts are templates; tables and lists hold further values.

use serde_json::{Map, Value};

use super::language::{Expression, Text};
use super::names::Names;
use super::reads::Reads;
use super::scene::Scene;
use crate::model::FieldKind;
use crate::rules::written::{self, Reading, Table};

/// How deep tables and lists may nest.
const DEEPEST: usize = 8;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// A number, yes or no.
    Plain(Value),
    /// A text that is one whole `{{ expression }}`: the value itself, with its type. `path` is where it is written.
    Expression { path: Box<str>, expression: Expression },
    /// Any other text.
    Text { path: Box<str>, text: Text },
    /// A list.
    List(Vec<Template>),
    /// A table.
    Table(Fields),
}

/// Named values, in the order they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(Box<str>, Template)>);

impl Fields {
    /// Reads the entries of a table, whose names are the user's own.
    pub fn read(table: &Table<'_, '_>, names: &Names, reading: &mut Reading<'_>) -> Self {
        Self::read_at(table, names, reading, 0)
    }

    fn read_at(table: &Table<'_, '_>, names: &Names, reading: &mut Reading<'_>, depth: usize) -> Self {
        let entries = table.entries();
        let read =
            entries.filter_map(|(name, value)| Some((name.into(), Template::read(&value, names, reading, depth)?)));
        Self(read.collect())
    }

    /// The names, and what their values are where they are no templates.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, Option<FieldKind>)> {
        self.0.iter().map(|(name, template)| (&**name, template.kind()))
    }

    /// Notes what the templates in it read.
    pub fn note(&self, reads: &mut Reads) {
        self.0.iter().for_each(|(_, template)| template.note(reads));
    }

    /// What it says.
    ///
    /// # Errors
    /// The place of the template that fails, and why.
    pub fn render(&self, scene: &Scene<'_>) -> Result<Map<String, Value>, (Box<str>, String)> {
        self.0.iter().map(|(name, template)| Ok((name.to_string(), template.render(scene)?))).collect()
    }
}

impl Template {
    fn read(value: &written::Value<'_, '_>, names: &Names, reading: &mut Reading<'_>, depth: usize) -> Option<Self> {
        if depth > DEEPEST {
            reading.mistake(value.span(), value.path().to_owned(), format!("nests deeper than {DEEPEST}"));
            return None;
        }
        if value.is_table() {
            let table = value.table(reading)?;
            return Some(Self::Table(Fields::read_at(&table, names, reading, depth + 1)));
        }
        if value.is_list() {
            let items = value.list(reading);
            return items
                .iter()
                .map(|item| Self::read(item, names, reading, depth + 1))
                .collect::<Option<_>>()
                .map(Self::List);
        }
        let Some(text) = value.as_text() else { return value.scalar(reading).map(Self::Plain) };
        Self::of_text(text, value, names, reading)
    }

    fn of_text(text: &str, value: &written::Value<'_, '_>, names: &Names, reading: &mut Reading<'_>) -> Option<Self> {
        if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
            return Some(Self::Plain(text.into()));
        }
        let path = value.path().into();
        let compiled = match whole_expression(text) {
            Some(inner) => {
                Expression::compile(inner).map(|expression| (expression.names(), Self::Expression { path, expression }))
            }
            None => Text::compile(text).map(|text| (text.names(), Self::Text { path, text })),
        };
        match compiled {
            Ok((used, template)) => names.check(&used, value, reading).then_some(template),
            Err(words) => {
                reading.mistake(value.span(), value.path().to_owned(), words);
                None
            }
        }
    }

    fn kind(&self) -> Option<FieldKind> {
        match self {
            Self::Plain(value) => FieldKind::of([value]),
            Self::Expression { .. } => None,
            Self::Text { .. } => Some(FieldKind::Text),
            Self::List(_) => Some(FieldKind::List),
            Self::Table(_) => Some(FieldKind::Object),
        }
    }

    fn note(&self, reads: &mut Reads) {
        match self {
            Self::Plain(_) => {}
            Self::Expression { expression, .. } => expression.note_value(reads),
            Self::Text { text, .. } => text.note(reads),
            Self::List(items) => items.iter().for_each(|item| item.note(reads)),
            Self::Table(fields) => fields.note(reads),
        }
    }

    fn render(&self, scene: &Scene<'_>) -> Result<Value, (Box<str>, String)> {
        Ok(match self {
            Self::Plain(value) => value.clone(),
            Self::Expression { path, expression } => {
                expression.value_in(scene).map_err(|words| (path.clone(), words))?
            }
            Self::Text { path, text } => text.render(scene.seen()).map_err(|words| (path.clone(), words))?.into(),
            Self::List(items) => Value::Array(items.iter().map(|item| item.render(scene)).collect::<Result<_, _>>()?),
            Self::Table(fields) => Value::Object(fields.render(scene)?),
        })
    }
}

/// What stands in the braces, when the text is one expression and nothing else.
fn whole_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    let is_one = !["{{", "}}", "{%", "{#"].iter().any(|mark| inner.contains(mark));
    is_one.then_some(inner)
}
