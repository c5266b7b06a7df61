//! What was read of late, by the keys of its events, so that an overlap is not appended again. The journal knows more
//! of them.

use std::collections::HashSet;

use crate::model::{DedupeKey, Event};

/// Events remembered.
const REMEMBERED: usize = 20_000;

/// What was read of late.
#[derive(Default)]
pub struct Recent {
    newer: HashSet<DedupeKey>,
    older: HashSet<DedupeKey>,
}

impl Recent {
    /// Leaves those out that are known, and learns the others.
    pub fn only_new(&mut self, events: &mut Vec<Event>) {
        let is_known = |key: &DedupeKey| self.newer.contains(key) || self.older.contains(key);
        events.retain(|event| !event.dedupe.iter().any(is_known));
        self.newer.extend(events.iter().flat_map(|event| event.dedupe.iter().copied()));
        if self.newer.len() > REMEMBERED {
            self.older = std::mem::take(&mut self.newer);
        }
    }
}
