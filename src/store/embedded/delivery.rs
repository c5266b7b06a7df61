//! A lane's steps: take, begin, settle, give back; dead letters.

use sled::Batch;

use super::commit::remove_row;
use super::outbox::{self, Lane, Queued};
use super::state::State;
use super::tree::{put, refused};
use super::{Inner, keys, timed};
use crate::model::{Attempt, LaneName, Outcome, Timestamp};
use crate::store::record::{Ended, Row, SettledBatch, SettledItem, StoredActivation, decode, encode};
use crate::store::{DeadLetter, StoreError, Work, WorkId};

/// Tries kept of one activation.
const MOST_ATTEMPTS: usize = 10;

pub fn work(inner: &Inner, lane: &LaneName, now: Timestamp, max: usize) -> Result<Vec<Work>, StoreError> {
    let mut lanes = inner.lanes()?;
    let taken = lanes.entry(lane.clone()).or_insert_with(|| Lane::new(lane)).take(&*inner.disk()?, now, max)?;
    Ok(taken.into_iter().map(into_work).collect())
}

fn into_work(queued: Queued) -> Work {
    Work {
        id: WorkId(queued.seq),
        activation: queued.activation,
        tries: queued.row.tries,
        may_have_left: queued.row.may_have_left,
    }
}

pub fn begin(inner: &Inner, lane: &LaneName, ids: &[WorkId]) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    let _guard = inner.state()?;
    let mut lanes = inner.lanes()?;
    let Some(known) = lanes.get_mut(lane) else { return Ok(()) };
    for id in ids {
        if let Some(queued) = known.taken(id.0) {
            let row = Row { may_have_left: true, ..queued.row.clone() };
            put(&mut batch, queued.key(known.id), &encode(&row));
        }
    }
    inner.disk()?.tree.apply_batch(batch).map_err(refused)?;
    for id in ids {
        known.began(id.0);
    }
    drop(lanes);
    drop(_guard);
    inner.disk()?.sync()
}

pub fn release(inner: &Inner, lane: &LaneName, ids: &[WorkId]) -> Result<(), StoreError> {
    let mut lanes = inner.lanes()?;
    let Some(known) = lanes.get_mut(lane) else { return Ok(()) };
    for id in ids {
        if let Some(queued) = known.put_down(id.0) {
            known.insert(queued);
        }
    }
    drop(lanes);
    inner.changed.send_modify(|n| *n += 1);
    Ok(())
}

/// The journal record of outcomes: what is durable before the tree is.
pub fn record(inner: &Inner, lane: &LaneName, settled: &[crate::store::Settled]) -> Result<SettledBatch, StoreError> {
    let lanes = inner.lanes()?;
    let items = settled.iter().filter_map(|s| {
        let queued = lanes.get(lane)?.taken(s.id.0)?;
        Some(SettledItem { occasion: queued.activation.occasion, seq: s.id.0, attempt: s.attempt.clone() })
    });
    Ok(SettledBatch { lane: lane.clone(), items: items.collect() })
}

/// Brings outcomes that are in the journal into the tree.
pub fn apply(inner: &Inner, ordinal: u64, settled: &SettledBatch) -> Result<(), StoreError> {
    let mut guard = inner.state()?;
    let mut state = guard.clone();
    let mut batch = Batch::default();
    let lane = keys::lane(&settled.lane);
    for item in &settled.items {
        one(inner, &mut batch, &mut state, &settled.lane, lane, item)?;
    }
    state.settled = state.settled.max(ordinal);
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    inner.disk()?.tree.apply_batch(batch).map_err(refused)?;
    *guard = state;
    drop(guard);
    let mut lanes = inner.lanes()?;
    if let Some(known) = lanes.get_mut(&settled.lane) {
        for item in &settled.items {
            known.put_down(item.seq);
        }
    }
    Ok(())
}

fn one(
    inner: &Inner,
    batch: &mut Batch,
    state: &mut State,
    name: &LaneName,
    lane: [u8; 4],
    item: &SettledItem,
) -> Result<(), StoreError> {
    let stored = inner.disk()?.get(&keys::activation(item.occasion, lane))?;
    let Some(bytes) = stored else {
        // Rebuilding: its events are still to be decided. What is settled must not be queued again.
        if item.attempt.outcome.is_settled() {
            let ended = Ended { attempts: vec![item.attempt.clone()] };
            put(batch, keys::ended(item.occasion, lane), &timed::encode(item.attempt.at, &ended));
            state.orphans += 1;
        }
        return Ok(());
    };
    let (_, stored): (_, StoredActivation) = timed::decode(&bytes)?;
    let key = keys::row(lane, stored.activation.priority, stored.seq);
    let Some(bytes) = inner.disk()?.get(&key)? else { return Ok(()) };
    let mut row: Row = decode(&bytes)?;
    match &item.attempt.outcome {
        Outcome::Later { not_before, is_throttled, may_have_left, .. } => {
            if let Some(at) = row.not_before {
                batch.remove(keys::waiting(lane, at, stored.activation.priority, stored.seq));
            } else {
                state.lane(name).deferred += 1;
            }
            row.not_before = Some(*not_before);
            row.tries += u32::from(!is_throttled);
            row.may_have_left = *may_have_left;
            push(&mut row.attempts, &item.attempt);
            put(batch, key, &encode(&row));
            batch.insert(keys::waiting(lane, *not_before, stored.activation.priority, stored.seq), &[]);
        }
        outcome => {
            remove_row(batch, state, name, lane, &stored, &row);
            push(&mut row.attempts, &item.attempt);
            let ended = Ended { attempts: row.attempts };
            put(batch, keys::ended(item.occasion, lane), &timed::encode(item.attempt.at, &ended));
            if matches!(outcome, Outcome::Refused { .. }) {
                put(batch, keys::dead(stored.seq), &timed::encode(item.attempt.at, &(item.occasion, name.clone())));
                state.lane(name).dead += 1;
            }
        }
    }
    Ok(())
}

