//! Calls of a window that may leave before it is written that they did: whoever takes the account over from a daemon that
//! died knows by it what that one can have used at most.

use crate::model::Span;

/// Bought with one write: what the window lets through in so long.
const SLICE: Span = Span::from_secs(2);
/// At least and at most such parts of the window: a slow one costs no write for each call, and what was bought is lost with
/// a daemon that dies.
const PARTS: (u32, u32) = (20, 4);

/// The calls of one window since the account is ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead {
    /// Those that left.
    left: u64,
    /// Those that may have: so many are on disk.
    kept: u64,
}

/// How many calls of a window one write buys.
pub fn slice(ours: u32, span: Span) -> u32 {
    let calls = i64::from(ours).saturating_mul(SLICE.as_millis()) / span.as_millis().max(1);
    u32::try_from(calls).unwrap_or(u32::MAX).max(ours / PARTS.0).min(ours / PARTS.1).max(1)
}

impl Ahead {
    /// The next call has to be written first.
    pub fn is_spent(self) -> bool {
        self.left >= self.kept
    }

    /// Half of what was bought is gone: written now, nobody has to wait for it.
    pub fn is_low(self, slice: u32) -> bool {
        self.kept.saturating_sub(self.left) <= u64::from(slice / 2)
    }

    /// A call leaves.
    pub fn leaves(&mut self) {
        self.left = self.left.saturating_add(1);
    }

    /// What is bought now: no less than what is still there, since a write whose answer was lost takes nothing back. And
    /// the number of calls that may have left with it.
    pub fn bought(self, slice: u32) -> (u32, u64) {
        let there = u32::try_from(self.kept.saturating_sub(self.left)).unwrap_or(u32::MAX);
        let calls = slice.max(there);
        (calls, self.left.saturating_add(u64::from(calls)))
    }

    /// So many are on disk.
    pub fn is_kept(&mut self, calls: u64) {
        self.kept = self.kept.max(calls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_two_seconds_of_the_window_and_never_much_of_it() {
        let check = |ours, secs, calls| assert_eq!(slice(ours, Span::from_secs(secs)), calls, "{ours} in {secs} s");
        check(3_500, 60, 175);
        check(100, 10, 20);
        check(100, 20, 10);
        check(100, 5, 25);
        check(60, 60, 3);
        check(1, 60, 1);
    }

    #[test]
    fn what_is_bought_is_there_when_it_is_on_disk() {
        let mut ahead = Ahead::default();
        assert!(ahead.is_spent() && ahead.is_low(10));
        let (calls, until) = ahead.bought(10);
        assert_eq!((calls, until), (10, 10));
        ahead.is_kept(until);
        for _ in 0..4 {
            ahead.leaves();
        }
        assert!(!ahead.is_low(10));
        ahead.leaves();
        assert!(ahead.is_low(10) && !ahead.is_spent());
        // Two leave while it is written.
        let (calls, until) = ahead.bought(10);
        assert_eq!((calls, until), (10, 15));
        ahead.leaves();
        ahead.leaves();
        ahead.is_kept(until);
        for _ in 0..8 {
            assert!(!ahead.is_spent());
            ahead.leaves();
        }
        assert!(ahead.is_spent());
        ahead.is_kept(100);
        assert_eq!(ahead.bought(10), (85, 100), "no write takes back what was bought");
    }
}
