//! A bulk import of leads: made, asked how far it is, and asked who failed (developer pages "Bulk import" and "Bulk lead
//! import"). It makes and updates leads, and puts them into a list; it tells nobody's number. Making it again is
//! harmless once the first is through, so nothing of it is kept.

use std::collections::HashMap;

use serde_json::Value;

use super::{Settings, body};
use crate::destination::said::Said;
use crate::model::http::{Method, Name, Response, redacted};
use crate::model::{Action, Activation, Span, Timestamp};

/// A file of the vendor is smaller ("less than 10MB"); what is around it is counted too.
pub const LARGEST: usize = 10_000_000;
/// Questions how far it is: some 19 minutes.
const MOST_POLLS: u32 = 40;
/// How often a full queue is met before calls are made instead: five minutes.
const MOST_WAITS: u32 = 10;
/// "5-30 seconds" between two questions.
const SHORTEST: Span = Span::from_secs(5);
const LONGEST: Span = Span::from_secs(30);
/// What parts the form. A lead that says it is not imported, so that it cannot stand in the file.
const BOUNDARY: &str = "espalier-1f6b9e11-leads";
/// The same in the type of the body.
pub const CONTENT_TYPE: &str = "multipart/form-data; boundary=espalier-1f6b9e11-leads";

/// One import under way.
#[derive(Clone, Debug)]
pub struct Import {
    /// Into this list too.
    pub list: Option<Box<str>>,
    /// The records of each lead, in the order of the file.
    pub people: Vec<Vec<usize>>,
    /// What the file says of each of them, beside the address.
    fields: Vec<String>,
    stage: Stage,
    /// Questions asked, and times that the queue was full.
    polls: u32,
    waits: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Make,
    /// Which.
    Poll(u64),
    /// Who failed of it, of so many.
    Failures(u64, u64),
}

/// What an answer to it means.
#[derive(Debug)]
pub enum Step {
    /// The next question at once.
    Ask(Import),
    /// The next question at this instant.
    Wait(Import, Timestamp),
    /// Through: who failed, by their place in the file, and why. All others were taken.
    Through(Import, Vec<(usize, String)>),
    /// Through, and it cannot be told who all of those are that failed.
    Unsure(Import, Vec<(usize, String)>),
    /// It took nobody: calls can be made instead.
    Nothing(Import),
    /// It cannot be told how far it is: it may be at work still.
    Lost(Import, &'static str),
}

/// What is the same of all leads of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    list: Option<Box<str>>,
    fields: Vec<String>,
}

/// True for what needs no lead's number.
pub fn is_for(action: &Action) -> bool {
    matches!(action, Action::Profile | Action::AddToList(_))
}

