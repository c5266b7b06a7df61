//! Leads: sync by address, with one result for each record in the order of the input, and look-up (developer page on
//! leads; codes page).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Marketo, Memory, RECORDS, Refusal, field, input, success};
use crate::sandbox::call::{Answer, Call, is_email, is_scalar, iso};
use crate::sandbox::received::{Effect, lock};

/// The id of the first lead.
const FIRST: u64 = 1_001;
/// Leads that the subscription allows.
const MOST: usize = 2_000_000;

/// A person in the database.
pub(super) struct Lead {
    pub email: Arc<str>,
    created: i64,
    updated: i64,
    is_deleted: bool,
    /// Numbers of its activities, oldest first.
    pub activities: Vec<usize>,
}

impl Memory {
    /// The place of the lead with this id.
    pub(super) fn lead(&self, id: u64) -> Option<usize> {
        let place = usize::try_from(id.checked_sub(FIRST)?).ok()?;
        self.leads.get(place).filter(|lead| !lead.is_deleted).map(|_| place)
    }

    /// Deletes the lead with this id, and gives its address.
    fn delete(&mut self, id: u64) -> Option<Arc<str>> {
        let place = self.lead(id)?;
        let email = self.leads.get_mut(place).map(|lead| {
            lead.is_deleted = true;
            Arc::clone(&lead.email)
        })?;
        let all = self.leads.iter().enumerate();
        let left: Vec<usize> = all.filter(|(_, l)| l.email == email && !l.is_deleted).map(|(place, _)| place).collect();
        match left.first() {
            Some(first) => self.by_email.insert(Arc::clone(&email), *first),
            None => self.by_email.remove(&email),
        };
        if left.len() < 2 {
            self.ambiguous.remove(&email);
        }
        Some(email)
    }
}

/// What is to be done with a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    CreateOrUpdate,
    CreateOnly,
    UpdateOnly,
    CreateDuplicate,
}

/// Why a record is skipped.
pub(super) type Skip = (&'static str, String);

impl Marketo {
    /// `POST /rest/v1/leads.json`.
    pub(super) fn sync_leads(&self, call: &Call, body: &Value) -> Result<Answer, Refusal> {
        let action = match body.get("action").map(Value::as_str) {
            None | Some(Some("createOrUpdate")) => Action::CreateOrUpdate,
            Some(Some("createOnly")) => Action::CreateOnly,
            Some(Some("updateOnly")) => Action::UpdateOnly,
            Some(Some("createDuplicate")) => Action::CreateDuplicate,
            Some(_) => return Err(("1001", "Invalid value for 'action'".to_owned())),
        };
        match body.get("lookupField").map(Value::as_str) {
            None | Some(Some("email")) => {}
            Some(Some("id")) if action == Action::UpdateOnly => {}
            Some(other) => {
                return Err(("1011", format!("Lookup field '{}' is not supported", other.unwrap_or(""))));
            }
        }
        let by_id = body.get("lookupField").and_then(Value::as_str) == Some("id");
        let records = input(body)?;
        let mut memory = lock(&self.state);
        let mut skipped = 0;
        let mut results = Vec::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            let written = if call.bad_record && place == 0 {
                Err(("1003", "Invalid on demand".to_owned()))
            } else if by_id {
                update_by_id(&mut memory, record, call.at)
            } else {
                sync(&mut memory, record, action, call.at)
            };
            results.push(match written {
                Ok((id, status)) => json!({"id": id, "status": status}),
                Err((code, message)) => {
                    skipped += 1;
                    json!({"status": "skipped", "reasons": [{"code": code, "message": message}]})
                }
            });
        }
        self.ledger.open().counts.refused += skipped;
        Ok(success(call, results.into()))
    }

    /// Puts a lead in by its address; gives its id.
    pub(super) fn put_lead(&self, record: &Value, now: i64) -> Result<String, String> {
        let written = sync(&mut lock(&self.state), record, Action::CreateOrUpdate, now);
        written.map(|(id, _)| id.to_string()).map_err(|(_, words)| words)
    }

    /// `POST /rest/v1/leads/delete.json` (developer page on leads).
    pub(super) fn delete_leads(&self, call: &Call, body: &Value) -> Result<Answer, Refusal> {
        let records = input(body)?;
        let mut memory = lock(&self.state);
        let mut ledger = self.ledger.open();
        let mut results = Vec::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            let id = record.get("id").and_then(Value::as_u64).unwrap_or_default();
            let email = if call.bad_record && place == 0 { None } else { memory.delete(id) };
            let Some(email) = email else {
                ledger.counts.refused += 1;
                let reason = json!({"code": "1004", "message": "Lead not found"});
                results.push(json!({"id": id, "status": "skipped", "reasons": [reason]}));
                continue;
            };
            let (person, at) = (email.to_string(), iso(call.at));
            let one = Effect { id: String::new(), event: "deleted".to_owned(), person, at, body: Value::Null };
            ledger.effect(one, record);
            results.push(json!({"id": id, "status": "deleted"}));
        }
        Ok(success(call, results.into()))
    }

    /// `GET /rest/v1/leads.json`, or POST with `_method=GET` and the parameters as a form.
    pub(super) fn find_leads(&self, call: &Call) -> Result<Answer, Refusal> {
        let asked = field(call, "filterValues").unwrap_or_default();
        let values: Vec<&str> = asked.split(',').map(str::trim).filter(|v| !v.is_empty()).collect();
        if values.is_empty() {
            return Err(("1003", "filterValues not specified".to_owned()));
        }
        if values.len() > RECORDS {
            return Err(("1003", format!("Max number of filterValues is {RECORDS}")));
        }
        let memory = lock(&self.state);
        let mut places: Vec<usize> = match field(call, "filterType").unwrap_or_default().as_str() {
            "id" => values.iter().filter_map(|v| memory.lead(v.parse().ok()?)).collect(),
            "email" => values.iter().flat_map(|v| with_email(&memory, &v.to_lowercase())).collect(),
            "" => return Err(("1003", "filterType not specified".to_owned())),
            other => return Err(("1003", format!("Invalid filterType '{other}'"))),
        };
        places.sort_unstable();
        places.dedup();
        let show = |place: usize| {
            let lead = memory.leads.get(place)?;
            Some(json!({
                "id": FIRST + place as u64, "email": lead.email, "firstName": null, "lastName": null,
                "createdAt": iso(lead.created), "updatedAt": iso(lead.updated),
            }))
        };
        Ok(success(call, places.into_iter().filter_map(show).collect::<Vec<_>>().into()))
    }
}

