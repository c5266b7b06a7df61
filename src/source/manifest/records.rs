//! A mapping by itself: what the records of each stream make, in the language of `connector.toml`, for programs that
//! read a vendor on our behalf.

use std::collections::BTreeMap;

use super::mapped::{emits, like, shape, takes};
use crate::manifest::written::{Reading, Table, Value, entries};
use crate::model::{Mistake, Origin};
use crate::source::mapping::Shape;
use crate::source::stream::Makes;

/// What the records of each stream make.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// By the stream's name. What is not here is not asked for.
    pub streams: BTreeMap<String, Makes>,
}

impl Mapping {
    /// Reads `text`, which mistakes call `file`.
    ///
    /// # Errors
    /// All mistakes, in the file's order.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let mut reading = Reading::new(file, text);
        let streams = reading.document().map(|document| streams(Table::top(&document), &mut reading));
        let mistakes = reading.into_mistakes();
        match streams {
            Some(streams) if mistakes.is_empty() => Ok(Self { streams }),
            _ => Err(mistakes),
        }
    }

    /// The stream of this name in this namespace, with the name that it has here: `namespace.name`, else `name`.
    pub fn of(&self, namespace: Option<&str>, name: &str) -> Option<(&str, &Makes)> {
        let full = namespace.and_then(|namespace| self.streams.get_key_value(&format!("{namespace}.{name}")));
        full.or_else(|| self.streams.get_key_value(name)).map(|(name, makes)| (name.as_str(), makes))
    }
}

fn streams(mut top: Table<'_, '_>, reading: &mut Reading<'_>) -> BTreeMap<String, Makes> {
    let (mut every, mut of_every) = (Shape::default(), None);
    if let Some(mut table) = top.get("every_stream").and_then(|v| v.table(reading)) {
        of_every = origin(table.get("origin"), reading);
        every = shape(&mut table, reading);
        table.finish(reading);
    }
    let mut shapes = BTreeMap::new();
    for (name, value) in entries(top.get("shape"), reading) {
        if let Some(table) = value.table(reading) {
            shapes.insert(name, like(table, &every, reading));
        }
    }
    let mut streams = BTreeMap::new();
    let written = top.need("stream", reading);
    let is_there = written.is_some();
    let written = entries(written, reading);
    if is_there && written.is_empty() {
        top.wrong(reading, "needs a `[stream.NAME]`: without one nothing is read");
    }
    for (name, value) in written {
        let Some(mut table) = value.table(reading) else { continue };
        let origin = origin(table.get("origin"), reading).or(of_every).unwrap_or(Origin::System);
        let item = takes(table.get("item"), &["record", "topic"], reading);
        let emits = emits(&mut table, &every, &shapes, reading);
        if emits.is_empty() && item.is_empty() {
            table.wrong(reading, "needs `emit`, `item` or both: what its records make");
        }
        table.finish(reading);
        streams.insert(name, Makes { origin, emits, item });
    }
    top.finish(reading);
    streams
}

fn origin(value: Option<Value<'_, '_>>, reading: &mut Reading<'_>) -> Option<Origin> {
    value.and_then(|v| v.one_of(&[("system", Origin::System), ("email", Origin::Email)], reading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &[&str]) {
        let mistakes = Mapping::read("m.toml", text).err().unwrap_or_default();
        assert_eq!(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted);
    }

    const GOOD: &str = "[every_stream]\norigin = \"email\"\nid = \"id\"\nidentify = { email = \"email\" }\n[stream.\"a.orders\"]\n\
                        [[stream.\"a.orders\".emit]]\nevent = \"Ordered\"\n[stream.people]\norigin = \"system\"\n\
                        emit = [{ kind = \"identify\" }]\n";

    #[test]
    fn streams_are_found_with_and_without_their_namespace() {
        let mapping = Mapping::read("m.toml", GOOD).expect("right");
        let of = |namespace, name| mapping.of(namespace, name).map(|(name, makes)| (name, makes.origin));
        assert_eq!(of(Some("a"), "orders"), Some(("a.orders", Origin::Email)));
        assert_eq!(of(Some("b"), "orders"), None);
        assert_eq!(of(Some("b"), "people"), Some(("people", Origin::System)));
        assert_eq!(of(None, "people"), Some(("people", Origin::System)));
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        check("", &["m.toml:1:1: stream: is missing"]);
        check("[stream]\n", &["m.toml:1:1: needs a `[stream.NAME]`: without one nothing is read"]);
        check(
            "strem = 1\n[every_stream]\norigin = \"mail\"\n[stream.a]\nget = \"/x\"\n",
            &[
                "m.toml:1:1: strem: is not a key that is known here (did you mean `stream`?)",
                "m.toml:3:10: every_stream.origin: `mail` is not known (did you mean `email`?)",
                "m.toml:4:1: stream.a: needs `emit`, `item` or both: what its records make",
                "m.toml:5:1: stream.a.get: is not a key that is known here (known here: origin, item, like, object, id, version, at, identify, \
             properties, traits, emit)",
            ],
        );
        check(
            "[shape.d]\n[stream.b]\nlike = \"c\"\n[[stream.b.emit]]\nevent = \"E\"\n",
            &[
                "m.toml:3:8: stream.b.like: `c` is not known (known here: d)",
                "m.toml:4:1: stream.b.emit[0]: needs `identify`: an event without a person is none",
            ],
        );
    }
}
