//! Batch upsert of contacts by address: 200, or 207 when records with trace ids were refused (specification of
//! contacts 2026-03, page on error handling).

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{CONTACTS, Contact, FIRST_CONTACT, Hubspot, error, inputs};
use crate::sandbox::call::{Answer, Call, is_email, is_lower_name, is_scalar, iso};
use crate::sandbox::received::{Effect, lock};

/// Records in a batch (RudderStack's and Segment's code).
const BATCH: usize = 100;
/// Characters of a property's value.
const VALUE_CHARS: usize = 65_536;
/// Characters of a property's name.
const NAME_CHARS: usize = 100;

/// A record whose form is right.
struct Input<'a> {
    id: &'a str,
    trace: Option<&'a str>,
    properties: &'a Map<String, Value>,
}

impl Hubspot {
    /// Refuses the batch for its form, or for a wrong record that has no trace id; else takes the right records.
    pub(super) fn upsert(&self, call: &Call, payload: &Map<String, Value>) -> Answer {
        let refuse = |words: &str| error(call, 400, "VALIDATION_ERROR", words);
        let all = match inputs(payload, BATCH) {
            Ok(all) => all,
            Err(words) => return refuse(&words),
        };
        let mut records = Vec::with_capacity(all.len());
        let mut ids = HashSet::with_capacity(all.len());
        for one in all {
            match form(one) {
                Ok(input) if ids.insert(input.id.trim().to_lowercase()) => records.push(input),
                Ok(_) => return refuse("Duplicate IDs found in batch input"),
                Err(words) => return refuse(&words),
            }
        }
        let mut errors = Vec::new();
        let mut sound = Vec::with_capacity(records.len());
        for (place, input) in records.into_iter().enumerate() {
            let on_demand = call.bad_record && place == 0;
            let blocked = || {
                let email = input.id.trim().to_lowercase();
                let is_blocked = lock(&self.state).blocked.contains(email.as_str());
                is_blocked.then(|| "This contact was permanently deleted, and its address cannot be used".to_owned())
            };
            let Some(words) =
                mistake(&input).or_else(blocked).or_else(|| on_demand.then(|| "Invalid on demand".to_owned()))
            else {
                sound.push(input);
                continue;
            };
            match input.trace {
                Some(trace) => errors.push(json!({
                    "status": "error", "category": "VALIDATION_ERROR", "message": words,
                    "context": {"objectWriteTraceId": [trace]}, "errors": [], "links": {},
                })),
                None => return refuse(&words),
            }
        }
        match self.write(&sound, call.at) {
            Ok(results) => self.report(call, results, errors),
            Err(words) => refuse(words),
        }
    }

