//! The database's time, by which all who share it go: read now and then, and running on by itself in between, so that a
//! machine's clock that is off, or is set, moves nothing.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Span, Timestamp};

/// Who is no further off than this, beside the time that the answer took, is let be.
const NEAR: Duration = Duration::from_millis(100);

/// As it is known here: what it was, and when.
#[derive(Default)]
pub struct Time(Mutex<Option<(Timestamp, Instant)>>);

impl Time {
    /// What it is now; none before it was told.
    pub fn now(&self) -> Option<Timestamp> {
        let (at, when) = (*self.0.lock().ok()?)?;
        Some(at + span(when.elapsed()))
    }

    /// It was `told` some time after it was asked for, and before the answer came.
    pub fn note(&self, told: Timestamp, asked: Instant, came: Instant) {
        let Ok(mut known) = self.0.lock() else { return };
        let took = came.saturating_duration_since(asked);
        let is_near = known.is_some_and(|(at, when)| {
            let ours = at + span(came.saturating_duration_since(when));
            ours + span(NEAR) >= told && ours <= told + span(took + NEAR)
        });
        if !is_near {
            *known = Some((told + span(took / 2), came));
        }
    }
}

fn span(time: Duration) -> Span {
    Span::from_millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn it_runs_on_and_follows_what_is_told() {
        let time = Time::default();
        assert_eq!(time.now(), None);
        let asked = Instant::now();
        tokio::time::advance(ms(20)).await;
        time.note(TOLD, asked, Instant::now());
        assert_eq!(time.now(), Some(TOLD + Span::from_millis(10)));
        tokio::time::advance(ms(1_000)).await;
        assert_eq!(time.now(), Some(TOLD + Span::from_millis(1_010)));
        // Near enough, or as near as can be told of an answer that took so long.
        for (told, took) in [(1_090, 0), (930, 0), (2_000, 0), (-7_000, 10_000)] {
            let (before, came) = (time.now(), Instant::now());
            time.note(TOLD + Span::from_millis(told), came - ms(took), came);
            let is_moved = time.now() != before;
            assert_eq!(is_moved, told == 2_000, "{told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_back_where_the_database_does() {
        let time = Time::default();
        let now = Instant::now();
        time.note(TOLD, now, now);
        let before = TOLD - Span::from_minutes(3);
        time.note(before, now, now);
        assert_eq!(time.now(), Some(before));
    }
}
