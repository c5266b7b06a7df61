//! One batch with Marketo: leads first; then activities, unless they are there already; then the lists and campaigns. Who
//! is only taken out of a list is looked up, and not made. Many who need no lead's number are imported beside all that.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::answer::{self, Record, Verdict};
use super::find::{self, Find};
use super::hands::Held;
use super::import::{self, Import};
use super::look::{self, Look};
use super::{RECORDS, Settings, Unclear, body, campaign, form};
use crate::destination::{Exchange, Halt, Item, Next};
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
    outcomes: Vec<Option<(u16, Outcome)>>,
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
    /// A campaign for the leads of these records, who have the same tokens.
    Campaign(Vec<usize>),
    /// Many leads, into one list or none.
    Import(Box<Import>),
}

impl Call {
    fn places(&self) -> Vec<usize> {
        match self {
            Self::Sync(places) | Self::Add(places) | Self::Members(places) | Self::Campaign(places) => places.clone(),
            Self::Find(find) => find.places.clone(),
            Self::Look(look) => look.places(),
            Self::Import(import) => import.places(),
        }
    }

    /// True when a refusal of the whole may be one record's fault: the others are sent without it.
    fn is_parted_by(&self, code: &str) -> bool {
        match self {
            Self::Sync(_) | Self::Find(_) | Self::Add(_) => true,
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
            Self::Campaign(_) => Self::Campaign(places),
            Self::Find(_) => Self::Find(Find::new(places)),
            Self::Sync(_) | Self::Look(_) | Self::Import(_) => Self::Sync(places),
        }
    }
}

/// Where leads are written, and looked up.
const LEADS: &str = "/rest/v1/leads.json";
/// "Lead not found": merged or deleted since its number was told.
const GONE: &str = "1004";

