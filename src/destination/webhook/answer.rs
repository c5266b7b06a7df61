//! Answers to outcomes: the manifest's rules first, then what it calls success, then the status.

use serde_json::Value;

use super::manifest::{Act, Batch, Manifest};
use crate::destination::Halt;
use crate::manifest::{answer, text};
use crate::model::http::{Answer, Response, redacted};
use crate::model::{Outcome, Span, Timestamp};

/// A receiver that says "not so fast" without a time is asked again after so long.
const PATIENCE: Span = Span::from_secs(10);

/// What an answer means for the records that were sent.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Taken, but for those at these places, each with its reason; one without a place may be any of the others.
    Taken(Vec<(Option<usize>, String)>),
    /// This for each.
    Each(Outcome),
    /// Refused, by fault of one record at least.
    Refused(Outcome),
    /// Later for each, and the lane hears of it.
    Down(Outcome, String),
    /// The lane stops; no record was touched.
    Halt(Halt),
}

/// Reads an answer.
pub fn verdict(manifest: &Manifest, answer: &Answer, now: Timestamp) -> Verdict {
    let response = match answer {
        Answer::Came(response) => response,
        Answer::NotSent(words) => return down(now, words.clone(), false),
        Answer::Unclear(words) => return down(now, words.clone(), true),
    };
    let body = response.json();
    let words = answer::words(response, &body, &manifest.words);
    let refused = |code: &str| Verdict::Refused(Outcome::Refused { code: code.into(), words: words.as_str().into() });
    match act(manifest, response, &body) {
        Some(Act::Accepted) => Verdict::Taken(manifest.batch.as_ref().map(|b| failed(b, &body)).unwrap_or_default()),
        // It may have been taken: it is not tried in parts.
        None => Verdict::Each(Outcome::Refused { code: "not_confirmed".into(), words: words.as_str().into() }),
        Some(Act::Duplicate) => Verdict::Each(Outcome::Duplicate),
        Some(Act::Refused) => refused(&response.status.to_string()),
        Some(Act::Wait) => {
            let until = again(manifest, response, now).unwrap_or(now + PATIENCE);
            Verdict::Halt(Halt::Quota { window: "of the receiver", until })
        }
        Some(Act::Retry) => Verdict::Each(later(again(manifest, response, now).unwrap_or(now), &words, false)),
        Some(Act::Down) => down(again(manifest, response, now).unwrap_or(now), words, false),
        Some(Act::Renew) => Verdict::Halt(Halt::Token),
        Some(Act::Credentials) => Verdict::Halt(Halt::Credentials(words)),
        Some(Act::Configuration) => Verdict::Halt(Halt::Configuration(format!("{words}{}", hint(response.status)))),
    }
}

/// What to do; none where the status is a success and the body says otherwise.
fn act(manifest: &Manifest, response: &Response, body: &Value) -> Option<Act> {
    if let Some(rule) = manifest.answers.iter().find(|rule| rule.when.fits(response.status, body)) {
        return Some(rule.act);
    }
    let success = &manifest.success;
    let is_good = match success.status.is_empty() {
        true => (200..=299).contains(&response.status),
        false => success.status.contains(&response.status),
    };
    if is_good {
        return success.fits(response.status, body).then_some(Act::Accepted);
    }
    let is_token = manifest.auth.iter().any(|way| matches!(way, crate::manifest::access::Auth::Token { .. }));
    let by_status = match response.status {
        // A success of a sort that the manifest does not know.
        200..=299 => return None,
        300..=399 | 402 | 404 | 405 | 410 => Act::Configuration,
        401 if is_token => Act::Renew,
        401 => Act::Credentials,
        403 => Act::Credentials,
        408 | 425 | 500.. => Act::Down,
        429 => Act::Wait,
        _ => Act::Refused,
    };
    // A proxy's own page says nothing about what is behind it.
    let is_proxy = !answer::html(response).is_empty();
    Some(match by_status {
        Act::Credentials | Act::Renew if is_proxy => Act::Down,
        other => other,
    })
}

/// The way out, where the status alone tells it.
fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => "; it is at another address: write that one",
        404 | 405 => "; nothing takes such calls at this address",
        410 => "; the receiver is gone for good: take the destination out, or write its new address",
        _ => "",
    }
}

/// When the receiver lets us come again, as far as it says so: by `Retry-After`, or the header that the manifest names.
fn again(manifest: &Manifest, response: &Response, now: Timestamp) -> Option<Timestamp> {
    response.retry_after(now).or_else(|| {
        let (header, unit) = manifest.again.as_ref()?;
        response.ahead(header, *unit, now)
    })
}

/// The records of a batch that an answer names as failed.
fn failed(batch: &Batch, body: &Value) -> Vec<(Option<usize>, String)> {
    let Some(failed) = &batch.failed else { return Vec::new() };
    let list = failed.list.get(body).and_then(Value::as_array);
    let named = list.into_iter().flatten().map(|entry| {
        let index = failed.index.get(entry).and_then(text).and_then(|index| index.parse().ok());
        let words = failed.words.as_ref().and_then(|path| text(path.get(entry)?));
        (index, redacted(words.as_deref().unwrap_or("the answer names it as failed")))
    });
    named.collect()
}

fn later(not_before: Timestamp, words: &str, may_have_left: bool) -> Outcome {
    Outcome::Later { not_before, words: words.into(), is_throttled: false, may_have_left }
}

fn down(not_before: Timestamp, words: String, may_have_left: bool) -> Verdict {
    Verdict::Down(later(not_before, &words, may_have_left), words)
}
