//! Klaviyo: an activation is an event of a metric; the marketer's flow has that metric as its trigger.
//!
//! A few activations go one by one (`/api/events`, low latency); many go together (`/api/event-bulk-create-jobs`). The
//! vendor's dedupe key is (profile, metric, `unique_id`), and ours is the occasion.

mod account;
mod answer;
mod body;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::Deserialize;

use super::account::Survey;
use super::{Destination, Exchange, Halt, Item, Limits, Next, number};
use crate::model::http::{AccountKey, Answer, Auth, Counted, Learned, Method, Request, Response, Window};
use crate::model::setting::Secret;
use crate::model::{Need, Outcome, Span, Timestamp};

use answer::Verdict;

/// Times that a refused bulk is sent again without those it named; then one by one.
const ROUNDS: usize = 5;
/// The two windows of each endpoint.
const BURST: Span = Span::from_secs(1);
const STEADY: Span = Span::from_minutes(1);

/// `[destination.NAME]` with `kind = "klaviyo"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A private API key with the scopes `events:write` and `profiles:write`.
    pub api_key: Secret,
    /// Where the API is.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// The API's revision.
    #[serde(default = "revision")]
    pub revision: String,
    /// A batch of at least so many goes through the bulk endpoint; 0 for never.
    #[serde(default = "bulk_from")]
    pub bulk_from: usize,
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

fn base_url() -> String {
    "https://a.klaviyo.com".into()
}
fn revision() -> String {
    "2026-07-15".into()
}
fn bulk_from() -> usize {
    50
}
fn share() -> f64 {
    0.85
}
fn timeout() -> Span {
    Span::from_secs(30)
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
        [("events", 350, BURST), ("events", 3_500, STEADY), ("bulk", 10, BURST), ("bulk", 150, STEADY)]
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

    fn pretended(&self, _: &Request) -> Response {
        Response { status: 202, ..Response::default() }
    }

    /// One in bulk, else one for each.
    fn calls(&self, records: usize) -> usize {
        let is_bulk = self.settings.bulk_from > 0 && records >= self.settings.bulk_from;
        if is_bulk { 1 } else { records }
    }

    fn exchange(&self, batch: Vec<Item>) -> Box<dyn Exchange> {
        Box::new(Sending::new(self.settings.clone(), batch))
    }

    fn survey(&self, needs: Vec<Need>) -> Option<Box<dyn Survey>> {
        Some(Box::new(account::Asked::new(self.settings.clone(), needs)))
    }
}

/// A batch under way.
struct Sending {
    settings: Settings,
    batch: Vec<Item>,
    outcomes: Vec<Option<(u16, Outcome)>>,
    /// Calls to be made: places in the batch, together or alone.
    todo: VecDeque<Call>,
    /// The call whose answer is awaited.
    asked: Option<Call>,
}

#[derive(Clone, Debug)]
enum Call {
    Bulk(Vec<usize>, usize),
    Single(usize),
}

impl Sending {
    fn new(settings: Settings, batch: Vec<Item>) -> Self {
        let mut sending =
            Self { settings, outcomes: vec![None; batch.len()], todo: VecDeque::new(), asked: None, batch };
        let mut good = Vec::new();
        for (n, item) in sending.batch.iter().enumerate() {
            match body::check(&item.activation) {
                Ok(()) => good.push(n),
                Err((code, words)) => {
                    sending.outcomes[n] = Some((0, Outcome::Refused { code: code.into(), words: words.into() }));
                }
            }
        }
        let bulk_from = sending.settings.bulk_from;
        if bulk_from > 0 && good.len() >= bulk_from {
            sending.todo.push_back(Call::Bulk(good, 0));
        } else {
            sending.todo.extend(good.into_iter().map(Call::Single));
        }
        sending
    }

    fn request(&self, call: &Call) -> Result<Request, Vec<usize>> {
        let (path, family, body) = match call {
            Call::Single(n) => ("/api/events", "events", self.batch.get(*n).map(|i| body::single(&i.activation))),
            Call::Bulk(places, _) => {
                let activations: Vec<_> = places.iter().filter_map(|n| Some(&self.batch.get(*n)?.activation)).collect();
                let body = body::bulk(&activations).0;
                if body.len() > 5_000_000 {
                    return Err(places.clone());
                }
                ("/api/event-bulk-create-jobs", "bulk", Some(body))
            }
        };
        Ok(Request {
            method: Method::Post,
            path: path.into(),
            query: Vec::new(),
            headers: vec![
                ("revision".into(), self.settings.revision.clone()),
                ("accept".into(), "application/vnd.api+json".into()),
            ],
            content_type: "application/vnd.api+json",
            auth: Auth::Header("Klaviyo-API-Key", self.settings.api_key.clone()),
            body: body.unwrap_or_default(),
            family: family.into(),
            timeout: self.settings.timeout,
        })
    }

