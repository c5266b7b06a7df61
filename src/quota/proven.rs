//! The calls of a window that may still count at the vendor.
//!
//! A call is counted somewhere between its leaving and its answer. So one that is not answered counts, and one that is
//! counts until the window's length after its answer. Whatever the network does to either of two calls, and wherever the
//! vendor's windows begin, no window of theirs then sees more calls than its number. The price: the rate is the number in
//! (length + time to an answer).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::{Span, Timestamp};

/// Answers are remembered together that came within this part of a window: memory does not grow with the number.
const SLOTS: i64 = 1_000;
/// The same where they are written every other second.
const WRITTEN: i64 = 60;

/// The calls of one window.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    /// Not answered.
    pending: u32,
    /// How many were answered up to when, oldest first.
    answered: VecDeque<Slot>,
    /// The sum of them.
    sum: u32,
}

/// Calls answered at or before an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    until: Timestamp,
    calls: u32,
}

impl Slot {
    /// As if the answers had come later by so much, but by no more than that after `now`.
    pub fn later(self, by: Span, now: Timestamp) -> Self {
        Self { until: (self.until + by).min(now + by), ..self }
    }
}

impl Proven {
    /// Calls that may count now.
    pub fn used(&mut self, now: Timestamp, span: Span) -> u32 {
        while let Some(first) = self.answered.front().filter(|slot| slot.until + span <= now) {
            self.sum = self.sum.saturating_sub(first.calls);
            self.answered.pop_front();
        }
        self.sum.saturating_add(self.pending)
    }

    /// When the oldest answered call grows old; `None` when all wait for their answers.
    pub fn opens(&self, span: Span) -> Option<Timestamp> {
        self.answered.front().map(|slot| slot.until + span)
    }

    /// A call leaves.
    pub fn left(&mut self) {
        self.pending = self.pending.saturating_add(1);
    }

    /// Its answer came, or it will have none.
    pub fn answered(&mut self, now: Timestamp, span: Span) {
        self.pending = self.pending.saturating_sub(1);
        self.count(now, span, 1);
    }

    /// So many calls that were answered up to now.
    pub fn count(&mut self, now: Timestamp, span: Span, calls: u32) {
        // The clock tells whole milliseconds: the answer came before the next one.
        let slot = (span.as_millis() / SLOTS).max(1);
        let until = Timestamp::from_millis((now.as_millis().div_euclid(slot) + 1).saturating_mul(slot));
        self.sum = self.sum.saturating_add(calls);
        match self.answered.back_mut() {
            Some(last) if last.until >= until => last.calls = last.calls.saturating_add(calls),
            _ => self.answered.push_back(Slot { until, calls }),
        }
    }

    /// Calls that are not answered.
    pub fn pending(&self) -> u32 {
        self.pending
    }

    /// What was answered, for a later run.
    pub fn slots(&self) -> Vec<Slot> {
        self.answered.iter().copied().collect()
    }

    /// The same in few words: as old as the youngest of those that are told together.
    pub fn few_slots(&self, span: Span) -> Vec<Slot> {
        let part = (span.as_millis() / WRITTEN).max(1);
        let mut few: Vec<Slot> = Vec::new();
        for slot in &self.answered {
            let same = |last: &Slot| last.until.as_millis().div_euclid(part) == slot.until.as_millis().div_euclid(part);
            match few.last_mut().filter(|last| same(last)) {
                Some(last) => *last = Slot { until: slot.until, calls: last.calls.saturating_add(slot.calls) },
                None => few.push(*slot),
            }
        }
        few
    }

    /// What an earlier run had answered.
    pub fn take_over(&mut self, slots: Vec<Slot>) {
        self.sum = slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.calls));
        self.answered = slots.into();
    }
}
