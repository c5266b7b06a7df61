//! Marketo: the lead is synced, then the activation is a custom activity of it, of one generic type or one of the event's
//! own, whose primary attribute is the trigger; the marketer's smart campaign has that type as its trigger. Or a campaign
//! is requested for the lead, or it goes into a static list or out of one, or was all there was to write. Of many, what
//! needs no lead's number is a bulk import. Who is forgotten is looked up by each of their addresses and deleted.
//!
//! Activities and requests have no dedupe key: a try is noted durably before it leaves. After an unclear one of an
//! activity we look before we send again; what was requested cannot be looked for.

mod account;
mod answer;
mod body;
mod campaign;
mod directory;
mod exchange;
mod find;
mod form;
mod hands;
mod import;
mod look;
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
use super::{Destination, Exchange, Item, Limits, pretend};
use crate::model::http::{
    AccountKey, Answer, Auth, Counted, Learned, Method, Request, Response, TokenForm, TokenRequest, Window,
};
use crate::model::setting::Secret;
use crate::model::{ActionKind, Activation, Need, Span, Timestamp};

/// What it can do.
pub const CAN: &[ActionKind] = &[
    ActionKind::Event,
    ActionKind::AddToList,
    ActionKind::RemoveFromList,
    ActionKind::Campaign,
    ActionKind::Profile,
    ActionKind::Erase,
];

/// Records of a call (developer page on the REST API).
const RECORDS: usize = 300;
/// Records of a batch that is imported: by calls of 300 it is still through in half a minute, where nothing can be
/// imported. More would be out of reach of a recall for longer.
const TOGETHER: usize = 5_000;

/// Leads: written, and by `_method=GET` looked up.
const LEADS: &str = "/rest/v1/leads.json";
/// The quota's day ends at 00:00 "CST", taken as UTC-6.
const MIDNIGHT: Span = Span::from_hours(6);

/// `[destination.NAME]` with `kind = "marketo"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The instance: `"https://284-RPR-133.mktorest.com"`.
    pub base_url: String,
    /// Of the custom service, whose role can write leads and activities.
    pub client_id: Secret,
    /// Of the custom service.
    pub client_secret: Secret,
    /// The number of the custom activity's type in this instance.
    pub activity_type: u64,
    /// The type's attribute that holds the occasion: by it we look before we send again.
    #[serde(default = "occasion_attribute")]
    pub occasion_attribute: String,
    /// The type's other attributes, by API name, and where in the payload their value is: `cartValue = "value"`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Types of their own for events of these names; all others are of `activity_type`.
    #[serde(default)]
    pub types: BTreeMap<String, ActivityType>,
    /// Of campaigns, by number, the tokens of their program that a request fills, and where in the payload their value
    /// is: `checkoutUrl = "checkout_url"` fills `{{my.checkoutUrl}}`.
    #[serde(default)]
    pub campaigns: BTreeMap<String, BTreeMap<String, String>>,
    /// What becomes of a request of a campaign that may have been taken: Marketo cannot be asked.
    #[serde(default)]
    pub unclear_campaigns: Unclear,
    /// So many leads and more of a batch that are written, or put into one list, are a bulk import, for which they need no
    /// calls of 300; 0 for never, 5,000 at most.
    #[serde(default = "bulk_from")]
    #[schemars(range(max = 5_000))]
    pub bulk_from: usize,
    /// Lead fields, by API name, and the trait that fills them, or `payload.<path>`.
    #[serde(default = "fields")]
    pub fields: BTreeMap<String, String>,
    /// By what leads are found and written: the e-mail address, or another field that can be looked up.
    #[serde(default)]
    pub found_by: Key,
    /// Where the instance has partitions.
    #[serde(default)]
    pub partition: Option<String>,
    /// Calls in 20 seconds that the instance has.
    #[serde(default = "per_20s")]
    #[schemars(range(min = 1, max = 100))]
    pub per_20s: u32,
    /// Calls in a day that the instance has: usually 50,000.
    #[serde(default = "per_day")]
    #[schemars(range(min = 10))]
    pub per_day: u32,
    /// The part of the instance's limits that we take, 0.01 to 1; the vendor advises half.
    #[serde(default = "share")]
    #[schemars(range(min = 0.01, max = 1.0))]
    pub share: f64,
    /// After an unclear answer, or a restart with work in hand, we wait so long before we look what is there: activities
    /// can be read only after some delay.
    #[serde(default = "look_after")]
    pub look_after: Span,
    /// No budget of our own: for a local simulator.
    #[serde(default)]
    pub unlimited: bool,
    /// One call takes at most so long.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

