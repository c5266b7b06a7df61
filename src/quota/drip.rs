//! The pace within a window: a governor, so that calls lie apart from each other and an urgent one never waits for long.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, Reference};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::SharedClock;
use crate::model::{Span, Timestamp};

/// The daemon's clock, for governor.
#[derive(Clone)]
struct Ticks(SharedClock);

/// Milliseconds of the daemon's clock, as nanoseconds.
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

type Limiter = RateLimiter<NotKeyed, InMemoryState, Ticks, governor::middleware::StateInformationMiddleware>;

/// Calls that drip: so many at once after a rest, then one after the other.
pub struct Drip {
    ticks: Ticks,
    limiter: Option<Limiter>,
    each: Span,
    /// No call fits before.
    opens: Timestamp,
}

impl Drip {
    /// `calls` in `span`, at `pace` of that rate, and at most `burst` at once.
    pub fn new(calls: u32, span: Span, pace: f64, burst: u32, clock: &SharedClock) -> Self {
        let each = span.to_std().div_f64(f64::from(calls.max(1)) * pace).max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(each).map(|quota| quota.allow_burst(burst));
        let ticks = Ticks(clock.clone());
        let limiter = quota.map(|quota| RateLimiter::direct_with_clock(quota, ticks.clone()).with_middleware());
        let each = Span::from_millis(i64::try_from(each.as_millis()).unwrap_or(i64::MAX));
        Self { ticks, limiter, each, opens: Timestamp::MIN }
    }

    /// The earliest instant at which a call may fit; long past when one fits now.
    pub fn opens(&self) -> Timestamp {
        self.opens
    }

    /// No call fits before then.
    pub fn rest(&mut self, until: Timestamp) {
        self.opens = self.opens.max(until);
    }

    /// Spends one call, or says until when to wait.
    pub fn spend(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        match limiter.check() {
            Ok(after) => {
                if after.remaining_burst_capacity() == 0 {
                    self.opens = now + self.each;
                }
                Ok(())
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.ticks.now());
                self.opens = now + Span::from_millis(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX) + 1);
                Err(self.opens)
            }
        }
    }
}
