//! Bulk imports of leads (developer pages "Bulk import" and "Bulk lead import"): a form with a file is a job, which waits in
//! a queue, is worked on, and then tells how many rows failed; who they are stands in a file. Rows are taken when the
//! job is made.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::leads::{Action, sync};
use super::{Marketo, Refusal, success};
use crate::sandbox::call::{Answer, Call, iso};
use crate::sandbox::lists::effect;
use crate::sandbox::received::{Effect, lock};

/// "Less than 10MB" of a file; "10 MB" of a body.
pub(super) const BYTES: usize = 10_000_000;
/// Jobs that wait or are worked on.
const QUEUED: usize = 10;
/// Jobs that are remembered: the vendor keeps them for seven days.
const JOBS: usize = 10_000;
/// Milliseconds that a job is worked on, of which there are two at once (`Memory::workers`).
const TAKES: i64 = 3_000;

/// A job that was taken.
pub(super) struct Job {
    starts: i64,
    ends: i64,
    list: Option<String>,
    rows: usize,
    /// Those that failed, as a file.
    failed: Vec<u8>,
    failures: usize,
}

/// What a path is about.
pub(super) enum Ask {
    Make,
    Status(usize),
    Failures(usize),
}

impl Ask {
    /// Of a call.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/bulk/v1/leads")?;
        if rest == ".json" {
            return (*method == Method::POST).then_some(Self::Make);
        }
        let rest = rest.strip_prefix("/batch/").filter(|_| *method == Method::GET)?;
        match rest.strip_suffix("/failures.json") {
            Some(id) => id.parse().ok().map(Self::Failures),
            None => rest.strip_suffix(".json")?.parse().ok().map(Self::Status),
        }
    }
}

impl Marketo {
    /// One call about imports.
    pub(super) fn bulk(&self, call: &Call, ask: &Ask) -> Result<Answer, Refusal> {
        let job = |n: usize| ("1013", format!("Import job not found: {n}"));
        match ask {
            Ask::Make => self.import(call),
            Ask::Status(n) => {
                let memory = lock(&self.state);
                let (status, done) = match n.checked_sub(1).and_then(|place| memory.jobs.get(place)) {
                    None => return Err(job(*n)),
                    Some(job) if call.at < job.starts => ("Queued", None),
                    Some(job) if call.at < job.ends => ("Importing", None),
                    Some(job) => ("Complete", Some((job.rows, job.failures))),
                };
                let mut shown = json!({"batchId": n, "importId": n.to_string(), "status": status});
                if let (Some((rows, failures)), Some(shown)) = (done, shown.as_object_mut()) {
                    shown.insert("numOfLeadsProcessed".to_owned(), (rows - failures).into());
                    shown.insert("numOfRowsFailed".to_owned(), failures.into());
                    shown.insert("numOfRowsWithWarning".to_owned(), 0.into());
                    shown.insert("message".to_owned(), format!("{rows} rows, {failures} failed").into());
                }
                Ok(success(call, json!([shown])))
            }
            Ask::Failures(n) => {
                let memory = lock(&self.state);
                let known = n.checked_sub(1).and_then(|place| memory.jobs.get(place)).ok_or_else(|| job(*n))?;
                let body = String::from_utf8_lossy(&known.failed).into_owned();
                Ok(Answer { body, content_type: "text/csv", ..Answer::empty(200) })
            }
        }
    }

