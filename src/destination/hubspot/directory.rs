//! Contacts by their addresses (API reference 2026-03, "batch/read" with `idProperty`): a second address of a contact
//! leads to it, too.

use std::collections::{BTreeSet, HashMap};

use super::answer::{self, Verdict, verdict};
use super::{Settings, body};
use crate::destination::Halt;
use crate::destination::key::Key;
use crate::destination::profiles::{Directory, Page};
use crate::model::http::{Answer, Method, Request};
use crate::model::{Outcome, Span, Timestamp};

/// The call about the contacts that are found by these values.
pub fn contacts(settings: &Settings, key: &Key, values: &[&str]) -> Request {
    settings.call(Method::Post, format!("{}/batch/read", settings.contacts()), "crm", body::read(key, values))
}

/// The contacts of an account.
pub struct Contacts(pub Settings);

impl Directory for Contacts {
    fn request(&self, addresses: &[String]) -> Request {
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        contacts(&self.0, &Key::default(), &addresses)
    }

    fn read(&self, answer: &Answer, now: Timestamp) -> Page {
        match (verdict(answer, now), answer) {
            (Verdict::Done, Answer::Came(response)) => {
                let mut found: HashMap<String, BTreeSet<String>> = HashMap::new();
                for (id, addresses) in answer::read(response, &Key::default()) {
                    for address in addresses {
                        found.entry(address).or_default().insert(id.clone());
                    }
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
