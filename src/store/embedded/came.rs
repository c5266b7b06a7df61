//! What was accepted, newest first. A journal is read forwards alone: so what lies in the last segment before a position
//! is passed by, and the end of it is kept.

use std::collections::VecDeque;

use super::frame::Kind;
use super::segments::{self, Limit, Reader, Segment};
use super::{Inner, scrub};
use crate::model::{Event, Position};
use crate::store::record::{EventBatch, decode};
use crate::store::{Came, StoreError};

/// Events that are looked at for one page at most.
const LOOKED: usize = 2_000;
/// Segments that are read for one page at most: the last one may have just begun.
const SEGMENTS: usize = 2;

pub fn came(inner: &Inner, source: Option<&str>, before: Option<Position>, max: usize) -> Result<Came, StoreError> {
    let names = scrub::names(inner)?;
    let limit = inner.journal.tail()?.limit;
    let segments = segments::list(&inner.journal_folder)?;
    let end = before.map_or(u64::MAX, |before| before.0);
    let mut left = segments.iter().filter(|one| one.place() <= limit.segment && one.position < end).rev();
    let mut before = end;
    let mut looked = Vec::new();
    let mut is_all = true;
    for segment in left.by_ref().take(SEGMENTS) {
        let some = last_of(inner, segment, limit, before)?;
        is_all = some.last().is_none_or(|(first, _)| first.0 == segment.position);
        looked.extend(some);
        if looked.len() >= LOOKED || !is_all {
            break;
        }
        before = segment.position;
    }
    let is_all = is_all && left.next().is_none();
    Ok(Came::of(looked, (source, &names), max, is_all))
}

/// The last events of a segment before a position, newest first.
fn last_of(inner: &Inner, segment: &Segment, limit: Limit, before: u64) -> Result<Vec<(Position, Event)>, StoreError> {
    let mut reader = Reader::from(&inner.journal_folder, segment.place())?;
    let (mut kept, mut events) = (VecDeque::new(), 0);
    while let Some((head, payload)) = reader.next(limit)? {
        if head.kind != Kind::Events || head.count == 0 {
            continue;
        }
        if head.first >= before {
            break;
        }
        events += head.count as usize;
        kept.push_back((head, payload));
        while let Some((first, _)) = kept.front().filter(|(first, _)| events - first.count as usize >= LOOKED) {
            events -= first.count as usize;
            kept.pop_front();
        }
    }
    let mut found = Vec::new();
    for (head, payload) in kept {
        let batch: EventBatch<Event> = decode(&payload)?;
        let events = batch.events.into_iter().zip(head.first..).filter(|(_, position)| *position < before);
        found.extend(events.map(|(event, position)| (Position(position), event)));
    }
    found.reverse();
    Ok(found)
}
