//! Steps that were written down and are not in the state: after a crash, or when the state was made again. They are
//! taken as they were, each with its own `now`, and the triggers that were in force are asked.

use std::sync::Arc;

use crate::model::{Changes, Loaded, Position, TriggerId};
use crate::rules::Program;
use crate::store::{Recorded, Step, StoreError};

use super::Engine;

/// A program cut down to the triggers of another, and of what.
pub(super) struct Restricted {
    of: Arc<Program>,
    to: Arc<[(TriggerId, u32)]>,
    program: Arc<Program>,
}

impl Engine {
    /// Takes one step that was written down; first, the events before it that have none.
    pub(super) async fn again(&self, recorded: Recorded) -> Result<(), StoreError> {
        let decided = self.store.counts().decided;
        if decided < recorded.after {
            return self.without_steps(decided, recorded.after).await;
        }
        let (id, program) = (recorded.id, self.in_force().await?);
        match recorded.step {
            Step::Program(_) => {
                let changes = Changes { step: Some(id), ..Changes::default() };
                self.store.commit(Loaded::default(), changes).await
            }
            Step::Events { until, now } => {
                let claim = self.store.claim_until(until).await?;
                self.decide(claim, Some(id), now, &program).await
            }
            Step::Timers { until, max, now } => {
                let due = self.store.due(until, usize::try_from(max).unwrap_or(usize::MAX)).await?;
                self.ask(due, Some(id), (until, now), &program).await
            }
            Step::Order { trigger, order, now } => self.ordered(id, trigger, order, now, &program).await,
            Step::Release { trigger, max, now } => self.released(id, trigger, max, now, &program).await,
            Step::Adopt { after, until, now } => self.adopt_again((after, until), id, now, &program).await,
        }
    }

    /// A batch of events that an earlier version decided, which wrote no steps, and the timers up to the last of them.
    async fn without_steps(&self, decided: Position, until: Position) -> Result<(), StoreError> {
        let program = self.program.load_full();
        let now = self.clock.now();
        let most = decided.0.saturating_add(self.settings.batch as u64);
        let claim = self.store.claim_until(until.min(Position(most))).await?;
        let reached = claim.events.last().map_or(now, |(_, last)| last.arrived.min(last.at));
        self.decide(claim, None, now, &program).await?;
        self.timers_unrecorded(&program, reached.min(now), now).await
    }

    /// What of today's program was in force after the last step taken.
    async fn in_force(&self) -> Result<Arc<Program>, StoreError> {
        let today = self.program.load_full();
        let Some(triggers) = self.store.progress()?.program else { return Ok(today) };
        let mut kept = self.restricted.lock().await;
        if let Some(known) = kept.as_ref().filter(|k| Arc::ptr_eq(&k.of, &today) && Arc::ptr_eq(&k.to, &triggers)) {
            return Ok(known.program.clone());
        }
        let program = Arc::new(today.restricted(&triggers));
        *kept = Some(Restricted { of: today, to: triggers, program: program.clone() });
        Ok(program)
    }
}
