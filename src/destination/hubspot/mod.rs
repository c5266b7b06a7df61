//! HubSpot: the contact is upserted, then the activation is a custom event of it, and the marketer's workflow has that
//! event as its trigger; or the contact goes into a list or out of one, or was all there was to write, or is forgotten.
//!
//! The vendor's dedupe key is the event's `uuid`, ours is the occasion. An event for a contact that was not there before
//! it enrols nobody, so contacts go first.

mod account;
mod answer;
mod body;
mod directory;
mod exchange;
mod recorded;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Made, Survey};
use super::inventory::Inventory;
use super::key::Key;
use super::profiles::{self, Profiles};
use super::{Destination, Exchange, Item, Limits, number, pretend};
use crate::model::http::{AccountKey, Answer, Auth, Counted, Learned, Method, Request, Response, Window};
use crate::model::setting::Secret;
use crate::model::{Action, ActionKind, Activation, Need, Span, Timestamp};

/// What it can do.
pub const CAN: &[ActionKind] =
    &[ActionKind::Event, ActionKind::AddToList, ActionKind::RemoveFromList, ActionKind::Profile, ActionKind::Erase];

/// The account's window beside the day.
const TEN_SECONDS: Span = Span::from_secs(10);

/// `[destination.NAME]` with `kind = "hubspot"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A service key or private app token with `crm.objects.contacts.write` and `analytics.behavioral_events.send`; for lists
    /// `crm.lists.read` and `crm.lists.write` too, with `crm.objects.contacts.read` for `remove_from` and to be asked at
    /// night what it took; and for `plan` and `apply` `behavioral_events.event_definitions.read_write`.
    pub token: Secret,
    /// The account's number: custom events are called `pe<hub id>_<name>`.
    pub hub_id: u64,
    /// Where the API is.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// The API's version, which is in its paths: `v3`, `2026-03` or `2026-09`.
    #[serde(default = "version")]
    pub version: Version,
    /// Where a family of calls lies that does not follow `version`.
    #[serde(default)]
    pub paths: Paths,
    /// By what contacts are found and written: the e-mail address, or a property with unique values.
    #[serde(default)]
    pub found_by: Key,
    /// Contact properties, by internal name, that `profile = true` writes, and the trait that fills them, or
    /// `payload.<path>`: `last_cart_left_at = "payload.occurred_at"`.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
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

/// Paths of families of calls, in place of those that follow from the version.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// Before `/batch/upsert`, `/batch/read` and `/gdpr-delete`: `/crm/objects/2026-03/contacts`.
    pub contacts: Option<String>,
    /// Before `/send/batch`: `/events/2026-03`.
    pub events: Option<String>,
    /// Before `/<list>/memberships/add`: `/crm/lists/2026-03`.
    pub lists: Option<String>,
    /// Where events are read back: `/events/event-occurrences/2026-03`.
    pub occurrences: Option<String>,
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
    /// As it is written.
    fn word(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::March2026 => "2026-03",
            Self::September2026 => "2026-09",
        }
    }
    /// The first day without support (changelog): a dated version has 18 months from when it became generally available,
    /// on 30 March and 8 September 2026; versions 1 to 3 have until September 2027.
    fn end(self) -> &'static str {
        match self {
            Self::V3 => "2027-09-01",
            Self::March2026 => "2027-09-30",
            Self::September2026 => "2028-03-08",
        }
    }
    fn contacts(self) -> &'static str {
        match self {
            Self::V3 => "/crm/v3/objects/contacts",
            Self::March2026 => "/crm/objects/2026-03/contacts",
            Self::September2026 => "/crm/objects/2026-09/contacts",
        }
    }
    fn events(self) -> &'static str {
        match self {
            Self::V3 => "/events/v3",
            Self::March2026 => "/events/2026-03",
            Self::September2026 => "/events/custom/2026-09",
        }
    }
    fn lists(self) -> &'static str {
        match self {
            Self::V3 => "/crm/lists/v3",
            Self::March2026 => "/crm/lists/2026-03",
            Self::September2026 => "/crm/lists/2026-09",
        }
    }
    fn occurrences(self) -> &'static str {
        match self {
            Self::V3 => "/events/v3/events",
            Self::March2026 => "/events/event-occurrences/2026-03",
            Self::September2026 => "/events/event-occurrences/2026-09",
        }
    }
}

