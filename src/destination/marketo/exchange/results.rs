//! What answers say of each record.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Call, GONE, Sending, addresses};
use crate::destination::marketo::answer::Record;
use crate::destination::marketo::find::{self, Find};
use crate::destination::marketo::look::{self, Look};
use crate::destination::marketo::{RECORDS, body};
use crate::model::http::Answer;
use crate::model::{ActionKind, Outcome, Timestamp};

impl Sending {
    /// Results come in the order of the input, in which each lead stands once.
    pub(super) fn synced(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
        let activations: Vec<_> = places.iter().filter_map(|n| self.activation(*n)).collect();
        let order = body::order(&self.settings.found_by, &activations);
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
                        ActionKind::Profile => self.outcomes.set(&[*place], status, &Outcome::Accepted),
                        // A list, or a campaign.
                        _ => self.ready.push(*place),
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

    pub(super) fn looked(&mut self, look: Look, answer: &Answer, now: Timestamp) {
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
                self.outcomes.set(&[place], 200, &Outcome::Duplicate);
            } else if is_whole {
                missing.push(place);
            } else {
                let words = "what the instance has could not be read to its end".into();
                let not_before = now + self.settings.look_after;
                let later = Outcome::Later { not_before, words, is_throttled: false, may_have_left: true };
                self.outcomes.set(&[place], 200, &later);
            }
        }
        if !missing.is_empty() {
            self.todo.push_back(Call::Add(missing));
        }
    }

    /// Who has no lead is in no list and known to nobody: there is nothing to do, and nobody is made for it.
    pub(super) fn looked_up(&mut self, find: Find, status: u16, answer: &Answer, now: Timestamp) {
        let Answer::Came(response) = answer else { return };
        let places = find.places.iter().filter_map(|place| self.activation(*place));
        let asked: HashSet<String> = places.flat_map(|one| addresses(&self.settings.found_by, one)).collect();
        let (places, leads, has_strangers) = match find.next(&response.json(), |value| asked.contains(value)) {
            find::Step::More(find) => return self.todo.push_front(Call::Find(find)),
            find::Step::Found(places, leads, has_strangers) => (places, leads, has_strangers),
            find::Step::Unread(places) => {
                for place in places {
                    self.skipped(place, status, "no_result", "the answer about this address has no end", true, now);
                }
                return;
            }
        };
        for place in places {
            let key = &self.settings.found_by;
            let addresses = self.activation(place).map(|one| body::addresses(key, one)).unwrap_or_default();
            let of = |address: &&str| leads.get(&key.same(address));
            let mine = body::each_once(addresses.iter().filter_map(of).flatten().copied());
            if mine.is_empty() && has_strangers {
                let words = "a lead came of which it cannot be told whose it is";
                self.skipped(place, status, "no_result", words, true, now);
                continue;
            }
            if mine.is_empty() {
                self.outcomes.set(&[place], status, &Outcome::Accepted);
                continue;
            }
            if let Some(slot) = self.found.get_mut(place) {
                *slot = mine;
            }
            self.ready.push(place);
        }
    }

    pub(super) fn added(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
        let mut gone = Vec::new();
        for (n, place) in places.iter().enumerate() {
            match records.get(n) {
                Some(Record::Done(_)) => self.outcomes.set(&[*place], status, &Outcome::Accepted),
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

    /// Of a list, or a deletion. Results come in the order of the input, in which each lead stands once; what is done to
    /// leads that were looked up may be done to several.
    pub(super) fn each(&mut self, places: &[usize], status: u16, records: &[Record], now: Timestamp) {
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
                None => self.outcomes.set(&[*place], status, &Outcome::Accepted),
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
}
