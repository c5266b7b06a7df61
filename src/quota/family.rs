//! The calls of one account that share windows: all of these have to have room.

use super::counting::{Counting, Wait};
use super::share::{For, Turns};
use crate::model::{Span, Timestamp};

/// Whoever gives way looks again after this, should nobody say that the turn is over.
const TURN: Span = Span::from_millis(50);

/// Calls that share windows.
#[derive(Default)]
pub struct Family {
    /// Shortest first.
    pub windows: Vec<Counting>,
    /// Who waits for them.
    pub turns: Turns,
    /// Calls on their way.
    pub pending: u32,
    /// The vendor said not to come before, and why.
    pub blocked: Option<(Timestamp, &'static str)>,
}

impl Family {
    /// Whether a call may leave, as far as it can be told without spending it.
    pub fn opens(&mut self, now: Timestamp, calls: u32) -> Result<(), Wait> {
        if let Some((until, _)) = self.blocked.filter(|(until, _)| *until > now) {
            return Err(Wait::Until(until));
        }
        // The longest wait of all windows: what opens earlier would be asked in vain.
        let mut longest = Ok(());
        for window in &mut self.windows {
            match (window.opens(now, calls), longest) {
                (Ok(()), _) => {}
                (Err(Wait::Until(at)), Err(Wait::Until(other))) => longest = Err(Wait::Until(at.max(other))),
                (Err(Wait::Answer), Err(Wait::Until(_))) => {}
                (Err(wait), _) => longest = Err(wait),
            }
        }
        longest
    }

    /// Soon nothing may leave before the count is written.
    pub fn is_low(&mut self, now: Timestamp) -> bool {
        self.windows.iter_mut().any(|window| window.is_low(now))
    }

    /// A call leaves, where all windows have room for it and it is its turn.
    pub fn enter(&mut self, now: Timestamp, who: For, calls: u32) -> Result<(), Wait> {
        self.opens(now, calls)?;
        // What was begun is ended, whosever turn it is.
        if calls > 0 && !self.turns.is_next(who) {
            return Err(Wait::Until(now + TURN));
        }
        for window in &mut self.windows {
            window.spend(now)?;
        }
        self.windows.iter_mut().for_each(Counting::begin);
        self.pending = self.pending.saturating_add(1);
        self.turns.took(who);
        Ok(())
    }
}
