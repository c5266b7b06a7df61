//! What a service manager is told (systemd's notifications, where there is a socket for them): that the daemon is ready,
//! what it does, that it still moves on, and that it stops.

use sd_notify::NotifyState;
use tokio::task::JoinHandle;

use crate::clock::SharedClock;
use crate::model::{Span, Timestamp};
use crate::ops::Watched;

/// How often it is told what the daemon does, where it does not ask for more.
const TOLD: Span = Span::from_secs(10);
/// A timer that is due for less is no sign of anything.
const LATE: Span = Span::from_minutes(1);

/// The service manager, for as long as the daemon runs.
pub struct Service {
    telling: JoinHandle<()>,
}

fn tell(states: &[NotifyState<'_>]) {
    // Nobody may be listening any more: the daemon is not the worse for it.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(reason = %error, "the service manager cannot be told");
    }
}

/// The store is opened, which may take a while.
pub fn tell_opening() {
    tell(&[NotifyState::Status("opening the store")]);
}

impl Service {
    /// The daemon listens and works. From now on it is told what it does.
    pub fn ready(watched: Watched, clock: SharedClock) -> Self {
        tell(&[NotifyState::Ready]);
        // Twice in the time that it waits at most.
        let watchdog = sd_notify::watchdog_enabled().and_then(|limit| i64::try_from(limit.as_millis() / 2).ok());
        let telling = tokio::spawn(keep_telling(watched, clock, watchdog.map(Span::from_millis)));
        Self { telling }
    }

    /// The daemon was told to stop.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is under way")]);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.telling.abort();
    }
}

async fn keep_telling(watched: Watched, clock: SharedClock, watchdog: Option<Span>) {
    let every = watchdog.map_or(TOLD, |half| half.min(TOLD));
    let mut before = Pulse::default();
    // When it was last told that the daemon moves on; so often is enough.
    let mut alive: Option<Timestamp> = None;
    loop {
        let now = clock.now();
        if let Some(half) = watchdog.filter(|half| alive.is_none_or(|alive| alive + *half <= now)) {
            let pulse = Pulse::of(&watched);
            // What is finished at the end has a limit of its own.
            if watched.stopping.is_cancelled() || pulse.moves_on(&before, now) {
                tell(&[NotifyState::Watchdog]);
            } else {
                tracing::error!(seconds = half.as_millis() / 1_000, "the engine does not move on");
            }
            (before, alive) = (pulse, Some(now));
        }
        if !watched.stopping.is_cancelled() {
            tell(&[NotifyState::Status(&words(&watched))]);
        }
        clock.until(now + every).await;
    }
}

fn words(watched: &Watched) -> String {
    let health = watched.health();
    let troubles = match health.troubles.len() {
        0 => "no trouble".to_owned(),
        1 => "1 trouble, see `espalier status`".to_owned(),
        more => format!("{more} troubles, see `espalier status`"),
    };
    format!("{} events wait to be decided; {troubles}", health.journal.backlog)
}

/// By what it is seen whether the engine moves on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pulse {
    /// The newest event decided, and the last step.
    decided: u64,
    step: u64,
    /// Work on the store's files, for which the engine may have to wait.
    upkeep: u64,
    /// Events that wait.
    backlog: u64,
    /// The earliest timer.
    timer: Option<Timestamp>,
    /// The disk refuses, and the daemon says so: a new start would change nothing.
    is_refused: bool,
}

impl Pulse {
    fn of(watched: &Watched) -> Self {
        let counts = watched.store.counts();
        Self {
            decided: counts.decided.0,
            step: counts.step,
            upkeep: counts.upkeep,
            backlog: counts.journaled.0.saturating_sub(counts.decided.0),
            timer: counts.next_timer,
            is_refused: matches!(watched.engine.borrow().stage, crate::engine::Stage::Refused(_)),
        }
    }

    /// True unless there was something to do all the time, and nothing was done.
    fn moves_on(&self, before: &Self, now: Timestamp) -> bool {
        let has_work = |pulse: &Self| pulse.backlog > 0 || pulse.timer.is_some_and(|at| at + LATE < now);
        self.is_refused
            || (self.decided, self.step, self.upkeep) != (before.decided, before.step, before.upkeep)
            || !has_work(self)
            || !has_work(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_has_work_and_does_nothing_does_not_move_on() {
        let now = Timestamp::from_millis(100_000_000);
        let idle = Pulse { decided: 7, step: 3, ..Pulse::default() };
        let waits = Pulse { backlog: 5, ..idle };
        let late = Pulse { timer: Some(now - Span::from_minutes(2)), ..idle };
        let due = Pulse { timer: Some(now - Span::from_secs(2)), ..idle };
        for (what, before, pulse, moves_on) in [
            ("nothing to do", idle, idle, true),
            ("events wait, and none is decided", waits, waits, false),
            ("events wait since just now", idle, waits, true),
            ("events wait, and some are decided", waits, Pulse { decided: 8, ..waits }, true),
            ("events wait, and people are asked for a new trigger", waits, Pulse { step: 4, ..waits }, true),
            ("events wait for a snapshot that is being written", waits, Pulse { upkeep: 1, ..waits }, true),
            ("events wait, and the disk refuses", waits, Pulse { is_refused: true, ..waits }, true),
            ("a timer is late", late, late, false),
            ("a timer is due", due, due, true),
        ] {
            assert_eq!(pulse.moves_on(&before, now), moves_on, "{what}");
        }
    }
}
