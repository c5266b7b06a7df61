//! Brevo's `POST /v3/events`. Facts from its API reference ("Create an event", "Rate limits", "Rate limit headers").

use serde_json::{Value, json};

use super::{Receiver, text};
use crate::sandbox::Options;
use crate::sandbox::call::{Answer, Call, instant, is_email};
use crate::sandbox::received::Effect;

pub(super) struct Brevo;

/// The ways to name a contact, and the longest name of an event.
const IDENTIFIERS: [&str; 6] = ["contact_id", "email_id", "ext_id", "landline_number_id", "phone_id", "whatsapp_id"];
const LONGEST_NAME: usize = 255;

impl Receiver for Brevo {
    fn take(&self, call: &Call, options: &Options) -> Result<(Vec<Effect>, Answer), Answer> {
        if call.header("api-key") != options.api_key {
            return Err(self.error(401));
        }
        if call.path != "/v3/events" || call.method != "POST" {
            return Err(self.error(404));
        }
        let wrong = |words: &str| Answer::json(400, &json!({ "code": "invalid_parameter", "message": words }));
        let event: Value = serde_json::from_slice(&call.body).map_err(|_| wrong("Invalid JSON"))?;
        if let Some(words) = check(&event).or(call.bad_record.then_some("Invalid on demand")) {
            return Err(wrong(words));
        }
        let person = IDENTIFIERS.iter().skip(1).map(|name| text(&event, &format!("/identifiers/{name}")));
        let effect = Effect {
            id: String::new(),
            event: text(&event, "/event_name").to_owned(),
            person: person.filter(|text| !text.is_empty()).map(str::to_owned).next().unwrap_or_default(),
            at: text(&event, "/event_date").to_owned(),
            body: event,
        };
        Ok((vec![effect], Answer::empty(204)))
    }

    fn error(&self, status: u16) -> Answer {
        let (code, words) = match status {
            401 => ("unauthorized", "Key not found"),
            404 => ("document_not_found", "Not found"),
            429 => ("too_many_requests", "Too many requests"),
            _ => ("internal_error", "Something went wrong"),
        };
        Answer::json(status, &json!({ "code": code, "message": words }))
    }

    fn limit(&self) -> u32 {
        10
    }

    fn again(&self) -> &'static str {
        "x-sib-ratelimit-reset"
    }
}

fn check(event: &Value) -> Option<&'static str> {
    let name = text(event, "/event_name");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
        return Some("event_name is missing or has characters that are not allowed");
    }
    let identifiers = event.get("identifiers").and_then(Value::as_object);
    let Some(identifiers) = identifiers.filter(|i| !i.is_empty()) else {
        return Some("at least one identifier is required");
    };
    if identifiers.iter().any(|(name, value)| !IDENTIFIERS.contains(&name.as_str()) || value.is_null()) {
        return Some("an identifier is not known, or is null");
    }
    if identifiers.get("email_id").is_some_and(|email| !email.as_str().is_some_and(is_email)) {
        return Some("email_id is not valid");
    }
    let date = event.get("event_date");
    if date.is_some_and(|date| date.as_str().and_then(instant).is_none()) {
        return Some("event_date is not valid");
    }
    for name in ["event_properties", "contact_properties"] {
        if event.get(name).is_some_and(|properties| !properties.is_object()) {
            return Some("properties must be an object");
        }
    }
    None
}
