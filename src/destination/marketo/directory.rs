//! Leads by their addresses (REST API: Leads): a POST that stands for a GET, so that no address is in a URL. One address may
//! have several leads.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use serde_json::Value;

use super::Settings;
use super::answer::{Verdict, verdict};
use crate::destination::Halt;
use crate::destination::profiles::{Directory, Page};
use crate::model::Timestamp;
use crate::model::http::{Answer, Auth, Method, Request};

/// The call about the leads of these addresses.
pub fn leads(settings: &Settings, addresses: &[String]) -> Request {
    let mut body = "filterType=email&fields=id%2Cemail&filterValues=".to_owned();
    for (n, address) in addresses.iter().enumerate() {
        if n > 0 {
            body.push(',');
        }
        for byte in address.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => body.push(char::from(byte)),
                // Writing to a text does not fail.
                _ => drop(write!(body, "%{byte:02X}")),
            }
        }
    }
    Request {
        method: Method::Post,
        path: "/rest/v1/leads.json".into(),
        query: vec![("_method".into(), "GET".to_owned())],
        headers: Vec::new(),
        content_type: "application/x-www-form-urlencoded",
        auth: Auth::Token,
        body: body.into_bytes(),
        family: "rest".into(),
        timeout: settings.timeout,
    }
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
