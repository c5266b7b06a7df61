//! Reports: what is read without changing anything, and the few small values that are kept by name.

use sled::Batch;

use super::outbox::Lane;
use super::tree::{put, refused};
use super::{Inner, MOST_ASIDE, delivery, keys, people, timed};
use crate::model::{Decision, Identifier, Join, LaneName, Person, PersonId, Position, Verdict};
use crate::store::record::{Ended, StoredActivation, decode, encode};
use crate::store::{Counts, LaneCount, Record, SetAside, StoreError, Story};

/// Decisions told of one person.
const MOST_TOLD: usize = 1_000;

pub fn find(inner: &Inner, identifier: &Identifier) -> Result<Option<PersonId>, StoreError> {
    inner.disk()?.get(&keys::owner(identifier))?.map(|bytes| decode(&bytes)).transpose()
}

fn person(inner: &Inner, id: PersonId) -> Result<Option<Person>, StoreError> {
    if let Some(person) = inner.cache()?.get(id) {
        return Ok(Some(person.clone()));
    }
    Ok(people::load(&*inner.disk()?, id)?.map(|(person, _)| person))
}

pub fn story(inner: &Inner, id: PersonId) -> Result<Option<Story>, StoreError> {
    let mut id = id;
    // Chains of merges are short; a damaged one must not hold us.
    for _ in 0..64 {
        match inner.disk()?.get(&keys::merged(id))? {
            Some(bytes) => id = decode(&bytes)?,
            None => break,
        }
    }
    let Some(person) = person(inner, id)? else { return Ok(None) };
    let joins =
        inner.disk()?.all(&keys::joins(id)).map(|e| Ok(timed::decode::<Join>(&e?.1)?.1)).collect::<Result<_, _>>()?;
    let mut decisions = Vec::new();
    for entry in inner.disk()?.all(&keys::decisions(id)).rev().take(MOST_TOLD) {
        decisions.push(timed::decode::<Decision>(&entry?.1)?.1);
    }
    decisions.reverse();
    let mut records = Vec::new();
    for decision in &decisions {
        let Verdict::Activated(lanes) = &decision.verdict else { continue };
        for lane in lanes {
            records.extend(record(inner, decision, lane)?);
        }
    }
    Ok(Some(Story { person, joins, decisions, records }))
}

fn record(inner: &Inner, decision: &Decision, lane: &LaneName) -> Result<Option<Record>, StoreError> {
    let lane = keys::lane(lane);
    let Some(bytes) = inner.disk()?.get(&keys::activation(decision.occasion, lane))? else { return Ok(None) };
    let (_, stored): (_, StoredActivation) = timed::decode(&bytes)?;
    let row = delivery::row(inner, &stored)?;
    let (attempts, is_queued) = match (row, inner.disk()?.get(&keys::ended(decision.occasion, lane))?) {
        (Some(row), _) => (row.attempts, true),
        (None, Some(bytes)) => (timed::decode::<Ended>(&bytes)?.1.attempts, false),
        (None, None) => (Vec::new(), false),
    };
    Ok(Some(Record { activation: stored.activation, attempts, is_queued }))
}

pub fn people(inner: &Inner, after: Option<PersonId>, max: usize) -> Result<Vec<Person>, StoreError> {
    let mut from = after.map_or_else(|| vec![keys::PERSON], keys::person);
    if after.is_some() {
        from.push(0);
    }
    let mut found = Vec::new();
    for key in inner.disk()?.tree.range(from..vec![keys::PERSON + 1]).keys().take(max) {
        let key = key.map_err(refused)?;
        let Some(id) = key.get(1..17).and_then(|id| id.try_into().ok()).map(PersonId) else { continue };
        found.extend(people::load(&*inner.disk()?, id)?.map(|(person, _)| person));
    }
    Ok(found)
}

pub fn set_aside(inner: &Inner, messages: &[SetAside]) -> Result<(), StoreError> {
    let mut guard = inner.state()?;
    let mut state = guard.clone();
    let mut batch = Batch::default();
    for message in messages {
        put(&mut batch, keys::aside(state.next()), &timed::encode(message.at, message));
        state.aside += 1;
    }
    let surplus = state.aside.saturating_sub(MOST_ASIDE);
    for key in inner.disk()?.tree.scan_prefix([keys::ASIDE]).keys().take(usize::try_from(surplus).unwrap_or(0)) {
        batch.remove(key.map_err(refused)?);
        state.aside -= 1;
    }
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    inner.disk()?.tree.apply_batch(batch).map_err(refused)?;
    *guard = state;
    Ok(())
}

pub fn set_aside_list(inner: &Inner, max: usize) -> Result<Vec<SetAside>, StoreError> {
    inner.disk()?.all(&[keys::ASIDE]).rev().take(max).map(|e| Ok(timed::decode(&e?.1)?.1)).collect()
}

pub fn counts(inner: &Inner) -> Result<Counts, StoreError> {
    let (decided, people, set_aside) = {
        let state = inner.state()?;
        (state.decided, state.people, state.aside)
    };
    let taken = inner.next()?.oldest();
    let (journaled, oldest_undecided, journal_bytes) = {
        let tail = inner.journal.tail()?;
        let oldest = taken.or_else(|| tail.recent.front().map(|(_, event)| event.arrived));
        (Position(tail.end.position), oldest, tail.bytes)
    };
    // While sled is closed nobody's timer can be asked.
    let next_timer = inner.disk().ok().and_then(|disk| disk.tree.scan_prefix([keys::WAKE]).keys().next());
    let next_timer = next_timer.transpose().map_err(refused)?.and_then(|key| Some(keys::read_wake(&key)?.0));
    Ok(Counts {
        journaled,
        decided,
        oldest_undecided: oldest_undecided.filter(|_| journaled > decided),
        people,
        next_timer,
        set_aside,
        journal_bytes,
    })
}

pub fn lane_count(inner: &Inner, name: &str) -> Result<LaneCount, StoreError> {
    let counted = inner.state()?.lanes.get(name).cloned().unwrap_or_default();
    let next = inner.disk()?.tree.scan_prefix(keys::all_waiting(keys::lane(name))).keys().next();
    let next = next.transpose().map_err(refused)?.and_then(|key| Some(keys::read_waiting(&key)?.0));
    let oldest = inner.lanes()?.get(name).and_then(Lane::oldest);
    Ok(LaneCount { queued: counted.queued, deferred: counted.deferred, next, oldest, dead: counted.dead })
}

/// Keeps a small value by name; on disk when it returns, if `synced`.
pub fn keep(inner: &Inner, prefix: u8, name: &str, value: &[u8], synced: bool) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    put(&mut batch, keys::named(prefix, name), value);
    inner.disk()?.tree.apply_batch(batch).map_err(refused)?;
    if synced { inner.disk()?.sync() } else { Ok(()) }
}
