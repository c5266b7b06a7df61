//! One step of the engine: people, links, message keys, activations and the position, in one atomic batch.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use sled::Batch;

use super::outbox::Queued;
use super::people::{self, Shape};
use super::state::State;
use super::tree::{put, refused};
use super::{Inner, keys, timed};
use crate::model::{
    Activation, Attempt, Changes, Decision, LaneName, Loaded, OccasionId, Outcome, PersonId, Timestamp, Verdict, Write,
};
use crate::store::StoreError;
use crate::store::record::{Ended, Row, StoredActivation, decode, encode};

/// Writes the step. What it means for memory happens only after the batch is applied.
pub fn commit(inner: &Inner, mut loaded: Loaded, changes: Changes) -> Result<(), StoreError> {
    let mut guard = inner.state()?;
    let mut state = guard.clone();
    let mut batch = Batch::default();
    super::steps::take(inner, &mut batch, &mut state, changes.step)?;
    let mut shapes: Vec<(PersonId, Shape)> = Vec::new();
    let decided = changes.decisions.iter().map(|d| d.decided).max();
    let now =
        state.reached.max(decided.unwrap_or_default()).max(changes.dedupe.last().map(|d| d.1).unwrap_or_default());

    let mut gone: HashSet<PersonId> = HashSet::new();
    {
        let known = inner.shapes()?;
        let old_shape = |id: PersonId| known.get(&id).copied();
        for change in &changes.people {
            let old = match old_shape(change.id) {
                Some(shape) => Some(shape),
                None => stored_shape(inner, change.id)?,
            };
            let (existed, old) = (old.is_some(), old.unwrap_or_default());
            match (&change.write, loaded.people.get(&change.id)) {
                (Write::MergedInto(survivor), _) => {
                    people::remove(&mut batch, change.id, old);
                    put(&mut batch, keys::merged(change.id), &encode(survivor));
                    move_log(inner, &mut batch, change.id, *survivor)?;
                    state.people -= u64::from(existed);
                    gone.insert(change.id);
                }
                (Write::Erased, _) => {
                    erase(inner, &mut batch, change.id, old)?;
                    state.people -= u64::from(existed);
                    gone.insert(change.id);
                }
                (Write::Whole, Some(person)) => {
                    shapes.push((change.id, people::whole(&mut batch, person, old)));
                    state.people += u64::from(!existed);
                }
                (Write::Appended(new), Some(person)) => {
                    let shape = people::append(&*inner.disk()?, &mut batch, person, new, old)?;
                    shapes.push((change.id, shape));
                    state.people += u64::from(!existed);
                }
                (_, None) => {}
            }
        }
    }
    for (identifier, owner) in &changes.links {
        match owner {
            Some(id) => put(&mut batch, keys::owner(identifier), &encode(id)),
            None => batch.remove(keys::owner(identifier)),
        }
    }
    for (key, arrived) in &changes.dedupe {
        batch.insert(keys::seen(key), &arrived.as_millis().to_le_bytes());
    }
    for (n, join) in changes.joins.iter().enumerate() {
        let value = timed::encode(now, join);
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        put(&mut batch, keys::join(join.survivor, join.position, n), &value);
        if join.refused.is_some() {
            put(&mut batch, keys::join(join.other, join.position, n), &value);
        }
    }

    let called_back = cancel(inner, &mut batch, &mut state, &changes.cancelled)?;
    let queued = queue(inner, &mut batch, &mut state, changes.activations, now)?;
    for decision in &changes.decisions {
        log(&mut batch, decision, &called_back, now);
    }
    if let Some(position) = changes.position {
        state.decided = position;
    }
    state.reached = now;
    super::sweep::some(inner, &mut batch, &mut state, now, changes.dedupe.len() + shapes.len())?;
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    {
        // Held over both: a lane that reads the tree in between would have a row that is then given to it once more.
        let mut lanes = inner.lanes()?;
        inner.disk()?.tree.apply_batch(batch).map_err(refused)?;
        for (_, lane, seq, priority) in &called_back {
            lanes.entry(lane.clone()).or_insert_with(|| super::outbox::Lane::new(lane)).call_back(*seq, *priority);
        }
        for one in queued {
            let name = one.activation.lane.clone();
            lanes.entry(name.clone()).or_insert_with(|| super::outbox::Lane::new(&name)).insert(one);
        }
    }
    // The step is in the tree: memory follows, and the lock is given back before the disk is waited for.
    inner.written()?.note(&changes.links, &changes.dedupe);
    inner.decided.store(state.decided.0, Ordering::Release);
    *guard = state;
    drop(guard);
    {
        let mut known = inner.shapes()?;
        let mut cache = inner.cache()?;
        for id in gone {
            known.remove(&id);
            cache.forget(id);
        }
        for (id, shape) in shapes {
            known.insert(id, shape);
        }
        for (id, person) in loaded.people.drain() {
            // Somebody who came with a page of people, and is not written, lies in the tree as before.
            if let Some(shape) = known.remove(&id) {
                cache.put(person, shape);
            }
        }
        known.clear();
    }
    // The lanes begin at once. Should a power cut take this step back after something left, the journal makes the same
    // occasions again, and the vendor knows them; where it would not, the lane's own `begin` is synced before it sends.
    inner.changed.send_modify(|n| *n += 1);
    inner.disk()?.sync()
}

