//! One batch with Marketo: leads first; then activities, unless they are there already; then the lists and campaigns. Who
//! is only taken out of a list is looked up, and not made. Many who need no lead's number are imported beside all that.

mod imports;
mod results;

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::answer::{self, Verdict};
use super::find::{self, Find};
use super::hands::Held;
use super::import::{self, Import};
use super::look::Look;
use super::{LEADS, RECORDS, Settings, Unclear, body, campaign, directory};
use crate::destination::key::Key;
use crate::destination::outcomes::Outcomes;
use crate::destination::{Exchange, Halt, Item, Next, parts};
use crate::model::http::{Answer, Method, Request};
use crate::model::{Action, ActionKind, Activation, Outcome, Span, Timestamp};

/// "1 MB" of a call.
pub const LARGEST: usize = 1_000_000;
/// A lead that another exchange writes is tried again after so long.
const BUSY: Span = Span::from_secs(5);
/// An import that is left to itself may still be at work for so long: its leads are not written meanwhile.
const AT_WORK: Span = Span::from_minutes(2);
/// A quota that is closed for longer is not waited for with an import in hand.
const PATIENCE: Span = Span::from_minutes(10);

/// A batch under way.
pub struct Sending {
    settings: Settings,
    batch: Vec<Item>,
    held: Held,
    outcomes: Outcomes,
    /// The lead of each record whose lead is there.
    leads: Vec<Option<u64>>,
    /// The leads of each record whose address was looked up.
    found: Vec<Vec<u64>>,
    /// Of each record, whether its lead was gone once, and so was written once more.
    was_gone: Vec<bool>,
    todo: VecDeque<Call>,
    /// Records whose lead is there, for lists and campaigns when all others' are.
    ready: Vec<usize>,
    /// Imports that the vendor works on, and when they are asked for next.
    waiting: Vec<(Timestamp, Import)>,
    /// Records whose lead another exchange writes.
    busy: Vec<usize>,
    asked: Option<Call>,
    now: Timestamp,
}

#[derive(Clone, Debug)]
enum Call {
    /// Leads of these records.
    Sync(Vec<usize>),
    /// Which leads have these addresses?
    Find(Find),
    /// Which of these are there already?
    Look(Look),
    /// Activities of these records, whose leads are there.
    Add(Vec<usize>),
    /// Leads of these records into a list, or out of it: all the same.
    Members(Vec<usize>),
    /// Leads of these records are deleted.
    Delete(Vec<usize>),
    /// A campaign for the leads of these records, who have the same tokens.
    Campaign(Vec<usize>),
    /// Many leads, into one list or none.
    Import(Box<Import>),
}

impl Call {
    fn places(&self) -> Vec<usize> {
        match self {
            Self::Sync(places)
            | Self::Add(places)
            | Self::Members(places)
            | Self::Delete(places)
            | Self::Campaign(places) => places.clone(),
            Self::Find(find) => find.places.clone(),
            Self::Look(look) => look.places(),
            Self::Import(import) => import.places(),
        }
    }

    /// True when a refusal of the whole may be one record's fault: the others are sent without it.
    fn is_parted_by(&self, code: &str) -> bool {
        match self {
            // A field that is unknown is so for all of them.
            Self::Sync(_) => code != "1006",
            Self::Find(_) | Self::Add(_) | Self::Delete(_) => true,
            // Else it is the list's or the campaign's.
            Self::Members(_) | Self::Campaign(_) => matches!(code, GONE | "413" | "414" | "too_large"),
            Self::Look(_) | Self::Import(_) => false,
        }
    }

    /// The same about others.
    fn about(&self, places: Vec<usize>) -> Self {
        match self {
            Self::Add(_) => Self::Add(places),
            Self::Members(_) => Self::Members(places),
            Self::Delete(_) => Self::Delete(places),
            Self::Campaign(_) => Self::Campaign(places),
            Self::Find(find) => Self::Find(find.about(places)),
            Self::Sync(_) | Self::Look(_) | Self::Import(_) => Self::Sync(places),
        }
    }
}

/// "Lead not found": merged or deleted since its number was told.
const GONE: &str = "1004";

/// What two records may have of one lead, as it compares.
fn addresses(key: &Key, activation: &Activation) -> std::vec::IntoIter<String> {
    let all: Vec<String> = body::addresses(key, activation).into_iter().map(|one| key.same(one)).collect();
    all.into_iter()
}

