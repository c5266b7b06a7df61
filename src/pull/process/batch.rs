//! What came and is not yet in the store: records, and that a state came after some of them.

use std::collections::BTreeMap;

use super::super::kept::{Kept, beginning};
use super::seen::Seen;
use crate::model::{Span, Timestamp};
use crate::source::Arrival;
use crate::source::manifest::records::Mapping;
use crate::source::process::{Progress, Record, map};
use crate::source::stream::Mapped;
use crate::store::SetAside;

/// Records, bytes of them, and time, after one of which what came is kept.
const MOST: (usize, usize) = (1_000, 4 << 20);
/// So long it may wait.
pub const LINGER: Span = Span::from_secs(1);

/// What came and is not yet in the store.
#[derive(Debug, Default)]
pub struct Batch {
    mapped: Mapped,
    aside: Vec<SetAside>,
    counts: BTreeMap<String, Count>,
    records: usize,
    bytes: usize,
    /// A state came: all records before it are in this batch or in the store.
    has_state: bool,
    /// When its first came.
    since: Option<Timestamp>,
}

/// What came of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Records.
    pub records: u64,
    /// Events made of them, but those that were made of them before.
    pub events: u64,
    /// Products.
    pub items: u64,
    /// Records that could not be read.
    pub set_aside: u64,
}

impl Batch {
    /// A record came.
    pub fn add(
        &mut self,
        record: &Record,
        mapping: &Mapping,
        progress: &Progress,
        seen: &mut Seen,
        arrival: &Arrival<'_>,
    ) {
        let items = self.mapped.items.len();
        let mut events = std::mem::take(&mut self.mapped.read.events);
        let stream = map(mapping, record, progress, arrival, &mut self.mapped);
        seen.only_new(&mut self.mapped.read.events);
        let new = self.mapped.read.events.len();
        events.append(&mut self.mapped.read.events);
        self.mapped.read.events = events;
        let rejected = std::mem::take(&mut self.mapped.read.rejected);
        let Some(stream) = stream else { return };
        let count = self.counts.entry(stream.to_owned()).or_default();
        count.records += 1;
        count.events += new as u64;
        count.items += (self.mapped.items.len() - items) as u64;
        count.set_aside += rejected.len() as u64;
        for one in rejected {
            self.set_aside(&format!("{}/{stream}", arrival.source), &one.reason, &one.body, arrival.at);
        }
        self.records += 1;
        self.bytes += record.text.len();
        self.since.get_or_insert(arrival.at);
    }

    /// Something came that cannot be read.
    pub fn set_aside(&mut self, source: &str, reason: &str, body: &str, at: Timestamp) {
        self.aside.push(SetAside { at, source: source.into(), reason: reason.into(), body: beginning(body) });
        self.since.get_or_insert(at);
    }

    /// A state came, or a stream was read whole.
    pub fn reached(&mut self, at: Timestamp) {
        self.has_state = true;
        self.since.get_or_insert(at);
    }

    /// When it is to be kept at the latest; none, while it is empty.
    pub fn due(&self) -> Option<Timestamp> {
        let since = self.since?;
        Some(if self.records >= MOST.0 || self.bytes >= MOST.1 { since } else { since + LINGER })
    }

    /// For the store, with the program's progress where a state came, and what came of each stream.
    pub fn take(&mut self, cursor: &str, progress: &Progress) -> (Kept, BTreeMap<String, Count>) {
        let Self { mapped, aside, counts, has_state, .. } = std::mem::take(self);
        let cursor = has_state.then(|| (cursor.to_owned(), serde_json::to_vec(progress).unwrap_or_default()));
        (Kept { events: mapped.read.events, items: mapped.items, aside, cursor }, counts)
    }
}
