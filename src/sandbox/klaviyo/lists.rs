//! Members of lists: all of a call or none (OpenAPI, add profiles to list; the words of a refusal from Segment's tests); and
//! lists looked at by their id.
//!
//! Kind of record: `lists` (`id`, `name`).

use axum::http::Method;
use serde_json::{Value, json};

use super::{JSON_API, Klaviyo, error, throttled};
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
    /// `GET /api/lists/{id}` and `GET /api/lists`, of which only the first page is known; none for another path.
    pub(super) fn look_at_lists(&self, call: &Call) -> Option<Answer> {
        let rest = call.path.strip_prefix("/api/lists")?;
        let id = rest.strip_prefix('/').filter(|id| !id.contains('/'));
        if id.is_none() && !rest.is_empty() {
            return None;
        }
        let mut memory = lock(&self.state);
        let quota = if self.options.limits { memory.list_looks.take(call.at) } else { Ok(Default::default()) };
        if let Err(seconds) = quota {
            return Some(throttled(call, seconds));
        }
        let shown = |id: &str| {
            let attributes = json!({ "name": memory.lists.name(id) });
            let links = json!({ "self": format!("{}/api/lists/{id}/", call.base) });
            json!({ "type": "list", "id": id, "attributes": attributes, "links": links })
        };
        let body = match id {
            Some(id) if memory.lists.has(id) => json!({ "data": shown(id) }),
            Some(_) => {
                let words = "A list with the specified id does not exist.";
                return Some(error(call, 404, "not_found", words, None));
            }
            None => {
                let size = call.param("page[size]").map_or(Some(10), |size| size.parse().ok());
                let Some(size) = size.filter(|size| (1..=10).contains(size)) else {
                    return Some(error(call, 400, "invalid", "page[size] must be between 1 and 10.", None));
                };
                let data: Vec<Value> = memory.lists.ids().into_iter().take(size).map(shown).collect();
                json!({ "data": data, "links": { "self": format!("{}/api/lists", call.base), "next": null } })
            }
        };
        Some(Answer { content_type: JSON_API, ..Answer::json(200, &body) })
    }

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