impl Sending {
    /// `held` is what the exchange may have in hand.
    pub fn new(settings: Settings, held: Held, batch: Vec<Item>) -> Self {
        let n = batch.len();
        let mut sending = Self {
            settings,
            held,
            outcomes: Outcomes::new(n),
            leads: vec![None; n],
            found: vec![Vec::new(); n],
            was_gone: vec![false; n],
            todo: VecDeque::new(),
            ready: Vec::new(),
            waiting: Vec::new(),
            busy: Vec::new(),
            asked: None,
            now: Timestamp::default(),
            batch,
        };
        let key = sending.settings.found_by.clone();
        let (mut written, mut looked_up) = (Vec::new(), Vec::new());
        for (n, item) in sending.batch.iter().enumerate() {
            let refusal = match body::check(&sending.settings.found_by, &item.activation) {
                Err(refusal) => Some(refusal),
                Ok(()) => (item.may_have_left && sending.gives_up(&item.activation)).then(|| {
                    let words = "the campaign may have been requested, and Marketo cannot be asked: replayed, it is \
                                 requested again";
                    ("unclear".to_owned(), words.to_owned())
                }),
            };
            match refusal {
                Some((code, words)) => {
                    sending.outcomes.refuse(&[n], 0, &code, &words);
                }
                None if !sending.held.take(addresses(&key, &item.activation)) => sending.busy.push(n),
                None if body::is_looked_up(&item.activation.action) => looked_up.push(n),
                None => written.push(n),
            }
        }
        // Whoever is met anew at an address that is to be forgotten is written after that.
        let is_gone = |n: &usize| sending.activation(*n).is_some_and(|activation| activation.action == Action::Erase);
        let gone = looked_up.iter().filter(|n| is_gone(n)).filter_map(|n| sending.activation(*n));
        let gone: HashSet<String> = gone.flat_map(|one| addresses(&key, one)).collect();
        let is_after = |n: &usize| {
            if gone.is_empty() {
                return false;
            }
            let address = sending.activation(*n).and_then(|one| key.of(one)).unwrap_or_default();
            !is_gone(n) && gone.contains(&key.same(address))
        };
        let mut busy: Vec<usize> = looked_up.extract_if(.., |n| is_after(n)).collect();
        busy.extend(written.extract_if(.., |n| is_after(n)));
        sending.busy.extend(busy);
        sending.find(&looked_up);
        let people = sending.by_address(written);
        let people = sending.import(people);
        sending.sync(people);
        sending
    }

    /// The records of each address.
    fn by_address(&self, places: Vec<usize>) -> Vec<Vec<usize>> {
        let records = places.into_iter().filter_map(|n| Some((n, self.activation(n)?)));
        body::by_address(&self.settings.found_by, records)
    }

    /// Looks these up by their addresses.
    fn find(&mut self, places: &[usize]) {
        let key = self.settings.found_by.clone();
        let addresses = |n: usize| self.activation(n).map_or(0, |one| body::addresses(&key, one).len());
        let calls = parts(places, addresses, find::ADDRESSES);
        self.todo.extend(calls.into_iter().map(|places| Call::Find(Find::new(places, key.clone()))));
    }

