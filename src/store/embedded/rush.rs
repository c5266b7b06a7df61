//! A rush of messages is taken in first and decided after: while they come faster than any engine decides, the
//! processor belongs to those who wait for an answer. And a stream of messages is decided some at a time: a step costs
//! much the same for one event as for several.

#![expect(clippy::disallowed_methods, reason = "a rate is of the machine's time; the daemon's clock may be another")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// Requests a second from which on there is a rush.
const RUSH: f64 = 10_000.0;
/// How often it is looked whether it is over.
const LOOK: Duration = Duration::from_millis(10);
/// A claim waits no longer than this, so that the engine goes on, if slowly, however long the rush is.
const LONGEST: Duration = Duration::from_millis(60);
/// From one claim to the next. An event that comes alone is claimed at once.
const STRIDE: Duration = Duration::from_millis(3);
/// A shorter time tells nothing of a rate.
const SHORTEST: Duration = Duration::from_millis(2);

/// What was seen of the requests when it was last looked.
pub struct Rush {
    requests: u64,
    at: Instant,
    claimed: Option<Instant>,
}

impl Rush {
    pub fn new() -> Self {
        Self { requests: 0, at: Instant::now(), claimed: None }
    }

    /// Returns when a stride is over and there is no rush, or when it was waited for long enough. `requests` counts those taken in.
    pub async fn pass(&mut self, requests: &AtomicU64) {
        if let Some(claimed) = self.claimed {
            sleep_until(claimed + STRIDE).await;
        }
        let began = Instant::now();
        while self.is_on(requests.load(Ordering::Relaxed)) && began.elapsed() < LONGEST {
            sleep(LOOK).await;
        }
        self.claimed = Some(Instant::now());
    }

    fn is_on(&mut self, requests: u64) -> bool {
        let now = Instant::now();
        let elapsed = now.duration_since(self.at);
        if elapsed < SHORTEST {
            return false;
        }
        let rate = requests.saturating_sub(self.requests) as f64 / elapsed.as_secs_f64();
        (self.requests, self.at) = (requests, now);
        rate > RUSH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rush_is_waited_for_and_not_for_ever() {
        let requests = AtomicU64::new(0);
        let mut rush = Rush::new();
        let began = Instant::now();
        tokio::time::advance(Duration::from_millis(100)).await;
        requests.fetch_add(500, Ordering::Relaxed);
        rush.pass(&requests).await;
        assert_eq!(began.elapsed(), Duration::from_millis(100), "5,000 a second are no rush");

        tokio::time::advance(Duration::from_millis(100)).await;
        requests.fetch_add(2_000, Ordering::Relaxed);
        rush.pass(&requests).await;
        assert_eq!(began.elapsed(), Duration::from_millis(210), "it was over when it was looked again");

        let (_, ()) = tokio::join!(
            async {
                for _ in 0..1_000 {
                    requests.fetch_add(100, Ordering::Relaxed);
                    sleep(Duration::from_millis(1)).await;
                }
            },
            async {
                sleep(Duration::from_millis(5)).await;
                let began = Instant::now();
                rush.pass(&requests).await;
                assert_eq!(began.elapsed(), LONGEST);
            }
        );
    }
}
