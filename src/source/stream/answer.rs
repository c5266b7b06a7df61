//! What an answer means: a body to read, or why there is none.

use serde_json::Value;

use super::Account;
use crate::manifest::{Path, answer};
use crate::model::http::Response;
use crate::model::{Span, Timestamp};
use crate::source::manifest::api::Act;
use crate::source::raw;

/// Why nothing can be read for now: what to do about it, and words for people without anything personal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The vendor's limit is reached; come again then.
    #[error("the vendor's limit is reached: {words}")]
    Wait {
        /// When, where it says so.
        until: Option<Timestamp>,
        /// In its words.
        words: String,
    },
    /// Come again after a while that grows.
    #[error("{0}")]
    Retry(String),
    /// The token was refused.
    #[error("the access token is refused: {0}")]
    Renew(String),
    /// The credentials are refused: a person has to mend it.
    #[error("the credentials are refused: {0}")]
    Credentials(String),
    /// The account may not see this: a person has to mend it.
    #[error("the account may not read this: {0}")]
    Scope(String),
    /// What is asked does not fit the account: a person has to mend it.
    #[error("what is asked does not fit the account: {0}")]
    Configuration(String),
    /// The place in the list is not known any more.
    #[error("the list broke off: {0}")]
    Restart(String),
    /// The window holds more than can be listed.
    #[error("the window is too wide: {0}")]
    Narrow(String),
}

impl Stop {
    /// An answer that makes no sense: it may make sense later.
    pub(in crate::source) fn odd(words: impl Into<String>) -> Self {
        Self::Retry(words.into())
    }

    /// True where only a person can help.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::Credentials(_) | Self::Scope(_) | Self::Configuration(_))
    }
}

impl Account {
    /// The body of an answer that has one.
    pub(in crate::source) fn judge(&self, response: &Response, now: Timestamp) -> Result<Value, Stop> {
        let body = raw::value(&response.body);
        let seen = body.as_ref().unwrap_or(&Value::Null);
        let act = match self.api.answers.iter().find(|rule| rule.when.fits(response.status, seen)) {
            Some(rule) => rule.act,
            None => match response.status {
                204 => Act::Empty,
                200..=299 => {
                    return body.map_err(|words| {
                        Stop::odd(format!("{} {words}{}", answer::status(response), answer::html(response)))
                    });
                }
                401 => Act::Renew,
                402 | 423 => Act::Configuration,
                403 => Act::Scope,
                408 | 425 | 500.. => Act::Retry,
                429 => Act::Wait,
                _ => Act::Configuration,
            },
        };
        let words = answer::words(response, seen, &self.api.words);
        // A proxy's own page says nothing about the account behind it.
        let act = match act {
            Act::Scope | Act::Configuration | Act::Renew if body.is_err() && !answer::html(response).is_empty() => {
                Act::Retry
            }
            other => other,
        };
        Err(match act {
            Act::Empty => return Ok(Value::Null),
            Act::Wait => Stop::Wait { until: self.free_again(response, seen, now), words },
            Act::Retry => match response.retry_after(now) {
                Some(until) => Stop::Wait { until: Some(until), words },
                None => Stop::Retry(words),
            },
            Act::Renew => Stop::Renew(words),
            Act::Credentials => Stop::Credentials(words),
            Act::Scope => Stop::Scope(words),
            Act::Configuration => Stop::Configuration(words),
            Act::Restart => Stop::Restart(words),
            Act::Narrow => Stop::Narrow(words),
        })
    }

    /// Before when no other call should be made, as an answer's own figures have it: the vendor need not refuse first.
    pub fn heed(&self, response: &Response, now: Timestamp) -> Option<Timestamp> {
        let limits = &self.api.limits;
        if let Some(left) = &limits.left
            && let Some(rest) = response.header(&left.header).and_then(|text| text.trim().parse::<f64>().ok())
            && rest <= left.reserve as f64
        {
            return response.ahead(&left.reset, left.unit, now).or(Some(now + left.unit.min(Span::DAY)));
        }
        if limits.cost.is_some() {
            return self.refilled(&raw::value(&response.body).ok()?, now);
        }
        None
    }

    /// When there are points for another call like the one that was answered.
    fn refilled(&self, body: &Value, now: Timestamp) -> Option<Timestamp> {
        let cost = self.api.limits.cost.as_ref()?;
        let number = |path: &Path| path.get(body).and_then(Value::as_f64);
        let missing = number(&cost.requested)? - number(&cost.available)?;
        let restore = number(&cost.restore)?.max(0.001);
        (missing > 0.0).then(|| now + Span::from_millis((missing / restore * 1_000.0).min(3_600_000.0).ceil() as i64))
    }

    /// When the vendor lets us come again, as far as it says so.
    fn free_again(&self, response: &Response, body: &Value, now: Timestamp) -> Option<Timestamp> {
        response.retry_after(now).or_else(|| self.refilled(body, now)).or_else(|| self.heed(response, now))
    }
}
