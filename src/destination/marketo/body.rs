//! Bodies (REST API: Leads, Custom activities).

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Settings;
use crate::destination::said::{Said, at};
use crate::model::{Activation, IdentifierKind};

/// The longest text attribute.
const LONGEST: usize = 255;
/// Attributes of one activity, the occasion among them.
pub const MOST_ATTRIBUTES: usize = 20;

/// The address by which the lead is found.
pub fn email(activation: &Activation) -> Option<&str> {
    activation.identifiers.iter().find(|i| i.kind == IdentifierKind::Email).map(|i| &*i.value)
}

/// What the vendor would refuse, said before it is asked.
pub fn check(activation: &Activation) -> Result<(), (&'static str, &'static str)> {
    match email(activation) {
        None => Err(("no_email", "the person has no e-mail address: a lead of Marketo is found by it")),
        Some(email) if !email.is_ascii() => Err(("email_not_ascii", "Marketo takes only ASCII in e-mail addresses")),
        Some(_) => Ok(()),
    }
}

/// The place of each record's lead in the input: every address once.
pub fn order(activations: &[&Activation]) -> Vec<usize> {
    let mut known: Vec<&str> = Vec::new();
    activations
        .iter()
        .map(|activation| {
            let email = email(activation).unwrap_or_default();
            known.iter().position(|k| *k == email).unwrap_or_else(|| {
                known.push(email);
                known.len() - 1
            })
        })
        .collect()
}

/// `POST /rest/v1/leads.json`; of several records for one lead the last says what is known.
pub fn leads(settings: &Settings, activations: &[&Activation]) -> Vec<u8> {
    let mut input: Vec<Map<String, Value>> = Vec::new();
    for (activation, place) in activations.iter().zip(order(activations)) {
        let said = Said::of(activation);
        let mut lead = Map::new();
        lead.insert("email".into(), email(activation).into());
        for (field, name) in &settings.fields {
            if let Some(value) = said.at(name).filter(|v| v.is_string() || v.is_number() || v.is_boolean()) {
                lead.insert(field.clone(), value.clone());
            }
        }
        match input.get_mut(place) {
            Some(known) => *known = lead,
            None => input.push(lead),
        }
    }
    let mut body = json!({ "action": "createOrUpdate", "lookupField": "email", "input": input });
    if let Some(partition) = &settings.partition {
        body["partitionName"] = partition.as_str().into();
    }
    body.to_string().into_bytes()
}

/// `POST /rest/v1/activities/external.json`
pub fn activities(settings: &Settings, activities: &[(&Activation, u64)]) -> Vec<u8> {
    let input: Vec<Value> = activities
        .iter()
        .map(|(activation, lead)| {
            let payload = activation.payload.to_value();
            let mut attributes =
                vec![json!({ "apiName": settings.occasion_attribute, "value": activation.occasion.to_string() })];
            let (activity_type, filled) = settings.activity(activation.action.of());
            for (name, path) in filled.iter().take(MOST_ATTRIBUTES - 1) {
                if let Some(value) = scalar_at(&payload, path) {
                    attributes.push(json!({ "apiName": name, "value": value }));
                }
            }
            json!({
                "leadId": lead,
                "activityDate": activation.at,
                "activityTypeId": activity_type,
                "primaryAttributeValue": &*activation.trigger,
                "attributes": attributes,
            })
        })
        .collect();
    json!({ "input": input }).to_string().into_bytes()
}

/// `POST` or `DELETE /rest/v1/lists/{id}/leads.json`
pub fn members(leads: &[u64]) -> Vec<u8> {
    let input: Vec<Value> = leads.iter().map(|id| json!({ "id": id })).collect();
    json!({ "input": input }).to_string().into_bytes()
}

/// Each lead once, in the order of its first place; and for each place, which of them it is.
pub fn each_once(leads: impl Iterator<Item = u64>) -> (Vec<u64>, Vec<usize>) {
    let mut once: Vec<u64> = Vec::new();
    let mut known: HashMap<u64, usize> = HashMap::new();
    let order = leads
        .map(|lead| {
            *known.entry(lead).or_insert_with(|| {
                once.push(lead);
                once.len() - 1
            })
        })
        .collect();
    (once, order)
}

/// The scalar at a dotted path; texts cut to the vendor's length, lists as joined texts.
fn scalar_at(payload: &Value, path: &str) -> Option<Value> {
    let text = match at(payload, path)? {
        Value::Null => return None,
        value @ (Value::Number(_) | Value::Bool(_)) => return Some(value.clone()),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let names = items.iter().filter_map(|i| i.as_str().or_else(|| i.get("name")?.as_str()));
            names.collect::<Vec<_>>().join("; ")
        }
        value @ Value::Object(_) => value.to_string(),
    };
    Some(text.chars().take(LONGEST).collect::<String>().into())
}

/// The same as a text.
pub fn text_at(payload: &Value, path: &str) -> Option<String> {
    Some(match scalar_at(payload, path)? {
        Value::String(text) => text,
        other => other.to_string(),
    })
}
