//! Subscriptions, suppressions and deletions (OpenAPI): each answers 202 and works afterwards; malformed input refuses
//! all of a call. What the account would be told is kept as an effect of that name.

use axum::http::Method;
use serde_json::{Value, json};

use super::check::{At, Wrong};
use super::{JSON_API, Klaviyo, error, refused, throttled};
use crate::sandbox::call::{Answer, Call, is_email, iso};
use crate::sandbox::received::{Effect, lock};

/// What a path is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Subscribe,
    Unsubscribe,
    Suppress,
    Unsuppress,
    Erase,
}

impl Word {
    /// Of a call.
    pub fn of(call: &Call) -> Option<Self> {
        if call.method != Method::POST {
            return None;
        }
        Some(match call.path.as_str() {
            "/api/profile-subscription-bulk-create-jobs" => Self::Subscribe,
            "/api/profile-subscription-bulk-delete-jobs" => Self::Unsubscribe,
            "/api/profile-suppression-bulk-create-jobs" => Self::Suppress,
            "/api/profile-suppression-bulk-delete-jobs" => Self::Unsuppress,
            "/api/data-privacy-deletion-jobs" => Self::Erase,
            _ => return None,
        })
    }

    /// The resource's type.
    fn kind(self) -> &'static str {
        match self {
            Self::Subscribe => "profile-subscription-bulk-create-job",
            Self::Unsubscribe => "profile-subscription-bulk-delete-job",
            Self::Suppress => "profile-suppression-bulk-create-job",
            Self::Unsuppress => "profile-suppression-bulk-delete-job",
            Self::Erase => "data-privacy-deletion-job",
        }
    }

    /// Profiles in a call.
    fn most(self) -> usize {
        if self == Self::Subscribe { 1_000 } else { 100 }
    }
}

const PROFILES: &str = "/data/attributes/profiles/data";

impl Klaviyo {
    /// One of these calls.
    pub(super) fn word(&self, call: &Call, word: Word) -> Answer {
        if self.options.limits {
            let mut memory = lock(&self.state);
            let quota = if word == Word::Erase { &mut memory.privacy } else { &mut memory.consent };
            if let Err(seconds) = quota.take(call.at) {
                return throttled(call, seconds);
            }
        }
        if !call.has_type(&["application/vnd.api+json", "application/json"]) {
            return error(call, 415, "unsupported_media_type", "Send application/vnd.api+json.", None);
        }
        let Ok(payload) = serde_json::from_slice::<Value>(&call.body) else {
            return error(call, 400, "invalid", "The body is not valid JSON.", Some("/data"));
        };
        let mut wrong = Vec::new();
        let mut mistake = |pointer: &str, words: &str| wrong.push(Wrong::new(&At::root(pointer), words.to_owned()));
        if payload.pointer("/data/type").and_then(Value::as_str) != Some(word.kind()) {
            mistake("/data/type", &format!("must be {}", word.kind()));
        }
        let mut said = Vec::new();
        if word == Word::Erase {
            let named = payload.pointer("/data/attributes/profile/data/attributes").and_then(Value::as_object);
            let named: Vec<&str> = named.into_iter().flatten().filter_map(|(_, value)| value.as_str()).collect();
            match named.as_slice() {
                [one] => said.push(("erase".to_owned(), (*one).to_owned())),
                _ => mistake("/data/attributes/profile/data/attributes", "Exactly one identifier is needed."),
            }
        } else {
            let profiles = payload.pointer(PROFILES).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if profiles.is_empty() || profiles.len() > word.most() {
                mistake(PROFILES, &format!("A job takes 1 to {} profiles.", word.most()));
            }
            for (n, profile) in profiles.iter().enumerate() {
                match read(word, profile).filter(|_| !(call.bad_record && n == 0)) {
                    Some(one) => said.push(one),
                    None => mistake(&format!("{PROFILES}/{n}/attributes"), "Invalid profile."),
                }
            }
        }
        let list = payload.pointer("/data/relationships/list/data/id").and_then(Value::as_str);
        if !wrong.is_empty() {
            return refused(call, &wrong);
        }
        if list.is_some_and(|list| !lock(&self.state).lists.has(list)) {
            return error(call, 404, "not_found", "A list with the specified id does not exist.", None);
        }
        let mut ledger = self.ledger.open();
        for (event, person) in said {
            let one = Effect { id: String::new(), event, person, at: iso(call.at), body: Value::Null };
            ledger.effect(one, &payload);
        }
        match word {
            // These two answer with their job.
            Word::Suppress | Word::Unsuppress => {
                let job =
                    json!({ "data": { "type": word.kind(), "id": "job-0", "attributes": { "status": "queued" } } });
                Answer { content_type: JSON_API, ..Answer::json(202, &job) }
            }
            _ => Answer::empty(202),
        }
    }
}

/// What is said of a profile, and of whom.
fn read(word: Word, profile: &Value) -> Option<(String, String)> {
    let of = |name: &str| profile.pointer(&format!("/attributes/{name}")).and_then(Value::as_str);
    if profile.get("type")?.as_str()? != "profile" {
        return None;
    }
    if matches!(word, Word::Suppress | Word::Unsuppress) {
        let word = if word == Word::Suppress { "suppress" } else { "unsuppress" };
        return Some((word.to_owned(), of("email").filter(|email| is_email(email))?.to_owned()));
    }
    let (verb, consent) =
        if word == Word::Subscribe { ("subscribe", "SUBSCRIBED") } else { ("unsubscribe", "UNSUBSCRIBED") };
    let (channel, person) = match (of("email").filter(|email| is_email(email)), of("phone_number")) {
        (Some(email), _) => ("email", email),
        (None, Some(phone)) if phone.starts_with('+') => ("sms", phone),
        _ => return None,
    };
    (of(&format!("subscriptions/{channel}/marketing/consent"))? == consent)
        .then(|| (format!("{verb} {channel}"), person.to_owned()))
}
