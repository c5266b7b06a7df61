//! Sessions: runs of tracking events.

use crate::model::{Entry, Origin, Span};

/// The first entry of the latest session. Shop, CRM and e-mail events make none and break none.
pub fn latest_start(entries: &[Entry], gap: Span) -> Option<&Entry> {
    let mut tracking = entries.iter().rev().filter(|e| e.origin == Origin::Tracking);
    let mut start = tracking.next()?;
    for earlier in tracking {
        if parts(earlier, start, gap) {
            break;
        }
        start = earlier;
    }
    Some(start)
}

/// The latest session with everything since it began.
pub fn latest(entries: &[Entry], gap: Span) -> &[Entry] {
    let begun = latest_start(entries, gap).map(Entry::order);
    let from = begun.map_or(entries.len(), |begun| entries.partition_point(|entry| entry.order() < begun));
    entries.get(from..).unwrap_or_default()
}

/// The places where sessions begin, oldest first.
pub fn starts(entries: &[Entry], gap: Span) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut before: Option<&Entry> = None;
    for (place, entry) in entries.iter().enumerate().filter(|(_, e)| e.origin == Origin::Tracking) {
        if before.is_none_or(|before| parts(before, entry, gap)) {
            starts.push(place);
        }
        before = Some(entry);
    }
    starts
}

/// True when `later` begins another session than `earlier`: another session id where the client sends one, else a gap.
fn parts(earlier: &Entry, later: &Entry, gap: Span) -> bool {
    match (&earlier.session, &later.session) {
        (Some(a), Some(b)) => a != b,
        _ => later.at.since(earlier.at) >= gap,
    }
}
