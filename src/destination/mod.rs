//! Pluggable destinations: builds requests, reads answers; does no I/O.
//!
//! A batch of activations is one [`Exchange`] with the vendor: it asks, is given the answer, asks again, and ends with
//! one outcome for each record. It never sees a client, a clock, a store or a retry of its own, so that budget, retry,
//! redaction and settling cannot be gone round. Adding a vendor: one folder of files (`mod`, `exchange`,
//! `body`, `answer`, `account`, `recorded`, `tests`) and a line in [`Settings`] and its functions.

pub mod account;
pub mod hubspot;
pub mod inventory;
pub mod key;
pub mod klaviyo;
pub mod marketo;
mod outcomes;
pub mod profiles;
mod said;
#[cfg(test)]
mod testing;
pub mod webhook;

use serde::Deserialize;

use self::account::{Made, Survey};
use self::inventory::Inventory;
use self::profiles::Profiles;
use crate::model::http::{AccountKey, Answer, Learned, Request, Response, TokenRequest, Window};
use crate::model::{ActionKind, Activation, Channel, Need, Outcome, Span, Timestamp};

/// `[destination.NAME]` in the configuration: `kind` chooses the vendor.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Settings {
    /// Klaviyo: events by metric name, lists, profiles.
    Klaviyo(klaviyo::Settings),
    /// HubSpot: custom events of contacts, lists, contacts.
    HubSpot(hubspot::Settings),
    /// Marketo: custom activities of leads, requests of campaigns, lists, leads.
    Marketo(marketo::Settings),
    /// Any receiver that one kind of call serves, by a connector's `destination.toml` or at a URL.
    Webhook(webhook::Settings),
}

impl Settings {
    /// What it can do.
    pub fn can(&self) -> &'static [ActionKind] {
        match self {
            Self::Klaviyo(_) => klaviyo::CAN,
            Self::HubSpot(_) => hubspot::CAN,
            Self::Marketo(_) => marketo::CAN,
            Self::Webhook(_) => webhook::CAN,
        }
    }

    /// The channels of which consent is written to it.
    pub fn consent(&self) -> Vec<Channel> {
        match self {
            Self::Klaviyo(settings) => settings.consent(),
            Self::HubSpot(_) | Self::Marketo(_) | Self::Webhook(_) => Vec::new(),
        }
    }

    /// True when the vendor calls lists and campaigns by numbers.
    pub fn has_numbers(&self) -> bool {
        matches!(self, Self::HubSpot(_) | Self::Marketo(_))
    }

    /// What no single key can know: the key, below the destination's own, and what is wrong with it.
    pub fn clashes(&self) -> Vec<(Vec<String>, String)> {
        match self {
            Self::Klaviyo(settings) => settings.clashes(),
            Self::Marketo(settings) => settings.clashes(),
            Self::HubSpot(settings) => settings.found_by.mistakes(),
            Self::Webhook(_) => Vec::new(),
        }
    }

    /// The adapter that these settings make.
    pub fn build(self, account: &str) -> Box<dyn Destination> {
        match self {
            Self::Klaviyo(settings) => Box::new(klaviyo::Klaviyo::new(account, settings)),
            Self::HubSpot(settings) => Box::new(hubspot::HubSpot::new(account, settings)),
            Self::Marketo(settings) => Box::new(marketo::Marketo::new(account, settings)),
            Self::Webhook(settings) => Box::new(webhook::Webhook::new(settings)),
        }
    }
}

/// What one call may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Activations in one batch, beside what [`Destination::together`] allows.
    pub records: usize,
    /// Bytes of one body; the adapter splits by itself where a batch is larger.
    pub bytes: usize,
    /// Calls in flight at once.
    pub concurrency: usize,
}

/// What an exchange wants next.
#[derive(Debug)]
pub enum Next {
    /// Make this call and come back with its answer.
    Ask(Box<Request>),
    /// Come back at this instant, with no answer: the vendor works on what it was asked.
    Wait(Timestamp),
    /// The end. One for each record of the batch, in its order; `None` leaves the record as it was, untried.
    Done {
        /// HTTP status of the last answer that mattered to the record; 0 for none.
        outcomes: Vec<Option<(u16, Outcome)>>,
        /// What stops the whole lane, whichever record met it.
        halt: Option<Halt>,
    },
}

/// What stops the whole lane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// A limit is reached: nothing may be sent before `until`.
    #[error("the quota {window} is spent until {until}")]
    Quota {
        /// Which.
        window: &'static str,
        /// Until when.
        until: Timestamp,
    },
    /// The token was refused: a new one is fetched once, then it is [`Halt::Credentials`].
    #[error("the access token is refused")]
    Token,
    /// The vendor refuses our credentials, in its words.
    #[error("the credentials are refused: {0}")]
    Credentials(String),
    /// Something that only the configuration can mend.
    #[error("the configuration does not fit the account: {0}")]
    Configuration(String),
    /// The vendor is down or unreachable: the breaker counts it.
    #[error("the vendor is down: {0}")]
    Down(String),
}

/// One record of a batch.
#[derive(Clone, Debug)]
pub struct Item {
    /// What to send.
    pub activation: Activation,
    /// An earlier try may have reached the vendor.
    pub may_have_left: bool,
}

/// The conversation about one batch. Pure: `next(None)` first, then with each answer.
pub trait Exchange: Send {
    /// What to do next. Total: any answer leads to a call or to the end, within a bounded number of calls.
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Next;

