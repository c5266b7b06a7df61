//! A lane's steps: take, begin, settle, give back; dead letters.

use std::collections::HashMap;
use std::sync::MutexGuard;

use super::outbox::{self, Lane, Queued};
use super::overlay::Batch;
use super::state::State;
use super::tree::put;
use super::{Inner, keys, timed};
use crate::model::{Action, ActionId, Attempt, LaneName, Outcome, Timestamp};
use crate::store::record::{Ended, Row, SettledBatch, SettledItem, encode};
use crate::store::{DeadLetter, Raised, StoreError, Work, WorkId};

pub fn work(inner: &Inner, lane: &LaneName, now: Timestamp, max: usize) -> Result<Vec<Work>, StoreError> {
    let mut lanes = inner.lanes()?;
    let taken = lanes.entry(lane.clone()).or_insert_with(|| Lane::new(lane)).take(&*inner.disk()?, now, max)?;
    Ok(taken.into_iter().map(|one| one.row.into_work(one.seq, one.activation)).collect())
}

pub fn begin(inner: &Inner, lane: &LaneName, ids: &[WorkId]) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    let _guard = inner.state()?;
    let mut lanes = inner.lanes()?;
    let Some(known) = lanes.get_mut(lane) else { return Ok(()) };
    for id in ids {
        known.began(id.0);
        if let Some(queued) = known.taken(id.0) {
            queued.put(&mut batch, known.id);
        }
    }
    inner.disk()?.apply(batch)?;
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
        let (occasion, priority) = (queued.activation.occasion, queued.activation.priority);
        let action = queued.activation.action.id();
        Some(SettledItem { occasion, action, priority, seq: s.id.0, attempt: s.attempt.clone() })
    });
    Ok(SettledBatch { lane: lane.clone(), items: items.collect() })
}

/// Brings outcomes that are in the journal into the tree; the same record again changes nothing.
pub fn apply(inner: &Inner, ordinal: u64, settled: &SettledBatch) -> Result<(), StoreError> {
    let mut guard = inner.state()?;
    if guard.applied.has(ordinal) {
        return Ok(());
    }
    let mut state = guard.clone();
    let mut batch = Batch::default();
    // Held to the end: nobody reads the rows between memory and tree.
    let mut lanes = inner.lanes()?;
    let lane = lanes.entry(settled.lane.clone()).or_insert_with(|| Lane::new(&settled.lane));
    // All that can fail comes first: what is put down is settled.
    let disk = inner.disk()?;
    let mut read = HashMap::new();
    for item in settled.items.iter().filter(|item| lane.taken(item.seq).is_none()) {
        read.insert(item.seq, outbox::read(&disk, &keys::row(lane.id, item.priority, item.seq))?);
    }
    for item in &settled.items {
        let queued = lane.put_down(item.seq).or_else(|| read.remove(&item.seq)?);
        match queued.filter(|queued| {
            queued.activation.occasion == item.occasion && queued.activation.action.id() == item.action
        }) {
            Some(queued) => {
                if item.attempt.outcome.is_settled() {
                    lane.end(item.seq)
                } else {
                    lane.wait(&queued)
                }
                one(&mut batch, &mut state, lane.id, queued, &item.attempt);
            }
            // Rebuilding: its events are still to be decided. What is settled must not be queued again.
            None if item.attempt.outcome.is_settled() => {
                let key = keys::orphan(item.occasion, lane.id, item.action);
                put(&mut batch, key, &timed::encode(item.attempt.at, &item.attempt));
                state.orphans += 1;
            }
            None => {}
        }
    }
    state.applied.note(ordinal);
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    inner.sinking.note(disk.apply(batch)?);
    inner.publish(&mut guard, state);
    Ok(())
}

fn one(batch: &mut Batch, state: &mut State, lane: [u8; 4], mut queued: Queued, attempt: &Attempt) {
    match &attempt.outcome {
        Outcome::Later { not_before, is_throttled, may_have_left, .. } => {
            let (priority, seq) = (queued.activation.priority, queued.seq);
            match queued.row.not_before.replace(*not_before) {
                Some(before) => batch.remove(keys::waiting(lane, before, priority, seq)),
                None => state.lane(&queued.activation.lane).deferred += 1,
            }
            queued.row.tries += u32::from(!is_throttled);
            queued.row.may_have_left = *may_have_left;
            queued.row.tried(attempt);
            queued.put(batch, lane);
            batch.insert(keys::waiting(lane, *not_before, priority, seq), &[]);
        }
        _ => {
            queued.remove(batch, state);
            queued.row.tried(attempt);
            outbox::put_end(batch, state, attempt.at, queued.seq, &queued.row.attempts, &queued.activation);
        }
    }
}

/// One that has ended.
pub fn ended(inner: &Inner, seq: u64) -> Result<Option<(Timestamp, Ended)>, StoreError> {
    inner.disk()?.get(&keys::ended(seq))?.map(|bytes| timed::decode(&bytes)).transpose()
}

