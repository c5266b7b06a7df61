//! Reports: what is read without changing anything, and the few small values that are kept by name.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::outbox::{self, Lane};
use super::overlay::Batch;
use super::state::LaneState;
use super::tree::put;
use super::{Inner, MOST_ASIDE, delivery, held, keys, names, people, poisoned, timed};
use crate::model::{
    Access, Attempt, Erasure, Identifier, Join, LaneName, OccasionId, Person, PersonId, Position, Timestamp,
};
use crate::store::record::{Place, StoredDecision, encode};
use crate::store::{Counts, LaneCount, Receipt, Record, SetAside, StoreError, Story};

/// Decisions told of one person.
const MOST_TOLD: usize = 1_000;

pub fn find(inner: &Inner, identifier: &Identifier) -> Result<Option<PersonId>, StoreError> {
    names::owner(&*inner.disk()?, identifier)
}

fn person(inner: &Inner, id: PersonId) -> Result<Option<Person>, StoreError> {
    if let Some(person) = inner.cache()?.get(id) {
        return Ok(Some(person.clone()));
    }
    Ok(people::load(&*inner.disk()?, id)?.map(|(person, _)| person))
}

pub fn story(inner: &Inner, id: PersonId) -> Result<Option<Story>, StoreError> {
    let id = held::now(&*inner.disk()?, id)?;
    let Some(person) = person(inner, id)? else { return Ok(None) };
    let joins = inner
        .disk()?
        .prefix(&keys::joins(id))
        .whole()
        .map(|e| Ok(timed::decode::<Join>(&e?.1)?.1))
        .collect::<Result<_, _>>()?;
    let mut decisions = Vec::new();
    for entry in inner.disk()?.prefix_back(&keys::decisions(id)).whole().take(MOST_TOLD) {
        decisions.push(timed::decode::<StoredDecision>(&entry?.1)?.1);
    }
    decisions.reverse();
    let mut records = Vec::new();
    for place in decisions.iter().flat_map(|stored| &stored.places) {
        records.extend(record(inner, place)?);
    }
    let decisions = decisions.into_iter().map(|stored| stored.decision).collect();
    Ok(Some(Story { person, joins, decisions, records }))
}

/// A refusal lies under both whom it keeps apart.
pub fn refused_joins(inner: &Inner, max: usize) -> Result<Vec<Join>, StoreError> {
    let mut refused = Vec::new();
    for entry in inner.disk()?.prefix(&[keys::JOIN]).whole() {
        let (key, value) = entry?;
        let join: Join = timed::decode(&value)?.1;
        if join.refused.is_some() && key.starts_with(&keys::joins(join.survivor)) {
            refused.push(join);
        }
        if refused.len() >= max {
            break;
        }
    }
    Ok(refused)
}

pub fn accesses(inner: &Inner, max: usize) -> Result<Vec<Access>, StoreError> {
    let disk = inner.disk()?;
    let both = disk.prefix(&[keys::OPEN]).whole().chain(disk.prefix(&[keys::ANSWERED]).whole());
    both.take(max).map(|entry| Ok(timed::decode::<Access>(&entry?.1)?.1)).collect()
}

/// They are few: so they are counted where somebody looks, and nowhere else.
pub fn open_demands(inner: &Inner) -> Result<u64, StoreError> {
    Ok(inner.disk()?.prefix(&[keys::OPEN]).keys().take(MOST_TOLD).count() as u64)
}

pub fn answer(inner: &Inner, id: OccasionId, now: Timestamp) -> Result<bool, StoreError> {
    let _guard = inner.state()?;
    let disk = inner.disk()?;
    for entry in disk.prefix(&[keys::OPEN]).whole() {
        let (key, value) = entry?;
        let (_, access): (_, Access) = timed::decode(&value)?;
        if access.id == id {
            let mut batch = Batch::default();
            batch.remove(key);
            let answered = Access { answered: Some(now), ..access };
            let key = keys::access(keys::ANSWERED, answered.asked, id);
            put(&mut batch, key, &timed::encode(now, &answered));
            disk.apply(batch)?;
            disk.sync()?;
            return Ok(true);
        }
    }
    Ok(false)
}

