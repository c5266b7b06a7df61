//! The only ledger of an account's budget at a vendor: a governor for each window, and an instant before which the
//! vendor said not to come.
//!
//! Windows are checked from the shortest to the longest: a governor spends at once and cannot give back.

mod forecast;

pub use forecast::{Calls, Need, need};

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use governor::clock::{Clock as _, Reference};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::SharedClock;
use crate::model::http::{Name, Pace, Window};
use crate::model::{Span, Timestamp};

/// A steady window's calls are this much further from each other than its number allows: what the network moves must
/// not make one too many of them.
const SLACK: f64 = 1.03;

/// The daemon's clock, for governor.
#[derive(Clone)]
struct Ticks(SharedClock);

/// Milliseconds of the daemon's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

impl std::ops::Add<Nanos> for Tick {
    type Output = Self;
    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::from(Duration::from_nanos(self.0.saturating_sub(earlier.0)))
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.as_u64()))
    }
}

impl governor::clock::Clock for Ticks {
    type Instant = Tick;
    fn now(&self) -> Tick {
        Tick((self.0.now().as_millis().max(0) as u64).saturating_mul(1_000_000))
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Ticks, governor::middleware::NoOpMiddleware<Tick>>;

/// One account's budget.
pub struct Ledger {
    clock: SharedClock,
    ticks: Ticks,
    /// Shortest window first, by family.
    limits: HashMap<Name, Vec<(Span, Limiter)>>,
    blocked: Mutex<Option<(Timestamp, &'static str)>>,
}

impl Ledger {
    /// With these windows. A window of no calls is taken as one call.
    pub fn new(windows: &[Window], clock: SharedClock) -> Self {
        let ticks = Ticks(clock.clone());
        let mut limits: HashMap<Name, Vec<(Span, Limiter)>> = HashMap::new();
        for window in windows {
            let calls = NonZeroU32::new(window.calls).unwrap_or(NonZeroU32::MIN);
            // A full bucket and its refill in one window would be twice the vendor's number: half of it at once, the rest
            // as it drips, and never more than the number in any window.
            let (burst, refilled) = match window.pace {
                Pace::Burst => {
                    let burst = NonZeroU32::new(calls.get().div_ceil(2)).unwrap_or(NonZeroU32::MIN);
                    (burst, (calls.get() - burst.get()).max(1))
                }
                // Of two calls at this distance one more than the number would fit, by a hair: the network moves them.
                Pace::Steady => (NonZeroU32::MIN, calls.get()),
            };
            let mut each = window.span.to_std() / refilled;
            if window.pace == Pace::Steady {
                each = each.mul_f64(SLACK);
            }
            if let Some(quota) = Quota::with_period(each.max(Duration::from_nanos(1))) {
                let limiter = RateLimiter::direct_with_clock(quota.allow_burst(burst), ticks.clone());
                limits.entry(window.family.clone()).or_default().push((window.span, limiter));
            }
        }
        for windows in limits.values_mut() {
            windows.sort_by_key(|(span, _)| *span);
        }
        Self { clock, ticks, limits, blocked: Mutex::new(None) }
    }

    /// Spends one call of `family`, or says until when to wait. Spending in a short window while a longer one is full
    /// costs that one call: the error is on the careful side.
    pub fn spend(&self, family: &str) -> Result<(), Timestamp> {
        let now = self.clock.now();
        if let Some(until) = self.blocked_until().filter(|until| *until > now) {
            return Err(until);
        }
        for (_, limiter) in self.limits.get(family).into_iter().flatten() {
            if let Err(not_until) = limiter.check() {
                let wait = not_until.wait_time_from(self.ticks.now());
                let ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                return Err(now + Span::from_millis(ms.saturating_add(1)));
            }
        }
        Ok(())
    }

    /// The vendor said not to come before `until`.
    pub fn block(&self, until: Timestamp, window: &'static str) {
        if let Ok(mut blocked) = self.blocked.lock() {
            let later = blocked.is_none_or(|(old, _)| old < until);
            if later {
                *blocked = Some((until, window));
            }
        }
    }

    /// Until when the vendor said not to come.
    pub fn blocked_until(&self) -> Option<Timestamp> {
        self.blocked.lock().ok().and_then(|blocked| blocked.map(|(until, _)| until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use std::sync::Arc;

    fn window(calls: u32, span: Span, pace: Pace) -> Window {
        Window { family: "x".into(), calls, span, pace }
    }

    #[test]
    fn a_steady_window_is_used_up_and_not_exceeded() {
        let start = Timestamp::from_millis(1_800_000_000_000);
        let clock = VirtualClock::new(start);
        let ledger = Ledger::new(&[window(2, Span::from_secs(1), Pace::Steady)], Arc::new(clock.clone()));
        let mut spent: Vec<i64> = Vec::new();
        for ms in 0..100_000_i64 {
            clock.set(start + Span::from_millis(ms));
            if ledger.spend("x").is_ok() {
                spent.push(ms);
            }
        }
        assert!(spent.len() >= 190, "{} of 200 calls", spent.len());
        let closest = spent.windows(3).map(|three| three[2] - three[0]).min();
        assert!(closest > Some(1_000), "three calls within {closest:?} ms");
    }

    #[test]
    fn no_window_is_ever_exceeded() {
        let start = Timestamp::from_millis(1_800_000_000_000);
        let clock = VirtualClock::new(start);
        let windows = [window(10, Span::from_secs(1), Pace::Burst), window(150, Span::from_minutes(1), Pace::Burst)];
        let ledger = Ledger::new(&windows, Arc::new(clock.clone()));
        let mut spent: Vec<i64> = Vec::new();
        for ms in 0..180_000_i64 {
            clock.set(start + Span::from_millis(ms));
            while ledger.spend("x").is_ok() {
                spent.push(ms);
            }
        }
        for (window, most) in [(1_000, 10), (60_000, 150)] {
            let worst =
                spent.iter().map(|from| spent.iter().filter(|t| (*from..*from + window).contains(*t)).count()).max();
            assert!(worst <= Some(most), "{worst:?} calls in {window} ms");
        }
        assert!(spent.len() > 200, "{} calls in three minutes: the budget is used", spent.len());
    }

    #[test]
    fn a_block_is_kept_and_only_grows() {
        let start = Timestamp::from_millis(1_800_000_000_000);
        let clock = VirtualClock::new(start);
        let ledger = Ledger::new(&[], Arc::new(clock.clone()));
        ledger.block(start + Span::from_secs(5), "minute");
        ledger.block(start + Span::from_secs(2), "second");
        assert_eq!(ledger.spend("x"), Err(start + Span::from_secs(5)));
        clock.set(start + Span::from_secs(5));
        assert_eq!(ledger.spend("x"), Ok(()));
    }
}
