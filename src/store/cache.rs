//! Decoded people kept in memory.

use std::collections::{HashMap, VecDeque};

use crate::model::{Entry, Person, PersonId};

/// Decoded people, the most recently used, up to a number of bytes; each with how they lie in the store.
pub struct Cache<S> {
    people: HashMap<PersonId, (Person, S, usize, u64)>,
    /// In order of use; an entry counts only if its tick is the person's.
    used: VecDeque<(PersonId, u64)>,
    tick: u64,
    bytes: usize,
    most: usize,
}

impl<S> Cache<S> {
    /// Empty; up to `most` bytes.
    pub fn new(most: u64) -> Self {
        Self {
            people: HashMap::new(),
            used: VecDeque::new(),
            tick: 0,
            bytes: 0,
            most: usize::try_from(most).unwrap_or(usize::MAX),
        }
    }

    /// Takes a person out: whoever changes them puts them back.
    pub fn take(&mut self, id: PersonId) -> Option<(Person, S)> {
        let (person, shape, size, _) = self.people.remove(&id)?;
        self.bytes -= size;
        Some((person, shape))
    }

    /// A copy of a person.
    pub fn get(&self, id: PersonId) -> Option<&Person> {
        self.people.get(&id).map(|(person, ..)| person)
    }

    /// True if they are here.
    pub fn has(&self, id: PersonId) -> bool {
        self.people.contains_key(&id)
    }

    /// Forgets a person.
    pub fn forget(&mut self, id: PersonId) {
        self.take(id);
    }

    /// Takes a person in; those who were not used for longest go.
    pub fn put(&mut self, person: Person, shape: S) {
        let size = size(&person);
        self.forget(person.id);
        self.tick += 1;
        self.bytes += size;
        self.used.push_back((person.id, self.tick));
        self.people.insert(person.id, (person, shape, size, self.tick));
        while self.bytes > self.most || self.used.len() > 64 + 4 * self.people.len() {
            let Some((id, tick)) = self.used.pop_front() else { break };
            if self.people.get(&id).is_some_and(|(.., last)| *last == tick) {
                if self.bytes > self.most {
                    self.forget(id);
                } else {
                    self.used.push_back((id, tick));
                }
            }
        }
    }
}

/// About how much memory a person takes: a map takes room for eleven where it has one.
fn size(person: &Person) -> usize {
    let map = |entries: usize, each: usize| entries.div_ceil(6) * 11 * each;
    let entries: usize = person.history.entries().iter().map(Entry::weight).sum();
    300 + entries
        + person.identifiers.len() * 100
        + map(person.traits.len(), 100)
        + map(person.watches.len(), 100)
        + map(person.last_fires.len(), 20)
        + person.consent.marks().len() * 100
        + person.pending.len() * 200
        + person.counted.len() * 24
}
