//! One batch with HubSpot: contacts first, and when all are there their events and the lists they go into. Who is only
//! taken out of a list is looked up, and not made.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::answer::{self, Verdict};
use super::{Contact, Settings, body, directory};
use crate::destination::outcomes::Outcomes;
use crate::destination::{Exchange, Halt, Item, Next};
use crate::model::http::{Answer, Method, Request};
use crate::model::{Action, ActionKind, Activation, Outcome, Timestamp};

/// Contacts in one upsert, and in one read (API reference 2026-03).
const CONTACTS: usize = 100;

/// A batch under way.
pub struct Sending {
    settings: Settings,
    batch: Vec<Item>,
    outcomes: Outcomes,
    /// Of each record whose contact is there.
    contacts: Vec<Option<Contact>>,
    todo: VecDeque<Call>,
    /// Records whose contact is there, and of whom more is to be said when all others' are.
    ready: Vec<usize>,
    asked: Option<Call>,
}

#[derive(Clone, Debug)]
enum Call {
    /// Contacts of these records.
    Upsert(Vec<usize>),
    /// Which contacts are found by what these records have?
    Read(Vec<usize>),
    /// Events of these records, whose contacts are there.
    Send(Vec<usize>),
    /// Contacts of these records into a list, or out of it: all the same.
    Members(Vec<usize>),
    /// The contact of this record is forgotten, by the address of this place among theirs.
    Erase([usize; 1], usize),
}

impl Call {
    fn places(&self) -> &[usize] {
        match self {
            Self::Upsert(places) | Self::Read(places) | Self::Send(places) | Self::Members(places) => places,
            Self::Erase(place, _) => place,
        }
    }

    /// The same about others.
    fn about(&self, places: Vec<usize>) -> Self {
        match self {
            Self::Upsert(_) => Self::Upsert(places),
            Self::Read(_) => Self::Read(places),
            Self::Send(_) => Self::Send(places),
            // Of one record there is nothing to part.
            Self::Members(_) | Self::Erase(..) => Self::Members(places),
        }
    }
}

impl Sending {
    pub fn new(settings: Settings, batch: Vec<Item>) -> Self {
        let n = batch.len();
        let mut sending = Self {
            settings,
            outcomes: Outcomes::new(n),
            contacts: vec![None; n],
            todo: VecDeque::new(),
            ready: Vec::new(),
            asked: None,
            batch,
        };
        let (mut written, mut looked_up) = (Vec::new(), Vec::new());
        for (n, item) in sending.batch.iter().enumerate() {
            let activation = &item.activation;
            let key = match activation.action {
                Action::Erase => body::emails(activation).next(),
                _ => sending.settings.found_by.of(activation),
            };
            match (key, &activation.action) {
                // Whoever is met anew at an address that is forgotten is written after that.
                (Some(_), Action::Erase) => sending.todo.push_back(Call::Erase([n], 0)),
                (Some(_), action) if body::is_looked_up(action) => looked_up.push(n),
                (Some(_), _) => written.push(n),
                (None, Action::Erase) => {
                    let words = "the person has no e-mail address, by which HubSpot forgets";
                    sending.outcomes.refuse(&[n], 0, "no_email", words);
                }
                (None, _) => {
                    let name = &sending.settings.found_by.name;
                    let words = format!("the person has no {name}: a contact of HubSpot is found by it");
                    sending.outcomes.refuse(&[n], 0, &format!("no_{name}"), &words);
                }
            }
        }
        sending.todo.extend(written.chunks(CONTACTS).map(|some| Call::Upsert(some.to_vec())));
        sending.todo.extend(looked_up.chunks(CONTACTS).map(|some| Call::Read(some.to_vec())));
        sending
    }

    fn activation(&self, place: usize) -> Option<&Activation> {
        Some(&self.batch.get(place)?.activation)
    }