    /// What is known so far, for one that is ended before its end. What has no outcome is tried again from the start,
    /// which must be harmless.
    fn so_far(&mut self) -> Vec<Option<(u16, Outcome)>>;
}

/// One account at a vendor.
pub trait Destination: Send + Sync + 'static {
    /// The vendor's name in lower case.
    fn kind(&self) -> &'static str;
    /// What it can do.
    fn can(&self) -> &'static [ActionKind];
    /// Where it is: scheme, host, and a path without a slash at its end.
    fn base_url(&self) -> &str;
    /// What one batch may hold.
    fn limits(&self) -> Limits;
    /// How many activations a batch may hold of which all are like this one: more than [`Limits::records`] where many
    /// together are cheaper.
    fn together(&self, _activation: &Activation) -> usize {
        self.limits().records
    }
    /// The account's budget, with its double windows.
    fn windows(&self) -> Vec<Window>;
    /// Whose budget it spends, where another destination or a source may spend the same.
    fn account(&self) -> Option<AccountKey> {
        None
    }
    /// Calls that a batch of so many takes where the vendor takes all of it at once: for forecasts.
    fn calls(&self, records: usize) -> usize;
    /// The same by the family of calls, in the order in which they leave.
    fn calls_by_family(&self, records: usize) -> Vec<(&'static str, usize)> {
        vec![("", self.calls(records))]
    }
    /// What an answer to a call of `family` says of the account's windows.
    fn learned(&self, _family: &str, _answer: &Response, _now: Timestamp) -> Vec<Learned> {
        Vec::new()
    }
    /// How the vendor is asked what is used of the day, where no header tells it. [`Destination::learned`] reads it.
    fn usage(&self) -> Option<Request> {
        None
    }
    /// True when the vendor has no dedupe key, so that a try must be noted durably before it leaves.
    fn needs_begin(&self) -> bool {
        false
    }
    /// What may have left is looked for only after so long: a vendor shows what it took with some delay.
    fn look_after(&self) -> Span {
        Span::ZERO
    }
    /// How a token is fetched, where the account has one.
    fn token(&self) -> Option<TokenRequest> {
        None
    }
    /// Begins the conversation about a batch, at most [`Limits::records`] long, or as long as [`Destination::together`]
    /// says of what it holds.
    fn exchange(&self, batch: Vec<Item>) -> Box<dyn Exchange>;
    /// Begins the conversation about what the account has, against what activations need; none where nothing of the
    /// sort can be asked.
    fn survey(&self, _needs: Vec<Need>) -> Option<Survey> {
        None
    }
    /// Begins the conversation about which of these the account has; none where the vendor shows nothing of the sort.
    fn inventory(&self, _sent: Vec<Activation>) -> Option<Inventory> {
        None
    }
    /// Begins the conversation about which profiles these e-mail addresses lead to; none where it would need an address in
    /// a URL, or there are no profiles.
    fn profiles(&self, _addresses: Vec<String>) -> Option<Profiles> {
        None
    }
    /// What the answer to a step of [`account::Difference::steps`] means.
    fn made(&self, _answer: &Answer, _now: Timestamp) -> Made {
        Made::Failed("nothing can be made here".into())
    }
    /// What the vendor would answer if it took everything: what [`preview`] goes on with.
    fn pretended(&self, request: &Request) -> Response;
}

/// Calls of one exchange that are previewed at most.
const MOST_PREVIEWED: usize = 10;

/// The calls that one activation leads to at a vendor that takes everything, and why it would be refused before it is
/// sent.
pub fn preview(
    destination: &dyn Destination,
    activation: Activation,
    now: Timestamp,
) -> (Vec<Request>, Option<String>) {
    let mut exchange = destination.exchange(vec![Item { activation, may_have_left: false }]);
    let (mut requests, mut answer, mut now) = (Vec::new(), None, now);
    while requests.len() < MOST_PREVIEWED {
        match exchange.next(answer.take(), now) {
            Next::Ask(request) => {
                answer = Some(Answer::Came(destination.pretended(&request)));
                requests.push(*request);
            }
            Next::Wait(until) => now = until,
            Next::Done { outcomes, .. } => {
                let refused = outcomes.into_iter().flatten().find_map(|(_, outcome)| match outcome {
                    Outcome::Refused { words, .. } => Some(words.into()),
                    _ => None,
                });
                return (requests, refused);
            }
        }
    }
    (requests, None)
}

/// These places in calls, of which each has entries that together are at most so many.
fn parts(places: &[usize], entries: impl Fn(usize) -> usize, most: usize) -> Vec<Vec<usize>> {
    let mut calls: Vec<Vec<usize>> = Vec::new();
    let mut count = 0;
    for place in places {
        let more = entries(*place);
        match calls.last_mut().filter(|_| count + more <= most) {
            Some(call) => {
                call.push(*place);
                count += more;
            }
            None => {
                calls.push(vec![*place]);
                count = more;
            }
        }
    }
    calls
}

/// A header that is a whole number.
fn number(answer: &Response, header: &str) -> Option<u32> {
    let value = answer.header(header)?.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)?;
    Some(value as u32)
}

/// 200 with this body.
fn pretend(body: &serde_json::Value) -> Response {
    Response { status: 200, headers: Vec::new(), body: body.to_string().into_bytes() }
}
