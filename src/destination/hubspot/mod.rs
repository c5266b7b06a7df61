//! HubSpot: the contact is upserted, then the activation is a custom event of it; the marketer's workflow has that event
//! as its trigger.
//!
//! The vendor's dedupe key is the event's `uuid`, ours is the occasion. An event for a contact that was not there before
//! it enrols nobody, so contacts go first.

mod account;
mod answer;
mod body;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Made, Survey};
use super::{Destination, Exchange, Halt, Item, Limits, Next, number, pretend};
use crate::model::http::{AccountKey, Answer, Auth, Counted, Learned, Method, Request, Response, Window};
use crate::model::setting::Secret;
use crate::model::{Need, Outcome, Span, Timestamp};

use answer::Verdict;

/// The account's window beside the day.
const TEN_SECONDS: Span = Span::from_secs(10);

/// `[destination.NAME]` with `kind = "hubspot"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A service key or private app token with `crm.objects.contacts.write` and `analytics.behavioral_events.send`.
    pub token: Secret,
    /// The account's number: custom events are called `pe<hub id>_<name>`.
    pub hub_id: u64,
    /// Where the API is.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// The API's version, which is in its paths: `v3`, `2026-03` or `2026-09`.
    #[serde(default = "version")]
    pub version: Version,
    /// An event's name in a trigger to its full name in HubSpot; the others are derived: `Cart Abandoned` is
    /// `pe<hub id>_cart_abandoned`.
    #[serde(default)]
    pub events: BTreeMap<String, String>,
    /// Calls in 10 seconds that the account has: 100 to 250, by its edition. The vendor's own word takes its place.
    #[serde(default = "per_10s")]
    #[schemars(range(min = 1, max = 250))]
    pub per_10s: u32,
    /// Calls in a day that the account has, by its edition. The vendor's own word takes its place.
    #[serde(default = "per_day")]
    #[schemars(range(min = 10))]
    pub per_day: u32,
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

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Version {
    /// Unsupported from September 2027.
    #[serde(rename = "v3")]
    V3,
    /// Supported until about September 2027.
    #[serde(rename = "2026-03")]
    March2026,
    /// Current since September 2026.
    #[serde(rename = "2026-09")]
    September2026,
}

impl Version {
    fn upsert(self) -> &'static str {
        match self {
            Self::V3 => "/crm/v3/objects/contacts/batch/upsert",
            Self::March2026 => "/crm/objects/2026-03/contacts/batch/upsert",
            Self::September2026 => "/crm/objects/2026-09/contacts/batch/upsert",
        }
    }
    fn definitions(self) -> &'static str {
        match self {
            Self::V3 => "/events/v3/event-definitions",
            Self::March2026 => "/events/2026-03/event-definitions",
            Self::September2026 => "/events/custom/2026-09/event-definitions",
        }
    }
    fn send(self) -> &'static str {
        match self {
            Self::V3 => "/events/v3/send/batch",
            Self::March2026 => "/events/2026-03/send/batch",
            Self::September2026 => "/events/custom/2026-09/send/batch",
        }
    }
}

fn base_url() -> String {
    "https://api.hubapi.com".into()
}
fn version() -> Version {
    Version::March2026
}
fn per_10s() -> u32 {
    100
}
fn per_day() -> u32 {
    250_000
}
fn share() -> f64 {
    0.85
}
fn timeout() -> Span {
    Span::from_secs(30)
}

/// One HubSpot account.
pub struct HubSpot {
    settings: Settings,
}

impl HubSpot {
    /// With these settings.
    pub fn new(_account: &str, settings: Settings) -> Self {
        Self { settings }
    }
}