    fn request(&self, call: &Call) -> Request {
        let (method, path, family, body) = match call {
            Call::Upsert(places) => {
                let activations: Vec<_> = places.iter().filter_map(|n| self.activation(*n)).collect();
                let path = format!("{}/batch/upsert", self.settings.contacts());
                (Method::Post, path, "crm", body::contacts(&self.settings, &activations))
            }
            Call::Read(places) => {
                let key = &self.settings.found_by;
                let values = key.each_once(places.iter().filter_map(|n| self.activation(*n)));
                return directory::contacts(&self.settings, key, &values);
            }
            Call::Erase([place], n) => {
                let email = self.activation(*place).and_then(|activation| body::emails(activation).nth(*n));
                let path = format!("{}/gdpr-delete", self.settings.contacts());
                (Method::Post, path, "crm", body::erasure(email.unwrap_or_default()))
            }
            Call::Send(places) => {
                let events: Vec<_> = places
                    .iter()
                    .filter_map(|n| Some((self.activation(*n)?, self.contacts.get(*n)?.as_ref()?)))
                    .collect();
                (Method::Post, self.settings.send(), "send", body::events(&self.settings, &events))
            }
            Call::Members(places) => {
                let contacts: Vec<_> =
                    places.iter().filter_map(|n| Some(self.contacts.get(*n)?.as_ref()?.id.as_str())).collect();
                let action = places.first().and_then(|n| Some(&self.activation(*n)?.action));
                let path = action.map(|action| self.settings.members(action)).unwrap_or_default();
                (Method::Put, path, "crm", body::members(&contacts))
            }
        };
        self.settings.call(method, path, family, body)
    }

    fn read(&mut self, call: Call, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let status = answer.status();
        let places = call.places().to_vec();
        // One scope that is missing stops nobody else.
        let scope = match call {
            Call::Erase(..) => {
                "the token may not forget contacts: it needs `crm.objects.contacts.write`, and its user the right to"
            }
            Call::Read(_) => "the token may not look contacts up: it needs `crm.objects.contacts.read`",
            _ => "",
        };
        if status == 403 && !scope.is_empty() {
            self.outcomes.refuse(&places, status, "403", scope);
            return None;
        }
        match answer::verdict(answer, now) {
            Verdict::Done => {
                match call {
                    Call::Upsert(places) => self.upserted(&places, status, answer, now),
                    Call::Read(places) => self.looked_up(&places, status, answer),
                    Call::Send(places) => self.outcomes.set(&places, status, &Outcome::Accepted),
                    Call::Members(places) => self.listed(&places, status, answer, now),
                    Call::Erase([place], n) => self.erased(place, n, status),
                }
                None
            }
            Verdict::Halt(halt) => Some(halt),
            Verdict::Later(outcome) => {
                self.outcomes.set(&places, status, &outcome);
                None
            }
            Verdict::Down(outcome, words) => {
                self.outcomes.set(&places, status, &outcome);
                Some(Halt::Down(words))
            }
            // One bad record refuses the whole call, and one known event too: it is found by halving. A list's refusal
            // is about the list: contacts that are none of it are named in the answer.
            Verdict::Refused(outcome) if places.len() == 1 || matches!(call, Call::Members(_)) => {
                self.outcomes.set(&places, status, &outcome);
                // Another address may be forgotten all the same.
                if let Call::Erase([place], n) = call {
                    self.erased(place, n, status);
                }
                None
            }
            Verdict::Exists if places.len() == 1 => {
                let outcome = match call {
                    Call::Send(_) => Outcome::Duplicate,
                    // Somebody makes the same contact at this moment.
                    Call::Upsert(_) | Call::Read(_) | Call::Members(_) | Call::Erase(..) => {
                        answer::later(now, "somebody else writes this contact (409)")
                    }
                };
                self.outcomes.set(&places, status, &outcome);
                None
            }
            Verdict::Refused(_) | Verdict::Exists => {
                let (a, b) = places.split_at(places.len() / 2);
                self.todo.push_front(call.about(b.to_vec()));
                self.todo.push_front(call.about(a.to_vec()));
                None
            }
        }
    }

    /// Contacts that are there now: that was all, or their events and lists are next. Those that the vendor named are
    /// refused.
    fn upserted(&mut self, places: &[usize], status: u16, answer: &Answer, now: Timestamp) {
        let Answer::Came(response) = answer else { return };
        let key = &self.settings.found_by.clone();
        let results = answer::upserts(response, key);
        if results.contacts.is_empty() && results.errors.is_empty() {
            // Seen in the field: a 2xx that wrote nothing.
            self.outcomes.set(places, status, &answer::later(now, "a 2xx answer without results: nothing was written"));
            return;
        }
        for place in places {
            let Some(activation) = self.activation(*place) else { continue };
            let value = key.of(activation).unwrap_or_default();
            let is_all = activation.action == Action::Profile;
            let trace = body::trace(key, value);
            let contact = results.contacts.get(&trace).or_else(|| results.contacts.get(&key.same(value)));
            if let Some(contact) = contact {
                if is_all {
                    self.outcomes.set(&[*place], status, &Outcome::Accepted);
                    continue;
                }
                if let Some(slot) = self.contacts.get_mut(*place) {
                    *slot = Some(contact.clone());
                }
                self.ready.push(*place);
            } else if let Some((code, words)) = results.errors.get(&trace) {
                self.outcomes.refuse(&[*place], status, code, words);
            } else {
                self.outcomes.set(&[*place], status, &answer::later(now, "the answer does not speak of this contact"));
            }
        }
    }

