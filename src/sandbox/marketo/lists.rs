//! Static lists and requests of campaigns (Swagger; developer pages on static lists and smart campaigns; codes page).

use axum::http::Method;
use serde_json::{Value, json};

use super::{Marketo, Refusal, input, success};
use crate::sandbox::call::{Answer, Call, iso};
use crate::sandbox::lists::effect;
use crate::sandbox::received::{Effect, lock};

/// Leads, and tokens, in a request of a campaign (Swagger).
const REQUESTED: usize = 100;

/// What a path is about.
pub(super) fn list_of(path: &str) -> Option<&str> {
    path.strip_prefix("/rest/v1/lists/")?.strip_suffix("/leads.json").filter(|id| !id.contains('/'))
}

/// The same of a campaign.
pub(super) fn campaign_of(path: &str) -> Option<&str> {
    path.strip_prefix("/rest/v1/campaigns/")?.strip_suffix("/trigger.json").filter(|id| !id.contains('/'))
}

impl Marketo {
    /// `POST` or `DELETE /rest/v1/lists/{id}/leads.json`: each lead has its own result, in the order of the input.
    pub(super) fn change_list(&self, call: &Call, body: &Value) -> Result<Answer, Refusal> {
        let id = list_of(&call.path).unwrap_or_default();
        let is_removal = call.method == Method::DELETE;
        let records = input(body)?;
        let mut memory = lock(&self.state);
        if !memory.lists.has(id) {
            return Err(("1013", format!("List not found: {id}")));
        }
        let mut ledger = self.ledger.open();
        let mut results = Vec::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            let number = record.get("id").and_then(Value::as_u64).unwrap_or_default();
            let lead = memory.lead(number).filter(|_| !(call.bad_record && place == 0));
            let person = lead.and_then(|lead| Some(memory.leads.get(lead)?.email.to_string()));
            let Some(person) = person else {
                ledger.counts.refused += 1;
                let reason = json!({"code": "1004", "message": "Lead not found"});
                results.push(json!({"id": number, "status": "skipped", "reasons": [reason]}));
                continue;
            };
            let who = u128::from(number);
            let is_change = if is_removal { memory.lists.remove(id, who) } else { memory.lists.add(id, who) };
            if is_change {
                let (event, at) = (effect(is_removal, id), iso(call.at));
                ledger.effect(Effect { id: String::new(), event, person, at, body: Value::Null }, record);
            } else {
                ledger.counts.duplicates += 1;
            }
            results.push(match (is_removal, is_change) {
                (true, false) => {
                    let reason = json!({"code": "1015", "message": "Lead not in list"});
                    json!({"id": number, "status": "skipped", "reasons": [reason]})
                }
                (true, true) => json!({"id": number, "status": "removed"}),
                (false, _) => json!({"id": number, "status": "added"}),
            });
        }
        Ok(success(call, results.into()))
    }

    /// `POST /rest/v1/campaigns/{id}/trigger.json`: all of the leads or none, and nobody's outcome. There is no key
    /// against repeats, and each request that is accepted runs the flow: its qualification rule is `any` here.
    pub(super) fn request_campaign(&self, call: &Call, body: &Value) -> Result<Answer, Refusal> {
        let id = campaign_of(&call.path).unwrap_or_default();
        let missing = |name: &str| ("1002", format!("Missing value for required parameter '{name}'"));
        let wanted = body.get("input").and_then(Value::as_object).ok_or_else(|| missing("input"))?;
        let leads = wanted.get("leads").and_then(Value::as_array).ok_or_else(|| missing("leads"))?;
        if leads.is_empty() || leads.len() > REQUESTED {
            return Err(("1003", format!("1 to {REQUESTED} leads are required")));
        }
        let no_tokens = Vec::new();
        let tokens = wanted.get("tokens").map_or(Some(&no_tokens), Value::as_array).ok_or_else(|| missing("tokens"))?;
        let is_token = |token: &&Value| {
            let name = token.get("name").and_then(Value::as_str).unwrap_or_default();
            name.starts_with("{{my.") && name.ends_with("}}") && token.get("value").is_some_and(Value::is_string)
        };
        if tokens.len() > REQUESTED || !tokens.iter().all(|token| is_token(&token)) {
            return Err(("1003", "Invalid value for 'tokens'".to_owned()));
        }
        if !self.options.campaigns.iter().any(|known| known == id) {
            return Err(("1013", format!("Campaign not found: {id}")));
        }
        let memory = lock(&self.state);
        let mut people = Vec::with_capacity(leads.len());
        for lead in leads {
            let place = lead.get("id").and_then(Value::as_u64).and_then(|id| memory.lead(id));
            let known = place.and_then(|place| memory.leads.get(place)).filter(|_| !call.bad_record);
            people.push(known.ok_or(("1004", "Lead not found".to_owned()))?.email.to_string());
        }
        let mut ledger = self.ledger.open();
        for person in people {
            let (event, at) = (format!("campaign {id}"), iso(call.at));
            let said = json!({ "tokens": tokens });
            ledger.effect(Effect { id: String::new(), event, person, at, body: Value::Null }, &said);
        }
        let number = id.parse::<u64>().unwrap_or_default();
        Ok(success(call, json!([{ "id": number }])))
    }
}
