//! Bodies (REST API: Leads, Custom activities).

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::Settings;
use crate::destination::key::Key;
use crate::destination::said::{Said, at};
use crate::model::{Action, Activation, IdentifierKind};

/// The field of the address.
const EMAIL: &str = "email";
/// The longest text attribute.
const LONGEST: usize = 255;
/// Attributes of one activity, the occasion among them.
pub const MOST_ATTRIBUTES: usize = 20;

/// The address, or whatever else leads are found by, of whom something is done: of somebody who is forgotten, all that
/// they have.
pub fn addresses<'a>(key: &Key, activation: &'a Activation) -> Vec<&'a str> {
    let most = if activation.action == Action::Erase { usize::MAX } else { 1 };
    key.all_of(activation).take(most).collect()
}

/// True for what is done to leads that are there, and makes none.
pub fn is_looked_up(action: &Action) -> bool {
    matches!(action, Action::RemoveFromList(_) | Action::Erase)
}

/// What the vendor would refuse, said before it is asked.
pub fn check(key: &Key, activation: &Activation) -> Result<(), (String, String)> {
    let addresses = addresses(key, activation);
    let is_asked_for = is_looked_up(&activation.action);
    let name = &key.name;
    if addresses.is_empty() {
        Err((format!("no_{name}"), format!("the person has no {name}: a lead of Marketo is found by it")))
    } else if key.is_email() && !is_asked_for && !addresses.iter().all(|email| email.is_ascii()) {
        Err(("email_not_ascii".into(), "Marketo takes only ASCII in e-mail addresses".into()))
    } else if is_asked_for && addresses.iter().any(|one| one.contains(',')) {
        // Commas part the values of a question.
        Err((format!("{name}_with_comma"), format!("Marketo cannot be asked for a {name} with a comma")))
    } else {
        Ok(())
    }
}

/// The records of each address, in the order of their first ones: each address is one lead, also where two people have it.
pub fn by_address<'a>(key: &Key, records: impl Iterator<Item = (usize, &'a Activation)>) -> Vec<Vec<usize>> {
    let mut people: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (place, activation) in records {
        let address = key.same(key.of(activation).unwrap_or_default());
        let person = *known.entry(address).or_insert_with(|| {
            people.push(Vec::new());
            people.len() - 1
        });
        if let Some(places) = people.get_mut(person) {
            places.push(place);
        }
    }
    people
}

/// The place of each record's lead in the input: every address once.
pub fn order(key: &Key, activations: &[&Activation]) -> Vec<usize> {
    let mut order = vec![0; activations.len()];
    for (input, places) in by_address(key, activations.iter().copied().enumerate()).iter().enumerate() {
        for place in places {
            if let Some(slot) = order.get_mut(*place) {
                *slot = input;
            }
        }
    }
    order
}

/// What is known of a lead, by field; what it is found by first.
pub fn lead(settings: &Settings, activation: &Activation, said: &Said) -> Vec<(String, Value)> {
    let key = &settings.found_by;
    let mut lead = vec![(key.field.clone(), key.of(activation).into())];
    if !key.is_email() {
        let email = activation.identifiers.iter().find(|name| name.kind == IdentifierKind::Email);
        let email = email.filter(|email| email.value.is_ascii());
        lead.extend(email.map(|email| (EMAIL.to_owned(), Value::from(&*email.value))));
    }
    let fields = settings.fields.iter().filter(|(field, _)| *field != EMAIL && **field != key.field);
    let fields = fields.filter_map(|(field, name)| Some((field.clone(), said.at(name)?.clone())));
    lead.extend(fields.filter(|(_, v)| v.is_string() || v.is_number() || v.is_boolean()));
    lead
}

/// `POST /rest/v1/leads.json`; of several records for one lead the last says what is known.
pub fn leads(settings: &Settings, activations: &[&Activation]) -> Vec<u8> {
    let people = by_address(&settings.found_by, activations.iter().copied().enumerate());
    let last = people.iter().filter_map(|places| activations.get(*places.last()?));
    let input: Vec<Map<String, Value>> =
        last.map(|activation| lead(settings, activation, &Said::of(activation)).into_iter().collect()).collect();
    let mut body = json!({ "action": "createOrUpdate", "lookupField": settings.found_by.field, "input": input });
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

/// `POST` or `DELETE /rest/v1/lists/{id}/leads.json`, `POST /rest/v1/leads/delete.json`
pub fn members(leads: &[u64]) -> Vec<u8> {
    let input: Vec<Value> = leads.iter().map(|id| json!({ "id": id })).collect();
    json!({ "input": input }).to_string().into_bytes()
}

/// Each lead once, in the order of its first place.
pub fn each_once(leads: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut known = HashSet::new();
    leads.filter(|lead| known.insert(*lead)).collect()
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
