//! Braze's `POST /users/track`. Facts from its documentation ("POST: Track users", "API errors and responses", "Rate
//! limits").

use serde_json::{Value, json};

use super::{Receiver, text};
use crate::sandbox::Options;
use crate::sandbox::call::{Answer, Call, instant};
use crate::sandbox::received::Effect;

pub(super) struct Braze;

/// Events in a call, and the largest body.
const EVENTS: usize = 75;
const BYTES: usize = 4 << 20;
/// The ways to name a user.
const NAMES: [&str; 5] = ["external_id", "user_alias", "braze_id", "email", "phone"];

impl Receiver for Braze {
    fn take(&self, call: &Call, options: &Options) -> Result<(Vec<Effect>, Answer), Answer> {
        if call.credentials("Bearer") != Some(options.api_key.as_str()) {
            return Err(self.error(401));
        }
        if call.path != "/users/track" || call.method != "POST" {
            return Err(self.error(404));
        }
        if call.body.len() > BYTES {
            return Err(self.error(413));
        }
        let fatal = |words: &str| Answer::json(400, &json!({ "message": words }));
        let said: Value = serde_json::from_slice(&call.body).map_err(|_| fatal("Bad Request"))?;
        let events = said.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
        if events.is_empty() {
            return Err(fatal("Please provide valid 'attributes', 'events' or 'purchases'"));
        }
        if events.len() > EVENTS {
            return Err(fatal("Too many objects"));
        }
        let (mut effects, mut errors) = (Vec::new(), Vec::new());
        for (index, event) in events.into_iter().enumerate() {
            let words = check(&event).or((call.bad_record && index == 0).then_some("invalid on demand"));
            if let Some(words) = words {
                errors.push(json!({ "type": words, "input_array": "events", "index": index }));
                continue;
            }
            let person = NAMES.iter().map(|name| text(&event, &format!("/{name}"))).find(|text| !text.is_empty());
            effects.push(Effect {
                id: String::new(),
                event: text(&event, "/name").to_owned(),
                person: person.unwrap_or_default().to_owned(),
                at: text(&event, "/time").to_owned(),
                body: event,
            });
        }
        let mut answer = json!({ "message": "success", "events_processed": effects.len() });
        if !errors.is_empty() {
            answer["errors"] = errors.into();
        }
        Ok((effects, Answer::json(201, &answer)))
    }

    fn error(&self, status: u16) -> Answer {
        let words = match status {
            401 => "Invalid API Key",
            404 => "Not found",
            413 => "Request Entity Too Large",
            429 => "Rate limit exceeded",
            _ => "Internal Server Error",
        };
        Answer::json(status, &json!({ "message": words }))
    }

    /// Three thousand in three seconds.
    fn limit(&self) -> u32 {
        1_000
    }

    fn again(&self) -> &'static str {
        "retry-after"
    }
}

fn check(event: &Value) -> Option<&'static str> {
    if NAMES.iter().all(|name| event.get(*name).is_none_or(Value::is_null)) {
        return Some("'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required");
    }
    if text(event, "/name").is_empty() {
        return Some("'name' is required");
    }
    if instant(text(event, "/time")).is_none() {
        return Some("'time' is not valid");
    }
    event.get("properties").is_some_and(|p| !p.is_object()).then_some("'properties' must be an object")
}
