//! Answers to outcomes (vendor page "Error handling"): every field of an error may be missing.

use std::collections::HashMap;

use serde_json::Value;

use super::Contact;
use super::body::FURTHER;
use crate::destination::Halt;
use crate::destination::key::Key;
use crate::model::http::{Answer, Response, redacted};
use crate::model::{Outcome, Span, Timestamp};

/// What an answer means for the call it answers.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Done; an upsert's records have their own results.
    Done,
    /// One record at least is there already.
    Exists,
    /// The lane stops; no record was touched.
    Halt(Halt),
    /// Later for each.
    Later(Outcome),
    /// Later for each, and the lane hears of it.
    Down(Outcome, String),
    /// Refused, by fault of one record at least.
    Refused(Outcome),
}

/// Reads an answer.
pub fn verdict(answer: &Answer, now: Timestamp) -> Verdict {
    let response = match answer {
        Answer::Came(response) => response,
        Answer::NotSent(words) | Answer::Unclear(words) => return down(now, words.clone()),
    };
    let json = response.json();
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let words = redacted(text("message"));
    let code = if text("category").is_empty() { response.status.to_string() } else { text("category").to_owned() };
    let refused =
        |words: String| Verdict::Refused(Outcome::Refused { code: code.as_str().into(), words: words.into() });
    match response.status {
        200..=299 => Verdict::Done,
        409 => Verdict::Exists,
        401 => Verdict::Halt(Halt::Credentials(words)),
        403 => Verdict::Halt(Halt::Configuration(format!("a scope or the subscription is missing: {words}"))),
        404 => refused(format!("the event definition, list or object is missing in HubSpot: {words}")),
        // A lock after heavy writes; it lasts two seconds.
        423 => Verdict::Later(later(now + Span::from_secs(2), "locked after heavy writes (423)")),
        429 => {
            let is_daily = text("policyName") == "DAILY";
            let window = if is_daily { "of the day" } else { "of ten seconds" };
            let until = if is_daily { now + Span::from_hours(1) } else { again(response, now) };
            Verdict::Halt(Halt::Quota { window, until })
        }
        // The account moves to another data centre: up to a day.
        477 => {
            let until = response.retry_after(now).unwrap_or(now + Span::from_minutes(10));
            Verdict::Halt(Halt::Quota { window: "while the account moves", until })
        }
        408 | 500.. => down(now, format!("HTTP {}: {words}", response.status)),
        _ => refused(words),
    }
}

/// Once more, not before an instant.
pub fn later(not_before: Timestamp, words: &str) -> Outcome {
    Outcome::Later { not_before, words: words.into(), is_throttled: false, may_have_left: false }
}

fn down(now: Timestamp, words: String) -> Verdict {
    Verdict::Down(later(now, &words), words)
}

/// `Retry-After`, else the interval header, else ten seconds.
fn again(response: &Response, now: Timestamp) -> Timestamp {
    let interval = || {
        let ms: i64 = response.header("x-hubspot-ratelimit-interval-milliseconds")?.trim().parse().ok()?;
        Some(now + Span::from_millis(ms.clamp(100, 60_000)))
    };
    response.retry_after(now).or_else(interval).unwrap_or(now + Span::from_secs(10))
}

/// The contacts that a list's answer calls missing.
pub fn missing(answer: &Answer) -> Vec<String> {
    let Answer::Came(response) = answer else { return Vec::new() };
    let json = response.json();
    let missing = json.get("recordIdsMissing").and_then(Value::as_array).into_iter().flatten();
    missing.filter_map(|id| id.as_str().map(str::to_owned).or_else(|| Some(id.as_u64()?.to_string()))).collect()
}

/// The numbers of contacts that were read, and what they are found by: their addresses, the further ones too.
pub fn read(response: &Response, key: &Key) -> Vec<(String, Vec<String>)> {
    let json = response.json();
    let results = json.get("results").and_then(Value::as_array).into_iter().flatten();
    let contact = |result: &Value| {
        let said = |name: &str| result.pointer(&format!("/properties/{name}")).and_then(Value::as_str);
        let further = said(FURTHER).filter(|_| key.is_email());
        let values = said(&key.field).into_iter().chain(further.into_iter().flat_map(|all| all.split(';')));
        Some((result.get("id")?.as_str()?.to_owned(), values.map(|value| key.same(value.trim())).collect()))
    };
    results.filter_map(contact).collect()
}

/// What became of contacts.
pub struct Upserts {
    /// By trace, and by what they are found by.
    pub contacts: HashMap<String, Contact>,
    /// Trace to code and words.
    pub errors: HashMap<String, (String, String)>,
}

/// Reads an upsert's results: by trace and by what contacts are found by, and errors by their trace.
pub fn upserts(response: &Response, key: &Key) -> Upserts {
    let json = response.json();
    let list = |name: &str| json.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let results = list("results");
    let mut contacts = HashMap::new();
    for result in &results {
        let Some(id) = result.get("id").and_then(Value::as_str) else { continue };
        let created = result.get("createdAt").and_then(Value::as_str).and_then(Timestamp::parse);
        // By trace where the answer has it; else by what it is found by.
        let trace = result.get("objectWriteTraceId").and_then(Value::as_str).map(str::to_owned);
        let value = result.pointer(&format!("/properties/{}", key.field)).and_then(Value::as_str);
        for name in trace.into_iter().chain(value.map(|value| key.same(value))) {
            contacts.insert(name, Contact { id: id.to_owned(), created });
        }
    }
    let mut errors = HashMap::new();
    for error in list("errors") {
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        for trace in error.pointer("/context/objectWriteTraceId").and_then(Value::as_array).into_iter().flatten() {
            if let Some(trace) = trace.as_str() {
                errors.insert(trace.to_owned(), (text("category"), redacted(&text("message"))));
            }
        }
    }
    Upserts { contacts, errors }
}
