//! One window: how many of its calls are ours, how many left, and when the next may.

use super::ahead::{self, Ahead};
use super::day::{self, Day, Room};
use super::drip::Drip;
use super::proven::Proven;
use crate::clock::SharedClock;
use crate::model::http::{Counted, Learned, Window};
use crate::model::{Span, Timestamp};

/// Windows below this are only paced: the time to an answer would be much of them.
const SHORT: Span = Span::from_secs(5);
/// A short window's calls lie this much further apart than its number allows: the network moves them.
const SLACK: f64 = 1.03;
/// The pace within a longer one is a little slower than its number: what came at once after a rest is worked off, and the
/// window's end finds calls left for what is urgent.
const PACE: f64 = 0.998;
/// The part of a window that may leave at once after a rest.
const BURST: u32 = 20;
/// A rolling window that is said to be used up is looked at again after this part of it.
const AGAIN: i64 = 10;
/// A vendor's own word about its number is believed up to so many times what is published.
const BELIEVED: u32 = 10;

/// Why a call may not leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not before.
    Until(Timestamp),
    /// Not before an answer comes.
    Answer,
    /// Not before the count is written.
    Unwritten,
}

/// One window.
pub struct Counting {
    /// As it was declared, with the vendor's own number once it is known.
    pub window: Window,
    declared: u32,
    /// What others who share the account take of the same window at most.
    most: u32,
    drip: Option<Drip>,
    /// The calls that may still count, where the window is long enough.
    pub proven: Option<Proven>,
    /// The day's count, where it is one.
    pub day: Option<Day>,
    /// What may leave before it is written, where another daemon may take the account over.
    pub ahead: Option<Ahead>,
    left: Option<Left>,
}

/// What the vendor said is left.
#[derive(Clone, Copy, Debug)]
struct Left {
    calls: u32,
    /// It holds until then.
    until: Timestamp,
}

impl Counting {
    /// Nothing left yet.
    pub fn new(window: Window, clock: &SharedClock) -> Self {
        let is_day = matches!(window.counted, Counted::Daily { .. });
        let proven = (!is_day && window.span >= SHORT).then(Proven::default);
        let day = is_day.then(Day::default);
        let (declared, most) = (window.calls, u32::MAX);
        let mut counting = Self { window, declared, most, drip: None, proven, day, ahead: None, left: None };
        counting.pace(clock);
        counting
    }

