//! One round of due timers: load, write the step down, decide, commit.

use crate::decide;
use crate::model::{Changes, StepId, Timestamp};
use crate::rules::Program;
use crate::store::{Due, Step, StoreError};

use super::Engine;
use super::batch::Tally;
use super::traced::Traced;

impl Engine {
    /// Asks up to a batch of people whose timer is at or before `until`; false when nobody's was.
    pub(super) async fn timers(&self, program: &Program, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let Some(due) = self.due(until).await? else { return Ok(false) };
        let max = u32::try_from(self.settings.batch).unwrap_or(u32::MAX);
        let step = self.store.record(Step::Timers { until, max, now }).await?;
        self.ask(due, Some(step), (until, now), program).await?;
        Ok(true)
    }

    /// The same, of a journal that has no steps.
    pub(super) async fn timers_unrecorded(
        &self,
        program: &Program,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self.due(until).await? {
            Some(due) => self.ask(due, None, (until, now), program).await,
            None => Ok(()),
        }
    }

    /// People whose timer is due, if there are any.
    async fn due(&self, until: Timestamp) -> Result<Option<Due>, StoreError> {
        if self.store.counts().next_timer.is_none_or(|next| next > until) {
            return Ok(None);
        }
        let due = self.store.due(until, self.settings.batch).await?;
        Ok((!due.people.is_empty()).then_some(due))
    }

    /// Asks them.
    pub(super) async fn ask(
        &self,
        mut due: Due,
        step: Option<StepId>,
        (until, now): (Timestamp, Timestamp),
        program: &Program,
    ) -> Result<(), StoreError> {
        due.loaded.sales = self.sales.load_full().unwrap_or_default();
        let began = self.clock.now();
        let changes = decide::timers(&mut due.loaded, &due.people, until, now, program);
        let tally = Tally::of(&changes, 0);
        let ended = self.clock.now();
        let traced = Traced::of(&changes, &due.loaded, &[], (began, ended));
        self.store.commit(due.loaded, Changes { step, ..changes }).await?;
        traced.tell((ended, self.clock.now()));
        self.tell_low(program, &tally);
        tally.count(&self.state);
        Ok(())
    }
}
