//! One batch with Marketo: leads first; then activities, unless they are there already; then the lists and campaigns.

use std::collections::{BTreeMap, VecDeque};

use super::answer::{self, Record, Verdict};
use super::look::{self, Look};
use super::{Settings, Unclear, body, campaign};
use crate::destination::{Exchange, Halt, Item, Next};
use crate::model::http::{Answer, Auth, Method, Request};
use crate::model::{Action, ActionKind, Activation, Outcome, Timestamp};

/// "1 MB" of a call.
const LARGEST: usize = 1_000_000;

/// A batch under way.
pub struct Sending {
    settings: Settings,
    batch: Vec<Item>,
    outcomes: Vec<Option<(u16, Outcome)>>,
    /// The lead of each record whose lead is there.
    leads: Vec<Option<u64>>,
    todo: VecDeque<Call>,
    /// Records whose lead is there, for lists and campaigns when all others' are.
    ready: Vec<usize>,
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
    /// Leads of these records into a list, or out of it: all the same.
    Members(Vec<usize>),
    /// A campaign for the leads of these records, who have the same tokens.
    Campaign(Vec<usize>),
}

impl Call {
    fn places(&self) -> Vec<usize> {
        match self {
            Self::Sync(places) | Self::Add(places) | Self::Members(places) | Self::Campaign(places) => places.clone(),
            Self::Look(look) => look.places(),
        }
    }

    /// True when a refusal of the whole may be one record's fault: the others are sent without it.
    fn is_parted_by(&self, code: &str) -> bool {
        match self {
            Self::Sync(_) | Self::Add(_) => true,
            // Else it is the list's or the campaign's.
            Self::Members(_) | Self::Campaign(_) => matches!(code, "1004" | "413" | "too_large"),
            Self::Look(_) => false,
        }
    }

    /// The same about others.
    fn about(&self, places: Vec<usize>) -> Self {
        match self {
            Self::Add(_) => Self::Add(places),
            Self::Members(_) => Self::Members(places),
            Self::Campaign(_) => Self::Campaign(places),
            Self::Sync(_) | Self::Look(_) => Self::Sync(places),
        }
    }
}

impl Sending {
    pub fn new(settings: Settings, batch: Vec<Item>) -> Self {
        let n = batch.len();
        let mut sending = Self {
            settings,
            outcomes: vec![None; n],
            leads: vec![None; n],
            todo: VecDeque::new(),
            ready: Vec::new(),
            asked: None,
            batch,
        };
        let mut good = Vec::new();
        for (n, item) in sending.batch.iter().enumerate() {
            let refusal = match body::check(&item.activation) {
                Err(refusal) => Some(refusal),
                Ok(()) => (item.may_have_left && sending.gives_up(&item.activation)).then_some((
                    "unclear",
                    "the campaign may have been requested, and Marketo cannot be asked: replayed, it is requested again",
                )),
            };
            match refusal {
                None => good.push(n),
                Some((code, words)) => {
                    sending.outcomes[n] = Some((0, Outcome::Refused { code: code.into(), words: words.into() }));
                }
            }
        }
        if !good.is_empty() {
            sending.todo.push_back(Call::Sync(good));
        }
        sending
    }

    /// What may have been requested is not requested again by itself.
    fn gives_up(&self, activation: &Activation) -> bool {
        activation.action.kind() == ActionKind::Campaign && self.settings.unclear_campaigns == Unclear::DeadLetter
    }

    fn activation(&self, place: usize) -> Option<&Activation> {
        Some(&self.batch.get(place)?.activation)
    }

    fn lead(&self, place: usize) -> Option<u64> {
        self.leads.get(place).copied().flatten()
    }

    fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Request {
        Request {
            method,
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
        let leads = |places: &[usize]| body::each_once(places.iter().filter_map(|n| self.lead(*n))).0;
        let first = |places: &[usize]| places.first().and_then(|n| self.activation(*n));
        let request = match call {
            Call::Sync(places) => {
                let activations: Vec<_> = places.iter().filter_map(|n| self.activation(*n)).collect();
                self.call(Method::Post, "/rest/v1/leads.json", body::leads(&self.settings, &activations))
            }
            Call::Add(places) => {
                let activities: Vec<_> =
                    places.iter().filter_map(|n| Some((self.activation(*n)?, self.lead(*n)?))).collect();
                let body = body::activities(&self.settings, &activities);
                self.call(Method::Post, "/rest/v1/activities/external.json", body)
            }
            Call::Members(places) => {
                let action = &first(places)?.action;
                let is_removal = action.kind() == ActionKind::RemoveFromList;
                let method = if is_removal { Method::Delete } else { Method::Post };
                let path = format!("/rest/v1/lists/{}/leads.json", action.of());
                self.call(method, &path, body::members(&leads(places)))
            }
            Call::Campaign(places) => {
                let activation = first(places)?;
                let tokens = campaign::tokens(&self.settings, activation);
                let path = format!("/rest/v1/campaigns/{}/trigger.json", activation.action.of());
                self.call(Method::Post, &path, campaign::body(&leads(places), &tokens))
            }
            Call::Look(look) => {
                let (path, query) = look.request();
                Request { query, ..self.call(Method::Get, path, Vec::new()) }
            }
        };
        (request.body.len() <= LARGEST).then_some(request)
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
                Call::Members(places) => self.listed(&places, status, &records, now),
                // The answer names the campaign and nobody's outcome.
                Call::Campaign(places) => self.set(&places, status, &Outcome::Accepted),
            },
            Verdict::Halt(halt) => return Some(halt),
            Verdict::Down { words, is_unclear } => {
                for place in call.places() {
                    // Only an activity or a request can have left. What was unclear before is so until somebody has
                    // looked; lists and leads may be written twice.
                    let may_have_left = match &call {
                        Call::Add(_) | Call::Campaign(_) => is_unclear,
                        Call::Look(_) => true,
                        Call::Sync(_) => self.batch.get(place).is_some_and(|item| item.may_have_left),
                        Call::Members(_) => false,
                    };
                    let again = if may_have_left { now + self.settings.look_after } else { now };
                    let words = words.as_str().into();
                    let later = Outcome::Later { not_before: again, words, is_throttled: false, may_have_left };
                    self.set(&[place], status, &later);
                }
                return Some(Halt::Down(words));
            }
            Verdict::Refused(code, words) => self.refused(&call, status, &code, &words),
        }
        None
    }

    /// A refusal of the whole: of each record, or of those among them that are found by halving.
    fn refused(&mut self, call: &Call, status: u16, code: &str, words: &str) {
        let places = call.places();
        if places.len() > 1 && call.is_parted_by(code) {
            let (a, b) = places.split_at(places.len() / 2);
            self.todo.push_front(call.about(b.to_vec()));
            self.todo.push_front(call.about(a.to_vec()));
        } else {
            self.set(&places, status, &Outcome::Refused { code: code.into(), words: words.into() });
        }
    }

    /// Results come in the order of the input, in which each lead stands once.
    fn synced(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
        let activations: Vec<_> = places.iter().filter_map(|n| self.activation(*n)).collect();
        let order = body::order(&activations);
        let mut events = Vec::new();
        let mut unsure: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for (place, input) in places.iter().zip(order) {
            match records.get(input) {
                Some(Record::Done(Some(id))) => {
                    if let Some(slot) = self.leads.get_mut(*place) {
                        *slot = Some(*id);
                    }
                    let Some(item) = self.batch.get(*place) else { continue };
                    match item.activation.action.kind() {
                        ActionKind::Event if item.may_have_left => {
                            let (activity_type, _) = self.settings.activity(item.activation.action.of());
                            unsure.entry(activity_type).or_default().push((*place, *id, item.activation.at));
                        }
                        ActionKind::Event => events.push(*place),
                        ActionKind::Profile => self.set(&[*place], status, &Outcome::Accepted),
                        ActionKind::AddToList | ActionKind::RemoveFromList | ActionKind::Campaign => {
                            self.ready.push(*place);
                        }
                        // The lane refuses what the vendor cannot do.
                        _ => {}
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
        if !events.is_empty() {
            self.todo.push_back(Call::Add(events));
        }
        for (activity_type, records) in unsure {
            self.todo.extend(Look::begin(activity_type, &records).into_iter().map(Call::Look));
        }
    }

    /// When all leads are there: a call for each list, and for each campaign and what its tokens say.
    fn follow(&mut self) {
        let mut lists: BTreeMap<Action, Vec<usize>> = BTreeMap::new();
        let mut campaigns: BTreeMap<_, Vec<Vec<usize>>> = BTreeMap::new();
        for place in std::mem::take(&mut self.ready) {
            let Some(activation) = self.activation(place) else { continue };
            if activation.action.kind() != ActionKind::Campaign {
                lists.entry(activation.action.clone()).or_default().push(place);
                continue;
            }
            let key = (activation.action.clone(), campaign::tokens(&self.settings, activation));
            let lead = self.lead(place);
            // Two occasions of one lead are two requests: a call has each lead once.
            let has_room = |call: &&mut Vec<usize>| {
                call.len() < campaign::LEADS && call.iter().all(|other| self.lead(*other) != lead)
            };
            let calls = campaigns.entry(key).or_default();
            match calls.iter_mut().find(has_room) {
                Some(call) => call.push(place),
                None => calls.push(vec![place]),
            }
        }
        self.todo.extend(lists.into_values().map(Call::Members));
        self.todo.extend(campaigns.into_values().flatten().map(Call::Campaign));
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
            let Some(activation) = self.activation(place) else { continue };
            if found.contains(&activation.occasion.to_string()) {
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

    /// Results come in the order of the input, in which each lead stands once.
    fn listed(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
        let (_, order) = body::each_once(places.iter().filter_map(|n| self.lead(*n)));
        for (place, input) in places.iter().zip(order) {
            match records.get(input) {
                Some(Record::Done(_)) => self.set(&[*place], status, &Outcome::Accepted),
                // Who is not in the list is out of it.
                Some(Record::Skipped { code, .. }) if code == "1015" => self.set(&[*place], status, &Outcome::Accepted),
                Some(Record::Skipped { code, words, is_passing }) => {
                    self.skipped(*place, status, code, words, *is_passing || code == "1004", now);
                }
                None => self.skipped(*place, status, "no_result", "the answer does not speak of this lead", true, now),
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

    /// A try was noted before it could leave. Nobody can look for a request of a campaign, so that one which certainly
    /// has not left is told to have stayed.
    fn keep_unsent(&mut self, halt: &Halt, now: Timestamp) {
        for (item, outcome) in self.batch.iter().zip(&mut self.outcomes) {
            if outcome.is_none() && item.activation.action.kind() == ActionKind::Campaign {
                let (words, may_have_left) = (halt.to_string().into(), item.may_have_left);
                *outcome = Some((0, Outcome::Later { not_before: now, words, is_throttled: true, may_have_left }));
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
            if self.todo.is_empty() {
                self.follow();
            }
            let Some(call) = self.todo.pop_front() else { break };
            if let Some(request) = self.request(&call) {
                self.asked = Some(call);
                return Next::Ask(Box::new(request));
            }
            self.refused(&call, 0, "too_large", "the record is over 1 MB");
        }
        if let Some(halt) = &halt {
            self.keep_unsent(halt, now);
        }
        Next::Done { outcomes: std::mem::take(&mut self.outcomes), halt }
    }
}
