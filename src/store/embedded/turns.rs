//! Whose turn it is: of one person only what was decided first leaves first, also where it has to be tried again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::outbox::Queued;
use crate::model::{Action, ActionKind, PersonId, Priority};

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

/// What a batch does to lists and to consent. A batch has an order no longer when it leaves: whoever is put into a list
/// and taken out of it needs two.
#[derive(Default)]
pub struct Lists(HashMap<(PersonId, Option<Arc<str>>), Option<ActionKind>>);

impl Lists {
    /// True when it may go with what came before it; from the first that may not, nothing more of that list does.
    pub fn agree(&mut self, queued: &Queued) -> bool {
        let list = match &queued.activation.action {
            Action::AddToList(list) | Action::RemoveFromList(list) => Some(list.clone()),
            Action::Subscribe(_) | Action::Unsubscribe(_) | Action::Suppress | Action::Unsuppress => None,
            Action::Event(_) | Action::Campaign(_) | Action::Profile | Action::Erase => return true,
        };
        let kind = Some(queued.activation.action.kind());
        let first = self.0.entry((queued.activation.person, list)).or_insert(kind);
        if *first != kind {
            *first = None;
        }
        *first == kind
    }
}