    fn split(&mut self, places: &[usize], round: usize) {
        let (a, b) = places.split_at(places.len() / 2);
        self.todo.push_front(Call::Bulk(b.to_vec(), round));
        self.todo.push_front(Call::Bulk(a.to_vec(), round));
    }

    /// Takes an answer in. A halt ends the exchange; what has no outcome then stays as it was.
    fn read(&mut self, call: Call, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let places = match &call {
            Call::Single(n) => vec![*n],
            Call::Bulk(places, _) => places.clone(),
        };
        let status = match answer {
            Answer::Came(response) => response.status,
            _ => 0,
        };
        match answer::verdict(answer, now) {
            Verdict::All(outcome) => self.set(&places, status, &outcome),
            Verdict::Down(outcome, words) => {
                self.set(&places, status, &outcome);
                return Some(Halt::Down(words));
            }
            Verdict::Halt(halt) => return Some(halt),
            Verdict::TooLarge => match call {
                Call::Bulk(places, round) if places.len() > 1 => self.split(&places, round),
                _ => self.set(
                    &places,
                    status,
                    &Outcome::Refused { code: "413".into(), words: "the event is too large".into() },
                ),
            },
            Verdict::Named(named, code, words) => self.named(call, status, &named, &code, &words),
        }
        None
    }

    /// A refusal: of those it names, or of all when the call had one. The rest was not taken and is sent again.
    fn named(&mut self, call: Call, status: u16, named: &[(usize, String)], code: &str, words: &str) {
        let refused = |words: &str| Outcome::Refused { code: code.into(), words: words.into() };
        let (places, round) = match call {
            Call::Single(n) => return self.set(&[n], status, &refused(words)),
            Call::Bulk(places, round) => (places, round),
        };
        let activations: Vec<_> = places.iter().filter_map(|n| Some(&self.batch.get(*n)?.activation)).collect();
        // The vendor names profiles by their place in the body.
        let by_profile = body::bulk(&activations).1;
        let mut guilty: Vec<usize> = Vec::new();
        for (profile, words) in named {
            for within in by_profile.get(*profile).into_iter().flatten() {
                if let Some(place) = places.get(*within) {
                    guilty.push(*place);
                    // A profile of several events does not say which of them it was: they are tried one by one.
                    if by_profile.get(*profile).is_some_and(|events| events.len() > 1) {
                        self.todo.push_back(Call::Single(*place));
                    } else {
                        self.set(&[*place], status, &refused(words));
                    }
                }
            }
        }
        let rest: Vec<usize> = places.iter().copied().filter(|n| !guilty.contains(n)).collect();
        if guilty.is_empty() || round + 1 >= ROUNDS {
            self.todo.extend(rest.into_iter().map(Call::Single));
        } else if !rest.is_empty() {
            self.todo.push_back(Call::Bulk(rest, round + 1));
        }
    }

    fn set(&mut self, places: &[usize], status: u16, outcome: &Outcome) {
        for place in places {
            if let Some(slot) = self.outcomes.get_mut(*place) {
                *slot = Some((status, outcome.clone()));
            }
        }
    }

    fn done(&mut self, halt: Option<Halt>) -> Next {
        Next::Done { outcomes: std::mem::take(&mut self.outcomes), halt }
    }
}

impl Exchange for Sending {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Next {
        if let (Some(call), Some(answer)) = (self.asked.take(), answer)
            && let Some(halt) = self.read(call, &answer, now)
        {
            return self.done(Some(halt));
        }
        loop {
            let Some(call) = self.todo.pop_front() else { return self.done(None) };
            match self.request(&call) {
                Ok(request) => {
                    self.asked = Some(call);
                    return Next::Ask(Box::new(request));
                }
                Err(places) if places.len() > 1 => self.split(&places, 0),
                Err(places) => {
                    self.set(
                        &places,
                        0,
                        &Outcome::Refused { code: "too_large".into(), words: "the event is over 5 MB".into() },
                    );
                }
            }
        }
    }
}
