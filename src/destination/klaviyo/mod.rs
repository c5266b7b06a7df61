//! Klaviyo: an activation is an event of a metric, and the marketer's flow has that metric as its trigger; or it puts the
//! person into a list, takes them out of one, or writes their profile.
//!
//! A few activations go one by one (`/api/events`, low latency); many go together (`/api/event-bulk-create-jobs`). The
//! vendor's dedupe key is (profile, metric, `unique_id`), and ours is the occasion.

mod account;
mod answer;
mod body;
mod exchange;
mod job;
mod profile;
mod recorded;
#[cfg(test)]
mod tests;
mod word;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::account::Survey;
use super::inventory::Inventory;
use super::{Destination, Exchange, Item, Limits, number, pretend};
use crate::model::http::{AccountKey, Auth, Counted, Learned, Method, Request, Response, Window};
use crate::model::setting::Secret;
use crate::model::{ActionKind, Activation, Channel, Need, Priority, Span, Timestamp};

/// What it can do.
pub const CAN: &[ActionKind] = &[
    ActionKind::Event,
    ActionKind::AddToList,
    ActionKind::RemoveFromList,
    ActionKind::Profile,
    ActionKind::Subscribe,
    ActionKind::Unsubscribe,
    ActionKind::Suppress,
    ActionKind::Unsuppress,
    ActionKind::Erase,
];

/// The first revision that knows events which start no flow.
const BACKFILL: &str = "2026-07-15";
/// The two windows of each endpoint.
const BURST: Span = Span::from_secs(1);
const STEADY: Span = Span::from_minutes(1);

/// `[destination.NAME]` with `kind = "klaviyo"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A private API key with the scopes `events:write` and `profiles:write`; for lists, and for many profiles at once,
    /// `lists:write` too, and for the latter `profiles:read` and `lists:read`; for consent `subscriptions:write` and
    /// `lists:write`; to have people forgotten `data-privacy:write`. `plan` reads `metrics:read`, `flows:read` and
    /// `lists:read`; nights `metrics:read` and `events:read`.
    pub api_key: Secret,
    /// Where the API is.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// The API's revision.
    #[serde(default = "revision")]
    pub revision: String,
    /// A batch of at least so many goes through the bulk endpoints; 0 for never.
    #[serde(default = "bulk_from")]
    pub bulk_from: usize,
    /// Events of triggers with at least this priority are counted apart: they go one by one, while they are few, beside
    /// a bulk of others. Klaviyo takes a bulk in as a job of its own, somewhat later.
    #[serde(default = "urgent")]
    #[schemars(range(min = 0, max = 100))]
    pub urgent: Priority,
    /// An event that happened longer ago is sent as `backfill`: it is recorded, and starts no flow. Revision 2026-07-15.
    #[serde(default)]
    pub backfill_after: Option<Span>,
    /// Consent that somebody gives or withdraws elsewhere is written to the account.
    #[serde(default)]
    pub consent: Option<Consent>,
    /// The part of the account's limits that we take, 0.01 to 1; the rest is left to other tools.
    #[serde(default = "share")]
    #[schemars(range(min = 0.01, max = 1.0))]
    pub share: f64,
    /// No budget of our own: for a local simulator.
    #[serde(default)]
    pub unlimited: bool,
    /// One call takes at most so long.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

/// `[destination.NAME.consent]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Consent {
    /// Of which channels.
    pub channels: Channels,
    /// The id of the list that those go into who subscribe: its own rule says whether they confirm first.
    pub list: Option<String>,
}

/// One or more of the channels that the vendor keeps consent of.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Channels(#[schemars(length(min = 1))] pub Vec<Kept>);

impl Default for Channels {
    fn default() -> Self {
        Self(vec![Kept::Email])
    }
}

/// A channel of which the vendor keeps consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// E-mail.
    Email,
    /// Text messages.
    Sms,
}

fn base_url() -> String {
    "https://a.klaviyo.com".into()
}
fn revision() -> String {
    "2026-07-15".into()
}
fn bulk_from() -> usize {
    50
}
fn urgent() -> Priority {
    80
}
fn share() -> f64 {
    0.85
}
fn timeout() -> Span {
    Span::from_secs(30)
}

impl Settings {
    /// What happened before this is told to start no flow; the older revisions have no word for it.
    fn backfill_before(&self, now: Timestamp) -> Option<Timestamp> {
        self.backfill_after.filter(|_| self.knows_backfill()).map(|after| now - after)
    }

    /// Revisions are dates, which sort as texts.
    fn knows_backfill(&self) -> bool {
        self.revision.as_str() >= BACKFILL
    }

    /// A call, without a query.
    fn call(&self, method: Method, path: impl Into<String>, family: &'static str, body: Vec<u8>) -> Request {
        const JSON_API: &str = "application/vnd.api+json";
        Request {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: vec![("revision".into(), self.revision.clone()), ("accept".into(), JSON_API.into())],
            content_type: JSON_API,
            auth: Auth::Header("Klaviyo-API-Key", self.api_key.clone()),
            body,
            family: family.into(),
            timeout: self.timeout,
        }
    }

    /// The channels of which consent is written to the account.
    pub fn consent(&self) -> Vec<Channel> {
        let kept = self.consent.iter().flat_map(|consent| &consent.channels.0);
        kept.map(|kept| if *kept == Kept::Sms { Channel::Sms } else { Channel::Email }).collect()
    }