/// All leads of an address. Several are rare, and only then is everybody looked at.
fn with_email(memory: &Memory, email: &str) -> Vec<usize> {
    if memory.ambiguous.contains(email) {
        let all = memory.leads.iter().enumerate();
        return all.filter(|(_, l)| &*l.email == email && !l.is_deleted).map(|(place, _)| place).collect();
    }
    memory.by_email.get(email).copied().into_iter().collect()
}

/// Writes one record by its address. Gives the id and what was done.
pub(super) fn sync(memory: &mut Memory, record: &Value, action: Action, now: i64) -> Result<(u64, &'static str), Skip> {
    let record = fields(record)?;
    let email: Arc<str> = match record.get("email") {
        None | Some(Value::Null) => return Err(("1002", "Missing value for required parameter 'email'".to_owned())),
        Some(Value::String(text)) if text.trim().is_empty() => {
            return Err(("1002", "Missing value for required parameter 'email'".to_owned()));
        }
        // An address holds ASCII characters only (developer page on leads).
        Some(Value::String(text)) if text.is_ascii() && is_email(text.trim()) => text.trim().to_lowercase().into(),
        Some(other) => return Err(("1003", format!("Invalid value '{other}' for field 'email'"))),
    };
    if record.contains_key("id") {
        return Err(("1003", "Field 'id' is only allowed with action 'updateOnly'".to_owned()));
    }
    let known = memory.by_email.get(&email).copied();
    match (known, action) {
        (Some(_), Action::CreateOnly) => return Err(("1005", "Lead already exists".to_owned())),
        (None, Action::UpdateOnly) => return Err(("1004", "Lead not found".to_owned())),
        (Some(_), Action::CreateOrUpdate | Action::UpdateOnly) if memory.ambiguous.contains(&email) => {
            return Err(("1007", "Multiple lead match lookup criteria".to_owned()));
        }
        (Some(place), Action::CreateOrUpdate | Action::UpdateOnly) => {
            if let Some(lead) = memory.leads.get_mut(place) {
                lead.updated = now;
            }
            return Ok((FIRST + place as u64, "updated"));
        }
        (Some(_), Action::CreateDuplicate) => {
            memory.ambiguous.insert(Arc::clone(&email));
        }
        (None, _) => {}
    }
    let place = memory.leads.len();
    if place >= MOST {
        return Err(("1026", "Object limit reached".to_owned()));
    }
    memory.by_email.entry(Arc::clone(&email)).or_insert(place);
    memory.leads.push(Lead { email, created: now, updated: now, is_deleted: false, activities: Vec::new() });
    Ok((FIRST + place as u64, "created"))
}

/// `updateOnly` by id.
fn update_by_id(memory: &mut Memory, record: &Value, now: i64) -> Result<(u64, &'static str), Skip> {
    let record = fields(record)?;
    let Some(id) = record.get("id").and_then(Value::as_u64) else {
        return Err(("1002", "Missing value for required parameter 'id'".to_owned()));
    };
    let lead = memory.lead(id).and_then(|place| memory.leads.get_mut(place));
    lead.ok_or_else(|| ("1004", "Lead not found".to_owned()))?.updated = now;
    Ok((id, "updated"))
}

/// A flat record whose names could be fields' REST API names.
fn fields(record: &Value) -> Result<&Map<String, Value>, Skip> {
    let record = record.as_object().ok_or_else(|| ("1003", "Invalid record".to_owned()))?;
    for (name, value) in record {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            return Err(("1006", format!("Field '{name}' not found")));
        }
        if !is_scalar(value) && !value.is_null() {
            return Err(("1003", format!("Invalid value for field '{name}'")));
        }
    }
    Ok(record)
}
