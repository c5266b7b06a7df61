//! The Airbyte protocol: everything in envelopes, a JSON object a line; a state for each stream.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Blame, Failed, Level, Message, Name, Reach, Record, Selected, State, Status};
use crate::model::Timestamp;
use crate::source::manifest::records::Mapping;

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    record: Option<Of<'l>>,
    #[serde(borrow)]
    state: Option<&'l RawValue>,
    log: Option<Value>,
    trace: Option<Value>,
    control: Option<Value>,
    catalog: Option<Value>,
    #[serde(rename = "connectionStatus")]
    connection: Option<Value>,
}

#[derive(Deserialize)]
struct Of<'l> {
    stream: String,
    namespace: Option<String>,
    #[serde(borrow)]
    data: &'l RawValue,
    emitted_at: Option<f64>,
}

#[derive(Deserialize)]
struct Stated<'l> {
    #[serde(rename = "type")]
    kind: Option<String>,
    stream: Option<OfStream>,
    #[serde(borrow)]
    data: Option<&'l RawValue>,
    #[serde(rename = "sourceStats")]
    stats: Option<Value>,
}

#[derive(Deserialize)]
struct OfStream {
    stream_descriptor: Descriptor,
}

#[derive(Deserialize)]
struct Descriptor {
    name: String,
    namespace: Option<String>,
}

impl From<Descriptor> for Name {
    fn from(of: Descriptor) -> Self {
        Self { namespace: of.namespace, name: of.name }
    }
}

/// What a line says; none where it is no message.
pub fn read(line: &str) -> Option<Message> {
    let read: Line<'_> = serde_json::from_str(line).ok()?;
    Some(match read.kind.as_str() {
        "RECORD" => {
            let of = read.record?;
            Message::Record(Record {
                stream: Name { namespace: of.namespace, name: of.stream },
                record: super::record(of.data.get()),
                text: of.data.get().to_owned(),
                at: of.emitted_at.map(|ms| Timestamp::from_millis(ms as i64)),
            })
        }
        "STATE" => state(read.state?)?,
        "LOG" => log(&read.log?),
        "TRACE" => trace(&read.trace?),
        "CONTROL" => match read.control?.pointer("/connectorConfig/config") {
            Some(settings) if settings.is_object() => Message::Settings(settings.clone()),
            _ => Message::Other("CONTROL".into()),
        },
        "CATALOG" => Message::Catalog(read.catalog?),
        "CONNECTION_STATUS" => {
            let said = read.connection?;
            let words = text(&said, "/message").unwrap_or("no reason is given").to_owned();
            Message::Checked(if text(&said, "/status") == Some("SUCCEEDED") { Ok(()) } else { Err(words) })
        }
        other => Message::Other(other.to_owned()),
    })
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn state(raw: &RawValue) -> Option<Message> {
    let said: Stated<'_> = serde_json::from_str(raw.get()).ok()?;
    let records = said.stats.as_ref().and_then(|stats| stats.get("recordCount")).and_then(Value::as_f64);
    let records = records.filter(|n| *n >= 0.0).map(|n| n as u64);
    let of = match (said.kind.as_deref(), said.stream, said.data) {
        (Some("GLOBAL"), ..) => Reach::Global,
        (Some("STREAM"), Some(stream), _) => Reach::Stream(stream.stream_descriptor.into()),
        // The old form: all there is, without a type.
        (_, _, Some(data)) => {
            return Some(Message::State(State { of: Reach::Whole, text: data.get().to_owned(), records }));
        }
        _ => return None,
    };
    Some(Message::State(State { of, text: raw.get().to_owned(), records }))
}

fn log(said: &Value) -> Message {
    let level = match text(said, "/level") {
        Some("FATAL" | "ERROR" | "WARN") => Level::Warn,
        Some("DEBUG" | "TRACE") => Level::Debug,
        _ => Level::Info,
    };
    Message::Log(level, text(said, "/message").unwrap_or_default().to_owned())
}

fn trace(said: &Value) -> Message {
    match text(said, "/type") {
        Some("STREAM_STATUS") => {
            let descriptor = said.pointer("/stream_status/stream_descriptor");
            let Some(name) = descriptor.and_then(|d| Descriptor::deserialize(d).ok()) else {
                return Message::Other("TRACE".into());
            };
            let reasons = said.pointer("/stream_status/reasons").and_then(Value::as_array);
            let limited = reasons.into_iter().flatten().find(|reason| text(reason, "/type") == Some("RATE_LIMITED"));
            let status = match (text(said, "/stream_status/status"), limited) {
                (Some("COMPLETE"), _) => Status::Complete,
                (Some("INCOMPLETE"), _) => Status::Incomplete,
                (_, Some(limited)) => {
                    let until = limited.pointer("/rate_limited/quota_reset").and_then(Value::as_f64);
                    Status::Limited(until.map(|ms| Timestamp::from_millis(ms as i64)))
                }
                _ => Status::Running,
            };
            Message::Status(name.into(), status)
        }
        Some("ERROR") => {
            let blame = match text(said, "/error/failure_type") {
                Some("config_error") => Blame::Person,
                Some("transient_error") => Blame::Passing,
                _ => Blame::Program,
            };
            let words = text(said, "/error/message").unwrap_or("it gives no reason").to_owned();
            Message::Failed(Failed { blame, words })
        }
        _ => Message::Other("TRACE".into()),
    }
}

/// From what it has (or from a catalogue that is configured already) to what it is to read.
pub fn select(catalog: &Value, mapping: &Mapping) -> Selected {
    let mut selected = Selected::default();
    let mut configured = Vec::new();
    for entry in catalog.get("streams").and_then(Value::as_array).into_iter().flatten() {
        let stream = entry.get("stream").filter(|inner| inner.is_object()).unwrap_or(entry);
        let Ok(descriptor) = Descriptor::deserialize(stream) else { continue };
        let name = Name::from(descriptor);
        selected.known.push(name.to_string());
        let Some((mapped, _)) = mapping.of(name.namespace.as_deref(), &name.name) else { continue };
        let schema = stream.get("json_schema").cloned().unwrap_or_default();
        selected.streams.push((name, schema, mapped.to_owned()));
        configured.push(if std::ptr::eq(stream, entry) { configure(stream) } else { entry.clone() });
    }
    let has = |name: &&String| !selected.streams.iter().any(|(_, _, mapped)| mapped == *name);
    selected.missing = mapping.streams.keys().filter(has).cloned().collect();
    selected.catalog = json!({ "streams": configured });
    selected
}

/// Only what is new, where the stream can do that.
fn configure(stream: &Value) -> Value {
    let list = |key: &str| stream.get(key).and_then(Value::as_array).filter(|list| !list.is_empty()).cloned();
    let is_own = stream.get("source_defined_cursor").and_then(Value::as_bool).unwrap_or(false);
    let cursor = list("default_cursor_field");
    let modes = list("supported_sync_modes").unwrap_or_default();
    let is_incremental = modes.iter().any(|mode| mode == "incremental") && (is_own || cursor.is_some());
    let mut configured = json!({
        "stream": stream,
        "sync_mode": if is_incremental { "incremental" } else { "full_refresh" },
        "destination_sync_mode": "append",
    });
    if let Some(cursor) = cursor.filter(|_| is_incremental) {
        configured["cursor_field"] = cursor.into();
    }
    if let Some(key) = list("source_defined_primary_key") {
        configured["primary_key"] = key.into();
    }
    configured
}