fn stored_shape(inner: &Inner, id: PersonId) -> Result<Option<Shape>, StoreError> {
    Ok(people::load(&*inner.disk()?, id)?.map(|(_, shape)| shape))
}

/// The log of the one who was merged away goes on under the survivor.
fn move_log(inner: &Inner, batch: &mut Batch, from: PersonId, to: PersonId) -> Result<(), StoreError> {
    for prefix in [keys::decisions(from), keys::joins(from)] {
        for entry in inner.disk()?.tree.scan_prefix(prefix) {
            let (key, value) = entry.map_err(refused)?;
            let mut moved = key.to_vec();
            moved[1..17].copy_from_slice(&to.0);
            batch.remove(key);
            batch.insert(moved, value);
        }
    }
    Ok(())
}

/// Forgets a person: history, log and activations. What is still queued was cancelled by the step itself.
fn erase(inner: &Inner, batch: &mut Batch, id: PersonId, old: Shape) -> Result<(), StoreError> {
    people::remove(batch, id, old);
    for entry in inner.disk()?.all(&keys::decisions(id)) {
        let (key, value) = entry?;
        let (_, decision): (_, Decision) = timed::decode(&value)?;
        if let Verdict::Activated(lanes) = &decision.verdict {
            for lane in lanes {
                let lane = keys::lane(lane);
                // A dead letter of theirs goes too.
                if let Some(bytes) = inner.disk()?.get(&keys::activation(decision.occasion, lane))? {
                    let (_, stored): (_, StoredActivation) = timed::decode(&bytes)?;
                    batch.remove(keys::dead(stored.seq));
                }
                batch.remove(keys::activation(decision.occasion, lane));
            }
        }
        batch.remove(key);
    }
    for key in inner.disk()?.tree.scan_prefix(keys::joins(id)).keys() {
        batch.remove(key.map_err(refused)?);
    }
    Ok(())
}

type CalledBack = (OccasionId, LaneName, u64, u8);

