//! Bodies (API reference 2026-03): values are texts, names are lower snake case.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Contact, Settings};
use crate::destination::key::Key;
use crate::destination::said::Said;
use crate::model::{Action, Activation, IdentifierKind};

/// Our namespace for the events' ids (made once, never to change).
const NAMESPACE: Uuid = Uuid::from_u128(0x7d4e_2f8a_5a1b_4c0e_9a77_0d2c_1f6b_9e11);
/// Properties of one occurrence, and the length of a value and of an address at most (guide "custom events").
const MOST_PROPERTIES: usize = 50;
const LONGEST: usize = 256;
const LONGEST_URL: usize = 1_024;
/// A contact's further addresses, parted by `;`.
pub const FURTHER: &str = "hs_additional_emails";

/// All addresses of somebody who is forgotten.
pub fn emails(activation: &Activation) -> impl Iterator<Item = &str> {
    let emails = activation.identifiers.iter().filter(|i| i.kind == IdentifierKind::Email);
    emails.map(|i| &*i.value)
}

/// `POST …/contacts/gdpr-delete`: a contact, and what is associated with it, for good (reference "Permanently delete a
/// contact (GDPR-compliant)", v3). An address that is no contact's is put on a list of those that may not be used again (the
/// same), so that 404 says nothing of the address: it is a refusal. Not verified: that the path is the same in the later
/// versions, which scope it needs beside `crm.objects.contacts.write`, and that a contact's further addresses find it.
pub fn erasure(email: &str) -> Vec<u8> {
    json!({ "objectId": email, "idProperty": "email" }).to_string().into_bytes()
}

/// The trace by which an error is matched to its contact: a hash, since it may be logged on their side.
pub fn trace(key: &Key, value: &str) -> String {
    hex::encode(&blake3::hash(key.same(value).as_bytes()).as_bytes()[..8])
}

/// True for what is done to contacts that are there, and makes none.
pub fn is_looked_up(action: &Action) -> bool {
    matches!(action, Action::RemoveFromList(_))
}

/// `POST …/contacts/batch/read` by address, or by another unique property, which makes nobody; an address may be a
/// contact's further one.
pub fn read(key: &Key, values: &[&str]) -> Vec<u8> {
    let inputs: Vec<Value> = values.iter().map(|value| json!({ "id": value })).collect();
    json!({
        "idProperty": key.field, "inputs": inputs, "properties": [key.field, FURTHER], "propertiesWithHistory": [],
    })
    .to_string()
    .into_bytes()
}

/// The upsert of every contact once; of several records for one the last says what is known, and all of them what is to
/// be written.
pub fn contacts(settings: &Settings, activations: &[&Activation]) -> Vec<u8> {
    let mut inputs: Vec<(&str, Map<String, Value>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for activation in activations {
        let Some(value) = settings.found_by.of(activation) else { continue };
        let traits = activation.traits.to_value();
        let mut properties = Map::new();
        properties.extend(emails(activation).next().map(|email| ("email".to_owned(), email.into())));
        properties.insert(settings.found_by.field.clone(), value.into());
        for (name, ours) in [
            ("firstname", ["first_name", "firstName"]),
            ("lastname", ["last_name", "lastName"]),
            ("phone", ["phone", "phone"]),
        ] {
            let said = ours.iter().find_map(|t| traits.get(*t)?.as_str()).filter(|t| !t.is_empty());
            properties.extend(said.map(|text| (name.to_owned(), Value::from(text))));
        }
        if activation.action == Action::Profile {
            let said = Said::of(activation);
            let values = settings.properties.iter().filter_map(|(name, of)| Some((name.clone(), text(said.at(of)?)?)));
            properties.extend(values.map(|(name, value)| (name, value.into())));
        }
        let place = *known.entry(settings.found_by.same(value)).or_insert(inputs.len());
        match inputs.get_mut(place) {
            Some((_, known)) => known.extend(properties),
            None => inputs.push((value, properties)),
        }
    }
    let inputs: Vec<Value> = inputs
        .into_iter()
        .map(|(value, properties)| {
            let (key, trace) = (&settings.found_by, trace(&settings.found_by, value));
            json!({ "id": value, "idProperty": key.field, "objectWriteTraceId": trace, "properties": properties })
        })
        .collect();
    json!({ "inputs": inputs }).to_string().into_bytes()
}

/// Events of contacts that are there. None may lie before its contact was made: it would enrol nobody (knowledge base,
/// event enrolment).
pub fn events(settings: &Settings, events: &[(&Activation, &Contact)]) -> Vec<u8> {
    let inputs: Vec<Value> = events
        .iter()
        .map(|(activation, contact)| {
            json!({
                "eventName": event_name(settings, activation.action.of()),
                "objectId": contact.id,
                "occurredAt": activation.at.max(contact.created.unwrap_or_default()),
                "uuid": Uuid::new_v5(&NAMESPACE, &activation.occasion.0).to_string(),
                "properties": properties(&activation.payload.to_value()),
            })
        })
        .collect();
    json!({ "inputs": inputs }).to_string().into_bytes()
}

/// `PUT …/memberships/add` or `…/remove`: the contacts' numbers, each once.
pub fn members(contacts: &[&str]) -> Vec<u8> {
    let mut once: Vec<&str> = contacts.to_vec();
    once.sort_unstable();
    once.dedup();
    json!(once).to_string().into_bytes()
}

/// `Cart Abandoned` is `pe123_cart_abandoned`, unless the settings say otherwise.
pub fn event_name(settings: &Settings, event: &str) -> String {
    match settings.events.get(event) {
        Some(name) => name.clone(),
        None => format!("pe{}_{}", settings.hub_id, snake(event)),
    }
}

/// Lower-case letters, digits and underscores, beginning with a letter, at most 50.
pub fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            snake.push(c.to_ascii_lowercase());
        } else if !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
    }
    let snake = snake.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('_');
    snake.chars().take(50).collect()
}

/// Flat texts: lists joined by `;`, objects as JSON, cut to the vendor's length.
fn properties(payload: &Value) -> Map<String, Value> {
    let mut properties = Map::new();
    for (name, value) in payload.as_object().into_iter().flatten() {
        let name = snake(name);
        let Some(text) = text(value).filter(|_| !name.is_empty() && properties.len() < MOST_PROPERTIES) else {
            continue;
        };
        let longest = if name.ends_with("url") || name == "referrer" { LONGEST_URL } else { LONGEST };
        let cut: String = text.chars().take(longest).collect();
        properties.insert(name, cut.into());
    }
    properties
}

fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|i| !i.is_object() && !i.is_array()) => {
            items.iter().filter_map(text).collect::<Vec<_>>().join(";")
        }
        // What a marketer reads of a list of products is their names.
        Value::Array(items) => {
            let names: Vec<&str> = items.iter().filter_map(|i| i.get("name")?.as_str()).collect();
            if names.is_empty() { value.to_string() } else { names.join(";") }
        }
        other => other.to_string(),
    })
}