    /// Creates and updates. The last write wins.
    fn write(&self, sound: &[Input<'_>], now: i64) -> Result<Vec<Value>, &'static str> {
        let mut memory = lock(&self.state);
        let mut results = Vec::with_capacity(sound.len());
        for input in sound {
            let email: Arc<str> = input.id.trim().to_lowercase().into();
            let known = memory.by_email.get(&email).copied();
            let place = match known {
                Some(place) => place,
                None if memory.contacts.len() >= CONTACTS => return Err("The account's contact limit is reached"),
                None => {
                    let place = memory.contacts.len();
                    memory.contacts.push(Contact { email: Arc::clone(&email), created: now });
                    memory.by_email.insert(email, place);
                    place
                }
            };
            let created = memory.contacts.get(place).map_or(now, |c| c.created);
            let mut result = json!({
                "id": (FIRST_CONTACT + place as u64).to_string(), "new": known.is_none(), "archived": false,
                "createdAt": iso(created), "updatedAt": iso(now), "properties": input.properties,
            });
            if let (Some(trace), Some(result)) = (input.trace, result.as_object_mut()) {
                result.insert("objectWriteTraceId".to_owned(), trace.into());
            }
            results.push(result);
        }
        Ok(results)
    }

    /// `POST …/gdpr-delete`, by id or by address. An address that is no contact's is blocked, and that is a success too
    /// (reference "Permanently delete a contact (GDPR-compliant)", v3; that an address which was a contact's is blocked
    /// alike, is not verified).
    pub(super) fn forget(&self, call: &Call, payload: &Map<String, Value>) -> Answer {
        let text = |name: &str| payload.get(name).and_then(Value::as_str).map(str::trim).unwrap_or_default();
        let (id, by) = (text("objectId"), text("idProperty"));
        if id.is_empty() || !matches!(by, "" | "email") || (by == "email" && !is_email(id)) {
            return error(call, 400, "VALIDATION_ERROR", "Invalid input: objectId and idProperty");
        }
        let mut memory = lock(&self.state);
        let place = match by {
            "email" => memory.by_email.get(id.to_lowercase().as_str()).copied(),
            _ => id.parse::<u64>().ok().and_then(|id| usize::try_from(id.checked_sub(FIRST_CONTACT)?).ok()),
        };
        let email = match place.and_then(|place| memory.contacts.get_mut(place)).filter(|one| !one.email.is_empty()) {
            Some(contact) => std::mem::replace(&mut contact.email, "".into()),
            None if by.is_empty() => return error(call, 404, "OBJECT_NOT_FOUND", "resource not found"),
            None => id.to_lowercase().into(),
        };
        if memory.by_email.remove(&email).is_some() {
            let (person, at) = (email.to_string(), iso(call.at));
            let one = Effect { id: String::new(), event: "forgotten".to_owned(), person, at, body: Value::Null };
            self.ledger.open().effect(one, &Value::Null);
        }
        memory.blocked.insert(email);
        Answer::empty(204)
    }

    /// 200 or 207. Nothing promises the order of results, so they come in another than the records did.
    fn report(&self, call: &Call, mut results: Vec<Value>, errors: Vec<Value>) -> Answer {
        results.reverse();
        let mut body = json!({
            "status": "COMPLETE", "startedAt": iso(call.at), "completedAt": iso(call.at), "results": results,
        });
        if errors.is_empty() {
            return Answer::json(200, &body);
        }
        self.ledger.open().counts.refused += errors.len() as u64;
        if let Some(body) = body.as_object_mut() {
            body.insert("numErrors".to_owned(), errors.len().into());
            body.insert("errors".to_owned(), errors.into());
        }
        Answer::json(207, &body)
    }
}

/// What the JSON must be like before any record is looked at.
fn form(one: &Value) -> Result<Input<'_>, String> {
    let missing = |name: &str| format!("Some required fields were not set: [{name}]");
    let one = one.as_object().ok_or("Invalid input JSON: an input must be an object")?;
    for (name, value) in one {
        match name.as_str() {
            "id" | "idProperty" | "objectWriteTraceId" if value.is_string() => {}
            "properties" if value.is_object() => {}
            "id" | "idProperty" | "objectWriteTraceId" | "properties" => {
                return Err(format!("Invalid input JSON: wrong type of \"{name}\""));
            }
            _ => return Err(format!("Invalid input JSON: unrecognized field \"{name}\"")),
        }
    }
    let text = |name: &str| one.get(name).and_then(Value::as_str);
    let id = text("id").filter(|id| !id.is_empty()).ok_or_else(|| missing("id"))?;
    let properties = one.get("properties").and_then(Value::as_object).ok_or_else(|| missing("properties"))?;
    match text("idProperty") {
        Some("email") => {}
        Some(other) => return Err(format!("Property \"{other}\" is not a unique identifier property of contacts")),
        None => return Err("idProperty is required to upsert contacts by address".to_owned()),
    }
    for (name, value) in properties {
        if !is_scalar(value) && !value.is_null() {
            return Err(format!("Invalid input JSON: the value of property \"{name}\" must be a string"));
        }
    }
    Ok(Input { id, trace: text("objectWriteTraceId"), properties })
}

/// What is wrong with one record.
fn mistake(input: &Input<'_>) -> Option<String> {
    let not_email = |text: &str| format!("Property value \"{text}\" is not a valid email");
    if !is_email(input.id.trim()) {
        return Some(not_email(input.id));
    }
    for (name, value) in input.properties {
        if !is_lower_name(name, NAME_CHARS) {
            return Some(format!("Property \"{name}\" does not exist"));
        }
        let text = value.as_str().unwrap_or("");
        if text.chars().count() > VALUE_CHARS {
            return Some(format!("Property \"{name}\" is longer than {VALUE_CHARS} characters"));
        }
        if name == "email" && !is_email(text) {
            return Some(not_email(text));
        }
    }
    None
}
