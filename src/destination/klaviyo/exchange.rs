//! One batch with Klaviyo: events one by one or in bulk; profiles, and after them the lists that they go into or out of;
//! or, of many, a job that does both.

use std::collections::{BTreeMap, VecDeque};

use super::answer::{self, Verdict};
use super::job::{self, Job};
use super::word::{self, Word};
use super::{Settings, body, profile};
use crate::destination::outcomes::Outcomes;
use crate::destination::{Exchange, Halt, Item, Next};
use crate::model::http::{Answer, Method, Request};
use crate::model::{Action, ActionKind, Activation, Outcome, PersonId, Span, Timestamp};

/// Times that a refused bulk is sent again without those it named; then one by one.
const ROUNDS: usize = 5;
/// Erasures of one batch: a minute's worth of them. More would hold the lane's places for as long as they take.
const ERASURES: usize = 50;
/// "5 MB" of a bulk of events or profiles.
const LARGEST: usize = 5_000_000;

/// A batch under way.
pub struct Sending {
    settings: Settings,
    batch: Vec<Item>,
    outcomes: Outcomes,
    /// The profile's id of each record whose profile is there.
    profiles: Vec<Option<String>>,
    /// Calls to be made: places in the batch, together or alone.
    todo: VecDeque<Call>,
    /// Records whose profile is there, and who go into or out of a list when all others' are.
    listed: Vec<usize>,
    /// Jobs that the vendor works on, and when they are asked for next.
    waiting: Vec<(Timestamp, Job)>,
    /// Erasures that come in another batch.
    postponed: Vec<usize>,
    /// The call whose answer is awaited.
    asked: Option<Call>,
}

#[derive(Clone, Debug)]
enum Call {
    /// Events together, in this round.
    Bulk(Vec<usize>, usize),
    /// One event.
    Single(usize),
    /// The profile of one person, of whom these records are.
    Import(Vec<usize>),
    /// Into a list, or out of it: all the same.
    Members(Vec<usize>),
    /// Many profiles, into one list or none.
    Job(Box<Job>),
    /// What is passed on without a trigger.
    Word(Word),
}

impl Call {
    fn places(&self) -> Vec<usize> {
        match self {
            Self::Single(n) => vec![*n],
            Self::Bulk(places, _) | Self::Import(places) | Self::Members(places) => places.clone(),
            Self::Job(job) => job.places(),
            Self::Word(word) => word.places(),
        }
    }
}

impl Sending {
    pub fn new(settings: Settings, batch: Vec<Item>) -> Self {
        let n = batch.len();
        let mut sending = Self {
            settings,
            outcomes: Outcomes::new(n),
            profiles: vec![None; n],
            todo: VecDeque::new(),
            listed: Vec::new(),
            waiting: Vec::new(),
            postponed: Vec::new(),
            asked: None,
            batch,
        };
        let mut events = Vec::new();
        let mut people: BTreeMap<PersonId, Vec<usize>> = BTreeMap::new();
        let mut words: BTreeMap<ActionKind, Vec<usize>> = BTreeMap::new();
        for (n, item) in sending.batch.iter().enumerate() {
            match body::check(&item.activation) {
                Ok(()) if item.activation.action.kind() == ActionKind::Event => events.push(n),
                Ok(()) if !ActionKind::OF_TRIGGERS.contains(&item.activation.action.kind()) => {
                    words.entry(item.activation.action.kind()).or_default().push(n);
                }
                Ok(()) => people.entry(item.activation.person).or_default().push(n),
                Err((code, words)) => sending.outcomes.refuse(&[n], 0, code, &words),
            }
        }
        let mut erasures = words.remove(&ActionKind::Erase).unwrap_or_default();
        sending.postponed = erasures.split_off(erasures.len().min(ERASURES));
        for (kind, places) in words {
            let entries = |n: usize| sending.activation(n).map_or(0, |one| word::addresses(one).len());
            let calls = Word::calls(kind, &places, entries);
            sending.todo.extend(calls.into_iter().map(Call::Word));
        }
        let Settings { bulk_from, urgent, .. } = sending.settings;
        // What is urgent does not wait for the vendor's queue of jobs, unless there is as much of it.
        let (urgent, rest): (Vec<usize>, Vec<usize>) =
            events.into_iter().partition(|n| sending.activation(*n).is_some_and(|one| one.priority >= urgent));
        for events in [urgent, rest] {
            if bulk_from > 0 && events.len() >= bulk_from {
                sending.todo.push_back(Call::Bulk(events, 0));
            } else {
                sending.todo.extend(events.into_iter().map(Call::Single));
            }
        }
        sending.import(people.into_values().collect());
        // They are the slowest calls of all, and nobody waits for them.
        sending.todo.extend(erasures.into_iter().map(|place| Call::Word(Word::Erase(place, 0))));
        sending
    }

