//! Leads by their addresses (REST API: Leads): a POST that stands for a GET, so that no address is in a URL. One address may
//! have several leads.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::answer::{Verdict, verdict};
use super::find::Find;
use super::{Settings, form};
use crate::destination::Halt;
use crate::destination::key::Key;
use crate::destination::profiles::{Directory, Page};
use crate::model::Timestamp;
use crate::model::http::{Answer, Method, Request};

/// The call about the leads of these addresses.
pub fn leads(settings: &Settings, addresses: &[String]) -> Request {
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let (query, body) = Find::new(Vec::new(), Key::default()).call(&addresses);
    Request { query, content_type: form::TYPE, ..settings.call(Method::Post, "/rest/v1/leads.json", body) }
}

/// The leads of each address in an answer, in lower case; and whether these are all.
pub fn found(answer: &Value) -> (HashMap<String, BTreeSet<u64>>, bool) {
    let mut leads: HashMap<String, BTreeSet<u64>> = HashMap::new();
    for lead in answer.get("result").and_then(Value::as_array).into_iter().flatten() {
        let address = lead.get("email").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        leads.entry(address).or_default().extend(lead.get("id").and_then(Value::as_u64));
    }
    (leads, answer.get("nextPageToken").is_none_or(Value::is_null))
}

/// The leads of an instance.
pub struct Leads(pub Settings);

impl Directory for Leads {
    fn request(&self, addresses: &[String]) -> Request {
        leads(&self.0, addresses)
    }

    fn read(&self, answer: &Answer, now: Timestamp) -> Page {
        match (verdict(answer, now), answer) {
            (Verdict::Records(_), Answer::Came(response)) => {
                let (leads, is_whole) = found(&response.json());
                let text = |ids: BTreeSet<u64>| ids.iter().map(u64::to_string).collect();
                Page::Found(leads.into_iter().map(|(address, ids)| (address, text(ids))).collect(), is_whole)
            }
            (Verdict::Halt(Halt::Quota { until, .. }), _) => Page::Again(until),
            (Verdict::Halt(halt), _) => Page::Halt(halt),
            (Verdict::Down { words, .. }, _) => Page::Halt(Halt::Down(words)),
            (Verdict::Refused(code, words), _) => Page::Refused(format!("{code}: {words}")),
            (Verdict::Records(_), _) => Page::Refused("the answer cannot be read".into()),
        }
    }
}
