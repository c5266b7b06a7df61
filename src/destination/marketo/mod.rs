//! Marketo: the lead is synced, then the activation is a custom activity of it, of one generic type whose primary
//! attribute is the trigger; the marketer's smart campaign has that type as its trigger.
//!
//! Activities have no dedupe key: a try is noted durably before it leaves, and after an unclear one we look before we
//! send again.

mod account;
mod answer;
mod body;
mod look;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Made, Survey};
use super::{Destination, Exchange, Halt, Item, Limits, Next, pretend};
use crate::model::http::{
    AccountKey, Answer, Auth, Counted, Learned, Method, Request, Response, TokenForm, TokenRequest, Window,
};
use crate::model::setting::Secret;
use crate::model::{Need, Outcome, Span, Timestamp};

use answer::{Record, Verdict};
use look::Look;

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
    /// Lead fields, by API name, and the trait that fills them.
    #[serde(default = "fields")]
    pub fields: BTreeMap<String, String>,
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
}

impl Marketo {
    /// With these settings.
    pub fn new(_account: &str, settings: Settings) -> Self {
        Self { settings }
    }
}

impl Destination for Marketo {
    fn kind(&self) -> &'static str {
        "marketo"
    }

    fn base_url(&self) -> &str {
        self.settings.base_url.trim_end_matches('/')
    }

    /// 300 records and 1 MB a call. One exchange at a time: two upserts of one key at once can make two leads
    /// (documentation "Leads" and "Integration best practices").
    fn limits(&self) -> Limits {
        Limits { records: 300, bytes: 1_000_000, concurrency: 1 }
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
        Some(Request {
            method: Method::Get,
            path: "/rest/v1/stats/usage.json".into(),
            query: Vec::new(),
            headers: Vec::new(),
            content_type: "application/json",
            auth: Auth::Token,
            body: Vec::new(),
            family: "rest".into(),
            timeout: self.settings.timeout,
        })
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

    /// Each lead is there, and each activity added.
    fn pretended(&self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let inputs = body["input"].as_array().into_iter().flatten();
        let done: Vec<Value> = inputs.map(|_| json!({ "id": 1, "status": "added" })).collect();
        pretend(&json!({ "success": true, "result": done }))
    }

    /// Leads, then activities.
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
    /// The lead of each record whose lead is there.
    leads: Vec<Option<u64>>,
    todo: VecDeque<Call>,
    asked: Option<Call>,
}

#[derive(Clone, Debug)]
enum Call {
    /// Leads of these records.
    Sync(Vec<usize>),
    /// Which of these are there already?
    Look(Look),
    /// Activities of these records, whose leads are there.
    Add(Vec<usize>),
}

impl Sending {
    fn new(settings: Settings, batch: Vec<Item>) -> Self {
        let n = batch.len();
        let mut sending =
            Self { settings, outcomes: vec![None; n], leads: vec![None; n], todo: VecDeque::new(), asked: None, batch };
        let mut good = Vec::new();
        for (n, item) in sending.batch.iter().enumerate() {
            match body::check(&item.activation) {
                Ok(()) => good.push(n),
                Err((code, words)) => {
                    sending.outcomes[n] = Some((0, Outcome::Refused { code: code.into(), words: words.into() }));
                }
            }
        }
        if !good.is_empty() {
            sending.todo.push_back(Call::Sync(good));
        }
        sending
    }

    fn post(&self, path: &str, body: Vec<u8>) -> Request {
        Request {
            method: Method::Post,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            content_type: "application/json",
            auth: Auth::Token,
            body,
            family: "rest".into(),
            timeout: self.settings.timeout,
        }
    }

    /// The request, or `None` when the body would be larger than the vendor takes.
    fn request(&self, call: &Call) -> Option<Request> {
        let (path, body) = match call {
            Call::Sync(places) => {
                let activations: Vec<_> = places.iter().filter_map(|n| Some(&self.batch.get(*n)?.activation)).collect();
                ("/rest/v1/leads.json", body::leads(&self.settings, &activations))
            }
            Call::Add(places) => {
                let activities: Vec<_> = places
                    .iter()
                    .filter_map(|n| Some((&self.batch.get(*n)?.activation, self.leads.get(*n).copied().flatten()?)))
                    .collect();
                ("/rest/v1/activities/external.json", body::activities(&self.settings, &activities))
            }
            Call::Look(look) => {
                let (path, query) = look.request(self.settings.activity_type);
                return Some(Request { method: Method::Get, query, ..self.post(path, Vec::new()) });
            }
        };
        (body.len() <= 1_000_000).then(|| self.post(path, body))
    }