    /// Writes these people, each in one call with all of their records.
    fn sync(&mut self, people: Vec<Vec<usize>>) {
        for some in people.chunks(RECORDS) {
            let mut places = some.concat();
            places.sort_unstable();
            self.todo.push_back(Call::Sync(places));
        }
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

    /// The leads that a list or campaign is told of a record.
    fn told(&self, place: usize) -> &[u64] {
        let is_looked_up = self.activation(place).is_some_and(|activation| body::is_looked_up(&activation.action));
        if is_looked_up {
            self.found.get(place).map_or(&[], Vec::as_slice)
        } else {
            self.leads.get(place).map_or(&[], Option::as_slice)
        }
    }

    /// The request, or `None` when the body would be larger than the vendor takes.
    fn request(&self, call: &Call) -> Option<Request> {
        let leads = |places: &[usize]| body::each_once(places.iter().flat_map(|n| self.told(*n)).copied());
        let first = |places: &[usize]| places.first().and_then(|n| self.activation(*n));
        let mut largest = LARGEST;
        let request = match call {
            Call::Sync(places) => {
                let activations: Vec<_> = places.iter().filter_map(|n| self.activation(*n)).collect();
                self.settings.call(Method::Post, LEADS, body::leads(&self.settings, &activations))
            }
            Call::Find(find) => {
                let asked = find.places.iter().filter_map(|n| self.activation(*n));
                let mut addresses: Vec<&str> =
                    asked.flat_map(|one| body::addresses(&self.settings.found_by, one)).collect();
                addresses.sort_unstable();
                addresses.dedup();
                directory::page(&self.settings, find, &addresses)
            }
            Call::Add(places) => {
                let activities: Vec<_> =
                    places.iter().filter_map(|n| Some((self.activation(*n)?, self.lead(*n)?))).collect();
                let body = body::activities(&self.settings, &activities);
                self.settings.call(Method::Post, "/rest/v1/activities/external.json", body)
            }
            Call::Members(places) => {
                let action = &first(places)?.action;
                let is_removal = action.kind() == ActionKind::RemoveFromList;
                let method = if is_removal { Method::Delete } else { Method::Post };
                let path = format!("/rest/v1/lists/{}/leads.json", action.of());
                self.settings.call(method, path, body::members(&leads(places)))
            }
            Call::Delete(places) => {
                self.settings.call(Method::Post, "/rest/v1/leads/delete.json", body::members(&leads(places)))
            }
            Call::Campaign(places) => {
                let activation = first(places)?;
                let tokens = campaign::tokens(&self.settings, activation);
                let path = format!("/rest/v1/campaigns/{}/trigger.json", activation.action.of());
                self.settings.call(Method::Post, path, campaign::body(&leads(places), &tokens))
            }
            Call::Look(look) => look.request(&self.settings),
            Call::Import(import) => {
                largest = import::LARGEST;
                let (method, path, query) = import.call(&self.settings);
                let body = import.body(&self.settings, |place| self.activation(place));
                Request { query, content_type: import::CONTENT_TYPE, ..self.settings.call(method, path, body) }
            }
        };
        (request.body.len() <= largest).then_some(request)
    }

    fn read(&mut self, call: Call, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let status = answer.status();
        if let Call::Import(import) = call {
            return self.imported(*import, status, answer, now);
        }
        match answer::verdict(answer, now) {
            Verdict::Records(records) => match call {
                Call::Sync(places) => self.synced(&places, status, &records, now),
                Call::Find(find) => self.looked_up(find, status, answer, now),
                Call::Add(places) => self.added(&places, status, &records, now),
                Call::Look(look) => self.looked(look, answer, now),
                Call::Members(places) | Call::Delete(places) => self.each(&places, status, &records, now),
                // The answer names the campaign and nobody's outcome.
                Call::Campaign(places) => self.outcomes.set(&places, status, &Outcome::Accepted),
                Call::Import(_) => {}
            },
            // A role that may not delete leads stops nobody else.
            Verdict::Halt(Halt::Configuration(words)) if matches!(call, Call::Delete(_)) => {
                self.outcomes.refuse(&call.places(), status, "cannot_delete", &words);
            }
            Verdict::Halt(halt) => return Some(halt),
            Verdict::Down { words, is_unclear } => {
                for place in call.places() {
                    // Only an activity or a request can have left. What was unclear before is so until somebody has
                    // looked; lists and leads may be written twice.
                    let may_have_left = match &call {
                        Call::Add(_) | Call::Campaign(_) => is_unclear,
                        Call::Look(_) => true,
                        Call::Sync(_) => self.batch.get(place).is_some_and(|item| item.may_have_left),
                        Call::Find(_) | Call::Members(_) | Call::Delete(_) | Call::Import(_) => false,
                    };
                    let again = if may_have_left { now + self.settings.look_after } else { now };
                    let words = words.as_str().into();
                    let later = Outcome::Later { not_before: again, words, is_throttled: false, may_have_left };
                    self.outcomes.set(&[place], status, &later);
                }
                return Some(Halt::Down(words));
            }
            Verdict::Refused(code, words) => self.refused(call, status, &code, &words),
        }
        None
    }

    /// A refusal of the whole: of each record, or of those among them that are found by halving. A lead that is gone is
    /// written once more before that, and an address that is too long put into the body.
    fn refused(&mut self, call: Call, status: u16, code: &str, words: &str) {
        let call = match call {
            Call::Look(look) if code == "414" => match look.clone().posted() {
                Some(posted) => return self.todo.push_front(Call::Look(posted)),
                None => Call::Look(look),
            },
            Call::Import(import) => return self.import_refused(*import, status, code, words),
            other => other,
        };
        let places = call.places();
        let is_of_leads = matches!(call, Call::Add(_) | Call::Members(_) | Call::Delete(_) | Call::Campaign(_));
        if code == GONE && is_of_leads && self.write_again(&places) {
            return;
        }
        if places.len() > 1 && call.is_parted_by(code) {
            let (a, b) = places.split_at(places.len() / 2);
            self.todo.push_front(call.about(b.to_vec()));
            self.todo.push_front(call.about(a.to_vec()));
        } else {
            self.outcomes.refuse(&places, status, code, words);
        }
    }

    /// The leads of these were merged or deleted since their numbers were told: they are written, or looked up, once more,
    /// and what was to be said of them is said again. False when that was done for all of them before.
    fn write_again(&mut self, places: &[usize]) -> bool {
        let mut is_new = false;
        for place in places {
            if let Some(was_gone) = self.was_gone.get_mut(*place) {
                is_new |= !std::mem::replace(was_gone, true);
            }
        }
        if is_new {
            let is_looked_up =
                |n: &usize| self.activation(*n).is_some_and(|activation| body::is_looked_up(&activation.action));
            let (looked_up, written): (Vec<usize>, Vec<usize>) = places.iter().partition(|n| is_looked_up(n));
            self.find(&looked_up);
            let people = self.by_address(written);
            self.sync(people);
        }
        is_new
    }

    /// When all leads are there: a call for each list, for those who are forgotten, and for each campaign and what its
    /// tokens say.
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
        for (action, places) in lists {
            let call = if action == Action::Erase { Call::Delete } else { Call::Members };
            let calls = parts(&places, |place| self.told(place).len(), RECORDS);
            self.todo.extend(calls.into_iter().map(call));
        }
        self.todo.extend(campaigns.into_values().flatten().map(Call::Campaign));
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
        self.outcomes.set(&[place], status, &outcome);
    }