/// The file that a lead can stand in, of whom these are all records, the last one telling what is known. None where calls
/// are surer: several lists; a value that is empty or `NULL`, as what a file means by those is not documented; or one
/// that holds what parts the form.
pub fn kind(settings: &Settings, records: &[&Activation]) -> Option<Kind> {
    let mut list: Option<&str> = None;
    for record in records {
        match &record.action {
            Action::Profile => {}
            Action::AddToList(id) if list.is_none_or(|known| known == &**id) => list = Some(id),
            _ => return None,
        }
    }
    let said = Said::of(records.last()?);
    let row = body::lead(settings, records.last()?, &said);
    let is_sure = |value: &Value| {
        let text = text(value);
        !text.trim().is_empty() && !text.trim().eq_ignore_ascii_case("null") && !text.contains(BOUNDARY)
    };
    row.iter().all(|(_, value)| is_sure(value)).then(|| Kind {
        list: list.map(Into::into),
        fields: row.into_iter().map(|(name, _)| name).filter(|name| *name != settings.found_by.field).collect(),
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Import {
    /// To be made.
    pub fn new(kind: Kind, people: Vec<Vec<usize>>) -> Self {
        let Kind { list, fields } = kind;
        Self { list, people, fields, stage: Stage::Make, polls: 0, waits: 0 }
    }

    /// The same of fewer, not made yet.
    pub fn halves(self) -> [Self; 2] {
        let (a, b) = self.people.split_at(self.people.len() / 2);
        let of = |people: &[Vec<usize>]| Self { people: people.to_vec(), ..self.clone() };
        [of(a), of(b)]
    }

    /// Every record that it is about.
    pub fn places(&self) -> Vec<usize> {
        self.people.iter().flatten().copied().collect()
    }

    /// True before the vendor has it.
    pub fn is_new(&self) -> bool {
        self.stage == Stage::Make
    }

    /// Method, path and query of the next call.
    pub fn call(&self, settings: &Settings) -> (Method, String, Vec<(Name, String)>) {
        match &self.stage {
            Stage::Make => {
                let mut query =
                    vec![("format".into(), "csv".to_owned()), ("lookupField".into(), settings.found_by.field.clone())];
                query.extend(self.list.iter().map(|list| ("listId".into(), list.to_string())));
                query.extend(settings.partition.iter().map(|name| ("partitionName".into(), name.clone())));
                (Method::Post, "/bulk/v1/leads.json".into(), query)
            }
            Stage::Poll(id) => (Method::Get, format!("/bulk/v1/leads/batch/{id}.json"), Vec::new()),
            Stage::Failures(id, _) => (Method::Get, format!("/bulk/v1/leads/batch/{id}/failures.json"), Vec::new()),
        }
    }

    /// The form with the file, of each lead's last record; empty after it was made.
    pub fn body<'a>(&self, settings: &Settings, activation: impl Fn(usize) -> Option<&'a Activation>) -> Vec<u8> {
        if !self.is_new() {
            return Vec::new();
        }
        let mut form = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"leads.csv\"\r\n\
             Content-Type: text/csv\r\n\r\n"
        )
        .into_bytes();
        let mut file = csv::Writer::from_writer(&mut form);
        let header = std::iter::once(&*settings.found_by.field).chain(self.fields.iter().map(String::as_str));
        let mut is_whole = file.write_record(header).is_ok();
        for places in &self.people {
            let Some(activation) = places.last().and_then(|place| activation(*place)) else { continue };
            let row = body::lead(settings, activation, &Said::of(activation));
            let value = |name: &str| row.iter().find(|(known, _)| known == name).map(|(_, value)| text(value));
            let header = std::iter::once(&*settings.found_by.field).chain(self.fields.iter().map(String::as_str));
            is_whole &= file.write_record(header.map(|name| value(name).unwrap_or_default())).is_ok();
        }
        // A file in memory takes everything.
        is_whole &= file.flush().is_ok();
        drop(file);
        if !is_whole {
            return Vec::new();
        }
        form.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
        form
    }

    /// The queue is full, or its list is at work: once more later; calls instead where that does not end.
    pub fn wait_for_queue(mut self, now: Timestamp) -> Step {
        if self.waits >= MOST_WAITS {
            return Step::Nothing(self);
        }
        self.waits += 1;
        Step::Wait(self, now + LONGEST)
    }

    /// The same question again later: after an answer that tells nothing, at the earliest at `not_before`.
    pub fn again(mut self, not_before: Timestamp, now: Timestamp) -> Step {
        if self.polls >= MOST_POLLS {
            return Step::Lost(self, "the import did not come to an end");
        }
        let wait = (Span::from_millis(SHORTEST.as_millis() << self.polls.min(3))).min(LONGEST);
        self.polls += 1;
        Step::Wait(self, (now + wait).max(not_before))
    }

    /// True for an answer that is the file of failures, which is no JSON of the vendor's.
    pub fn is_file(&self, response: &Response) -> bool {
        matches!(self.stage, Stage::Failures(..)) && response.status == 200 && response.json().get("success").is_none()
    }

    /// Takes a good answer in. `address` is that of a record, as it compares.
    pub fn read(mut self, response: &Response, now: Timestamp, address: impl Fn(usize) -> Option<String>) -> Step {
        let json = response.json();
        let said = |name: &str| json.pointer(&format!("/result/0/{name}"));
        let number = |name: &str| said(name).and_then(Value::as_u64);
        match self.stage {
            Stage::Make => match number("batchId") {
                Some(id) => {
                    self.stage = Stage::Poll(id);
                    self.again(now, now)
                }
                None => Step::Lost(self, "the answer names no import"),
            },
            Stage::Poll(id) => match (said("status").and_then(Value::as_str), number("numOfRowsFailed")) {
                (Some("Complete"), None | Some(0)) => Step::Through(self, Vec::new()),
                (Some("Complete"), Some(failed)) => {
                    self.stage = Stage::Failures(id, failed);
                    Step::Ask(self)
                }
                (Some("Failed"), _) => Step::Nothing(self),
                _ => self.again(now, now),
            },
            Stage::Failures(_, failed) => {
                let known = failures(&response.body, &self.people, self.fields.len() + 1, address);
                if known.len() as u64 == failed { Step::Through(self, known) } else { Step::Unsure(self, known) }
            }
        }
    }
}

/// Who failed, by their place in the file, and the vendor's words: the file's rows of so many fields, with one more at
/// their end.
fn failures(
    file: &[u8],
    people: &[Vec<usize>],
    width: usize,
    address: impl Fn(usize) -> Option<String>,
) -> Vec<(usize, String)> {
    let of = |(n, places): (usize, &Vec<usize>)| Some((address(*places.first()?)?, n));
    let by_address: HashMap<String, usize> = people.iter().enumerate().filter_map(of).collect();
    let mut failed: HashMap<usize, String> = HashMap::new();
    let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    // What leads are found by is the first field, as in our file. The header's own name is nobody's. An address compares in
    // lower case.
    for row in rows.byte_records().map_while(Result::ok) {
        let cell = |n: usize| row.get(n).map(|cell| String::from_utf8_lossy(cell).trim().to_owned());
        let Some(place) =
            cell(0).and_then(|value| by_address.get(&value).or_else(|| by_address.get(&value.to_lowercase())))
        else {
            continue;
        };
        // Behind our own fields: none of those may stand in words.
        let words = cell(width).unwrap_or_default();
        failed.insert(*place, redacted(&words));
    }
    let mut failed: Vec<_> = failed.into_iter().collect();
    failed.sort_unstable();
    failed
}
