//! States of triggers, and the activations that wait until theirs is resumed.
//!
//! A held activation is a row of its lane like others, and waits for a time that never comes; what is kept here beside
//! it says where it lies.

use std::sync::Arc;

use super::outbox::Queued;
use super::overlay::Batch;
use super::tree::{Disk, put};
use super::{Inner, keys, outbox};
use crate::model::{Activation, PersonId, TriggerId, TriggerStates};
use crate::store::StoreError;
use crate::store::record::{Place, decode, encode};

/// All that the tree has.
pub fn triggers(disk: &Disk) -> Result<TriggerStates, StoreError> {
    let mut found = TriggerStates::new();
    for entry in disk.prefix(&[keys::TRIGGER]).whole() {
        let (key, value) = entry?;
        if let Some(trigger) = keys::read_trigger(&key) {
            found.insert(trigger, Arc::new(decode(&value)?));
        }
    }
    Ok(found)
}

/// Writes those that are others now.
pub fn write(batch: &mut Batch, changed: &TriggerStates) {
    for (trigger, state) in changed {
        put(batch, keys::trigger(*trigger), &encode(&**state));
    }
}

/// Notes where a row lies that is held.
pub fn note(batch: &mut Batch, queued: &Queued, place: &Place) {
    put(batch, key(queued), &encode(place));
}

/// The place of that note.
pub fn key(queued: &Queued) -> Vec<u8> {
    keys::held(TriggerId::of(&queued.activation.trigger), queued.seq)
}

/// The oldest of a trigger, with whose they are now.
pub fn list(inner: &Inner, trigger: TriggerId, max: usize) -> Result<Vec<Activation>, StoreError> {
    let disk = inner.disk()?;
    let mut found = Vec::new();
    for entry in disk.prefix(&keys::all_held(trigger)).whole() {
        if found.len() >= max {
            break;
        }
        let place: Place = decode(&entry?.1)?;
        if let Some(queued) = outbox::read(&disk, &keys::place(&place))? {
            let person = now(&disk, queued.activation.person)?;
            found.push(Activation { person, ..queued.activation });
        }
    }
    Ok(found)
}

/// Who somebody is now, after merges.
pub fn now(disk: &Disk, id: PersonId) -> Result<PersonId, StoreError> {
    let mut id = id;
    // Chains of merges are short; a damaged one must not hold us.
    for _ in 0..64 {
        match disk.get(&keys::merged(id))? {
            Some(bytes) => id = decode(&bytes)?,
            None => break,
        }
    }
    Ok(id)
}
