//! Feeds the series while the daemon runs, and keeps them in the store, so that a restart leaves a gap and no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::{Series, readings};
use crate::model::{Span, Timestamp};
use crate::ops::health::Watched;
use crate::ops::quota::QuotaHealth;

/// How often it is looked.
const LOOK: Span = Span::from_secs(10);
/// How often they are kept.
const KEEP: Span = Span::from_minutes(5);
/// Values that are read at the start at most.
const VALUES: usize = 64;

/// The series, read by the page while they are fed.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Series>>);

impl Shared {
    /// Looks at them. Never held across a wait.
    pub fn look<T>(&self, see: impl FnOnce(&mut Series) -> T) -> T {
        see(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Feeds them.
pub struct Recorder {
    watched: Watched,
    series: Shared,
    /// Said once, and not every ten seconds.
    has_warned: AtomicBool,
}

/// What feeds the series of what is watched, and the series.
pub fn begin(watched: Watched) -> (Recorder, Shared) {
    let series = Shared::default();
    (Recorder { watched, series: series.clone(), has_warned: AtomicBool::default() }, series)
}

fn name(of: &str, number: usize) -> String {
    if of.is_empty() { format!("series:{number}") } else { format!("series:{of}:{number}") }
}

impl Recorder {
    /// Until `stop`; what is known then is kept.
    pub async fn run(self, stop: CancellationToken) {
        if let Err(error) = self.read().await {
            tracing::warn!(reason = %error, "the series of before could not be read: the charts begin anew");
        }
        let clock = self.watched.clock.clone();
        let mut keep_at = clock.now() + KEEP;
        loop {
            self.note();
            if clock.now() >= keep_at {
                keep_at = clock.now() + KEEP;
                self.keep().await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = clock.until(next(clock.now())) => {}
            }
        }
        self.keep().await;
    }

    fn note(&self) {
        let read = readings(&self.watched, &QuotaHealth::of(&self.watched));
        let now = self.watched.clock.now();
        let left_out = self.series.look(|series| {
            series.note(now, read);
            series.left_out()
        });
        if left_out > 0 && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                count = left_out,
                "there are more series than are kept: some lanes, lists or triggers have no chart"
            );
        }
    }

    /// Whose they are, of the daemons that share a store: each keeps its own. Empty where nobody shares it.
    fn of(&self) -> String {
        let members = self.watched.store.members();
        let me = members.as_ref().and_then(|all| all.members.iter().find(|member| member.is_me));
        me.map(|me| me.name.clone()).unwrap_or_default()
    }

    async fn read(&self) -> Result<(), crate::store::StoreError> {
        let of = self.of();
        for number in 0..VALUES {
            let Some(value) = self.watched.store.kept(&name(&of, number)).await? else { break };
            if value.is_empty() {
                break;
            }
            self.series.look(|series| series.take(&value));
        }
        Ok(())
    }

    async fn keep(&self) {
        let of = self.of();
        // Where two are called alike, one of them keeps its own.
        let duty = match self.watched.store.duty(&format!("series:{of}")).await {
            Ok(Some(duty)) => duty,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(reason = %error, "the charts' series could not be kept; they are tried again");
                return;
            }
        };
        let mut values = self.series.look(|series| series.kept());
        // What more there was the last time ends here.
        values.push(Vec::new());
        for (number, value) in values.iter().enumerate().take(VALUES) {
            if let Err(error) = self.watched.store.keep_for(&duty, &name(&of, number), value).await {
                tracing::warn!(reason = %error, "the charts' series could not be kept; they are tried again");
                return;
            }
        }
    }
}

/// When the next slot begins.
fn next(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.whole(LOOK) + 1).saturating_mul(LOOK.as_millis()))
}
