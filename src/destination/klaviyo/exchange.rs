//! One batch with Klaviyo: events one by one or in bulk; profiles, and after them the lists that they go into or out of.

use std::collections::{BTreeMap, VecDeque};

use super::answer::{self, Verdict};
use super::{Settings, body, profile};
use crate::destination::{Exchange, Halt, Item, Next};
use crate::model::http::{Answer, Auth, Method, Request};
use crate::model::{Action, ActionKind, Outcome, PersonId, Timestamp};

/// Times that a refused bulk is sent again without those it named; then one by one.
const ROUNDS: usize = 5;
/// "5 MB" of a bulk of events.
const LARGEST: usize = 5_000_000;

/// A batch under way.
pub struct Sending {
    settings: Settings,
    batch: Vec<Item>,
    outcomes: Vec<Option<(u16, Outcome)>>,
    /// The profile's id of each record whose profile is there.
    profiles: Vec<Option<String>>,
    /// Calls to be made: places in the batch, together or alone.
    todo: VecDeque<Call>,
    /// Records whose profile is there, and who go into or out of a list when all others' are.
    listed: Vec<usize>,
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
}

impl Call {
    fn places(&self) -> &[usize] {
        match self {
            Self::Single(n) => std::slice::from_ref(n),
            Self::Bulk(places, _) | Self::Import(places) | Self::Members(places) => places,
        }
    }
}

impl Sending {
    pub fn new(settings: Settings, batch: Vec<Item>) -> Self {
        let n = batch.len();
        let mut sending = Self {
            settings,
            outcomes: vec![None; n],
            profiles: vec![None; n],
            todo: VecDeque::new(),
            listed: Vec::new(),
            asked: None,
            batch,
        };
        let mut events = Vec::new();
        let mut people: BTreeMap<PersonId, Vec<usize>> = BTreeMap::new();
        for (n, item) in sending.batch.iter().enumerate() {
            match body::check(&item.activation) {
                Ok(()) if item.activation.action.kind() == ActionKind::Event => events.push(n),
                Ok(()) => people.entry(item.activation.person).or_default().push(n),
                Err((code, words)) => sending.outcomes[n] = Some((0, refused(code, &words))),
            }
        }
        let bulk_from = sending.settings.bulk_from;
        if bulk_from > 0 && events.len() >= bulk_from {
            sending.todo.push_back(Call::Bulk(events, 0));
        } else {
            sending.todo.extend(events.into_iter().map(Call::Single));
        }
        sending.todo.extend(people.into_values().map(Call::Import));
        sending
    }

    fn action(&self, place: usize) -> Option<&Action> {
        Some(&self.batch.get(place)?.activation.action)
    }

    /// The request, or `None` when the body would be larger than the vendor takes.
    fn request(&self, call: &Call, now: Timestamp) -> Option<Request> {
        let backfill = self.settings.backfill_before(now);
        let of = |n: &usize| Some(&self.batch.get(*n)?.activation);
        let (method, path, family, body, largest) = match call {
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
        (body.len() <= largest).then(|| Request {
            method,
            path,
            query: Vec::new(),
            headers: vec![
                ("revision".into(), self.settings.revision.clone()),
                ("accept".into(), "application/vnd.api+json".into()),
            ],
            content_type: "application/vnd.api+json",
            auth: Auth::Header("Klaviyo-API-Key", self.settings.api_key.clone()),
            body,
            family: family.into(),
            timeout: self.settings.timeout,
        })
    }

    /// Takes an answer in. A halt ends the exchange; what has no outcome then stays as it was.
    fn read(&mut self, call: Call, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let status = match answer {
            Answer::Came(response) => response.status,
            _ => 0,
        };
        if status == 404
            && let Call::Members(places) = &call
        {
            // A list is one trigger's matter: the lane goes on.
            self.set(places, status, &refused("404", "there is no such list in the account"));
            return None;
        }
        match answer::verdict(answer, now) {
            Verdict::All(_) if matches!(call, Call::Import(_)) => self.imported(call.places(), status, answer, now),
            Verdict::All(outcome) => self.set(call.places(), status, &outcome),
            Verdict::Down(outcome, words) => {
                self.set(call.places(), status, &outcome);
                return Some(Halt::Down(words));
            }
            Verdict::Halt(halt) => return Some(halt),
            Verdict::TooLarge => self.too_large(&call, status),
            Verdict::Named(named, code, words) => self.named(call, status, (&named, &code, &words), now),
        }
        None
    }

    /// A profile is there now: that was all, or its list is next.
    fn imported(&mut self, places: &[usize], status: u16, answer: &Answer, now: Timestamp) {
        let id = match answer {
            Answer::Came(response) => response.json().pointer("/data/id").and_then(|id| Some(id.as_str()?.to_owned())),
            _ => None,
        };
        for place in places {
            match (self.action(*place), &id) {
                (Some(Action::Profile), _) => self.set(&[*place], status, &Outcome::Accepted),
                (_, Some(id)) => {
                    if let Some(slot) = self.profiles.get_mut(*place) {
                        *slot = Some(id.clone());
                    }
                    self.listed.push(*place);
                }
                (_, None) => self.set(&[*place], status, &answer::later(now, "the answer names no profile")),
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
            _ => self.set(call.places(), status, &refused("too_large", "it is larger than Klaviyo takes")),
        }
    }

    /// A refusal: of those it names, or of all when the call had one. The rest was not taken and is sent again.
    fn named(&mut self, call: Call, status: u16, said: (&[(usize, String)], &str, &str), now: Timestamp) {
        let (named, code, words) = said;
        let (places, round) = match call {
            Call::Single(n) => return self.set(&[n], status, &refused(code, words)),
            Call::Import(places) => return self.set(&places, status, &refused(code, words)),
            Call::Members(places) if places.len() > 1 => {
                // One id that is none refuses all of them, and the words are the only ones to say which.
                let (a, b) = places.split_at(places.len() / 2);
                self.todo.push_front(Call::Members(b.to_vec()));
                self.todo.push_front(Call::Members(a.to_vec()));
                return;
            }
            // The profile was there a moment ago: it was merged into another, whose id the next import learns.
            Call::Members(places) => {
                return self.set(&places, status, &answer::later(now, &format!("{code}: {words}")));
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
                        self.set(&[*place], status, &refused(code, words));
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
        loop {
            if self.todo.is_empty() {
                self.list();
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
}
