//! Contacts by their addresses (API reference 2026-03, "batch/read" with `idProperty`): a second address of a contact
//! leads to it, too.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::Settings;
use super::account::call;
use super::answer::{Verdict, verdict};
use crate::destination::Halt;
use crate::destination::profiles::{Directory, Page};
use crate::model::http::{Answer, Method, Request};
use crate::model::{Outcome, Span, Timestamp};

/// The call about the contacts of these addresses.
pub fn contacts(settings: &Settings, addresses: &[String]) -> Request {
    let inputs: Vec<Value> = addresses.iter().map(|address| json!({ "id": address })).collect();
    let properties = ["email", "hs_additional_emails"];
    let body = json!({ "idProperty": "email", "properties": properties, "inputs": inputs });
    call(settings, Method::Post, format!("{}/batch/read", settings.contacts()), Some(&body))
}

/// Every address of the contacts in an answer, in lower case, with the contact's number.
pub fn addresses(answer: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for contact in answer.get("results").and_then(Value::as_array).into_iter().flatten() {
        let Some(id) = contact.get("id").and_then(Value::as_str) else { continue };
        for name in ["/properties/email", "/properties/hs_additional_emails"] {
            let addresses = contact.pointer(name).and_then(Value::as_str).unwrap_or_default();
            let addresses = addresses.split(';').map(|one| one.trim().to_lowercase());
            all.extend(addresses.filter(|one| !one.is_empty()).map(|one| (one, id.to_owned())));
        }
    }
    all
}

/// The contacts of an account.
pub struct Contacts(pub Settings);

impl Directory for Contacts {
    fn request(&self, addresses: &[String]) -> Request {
        contacts(&self.0, addresses)
    }

    fn read(&self, answer: &Answer, now: Timestamp) -> Page {
        match (verdict(answer, now), answer) {
            (Verdict::Done, Answer::Came(response)) => {
                let mut found: HashMap<String, BTreeSet<String>> = HashMap::new();
                for (address, id) in addresses(&response.json()) {
                    found.entry(address).or_default().insert(id);
                }
                Page::Found(found, true)
            }
            (Verdict::Halt(Halt::Quota { until, .. }), _) => Page::Again(until),
            (Verdict::Later(_), _) => Page::Again(now + Span::from_secs(2)),
            (Verdict::Halt(halt), _) => Page::Halt(halt),
            (Verdict::Down(_, words), _) => Page::Halt(Halt::Down(words)),
            (Verdict::Refused(Outcome::Refused { code, words }), _) => Page::Refused(format!("{code}: {words}")),
            (Verdict::Refused(_) | Verdict::Exists | Verdict::Done, _) => {
                Page::Refused("the answer cannot be read".into())
            }
        }
    }
}
