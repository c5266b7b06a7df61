//! Decoded people kept in memory.

use std::collections::{HashMap, VecDeque};

use crate::model::{Person, PersonId};

/// One of them.
struct Cached<S> {
    person: Person,
    shape: S,
    size: usize,
    /// When they were put here last.
    tick: u64,
}

/// Decoded people, the most recently used, up to a number of bytes; each with how they lie in the store.
pub struct Cache<S> {
    /// Each in a box: the map has room for up to twice as many.
    people: HashMap<PersonId, Box<Cached<S>>>,
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
        let Cached { person, shape, size, .. } = *self.people.remove(&id)?;
        self.bytes -= size;
        Some((person, shape))
    }

    /// A copy of a person.
    pub fn get(&self, id: PersonId) -> Option<&Person> {
        self.people.get(&id).map(|cached| &cached.person)
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
        let size = size::<S>(&person);
        self.forget(person.id);
        self.tick += 1;
        self.bytes += size;
        self.used.push_back((person.id, self.tick));
        self.people.insert(person.id, Box::new(Cached { person, shape, size, tick: self.tick }));
        while self.bytes > self.most || self.used.len() > 64 + 4 * self.people.len() {
            let Some((id, tick)) = self.used.pop_front() else { break };
            if self.people.get(&id).is_some_and(|cached| cached.tick == tick) {
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
fn size<S>(person: &Person) -> usize {
    let map = |entries: usize, each: usize| entries.div_ceil(6) * 11 * each;
    // Of a place in the map, and of up to four in the order of use.
    let places = 2 * (size_of::<PersonId>() + size_of::<Box<Cached<S>>>()) + 4 * size_of::<(PersonId, u64)>();
    size_of::<Cached<S>>()
        + places
        + person.history.weight()
        + person.identifiers.len() * 100
        + map(person.traits.len(), 100)
        + map(person.watches.len(), 100)
        + map(person.last_fires.len(), 20)
        + person.consent.marks().len() * 100
        + person.pending.len() * 200
        + person.counted.len() * 24
}