impl Destination for HubSpot {
    fn kind(&self) -> &'static str {
        "hubspot"
    }

    fn base_url(&self) -> &str {
        self.settings.base_url.trim_end_matches('/')
    }

    /// 100 contacts a call; 500 events would fit, but a batch is both (API reference 2026-03).
    fn limits(&self) -> Limits {
        Limits { records: 100, bytes: 1_000_000, concurrency: 4 }
    }

    /// The account's rolling ten seconds and its day (usage guidelines); custom events have 1,250 a second of their own
    /// (guide "custom events"). The day ends at the account's own midnight, which is taken for UTC's.
    fn windows(&self) -> Vec<Window> {
        if self.settings.unlimited {
            return Vec::new();
        }
        let Settings { per_10s, per_day, share, .. } = self.settings;
        let daily = Counted::Daily { begins: Span::ZERO };
        [
            ("crm", per_10s, TEN_SECONDS, Counted::Rolling),
            ("crm", per_day, Span::DAY, daily),
            ("send", 1_250, Span::from_secs(1), Counted::Rolling),
        ]
        .map(|(family, calls, span, counted)| Window { family: family.into(), calls, share, span, counted })
        .to_vec()
    }

    fn account(&self) -> Option<AccountKey> {
        Some(AccountKey { base_url: self.base_url().into(), credential: Some(self.settings.token.clone()) })
    }

    /// `X-HubSpot-RateLimit-*` speak of the ten seconds and of the day (usage guidelines); custom events carry none.
    fn learned(&self, family: &str, answer: &Response, _now: Timestamp) -> Vec<Learned> {
        let windows = [
            (TEN_SECONDS, "x-hubspot-ratelimit-max", "x-hubspot-ratelimit-remaining"),
            (Span::DAY, "x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining"),
        ];
        let said = windows.map(|(span, calls, left)| Learned {
            family: family.to_owned().into(),
            span,
            calls: number(answer, calls),
            left: number(answer, left),
            resets: None,
        });
        said.into_iter().filter(|one| one.calls.is_some() || one.left.is_some()).collect()
    }

    fn calls_by_family(&self, records: usize) -> Vec<(&'static str, usize)> {
        let each = usize::from(records > 0);
        vec![("crm", each), ("send", each)]
    }

    /// A contact is there by the name it is asked for; events answer with nothing.
    fn pretended(&self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let inputs = body["inputs"].as_array().into_iter().flatten();
        let found: Vec<Value> = inputs
            .map(|input| json!({ "id": "1", "objectWriteTraceId": input["objectWriteTraceId"], "properties": { "email": input["id"] } }))
            .collect();
        if request.family == "crm" {
            pretend(&json!({ "results": found }))
        } else {
            Response { status: 204, ..Response::default() }
        }
    }

    /// Contacts, then events.
    fn calls(&self, records: usize) -> usize {
        if records == 0 { 0 } else { 2 }
    }

    fn exchange(&self, batch: Vec<Item>) -> Box<dyn Exchange> {
        Box::new(Sending::new(self.settings.clone(), batch))
    }

    fn survey(&self, needs: Vec<Need>) -> Option<Box<dyn Survey>> {
        Some(Box::new(account::Asked::new(self.settings.clone(), needs)))
    }

    fn made(&self, answer: &Answer, now: Timestamp) -> Made {
        account::made(answer, now)
    }
}

struct Sending {
    settings: Settings,
    batch: Vec<Item>,
    outcomes: Vec<Option<(u16, Outcome)>>,
    /// Of each record whose contact is there.
    contacts: Vec<Option<Contact>>,
    todo: VecDeque<Call>,
    asked: Option<Call>,
}

/// A contact that is there.
#[derive(Clone, Debug, PartialEq)]
struct Contact {
    /// Its number.
    id: String,
    /// When it was made, in the vendor's words.
    created: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum Call {
    /// Contacts of these records.
    Upsert(Vec<usize>),
    /// Events of these records, whose contacts are there.
    Send(Vec<usize>),
}

impl Sending {
    fn new(settings: Settings, batch: Vec<Item>) -> Self {
        let n = batch.len();
        let mut sending = Self {
            settings,
            outcomes: vec![None; n],
            contacts: vec![None; n],
            todo: VecDeque::new(),
            asked: None,
            batch,
        };
        let mut good = Vec::new();
        for (n, item) in sending.batch.iter().enumerate() {
            match body::email(&item.activation) {
                Some(_) => good.push(n),
                None => {
                    let words = "the person has no e-mail address: a contact of HubSpot is found by it";
                    sending.outcomes[n] = Some((0, Outcome::Refused { code: "no_email".into(), words: words.into() }));
                }
            }
        }
        if !good.is_empty() {
            sending.todo.push_back(Call::Upsert(good));
        }
        sending
    }

