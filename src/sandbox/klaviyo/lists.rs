//! Members of lists: all of a call or none (OpenAPI, add profiles to list; the words of a refusal from Segment's tests).

use axum::http::Method;
use serde_json::Value;

use super::{Klaviyo, error};
use crate::sandbox::call::{Answer, Call, iso};
use crate::sandbox::lists::effect;
use crate::sandbox::received::{Effect, lock};

/// Profiles in a call (OpenAPI).
const PROFILES: usize = 1_000;

/// The list that a path is about.
pub(super) fn list_of(path: &str) -> Option<&str> {
    path.strip_prefix("/api/lists/")?.strip_suffix("/relationships/profiles").filter(|id| !id.contains('/'))
}

/// How a profile's number is written.
pub(super) fn profile_id(profile: u128) -> String {
    format!("01S{profile:032X}")
}

impl Klaviyo {
    /// `POST` or `DELETE /api/lists/{id}/relationships/profiles`
    pub(super) fn change_list(&self, call: &Call, id: &str) -> Answer {
        let is_removal = call.method == Method::DELETE;
        let invalid = |words: &str, pointer: &str| error(call, 400, "invalid", words, Some(pointer));
        if !call.has_type(&["application/vnd.api+json", "application/json"]) {
            return error(call, 415, "unsupported_media_type", "Send application/vnd.api+json.", None);
        }
        let body = serde_json::from_slice::<Value>(&call.body).unwrap_or_default();
        let Some(data) = body.get("data").and_then(Value::as_array).filter(|_| has_only(&body, &["data"])) else {
            return invalid("`data` must be a list, and the only member.", "/data");
        };
        if data.is_empty() || data.len() > PROFILES {
            return invalid(&format!("A call takes 1 to {PROFILES} profiles."), "/data");
        }
        let mut memory = lock(&self.state);
        if !memory.lists.has(id) {
            return error(call, 404, "not_found", "A list with the specified id does not exist.", None);
        }
        let mut profiles = Vec::with_capacity(data.len());
        let mut unknown = Vec::new();
        for (place, one) in data.iter().enumerate() {
            if one.get("type").and_then(Value::as_str) != Some("profile") || !has_only(one, &["type", "id"]) {
                return invalid("A resource identifier has `type` profile and an `id`.", &format!("/data/{place}"));
            }
            let said = one.get("id").and_then(Value::as_str).unwrap_or_default();
            let number = said.strip_prefix("01S").and_then(|hex| u128::from_str_radix(hex, 16).ok());
            match number.and_then(|n| Some((n, memory.names.get(&n)?.clone()))).filter(|_| !call.bad_record) {
                Some(known) => profiles.push(known),
                None => unknown.push(said),
            }
        }
        if !unknown.is_empty() {
            return invalid(&format!("Invalid profile IDs: {}", unknown.join(", ")), "/data/");
        }
        let mut ledger = self.ledger.open();
        for (profile, person) in profiles {
            let is_change = if is_removal { memory.lists.remove(id, profile) } else { memory.lists.add(id, profile) };
            if !is_change {
                ledger.counts.duplicates += 1;
                continue;
            }
            let (event, at, person) = (effect(is_removal, id), iso(call.at), person.into());
            ledger.effect(Effect { id: String::new(), event, person, at, body: Value::Null }, &Value::Null);
        }
        Answer::empty(204)
    }
}

fn has_only(value: &Value, names: &[&str]) -> bool {
    value.as_object().is_some_and(|value| value.keys().all(|name| names.contains(&name.as_str())))
}
