//! What a person did lately, bounded, and what is left of the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::{Origin, Position, RawJson, Timestamp, machine};

/// One remembered event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Event time.
    pub at: Timestamp,
    /// Arrival order; unique for the whole store.
    pub position: Position,
    /// The event's name.
    pub name: Arc<str>,
    /// Which sort of system saw it.
    pub origin: Origin,
    /// The client's session id, where it sent one.
    pub session: Option<Box<str>>,
    /// The event's properties as they came.
    pub properties: RawJson,
    /// The strongest name the event had, as [`Identifier::tag`](super::Identifier::tag); 0 where that is not known.
    pub by: u32,
    /// The same, parsed when a rule first reads them.
    parsed: OnceLock<serde_json::Value>,
}

impl Entry {
    /// What is remembered of an event.
    pub fn new(
        at: Timestamp,
        position: Position,
        name: Arc<str>,
        origin: Origin,
        session: Option<Box<str>>,
        properties: RawJson,
    ) -> Self {
        Self { at, position, name, origin, session, properties, by: 0, parsed: OnceLock::new() }
    }
    /// Done under this name.
    #[must_use]
    pub fn by(self, by: u32) -> Self {
        Self { by, ..self }
    }
    /// Its properties as a value; parsed once.
    pub fn fields(&self) -> &serde_json::Value {
        self.parsed.get_or_init(|| self.properties.to_value())
    }
    /// About how many bytes of memory it takes beside itself: parsed properties take many times their text.
    fn weight(&self) -> usize {
        let text = self.properties.get().len();
        text + if self.parsed.get().is_some() { 12 * text } else { 0 }
    }
    /// Its place among a person's events.
    pub fn order(&self) -> (Timestamp, Position) {
        (self.at, self.position)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
            && self.name == other.name
            && self.origin == other.origin
            && self.session == other.session
            && self.properties == other.properties
            && self.by == other.by
    }
}

/// What is kept of entries that were cut, for one event name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How many were cut.
    pub count: u64,
    /// Event time of the first.
    pub first: Timestamp,
    /// Event time of the last one cut.
    pub last: Timestamp,
}

/// Entries in order of (`at`, `position`), and the folded rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    entries: Vec<Entry>,
    folded: BTreeMap<Arc<str>, Lifetime>,
}

impl History {
    /// From stored parts; entries are put in order.
    pub fn from_parts(mut entries: Vec<Entry>, folded: BTreeMap<Arc<str>, Lifetime>) -> Self {
        entries.sort_by_key(|e| e.order());
        Self { entries, folded }
    }
    /// In order of (`at`, `position`).
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
    /// What was cut, by event name.
    pub fn folded(&self) -> &BTreeMap<Arc<str>, Lifetime> {
        &self.folded
    }
    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let entries: usize = self.entries.iter().map(Entry::weight).sum();
        self.entries.capacity() * size_of::<Entry>() + entries + self.folded.len() * 100
    }
    /// Puts an entry in its place and returns its index: late ones go before the end.
    pub fn push(&mut self, entry: Entry) -> usize {
        let key = entry.order();
        let place = self.entries.partition_point(|e| e.order() <= key);
        self.entries.insert(place, entry);
        place
    }
    /// The union of two histories.
    pub fn absorb(&mut self, other: History) {
        self.entries.extend(other.entries);
        self.entries.sort_by_key(|e| e.order());
        for (name, cut) in other.folded {
            self.fold(name, cut);
        }
    }
    /// Takes the entries out that were done under one of these names. What was cut stays, since nobody knows of whom.
    pub fn part(&mut self, by: &[u32]) -> History {
        let (gone, kept) = std::mem::take(&mut self.entries).into_iter().partition(|entry| by.contains(&entry.by));
        self.entries = kept;
        History { entries: gone, folded: BTreeMap::new() }
    }
    /// Cuts entries before `keep_from`, and the oldest until at most `most` are left, into lifetime facts.
    /// Returns how many were cut.
    pub fn cut(&mut self, keep_from: Timestamp, most: usize) -> usize {
        let by_time = self.entries.partition_point(|e| e.at < keep_from);
        let n = by_time.max(self.entries.len().saturating_sub(most));
        let cut: Vec<Entry> = self.entries.drain(..n).collect();
        // Counts know no properties: what a machine did would pass for the person's own.
        for entry in cut.into_iter().filter(|entry| !machine::made(entry)) {
            self.fold(entry.name, Lifetime { count: 1, first: entry.at, last: entry.at });
        }
        n
    }
    fn fold(&mut self, name: Arc<str>, cut: Lifetime) {
        let kept = self.folded.entry(name).or_insert(Lifetime { count: 0, ..cut });
        kept.count += cut.count;
        kept.first = kept.first.min(cut.first);
        kept.last = kept.last.max(cut.last);
    }
}
