//! Profiles and members of lists (API reference, revision 2026-07-15).

use serde_json::{Map, Value, json};

use super::body::{Profile, bytes};
use crate::model::Activation;

/// "100 KB" of one profile.
pub const LARGEST: usize = 100_000;
/// Traits that are the profile's identifiers or names, in either spelling: said in their own places.
const SAID: [&str; 7] = ["email", "phone", "phone_number", "first_name", "firstName", "last_name", "lastName"];
/// Traits that have a name of the profile's own.
const OWN: [&str; 3] = ["organization", "locale", "title"];
/// Those that the profile has under `location`.
const LOCATION: [&str; 5] = ["city", "region", "country", "zip", "timezone"];

/// Who somebody is, and what else is known of them where the marketer asks for it.
pub fn attributes(activation: &Activation, is_whole: bool) -> Map<String, Value> {
    // The endpoint takes no anonymous id.
    let mut profile = Profile::of(activation);
    profile.anonymous_id = None;
    let Ok(Value::Object(mut attributes)) = serde_json::to_value(&profile) else { return Map::new() };
    let Value::Object(traits) = activation.traits.to_value() else { return attributes };
    if !is_whole {
        return attributes;
    }
    let (mut location, mut properties) = (Map::new(), Map::new());
    for (name, value) in traits.into_iter().filter(|(name, value)| !SAID.contains(&name.as_str()) && !value.is_null()) {
        if value.is_string() && OWN.contains(&name.as_str()) {
            attributes.insert(name, value);
        } else if value.is_string() && LOCATION.contains(&name.as_str()) {
            location.insert(name, value);
        } else {
            properties.insert(name, value);
        }
    }
    for (name, entries) in [("location", location), ("properties", properties)] {
        if !entries.is_empty() {
            attributes.insert(name.to_owned(), entries.into());
        }
    }
    attributes
}

/// `POST /api/profile-import`: what is said there is changed, the rest stays.
pub fn import(activation: &Activation, is_whole: bool) -> Vec<u8> {
    bytes(&json!({ "data": { "type": "profile", "attributes": attributes(activation, is_whole) } }))
}

/// `POST` or `DELETE /api/lists/{id}/relationships/profiles`, each profile once.
pub fn members(ids: &[&str]) -> Vec<u8> {
    let mut once: Vec<&str> = ids.to_vec();
    once.sort_unstable();
    once.dedup();
    let members: Vec<Value> = once.into_iter().map(|id| json!({ "type": "profile", "id": id })).collect();
    bytes(&json!({ "data": members }))
}