    /// Who is no contact is in no list: there is nothing to take out, and nobody is made for it. A contact that answers to
    /// none of the addresses has one that it does not tell; so those who seem to be missing are read one by one.
    fn looked_up(&mut self, places: &[usize], status: u16, answer: &Answer) {
        let Answer::Came(response) = answer else { return };
        let key = self.settings.found_by.clone();
        let contacts = answer::read(response, &key);
        let mut by_address: HashMap<&str, &str> = HashMap::new();
        for (id, addresses) in &contacts {
            by_address.extend(addresses.iter().map(|address| (address.as_str(), id.as_str())));
        }
        let mut answering: HashSet<&str> = HashSet::new();
        let mut missing = Vec::new();
        for place in places {
            let address = key.same(self.activation(*place).and_then(|one| key.of(one)).unwrap_or_default());
            let known = by_address.get(address.as_str()).copied();
            // What one address alone was asked for is the contact of it.
            let alone = contacts.first().filter(|_| places.len() == 1).map(|(id, _)| id.as_str());
            match known.or(alone) {
                Some(id) => {
                    answering.insert(id);
                    if let Some(slot) = self.contacts.get_mut(*place) {
                        *slot = Some(Contact { id: id.to_owned(), created: None });
                    }
                    self.ready.push(*place);
                }
                None => missing.push(*place),
            }
        }
        if contacts.iter().all(|(id, _)| answering.contains(id.as_str())) {
            self.outcomes.set(&missing, status, &Outcome::Accepted);
        } else {
            self.todo.extend(missing.into_iter().map(|place| Call::Read(vec![place])));
        }
    }

    /// When all contacts are there: one call of events, and one for each list.
    fn follow(&mut self) {
        let mut events = Vec::new();
        let mut lists: BTreeMap<Action, Vec<usize>> = BTreeMap::new();
        for place in std::mem::take(&mut self.ready) {
            match self.activation(place).map(|activation| &activation.action) {
                Some(action) if action.kind() == ActionKind::Event => events.push(place),
                Some(action) => lists.entry(action.clone()).or_default().push(place),
                None => {}
            }
        }
        if !events.is_empty() {
            self.todo.push_back(Call::Send(events));
        }
        self.todo.extend(lists.into_values().map(Call::Members));
    }

    /// One address is forgotten, or was refused; the next one, until all are.
    fn erased(&mut self, place: usize, n: usize, status: u16) {
        if self.activation(place).is_some_and(|activation| n + 1 < body::emails(activation).count()) {
            self.todo.push_front(Call::Erase([place], n + 1));
        } else if self.outcomes.is_open(place) {
            self.outcomes.set(&[place], status, &Outcome::Accepted);
        }
    }

    /// Who was in the list, or out of it, before is so still. A contact that is missing was merged or deleted since: whoever
    /// has its address now is told the next time.
    fn listed(&mut self, places: &[usize], status: u16, answer: &Answer, now: Timestamp) {
        let missing = answer::missing(answer);
        for place in places {
            let is_missing =
                self.contacts.get(*place).is_some_and(|c| c.as_ref().is_some_and(|c| missing.contains(&c.id)));
            let outcome = if is_missing {
                answer::later(now, "the contact was merged or deleted meanwhile")
            } else {
                Outcome::Accepted
            };
            self.outcomes.set(&[*place], status, &outcome);
        }
    }
}

impl Exchange for Sending {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Next {
        let mut halt = None;
        if let (Some(call), Some(answer)) = (self.asked.take(), answer) {
            halt = self.read(call, &answer, now);
        }
        if self.todo.is_empty() {
            self.follow();
        }
        match self.todo.pop_front().filter(|_| halt.is_none()) {
            Some(call) => {
                let request = Box::new(self.request(&call));
                self.asked = Some(call);
                Next::Ask(request)
            }
            None => Next::Done { outcomes: self.outcomes.take(), halt },
        }
    }

    fn so_far(&mut self) -> Vec<Option<(u16, Outcome)>> {
        self.outcomes.take()
    }
}
