//! Triggers that are new find the people who were there before them: a page of people at a time, beside the live work.

use crate::decide;
use crate::model::{Changes, Person, PersonId, StepId, Timestamp};
use crate::rules::Program;
use crate::store::{Adopted, Step, StoreError};

use super::Engine;

/// People looked at in one step.
const PAGE: usize = 500;

impl Engine {
    /// One page for triggers never adopted before; false when there is nothing to do.
    pub(super) async fn adopt(&self, program: &Program, now: Timestamp) -> Result<bool, StoreError> {
        let Adopted::UpTo(after) = self.store.progress()?.adopted else { return Ok(false) };
        let page = self.store.people(after, PAGE).await?;
        let until = page.last().map(|person| person.id);
        let step = self.store.record(Step::Adopt { after, until, now }).await?;
        self.adopted(page, step, now, program).await?;
        Ok(true)
    }

    /// The same people once more: a replay may have other pages.
    pub(super) async fn adopt_again(
        &self,
        (mut after, until): (Option<PersonId>, Option<PersonId>),
        step: StepId,
        now: Timestamp,
        program: &Program,
    ) -> Result<(), StoreError> {
        let mut people = Vec::new();
        while let Some(until) = until {
            let page = self.store.people(after, PAGE).await?;
            after = page.last().map(|person| person.id);
            people.extend(page.into_iter().filter(|person| person.id <= until));
            if after.is_none_or(|last| last >= until) {
                break;
            }
        }
        self.adopted(people, step, now, program).await
    }

    async fn adopted(
        &self,
        people: Vec<Person>,
        step: StepId,
        now: Timestamp,
        program: &Program,
    ) -> Result<(), StoreError> {
        let ids: Vec<PersonId> = people.iter().map(|person| person.id).collect();
        let mut loaded = self.store.load(Vec::new()).await?;
        loaded.people = people.into_iter().map(|p| (p.id, p)).collect();
        loaded.sales = self.sales.load_full().unwrap_or_default();
        let changes = decide::adopt(&mut loaded, &ids, now, program);
        self.store.commit(loaded, Changes { step: Some(step), ..changes }).await
    }
}
