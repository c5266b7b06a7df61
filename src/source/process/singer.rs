//! Singer: SCHEMA, RECORD and STATE, a JSON object a line; a catalogue in which streams are selected.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Message, Name, Reach, Record, Selected, State};
use crate::source::manifest::records::Mapping;
use crate::source::mapping::time;

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(rename = "type")]
    kind: String,
    stream: Option<String>,
    #[serde(borrow)]
    record: Option<&'l RawValue>,
    #[serde(borrow)]
    schema: Option<&'l RawValue>,
    #[serde(borrow)]
    value: Option<&'l RawValue>,
    time_extracted: Option<Value>,
}

/// What a line says; none where it is no message.
pub fn read(line: &str) -> Option<Message> {
    let read: Line<'_> = serde_json::from_str(line).ok()?;
    Some(match read.kind.as_str() {
        "RECORD" => {
            let (stream, record) = (Name::plain(read.stream?), read.record?);
            let at = read.time_extracted.as_ref().and_then(Value::as_str).and_then(time);
            Message::Record(Record { stream, record: super::record(record.get()), text: record.get().to_owned(), at })
        }
        "SCHEMA" => {
            let schema = serde_json::from_str(read.schema?.get()).ok()?;
            Message::Schema { stream: Name::plain(read.stream?), schema }
        }
        "STATE" => Message::State(State { of: Reach::Whole, text: read.value?.get().to_owned(), records: None }),
        "BATCH" => Message::Refused("BATCH messages are not read: take `batch_config` out of its settings".into()),
        // All rows of another version are gone (full-table replication): that nobody did, so it is no event.
        other => Message::Other(other.to_owned()),
    })
}

/// Says of each stream and field whether it is wanted, in all the ways that taps of any age look at.
pub fn select(catalog: &Value, mapping: &Mapping) -> Selected {
    let mut selected = Selected { catalog: catalog.clone(), ..Selected::default() };
    let text = |stream: &Value, key: &str| stream.get(key).and_then(Value::as_str).map(str::to_owned);
    let streams = selected.catalog.get_mut("streams").and_then(Value::as_array_mut);
    for stream in streams.into_iter().flatten() {
        let names = ["stream", "tap_stream_id"].map(|key| text(stream, key));
        let found = names.iter().flatten().find_map(|name| Some((name.clone(), mapping.of(None, name)?.0.to_owned())));
        selected.known.extend(names.iter().flatten().next().cloned());
        let is_wanted = found.is_some();
        if let Some((name, mapped)) = found {
            let schema = stream.get("schema").cloned().unwrap_or_default();
            selected.streams.push((Name::plain(name), schema, mapped));
        }
        if let Value::Object(stream) = stream {
            stream.insert("selected".into(), is_wanted.into());
            let metadata = stream.entry("metadata").or_insert_with(|| json!([]));
            choose(metadata, is_wanted);
        }
    }
    let has = |name: &&String| !selected.streams.iter().any(|(_, _, mapped)| mapped == *name);
    selected.missing = mapping.streams.keys().filter(has).cloned().collect();
    selected
}

fn choose(metadata: &mut Value, is_wanted: bool) {
    let Some(entries) = metadata.as_array_mut() else { return };
    let is_of_stream = |entry: &Value| entry.get("breadcrumb").and_then(Value::as_array).is_some_and(Vec::is_empty);
    if !entries.iter().any(is_of_stream) {
        entries.push(json!({ "breadcrumb": [], "metadata": {} }));
    }
    for entry in entries {
        let is_stream = is_of_stream(entry);
        let Some(said) = entry.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
        let is_supported = said.get("inclusion").and_then(Value::as_str) != Some("unsupported");
        if is_stream {
            said.insert("selected".into(), is_wanted.into());
        } else if is_wanted && is_supported && !said.contains_key("selected") {
            said.insert("selected".into(), true.into());
        }
    }
}