    /// Profiles one by one; of many, in a job for each list. Nothing takes many out of a list but their ids.
    fn import(&mut self, people: Vec<Vec<usize>>) {
        let bulk_from = self.settings.bulk_from;
        if bulk_from == 0 || people.len() < bulk_from {
            return self.todo.extend(people.into_iter().map(Call::Import));
        }
        let mut jobs: BTreeMap<Option<Box<str>>, Vec<Vec<usize>>> = BTreeMap::new();
        for places in people {
            let mut parts: BTreeMap<Option<Box<str>>, Vec<usize>> = BTreeMap::new();
            let mut alone = Vec::new();
            for place in places {
                match self.action(place) {
                    Some(Action::AddToList(list)) => parts.entry(Some((&**list).into())).or_default().push(place),
                    Some(Action::Profile) => parts.entry(None).or_default().push(place),
                    _ => alone.push(place),
                }
            }
            for (list, places) in parts {
                jobs.entry(list).or_default().push(places);
            }
            if !alone.is_empty() {
                self.todo.push_back(Call::Import(alone));
            }
        }
        for (list, people) in jobs {
            if people.len() >= bulk_from {
                self.todo.push_back(Call::Job(Box::new(Job::new(list, people, 0))));
            } else {
                self.todo.extend(people.into_iter().map(Call::Import));
            }
        }
    }

    fn activation(&self, place: usize) -> Option<&Activation> {
        Some(&self.batch.get(place)?.activation)
    }

    fn action(&self, place: usize) -> Option<&Action> {
        Some(&self.activation(place)?.action)
    }

    /// The request, or `None` when the body would be larger than the vendor takes.
    fn request(&self, call: &Call, now: Timestamp) -> Option<Request> {
        let backfill = self.settings.backfill_before(now);
        let of = |n: &usize| Some(&self.batch.get(*n)?.activation);
        let mut query = Vec::new();
        let (method, path, family, body, largest) = match call {
            Call::Job(job) => {
                let last = |places: &Vec<usize>| places.last().and_then(of);
                let profiles = job.people.iter().filter_map(last);
                let profiles = profiles.map(|activation| profile::attributes(activation, job.list.is_none()));
                let (method, path, cursor, body) = job.call(profiles);
                query.extend(cursor.map(|cursor| ("page[cursor]".into(), cursor)));
                (method, path, "jobs", body, LARGEST)
            }
            Call::Word(word) => {
                let (path, family, body) = word.call(&self.settings, |n| self.activation(n));
                (Method::Post, path.to_owned(), family, body, LARGEST)
            }
            Call::Single(n) => {
                let body = of(n).map(|activation| body::single(activation, backfill)).unwrap_or_default();
                (Method::Post, "/api/events".to_owned(), "events", body, LARGEST)
            }
            Call::Bulk(places, _) => {
                let activations: Vec<_> = places.iter().filter_map(of).collect();
                let path = "/api/event-bulk-create-jobs".to_owned();
                (Method::Post, path, "bulk", body::bulk(&activations, backfill).0, LARGEST)
            }
            Call::Import(places) => {
                let is_whole = places.iter().any(|n| self.action(*n) == Some(&Action::Profile));
                // The last says what is known.
                let body = places.last().and_then(of).map(|last| profile::import(last, is_whole)).unwrap_or_default();
                (Method::Post, "/api/profile-import".to_owned(), "profiles", body, profile::LARGEST)
            }
            Call::Members(places) => {
                let ids: Vec<&str> = places.iter().filter_map(|n| self.profiles.get(*n)?.as_deref()).collect();
                let action = places.first().and_then(|n| self.action(*n));
                let is_removal = action.is_some_and(|action| action.kind() == ActionKind::RemoveFromList);
                let method = if is_removal { Method::Delete } else { Method::Post };
                let list = action.map(Action::of).unwrap_or_default();
                let path = format!("/api/lists/{list}/relationships/profiles");
                (method, path, "lists", profile::members(&ids), LARGEST)
            }
        };
        (body.len() <= largest).then(|| Request { query, ..self.settings.call(method, path, family, body) })
    }

