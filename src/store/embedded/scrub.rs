//! Who was forgotten is forgotten in the journal, too: in each segment that snapshots stand in for, what was theirs is
//! replaced by nothing, at the same positions.
//!
//! Until that is done their names are known by a hash. A snapshot from before they were forgotten still has them, so it
//! is done when the oldest one that is kept is younger: with nights, in the second night.

use std::fs::{self, File};
use std::io::Write;
use std::sync::atomic::Ordering;

use super::frame::{self, Found, Kind};
use super::overlay::Batch;
use super::segments::{self, Segment, unavailable};
use super::tree::put;
use super::{Inner, keys, snapshot, timed};
use crate::model::{Erasure, Event, Identifier, Position, Timestamp};
use crate::store::StoreError;
use crate::store::forgotten::{self, Names};
use crate::store::record::{EventBatch, decode, encode};

/// Has a name forgotten, wherever it stands up to this position.
pub fn wish(batch: &mut Batch, name: &Identifier, until: Position) {
    put(batch, keys::forgotten(forgotten::hash(name)), &encode(&until));
}

/// Those that are still to be forgotten.
pub fn names(inner: &Inner) -> Result<Names, StoreError> {
    let mut names = Names::new();
    for entry in inner.disk()?.prefix(&[keys::FORGOTTEN]).whole() {
        let (key, value) = entry?;
        let Some(hash) = key.get(1..).and_then(|hash| hash.try_into().ok()) else { continue };
        names.insert(hash, decode(&value)?);
    }
    Ok(names)
}

/// Does what can be done of it.
pub fn scrub(inner: &Inner, now: Timestamp) -> Result<(), StoreError> {
    let disk = inner.disk()?;
    let names = names(inner)?;
    if names.is_empty() {
        return Ok(());
    }
    // What is in the segment that is being written is done the next time.
    inner.journal.0.begin_another();
    let Some((position, applied, step)) = snapshot::oldest(&inner.settings) else { return Ok(()) };
    let segments = segments::list(&inner.journal_folder)?;
    // All of an erasure is done when the segments up to it are.
    let mut done = Position(0);
    for pair in segments.windows(2) {
        let [this, next] = pair else { break };
        if next.position > position + 1 || next.ordinal > applied + 1 || next.step > step + 1 {
            break;
        }
        rewrite(inner, this, &names)?;
        inner.upkeep.fetch_add(1, Ordering::Relaxed);
        done = Position(next.position - 1);
    }
    // Held from here on: somebody may have been forgotten by the same name once more since it was read.
    let _guard = inner.state()?;
    let mut batch = Batch::default();
    for entry in disk.prefix(&[keys::FORGOTTEN]).whole() {
        let (key, value) = entry?;
        if decode::<Position>(&value)? <= done {
            batch.remove(key);
        }
    }
    for entry in disk.prefix(&[keys::ERASURE]).whole() {
        let (key, value) = entry?;
        let (at, mut erasure): (_, Erasure) = timed::decode(&value)?;
        if erasure.journal.is_none() && erasure.position <= done {
            erasure.journal = Some(now);
            put(&mut batch, key.to_vec(), &timed::encode(at, &erasure));
        }
    }
    disk.apply(batch)?;
    drop(_guard);
    disk.sync()
}

/// Writes a segment anew, in the place of the old one, if anything in it is to be forgotten.
fn rewrite(inner: &Inner, segment: &Segment, names: &Names) -> Result<(), StoreError> {
    let bytes = fs::read(&segment.path).map_err(unavailable)?;
    let mut out = bytes.get(..segment.start).unwrap_or_default().to_vec();
    let (mut at, mut is_another) = (segment.start, false);
    loop {
        match frame::read(&bytes, at) {
            Found::Record(head, payload, next) => {
                let without = if head.kind == Kind::Events { without(payload, head.first, names)? } else { None };
                match without {
                    Some(payload) => {
                        is_another = true;
                        frame::write(&mut out, frame::Head { length: payload.len(), ..head }, &payload);
                    }
                    None => out.extend_from_slice(bytes.get(at..next).unwrap_or_default()),
                }
                at = next;
            }
            Found::End => break,
            // `verify` says where; it is not ours to make it whole.
            Found::Broken => return Err(segments::damaged(segment, at as u64)),
        }
    }
    if !is_another {
        return Ok(());
    }
    let unfinished = segment.path.with_extension("unfinished");
    let mut file = File::create(&unfinished).map_err(unavailable)?;
    file.write_all(&out).and_then(|()| file.sync_all()).map_err(unavailable)?;
    // It is as old as what it holds: `prune` goes by that.
    let age = fs::metadata(&segment.path).and_then(|old| old.modified()).map_err(unavailable)?;
    file.set_modified(age).map_err(unavailable)?;
    fs::rename(&unfinished, &segment.path).map_err(unavailable)?;
    File::open(&inner.journal_folder).and_then(|folder| folder.sync_all()).map_err(unavailable)?;
    let mut tail = inner.journal.tail()?;
    tail.bytes = (tail.bytes + out.len() as u64).saturating_sub(bytes.len() as u64);
    Ok(())
}

/// A record of events without what is to be forgotten; `None` where there is nothing of it.
fn without(payload: &[u8], first: u64, names: &Names) -> Result<Option<Vec<u8>>, StoreError> {
    let mut batch: EventBatch<Event> = decode(payload)?;
    let mut any = false;
    for (event, position) in batch.events.iter_mut().zip(first..) {
        if forgotten::is_of(event, Position(position), names) {
            *event = forgotten::nothing(event);
            any = true;
        }
    }
    Ok(any.then(|| encode(&batch)))
}
