//! Activations a page at a time, for people who look: what has ended, what is dead, what waits. A page looks at a bounded
//! number of entries, however many there are.

use super::tree::Scan;
use super::{Inner, delivery, keys, timed};
use crate::model::{Activation, LaneName, Priority};
use crate::store::record::{Ended, Row, decode};
use crate::store::{DeadLetter, End, Listed, Record, Sought, StoreError, WorkId};

/// Activations that are read for one page at most.
const READ: usize = 2_000;
/// Entries that are passed by without being read, at most.
const PASSED: usize = 20_000;

/// Entries under a prefix, the highest number below `before` first.
fn newest<'d>(disk: &'d super::tree::Disk, prefix: u8, before: Option<WorkId>, key: fn(u64) -> Vec<u8>) -> Scan<'d> {
    match before {
        Some(WorkId(before)) => disk.range_back(vec![prefix], key(before)),
        None => disk.prefix_back(&[prefix]),
    }
}

pub fn ends(inner: &Inner, sought: &Sought, max: usize) -> Result<Listed<End>, StoreError> {
    let disk = inner.disk()?;
    let mut found = Vec::new();
    for (read, entry) in newest(&disk, keys::ENDED, sought.before, keys::ended).enumerate() {
        let (key, first) = entry?;
        let seq = keys::read_seq(&key).unwrap_or_default();
        if found.len() >= max || read >= READ {
            // This one was not looked at.
            return Ok(Listed { found, next: Some(WorkId(seq.saturating_add(1))) });
        }
        let (at, (attempts, activation)): (_, Ended) = timed::decode(&disk.whole(&key, &first)?)?;
        if sought.has(&activation, &attempts) {
            found.push(End { id: WorkId(seq), activation, attempts, at });
        }
    }
    Ok(Listed { found, next: None })
}

pub fn letters(inner: &Inner, sought: &Sought, max: usize) -> Result<Listed<DeadLetter>, StoreError> {
    let disk = inner.disk()?;
    let (mut found, mut read) = (Vec::new(), 0);
    for (passed, entry) in newest(&disk, keys::DEAD, sought.before, keys::dead).enumerate() {
        let (key, first) = entry?;
        let seq = keys::read_seq(&key).unwrap_or_default();
        if found.len() >= max || read >= READ || passed >= PASSED {
            return Ok(Listed { found, next: Some(WorkId(seq.saturating_add(1))) });
        }
        let (at, lane): (_, LaneName) = timed::decode(&disk.whole(&key, &first)?)?;
        if sought.lane.as_ref().is_some_and(|wanted| *wanted != lane) {
            continue;
        }
        read += 1;
        let Some((_, (attempts, activation))) = delivery::ended(inner, seq)? else { continue };
        if sought.has(&activation, &attempts) {
            found.push(DeadLetter { id: WorkId(seq), activation, attempts, at });
        }
    }
    Ok(Listed { found, next: None })
}

pub fn waiting(
    inner: &Inner,
    lane: &str,
    from: Option<(Priority, WorkId)>,
    max: usize,
) -> Result<Vec<(WorkId, Record)>, StoreError> {
    let disk = inner.disk()?;
    let lane = keys::lane(lane);
    let from = from.map_or_else(|| keys::rows(lane), |(priority, WorkId(seq))| keys::row(lane, priority, seq));
    let mut found = Vec::new();
    for entry in disk.range(from, keys::rows_end(lane)).whole().take(max) {
        let (key, value) = entry?;
        let Some(seq) = keys::read_seq(&key) else { continue };
        let (row, activation): (Row, Activation) = decode(&value)?;
        // Until then it waits, whatever it was made with.
        let not_before = row.not_before.or(activation.not_before);
        let activation = Activation { not_before, ..activation };
        found.push((WorkId(seq), Record { activation, attempts: row.attempts, is_queued: true }));
    }
    Ok(found)
}