fn push(attempts: &mut Vec<Attempt>, attempt: &Attempt) {
    attempts.push(attempt.clone());
    let surplus = attempts.len().saturating_sub(MOST_ATTEMPTS);
    attempts.drain(..surplus);
}

// === dead letters ===

type Dead = (crate::model::OccasionId, LaneName);

/// Which lane a dead letter is of.
pub fn lane_of_dead(inner: &Inner, key: &[u8]) -> Result<Option<LaneName>, StoreError> {
    Ok(match inner.disk()?.get(key)? {
        Some(bytes) => Some(timed::decode::<Dead>(&bytes)?.1.1),
        None => None,
    })
}

pub fn dead_letters(inner: &Inner, lane: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError> {
    let mut found = Vec::new();
    for entry in inner.disk()?.all(&[keys::DEAD]).rev() {
        if found.len() >= max {
            break;
        }
        let (key, value) = entry?;
        let (at, (occasion, name)): (_, Dead) = timed::decode(&value)?;
        if lane.is_some_and(|wanted| wanted != &*name) {
            continue;
        }
        let id = keys::lane(&name);
        let Some(bytes) = inner.disk()?.get(&keys::activation(occasion, id))? else { continue };
        let (_, stored): (_, StoredActivation) = timed::decode(&bytes)?;
        let attempts = match inner.disk()?.get(&keys::ended(occasion, id))? {
            Some(bytes) => timed::decode::<Ended>(&bytes)?.1.attempts,
            None => Vec::new(),
        };
        let id = WorkId(keys::read_seq(&key).unwrap_or_default());
        found.push(DeadLetter { id, activation: stored.activation, attempts, at });
    }
    Ok(found)
}

/// Puts a dead letter back, or drops it. False if there is none.
pub fn raise(inner: &Inner, id: WorkId, replay: Option<Timestamp>) -> Result<bool, StoreError> {
    let mut guard = inner.state()?;
    let Some(bytes) = inner.disk()?.get(&keys::dead(id.0))? else { return Ok(false) };
    let (_, (occasion, name)): (_, Dead) = timed::decode(&bytes)?;
    let lane = keys::lane(&name);
    let mut state = guard.clone();
    let mut batch = Batch::default();
    batch.remove(keys::dead(id.0));
    let dead = &mut state.lane(&name).dead;
    *dead = dead.saturating_sub(1);
    let mut queued = None;
    if let Some(expires_at) = replay {
        let Some(bytes) = inner.disk()?.get(&keys::activation(occasion, lane))? else { return Ok(false) };
        let (at, mut stored): (_, StoredActivation) = timed::decode(&bytes)?;
        stored.activation.expires_at = stored.activation.expires_at.max(expires_at);
        let attempts = match inner.disk()?.get(&keys::ended(occasion, lane))? {
            Some(bytes) => timed::decode::<Ended>(&bytes)?.1.attempts,
            None => Vec::new(),
        };
        batch.remove(keys::ended(occasion, lane));
        put(&mut batch, keys::activation(occasion, lane), &timed::encode(at, &stored));
        let row = Row { occasion, tries: 0, may_have_left: false, not_before: None, attempts };
        put(&mut batch, keys::row(lane, stored.activation.priority, stored.seq), &encode(&row));
        state.lane(&name).queued += 1;
        queued = Some(Queued { seq: stored.seq, activation: stored.activation, row });
    }
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    {
        let mut lanes = inner.lanes()?;
        inner.disk()?.tree.apply_batch(batch).map_err(refused)?;
        if let Some(queued) = queued {
            lanes.entry(name.clone()).or_insert_with(|| Lane::new(&name)).insert(queued);
        }
    }
    *guard = state;
    drop(guard);
    inner.disk()?.sync()?;
    inner.changed.send_modify(|n| *n += 1);
    Ok(true)
}

/// One activation's row, where it has one.
pub fn row(inner: &Inner, stored: &StoredActivation) -> Result<Option<Row>, StoreError> {
    let lane = keys::lane(&stored.activation.lane);
    Ok(outbox::read(&*inner.disk()?, lane, &keys::row(lane, stored.activation.priority, stored.seq))?.map(|q| q.row))
}
