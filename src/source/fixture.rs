//! Samples of a connector: what a message of a topic, or a page of a list, makes, in a form that is worth writing down
//! beside it.
//!
//! `fixtures/TOPIC.json` is a message, `fixtures/LIST.page.json` an answer, `fixtures/LIST.lookup.NAME.json` what a lookup
//! for it is answered; `….events.json` is what they make. A part between dots tells two of a kind from each other.

use std::sync::Arc;

use serde_json::{Value, json};

use super::manifest::{Manifest, Topic};
use super::stream::{Account, Asked, Mapped, Place, Records, Stream, Turn};
use super::webhook::Webhooks;
use super::{Arrival, Limits, Read, catalogue};
use crate::identity;
use crate::manifest::setting::Given;
use crate::model::http::Response;
use crate::model::{CatalogueItem, Event, Timestamp};

/// When samples are read: 2026-11-23T12:00:00Z.
const AT: Timestamp = Timestamp::from_millis(1_795_435_200_000);

/// What a sample is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of this topic.
    Topic(String),
    /// An answer of this list.
    Page(String),
}

/// What the sample in a file of this name is of; none, for a file that is no sample by itself.
pub fn kind(manifest: &Manifest, file: &str) -> Option<Kind> {
    let name = file.strip_suffix(".json")?;
    let is_of_a_destination = name.ends_with(".activation") || name.ends_with(".calls");
    if is_of_a_destination || name.ends_with(".events") || name.contains(".lookup.") {
        return None;
    }
    let first = name.split('.').next()?;
    if name.split('.').nth(1) == Some("page") {
        return Some(Kind::Page(first.to_owned()));
    }
    // A topic's slash and dots do not stand in names of files.
    let written =
        |topic: &str| [topic.replacen('/', "_", 1), topic.replacen('/', "__", 1), topic.replace(['/', '.'], "_")];
    let topic = manifest.topics.keys().find(|topic| written(topic).iter().any(|name| name == first));
    Some(Kind::Topic(topic.cloned().unwrap_or_else(|| first.to_owned())))
}

/// What a message of a topic makes; none where the connector does not listen.
pub fn topic(manifest: &Manifest, topic: &str, body: &[u8]) -> Option<Read> {
    let webhooks = Webhooks::of(manifest, &Given::anything(&manifest.settings))?.of_any_age();
    let webhook = webhooks.webhook();
    let headers = |name: &str| {
        let said = (name == webhook.topic_header).then(|| topic.to_owned());
        said.or_else(|| (Some(name) == webhook.id_header.as_deref()).then(|| "delivery-1".to_owned()))
    };
    with_arrival(|arrival| webhooks.read(&headers, body, arrival).ok())
}

/// What an answer of a list makes, with the answers of its lookups by their name.
///
/// # Errors
/// Why there is nothing to be read, in words.
pub fn page(manifest: &Manifest, list: &str, body: &[u8], lookups: &[(String, Vec<u8>)]) -> Result<Mapped, String> {
    let declared = manifest.streams.get(list).ok_or_else(|| format!("the connector has no list `{list}`"))?;
    let account = Account::of(manifest, &Given::anything(&manifest.settings)).map_err(|e| e.to_string())?;
    let stream = Stream::new(list, Arc::new(account), declared.clone());
    let came = |body: &[u8]| Response { status: 200, headers: Vec::new(), body: body.to_vec() };
    let mut place = Place { token: Some("sample".into()), ..Place::at(Timestamp::from_millis(0)) };
    stream.open(&mut place, AT, None).map_err(|_| "no window could be opened")?;
    let mut page = match stream.read(&place, &came(body), AT) {
        Turn::Page(page) => page,
        Turn::Stop(stop) | Turn::Broken(_, stop) => return Err(stop.to_string()),
        Turn::Again(_) => return Err("the answer has to be asked for again".into()),
    };
    for (number, lookup) in declared.lookups.iter().enumerate() {
        if let Some((_, body)) = lookups.iter().find(|(name, _)| *name == lookup.name) {
            // The ids are those of all records that ask: a sample without a key has only one of them.
            let ids = stream.lookups(number, &page.records).into_iter();
            let asked = Asked { number, ids: ids.flat_map(|(asked, _)| asked.ids).collect() };
            stream.look_up(&asked, &came(body), &mut page.records, AT).map_err(|stop| stop.to_string())?;
        }
    }
    Ok(with_arrival(|arrival| stream.map(Records { records: &page.records, fresh: None }, arrival)))
}

fn with_arrival<T>(then: impl FnOnce(&Arrival<'_>) -> T) -> T {
    let (names, source) = (identity::Settings::default(), Arc::from("shop"));
    let limits = Limits { message: 1 << 20, messages: 1 };
    then(&Arrival { source: &source, at: AT, names: &names, limits: &limits })
}

/// What is worth reading of what was made. The keys of repetition are hashes, so only their number.
pub fn shown(read: &Read, items: &[CatalogueItem]) -> Value {
    let mut shown = json!({
        "events": read.events.iter().map(event).collect::<Vec<_>>(),
        "rejected": read.rejected.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(),
        "acknowledged": read.acknowledged,
        "ignored": read.ignored,
    });
    if !items.is_empty() {
        shown["products"] = items.iter().map(catalogue::shown).collect();
    }
    shown
}

fn event(event: &Event) -> Value {
    json!({
        "kind": format!("{:?}", event.kind),
        "name": &*event.name,
        "at": event.at,
        "identifiers": event.identifiers.iter().map(|i| i.to_text()).collect::<Vec<_>>(),
        "properties": event.properties.to_value(),
        "traits": event.traits.to_value(),
        "dedupe": event.dedupe.len(),
    })
}

/// What one record of a list makes.
pub fn one(stream: &Stream, record: &Value) -> Value {
    let records = Records { records: std::slice::from_ref(record), fresh: None };
    let mapped = with_arrival(|arrival| stream.map(records, arrival));
    shown(&mapped.read, &mapped.items)
}

/// Events and products, each as one line of JSON.
pub fn lines(mapped: &Mapped) -> impl Iterator<Item = String> {
    let events = mapped.read.events.iter().map(|one| event(one).to_string());
    events.chain(mapped.items.iter().map(|item| catalogue::shown(item).to_string()))
}

/// The topics and lists of which there is no sample among these.
pub fn missing(manifest: &Manifest, sampled: &[Kind]) -> Vec<String> {
    let topics = manifest.topics.iter().filter(|(_, topic)| matches!(topic, Topic::Emit(_)));
    let topics = topics.filter(|(name, _)| !sampled.contains(&Kind::Topic((*name).clone())));
    let lists = manifest.streams.keys().filter(|name| !sampled.contains(&Kind::Page((*name).clone())));
    topics.map(|(name, _)| format!("topic {name}")).chain(lists.map(|name| format!("list {name}"))).collect()
}
