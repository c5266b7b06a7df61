//! Requests of campaigns: tokens belong to a call, so leads go together whose tokens are equal (developer page "Smart
//! campaigns").

use serde_json::{Value, json};

use super::Settings;
use super::body::text_at;
use crate::model::Activation;

/// Leads of one call.
pub const LEADS: usize = 100;
/// Tokens of one call.
pub const TOKENS: usize = 100;

/// The tokens that an activation fills, with their values, in the order of their names. What its payload does not have
/// keeps the program's own value.
pub fn tokens(settings: &Settings, activation: &Activation) -> Vec<(String, String)> {
    let Some(tokens) = settings.campaigns.get(activation.action.of()) else { return Vec::new() };
    let payload = activation.payload.to_value();
    let said = tokens.iter().take(TOKENS).filter_map(|(name, path)| Some((name.clone(), text_at(&payload, path)?)));
    said.collect()
}

/// `POST /rest/v1/campaigns/{id}/trigger.json`
pub fn body(leads: &[u64], tokens: &[(String, String)]) -> Vec<u8> {
    let leads: Vec<Value> = leads.iter().map(|id| json!({ "id": id })).collect();
    let tokens: Vec<Value> =
        tokens.iter().map(|(name, value)| json!({ "name": format!("{{{{my.{name}}}}}"), "value": value })).collect();
    let mut input = json!({ "leads": leads });
    if !tokens.is_empty() {
        input["tokens"] = tokens.into();
    }
    json!({ "input": input }).to_string().into_bytes()
}