    /// The list that those go into who subscribe.
    fn consent_list(&self) -> Option<&str> {
        self.consent.as_ref().and_then(|consent| consent.list.as_deref())
    }

    /// What no single key can know.
    pub fn clashes(&self) -> Vec<(Vec<String>, String)> {
        let is_lost = self.backfill_after.is_some() && !self.knows_backfill();
        let words = format!("needs `revision` {BACKFILL} or later: {} has no word for it", self.revision);
        let lost = is_lost.then(|| (vec!["backfill_after".to_owned()], words));
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let list = self.consent.as_ref().and_then(|consent| consent.list.as_deref()).filter(|list| !is_id(list));
        let list = list.map(|list| {
            (vec!["consent".to_owned(), "list".to_owned()], format!("`{list}` is no id of a list: letters and digits"))
        });
        let none = self.consent.as_ref().is_some_and(|consent| consent.channels.0.is_empty());
        let none = none.then(|| (vec!["consent".to_owned(), "channels".to_owned()], "names no channel".to_owned()));
        lost.into_iter().chain(list).chain(none).collect()
    }
}

/// One Klaviyo account.
pub struct Klaviyo {
    settings: Settings,
}

impl Klaviyo {
    /// With these settings.
    pub fn new(_account: &str, settings: Settings) -> Self {
        Self { settings }
    }
}

impl Destination for Klaviyo {
    fn kind(&self) -> &'static str {
        "klaviyo"
    }

    fn base_url(&self) -> &str {
        self.settings.base_url.trim_end_matches('/')
    }

    fn can(&self) -> &'static [ActionKind] {
        CAN
    }

    /// 1,000 events and 5 MB a bulk call (API reference, revision 2026-07-15, bulk create events).
    fn limits(&self) -> Limits {
        Limits { records: 1_000, bytes: 5_000_000, concurrency: 4 }
    }

    /// Burst and steady windows of each endpoint (same place).
    fn windows(&self) -> Vec<Window> {
        if self.settings.unlimited {
            return Vec::new();
        }
        let share = self.settings.share;
        [
            ("events", 350, BURST),
            ("events", 3_500, STEADY),
            ("bulk", 10, BURST),
            ("bulk", 150, STEADY),
            ("profiles", 75, BURST),
            // The specification says 750, the guide 700.
            ("profiles", 700, STEADY),
            ("jobs", 10, BURST),
            ("jobs", 150, STEADY),
            ("lists", 10, BURST),
            ("lists", 150, STEADY),
            // What `plan` asks. Metrics and the flows of each are two endpoints, and share one window here.
            ("metrics", 10, BURST),
            ("metrics", 150, STEADY),
            ("flows", 3, BURST),
            ("flows", 60, STEADY),
            ("looks", 75, BURST),
            ("looks", 700, STEADY),
            ("consent", 75, BURST),
            ("consent", 700, STEADY),
            ("privacy", 3, BURST),
            ("privacy", 60, STEADY),
            // Of reading; named as the connector does it, which shares them.
            ("read-events", 350, BURST),
            ("read-events", 3_500, STEADY),
        ]
        .map(|(family, calls, span)| Window { family: family.into(), calls, share, span, counted: Counted::Fixed })
        .to_vec()
    }

    /// All private keys of an account share its limits, but nothing tells that two keys are of one.
    fn account(&self) -> Option<AccountKey> {
        Some(AccountKey { base_url: self.base_url().into(), credential: Some(self.settings.api_key.clone()) })
    }

    /// `RateLimit-*` speak of the endpoint's steady window, on answers that are not 429 (guide "Rate limits, status codes,
    /// and errors").
    fn learned(&self, family: &str, answer: &Response, now: Timestamp) -> Vec<Learned> {
        let (calls, left) = (number(answer, "ratelimit-limit"), number(answer, "ratelimit-remaining"));
        if calls.is_none() && left.is_none() {
            return Vec::new();
        }
        let resets = number(answer, "ratelimit-reset").map(|s| now + Span::from_secs(i64::from(s)));
        vec![Learned { family: family.to_owned().into(), span: STEADY, calls, left, resets }]
    }

    fn calls_by_family(&self, records: usize) -> Vec<(&'static str, usize)> {
        let is_bulk = self.settings.bulk_from > 0 && records >= self.settings.bulk_from;
        vec![(if is_bulk { "bulk" } else { "events" }, self.calls(records))]
    }

    /// Everything is taken; a profile has an id then.
    fn pretended(&self, request: &Request) -> Response {
        match &*request.family {
            "profiles" | "jobs" => pretend(&json!({ "data": { "type": "profile", "id": "the-profile" } })),
            _ => Response { status: 202, ..Response::default() },
        }
    }

    /// One in bulk, else one for each.
    fn calls(&self, records: usize) -> usize {
        let is_bulk = self.settings.bulk_from > 0 && records >= self.settings.bulk_from;
        if is_bulk { 1 } else { records }
    }

    fn exchange(&self, batch: Vec<Item>) -> Box<dyn Exchange> {
        Box::new(exchange::Sending::new(self.settings.clone(), batch))
    }

    fn survey(&self, needs: Vec<Need>) -> Option<Survey> {
        Some(Box::new(account::Asked::new(self.settings.clone(), needs)))
    }

    fn inventory(&self, sent: Vec<Activation>) -> Option<Inventory> {
        Some(Box::new(recorded::Recorded::new(self.settings.clone(), sent)))
    }
}