// === dead letters ===

/// Which lane a dead letter is of.
pub fn lane_of_dead(inner: &Inner, key: &[u8]) -> Result<Option<LaneName>, StoreError> {
    let bytes = inner.disk()?.get(key)?;
    bytes.map(|bytes| Ok(timed::decode::<LaneName>(&bytes)?.1)).transpose()
}

pub fn dead_letters(inner: &Inner, lane: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError> {
    let mut found = Vec::new();
    for entry in inner.disk()?.prefix_back(&[keys::DEAD]).whole() {
        if found.len() >= max {
            break;
        }
        let (key, value) = entry?;
        let (at, name): (_, LaneName) = timed::decode(&value)?;
        if lane.is_none_or(|wanted| wanted == &*name) {
            found.extend(letter(inner, keys::read_seq(&key).unwrap_or_default(), at)?);
        }
    }
    Ok(found)
}

pub fn dead_letter(inner: &Inner, id: WorkId) -> Result<Option<DeadLetter>, StoreError> {
    let Some(bytes) = inner.disk()?.get(&keys::dead(id.0))? else { return Ok(None) };
    letter(inner, id.0, timed::decode::<LaneName>(&bytes)?.0)
}

/// One that was given up then.
fn letter(inner: &Inner, seq: u64, at: Timestamp) -> Result<Option<DeadLetter>, StoreError> {
    let ended = ended(inner, seq)?;
    Ok(ended.map(|(_, (attempts, activation))| DeadLetter { id: WorkId(seq), activation, attempts, at }))
}

/// Puts a dead letter back, or drops it.
pub fn raise(inner: &Inner, id: WorkId, replay: Option<Timestamp>) -> Result<Raised, StoreError> {
    let guard = inner.state()?;
    let seq = id.0;
    let Some(name) = lane_of_dead(inner, &keys::dead(seq))? else { return Ok(Raised::Missing) };
    let mut state = guard.clone();
    let mut batch = Batch::default();
    batch.remove(keys::dead(seq));
    let dead = &mut state.lane(&name).dead;
    *dead = dead.saturating_sub(1);
    let mut queued = None;
    if let Some(expires_at) = replay {
        let Some((_, (attempts, mut activation))) = ended(inner, seq)? else { return Ok(Raised::Missing) };
        if activation.broken.is_some() {
            return Ok(Raised::Broken);
        }
        activation.expires_at = activation.expires_at.max(expires_at);
        let refused = &mut state.lane(&name).totals.refused;
        *refused = refused.saturating_sub(1);
        queued = Some(Queued { seq, activation, row: Row { attempts, ..Row::default() } });
    } else if let Some((at, (attempts, activation))) =
        ended(inner, seq)?.filter(|(_, (_, of))| of.action == Action::Erase)
    {
        // It needed the names for as long as it could be replayed.
        put(&mut batch, keys::ended(seq), &timed::encode(at, &(attempts, activation.nameless())));
    }
    requeue(inner, guard, state, batch, queued)
}

/// Puts an event that the vendor took back.
pub fn resend(inner: &Inner, id: WorkId, expires_at: Timestamp) -> Result<Raised, StoreError> {
    let guard = inner.state()?;
    let Some((_, (attempts, mut activation))) = ended(inner, id.0)? else { return Ok(Raised::Missing) };
    let is_taken = attempts.last().is_some_and(|last| last.outcome.has_effect());
    if !is_taken || activation.action.id() != ActionId::default() {
        return Ok(Raised::Missing);
    }
    let mut state = guard.clone();
    activation.expires_at = activation.expires_at.max(expires_at);
    let accepted = &mut state.lane(&activation.lane).totals.accepted;
    *accepted = accepted.saturating_sub(1);
    let row = Row { attempts, may_have_left: true, ..Row::default() };
    requeue(inner, guard, state, Batch::default(), Some(Queued { seq: id.0, activation, row }))
}

/// Writes what is changed of an end, with the row that waits again.
fn requeue(
    inner: &Inner,
    mut guard: MutexGuard<'_, State>,
    mut state: State,
    mut batch: Batch,
    queued: Option<Queued>,
) -> Result<Raised, StoreError> {
    if let Some(again) = &queued {
        batch.remove(keys::ended(again.seq));
        again.put(&mut batch, keys::lane(&again.activation.lane));
        state.lane(&again.activation.lane).add(&again.activation.trigger);
    }
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    {
        let mut lanes = inner.lanes()?;
        inner.disk()?.apply(batch)?;
        if let Some(queued) = queued {
            let name = queued.activation.lane.clone();
            lanes.entry(name.clone()).or_insert_with(|| Lane::new(&name)).insert(queued);
        }
    }
    inner.publish(&mut guard, state);
    drop(guard);
    inner.disk()?.sync()?;
    inner.changed.send_modify(|n| *n += 1);
    Ok(Raised::Done)
}
