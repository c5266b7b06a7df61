//! What of a manifest says how messages and records are mapped: shapes, what each topic or stream emits.

use std::collections::BTreeMap;

use crate::manifest::Paths;
use crate::manifest::written::{Reading, Table, Value, entries};
use crate::model::{EventKind, IdentifierKind};
use crate::source::mapping::{Emit, Shape, Take, Version};

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

pub(super) fn emit(mut table: Table<'_, '_>, beneath: &Shape, reading: &mut Reading<'_>) -> Option<Emit> {
    let event = table.get("event");
    let name = event.as_ref().and_then(|v| v.text(reading));
    let kind = table.get("kind").and_then(|value| {
        let word = value.text(reading)?;
        Some(match word.as_str() {
            "identify" => EventKind::Identify,
            "alias" => EventKind::Alias,
            "erase" => EventKind::Erase,
            "access" => EventKind::Access,
            _ => {
                value.unknown(reading, &word, &["identify", "alias", "erase", "access"]);
                return None;
            }
        })
    });
    if event.is_some() == kind.is_some() {
        table.wrong(reading, "needs either `event`, a name, or `kind`: identify, alias, erase or access");
    }
    let when = table.get("when").and_then(|value| value.expression(OF_MESSAGE, reading));
    let once = table.get("once").and_then(|value| value.paths(reading));
    let each = table.get("each").and_then(|value| value.path(reading));
    let once_each = table.get("once_each").and_then(|value| {
        if once.is_none() {
            value.wrong(reading, "stands beside `once`, which says since when its value holds");
        }
        value.paths(reading)
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
    let id = table.get("id").and_then(|v| v.paths(reading));
    let version = table.get("version").and_then(|v| version(&v, reading));
    let at = table.get("at").and_then(|v| v.paths(reading));
    let mut identify = Vec::new();
    for (name, value) in entries(table.get("identify"), reading) {
        let kind = IdentifierKind::parse(&name);
        if kind.is_none() {
            let known = ["user_id", "email", "phone", "order", "checkout", "cart", "anonymous_id", "SOURCE_customer"];
            value.unknown(reading, &name, &known);
        }
        let several = if value.is_table() { all(&value, reading) } else { value.paths(reading).into_iter().collect() };
        identify.extend(several.into_iter().filter_map(|paths| Some((kind.clone()?, paths))));
    }
    let properties = takes(table.get("properties"), OF_MESSAGE, reading);
    let traits = takes(table.get("traits"), OF_MESSAGE, reading);
    Shape { object, id, version, at, identify, properties, traits }
}

/// `{ all = [...] }`: each of these paths is a name.
fn all(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Vec<Paths> {
    let Some(mut table) = value.table(reading) else { return Vec::new() };
    let paths = table.need("all", reading).and_then(|v| v.paths(reading)).unwrap_or_default();
    table.finish(reading);
    paths.into_iter().map(|path| vec![path]).collect()
}

/// Paths, or `{ content = true }`.
fn version(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Version> {
    if !value.is_table() {
        return value.paths(reading).map(Version::At);
    }
    let mut table = value.table(reading)?;
    let is_content = table.need("content", reading).and_then(|v| v.yes_or_no(reading));
    table.finish(reading);
    is_content.filter(|yes| *yes).map(|_| Version::Content)
}

pub(super) fn takes(value: Option<Value<'_, '_>>, names: &[&str], reading: &mut Reading<'_>) -> Vec<(String, Take)> {
    let entries = entries(value, reading);
    entries.into_iter().filter_map(|(name, value)| Some((name, take(&value, names, reading)?))).collect()
}

fn take(value: &Value<'_, '_>, names: &[&str], reading: &mut Reading<'_>) -> Option<Take> {
    if !value.is_table() {
        return value.paths(reading).map(Take::First);
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
        return text.paths(reading).map(Take::Text);
    }
    if let Some(calculated) = calculated {
        return calculated.expression(names, reading).map(Take::Value);
    }
    if let Some(fixed) = fixed {
        return Some(Take::Const(fixed.json()));
    }
    let list = each?.path(reading);
    let take = takes(inner, &["record", "topic", "settings", "item"], reading);
    Some(Take::Each { list: list?, take })
}
