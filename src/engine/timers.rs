//! One round of due timers: load, decide, commit.

use crate::decide;
use crate::model::Timestamp;
use crate::rules::Program;
use crate::store::StoreError;

use super::Engine;
use super::batch::Tally;

impl Engine {
    /// Asks up to a batch of people whose timer is at or before `until`; false when nobody's was.
    pub(super) async fn timers(&self, program: &Program, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        if self.store.counts().next_timer.is_none_or(|next| next > until) {
            return Ok(false);
        }
        let mut due = self.store.due(until, self.settings.batch).await?;
        if due.people.is_empty() {
            return Ok(false);
        }
        let changes = decide::timers(&mut due.loaded, &due.people, until, now, program);
        let tally = Tally::of(&changes, 0);
        self.store.commit(due.loaded, changes).await?;
        tally.count();
        Ok(true)
    }
}
