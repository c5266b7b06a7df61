//! A job that imports many profiles, and puts them into a list: made, asked how far it is, and asked what failed (API
//! reference, revision 2026-07-15). Repeating it is harmless, so nothing of it is kept.

use serde_json::{Map, Value, json};

use super::account::cursor;
use super::body::bytes;
use crate::model::http::Method;
use crate::model::{Span, Timestamp};

/// The first wait for it; each is twice the one before, up to the longest.
const FIRST_WAIT: Span = Span::from_secs(1);
const LONGEST_WAIT: Span = Span::from_secs(15);
/// Questions how far it is: some nine minutes.
const MOST_POLLS: u32 = 40;
/// Pages of what failed that are read.
const MOST_PAGES: u32 = 50;

/// One job under way.
#[derive(Clone, Debug)]
pub struct Job {
    /// Into this list; without one what is known is written, and nothing else.
    pub list: Option<Box<str>>,
    /// The records of each profile, in the order of the body.
    pub people: Vec<Vec<usize>>,
    /// Times that it was made again without those that were refused.
    pub round: usize,
    stage: Stage,
    /// Who failed, by their place in the body, and why.
    failed: Vec<(usize, String)>,
}

#[derive(Clone, Debug)]
enum Stage {
    Make,
    /// Which, and how often it was asked.
    Poll(Box<str>, u32),
    /// What failed of it, of so many; from this cursor on; and pages read.
    Errors(Box<str>, u64, Option<String>, u32),
}

/// What an answer to it means.
#[derive(Debug)]
pub enum Step {
    /// The next question at once.
    Ask(Job),
    /// The next question at this instant.
    Wait(Job, Timestamp),
    /// Through: who failed, by their place in the body, and why. All others were taken.
    Through(Job, Vec<(usize, String)>),
    /// Some failed, and it cannot be told who all of them are.
    Unsure(Job, Vec<(usize, String)>),
    /// It came to nothing that is known.
    Lost(Job, &'static str),
}

impl Job {
    /// To be made.
    pub fn new(list: Option<Box<str>>, people: Vec<Vec<usize>>, round: usize) -> Self {
        Self { list, people, round, stage: Stage::Make, failed: Vec::new() }
    }

    /// Every record that it is about.
    pub fn places(&self) -> Vec<usize> {
        self.people.iter().flatten().copied().collect()
    }

    /// True before it was taken by the vendor.
    pub fn is_new(&self) -> bool {
        matches!(self.stage, Stage::Make)
    }

    /// The next call: method, path, query, body. `attributes` are those of each profile, in its order.
    pub fn call(
        &self,
        attributes: impl Iterator<Item = Map<String, Value>>,
    ) -> (Method, String, Option<String>, Vec<u8>) {
        const JOBS: &str = "/api/profile-bulk-import-jobs";
        match &self.stage {
            Stage::Make => {
                let profiles: Vec<Value> =
                    attributes.map(|attributes| json!({ "type": "profile", "attributes": attributes })).collect();
                let mut data = json!({
                    "type": "profile-bulk-import-job",
                    "attributes": { "profiles": { "data": profiles } },
                });
                if let Some(list) = &self.list {
                    data["relationships"] = json!({ "lists": { "data": [{ "type": "list", "id": list }] } });
                }
                (Method::Post, JOBS.to_owned(), None, bytes(&json!({ "data": data })))
            }
            Stage::Poll(id, _) => (Method::Get, format!("{JOBS}/{id}"), None, Vec::new()),
            Stage::Errors(id, _, cursor, _) => {
                (Method::Get, format!("{JOBS}/{id}/import-errors"), cursor.clone(), Vec::new())
            }
        }
    }

    /// Takes a good answer in.
    pub fn read(mut self, answer: &Value, now: Timestamp) -> Step {
        match self.stage.clone() {
            Stage::Make => match answer.pointer("/data/id").and_then(Value::as_str).filter(|id| is_id(id)) {
                Some(id) => {
                    self.stage = Stage::Poll(id.into(), 0);
                    Step::Wait(self, now + FIRST_WAIT)
                }
                None => Step::Lost(self, "the answer names no job"),
            },
            Stage::Poll(id, polls) => {
                let said = |name: &str| answer.pointer(&format!("/data/attributes/{name}"));
                let failed = said("failed_count").and_then(Value::as_u64).unwrap_or_default();
                match said("status").and_then(Value::as_str) {
                    Some("complete") if failed == 0 => Step::Through(self, Vec::new()),
                    Some("complete") => {
                        self.stage = Stage::Errors(id, failed, None, 0);
                        Step::Ask(self)
                    }
                    Some("cancelled") => Step::Lost(self, "the job was cancelled"),
                    _ if polls + 1 >= MOST_POLLS => Step::Lost(self, "the job did not come to an end"),
                    _ => {
                        self.stage = Stage::Poll(id, polls + 1);
                        let wait = Span::from_millis(FIRST_WAIT.as_millis() << polls.min(5)).min(LONGEST_WAIT);
                        Step::Wait(self, now + wait)
                    }
                }
            }
            Stage::Errors(id, failed, _, pages) => {
                for error in answer.get("data").and_then(Value::as_array).into_iter().flatten() {
                    self.failed.extend(failure(error));
                }
                self.failed.retain(|(place, _)| *place < self.people.len());
                self.failed.sort_unstable();
                self.failed.dedup_by_key(|(place, _)| *place);
                let next = answer.pointer("/links/next").and_then(Value::as_str).and_then(cursor);
                if next.is_some() && pages + 1 < MOST_PAGES {
                    self.stage = Stage::Errors(id, failed, next, pages + 1);
                    return Step::Ask(self);
                }
                let known = std::mem::take(&mut self.failed);
                if known.len() as u64 == failed { Step::Through(self, known) } else { Step::Unsure(self, known) }
            }
        }
    }
}

/// An id stands in a path.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 100 && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_=".contains(c))
}

/// The place that an error's pointer names, and its words.
fn failure(error: &Value) -> Option<(usize, String)> {
    let pointer = error.pointer("/attributes/source/pointer").and_then(Value::as_str)?;
    let place = super::answer::place_of(pointer)?;
    let said = |name: &str| error.pointer(&format!("/attributes/{name}")).and_then(Value::as_str).unwrap_or_default();
    let words = if said("detail").is_empty() { said("title") } else { said("detail") };
    Some((place, crate::model::http::redacted(words)))
}
