//! How receivers are told: each in its own form, over `wire` alone. What is said of a failure holds no address, key or body.

mod email;
mod hidden;
mod pagerduty;
mod slack;
mod webhook;

use super::message::Message;
use super::settings::Receiver as Settings;
use crate::clock::SharedClock;
use crate::model::http::{Answer, Auth, Method, Request, Response};
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};
use crate::wire::mail::NoMailer;
use crate::wire::{NoClient, Wire};

use email::Email;
use hidden::Hidden;
use pagerduty::PagerDuty;
use slack::Slack;
use webhook::Webhook;

/// A call takes at most so long.
const TIMEOUT: Span = Span::from_secs(12);
/// A vendor's words are told up to here.
const LONGEST: usize = 120;

/// Why a receiver was not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// In words.
    pub words: String,
    /// When it wants to be asked again.
    pub again: Option<Timestamp>,
    /// True where it may have taken the message, or some of it, all the same: the connection was cut after it was sent.
    pub may_know: bool,
}

/// Why there is no way to a receiver.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    /// The machine's certificates or its TLS library are at fault.
    #[error(transparent)]
    NoClient(#[from] NoClient),
    /// The same, or an address that is none.
    #[error(transparent)]
    NoMailer(#[from] NoMailer),
}

/// One receiver.
pub enum Receiver {
    /// Slack-compatible.
    Slack(Slack),
    /// SMTP.
    Email(Email),
    /// PagerDuty-compatible.
    PagerDuty(PagerDuty),
    /// Any webhook.
    Webhook(Webhook),
}

impl Receiver {
    /// With these settings.
    pub fn new(settings: &Settings, clock: &SharedClock) -> Result<Self, NoWay> {
        Ok(match settings {
            Settings::Slack(slack) => Self::Slack(Slack::new(slack, clock)?),
            Settings::Email(email) => Self::Email(Email::new(email)?),
            Settings::PagerDuty(pagerduty) => Self::PagerDuty(PagerDuty::new(pagerduty, clock)?),
            Settings::Webhook(webhook) => Self::Webhook(Webhook::new(webhook, clock)?),
        })
    }

    /// Tells it; what it answers, in words.
    pub async fn tell(&self, message: &Message, now: Timestamp) -> Result<String, Untold> {
        match self {
            Self::Slack(slack) => slack.tell(message, now).await,
            Self::Email(email) => email.tell(message).await,
            Self::PagerDuty(pagerduty) => pagerduty.tell(message, now).await,
            Self::Webhook(webhook) => webhook.tell(message, now).await,
        }
    }
}

/// The way to an address that is a secret as a whole: none of it is in the request, which may be shown.
fn wire_to(url: &Secret, clock: &SharedClock) -> Result<(Wire, String), NoClient> {
    let url = url.expose();
    let base = url.trim_end_matches('/');
    let rest = url.get(base.len()..).unwrap_or_default().to_owned();
    Ok((Wire::new(base, None, None, clock.clone())?, rest))
}

fn post(path: &str, auth: Auth, body: Vec<u8>) -> Request {
    Request {
        method: Method::Post,
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        content_type: "application/json",
        auth,
        body,
        family: "alerts".into(),
        timeout: TIMEOUT,
    }
}

async fn sent(wire: &Wire, request: Request, hidden: &Hidden, now: Timestamp) -> Result<String, Untold> {
    let untold = |words: String, may_know| Untold { words, again: None, may_know };
    // Words of a failure are those of libraries, which hold no address today.
    let shown = |words: String| if hidden.is_in(&words) { "it could not be called".to_owned() } else { words };
    match wire.send(request).await {
        Ok(Answer::Came(response)) => judged(&response, hidden, now),
        Ok(Answer::NotSent(words)) => Err(untold(shown(words), false)),
        Ok(Answer::Unclear(words)) => Err(untold(shown(words), true)),
        Err(refused) => Err(untold(shown(refused.to_string()), false)),
    }
}

fn judged(response: &Response, hidden: &Hidden, now: Timestamp) -> Result<String, Untold> {
    let body = String::from_utf8_lossy(&response.body);
    let said: String = body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect();
    // A receiver that answers with what it was let in by.
    let is_shown = !said.is_empty() && !hidden.is_in(&body);
    let words =
        if is_shown { format!("HTTP {}: {said}", response.status) } else { format!("HTTP {}", response.status) };
    match response.status {
        200..=299 => Ok(words),
        _ => Err(Untold { words, again: response.retry_after(now), may_know: false }),
    }
}

#[cfg(test)]
mod tests;
