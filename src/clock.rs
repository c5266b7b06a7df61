//! What time it is: a trait, the system's clock, and one that tests and `simulate` turn by hand.
//!
//! The daemon's clock decides when to ask; event time decides truth. Nothing in the core can read either.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::model::Timestamp;

/// The daemon's clock. Handed to every room that waits.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Returns when `now() >= at`. Dropping the future is how a wait is cancelled.
    async fn until(&self, at: Timestamp);
    /// True of the machine's own, which somebody may have set.
    fn is_the_machines(&self) -> bool {
        false
    }
}

/// Shared by all rooms.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    async fn until(&self, at: Timestamp) {
        // The wall clock may be set while we wait, so it is asked again at least each minute.
        loop {
            let left = at.since(self.now());
            if left.as_millis() == 0 {
                return;
            }
            tokio::time::sleep(left.to_std().min(Duration::from_secs(60))).await;
        }
    }

    fn is_the_machines(&self) -> bool {
        true
    }
}

/// The time that is told by somebody else, as several daemons go by that of the database which they share.
pub struct ToldClock {
    told: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl ToldClock {
    /// Whoever tells it is asked each time.
    pub fn new(told: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { told: Box::new(told) }
    }
}

#[async_trait]
impl Clock for ToldClock {
    fn now(&self) -> Timestamp {
        (self.told)()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it sleeps by no other clock, since one of them may be set meanwhile"
    )]
    async fn until(&self, at: Timestamp) {
        loop {
            let left = at.since(self.now());
            if left.as_millis() == 0 {
                return;
            }
            // What is told may be another time soon.
            tokio::time::sleep(left.to_std().min(Duration::from_secs(1))).await;
        }
    }
}

/// A clock that stands still until it is turned.
#[derive(Debug, Clone)]
pub struct VirtualClock {
    now: Arc<AtomicI64>,
    turned: watch::Sender<()>,
}

impl VirtualClock {
    /// Stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: Arc::new(AtomicI64::new(start.as_millis())), turned: watch::Sender::new(()) }
    }
    /// Turns it to `at`, never back, and wakes who waits.
    pub fn set(&self, at: Timestamp) {
        self.now.fetch_max(at.as_millis(), Ordering::SeqCst);
        self.turned.send_replace(());
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
    async fn until(&self, at: Timestamp) {
        let mut turned = self.turned.subscribe();
        while self.now() < at {
            if turned.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The system's time, `speed` times as fast since it was made: for the demonstration.
#[derive(Debug, Clone, Copy)]
pub struct FastClock {
    origin: Timestamp,
    speed: u32,
}

impl FastClock {
    /// Starts at the machine's now. A speed of 0 is taken as 1.
    pub fn new(speed: u32) -> Self {
        Self { origin: SystemClock.now(), speed: speed.max(1) }
    }
}

#[async_trait]
impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        let real = SystemClock.now().since(self.origin).as_millis();
        self.origin + crate::model::Span::from_millis(real.saturating_mul(i64::from(self.speed)))
    }
    async fn until(&self, at: Timestamp) {
        loop {
            let left = at.since(self.now()).as_millis();
            if left == 0 {
                return;
            }
            let real = left / i64::from(self.speed) + 1;
            SystemClock.until(SystemClock.now() + crate::model::Span::from_millis(real.min(1_000))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    #[tokio::test(start_paused = true)]
    async fn what_is_told_anew_is_waited_for_anew() {
        let told = Arc::new(AtomicI64::new(0));
        let began = tokio::time::Instant::now();
        let by = told.clone();
        let clock = ToldClock::new(move || {
            Timestamp::from_millis(by.load(Ordering::SeqCst)) + Span::from_millis(began.elapsed().as_millis() as i64)
        });
        let waiting = clock.until(Timestamp::from_millis(300_000));
        tokio::pin!(waiting);
        let early = tokio::time::timeout(Duration::from_secs(100), &mut waiting).await;
        assert!(early.is_err());
        told.store(200_000, Ordering::SeqCst);
        let soon = tokio::time::timeout(Duration::from_secs(2), &mut waiting).await;
        assert!(soon.is_ok(), "it is heard of within a second");
    }
}