/// A custom activity type of one event.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityType {
    /// Its number in this instance. It has the occasion's attribute too.
    pub activity_type: u64,
    /// Its other attributes, by API name, and where in the payload their value is.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// What becomes of a request that may have been taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unclear {
    /// It is made again: the campaign's own rule (once, or once in so long) keeps a second run away.
    #[default]
    Again,
    /// It is a dead letter, for somebody to look at and replay.
    DeadLetter,
}

impl Settings {
    /// What no single key can know: what the vendor would cut.
    pub fn clashes(&self) -> Vec<(Vec<String>, String)> {
        let many = |most: usize, what: &str| format!("has more than {most} {what}: Marketo takes no more");
        let filled = body::MOST_ATTRIBUTES - 1;
        let mut clashes = self.found_by.mistakes();
        if self.attributes.len() > filled {
            clashes.push((vec!["attributes".into()], many(filled, "attributes beside the occasion's")));
        }
        for (event, _) in self.types.iter().filter(|(_, own)| own.attributes.len() > filled) {
            let words = many(filled, "attributes beside the occasion's");
            clashes.push((vec!["types".into(), event.clone(), "attributes".into()], words));
        }
        for (id, _) in self.campaigns.iter().filter(|(_, tokens)| tokens.len() > campaign::TOKENS) {
            clashes.push((vec!["campaigns".into(), id.clone()], many(campaign::TOKENS, "tokens")));
        }
        for id in self.campaigns.keys().filter(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit())) {
            let words = format!("`{id}` is no campaign of Marketo: they have numbers");
            clashes.push((vec!["campaigns".into(), id.clone()], words));
        }
        if self.bulk_from > TOGETHER {
            clashes
                .push((vec!["bulk_from".into()], format!("is more than {TOGETHER}, which is all that a batch holds")));
        }
        clashes
    }

    /// A call, whose body is JSON where it has one.
    fn call(&self, method: Method, path: impl Into<String>, body: Vec<u8>) -> Request {
        Request {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            content_type: "application/json",
            auth: Auth::Token,
            body,
            family: "rest".into(),
            timeout: self.timeout,
        }
    }

    /// The type of an event, and how its attributes are filled.
    fn activity(&self, event: &str) -> (u64, &BTreeMap<String, String>) {
        match self.types.get(event) {
            Some(own) => (own.activity_type, &own.attributes),
            None => (self.activity_type, &self.attributes),
        }
    }
}