    /// Takes an answer in. A halt ends the exchange; what has no outcome then stays as it was.
    fn read(&mut self, call: Call, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let status = answer.status();
        if status == 404 {
            // A list is one trigger's matter: the lane goes on.
            let missing = refused("404", "there is no such list in the account");
            match &call {
                Call::Members(places) => return self.only(places, status, &missing),
                Call::Job(job) if job.is_new() && job.list.is_some() => {
                    return self.only(&job.places(), status, &missing);
                }
                Call::Job(job) if !job.is_new() => {
                    return self.only(&job.places(), status, &answer::later(now, "the job is not known any more"));
                }
                // Whether that is said of somebody who is not known there is not documented: somebody has to look.
                Call::Word(Word::Erase(place, n)) => {
                    self.outcomes.refuse(&[*place], status, "404", "the vendor does not find whom to forget");
                    self.erased(*place, *n, status);
                    return None;
                }
                Call::Word(Word::Together(ActionKind::Subscribe, places, _))
                    if self.settings.consent_list().is_some() =>
                {
                    return self.only(&places.clone(), status, &missing);
                }
                _ => {}
            }
        }
        // A scope that the key lacks for these is no reason to hold everything else.
        if let (403, Call::Word(word), Answer::Came(response)) = (status, &call, answer)
            && !response.json().is_null()
        {
            return self.only(&word.places(), status, &refused("403", word::NO_SCOPE));
        }
        match answer::verdict(answer, now) {
            Verdict::All(outcome) => match call {
                Call::Import(places) => self.imported(&places, status, answer, now),
                Call::Job(job) => self.job(*job, status, answer, now),
                Call::Word(Word::Erase(place, n)) => self.erased(place, n, status),
                _ => self.outcomes.set(&call.places(), status, &outcome),
            },
            Verdict::Down(outcome, words) => {
                self.outcomes.set(&call.places(), status, &outcome);
                return Some(Halt::Down(words));
            }
            Verdict::Halt(halt) => return Some(halt),
            Verdict::TooLarge => self.too_large(&call, status),
            Verdict::Named(named, code, words) => self.named(call, status, (&named, &code, &words), now),
        }
        None
    }

    /// The outcome of a call, which stops nothing.
    fn only(&mut self, places: &[usize], status: u16, outcome: &Outcome) -> Option<Halt> {
        self.outcomes.set(places, status, outcome);
        None
    }

    /// One address of somebody is asked to be forgotten, or was refused; then the next of theirs.
    fn erased(&mut self, place: usize, n: usize, status: u16) {
        if self.activation(place).is_some_and(|one| n + 1 < word::addresses(one).len()) {
            self.todo.push_front(Call::Word(Word::Erase(place, n + 1)));
        } else if self.outcomes.is_open(place) {
            self.outcomes.set(&[place], status, &Outcome::Accepted);
        }
    }

    /// A call that was refused as a whole is made again without those whom the vendor named.
    fn unsaid(&mut self, word: Word, status: u16, (named, code, words): (&[(usize, String)], &str, &str)) {
        let (kind, places, round) = match word {
            Word::Together(kind, places, round) if places.len() > 1 => (kind, places, round),
            Word::Together(_, places, _) => return self.outcomes.refuse(&places, status, code, words),
            Word::Erase(place, n) => {
                self.outcomes.refuse(&[place], status, code, words);
                return self.erased(place, n, status);
            }
        };
        let whose = Word::whose(&places, |n| self.activation(n));
        for (entry, words) in named {
            if let Some(place) = whose.get(*entry) {
                self.outcomes.refuse(&[*place], status, code, words);
            }
        }
        let is_named = |place: &usize| named.iter().any(|(entry, _)| whose.get(*entry) == Some(place));
        let rest: Vec<usize> = places.iter().copied().filter(|place| !is_named(place)).collect();
        if rest.len() == places.len() || round + 1 >= ROUNDS {
            let alone = rest.into_iter().map(|place| Call::Word(Word::Together(kind, vec![place], 0)));
            self.todo.extend(alone);
        } else if !rest.is_empty() {
            self.todo.push_back(Call::Word(Word::Together(kind, rest, round + 1)));
        }
    }

