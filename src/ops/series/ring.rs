//! A stretch of time in slots of one length, the oldest overwritten by the newest. A slot of which nothing is known is a
//! gap, and not a zero.

use serde::{Deserialize, Serialize};

use crate::model::{Span, Timestamp};

/// Slots of one length; as many as it was made with, for ever.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ring {
    /// Milliseconds of a slot.
    step: i64,
    /// The number of the newest slot, counted from 1970.
    newest: i64,
    /// By the slot's number, modulo their count; a gap is no number.
    slots: Vec<f32>,
}

/// What becomes of two values of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// The higher one stays.
    Highest,
    /// They are added.
    Sum,
}

impl Ring {
    /// Of so many slots, all of them gaps.
    pub fn new(step: Span, slots: usize) -> Self {
        Self { step: step.as_millis().max(1), newest: i64::MIN, slots: vec![f32::NAN; slots] }
    }

    /// How long a slot is.
    pub fn step(&self) -> Span {
        Span::from_millis(self.step)
    }

    fn slot(&self, number: i64) -> Option<usize> {
        usize::try_from(number.rem_euclid(i64::try_from(self.slots.len()).ok()?)).ok()
    }

    /// Puts a value into the slot of `at`; what is older than all slots is dropped.
    pub fn put(&mut self, at: Timestamp, value: f64, fold: Fold) {
        let (number, length) = (at.whole(self.step()), self.slots.len() as i64);
        // A clock that was far ahead and was set right: what it wrote then would hide everything for as long.
        if number.saturating_add(length.saturating_mul(2)) < self.newest {
            self.slots.fill(f32::NAN);
            self.newest = number;
        }
        if self.newest == i64::MIN {
            self.newest = number;
        }
        // What lies between the newest and this one was not seen.
        for skipped in self.newest.saturating_add(1).max(number.saturating_sub(length - 1))..=number {
            if let Some(slot) = self.slot(skipped).and_then(|slot| self.slots.get_mut(slot)) {
                *slot = f32::NAN;
            }
        }
        self.newest = self.newest.max(number);
        if number <= self.newest.saturating_sub(length) {
            return;
        }
        let Some(slot) = self.slot(number).and_then(|slot| self.slots.get_mut(slot)) else { return };
        *slot = match fold {
            _ if slot.is_nan() => value as f32,
            Fold::Highest => slot.max(value as f32),
            Fold::Sum => *slot + value as f32,
        };
    }

    /// The slots up to the one of `now`, the oldest first: when each begins, and its value; none for a gap.
    pub fn told(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Option<f64>)> + '_ {
        let (last, length) = (now.whole(self.step()), self.slots.len() as i64);
        (last - length + 1..=last).map(move |number| {
            let is_kept = self.newest != i64::MIN && number <= self.newest && number > self.newest - length;
            let value = self.slot(number).and_then(|slot| self.slots.get(slot)).filter(|_| is_kept);
            let value = value.filter(|value| !value.is_nan()).map(|value| f64::from(*value));
            (Timestamp::from_millis(number.saturating_mul(self.step)), value)
        })
    }

    /// True when what was read from outside can be one.
    pub fn is_sound(&self, step: Span, slots: usize) -> bool {
        self.step == step.as_millis() && self.slots.len() == slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000) + Span::from_secs(s)
    }

    fn values(ring: &Ring, now: i64) -> Vec<Option<f64>> {
        ring.told(at(now)).map(|(_, value)| value).collect()
    }

    #[test]
    fn a_slot_that_nobody_saw_is_a_gap() {
        let mut ring = Ring::new(Span::from_secs(10), 4);
        assert_eq!(values(&ring, 0), [None; 4]);
        ring.put(at(0), 1.0, Fold::Sum);
        ring.put(at(9), 2.0, Fold::Sum);
        ring.put(at(20), 5.0, Fold::Sum);
        assert_eq!(values(&ring, 25), [None, Some(3.0), None, Some(5.0)]);
        // Time goes on, and nothing is said: gaps, not the past once more.
        assert_eq!(values(&ring, 45), [None, Some(5.0), None, None]);
        assert_eq!(values(&ring, 90), [None; 4]);
    }

    #[test]
    fn the_oldest_is_overwritten_and_the_highest_stays() {
        let mut ring = Ring::new(Span::from_secs(10), 4);
        for s in (0..100).step_by(5) {
            ring.put(at(s), s as f64, Fold::Highest);
        }
        assert_eq!(values(&ring, 95), [Some(65.0), Some(75.0), Some(85.0), Some(95.0)]);
        // Late, but still within; and too late.
        ring.put(at(70), 99.0, Fold::Highest);
        ring.put(at(10), 99.0, Fold::Highest);
        assert_eq!(values(&ring, 95), [Some(65.0), Some(99.0), Some(85.0), Some(95.0)]);
        // After a long silence nothing of before is there.
        ring.put(at(1_000), 1.0, Fold::Highest);
        assert_eq!(values(&ring, 1_000), [None, None, None, Some(1.0)]);
        // Far too early: the clock was wrong, and is right now.
        ring.put(at(500), 2.0, Fold::Highest);
        assert_eq!(values(&ring, 505), [None, None, None, Some(2.0)]);
    }
}