    fn request(&self, call: &Call) -> Request {
        let (path, family, body) = match call {
            Call::Upsert(places) => {
                let activations: Vec<_> =
                    places.iter().filter_map(|n| Some((*n, &self.batch.get(*n)?.activation))).collect();
                (self.settings.version.upsert(), "crm", body::contacts(&activations))
            }
            Call::Send(places) => {
                let events: Vec<_> = places
                    .iter()
                    .filter_map(|n| Some((&self.batch.get(*n)?.activation, self.contacts.get(*n)?.as_ref()?)))
                    .collect();
                (self.settings.version.send(), "send", body::events(&self.settings, &events))
            }
        };
        Request {
            method: Method::Post,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            content_type: "application/json",
            auth: Auth::Header("Bearer", self.settings.token.clone()),
            body,
            family: family.into(),
            timeout: self.settings.timeout,
        }
    }

    fn read(&mut self, call: Call, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let status = match answer {
            Answer::Came(response) => response.status,
            _ => 0,
        };
        let places = match &call {
            Call::Upsert(places) | Call::Send(places) => places.clone(),
        };
        match answer::verdict(answer, now) {
            Verdict::Done => {
                match call {
                    Call::Upsert(places) => self.upserted(&places, status, answer, now),
                    Call::Send(places) => self.set(&places, status, &Outcome::Accepted),
                }
                None
            }
            Verdict::Halt(halt) => Some(halt),
            Verdict::Later(outcome) => {
                self.set(&places, status, &outcome);
                None
            }
            Verdict::Down(outcome, words) => {
                self.set(&places, status, &outcome);
                Some(Halt::Down(words))
            }
            // One bad record refuses the whole call, and one known event too: it is found by halving.
            Verdict::Refused(outcome) if places.len() == 1 => {
                self.set(&places, status, &outcome);
                None
            }
            Verdict::Exists if places.len() == 1 => {
                let outcome = match call {
                    Call::Send(_) => Outcome::Duplicate,
                    // Somebody makes the same contact at this moment.
                    Call::Upsert(_) => answer::later(now, "somebody else writes this contact (409)"),
                };
                self.set(&places, status, &outcome);
                None
            }
            Verdict::Refused(_) | Verdict::Exists => {
                let (a, b) = places.split_at(places.len() / 2);
                for half in [b, a] {
                    let half = half.to_vec();
                    self.todo.push_front(match call {
                        Call::Upsert(_) => Call::Upsert(half),
                        Call::Send(_) => Call::Send(half),
                    });
                }
                None
            }
        }
    }

    /// Contacts that are there now: their events are next. Those that the vendor named are refused.
    fn upserted(&mut self, places: &[usize], status: u16, answer: &Answer, now: Timestamp) {
        let Answer::Came(response) = answer else { return };
        let results = answer::upserts(response);
        if results.contacts.is_empty() && results.errors.is_empty() {
            // Seen in the field: a 2xx that wrote nothing.
            self.set(places, status, &answer::later(now, "a 2xx answer without results: nothing was written"));
            return;
        }
        let mut ready = Vec::new();
        for place in places {
            let Some(item) = self.batch.get(*place) else { continue };
            let email = body::email(&item.activation).unwrap_or_default();
            if let Some(contact) = results.contacts.get(&body::trace(email)).or_else(|| results.contacts.get(email)) {
                if let Some(slot) = self.contacts.get_mut(*place) {
                    *slot = Some(contact.clone());
                }
                ready.push(*place);
            } else if let Some((code, words)) = results.errors.get(&body::trace(email)) {
                let refused = Outcome::Refused { code: code.as_str().into(), words: words.as_str().into() };
                self.set(&[*place], status, &refused);
            } else {
                self.set(&[*place], status, &answer::later(now, "the answer does not speak of this contact"));
            }
        }
        if !ready.is_empty() {
            self.todo.push_back(Call::Send(ready));
        }
    }

    fn set(&mut self, places: &[usize], status: u16, outcome: &Outcome) {
        for place in places {
            if let Some(slot) = self.outcomes.get_mut(*place) {
                *slot = Some((status, outcome.clone()));
            }
        }
    }
}

impl Exchange for Sending {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Next {
        let mut halt = None;
        if let (Some(call), Some(answer)) = (self.asked.take(), answer) {
            halt = self.read(call, &answer, now);
        }
        match self.todo.pop_front().filter(|_| halt.is_none()) {
            Some(call) => {
                let request = Box::new(self.request(&call));
                self.asked = Some(call);
                Next::Ask(request)
            }
            None => Next::Done { outcomes: std::mem::take(&mut self.outcomes), halt },
        }
    }
}
