//! Whose turn it is: of one person only what was decided first leaves first, also where it has to be tried again.

use std::collections::{BTreeSet, HashMap};

use super::outbox::Queued;
use crate::model::{PersonId, Priority};

/// Rows that wait for another try and are remembered; of more, the order is not kept.
pub const REMEMBERED: usize = 100_000;

/// Of one lane.
#[derive(Debug, Default)]
pub struct Turns {
    /// Whose rows are in somebody's hands, and how many.
    hands: HashMap<PersonId, usize>,
    /// Rows that wait for another try.
    again: HashMap<(PersonId, Priority), BTreeSet<u64>>,
    /// Whose those are.
    whose: HashMap<u64, (PersonId, Priority)>,
}

fn whose(queued: &Queued) -> (PersonId, Priority) {
    (queued.activation.person, queued.activation.priority)
}

impl Turns {
    /// True when nothing of its person has to leave first. What a higher priority has goes first in any case.
    pub fn may_leave(&self, queued: &Queued) -> bool {
        let earlier = self.again.get(&whose(queued)).and_then(BTreeSet::first);
        !self.hands.contains_key(&queued.activation.person) && earlier.is_none_or(|first| *first >= queued.seq)
    }

    /// It is in somebody's hands.
    pub fn take(&mut self, queued: &Queued) {
        *self.hands.entry(queued.activation.person).or_default() += 1;
    }

    /// It is in nobody's hands any more.
    pub fn put_down(&mut self, queued: &Queued) {
        let person = queued.activation.person;
        if let Some(count) = self.hands.get_mut(&person) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.hands.remove(&person);
            }
        }
    }

    /// It waits for another try.
    pub fn wait(&mut self, queued: &Queued) {
        if self.whose.len() < REMEMBERED {
            self.again.entry(whose(queued)).or_default().insert(queued.seq);
            self.whose.insert(queued.seq, whose(queued));
        }
    }

    /// It is no more.
    pub fn end(&mut self, seq: u64) {
        let Some(whose) = self.whose.remove(&seq) else { return };
        if let Some(rows) = self.again.get_mut(&whose) {
            rows.remove(&seq);
            if rows.is_empty() {
                self.again.remove(&whose);
            }
        }
    }
}
