//! Members of lists (specification of lists 2026-03): a bare array of record ids; those that are no record are named, and
//! the others taken. And lists looked at by their id.
//!
//! Kind of record: `lists` (`id`, `name`, `processingType`, `objectTypeId`).

use axum::http::Method;
use serde_json::{Value, json};

use super::{FIRST_CONTACT, Hubspot, error};
use crate::sandbox::call::{Answer, Call, iso};
use crate::sandbox::lists::effect;
use crate::sandbox::received::{Effect, lock};

/// Ids in a call (unverified).
const IDS: usize = 100_000;

/// A list's id, and whether members are taken out of it.
pub(super) fn ask(method: &Method, path: &str) -> Option<(String, bool)> {
    if *method != Method::PUT {
        return None;
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["crm", "lists", "v3" | "2026-03" | "2026-09", id, "memberships", "add"] => Some(((*id).to_owned(), false)),
        ["crm", "lists", "v3" | "2026-03" | "2026-09", id, "memberships", "remove"] => Some(((*id).to_owned(), true)),
        _ => None,
    }
}

/// A list's id, where one is looked at.
pub(super) fn look(method: &Method, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["crm", "lists", "v3" | "2026-03" | "2026-09", id] if *method == Method::GET => Some((*id).to_owned()),
        _ => None,
    }
}

impl Hubspot {
    /// `GET …/{listId}`
    pub(super) fn look_at_list(&self, call: &Call, id: &str) -> Answer {
        let lists = &lock(&self.state).lists;
        if !lists.has(id) {
            return error(call, 404, "OBJECT_NOT_FOUND", &format!("List does not exist with ID {id}"));
        }
        let list = json!({
            "listId": id, "listVersion": 1, "name": lists.name(id), "objectTypeId": lists.field(id, "objectTypeId", "0-1"),
            "processingStatus": "COMPLETE", "processingType": lists.field(id, "processingType", "MANUAL"),
        });
        Answer::json(200, &json!({ "list": list }))
    }

    /// `PUT …/memberships/add` or `…/remove`
    pub(super) fn change_list(&self, call: &Call, id: &str, is_removal: bool) -> Answer {
        let refuse = |words: &str| error(call, 400, "VALIDATION_ERROR", words);
        let ids: Vec<String> = match serde_json::from_slice(&call.body) {
            Ok(ids) => ids,
            Err(_) => return refuse("Invalid input JSON: an array of texts is required"),
        };
        if ids.is_empty() || ids.len() > IDS {
            return refuse("Invalid input: 1 to 100000 record ids are required");
        }
        let mut memory = lock(&self.state);
        if !memory.lists.has(id) {
            return error(call, 404, "OBJECT_NOT_FOUND", &format!("List does not exist with ID {id}"));
        }
        // Only these have members by hand (specification).
        if !["MANUAL", "SNAPSHOT"].iter().any(|kind| memory.lists.field(id, "processingType", "MANUAL") == *kind) {
            return refuse(&format!("List {id} is not of the processing types MANUAL or SNAPSHOT"));
        }
        let (mut changed, mut missing) = (Vec::new(), Vec::new());
        let mut ledger = self.ledger.open();
        for (place, record) in ids.iter().enumerate() {
            let person = memory.contact(record).map(|contact| contact.email.to_string());
            let Some(person) = person.filter(|_| !(call.bad_record && place == 0)) else {
                missing.push(record.clone());
                continue;
            };
            let who = u128::from(record.parse::<u64>().unwrap_or(FIRST_CONTACT));
            let is_change = if is_removal { memory.lists.remove(id, who) } else { memory.lists.add(id, who) };
            if !is_change {
                ledger.counts.duplicates += 1;
                continue;
            }
            changed.push(record.clone());
            let (event, at) = (effect(is_removal, id), iso(call.at));
            ledger.effect(Effect { id: String::new(), event, person, at, body: Value::Null }, &Value::Null);
        }
        let (added, removed) = if is_removal { (Vec::new(), changed) } else { (changed, Vec::new()) };
        let body = json!({ "recordIdsMissing": missing, "recordsIdsAdded": added, "recordIdsRemoved": removed });
        Answer::json(200, &body)
    }
}