/// Takes rows out that nobody holds yet.
fn cancel(
    inner: &Inner,
    batch: &mut Batch,
    state: &mut State,
    cancelled: &[(OccasionId, LaneName)],
) -> Result<Vec<CalledBack>, StoreError> {
    let mut done = Vec::new();
    for (occasion, name) in cancelled {
        let lane = keys::lane(name);
        let Some(bytes) = inner.disk()?.get(&keys::activation(*occasion, lane))? else { continue };
        let (at, stored): (_, StoredActivation) = timed::decode(&bytes)?;
        let row_key = keys::row(lane, stored.activation.priority, stored.seq);
        let Some(bytes) = inner.disk()?.get(&row_key)? else { continue };
        let is_taken = inner.lanes()?.get(name).is_some_and(|lane| lane.taken(stored.seq).is_some());
        let row: Row = decode(&bytes)?;
        // Since the state was made again it was not tried, and the journal has no outcome: it was called back before, or
        // did not leave. Whatever is unclear of it, it is void now, and not sent again.
        let is_doubt = row.tries == 0 && stored.activation.at <= state.doubtful_until;
        if is_taken || (row.may_have_left && !is_doubt) {
            continue;
        }
        remove_row(batch, state, name, lane, &stored, &row);
        let mut attempts = row.attempts;
        let at_end = state.reached.max(at);
        attempts.push(Attempt { at: at_end, status: 0, outcome: Outcome::Cancelled });
        put(batch, keys::ended(*occasion, lane), &timed::encode(at_end, &Ended { attempts }));
        done.push((*occasion, name.clone(), stored.seq, stored.activation.priority));
    }
    Ok(done)
}

/// Takes a row out of the tree, and out of the counts.
pub fn remove_row(
    batch: &mut Batch,
    state: &mut State,
    name: &LaneName,
    lane: [u8; 4],
    stored: &StoredActivation,
    row: &Row,
) {
    let priority = stored.activation.priority;
    batch.remove(keys::row(lane, priority, stored.seq));
    let counts = state.lane(name);
    counts.queued = counts.queued.saturating_sub(1);
    if let Some(at) = row.not_before {
        batch.remove(keys::waiting(lane, at, priority, stored.seq));
        counts.deferred = counts.deferred.saturating_sub(1);
    }
}

/// Puts activations into their lanes, unless their (occasion, lane) was there before.
fn queue(
    inner: &Inner,
    batch: &mut Batch,
    state: &mut State,
    activations: Vec<Activation>,
    now: Timestamp,
) -> Result<Vec<Queued>, StoreError> {
    let mut queued: Vec<Queued> = Vec::new();
    let mut here: HashSet<(OccasionId, LaneName)> = HashSet::new();
    for activation in activations {
        let lane = keys::lane(&activation.lane);
        let key = keys::activation(activation.occasion, lane);
        if !here.insert((activation.occasion, activation.lane.clone()))
            || inner.disk()?.tree.contains_key(&key).map_err(refused)?
        {
            continue;
        }
        let stored = StoredActivation { seq: state.next(), activation };
        put(batch, key, &timed::encode(now, &stored));
        // After a rebuild: it was settled at the vendor before, or is a dead letter.
        if state.orphans > 0
            && let Some(bytes) = inner.disk()?.get(&keys::ended(stored.activation.occasion, lane))?
        {
            state.orphans -= 1;
            let (at, ended): (_, Ended) = timed::decode(&bytes)?;
            if ended.attempts.last().is_some_and(|a| matches!(a.outcome, Outcome::Refused { .. })) {
                let name = &stored.activation.lane;
                put(batch, keys::dead(stored.seq), &timed::encode(at, &(stored.activation.occasion, name.clone())));
                state.lane(name).dead += 1;
            }
            continue;
        }
        let row = Row {
            occasion: stored.activation.occasion,
            tries: 0,
            may_have_left: stored.activation.at <= state.doubtful_until,
            not_before: None,
            attempts: Vec::new(),
        };
        put(batch, keys::row(lane, stored.activation.priority, stored.seq), &encode(&row));
        state.lane(&stored.activation.lane).queued += 1;
        queued.push(Queued { seq: stored.seq, activation: stored.activation, row });
    }
    Ok(queued)
}

/// Keeps a decision for `explain`. A recall is only one if something was called back.
fn log(batch: &mut Batch, decision: &Decision, called_back: &[CalledBack], now: Timestamp) {
    let recalled = decision.verdict == Verdict::Cancelled;
    if recalled && !called_back.iter().any(|(occasion, ..)| *occasion == decision.occasion) {
        return;
    }
    let key = keys::decision(decision.person, decision.at, decision.occasion, u8::from(recalled));
    put(batch, key, &timed::encode(now, decision));
}
