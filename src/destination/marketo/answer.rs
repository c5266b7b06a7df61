//! Answers to outcomes (documentation "Error codes"). HTTP is 200 nearly always: `success`, then each record's `status`.

use serde_json::Value;

use super::MIDNIGHT;
use crate::destination::Halt;
use crate::model::http::{Answer, redacted};
use crate::model::{Span, Timestamp};

/// What an answer means for the call it answers.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Each record has its own result, in the order of the input.
    Records(Vec<Record>),
    /// The lane stops; no record was touched.
    Halt(Halt),
    /// Later for each, and the lane hears of it.
    Down {
        /// Why.
        words: String,
        /// It may have been done all the same.
        is_unclear: bool,
    },
    /// Refused as a whole, by fault of one record at least: code and words.
    Refused(String, String),
}

/// One record's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Done; with the lead's number where it is one.
    Done(Option<u64>),
    /// Not done.
    Skipped {
        /// The vendor's code.
        code: String,
        /// Its words.
        words: String,
        /// It may be taken later.
        is_passing: bool,
    },
}

/// Reads an answer.
pub fn verdict(answer: &Answer, now: Timestamp) -> Verdict {
    let response = match answer {
        Answer::Came(response) => response,
        Answer::NotSent(words) => return Verdict::Down { words: words.clone(), is_unclear: false },
        Answer::Unclear(words) => return Verdict::Down { words: words.clone(), is_unclear: true },
    };
    let json = response.json();
    match response.status {
        200 if json.get("success").and_then(Value::as_bool) == Some(true) => Verdict::Records(records(&json)),
        200 => of_code(&json, now),
        401 | 403 => Verdict::Halt(Halt::Credentials(format!("HTTP {}", response.status))),
        413 => Verdict::Refused("413".into(), "the request is too large".into()),
        // The same of its address: a look is asked for with its fields in the body then.
        414 => Verdict::Refused("414".into(), "the address of the request is too long".into()),
        500.. => Verdict::Down { words: format!("HTTP {}", response.status), is_unclear: true },
        status => Verdict::Halt(Halt::Configuration(format!("HTTP {status}"))),
    }
}

/// Codes of a request that was not executed, or not as far as is known.
fn of_code(json: &Value, now: Timestamp) -> Verdict {
    let text = |name: &str| match json.pointer(&format!("/errors/0/{name}")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(n)) => n.to_string(),
        _ => String::new(),
    };
    let (code, words) = (text("code"), redacted(&text("message")));
    let said = format!("{code}: {words}");
    let wait = |window, span| Verdict::Halt(Halt::Quota { window, until: now + span });
    match code.as_str() {
        "601" | "602" => Verdict::Halt(Halt::Token),
        // Who we are, where we call or how: the same for any record.
        "603" | "605" | "610" | "612" | "613" | "616" | "703" => Verdict::Halt(Halt::Configuration(said)),
        "606" => wait("of 20 seconds", Span::from_secs(20)),
        "607" => Verdict::Halt(Halt::Quota { window: "of the day", until: midnight(now) }),
        "615" => wait("of calls at once", Span::from_secs(2)),
        // Nothing was executed.
        "608" | "713" | "719" | "614" => Verdict::Down { words: said, is_unclear: false },
        // The outcome is unknown.
        "604" | "611" | "" => Verdict::Down { words: said, is_unclear: true },
        _ => Verdict::Refused(code, words),
    }
}

/// When the quota's day ends.
fn midnight(now: Timestamp) -> Timestamp {
    let day = Span::DAY.as_millis();
    Timestamp::from_millis(((now - MIDNIGHT).as_millis().div_euclid(day) + 1) * day) + MIDNIGHT
}

fn records(json: &Value) -> Vec<Record> {
    let results = json.get("result").and_then(Value::as_array).into_iter().flatten();
    results
        .map(|result| {
            // Reasons for leads, errors for activities.
            let reason = result.pointer("/reasons/0").or(result.pointer("/errors/0"));
            let status = result.get("status").and_then(Value::as_str).unwrap_or_default();
            if reason.is_none() && status != "skipped" {
                return Record::Done(result.get("id").and_then(Value::as_u64));
            }
            let text = |name: &str| match reason.and_then(|r| r.get(name)) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(n)) => n.to_string(),
                _ => String::new(),
            };
            let code = text("code");
            let is_passing = matches!(code.as_str(), "1016" | "1019" | "1029");
            Record::Skipped { is_passing, words: redacted(&text("message")), code }
        })
        .collect()
}