    /// A try was noted before it could leave. Nobody can look for a request of a campaign, so that one which certainly
    /// has not left is told to have stayed.
    fn keep_unsent(&mut self, words: &str) {
        for (place, item) in self.batch.iter().enumerate() {
            if self.outcomes.is_open(place) && item.activation.action.kind() == ActionKind::Campaign {
                let (not_before, words, may_have_left) = (self.now, words.into(), item.may_have_left);
                let stayed = Outcome::Later { not_before, words, is_throttled: true, may_have_left };
                self.outcomes.set(&[place], 0, &stayed);
            }
        }
    }
}

impl Exchange for Sending {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Next {
        self.now = now;
        for place in std::mem::take(&mut self.busy) {
            let may_have_left = self.batch.get(place).is_some_and(|item| item.may_have_left);
            let words = "another batch writes this lead".into();
            let later = Outcome::Later { not_before: now + BUSY, words, is_throttled: true, may_have_left };
            self.outcomes.set(&[place], 0, &later);
        }
        let mut halt = None;
        if let (Some(call), Some(answer)) = (self.asked.take(), answer) {
            halt = self.read(call, &answer, now);
        }
        while halt.is_none() {
            if self.todo.is_empty() {
                self.follow();
            }
            if self.todo.is_empty()
                && let Some(next) = (0..self.waiting.len()).min_by_key(|n| self.waiting[*n].0)
            {
                if self.waiting[next].0 > now {
                    return Next::Wait(self.waiting[next].0);
                }
                self.todo.push_back(Call::Import(Box::new(self.waiting.swap_remove(next).1)));
            }
            let Some(call) = self.todo.pop_front() else { break };
            if let Some(request) = self.request(&call) {
                self.asked = Some(call);
                return Next::Ask(Box::new(request));
            }
            self.refused(call, 0, "too_large", "the record is over 1 MB");
        }
        if let Some(halt) = &halt {
            self.keep_unsent(&halt.to_string());
            self.leave_imports();
        }
        Next::Done { outcomes: self.outcomes.take(), halt }
    }

    fn so_far(&mut self) -> Vec<Option<(u16, Outcome)>> {
        self.keep_unsent("it was stopped before it left");
        self.leave_imports();
        self.outcomes.take()
    }
}