impl Settings {
    /// A call, without a query.
    fn call(&self, method: Method, path: impl Into<String>, family: &'static str, body: Vec<u8>) -> Request {
        Request {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            content_type: "application/json",
            auth: Auth::Header("Bearer", self.token.clone()),
            body,
            family: family.into(),
            timeout: self.timeout,
        }
    }

    fn get(&self, path: impl Into<String>) -> Request {
        self.call(Method::Get, path, "crm", Vec::new())
    }

    fn contacts(&self) -> &str {
        self.paths.contacts.as_deref().unwrap_or(self.version.contacts())
    }

    /// Events that were sent.
    fn occurrences(&self) -> &str {
        self.paths.occurrences.as_deref().unwrap_or(self.version.occurrences())
    }

    fn send(&self) -> String {
        format!("{}/send/batch", self.paths.events.as_deref().unwrap_or(self.version.events()))
    }

    /// Definitions of events.
    fn definitions(&self) -> String {
        format!("{}/event-definitions", self.paths.events.as_deref().unwrap_or(self.version.events()))
    }

    /// One list.
    fn list(&self, id: &str) -> String {
        format!("{}/{id}", self.paths.lists.as_deref().unwrap_or(self.version.lists()))
    }

    /// Into a list, or out of it.
    fn members(&self, action: &Action) -> String {
        let lists = self.paths.lists.as_deref().unwrap_or(self.version.lists());
        let verb = if action.kind() == ActionKind::RemoveFromList { "remove" } else { "add" };
        format!("{lists}/{}/memberships/{verb}", action.of())
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

    fn can(&self) -> &'static [ActionKind] {
        CAN
    }

    fn base_url(&self) -> &str {
        self.settings.base_url.trim_end_matches('/')
    }

    /// 500 events a call, and their contacts by hundreds before it (API reference 2026-03).
    fn limits(&self) -> Limits {
        Limits { records: 500, bytes: 1_000_000, concurrency: 4 }
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
        vec![("crm", records.div_ceil(100)), ("send", usize::from(records > 0))]
    }

    /// A contact is there by the name it is asked for, and goes into a list; events answer with nothing.
    fn pretended(&self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let inputs = body["inputs"].as_array().into_iter().flatten();
        let found: Vec<Value> = inputs
            .map(|input| json!({ "id": "1", "objectWriteTraceId": input["objectWriteTraceId"], "properties": { "email": input["id"] } }))
            .collect();
        if request.method == Method::Put {
            pretend(&json!({ "recordIdsMissing": [], "recordsIdsAdded": body, "recordIdsRemoved": [] }))
        } else if request.family == "crm" {
            pretend(&json!({ "results": found }))
        } else {
            Response { status: 204, ..Response::default() }
        }
    }

    /// Contacts by hundreds, upserted or read, then events or a list. Who is forgotten takes one for each address.
    fn calls(&self, records: usize) -> usize {
        if records == 0 { 0 } else { records.div_ceil(100) + 1 }
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

    fn profiles(&self, addresses: Vec<String>) -> Option<Profiles> {
        Some(profiles::Asked::begin(directory::Contacts(self.settings.clone()), addresses))
    }

    fn made(&self, answer: &Answer, now: Timestamp) -> Made {
        account::made(answer, now)
    }
}

/// A contact that is there.
#[derive(Clone, Debug, PartialEq)]
struct Contact {
    /// Its number.
    id: String,
    /// When it was made, in the vendor's words.
    created: Option<Timestamp>,
}
