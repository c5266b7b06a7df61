//! What the engine is given: the next events from memory or the journal, with the people they touch.

use crate::model::{Event, Loaded, PersonId, Position, Timestamp};
use crate::store::record::{EventBatch, decode};
use crate::store::{Claim, Due, StoreError};

use super::frame::Kind;
use super::segments::Reader;
use super::tree::refused;
use super::{Inner, keys, people};

/// Where the journal was read up to, when the engine is behind what memory holds.
pub struct Behind {
    reader: Reader,
    /// Read and not yet claimed.
    next: std::collections::VecDeque<(Position, Event)>,
}

pub fn claim(inner: &Inner, max: usize) -> Result<Claim, StoreError> {
    let decided = inner.state()?.decided;
    let events = next_events(inner, decided, max)?;
    let mut loaded = Loaded::default();
    for (_, event) in &events {
        for key in &event.dedupe {
            if inner.disk.tree.contains_key(keys::seen(key)).map_err(refused)? {
                loaded.seen.insert(*key);
            }
        }
        for identifier in &event.identifiers {
            if loaded.owners.contains_key(identifier) {
                continue;
            }
            if let Some(bytes) = inner.disk.get(&keys::owner(identifier))? {
                let id: PersonId = decode(&bytes)?;
                loaded.owners.insert(identifier.clone(), id);
                load(inner, &mut loaded, id)?;
            }
        }
    }
    // Whoever is loaded brings all their names: a merge moves them.
    let names: Vec<_> = loaded.people.values().flat_map(|p| p.identifiers.iter().map(|i| (i.clone(), p.id))).collect();
    loaded.owners.extend(names);
    Ok(Claim { events, loaded })
}

pub fn due(inner: &Inner, until: Timestamp, max: usize) -> Result<Due, StoreError> {
    let mut due = Due::default();
    for key in inner.disk.tree.range(keys::wakes_until(until)).keys().take(max) {
        let Some((_, id)) = keys::read_wake(&key.map_err(refused)?) else { continue };
        if load(inner, &mut due.loaded, id)? {
            due.people.push(id);
        }
    }
    Ok(due)
}

/// From memory, else from the tree. False when there is no such person.
fn load(inner: &Inner, loaded: &mut Loaded, id: PersonId) -> Result<bool, StoreError> {
    if loaded.people.contains_key(&id) {
        return Ok(true);
    }
    let cached = inner.cache()?.take(id);
    let found = match cached {
        Some(found) => Some(found),
        None => people::load(&inner.disk, id)?,
    };
    let Some((person, shape)) = found else { return Ok(false) };
    inner.shapes()?.insert(id, shape);
    loaded.people.insert(id, person);
    Ok(true)
}

fn next_events(inner: &Inner, decided: Position, max: usize) -> Result<Vec<(Position, Event)>, StoreError> {
    let next = decided.0 + 1;
    let mut behind = inner.behind.lock().map_err(|_| StoreError::Unavailable("an earlier claim panicked".into()))?;
    let (journaled, limit) = {
        let mut tail = inner.journal.tail()?;
        // What was claimed and not committed is read again.
        if tail.recent.front().is_some_and(|(first, ..)| first.0 == next) {
            *behind = None;
            let n = max.min(tail.recent.len());
            let taken: Vec<_> = tail.recent.drain(..n).collect();
            tail.recent_bytes -= taken.iter().map(|(.., size)| size).sum::<usize>();
            tail.claimed = taken.last().map_or(tail.claimed, |(last, ..)| last.0);
            return Ok(taken.into_iter().map(|(position, event, _)| (position, event)).collect());
        }
        // Memory is ahead of us: it begins anew when the disk was read up to the journal's end.
        if tail.end.position < next {
            return Ok(Vec::new());
        }
        (tail.end.position, tail.end.length)
    };
    let mut found = Vec::new();
    // A reader holds its segment as it was when it was opened: at its end a new one sees what has come since.
    for is_new in [false, true] {
        let fits = |b: &Behind| b.next.front().is_none_or(|(first, _)| first.0 == next);
        if is_new || !behind.as_ref().is_some_and(fits) {
            *behind =
                Some(Behind { reader: Reader::from(&inner.journal_folder, next, u64::MAX)?, next: Default::default() });
        }
        let Some(read) = behind.as_mut() else { break };
        let is_through = read.up_to(next, journaled, limit, max, &mut found)?;
        if is_through {
            *behind = None;
        }
        if !found.is_empty() {
            break;
        }
    }
    if found.first().is_none_or(|(first, _)| first.0 != next) {
        return Err(StoreError::Damaged(format!("the journal has no event {next}")));
    }
    let last = found.last().map_or(decided.0, |(last, _)| last.0);
    let mut tail = inner.journal.tail()?;
    tail.claimed = tail.claimed.max(last);
    // What memory holds of these was read from the disk; what follows without a gap stays.
    while tail.recent.front().is_some_and(|(first, ..)| first.0 <= last) {
        if let Some((.., size)) = tail.recent.pop_front() {
            tail.recent_bytes -= size;
        }
    }
    Ok(found)
}

impl Behind {
    /// Takes up to `max` events from `next` on, none after `journaled`. True when the segments it knows are read.
    fn up_to(
        &mut self,
        next: u64,
        journaled: u64,
        limit: u64,
        max: usize,
        found: &mut Vec<(Position, Event)>,
    ) -> Result<bool, StoreError> {
        while found.len() < max {
            if let Some((position, event)) = self.next.pop_front() {
                if position.0 >= next && position.0 <= journaled {
                    found.push((position, event));
                }
                continue;
            }
            // Only what was synced when we looked: the last segment may have more.
            let Some((head, payload)) = self.reader.next(Some(limit))? else { return Ok(true) };
            if head.kind == Kind::Events {
                let batch: EventBatch<Event> = decode(&payload)?;
                let first = head.first;
                self.next.extend(batch.events.into_iter().enumerate().map(|(n, e)| (Position(first + n as u64), e)));
            }
        }
        Ok(false)
    }
}