    fn import(&self, call: &Call) -> Result<Answer, Refusal> {
        let file = file(call)?;
        if call.param("format") != Some("csv") {
            return Err(("1003", "Invalid value for 'format'".to_owned()));
        }
        if call.param("lookupField").is_some_and(|field| field != "email") {
            return Err(("1011", "Lookup field is not supported".to_owned()));
        }
        let mut rows = csv::Reader::from_reader(file.as_slice());
        let header = rows.headers().cloned().map_err(|_| ("1003", "Invalid file".to_owned()))?;
        if !header.iter().any(|name| name == "email") {
            return Err(("1002", "Missing value for required parameter 'email'".to_owned()));
        }
        let mut memory = lock(&self.state);
        let list = call.param("listId").map(str::to_owned);
        if let Some(id) = list.as_deref().filter(|id| !memory.lists.has(id)) {
            return Err(("1013", format!("List not found: {id}")));
        }
        let open = memory.jobs.iter().rev().filter(|job| job.ends > call.at);
        if open.clone().count() >= QUEUED {
            return Err(("1016", "Too many imports".to_owned()));
        }
        if list.is_some() && open.clone().any(|job| job.list == list) {
            return Err(("1019", "Import in progress".to_owned()));
        }
        if memory.jobs.len() >= JOBS {
            return Err(("1016", "Too many imports".to_owned()));
        }
        let mut failed = csv::Writer::from_writer(Vec::new());
        let with = |row: &csv::StringRecord, words: &str| {
            let mut row = row.clone();
            row.push_field(words);
            row
        };
        let mut is_written = failed.write_record(&with(&header, "Import Failure Reason")).is_ok();
        let (mut count, mut failures) = (0, 0);
        let mut ledger = self.ledger.open();
        for row in rows.records() {
            let row = row.map_err(|_| ("1003", "Invalid file".to_owned()))?;
            count += 1;
            let cells = header.iter().zip(&row).filter(|(_, cell)| !cell.is_empty());
            let lead: Map<String, Value> = cells.map(|(name, cell)| (name.to_owned(), cell.into())).collect();
            let lead = Value::Object(lead);
            let taken = match call.bad_record && count == 1 {
                true => Err(("1003", "Invalid on demand".to_owned())),
                false => sync(&mut memory, &lead, Action::CreateOrUpdate, call.at),
            };
            match (taken, &list) {
                (Err((_, words)), _) => {
                    failures += 1;
                    ledger.counts.refused += 1;
                    is_written &= failed.write_record(&with(&row, &words)).is_ok();
                }
                (Ok((number, _)), Some(list)) if memory.lists.add(list, u128::from(number)) => {
                    let person = lead.get("email").and_then(Value::as_str).unwrap_or_default().to_lowercase();
                    let (event, at) = (effect(false, list), iso(call.at));
                    let body = json!({ "imported": true });
                    ledger.effect(Effect { id: String::new(), event, person, at, body: Value::Null }, &body);
                }
                (Ok(_), Some(_)) => ledger.counts.duplicates += 1,
                (Ok(_), None) => {}
            }
        }
        let failed = failed.into_inner().ok().filter(|_| is_written).unwrap_or_default();
        let starts = memory.workers.iter().copied().min().unwrap_or_default().max(call.at);
        let ends = starts + TAKES;
        if let Some(worker) = memory.workers.iter_mut().min() {
            *worker = ends;
        }
        memory.jobs.push(Job { starts, ends, list, rows: count, failed, failures });
        let n = memory.jobs.len();
        Ok(success(call, json!([{"batchId": n, "importId": n.to_string(), "status": "Queued"}])))
    }
}

/// The part `file` of a form (RFC 7578).
fn file(call: &Call) -> Result<Vec<u8>, Refusal> {
    let invalid = || ("613", "Invalid multipart request".to_owned());
    let kind = call.header("content-type");
    let boundary = kind.strip_prefix("multipart/form-data").and_then(|rest| rest.split_once("boundary="));
    let (_, boundary) = boundary.filter(|(_, boundary)| !boundary.is_empty()).ok_or_else(invalid)?;
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|part| part == what);
    let opening = format!("--{boundary}\r\n");
    let body = call.body.strip_prefix(opening.as_bytes()).ok_or_else(invalid)?;
    let head_ends = find(body, b"\r\n\r\n").ok_or_else(invalid)?;
    let (head, rest) = body.split_at(head_ends);
    if !String::from_utf8_lossy(head).contains("name=\"file\"") {
        return Err(invalid());
    }
    let rest = rest.get(4..).ok_or_else(invalid)?;
    let closing = format!("\r\n--{boundary}--\r\n");
    // A boundary within the file ends it: what is behind it is no part of it, and the form is broken.
    let first = find(rest, format!("\r\n--{boundary}").as_bytes()).ok_or_else(invalid)?;
    let (file, after) = rest.split_at(first);
    if after != closing.as_bytes() {
        return Err(invalid());
    }
    Ok(file.to_vec())
}
