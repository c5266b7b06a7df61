//! What the engine is given: the next events from memory or the journal, with the people they touch.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::model::{Event, Identifier, Loaded, PersonId, Position, Timestamp};
use crate::store::record::{EventBatch, decode};
use crate::store::{Claim, Due, StoreError};

use super::frame::Kind;
use super::segments::{Limit, Reader};
use super::{Inner, keys, names, people};

/// Events read from the disk at once.
const READ: usize = 4_000;

/// What comes next, as far as the engine has taken it from the journal.
#[derive(Default)]
pub struct Next {
    /// Without a gap, in the portions in which it was taken.
    ready: VecDeque<VecDeque<(Position, Event)>>,
    behind: Option<Behind>,
}

impl Next {
    fn events(&self) -> impl Iterator<Item = &(Position, Event)> {
        self.ready.iter().flatten()
    }

    /// Arrival of the first.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.events().next().map(|(_, event)| event.arrived)
    }

    /// The position after the last.
    fn end(&self) -> Option<u64> {
        self.ready.iter().rev().find_map(|portion| portion.back()).map(|(last, _)| last.0 + 1)
    }

    /// Takes up to `max` out.
    fn take(&mut self, max: usize) -> Vec<(Position, Event)> {
        let mut taken = Vec::new();
        while let Some(first) = self.ready.front_mut().filter(|_| taken.len() < max) {
            let n = (max - taken.len()).min(first.len());
            taken.extend(first.drain(..n));
            if first.is_empty() {
                self.ready.pop_front();
            }
        }
        taken
    }
}

/// Where the journal was read up to, when the engine is behind what memory holds.
struct Behind {
    reader: Reader,
    /// The next event it gives.
    at: u64,
    /// Read and not yet given.
    next: VecDeque<(Position, Event)>,
}

/// Owners and message keys as they are, or are not, in the tree.
#[derive(Default)]
pub struct Known {
    owners: HashMap<Identifier, Option<PersonId>>,
    seen: HashMap<[u8; 16], bool>,
}

impl Known {
    /// What a step wrote.
    pub fn note(&mut self, links: &[(Identifier, Option<PersonId>)], dedupe: &[([u8; 16], Timestamp)]) {
        self.owners.extend(links.iter().cloned());
        self.seen.extend(dedupe.iter().map(|(key, _)| (*key, true)));
    }

    /// Reads what is not yet known of an event.
    fn read(&mut self, inner: &Inner, dedupe: &[[u8; 16]], identifiers: &[Identifier]) -> Result<(), StoreError> {
        for key in dedupe {
            if let Entry::Vacant(unknown) = self.seen.entry(*key) {
                unknown.insert(inner.seen()?.has(key)?);
            }
        }
        for identifier in identifiers {
            if !self.owners.contains_key(identifier) {
                self.owners.insert(identifier.clone(), names::owner(&*inner.disk()?, identifier)?);
            }
        }
        Ok(())
    }
}

/// The last event decided. Nobody asks for message keys before those up to it are found.
fn begin(inner: &Inner) -> Result<Position, StoreError> {
    let decided = inner.state()?.decided;
    inner.seen()?.open(decided.0)?;
    Ok(decided)
}

pub fn claim(inner: &Inner, max: usize) -> Result<Claim, StoreError> {
    let decided = begin(inner)?;
    let events = next_events(inner, decided, max)?;
    with_people(inner, events)
}

/// All of them, however many portions they were taken in.
pub fn claim_until(inner: &Inner, until: Position) -> Result<Claim, StoreError> {
    let mut last = begin(inner)?;
    let mut events = Vec::new();
    while last < until {
        let left = usize::try_from(until.0 - last.0).unwrap_or(usize::MAX);
        let some = next_events(inner, last, left)?;
        let Some((position, _)) = some.last() else {
            return Err(StoreError::Damaged(format!("the journal has no event {}", last.0 + 1)));
        };
        last = *position;
        events.extend(some);
    }
    with_people(inner, events)
}

fn with_people(inner: &Inner, events: Vec<(Position, Event)>) -> Result<Claim, StoreError> {
    let mut known = std::mem::take(&mut *inner.read_ahead()?);
    // Steps made since then know better.
    let written = std::mem::take(&mut *inner.written()?);
    known.owners.extend(written.owners);
    known.seen.extend(written.seen);
    let mut loaded = Loaded { triggers: inner.state()?.triggers.clone(), ..Loaded::default() };
    for (_, event) in &events {
        known.read(inner, &event.dedupe, &event.identifiers)?;
        loaded.seen.extend(event.dedupe.iter().filter(|key| known.seen.get(*key) == Some(&true)));
        for identifier in &event.identifiers {
            if let Some(Some(id)) = known.owners.get(identifier) {
                loaded.owners.insert(identifier.clone(), *id);
                load(inner, &mut loaded, *id)?;
            }
        }
    }
    // Whoever is loaded brings all their names: a merge moves them.
    let names: Vec<_> = loaded.people.values().flat_map(|p| p.identifiers.iter().map(|i| (i.clone(), p.id))).collect();
    loaded.owners.extend(names);
    (loaded.catalogue, loaded.codes) = inner.shelf()?.lend();
    Ok(Claim { events, loaded })
}