fn bulk_from() -> usize {
    1_000
}
fn occasion_attribute() -> String {
    "activationId".into()
}
fn fields() -> BTreeMap<String, String> {
    [("firstName", "first_name"), ("lastName", "last_name")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
}
fn per_20s() -> u32 {
    100
}
fn per_day() -> u32 {
    50_000
}
fn share() -> f64 {
    0.5
}
fn look_after() -> Span {
    Span::from_secs(10)
}
fn timeout() -> Span {
    Span::from_secs(90)
}

/// One Marketo instance.
pub struct Marketo {
    settings: Settings,
    hands: hands::Hands,
}

impl Marketo {
    /// With these settings.
    pub fn new(_account: &str, settings: Settings) -> Self {
        Self { settings, hands: hands::Hands::default() }
    }
}

impl Destination for Marketo {
    fn kind(&self) -> &'static str {
        "marketo"
    }

    fn can(&self) -> &'static [ActionKind] {
        CAN
    }

    fn base_url(&self) -> &str {
        self.settings.base_url.trim_end_matches('/')
    }

    /// 300 records and 1 MB a call. Two exchanges may wait for imports while one makes calls, of the five that the vendor
    /// advises (developer page "Integration best practices"); no two have the same lead in hand.
    fn limits(&self) -> Limits {
        Limits { records: RECORDS, bytes: exchange::LARGEST, concurrency: hands::IMPORTS + 1 }
    }

    fn together(&self, activation: &Activation) -> usize {
        let is_imported = self.settings.bulk_from > 0 && import::is_for(&activation.action);
        if is_imported { TOGETHER } else { RECORDS }
    }

    /// The instance's rolling twenty seconds and its day, of all integrations together (developer page on the REST API).
    fn windows(&self) -> Vec<Window> {
        if self.settings.unlimited {
            return Vec::new();
        }
        let Settings { per_20s, per_day, share, .. } = self.settings;
        [(per_20s, Span::from_secs(20), Counted::Rolling), (per_day, Span::DAY, Counted::Daily { begins: MIDNIGHT })]
            .map(|(calls, span, counted)| Window { family: "rest".into(), calls, share, span, counted })
            .to_vec()
    }

    /// The address is the instance's own.
    fn account(&self) -> Option<AccountKey> {
        Some(AccountKey { base_url: self.base_url().into(), credential: None })
    }

    /// No header tells what is used; the instance is asked (developer page on the REST API, usage).
    fn usage(&self) -> Option<Request> {
        Some(self.settings.call(Method::Get, "/rest/v1/stats/usage.json", Vec::new()))
    }

    /// Calls of today, by everybody; other answers have no such figure.
    fn learned(&self, family: &str, answer: &Response, _now: Timestamp) -> Vec<Learned> {
        let body = answer.json();
        let today =
            body.pointer("/result/0").filter(|first| first.get("date").is_some() && first.get("users").is_some());
        let total = today.and_then(|today| today.get("total")).and_then(Value::as_u64);
        let left = total.map(|total| u64::from(self.settings.per_day).saturating_sub(total) as u32);
        let said = left.map(|left| Learned {
            family: family.to_owned().into(),
            span: Span::DAY,
            calls: None,
            left: Some(left),
            resets: None,
        });
        said.into_iter().collect()
    }

    fn calls_by_family(&self, records: usize) -> Vec<(&'static str, usize)> {
        vec![("rest", self.calls(records))]
    }

    fn look_after(&self) -> Span {
        self.settings.look_after
    }

    fn needs_begin(&self) -> bool {
        true
    }

    fn token(&self) -> Option<TokenRequest> {
        Some(TokenRequest {
            path: "/identity/oauth/token".into(),
            fields: vec![("grant_type".into(), "client_credentials".into())],
            secrets: vec![
                ("client_id".into(), self.settings.client_id.clone()),
                ("client_secret".into(), self.settings.client_secret.clone()),
            ],
            form: TokenForm::Query,
            life: Span::ZERO,
            header: None,
            rotates: false,
        })
    }

    /// Each lead is there, each activity added, each list and campaign known.
    fn pretended(&self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let inputs = body["input"].as_array().into_iter().flatten();
        let done = inputs.map(|_| json!({ "id": 1, "status": "added" }));
        let found = find::asked(&request.body)
            .into_iter()
            .map(|value| json!({ "id": 1, (&*self.settings.found_by.field): value }));
        pretend(&json!({ "success": true, "result": done.chain(found).collect::<Vec<_>>() }))
    }

    /// Leads, then activities; or a look, and then what takes out. An import takes from two to some forty, however many leads it has.
    fn calls(&self, records: usize) -> usize {
        if records == 0 { 0 } else { 2 }
    }

    fn exchange(&self, batch: Vec<Item>) -> Box<dyn Exchange> {
        Box::new(exchange::Sending::new(self.settings.clone(), self.hands.begin(), batch))
    }

    fn profiles(&self, addresses: Vec<String>) -> Option<Profiles> {
        Some(profiles::Asked::begin(directory::Leads(self.settings.clone()), addresses))
    }

    fn inventory(&self, sent: Vec<Activation>) -> Option<Inventory> {
        Some(Box::new(recorded::Recorded::new(self.settings.clone(), sent)))
    }

    fn survey(&self, needs: Vec<Need>) -> Option<Survey> {
        Some(Box::new(account::Asked::new(self.settings.clone(), needs)))
    }

    fn made(&self, answer: &Answer, now: Timestamp) -> Made {
        account::made(answer, now)
    }
}