impl Sending {
    /// `held` is what the exchange may have in hand.
    pub fn new(settings: Settings, held: Held, batch: Vec<Item>) -> Self {
        let n = batch.len();
        let mut sending = Self {
            settings,
            held,
            outcomes: vec![None; n],
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
        let (mut written, mut looked_up) = (Vec::new(), Vec::new());
        for (n, item) in sending.batch.iter().enumerate() {
            let refusal = match body::check(&item.activation) {
                Err(refusal) => Some(refusal),
                Ok(()) => (item.may_have_left && sending.gives_up(&item.activation)).then_some((
                    "unclear",
                    "the campaign may have been requested, and Marketo cannot be asked: replayed, it is requested again",
                )),
            };
            match refusal {
                Some((code, words)) => {
                    sending.outcomes[n] = Some((0, Outcome::Refused { code: code.into(), words: words.into() }));
                }
                None if !sending.held.take(body::email(&item.activation).unwrap_or_default()) => sending.busy.push(n),
                None if body::is_looked_up(&item.activation.action) => looked_up.push(n),
                None => written.push(n),
            }
        }
        sending.find(&looked_up);
        let people = sending.by_address(written);
        let people = sending.import(people);
        sending.sync(people);
        sending
    }

    /// The records of each address.
    fn by_address(&self, places: Vec<usize>) -> Vec<Vec<usize>> {
        let records = places.into_iter().filter_map(|n| Some((n, self.activation(n)?)));
        body::by_address(records)
    }

    /// Looks these up by their addresses.
    fn find(&mut self, places: &[usize]) {
        self.todo.extend(places.chunks(find::ADDRESSES).map(|some| Call::Find(Find::new(some.to_vec()))));
    }

    /// Writes these people, each in one call with all of their records.
    fn sync(&mut self, people: Vec<Vec<usize>>) {
        for some in people.chunks(RECORDS) {
            let mut places = some.concat();
            places.sort_unstable();
            self.todo.push_back(Call::Sync(places));
        }
    }

    /// Imports, for each list and what is known of leads, where there are enough who need no number; gives back the others.
    fn import(&mut self, people: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
        let bulk_from = self.settings.bulk_from;
        if bulk_from == 0 || people.len() < bulk_from {
            return people;
        }
        let mut files: BTreeMap<import::Kind, Vec<Vec<usize>>> = BTreeMap::new();
        let mut others = Vec::new();
        for places in people {
            let records: Vec<_> = places.iter().filter_map(|n| self.activation(*n)).collect();
            match import::kind(&self.settings, &records) {
                Some(kind) => files.entry(kind).or_default().push(places),
                None => others.push(places),
            }
        }
        for (kind, people) in files {
            if people.len() >= bulk_from && self.held.may_import() {
                self.todo.push_back(Call::Import(Box::new(Import::new(kind, people))));
            } else {
                others.extend(people);
            }
        }
        others
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
                let of = |n: &usize| self.activation(*n).and_then(body::email);
                let mut addresses: Vec<&str> = find.places.iter().filter_map(of).collect();
                addresses.sort_unstable();
                addresses.dedup();
                let (query, body) = find.call(&addresses);
                Request { query, content_type: form::TYPE, ..self.settings.call(Method::Post, LEADS, body) }
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
            Call::Campaign(places) => {
                let activation = first(places)?;
                let tokens = campaign::tokens(&self.settings, activation);
                let path = format!("/rest/v1/campaigns/{}/trigger.json", activation.action.of());
                self.settings.call(Method::Post, path, campaign::body(&leads(places), &tokens))
            }
            Call::Look(look) => {
                let (method, path, query, body) = look.call();
                let content_type = if body.is_empty() { "application/json" } else { form::TYPE };
                Request { query, content_type, ..self.settings.call(method, path, body) }
            }
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
        let status = match answer {
            Answer::Came(response) => response.status,
            _ => 0,
        };
        if let Call::Import(import) = call {
            return self.imported(*import, status, answer, now);
        }
        match answer::verdict(answer, now) {
            Verdict::Records(records) => match call {
                Call::Sync(places) => self.synced(&places, status, &records, now),
                Call::Find(find) => self.looked_up(find, status, answer, now),
                Call::Add(places) => self.added(&places, status, &records, now),
                Call::Look(look) => self.looked(look, answer, now),
                Call::Members(places) => self.listed(&places, status, &records, now),
                // The answer names the campaign and nobody's outcome.
                Call::Campaign(places) => self.set(&places, status, &Outcome::Accepted),
                Call::Import(_) => {}
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
                        Call::Find(_) | Call::Members(_) | Call::Import(_) => false,
                    };
                    let again = if may_have_left { now + self.settings.look_after } else { now };
                    let words = words.as_str().into();
                    let later = Outcome::Later { not_before: again, words, is_throttled: false, may_have_left };
                    self.set(&[place], status, &later);
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
        let is_of_leads = matches!(call, Call::Add(_) | Call::Members(_) | Call::Campaign(_));
        if code == GONE && is_of_leads && self.write_again(&places) {
            return;
        }
        if places.len() > 1 && call.is_parted_by(code) {
            let (a, b) = places.split_at(places.len() / 2);
            self.todo.push_front(call.about(b.to_vec()));
            self.todo.push_front(call.about(a.to_vec()));
        } else {
            self.set(&places, status, &Outcome::Refused { code: code.into(), words: words.into() });
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

    // === imports ===

    /// An import goes on, or is through.
    fn imported(&mut self, import: Import, status: u16, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let verdict = answer::verdict(answer, now);
        let step = match (answer, verdict) {
            (Answer::Came(response), verdict) if import.is_file(response) || matches!(verdict, Verdict::Records(_)) => {
                let batch = &self.batch;
                import.read(response, now, |place| body::email(&batch.get(place)?.activation))
            }
            (_, Verdict::Refused(code, words)) => {
                self.import_refused(import, status, &code, &words);
                return None;
            }
            // What the vendor works on is asked for again; it may not be made a second time meanwhile.
            (_, Verdict::Down { .. }) if !import.is_new() => import.again(now, now),
            (_, Verdict::Halt(Halt::Quota { until, .. })) if !import.is_new() && until <= now + PATIENCE => {
                import.again(until, now)
            }
            (_, Verdict::Down { words, is_unclear }) => {
                let not_before = if is_unclear { now + AT_WORK } else { now };
                let later = Outcome::Later {
                    not_before,
                    words: words.as_str().into(),
                    is_throttled: false,
                    may_have_left: false,
                };
                self.set(&import.places(), status, &later);
                return Some(Halt::Down(words));
            }
            // An instance, or a role, without imports has calls.
            (_, Verdict::Halt(Halt::Configuration(_))) if import.is_new() => import::Step::Nothing(import),
            (_, Verdict::Halt(halt)) => {
                self.waiting.push((now, import));
                return Some(halt);
            }
            (_, Verdict::Records(_)) => import::Step::Lost(import, "the answer tells nothing of the import"),
        };
        self.step(step, status, now);
        None
    }

    fn import_refused(&mut self, import: Import, status: u16, code: &str, words: &str) {
        let now = self.now;
        let step = match code {
            _ if !import.is_new() => import::Step::Lost(import, "the import is not known any more"),
            // Ten are queued, or the list is at work in another import.
            "1016" | "1019" | "1029" => import.wait_for_queue(now),
            "413" | "too_large" if import.people.len() > 1 => {
                for half in import.halves() {
                    self.todo.push_front(Call::Import(Box::new(half)));
                }
                return;
            }
            // A list that is not there is one trigger's matter.
            "1013" if import.list.is_some() => {
                let refused = Outcome::Refused { code: code.into(), words: words.into() };
                return self.set(&import.places(), status, &refused);
            }
            // What else is wrong with it, calls find out record by record.
            _ => import::Step::Nothing(import),
        };
        self.step(step, status, now);
    }

    fn step(&mut self, step: import::Step, status: u16, now: Timestamp) {
        match step {
            import::Step::Ask(import) => self.todo.push_front(Call::Import(Box::new(import))),
            import::Step::Wait(import, until) => self.waiting.push((until, import)),
            import::Step::Through(import, failed) => {
                self.set(&import.places(), status, &Outcome::Accepted);
                self.fail(&import, status, &failed);
            }
            // Once more by calls, whoever it was: writing a lead twice is writing it once.
            import::Step::Unsure(import, failed) => {
                self.fail(&import, status, &failed);
                let is_known = |n: usize| failed.iter().any(|(place, _)| *place == n);
                let rest = import.people.into_iter().enumerate().filter(|(n, _)| !is_known(*n));
                let rest = rest.map(|(_, places)| places).collect();
                self.sync(rest);
            }
            import::Step::Nothing(import) => self.sync(import.people),
            import::Step::Lost(import, words) => {
                let not_before = now + AT_WORK;
                let later =
                    Outcome::Later { not_before, words: words.into(), is_throttled: false, may_have_left: false };
                self.set(&import.places(), status, &later);
            }
        }
    }

    fn fail(&mut self, import: &Import, status: u16, failed: &[(usize, String)]) {
        for (place, words) in failed {
            let words = if words.is_empty() { "the import failed for this lead" } else { words };
            let refused = Outcome::Refused { code: "import_failed".into(), words: words.into() };
            self.set(import.people.get(*place).map_or(&[], Vec::as_slice), status, &refused);
        }
    }

    /// Whoever stands in an import that is left to itself is not written before it can be through.
    fn leave_imports(&mut self) {
        let asked = match self.asked.take() {
            Some(Call::Import(import)) => Some(*import),
            _ => None,
        };
        let not_before = self.now + AT_WORK;
        for import in self.waiting.drain(..).map(|(_, import)| import).chain(asked).collect::<Vec<_>>() {
            if import.is_new() {
                continue;
            }
            let words = "the vendor works on an import that nobody waits for any more".into();
            let later = Outcome::Later { not_before, words, is_throttled: true, may_have_left: false };
            self.set(&import.places(), 0, &later);
        }
    }

    // === records ===

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
        self.todo.extend(events.chunks(RECORDS).map(|some| Call::Add(some.to_vec())));
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
        for places in lists.into_values() {
            let mut calls: Vec<Vec<usize>> = Vec::new();
            let mut told = 0;
            for place in places {
                let leads = self.told(place).len();
                match calls.last_mut().filter(|_| told + leads <= RECORDS) {
                    Some(call) => call.push(place),
                    None => {
                        calls.push(vec![place]);
                        told = 0;
                    }
                }
                told += leads;
            }
            self.todo.extend(calls.into_iter().map(Call::Members));
        }
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

    /// Who has no lead is in no list: there is nothing to take out, and nobody is made for it.
    fn looked_up(&mut self, find: Find, status: u16, answer: &Answer, now: Timestamp) {
        let Answer::Came(response) = answer else { return };
        let (places, leads) = match find.next(&response.json()) {
            find::Step::More(find) => return self.todo.push_front(Call::Find(find)),
            find::Step::Found(places, leads) => (places, leads),
            find::Step::Unread(places) => {
                for place in places {
                    self.skipped(place, status, "no_result", "the answer about this address has no end", true, now);
                }
                return;
            }
        };
        for place in places {
            let address = self.activation(place).and_then(body::email).map(str::to_lowercase);
            let mine = address.and_then(|address| leads.get(&address)).cloned().unwrap_or_default();
            if mine.is_empty() {
                self.set(&[place], status, &Outcome::Accepted);
                continue;
            }
            if let Some(slot) = self.found.get_mut(place) {
                *slot = mine;
            }
            self.ready.push(place);
        }
    }

    fn added(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
        let mut gone = Vec::new();
        for (n, place) in places.iter().enumerate() {
            match records.get(n) {
                Some(Record::Done(_)) => self.set(&[*place], status, &Outcome::Accepted),
                Some(Record::Skipped { code, .. }) if code == GONE && self.is_here(*place) => gone.push(*place),
                Some(Record::Skipped { code, words, is_passing }) => {
                    self.skipped(*place, status, code, words, *is_passing || code == GONE, now);
                }
                None => {
                    self.skipped(*place, status, "no_result", "the answer does not speak of this activity", true, now)
                }
            }
        }
        self.write_again(&gone);
    }

    /// False when its lead was gone before, and was written once more.
    fn is_here(&self, place: usize) -> bool {
        self.was_gone.get(place) == Some(&false)
    }

    /// Results come in the order of the input, in which each lead stands once; a removal may be of several leads.
    fn listed(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
        let leads = body::each_once(places.iter().flat_map(|n| self.told(*n)).copied());
        let results: HashMap<u64, &Record> = leads.into_iter().zip(records).collect();
        let mut gone = Vec::new();
        for place in places {
            let is_well = |record: &Option<&&Record>| match record {
                Some(Record::Done(_)) => true,
                // Who is not in the list is out of it.
                Some(Record::Skipped { code, .. }) => code == "1015",
                None => false,
            };
            let mut mine = self.told(*place).iter().map(|lead| results.get(lead));
            match mine.find(|record| !is_well(record)) {
                None => self.set(&[*place], status, &Outcome::Accepted),
                Some(Some(Record::Skipped { code, .. })) if code == GONE && self.is_here(*place) => gone.push(*place),
                Some(Some(Record::Skipped { code, words, is_passing })) => {
                    self.skipped(*place, status, code, words, *is_passing || code == GONE, now);
                }
                Some(_) => {
                    self.skipped(*place, status, "no_result", "the answer does not speak of this lead", true, now);
                }
            }
        }
        self.write_again(&gone);
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
    fn keep_unsent(&mut self, words: &str) {
        for (item, outcome) in self.batch.iter().zip(&mut self.outcomes) {
            if outcome.is_none() && item.activation.action.kind() == ActionKind::Campaign {
                let (not_before, words, may_have_left) = (self.now, words.into(), item.may_have_left);
                *outcome = Some((0, Outcome::Later { not_before, words, is_throttled: true, may_have_left }));
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
            self.set(&[place], 0, &later);
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
        Next::Done { outcomes: std::mem::take(&mut self.outcomes), halt }
    }

    fn so_far(&mut self) -> Vec<Option<(u16, Outcome)>> {
        self.keep_unsent("it was stopped before it left");
        self.leave_imports();
        std::mem::take(&mut self.outcomes)
    }
}
