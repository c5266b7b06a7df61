//! Custom events: 204 for all of a batch, or 400 for all of it. No answer says which event was wrong (specification of
//! event sending 2026-03, guide "Send custom event occurrences").

use serde_json::{Map, Value, json};

use super::{FIRST_CONTACT, Hubspot, Memory, error};
use crate::sandbox::call::{Answer, Call, instant, is_email, is_lower_name, is_scalar, iso};
use crate::sandbox::received::{Effect, key, lock};

/// Events in a batch (guide).
pub(super) const BATCH: usize = 500;
/// Properties of one event (guide).
const PROPERTIES: usize = 50;
/// Characters of names (guide).
const NAME_CHARS: usize = 50;
/// Characters of a value (guide).
const VALUE_CHARS: usize = 256;
/// Characters of a URL's or referrer's value (guide).
const URL_CHARS: usize = 1_024;

/// Whom an event names.
#[derive(Clone, Copy)]
enum Whose<'a> {
    Id(&'a str),
    Email(&'a str),
    /// A browser's token, which this account has never seen.
    Browser,
}

/// An event whose form is right.
struct Event<'a> {
    name: &'a str,
    whose: Whose<'a>,
    uuid: Option<&'a str>,
    at: Option<String>,
    body: &'a Value,
}

/// Why a call is refused.
struct Refusal(u16, &'static str, String);

impl Hubspot {
    /// Takes all events or none.
    ///
    /// An event of an address without a contact, or from before its contact was made, is taken and starts nothing: a
    /// contact must exist before its event to be enrolled (knowledge base, event enrolment). A `uuid` counts once for each event name (specification);
    /// that the repeat is dropped in silence is an assumption.
    pub(super) fn send(&self, call: &Call, inputs: &[Value]) -> Answer {
        let prefix = format!("pe{}_", self.options.hub_id);
        let mut events = Vec::with_capacity(inputs.len());
        for input in inputs {
            match form(input, &prefix) {
                Ok(event) => events.push(event),
                Err(Refusal(status, category, words)) => return error(call, status, category, &words),
            }
        }
        if call.bad_record {
            return error(call, 400, "VALIDATION_ERROR", "Invalid on demand");
        }
        let mut memory = lock(&self.state);
        for event in &events {
            if let Whose::Id(id) = event.whose
                && memory.contact(id).is_none()
            {
                return error(call, 400, "VALIDATION_ERROR", &format!("No contact has the id {id}"));
            }
        }
        let mut ledger = self.ledger.open();
        for event in &events {
            let id = event.uuid.map(str::to_lowercase);
            if let Some(id) = &id
                && !memory.seen.is_new(key(&[event.name.as_bytes(), id.as_bytes()]))
            {
                ledger.counts.duplicates += 1;
                continue;
            }
            let Some(person) = person(&memory, event) else {
                ledger.counts.refused += 1;
                continue;
            };
            let effect = Effect {
                id: event.uuid.unwrap_or("").to_owned(),
                event: event.name.to_owned(),
                person,
                at: event.at.clone().unwrap_or_else(|| iso(call.at)),
                body: Value::Null,
            };
            ledger.effect(effect, event.body);
        }
        Answer::empty(204)
    }
}

/// Occurrences of a page, at most and usually (unverified).
const PAGE: usize = 100;

impl Hubspot {
    /// `GET …/event-occurrences/…`: those of a contact and of a name, as far as their records are kept. No answer shows the
    /// `uuid` under which an event was sent; its own `id` is another (unverified).
    pub(super) fn occurrences(&self, call: &Call) -> Answer {
        let invalid = |words: &str| error(call, 400, "VALIDATION_ERROR", words);
        let (Some("contact"), Some(contact)) = (call.param("objectType"), call.param("objectId")) else {
            return invalid("objectType and objectId are needed to read events of custom types");
        };
        let limit = match call.param("limit").map_or(Ok(PAGE), str::parse::<usize>) {
            Ok(limit) if (1..=PAGE).contains(&limit) => limit,
            _ => return invalid("limit must be between 1 and 100"),
        };
        let Ok(skip) = call.param("after").map_or(Ok(0), str::parse::<usize>) else { return invalid("after") };
        let bound = |name: &str, usual: i64| call.param(name).map_or(Some(usual), instant);
        let (Some(from), Some(until)) = (bound("occurredAfter", i64::MIN), bound("occurredBefore", i64::MAX)) else {
            return invalid("occurredAfter and occurredBefore are date-times");
        };
        let kind = call.param("eventType");
        let email = lock(&self.state).contact(contact).map(|one| one.email.to_string());
        let sent = self.ledger.effects_from(0).into_iter().enumerate().filter_map(|(n, effect)| {
            let at = instant(&effect.at).or_else(|| effect.at.parse().ok())?;
            let is_asked = Some(&effect.person) == email.as_ref()
                && kind.is_none_or(|kind| kind == effect.event)
                && (from..until).contains(&at)
                && effect.body.is_object();
            is_asked.then(|| {
                json!({
                    "id": format!("{:08x}-0000-4000-8000-{FIRST_CONTACT:012}", n), "eventType": effect.event,
                    "objectType": "CONTACT", "objectId": contact, "occurredAt": iso(at),
                    "properties": effect.body.get("properties"),
                })
            })
        });
        let all: Vec<Value> = sent.collect();
        let page: Vec<Value> = all.iter().skip(skip).take(limit).cloned().collect();
        self.records.note_ids(
            "occurrences",
            &call.asked(),
            page.iter().map(|one| one["id"].to_string()).collect(),
            call.at,
        );
        let next = if call.is_stuck { skip } else { skip + page.len() };
        let mut body = json!({"results": page});
        if next < all.len() || call.is_stuck {
            crate::sandbox::records::set(&mut body, "/paging/next/after", next.to_string().into());
        }
        Answer::json(200, &body)
    }
}

/// The contact's address, if there was such a contact when the event occurred.
fn person(memory: &Memory, event: &Event<'_>) -> Option<String> {
    let contact = match event.whose {
        Whose::Id(id) => memory.contact(id)?,
        Whose::Email(email) => {
            let place = memory.by_email.get(email.trim().to_lowercase().as_str())?;
            memory.contacts.get(*place)?
        }
        Whose::Browser => return None,
    };
    let occurred = event.at.as_deref().and_then(|text| instant(text).or_else(|| text.parse().ok()));
    occurred.is_none_or(|at| at >= contact.created).then(|| contact.email.to_string())
}

/// What an event must be like.
fn form<'a>(input: &'a Value, prefix: &str) -> Result<Event<'a>, Refusal> {
    let invalid = |words: String| Refusal(400, "VALIDATION_ERROR", words);
    let missing = |name: &str| invalid(format!("Some required fields were not set: [{name}]"));
    let map = input.as_object().ok_or_else(|| invalid("Invalid input JSON: an event must be an object".to_owned()))?;
    let at = occurred(map).map_err(invalid)?;
    for (name, value) in map {
        match name.as_str() {
            "eventName" | "objectId" | "email" | "utk" | "uuid" if value.is_string() || value.is_null() => {}
            "properties" if value.is_object() => {}
            "occurredAt" => {}
            "eventName" | "objectId" | "email" | "utk" | "uuid" | "properties" => {
                return Err(invalid(format!("Invalid input JSON: wrong type of \"{name}\"")));
            }
            _ => return Err(invalid(format!("Invalid input JSON: unrecognized field \"{name}\""))),
        }
    }
    let text = |name: &str| map.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    let name = text("eventName").ok_or_else(|| missing("eventName"))?;
    // Names of definitions: lower-case letters, digits, `_` and `-`, at most 50 (guide on event definitions).
    let is_defined = name.strip_prefix(prefix).is_some_and(|n| is_lower_name(&n.replace('-', "_"), NAME_CHARS));
    if !is_defined {
        let words = format!("Event type definition for {name} was not found");
        return Err(Refusal(404, "OBJECT_NOT_FOUND", words));
    }
    let values = map.get("properties").and_then(Value::as_object).ok_or_else(|| missing("properties"))?;
    properties(values).map_err(invalid)?;
    // The order in which the vendor binds an event to a record (guide).
    let whose = match (text("objectId"), text("email"), text("utk")) {
        (Some(id), _, _) => Whose::Id(id),
        (None, Some(email), _) if is_email(email.trim()) => Whose::Email(email),
        (None, Some(email), _) => return Err(invalid(format!("Property value \"{email}\" is not a valid email"))),
        (None, None, Some(_)) => Whose::Browser,
        (None, None, None) => return Err(missing("objectId, email or utk")),
    };
    let uuid = text("uuid");
    if uuid.is_some_and(|id| uuid::Uuid::parse_str(id).is_err()) {
        return Err(invalid("uuid is not a UUID".to_owned()));
    }
    Ok(Event { name, whose, uuid, at, body: input })
}

