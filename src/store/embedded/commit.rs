//! One step of the engine: people, links, message keys, activations and the position, in one atomic batch.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::overlay::Batch;
use super::people::{self, Shape};
use super::tree::put;
use super::{Inner, held, keys, names, queue, scrub, timed};
use crate::model::{Changes, Join, Loaded, PersonId, Write};
use crate::store::joined;
use crate::store::record::encode;
use crate::store::{StoreError, forgotten};

/// Writes the step. What it means for memory happens only after the batch is applied.
///
/// `noted` is the journal's record of the codes that this step gives.
pub fn commit(inner: &Inner, mut loaded: Loaded, mut changes: Changes, noted: Option<u64>) -> Result<(), StoreError> {
    let mut guard = inner.state()?;
    let mut state = guard.clone();
    let mut batch = Batch::default();
    super::steps::take(inner, &mut batch, &mut state, changes.step)?;
    let mut shapes: Vec<(PersonId, Shape)> = Vec::new();
    let decided = changes.decisions.iter().map(|d| d.decided).max();
    let now =
        state.reached.max(decided.unwrap_or_default()).max(changes.dedupe.last().map(|d| d.1).unwrap_or_default());

    let merged = joined::merged(&changes);
    let erased = joined::erased(&changes, &merged);
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
                    let last = joined::survivor(&merged, change.id);
                    if erased.contains(&last) {
                        // They became somebody who is forgotten in the same step.
                        erase(inner, &mut batch, change.id, old)?;
                    } else {
                        people::remove(&*inner.disk()?, &mut batch, change.id, old)?;
                        put(&mut batch, keys::merged(change.id), &encode(survivor));
                        move_log(inner, &mut batch, change.id, last)?;
                    }
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
    if !changes.links.is_empty() {
        let (disk, mut changed) = (inner.disk()?, names::Changed::default());
        for (identifier, owner) in &changes.links {
            changed.set(&disk, forgotten::hash(identifier), *owner)?;
        }
        changed.write(&mut batch);
    }
    for (n, join) in changes.joins.iter().enumerate() {
        let value = timed::encode(now, join);
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        put(&mut batch, keys::join(join.survivor, join.position, n), &value);
        if join.refused.is_some() {
            put(&mut batch, keys::join(join.other, join.position, n), &value);
        }
    }

    for (erasure, names) in &changes.erased {
        put(&mut batch, keys::erasure(erasure.decided, erasure.id), &timed::encode(erasure.decided, erasure));
        names.iter().for_each(|name| scrub::wish(&mut batch, name, erasure.position));
    }
    for access in &changes.accesses {
        // A step that is taken again finds it answered.
        if !inner.disk()?.has(&keys::access(keys::ANSWERED, access.asked, access.id))? {
            put(&mut batch, keys::access(keys::OPEN, access.asked, access.id), &timed::encode(now, access));
        }
    }
    held::write(&mut batch, &changes.triggers);
    state.triggers.extend(std::mem::take(&mut changes.triggers));
    let written = queue::write(inner, &mut batch, &mut state, &mut changes, now)?;
    super::shelf::commit(inner, &mut batch, &mut state, &changes.codes, noted)?;
    if let Some(position) = changes.position {
        state.decided = position;
    }
    state.reached = now;
    super::sweep::some(inner, &mut batch, &mut state, now, changes.dedupe.len() + shapes.len())?;
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    let bytes = {
        // Held over both: a lane that reads the tree in between would have a row that is then given to it once more.
        let mut lanes = inner.lanes()?;
        let bytes = inner.disk()?.apply(batch)?;
        written.tell(&mut lanes);
        bytes
    };
    // The step is in the tree: memory follows, and the lock is given back before the disk is waited for.
    inner.written()?.note(&changes.links, &changes.dedupe);
    inner.seen()?.note(changes.dedupe.iter().copied(), state.decided.0);
    inner.decided.store(state.decided.0, Ordering::Release);
    if !changes.codes.is_empty() {
        inner.shelf()?.committed(&changes.codes);
    }
    inner.publish(&mut guard, state);
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
    // The lanes begin at once. Should a crash take this step back after something left, it is taken again from the
    // journal and makes the same occasions, which the vendor knows; where it would not, the lane's own `begin` is synced
    // before it sends.
    inner.changed.send_modify(|n| *n += 1);
    if inner.sinking.note(bytes) { inner.disk()?.sync() } else { Ok(()) }
}

fn stored_shape(inner: &Inner, id: PersonId) -> Result<Option<Shape>, StoreError> {
    Ok(people::load(&*inner.disk()?, id)?.map(|(_, shape)| shape))
}

/// The log of the one who was merged away goes on under the survivor.
fn move_log(inner: &Inner, batch: &mut Batch, from: PersonId, to: PersonId) -> Result<(), StoreError> {
    for prefix in [keys::decisions(from), keys::joins(from)] {
        for entry in inner.disk()?.prefix(&prefix) {
            let (key, value) = entry?;
            let mut moved = key.to_vec();
            moved[1..17].copy_from_slice(&to.0);
            batch.remove(key);
            batch.insert(moved, value);
        }
    }
    Ok(())
}

/// Forgets a person's own values, and the log of their joins: of those that were refused, the other's copy too, which
/// has names of theirs.
fn erase(inner: &Inner, batch: &mut Batch, id: PersonId, old: Shape) -> Result<(), StoreError> {
    let disk = inner.disk()?;
    people::remove(&disk, batch, id, old)?;
    for entry in disk.prefix(&keys::joins(id)).whole() {
        let (key, value) = entry?;
        let join: Join = timed::decode(&value)?.1;
        for side in [join.survivor, join.other] {
            let mut copy = key.to_vec();
            copy[1..17].copy_from_slice(&held::now(&disk, side)?.0);
            batch.remove(copy);
        }
        batch.remove(key);
    }
    Ok(())
}
