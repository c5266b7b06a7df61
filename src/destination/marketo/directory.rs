//! Leads by their addresses (REST API: Leads): a POST that stands for a GET, so that no address is in a URL. One address may
//! have several leads.

use std::collections::HashMap;

use super::answer::{Verdict, verdict};
use super::find::{Find, Step};
use super::{LEADS, Settings, form};
use crate::destination::Halt;
use crate::destination::key::Key;
use crate::destination::profiles::{Directory, Page};
use crate::model::Timestamp;
use crate::model::http::{Answer, Method, Request};

/// A page of what a look-up asks for; `values` are those of its records.
pub fn page(settings: &Settings, find: &Find, values: &[&str]) -> Request {
    let (query, body) = find.call(values);
    Request { query, content_type: form::TYPE, ..settings.call(Method::Post, LEADS, body) }
}

/// The leads of an instance.
pub struct Leads(pub Settings);

impl Directory for Leads {
    fn request(&self, addresses: &[String]) -> Request {
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        page(&self.0, &Find::new(Vec::new(), Key::default()), &addresses)
    }

    fn read(&self, answer: &Answer, now: Timestamp) -> Page {
        match (verdict(answer, now), answer) {
            (Verdict::Records(_), Answer::Came(response)) => {
                let text = |ids: Vec<u64>| ids.iter().map(u64::to_string).collect();
                match Find::new(Vec::new(), Key::default()).next(&response.json(), |_| true) {
                    Step::Found(_, leads, _) => {
                        Page::Found(leads.into_iter().map(|(address, ids)| (address, text(ids))).collect(), true)
                    }
                    Step::More(_) | Step::Unread(_) => Page::Found(HashMap::new(), false),
                }
            }
            (Verdict::Halt(Halt::Quota { until, .. }), _) => Page::Again(until),
            (Verdict::Halt(halt), _) => Page::Halt(halt),
            (Verdict::Down { words, .. }, _) => Page::Halt(Halt::Down(words)),
            (Verdict::Refused(code, words), _) => Page::Refused(format!("{code}: {words}")),
            (Verdict::Records(_), _) => Page::Refused("the answer cannot be read".into()),
        }
    }
}