    fn pace(&mut self, clock: &SharedClock) {
        let (ours, span) = (self.ours(), self.window.span);
        let burst = (ours / BURST).max(1);
        self.drip = match (&self.day, &self.proven) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(Drip::new(ours, span, PACE, burst, clock)),
            // Nothing else holds it: what leaves at once is taken from what drips.
            (None, None) => Some(Drip::new(ours - burst + 1, span, 1.0 / SLACK, burst, clock)),
        };
    }

    /// Another party has its own idea of the same window: the smaller one holds.
    pub fn also(&mut self, window: &Window, clock: &SharedClock) {
        self.most = self.most.min(window.ours());
        self.pace(clock);
    }

    /// Calls that are ours.
    pub fn ours(&self) -> u32 {
        self.window.ours().min(self.most)
    }

    /// Which day it is.
    fn day_of(&self, now: Timestamp) -> (i64, Timestamp) {
        let begins = match self.window.counted {
            Counted::Daily { begins } => begins,
            Counted::Fixed | Counted::Rolling => Span::ZERO,
        };
        (day::of(now, self.window.span, begins), day::next(now, self.window.span, begins))
    }

    /// Whether a call may leave now, of an exchange of so many; 0 for one of an exchange that was begun. Spends nothing.
    pub fn opens(&mut self, now: Timestamp, calls: u32) -> Result<(), Wait> {
        let (ours, span) = (self.ours(), self.window.span);
        let (day, next) = self.day_of(now);
        let needed = if self.day.is_some() { calls } else { 1 };
        if let Some(left) = self.left.filter(|left| left.until > now)
            && left.calls < needed
        {
            return Err(Wait::Until(left.until));
        }
        if let Some(counted) = &mut self.day {
            return match counted.room(day, calls, ours) {
                Room::Free => Ok(()),
                Room::Spent => Err(Wait::Until(next)),
                Room::Unwritten => Err(Wait::Unwritten),
            };
        }
        if let Some(proven) = &mut self.proven
            && proven.used(now, span) >= ours
        {
            return Err(proven.opens(span).map_or(Wait::Answer, Wait::Until));
        }
        if let Some(opens) = self.drip.as_ref().map(Drip::opens).filter(|opens| *opens > now) {
            return Err(Wait::Until(opens));
        }
        if self.ahead.is_some_and(Ahead::is_spent) { Err(Wait::Unwritten) } else { Ok(()) }
    }

    /// From now on another daemon may take the account over, or not. Nothing that leaves is written yet.
    pub fn share(&mut self, is_shared: bool) {
        self.ahead = (is_shared && self.proven.is_some()).then(Ahead::default);
    }

    /// How many calls one write buys.
    pub fn slice(&self) -> u32 {
        ahead::slice(self.ours(), self.window.span)
    }

    /// Soon nothing may leave before the count is written.
    pub fn is_low(&mut self, now: Timestamp) -> bool {
        let day = self.day_of(now).0;
        let slice = self.slice();
        self.day.as_mut().is_some_and(|counted| counted.is_low(day)) || self.ahead.is_some_and(|one| one.is_low(slice))
    }

    /// Spends one call of the pace.
    pub fn spend(&mut self, now: Timestamp) -> Result<(), Wait> {
        self.drip.as_mut().map_or(Ok(()), |drip| drip.spend(now).map_err(Wait::Until))
    }

    /// A call leaves.
    pub fn begin(&mut self) {
        if let Some(proven) = &mut self.proven {
            proven.left();
        }
        if let Some(day) = &mut self.day {
            day.left();
        }
        if let Some(ahead) = &mut self.ahead {
            ahead.leaves();
        }
        if let Some(left) = &mut self.left {
            left.calls = left.calls.saturating_sub(1);
        }
    }

    /// Its answer came, or it will have none.
    pub fn end(&mut self, now: Timestamp) {
        if let Some(proven) = &mut self.proven {
            proven.answered(now, self.window.span);
        }
    }

    /// Another may have used all of it, up to now. A day has a count of its own.
    pub fn is_spent(&mut self, now: Timestamp) {
        let (ours, span) = (self.ours(), self.window.span);
        match (&mut self.proven, &mut self.drip) {
            (Some(proven), _) => proven.count(now, span, ours),
            (None, Some(drip)) => drip.rest(now + span),
            (None, None) => {}
        }
    }

    /// Takes the vendor's figures to heart. `pending` calls are on their way, and may not be in them.
    pub fn learn(&mut self, said: &Learned, pending: u32, now: Timestamp, clock: &SharedClock) {
        if let Some(calls) = said.calls.filter(|calls| *calls > 0 && *calls != self.window.calls) {
            let believed = calls.min(self.declared.saturating_mul(BELIEVED));
            if believed != self.window.calls {
                self.window.calls = believed;
                self.pace(clock);
            }
        }
        let Some(left) = said.left else { return };
        let calls = left.saturating_sub(pending);
        let span = self.window.span;
        let until = match self.window.counted {
            // Told in whole seconds, rounded up: the earliest that was said of one window is the nearest to its end.
            Counted::Fixed => {
                let until = said.resets.unwrap_or(now + span).min(now + span);
                match self.left {
                    Some(before) if before.until > now && before.until < until && until < before.until + SHORT => {
                        before.until
                    }
                    _ => until,
                }
            }
            Counted::Rolling => {
                let again = now + Span::from_millis((span.as_millis() / AGAIN).max(1));
                let own = self.proven.as_ref().and_then(|proven| proven.opens(span)).filter(|own| *own > now);
                own.map_or(again, |own| own.min(again))
            }
            // Whose midnight it is may not be known: an hour is never too long.
            Counted::Daily { .. } => said.resets.unwrap_or_else(|| self.day_of(now).1.min(now + Span::HOUR)),
        };
        self.left = Some(Left { calls, until });
    }

    /// Calls that left and count; `None` for a short window, which is only paced.
    pub fn used(&mut self, now: Timestamp) -> Option<u32> {
        let day = self.day_of(now).0;
        match (&mut self.day, &mut self.proven) {
            (Some(counted), _) => Some(counted.used(day)),
            (None, Some(proven)) => Some(proven.used(now, self.window.span)),
            (None, None) => None,
        }
    }

    /// What the vendor said is left, while it holds.
    pub fn left(&self, now: Timestamp) -> Option<u32> {
        self.left.filter(|left| left.until > now).map(|left| left.calls)
    }

    /// When it begins anew, as far as that is known.
    pub fn resets(&self, now: Timestamp) -> Option<Timestamp> {
        match self.window.counted {
            Counted::Daily { .. } => Some(self.day_of(now).1),
            Counted::Fixed => self.left.map(|left| left.until).filter(|until| *until > now),
            Counted::Rolling => None,
        }
    }
}