pub fn due(inner: &Inner, until: Timestamp, max: usize) -> Result<Due, StoreError> {
    let mut due = Due::default();
    due.loaded.triggers = inner.state()?.triggers.clone();
    (due.loaded.catalogue, due.loaded.codes) = inner.shelf()?.lend();
    let wakes = keys::wakes_until(until);
    for key in inner.disk()?.range(wakes.start, wakes.end).keys().take(max) {
        let Some((_, id)) = keys::read_wake(&key?) else { continue };
        if load(inner, &mut due.loaded, id)? {
            due.people.push(id);
        }
    }
    Ok(due)
}

/// These people.
pub fn people(inner: &Inner, ids: &[PersonId]) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded { triggers: inner.state()?.triggers.clone(), ..Loaded::default() };
    (loaded.catalogue, loaded.codes) = inner.shelf()?.lend();
    for id in ids {
        load(inner, &mut loaded, *id)?;
    }
    Ok(loaded)
}

/// From memory, else from the tree. False when there is no such person.
fn load(inner: &Inner, loaded: &mut Loaded, id: PersonId) -> Result<bool, StoreError> {
    if loaded.people.contains_key(&id) {
        return Ok(true);
    }
    let cached = inner.cache()?.take(id);
    let found = match cached {
        Some(found) => Some(found),
        None => people::load(&*inner.disk()?, id)?,
    };
    let Some((person, shape)) = found else { return Ok(false) };
    inner.shapes()?.insert(id, shape);
    loaded.people.insert(id, person);
    Ok(true)
}

/// Reads what the next `max` events ask for while the engine decides those before them: owners, message keys, and the
/// people, into memory. Whoever is in the engine's hands is left alone. The next claim waits for the end of this.
pub fn ahead(inner: &Inner, max: usize) -> Result<(), StoreError> {
    let asked_for: Vec<_> = {
        let mut next = inner.next()?;
        if let Some(end) = next.end().filter(|_| next.events().nth(max).is_none()) {
            more(inner, &mut next, end)?;
        }
        next.events().take(max).map(|(_, event)| (event.dedupe.clone(), event.identifiers.clone())).collect()
    };
    let mut known = Known::default();
    let mut asked = HashSet::new();
    for (dedupe, identifiers) in asked_for {
        known.read(inner, &dedupe, &identifiers)?;
        for id in identifiers.iter().filter_map(|identifier| *known.owners.get(identifier)?) {
            if asked.insert(id)
                && !inner.shapes()?.contains_key(&id)
                && !inner.cache()?.has(id)
                && let Some((person, shape)) = people::load(&*inner.disk()?, id)?
            {
                inner.cache()?.put(person, shape);
            }
        }
    }
    *inner.read_ahead()? = known;
    Ok(())
}

fn next_events(inner: &Inner, decided: Position, max: usize) -> Result<Vec<(Position, Event)>, StoreError> {
    let first = decided.0 + 1;
    let mut next = inner.next()?;
    // What was claimed and not committed is read again.
    if next.events().next().is_some_and(|(position, _)| position.0 != first) {
        *next = Next::default();
    }
    if next.events().next().is_none() {
        more(inner, &mut next, first)?;
    }
    Ok(next.take(max))
}

/// Puts the events from `first` on into `next`: all that the journal has in memory, else some from the disk.
fn more(inner: &Inner, next: &mut Next, first: u64) -> Result<(), StoreError> {
    let (journaled, limit) = {
        let mut tail = inner.journal.tail()?;
        if tail.recent.front().is_some_and(|(position, _)| position.0 == first) {
            // All at once: the journal's writer must not wait for us.
            let portion = std::mem::take(&mut tail.recent);
            tail.recent_bytes = 0;
            tail.claimed = portion.back().map_or(tail.claimed, |(last, _)| last.0);
            next.ready.push_back(portion);
            next.behind = None;
            return Ok(());
        }
        (tail.end.position, tail.limit)
    };
    if journaled < first {
        return Ok(());
    }
    let mut behind = match next.behind.take().filter(|b| b.at == first) {
        Some(behind) => behind,
        None => Behind {
            reader: Reader::from(&inner.journal_folder, (first, u64::MAX, u64::MAX))?,
            at: first,
            next: VecDeque::new(),
        },
    };
    let mut found = VecDeque::new();
    behind.up_to(journaled, limit, &mut found)?;
    next.behind = Some(behind);
    if found.front().is_none_or(|(position, _)| position.0 != first) {
        return Err(StoreError::Damaged(format!("the journal has no event {first}")));
    }
    let last = found.back().map_or(first, |(last, _)| last.0);
    next.ready.push_back(found);
    let mut tail = inner.journal.tail()?;
    tail.claimed = tail.claimed.max(last);
    // What memory holds of these was read from the disk; what follows without a gap stays.
    while tail.recent.front().is_some_and(|(position, _)| position.0 <= last) {
        tail.recent.pop_front();
    }
    Ok(())
}

impl Behind {
    /// Adds some events to `found`, none after `journaled`.
    fn up_to(
        &mut self,
        journaled: u64,
        limit: Limit,
        found: &mut VecDeque<(Position, Event)>,
    ) -> Result<(), StoreError> {
        while found.len() < READ && self.at <= journaled {
            if let Some((position, event)) = self.next.pop_front() {
                if position.0 >= self.at {
                    self.at = position.0 + 1;
                    found.push_back((position, event));
                }
                continue;
            }
            let Some((head, payload)) = self.reader.next(limit)? else { return Ok(()) };
            if head.kind == Kind::Events {
                let batch: EventBatch<Event> = decode(&payload)?;
                let from = head.first;
                self.next.extend(batch.events.into_iter().enumerate().map(|(n, e)| (Position(from + n as u64), e)));
            }
        }
        Ok(())
    }
}
