//! What of a manifest says how messages and records are mapped: shapes, what each topic or stream emits.

use std::collections::BTreeMap;

use super::written::{Reading, Table, Value};
use crate::model::{EventKind, IdentifierKind};
use crate::source::mapping::{Emit, Expression, Path, Paths, Shape, Take, Version};

/// Names that an expression over a message may use.
pub(super) const OF_MESSAGE: &[&str] = &["record", "topic", "settings"];

/// A shape by its name: how messages and records that are like it are mapped, and what all of them emit.
pub(super) struct Like<'a, 't> {
    pub shape: Shape,
    emits: Vec<Value<'a, 't>>,
}

/// A named shape, over what every topic or stream has.
pub(super) fn like<'a, 't>(mut table: Table<'a, 't>, every: &Shape, reading: &mut Reading<'_>) -> Like<'a, 't> {
    let emits = table.get("emit").map(|v| v.list(reading)).unwrap_or_default();
    Like { shape: every.under(only_shape(table, reading)), emits }
}

pub(super) fn only_shape(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Shape {
    let shape = shape(&mut table, reading);
    table.finish(reading);
    shape
}

/// What a topic or stream emits: `like` a shape, with its own parts over it.
pub(super) fn emits(
    table: &mut Table<'_, '_>,
    every: &Shape,
    shapes: &BTreeMap<String, Like<'_, '_>>,
    reading: &mut Reading<'_>,
) -> Vec<Emit> {
    let like = table.get("like").and_then(|value| {
        let name = value.text(reading)?;
        let like = shapes.get(&name);
        if like.is_none() {
            value.unknown(reading, &name, &shapes.keys().map(String::as_str).collect::<Vec<_>>());
        }
        like
    });
    let beneath = like.map_or(every, |like| &like.shape).under(shape(table, reading));
    let own = table.get("emit").map(|v| v.list(reading)).unwrap_or_default();
    let emits = like.map(|like| like.emits.as_slice()).unwrap_or_default().iter().chain(&own);
    emits.filter_map(|value| emit(value.table(reading)?, &beneath, reading)).collect()
}

/// The entries of a table whose keys are the writer's own.
pub(super) fn entries<'a, 't>(value: Option<Value<'a, 't>>, reading: &mut Reading<'_>) -> Vec<(String, Value<'a, 't>)> {
    value.and_then(|v| v.table(reading)).map(|t| t.entries().collect()).unwrap_or_default()
}

pub(super) fn emit(mut table: Table<'_, '_>, beneath: &Shape, reading: &mut Reading<'_>) -> Option<Emit> {
    let event = table.get("event");
    let name = event.as_ref().and_then(|v| v.text(reading));
    let kind = table.get("kind").and_then(|value| {
        let word = value.text(reading)?;
        Some(match word.as_str() {
            "identify" => EventKind::Identify,
            "alias" => EventKind::Alias,
            "erase" => EventKind::Erase,
            _ => {
                value.unknown(reading, &word, &["identify", "alias", "erase"]);
                return None;
            }
        })
    });
    if event.is_some() == kind.is_some() {
        table.wrong(reading, "needs either `event`, a name, or `kind`: identify, alias or erase");
    }
    let when = table.get("when").and_then(|value| expression(&value, OF_MESSAGE, reading));
    let once = table.get("once").and_then(|value| paths(&value, reading));
    let each = table.get("each").and_then(|value| path(&value, reading));
    let once_each = table.get("once_each").and_then(|value| {
        if once.is_none() {
            value.wrong(reading, "stands beside `once`, which says since when its value holds");
        }
        paths(&value, reading)
    });
    let shape = beneath.under(shape(&mut table, reading));
    if shape.identify.is_empty() {
        table.wrong(reading, "needs `identify`: an event without a person is none");
    }
    table.finish(reading);
    let kind = kind.unwrap_or(EventKind::Did);
    Some(Emit { kind, name: name.unwrap_or_default().into(), when, once, once_each, each, shape })
}

pub(super) fn shape(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Shape {
    let object = table.get("object").and_then(|v| v.text(reading)).map(Into::into);
    let id = table.get("id").and_then(|v| paths(&v, reading));
    let version = table.get("version").and_then(|v| version(&v, reading));
    let at = table.get("at").and_then(|v| paths(&v, reading));
    let mut identify = Vec::new();
    for (name, value) in entries(table.get("identify"), reading) {
        let kind = IdentifierKind::parse(&name);
        if kind.is_none() {
            let known = ["user_id", "email", "phone", "order", "checkout", "cart", "anonymous_id", "SOURCE_customer"];
            value.unknown(reading, &name, &known);
        }
        let several =
            if value.is_table() { all(&value, reading) } else { paths(&value, reading).into_iter().collect() };
        identify.extend(several.into_iter().filter_map(|paths| Some((kind.clone()?, paths))));
    }
    let properties = takes(table.get("properties"), OF_MESSAGE, reading);
    let traits = takes(table.get("traits"), OF_MESSAGE, reading);
    Shape { object, id, version, at, identify, properties, traits }
}

/// `{ all = [...] }`: each of these paths is a name.
fn all(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Vec<Paths> {
    let Some(mut table) = value.table(reading) else { return Vec::new() };
    let paths = table.need("all", reading).and_then(|v| paths(&v, reading)).unwrap_or_default();
    table.finish(reading);
    paths.into_iter().map(|path| vec![path]).collect()
}

/// Paths, or `{ content = true }`.
fn version(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Version> {
    if !value.is_table() {
        return paths(value, reading).map(Version::At);
    }
    let mut table = value.table(reading)?;
    let is_content = table.need("content", reading).and_then(|v| v.yes_or_no(reading));
    table.finish(reading);
    is_content.filter(|yes| *yes).map(|_| Version::Content)
}

/// One path or a list of them.
pub(super) fn paths(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Paths> {
    if !value.is_list() {
        return path(value, reading).map(|path| vec![path]);
    }
    let items = value.list(reading);
    if items.is_empty() {
        value.wrong(reading, "must not be empty");
    }
    let paths: Paths = items.iter().filter_map(|item| path(item, reading)).collect();
    (!paths.is_empty()).then_some(paths)
}

pub(super) fn path(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Path> {
    let text = value.text(reading)?;
    let path = Path::parse(&text);
    if path.is_none() {
        value.wrong(reading, format!("`{text}` is not a path: write it like \"customer.email\""));
    }
    path
}

pub(super) fn expression(value: &Value<'_, '_>, names: &[&str], reading: &mut Reading<'_>) -> Option<Expression> {
    let text = value.text(reading)?;
    Expression::compile(&text, names).map_err(|words| value.wrong(reading, words)).ok()
}

pub(super) fn takes(value: Option<Value<'_, '_>>, names: &[&str], reading: &mut Reading<'_>) -> Vec<(String, Take)> {
    let entries = entries(value, reading);
    entries.into_iter().filter_map(|(name, value)| Some((name, take(&value, names, reading)?))).collect()
}

fn take(value: &Value<'_, '_>, names: &[&str], reading: &mut Reading<'_>) -> Option<Take> {
    if !value.is_table() {
        return paths(value, reading).map(Take::First);
    }
    let mut table = value.table(reading)?;
    let (text, calculated, fixed) = (table.get("text"), table.get("value"), table.get("const"));
    let (each, inner) = (table.get("each"), table.get("take"));
    let forms = [&text, &calculated, &fixed, &each].into_iter().flatten().count();
    if forms != 1 || each.is_some() != inner.is_some() {
        table.wrong(reading, "needs one of `text`, `value`, `const`, or `each` with `take`");
    }
    table.finish(reading);
    if let Some(text) = text {
        return paths(&text, reading).map(Take::Text);
    }
    if let Some(calculated) = calculated {
        return expression(&calculated, names, reading).map(Take::Value);
    }
    if let Some(fixed) = fixed {
        return Some(Take::Const(fixed.json()));
    }
    let list = path(&each?, reading);
    let take = takes(inner, &["record", "topic", "settings", "item"], reading);
    Some(Take::Each { list: list?, take })
}