    fn read(&mut self, call: Call, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let status = match answer {
            Answer::Came(response) => response.status,
            _ => 0,
        };
        match answer::verdict(answer, now) {
            Verdict::Records(records) => match call {
                Call::Sync(places) => self.synced(&places, status, &records, now),
                Call::Add(places) => self.added(&places, status, &records, now),
                Call::Look(look) => self.looked(look, answer, now),
            },
            Verdict::Halt(halt) => return Some(halt),
            Verdict::Down { words, is_unclear } => {
                // Only an activity can have left. What was unclear before is so until somebody has looked.
                let may_have_left = match &call {
                    Call::Add(_) => is_unclear,
                    Call::Look(_) => true,
                    Call::Sync(_) => {
                        self.places(&call).iter().any(|n| self.batch.get(*n).is_some_and(|i| i.may_have_left))
                    }
                };
                let words_ = words.as_str().into();
                let again = if may_have_left { now + self.settings.look_after } else { now };
                let later = Outcome::Later { not_before: again, words: words_, is_throttled: false, may_have_left };
                self.set(&self.places(&call), status, &later);
                return Some(Halt::Down(words));
            }
            Verdict::Refused(code, words) => {
                let places = self.places(&call);
                if places.len() > 1 && !matches!(call, Call::Look(_)) {
                    self.split(call, &places);
                } else {
                    self.set(&places, status, &Outcome::Refused { code: code.into(), words: words.into() });
                }
            }
        }
        None
    }

    fn places(&self, call: &Call) -> Vec<usize> {
        match call {
            Call::Sync(places) | Call::Add(places) => places.clone(),
            Call::Look(look) => look.places(),
        }
    }

    fn split(&mut self, call: Call, places: &[usize]) {
        let (a, b) = places.split_at(places.len() / 2);
        for half in [b, a] {
            let half = half.to_vec();
            self.todo.push_front(match call {
                Call::Add(_) => Call::Add(half),
                _ => Call::Sync(half),
            });
        }
    }

    /// Results come in the order of the input, in which each lead stands once.
    fn synced(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
        let activations: Vec<_> = places.iter().filter_map(|n| Some(&self.batch.get(*n)?.activation)).collect();
        let order = body::order(&activations);
        let mut ready = Vec::new();
        let mut unsure = Vec::new();
        for (place, input) in places.iter().zip(order) {
            match records.get(input) {
                Some(Record::Done(Some(id))) => {
                    if let Some(slot) = self.leads.get_mut(*place) {
                        *slot = Some(*id);
                    }
                    if self.batch.get(*place).is_some_and(|item| item.may_have_left) {
                        unsure.push(*place);
                    } else {
                        ready.push(*place);
                    }
                }
                Some(Record::Skipped { code, words, is_passing }) => {
                    self.skipped(*place, status, code, words, *is_passing, now)
                }
                Some(Record::Done(None)) | None => {
                    self.skipped(*place, status, "no_result", "the answer does not speak of this lead", true, now);
                }
            }
        }
        if !ready.is_empty() {
            self.todo.push_back(Call::Add(ready));
        }
        let leads: Vec<(usize, u64, Timestamp)> = unsure
            .iter()
            .filter_map(|n| Some((*n, self.leads.get(*n).copied().flatten()?, self.batch.get(*n)?.activation.at)))
            .collect();
        self.todo.extend(Look::begin(&leads).into_iter().map(Call::Look));
    }

    fn looked(&mut self, look: Look, answer: &Answer, now: Timestamp) {
        let Answer::Came(response) = answer else { return };
        let (found, places, is_whole) = match look.next(&response.json(), &self.settings.occasion_attribute) {
            look::Step::More(look) => return self.todo.push_front(Call::Look(look)),
            look::Step::Seen(found, places) => (found, places, true),
            look::Step::Unread(found, places) => (found, places, false),
        };
        let mut missing = Vec::new();
        for place in places {
            let Some(item) = self.batch.get(place) else { continue };
            if found.contains(&item.activation.occasion.to_string()) {
                self.set(&[place], 200, &Outcome::Duplicate);
            } else if is_whole {
                missing.push(place);
            } else {
                let words = "what the instance has could not be read to its end".into();
                let not_before = now + self.settings.look_after;
                let later = Outcome::Later { not_before, words, is_throttled: false, may_have_left: true };
                self.set(&[place], 200, &later);
            }
        }
        if !missing.is_empty() {
            self.todo.push_back(Call::Add(missing));
        }
    }

    fn added(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
        for (n, place) in places.iter().enumerate() {
            match records.get(n) {
                Some(Record::Done(_)) => self.set(&[*place], status, &Outcome::Accepted),
                Some(Record::Skipped { code, words, is_passing }) => {
                    // A lead that was merged away meanwhile is found again by the next sync.
                    let is_passing = *is_passing || code == "1004";
                    self.skipped(*place, status, code, words, is_passing, now);
                }
                None => {
                    self.skipped(*place, status, "no_result", "the answer does not speak of this activity", true, now)
                }
            }
        }
    }

    fn skipped(&mut self, place: usize, status: u16, code: &str, words: &str, is_passing: bool, now: Timestamp) {
        let outcome = if is_passing {
            Outcome::Later {
                not_before: now,
                words: format!("{code}: {words}").into(),
                is_throttled: false,
                may_have_left: false,
            }
        } else {
            Outcome::Refused { code: code.into(), words: words.into() }
        };
        self.set(&[place], status, &outcome);
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
        while halt.is_none() {
            let Some(call) = self.todo.pop_front() else { break };
            if let Some(request) = self.request(&call) {
                self.asked = Some(call);
                return Next::Ask(Box::new(request));
            }
            let places = self.places(&call);
            if places.len() > 1 {
                self.split(call, &places);
            } else {
                let refused = Outcome::Refused { code: "too_large".into(), words: "the record is over 1 MB".into() };
                self.set(&places, 0, &refused);
            }
        }
        Next::Done { outcomes: std::mem::take(&mut self.outcomes), halt }
    }
}