    /// A job goes on, or is through.
    fn job(&mut self, job: Job, status: u16, answer: &Answer, now: Timestamp) {
        let Answer::Came(response) = answer else { return };
        match job.read(&response.json(), now) {
            job::Step::Ask(job) => self.todo.push_front(Call::Job(Box::new(job))),
            job::Step::Wait(job, until) => self.waiting.push((until, job)),
            job::Step::Lost(job, words) => self.outcomes.set(&job.places(), status, &answer::later(now, words)),
            job::Step::Through(job, failed) => {
                self.outcomes.set(&job.places(), status, &Outcome::Accepted);
                self.fail(&job, status, &failed);
            }
            // Once more, one by one, whoever it was: writing a profile twice is writing it once.
            job::Step::Unsure(job, failed) => {
                let is_known = |n: &usize| failed.iter().any(|(place, _)| place == n);
                let rest = job.people.iter().enumerate().filter(|(n, _)| !is_known(n));
                self.todo.extend(rest.map(|(_, places)| Call::Import(places.clone())));
                self.fail(&job, status, &failed);
            }
        }
    }

    fn fail(&mut self, job: &Job, status: u16, failed: &[(usize, String)]) {
        for (place, words) in failed {
            if let Some(places) = job.people.get(*place) {
                self.outcomes.refuse(places, status, "import_error", words);
            }
        }
    }

    /// A job that was refused as a whole is made again without those whom the vendor named.
    fn renamed(&mut self, job: Job, status: u16, named: &[(usize, String)], now: Timestamp) {
        if !job.is_new() {
            return self.outcomes.set(&job.places(), status, &answer::later(now, "the job cannot be asked for"));
        }
        self.fail(&job, status, named);
        let is_named = |n: &usize| named.iter().any(|(place, _)| place == n);
        let rest: Vec<Vec<usize>> =
            job.people.iter().enumerate().filter(|(n, _)| !is_named(n)).map(|(_, places)| places.clone()).collect();
        if rest.len() == job.people.len() || job.round + 1 >= ROUNDS {
            self.todo.extend(rest.into_iter().map(Call::Import));
        } else if !rest.is_empty() {
            self.todo.push_back(Call::Job(Box::new(Job::new(job.list, rest, job.round + 1))));
        }
    }

    /// A profile is there now: that was all, or its list is next.
    fn imported(&mut self, places: &[usize], status: u16, answer: &Answer, now: Timestamp) {
        let id = match answer {
            Answer::Came(response) => response.json().pointer("/data/id").and_then(|id| Some(id.as_str()?.to_owned())),
            _ => None,
        };
        for place in places {
            match (self.action(*place), &id) {
                (Some(Action::Profile), _) => self.outcomes.set(&[*place], status, &Outcome::Accepted),
                (_, Some(id)) => {
                    if let Some(slot) = self.profiles.get_mut(*place) {
                        *slot = Some(id.clone());
                    }
                    self.listed.push(*place);
                }
                (_, None) => self.outcomes.set(&[*place], status, &answer::later(now, "the answer names no profile")),
            }
        }
    }

    /// The members of each list, when all their profiles are there.
    fn list(&mut self) {
        let mut lists: BTreeMap<Action, Vec<usize>> = BTreeMap::new();
        for place in std::mem::take(&mut self.listed) {
            if let Some(action) = self.action(place) {
                lists.entry(action.clone()).or_default().push(place);
            }
        }
        self.todo.extend(lists.into_values().map(Call::Members));
    }

