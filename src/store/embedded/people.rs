//! People in the tree, and the decoded ones kept in memory.

use std::collections::{HashMap, VecDeque};

use sled::Batch;

use super::keys;
use super::tree::{Disk, put};
use crate::model::{Entry, Person, PersonId, Position, Timestamp};
use crate::store::StoreError;
use crate::store::record::{Header, StoredEntry, decode, encode};

/// More single entries than this are written together as a base.
const MOST_TAILS: u32 = 32;
/// Bytes of one value of the base.
const BASE: usize = 48 << 10;

/// How a person lies in the tree: needed to write them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub wake: Option<Timestamp>,
    pub tails: u32,
    pub bases: u32,
}

/// Reads a person with all their entries.
pub fn load(disk: &Disk, id: PersonId) -> Result<Option<(Person, Shape)>, StoreError> {
    let Some(bytes) = disk.get(&keys::person(id))? else { return Ok(None) };
    let header: Header = decode(&bytes)?;
    let shape = Shape { wake: header.wake, tails: header.tails, bases: header.bases };
    let mut entries: Vec<Entry> = Vec::new();
    if shape.tails + shape.bases > 0 {
        for entry in disk.all(&keys::history(id)) {
            let (key, value) = entry?;
            if key.get(17) == Some(&0) {
                let base: Vec<StoredEntry> = decode(&value)?;
                entries.extend(base.into_iter().map(StoredEntry::into_entry));
            } else {
                entries.push(decode::<StoredEntry>(&value)?.into_entry());
            }
        }
    }
    Ok(Some((header.into_person(id, entries), shape)))
}

/// Writes the header and these new entries.
pub fn append(batch: &mut Batch, person: &Person, new: &[Position], old: Shape) -> Shape {
    let tails = old.tails.saturating_add(u32::try_from(new.len()).unwrap_or(u32::MAX));
    if tails > MOST_TAILS {
        return whole(batch, person, old);
    }
    for entry in person.history.entries().iter().rev().take(new.len() + 64).filter(|e| new.contains(&e.position)) {
        put(batch, keys::tail(person.id, entry.position), &encode(&StoredEntry::of(entry)));
    }
    // A late event can lie further back than the newest few.
    let near = person.history.entries().len().saturating_sub(new.len() + 64);
    for entry in person.history.entries()[..near].iter().filter(|e| new.contains(&e.position)) {
        put(batch, keys::tail(person.id, entry.position), &encode(&StoredEntry::of(entry)));
    }
    header(batch, person, old, tails, old.bases)
}

/// Writes everything; the entries as a base. Old single entries are removed by the caller where there are any.
pub fn whole(batch: &mut Batch, person: &Person, old: Shape) -> Shape {
    let mut bases = 0;
    let mut one: Vec<StoredEntry> = Vec::new();
    let mut size = 0;
    for entry in person.history.entries() {
        size += entry.properties.get().len() + 64;
        one.push(StoredEntry::of(entry));
        if size >= BASE {
            put(batch, keys::base(person.id, bases), &encode(&one));
            (bases, size) = (bases + 1, 0);
            one.clear();
        }
    }
    if !one.is_empty() {
        put(batch, keys::base(person.id, bases), &encode(&one));
        bases += 1;
    }
    for n in bases..old.bases {
        batch.remove(keys::base(person.id, n));
    }
    header(batch, person, old, 0, bases)
}

fn header(batch: &mut Batch, person: &Person, old: Shape, tails: u32, bases: u32) -> Shape {
    let header = Header::of(person, tails, bases);
    let wake = header.wake;
    put(batch, keys::person(person.id), &encode(&header));
    if wake != old.wake {
        if let Some(at) = old.wake {
            batch.remove(keys::wake(at, person.id));
        }
        if let Some(at) = wake {
            batch.insert(keys::wake(at, person.id), &[]);
        }
    }
    Shape { wake, tails, bases }
}

/// Removes all that is kept of a person but the log of decisions.
pub fn remove(disk: &Disk, batch: &mut Batch, id: PersonId, old: Shape) -> Result<(), StoreError> {
    for entry in disk.tree.scan_prefix(keys::history(id)).keys() {
        batch.remove(entry.map_err(super::tree::refused)?);
    }
    batch.remove(keys::person(id));
    if let Some(at) = old.wake {
        batch.remove(keys::wake(at, id));
    }
    Ok(())
}

/// Decoded people, the most recently used, up to a number of bytes.
pub struct Cache {
    people: HashMap<PersonId, (Person, Shape, usize, u64)>,
    /// In order of use; an entry counts only if its tick is the person's.
    used: VecDeque<(PersonId, u64)>,
    tick: u64,
    bytes: usize,
    most: usize,
}

impl Cache {
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
    pub fn take(&mut self, id: PersonId) -> Option<(Person, Shape)> {
        let (person, shape, size, _) = self.people.remove(&id)?;
        self.bytes -= size;
        Some((person, shape))
    }

    /// A copy of a person.
    pub fn get(&self, id: PersonId) -> Option<&Person> {
        self.people.get(&id).map(|(person, ..)| person)
    }

    /// Forgets a person.
    pub fn forget(&mut self, id: PersonId) {
        self.take(id);
    }

    pub fn put(&mut self, person: Person, shape: Shape) {
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

/// About how much memory a person takes.
fn size(person: &Person) -> usize {
    let entries: usize = person.history.entries().iter().map(|e| 160 + e.properties.get().len() * 2).sum();
    400 + entries
        + person.identifiers.len() * 80
        + person.traits.len() * 120
        + person.watches.len() * 120
        + person.pending.len() * 160
}
