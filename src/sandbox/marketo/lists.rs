//! Static lists, and campaigns and their requests (Swagger; developer pages on static lists, smart campaigns and tokens;
//! codes page).
//!
//! Kinds of records: `lists` (`id`, `name`), `campaigns` (`id` and fields of a smart campaign's form) and `programs` (`id`,
//! `tokens`: names). A campaign is of program 1004 unless it says otherwise.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Marketo, Refusal, input, success};
use crate::sandbox::call::{Answer, Call, iso};
use crate::sandbox::lists::effect;
use crate::sandbox::received::{Effect, lock};

/// Leads, and tokens, in a request of a campaign (Swagger).
const REQUESTED: usize = 100;

/// The program of a campaign that does not say its own.
pub(super) const PROGRAM: u64 = 1_004;

/// What is looked at.
pub(super) enum Look {
    List(String),
    Campaign(String),
    Tokens(String),
}

impl Look {
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        if *method != Method::GET {
            return None;
        }
        let parts: Vec<&str> = path.strip_suffix(".json")?.split('/').skip(1).collect();
        match parts.as_slice() {
            ["rest", "v1", "lists", id] => Some(Self::List((*id).to_owned())),
            ["rest", "asset", "v1", "smartCampaign", id] => Some(Self::Campaign((*id).to_owned())),
            ["rest", "asset", "v1", "folder", id, "tokens"] => Some(Self::Tokens((*id).to_owned())),
            _ => None,
        }
    }
}

/// What a path is about.
pub(super) fn list_of(path: &str) -> Option<&str> {
    path.strip_prefix("/rest/v1/lists/")?.strip_suffix("/leads.json").filter(|id| !id.contains('/'))
}

/// The same of a campaign.
pub(super) fn campaign_of(path: &str) -> Option<&str> {
    path.strip_prefix("/rest/v1/campaigns/")?.strip_suffix("/trigger.json").filter(|id| !id.contains('/'))
}

impl Marketo {
    /// One list, campaign, or program's tokens. Assets that are not there are 702 (codes page).
    pub(super) fn look(&self, look: &Look, call: &Call) -> Result<Answer, Refusal> {
        let memory = lock(&self.state);
        let number = |id: &str| id.parse::<u64>().unwrap_or_default();
        let at = "2026-01-02T10:00:00Z";
        let found = match look {
            Look::List(id) if memory.lists.has(id) => {
                json!({ "id": number(id), "name": memory.lists.name(id), "createdAt": at, "updatedAt": at })
            }
            Look::List(id) => return Err(("1013", format!("List not found: {id}"))),
            Look::Campaign(id) if memory.campaigns.has(id) => {
                let of = |name: &str, usual: Value| memory.campaigns.field(id, name, usual);
                let is_active = of("isActive", true.into());
                let folder = json!({ "id": PROGRAM, "type": "Program" });
                json!({
                    "id": number(id), "name": of("name", format!("Campaign {id}").into()), "description": "",
                    "type": of("type", "trigger".into()), "isSystem": false, "isActive": is_active,
                    "isRequestable": of("isRequestable", is_active.clone()), "recurrence": { "weekdayOnly": false },
                    "qualificationRuleType": of("qualificationRuleType", "any".into()),
                    "qualificationRuleInterval": of("qualificationRuleInterval", Value::Null),
                    "qualificationRuleUnit": of("qualificationRuleUnit", Value::Null), "maxMembers": 0,
                    "isCommunicationLimitEnabled": of("isCommunicationLimitEnabled", false.into()),
                    "smartListId": 1, "flowId": 1, "parentProgramId": of("parentProgramId", PROGRAM.into()),
                    "folder": folder, "createdAt": at, "updatedAt": at, "workspace": "Default",
                    "status": if is_active == true { "Active" } else { "Inactive" },
                })
            }
            Look::Tokens(id) if memory.programs.has(id) => {
                if !matches!(call.param("folderType"), Some("Program" | "Folder")) {
                    return Err(("1003", "Invalid value for 'folderType'".to_owned()));
                }
                let names = memory.programs.field(id, "tokens", json!([]));
                let names = names.as_array().cloned().unwrap_or_default();
                let tokens: Vec<Value> =
                    names.iter().map(|name| json!({ "name": name, "type": "text", "value": "" })).collect();
                json!({ "folder": { "type": call.param("folderType"), "value": number(id) }, "tokens": tokens })
            }
            Look::Campaign(_) | Look::Tokens(_) => {
                return Err(("702", "No assets found for the given search criteria.".to_owned()));
            }
        };
        Ok(success(call, json!([found])))
    }

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
        let memory = lock(&self.state);
        if !memory.campaigns.has(id) {
            return Err(("1013", format!("Campaign not found: {id}")));
        }
        let is_active = memory.campaigns.field(id, "isActive", true);
        let is_trigger = memory.campaigns.field(id, "type", "trigger") == "trigger";
        if !is_trigger || is_active != true || memory.campaigns.field(id, "isRequestable", is_active) != true {
            return Err(("1003", format!("Campaign {id} cannot be requested")));
        }
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
