//! A day's calls: counted over restarts, written ahead so that a crash errs on the careful side.

use crate::model::{Span, Timestamp};

/// Writes of one day at most, besides the first: each buys this part of the day's calls.
const WRITES: u32 = 100;

/// The calls of one day, or of another length that is counted so.
#[derive(Clone, Debug, Default)]
pub struct Day {
    /// Which one.
    day: i64,
    /// Calls that left, as far as is known.
    used: u32,
    /// Calls that are on disk: those that left, and those that may leave before it is written again.
    kept: u32,
}

/// Whether a call may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It may.
    Free,
    /// The day's calls are spent.
    Spent,
    /// It has to be written first.
    Unwritten,
}

/// Which day an instant lies in, of those that begin `begins` after each multiple of `span`.
pub fn of(now: Timestamp, span: Span, begins: Span) -> i64 {
    (now - begins).as_millis().div_euclid(span.as_millis().max(1))
}

/// When the next one begins.
pub fn next(now: Timestamp, span: Span, begins: Span) -> Timestamp {
    Timestamp::from_millis((of(now, span, begins) + 1).saturating_mul(span.as_millis())) + begins
}

impl Day {
    /// Calls that left in the day of this number.
    pub fn used(&mut self, day: i64) -> u32 {
        if day > self.day {
            *self = Self { day, used: 0, kept: 0 };
        }
        self.used
    }

    /// Whether `calls` more fit into `ours`: none of them begins what the day could not end. 0 for a call of what was
    /// begun, which leaves all the same.
    pub fn room(&mut self, day: i64, calls: u32, ours: u32) -> Room {
        let used = self.used(day);
        if calls > 0 && used.saturating_add(calls) > ours {
            return Room::Spent;
        }
        if used >= self.kept { Room::Unwritten } else { Room::Free }
    }

    /// The next call has to be written first.
    pub fn is_low(&mut self, day: i64) -> bool {
        self.used(day) >= self.kept
    }

    /// A call leaves.
    pub fn left(&mut self) {
        self.used = self.used.saturating_add(1);
    }

    /// What is to be written: the day, and the calls that may have left before it is written again.
    pub fn ahead(&self, ours: u32) -> (i64, u32) {
        (self.day, self.used.saturating_add((ours / WRITES).max(1)))
    }

    /// The day and its calls, for a run that ends well.
    pub fn exact(&self) -> (i64, u32) {
        (self.day, self.used)
    }

    /// So much is on disk.
    pub fn is_kept(&mut self, (day, calls): (i64, u32)) {
        if day == self.day {
            self.kept = self.kept.max(calls);
        }
    }

    /// What an earlier run kept.
    pub fn take_over(&mut self, (day, used): (i64, u32)) {
        *self = Self { day, used, kept: used };
    }
}