    fn too_large(&mut self, call: &Call, status: u16) {
        match call {
            Call::Bulk(places, round) if places.len() > 1 => {
                let (a, b) = places.split_at(places.len() / 2);
                self.todo.push_front(Call::Bulk(b.to_vec(), *round));
                self.todo.push_front(Call::Bulk(a.to_vec(), *round));
            }
            Call::Job(job) if job.people.len() > 1 => {
                let (a, b) = job.people.split_at(job.people.len() / 2);
                for half in [b, a] {
                    let half = Job::new(job.list.clone(), half.to_vec(), job.round);
                    self.todo.push_front(Call::Job(Box::new(half)));
                }
            }
            _ => self.outcomes.refuse(&call.places(), status, "too_large", "it is larger than Klaviyo takes"),
        }
    }

    /// A refusal: of those it names, or of all when the call had one. The rest was not taken and is sent again.
    fn named(&mut self, call: Call, status: u16, said: (&[(usize, String)], &str, &str), now: Timestamp) {
        let (named, code, words) = said;
        let (places, round) = match call {
            Call::Single(n) => return self.outcomes.refuse(&[n], status, code, words),
            Call::Import(places) => return self.outcomes.refuse(&places, status, code, words),
            Call::Job(job) => return self.renamed(*job, status, named, now),
            Call::Word(word) => return self.unsaid(word, status, said),
            Call::Members(places) if places.len() > 1 => {
                // One id that is none refuses all of them, and the words are the only ones to say which.
                let (a, b) = places.split_at(places.len() / 2);
                self.todo.push_front(Call::Members(b.to_vec()));
                self.todo.push_front(Call::Members(a.to_vec()));
                return;
            }
            // The profile was there a moment ago: it was merged into another, whose id the next import learns.
            Call::Members(places) => {
                return self.outcomes.set(&places, status, &answer::later(now, &format!("{code}: {words}")));
            }
            Call::Bulk(places, round) => (places, round),
        };
        let activations: Vec<_> = places.iter().filter_map(|n| Some(&self.batch.get(*n)?.activation)).collect();
        // The vendor names profiles by their place in the body.
        let by_profile = body::bulk(&activations, None).1;
        let mut guilty: Vec<usize> = Vec::new();
        for (profile, words) in named {
            for within in by_profile.get(*profile).into_iter().flatten() {
                if let Some(place) = places.get(*within) {
                    guilty.push(*place);
                    // A profile of several events does not say which of them it was; and one that the vendor has
                    // already is refused in bulk, but not alone. They are tried one by one.
                    if by_profile.get(*profile).is_some_and(|events| events.len() > 1) || answer::is_known(words) {
                        self.todo.push_back(Call::Single(*place));
                    } else {
                        self.outcomes.refuse(&[*place], status, code, words);
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

    fn done(&mut self, halt: Option<Halt>) -> Next {
        Next::Done { outcomes: self.outcomes.take(), halt }
    }
}

fn refused(code: &str, words: &str) -> Outcome {
    Outcome::Refused { code: code.into(), words: words.into() }
}

impl Exchange for Sending {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Next {
        if let (Some(call), Some(answer)) = (self.asked.take(), answer)
            && let Some(halt) = self.read(call, &answer, now)
        {
            return self.done(Some(halt));
        }
        for place in std::mem::take(&mut self.postponed) {
            let words = "other people are forgotten first".into();
            let (not_before, is_throttled) = (now + Span::from_minutes(1), true);
            let later = Outcome::Later { not_before, words, is_throttled, may_have_left: false };
            self.outcomes.set(&[place], 0, &later);
        }
        loop {
            if self.todo.is_empty() {
                self.list();
            }
            if self.todo.is_empty()
                && let Some(next) = (0..self.waiting.len()).min_by_key(|n| self.waiting[*n].0)
            {
                if self.waiting[next].0 > now {
                    return Next::Wait(self.waiting[next].0);
                }
                self.todo.push_back(Call::Job(Box::new(self.waiting.swap_remove(next).1)));
            }
            let Some(call) = self.todo.pop_front() else { return self.done(None) };
            match self.request(&call, now) {
                Some(request) => {
                    self.asked = Some(call);
                    return Next::Ask(Box::new(request));
                }
                None => self.too_large(&call, 0),
            }
        }
    }

    /// Events have a key against repeats, and everything else may be done twice.
    fn so_far(&mut self) -> Vec<Option<(u16, Outcome)>> {
        self.outcomes.take()
    }
}
