//! Schema 1, up to November 2026: what waits for somebody does not say until when the vendor is told that it is void.
//!
//! Only the headers of people differ, and only of those for whom something waits. All types here are as they were then.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::keys;
use super::super::overlay::Batch;
use super::super::tree::{Disk, put};
use crate::model::consent::Mark;
use crate::model::{Identifier, OccasionId, Origin, PersonId, Position, RawJson, Timestamp, TriggerId};
use crate::store::StoreError;
use crate::store::record::VERSION;

/// People put into one batch.
const STEP: usize = 1_000;

type Watch = (TriggerId, Box<str>, u32, bool, Option<Timestamp>, Option<Timestamp>, Option<Timestamp>);
type Entry = (Timestamp, Position, Arc<str>, Origin, Option<Box<str>>, RawJson, u32);
type Traits = Vec<(Box<str>, Timestamp, Box<str>)>;
/// What lies before what waits.
type Before = (Vec<Identifier>, Timestamp, Position, Traits, Vec<Watch>, Vec<(TriggerId, Timestamp)>, Timestamp);
/// What lies behind it.
type Behind = (
    Vec<(Timestamp, OccasionId)>,
    Vec<Mark>,
    Vec<PersonId>,
    Vec<(Arc<str>, u64, Timestamp, Timestamp)>,
    Option<Timestamp>,
    u32,
    Vec<Entry>,
);

/// What waits, in schema 1.
#[derive(Serialize, Deserialize)]
struct Waits {
    occasion: OccasionId,
    trigger: TriggerId,
    key: Box<str>,
    lanes: Vec<Arc<str>>,
    at: Timestamp,
    expires_at: Timestamp,
    not_before: Option<Timestamp>,
}

/// The same in schema 2.
#[derive(Serialize, Deserialize)]
struct WaitsOrIsVoid {
    was: Waits,
    void_until: Option<Timestamp>,
}

/// A header cut at what waits.
struct Cut<'a, W> {
    before: &'a [u8],
    waits: Vec<W>,
    behind: &'a [u8],
}

/// Reads a header whose pending are `W`; `None` where it is not one, to the last byte.
fn cut<W: for<'de> Deserialize<'de>>(header: &[u8]) -> Option<Cut<'_, W>> {
    let body = header.strip_prefix(&[VERSION])?;
    let (_, rest) = postcard::take_from_bytes::<Before>(body).ok()?;
    let before = body.get(..body.len() - rest.len())?;
    let (waits, behind) = postcard::take_from_bytes::<Vec<W>>(rest).ok()?;
    let (_, rest) = postcard::take_from_bytes::<Behind>(behind).ok()?;
    rest.is_empty().then_some(Cut { before, waits, behind })
}

/// True where somebody's header can be read by this layout alone.
pub fn is_it(disk: &Disk) -> Result<bool, StoreError> {
    for entry in disk.prefix(&[keys::PERSON]).whole() {
        let (_, header) = entry?;
        if cut::<WaitsOrIsVoid>(&header).is_none() && cut::<Waits>(&header).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes anew who waits for something. Whoever is of the next layout already, since a crash came in between, stays.
pub fn to_two(disk: &Disk) -> Result<(), StoreError> {
    let mut after = vec![keys::PERSON];
    loop {
        let mut batch = Batch::default();
        let page: Vec<_> = disk.range(after, vec![keys::PERSON + 1]).whole().take(STEP).collect::<Result<_, _>>()?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        // The next key that there can be.
        after = [&last[..], &[0]].concat();
        for (key, header) in &page {
            let Some(Cut { before, waits, behind }) = cut::<Waits>(header) else { continue };
            if waits.is_empty() || cut::<WaitsOrIsVoid>(header).is_some() {
                continue;
            }
            let waits: Vec<_> = waits.into_iter().map(|was| WaitsOrIsVoid { was, void_until: None }).collect();
            let waits = postcard::to_stdvec(&waits)
                .map_err(|e| StoreError::Damaged(format!("what waits for somebody cannot be written: {e}")))?;
            put(&mut batch, key.to_vec(), &[&[VERSION], before, &waits, behind].concat());
        }
        disk.apply(batch)?;
        disk.sync()?;
    }
}