pub fn receipts(inner: &Inner, max: usize) -> Result<Vec<Receipt>, StoreError> {
    let disk = inner.disk()?;
    let mut receipts = Vec::new();
    for entry in disk.prefix_back(&[keys::ERASURE]).whole().take(max) {
        let erasure: Erasure = timed::decode(&entry?.1)?.1;
        let mut tries: HashMap<LaneName, Attempt> = HashMap::new();
        // Of one that still waits the log of decisions knows where it is.
        let decision = disk.get(&keys::decision(erasure.person, erasure.asked, erasure.id, 0))?;
        let decision = decision.map(|bytes| timed::decode::<StoredDecision>(&bytes)).transpose()?;
        for place in decision.iter().flat_map(|(_, stored)| &stored.places) {
            let last = record(inner, place)?.and_then(|mut record| record.attempts.pop());
            tries.extend(last.map(|last| (place.lane.clone(), last)));
        }
        for entry in disk.prefix(&keys::all_erased(erasure.id)).whole() {
            let (lane, last): (LaneName, Attempt) = timed::decode(&entry?.1)?.1;
            tries.insert(lane, last);
        }
        let lanes = erasure.lanes.iter().map(|lane| (lane.clone(), tries.remove(lane))).collect();
        receipts.push(Receipt { erasure, lanes });
    }
    Ok(receipts)
}

fn record(inner: &Inner, place: &Place) -> Result<Option<Record>, StoreError> {
    if let Some(queued) = outbox::read(&*inner.disk()?, &keys::place(place))? {
        let (activation, attempts) = (queued.activation, queued.row.attempts);
        return Ok(Some(Record { activation, attempts, is_queued: true }));
    }
    let ended = delivery::ended(inner, place.seq)?;
    Ok(ended.map(|(_, (attempts, activation))| Record { activation, attempts, is_queued: false }))
}

pub fn people(inner: &Inner, after: Option<PersonId>, max: usize) -> Result<Vec<Person>, StoreError> {
    let mut from = after.map_or_else(|| vec![keys::PERSON], keys::person);
    if after.is_some() {
        from.push(0);
    }
    let mut found = Vec::new();
    for key in inner.disk()?.range(from, vec![keys::PERSON + 1]).keys().take(max) {
        let key = key?;
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
    for key in inner.disk()?.prefix(&[keys::ASIDE]).keys().take(usize::try_from(surplus).unwrap_or(0)) {
        batch.remove(key?);
        state.aside -= 1;
    }
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    inner.disk()?.apply(batch)?;
    inner.publish(&mut guard, state);
    Ok(())
}

pub fn set_aside_list(inner: &Inner, max: usize) -> Result<Vec<SetAside>, StoreError> {
    inner.disk()?.prefix_back(&[keys::ASIDE]).whole().take(max).map(|e| Ok(timed::decode(&e?.1)?.1)).collect()
}

/// Never waits for a step: what a step holds is told as it last was.
pub fn counts(inner: &Inner) -> Result<Counts, StoreError> {
    let state = inner.told.load_full();
    let (decided, people, set_aside) = (state.decided, state.people, state.aside);
    let taken = inner.next.try_lock().ok().map(|next| next.oldest());
    let (journaled, recent, journal_bytes) = {
        let tail = inner.journal.tail()?;
        (Position(tail.end.position), tail.recent.front().map(|(_, event)| event.arrived), tail.bytes)
    };
    let oldest_undecided = {
        let mut oldest = inner.oldest.lock().map_err(|_| poisoned())?;
        if let Some(taken) = taken {
            *oldest = taken.or(recent);
        }
        *oldest
    };
    // While sled is closed nobody's timer can be asked.
    let next_timer = inner.disk().ok().and_then(|disk| disk.prefix(&[keys::WAKE]).keys().next());
    let next_timer = next_timer.transpose()?.and_then(|key| Some(keys::read_wake(&key)?.0));
    Ok(Counts {
        step: state.taken.step,
        upkeep: inner.upkeep.load(Ordering::Relaxed),
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
    let counted = inner.told.load().lanes.get(name).cloned().unwrap_or_default();
    let next = inner.disk()?.prefix(&keys::all_waiting(keys::lane(name))).keys().next();
    let next = next.transpose()?.and_then(|key| Some(keys::read_waiting(&key)?.0));
    // Unknown while a step is being written.
    let oldest = inner.lanes.try_lock().ok().and_then(|lanes| lanes.get(name).and_then(Lane::oldest));
    let LaneState { queued, deferred, dead, triggers, totals } = counted;
    Ok(LaneCount { queued, deferred, next, oldest, dead, triggers, totals })
}

/// Keeps a small value by name; on disk when it returns, if `synced`.
pub fn keep(inner: &Inner, prefix: u8, name: &str, value: &[u8], synced: bool) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    put(&mut batch, keys::named(prefix, name), value);
    inner.disk()?.apply(batch)?;
    if synced { inner.disk()?.sync() } else { Ok(()) }
}