/// ISO 8601, or milliseconds since 1970 as a number or as text (guide).
fn occurred(map: &Map<String, Value>) -> Result<Option<String>, String> {
    match map.get("occurredAt") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(n)) if n.is_i64() => Ok(Some(n.to_string())),
        Some(Value::String(text)) if instant(text).is_some() || text.parse::<i64>().is_ok() => Ok(Some(text.clone())),
        Some(_) => Err("occurredAt is not a date-time".to_owned()),
    }
}

fn properties(properties: &Map<String, Value>) -> Result<(), String> {
    if properties.len() > PROPERTIES {
        return Err(format!("An event has at most {PROPERTIES} properties"));
    }
    for (name, value) in properties {
        if !is_lower_name(&name.to_lowercase(), NAME_CHARS) {
            return Err(format!("Property \"{name}\" does not exist"));
        }
        if !is_scalar(value) {
            return Err(format!("The value of property \"{name}\" must be a string"));
        }
        let name = name.to_lowercase();
        let most = if name.ends_with("url") || name.ends_with("referrer") { URL_CHARS } else { VALUE_CHARS };
        if value.as_str().is_some_and(|v| v.chars().count() > most) {
            return Err(format!("The value of property \"{name}\" is longer than {most} characters"));
        }
    }
    Ok(())
}
