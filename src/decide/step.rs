//! One step being decided: the people it may change, and the changes so far.

use std::collections::{HashMap, HashSet};

use crate::model::{Changes, Event, Loaded, PersonChange, PersonId, Position, Timestamp, Write};
use crate::rules::Program;

/// The state of one call of `decide`.
pub(super) struct Step<'a> {
    pub loaded: &'a mut Loaded,
    pub program: &'a Program,
    pub now: Timestamp,
    pub changes: Changes,
    /// Place of each touched person in `changes.people`.
    touched: HashMap<PersonId, usize>,
}

impl<'a> Step<'a> {
    pub fn new(loaded: &'a mut Loaded, program: &'a Program, now: Timestamp) -> Self {
        Self { loaded, program, now, changes: Changes::default(), touched: HashMap::new() }
    }

    pub fn finish(self) -> Changes {
        self.changes
    }

    /// True when the message was seen before; notes its keys.
    pub fn is_repeat(&mut self, event: &Event) -> bool {
        let is_repeat = event.dedupe.iter().any(|key| self.loaded.seen.contains(key));
        self.changes.duplicates += u64::from(is_repeat);
        // A repetition may bring a further key of the same message.
        self.loaded.seen.extend(&event.dedupe);
        self.changes.dedupe.extend(event.dedupe.iter().map(|key| (*key, event.arrived)));
        is_repeat
    }

    /// The person's header changed, and they have one more entry.
    pub fn touched(&mut self, id: PersonId, entry: Option<Position>) {
        let place = *self.touched.entry(id).or_insert_with(|| {
            self.changes.people.push(PersonChange { id, write: Write::Appended(Vec::new()) });
            self.changes.people.len() - 1
        });
        if let Some(PersonChange { write: Write::Appended(entries), .. }) = self.changes.people.get_mut(place) {
            entries.extend(entry);
        }
    }

    /// Everything of the person is to be written.
    pub fn touched_whole(&mut self, id: PersonId) {
        self.write(id, Write::Whole);
    }

    /// The person, and those who became them in this step.
    pub fn merged_into(&self, id: PersonId) -> HashSet<PersonId> {
        let mut ids = HashSet::from([id]);
        let merged = || {
            self.changes.people.iter().filter_map(|change| match change.write {
                Write::MergedInto(survivor) => Some((change.id, survivor)),
                _ => None,
            })
        };
        while let Some((other, _)) = merged().find(|(other, to)| ids.contains(to) && !ids.contains(other)) {
            ids.insert(other);
        }
        ids
    }

    /// How the person is to be written, whatever was said before.
    pub fn write(&mut self, id: PersonId, write: Write) {
        match self.touched.get(&id) {
            Some(place) => {
                if let Some(change) = self.changes.people.get_mut(*place) {
                    change.write = write;
                }
            }
            None => {
                self.changes.people.push(PersonChange { id, write });
                self.touched.insert(id, self.changes.people.len() - 1);
            }
        }
    }
}
