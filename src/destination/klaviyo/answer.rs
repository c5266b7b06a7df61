//! Answers to outcomes. The error form is JSON:API's: `errors[]` with `code`, `title`, `detail`, `source.pointer`.

use serde_json::Value;

use crate::destination::Halt;
use crate::model::http::{Answer, Response, redacted};
use crate::model::{Outcome, Span, Timestamp};

/// What an answer means for the call it answers.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The same for each record.
    All(Outcome),
    /// Later for each record, and the lane hears of it.
    Down(Outcome, String),
    /// The lane stops; no record was touched.
    Halt(Halt),
    /// Fewer at once.
    TooLarge,
    /// Refused: these profiles of the body with their words, else all; with a code and words of the whole.
    Named(Vec<(usize, String)>, String, String),
}

/// Reads an answer (guide "Rate limits, status codes, and errors").
pub fn verdict(answer: &Answer, now: Timestamp) -> Verdict {
    let response = match answer {
        Answer::Came(response) => response,
        Answer::NotSent(words) | Answer::Unclear(words) => return down(now, words.clone()),
    };
    let (code, words) = first(response);
    match response.status {
        // 202: validated and queued.
        200..=299 => Verdict::All(Outcome::Accepted),
        400 if matches!(code.as_str(), "not_authenticated" | "authentication_failed") => {
            Verdict::Halt(Halt::Credentials(words))
        }
        401 => Verdict::Halt(Halt::Credentials(words)),
        // A challenge of the network in front of the API is no refusal of the key.
        403 if response.json().is_null() => {
            down(now, "the network in front of the API asks for a browser (403)".into())
        }
        403 => Verdict::Halt(Halt::Credentials(words)),
        404 | 406 | 410 | 415 => Verdict::Halt(Halt::Configuration(format!("HTTP {}: {words}", response.status))),
        413 => Verdict::TooLarge,
        429 => Verdict::Halt(Halt::Quota { window: "of the endpoint", until: again(response, now) }),
        408 | 500.. => down(now, format!("HTTP {}: {words}", response.status)),
        _ => Verdict::Named(pointed(response), code, words),
    }
}

fn down(now: Timestamp, words: String) -> Verdict {
    Verdict::Down(later(now, &words), words)
}

/// Once more.
pub fn later(now: Timestamp, words: &str) -> Outcome {
    Outcome::Later { not_before: now, words: words.into(), is_throttled: false, may_have_left: false }
}

/// True for words about an event whose key the vendor has already: a bulk is refused for it, where a single event is
/// taken and dropped.
pub fn is_known(words: &str) -> bool {
    words.contains("unique_id") || words.to_lowercase().contains("duplicate")
}

/// `Retry-After`, else the seconds in the detail, else `RateLimit-Reset`, else a second.
fn again(response: &Response, now: Timestamp) -> Timestamp {
    let from_detail = || {
        let json = response.json();
        let detail = json.pointer("/errors/0/detail")?.as_str()?.to_owned();
        let digits: String =
            detail.split("in ").nth(1)?.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        digits.parse::<f64>().ok()
    };
    let from_header = || response.header("ratelimit-reset")?.trim().parse::<f64>().ok();
    response.retry_after(now).unwrap_or_else(|| {
        let seconds = from_detail().or_else(from_header).unwrap_or(1.0).clamp(0.1, 3_600.0);
        now + Span::from_millis((seconds * 1_000.0).ceil() as i64)
    })
}

/// Code and words of the first error.
fn first(response: &Response) -> (String, String) {
    let json = response.json();
    let text =
        |name: &str| json.pointer(&format!("/errors/0/{name}")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = match text("code") {
        code if code.is_empty() => response.status.to_string(),
        code => code,
    };
    let words = [text("title"), text("detail")].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(": ");
    (code, redacted(&words))
}

/// The place of a profile in a body, as a pointer names it: `/data/attributes/events-bulk-create/data/{index}/...`, or
/// `profiles`.
pub fn place_of(pointer: &str) -> Option<usize> {
    let bodies = ["/data/attributes/events-bulk-create/data/", "/data/attributes/profiles/data/"];
    let rest = bodies.iter().find_map(|before| pointer.strip_prefix(before))?;
    rest.split('/').next()?.parse().ok()
}

/// The profiles that pointers name.
fn pointed(response: &Response) -> Vec<(usize, String)> {
    let json = response.json();
    let errors = json.get("errors").and_then(Value::as_array).into_iter().flatten();
    let mut named: Vec<(usize, String)> = Vec::new();
    for error in errors {
        let pointer = error.pointer("/source/pointer").and_then(Value::as_str).unwrap_or_default();
        let Some(place) = place_of(pointer) else { continue };
        let detail = error.get("detail").and_then(Value::as_str).unwrap_or_default();
        if !named.iter().any(|(known, _)| *known == place) {
            named.push((place, redacted(detail)));
        }
    }
    named
}
