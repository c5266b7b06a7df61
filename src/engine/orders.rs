//! What people want of triggers: each wish is a step like others, between two batches, and what was held goes a page at
//! a time before anything else is decided.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot};

use crate::decide;
use crate::model::{Changes, Loaded, Order, StepId, Timestamp, TriggerId};
use crate::rules::Program;
use crate::store::{Step, StoreError};

use super::Engine;
use super::batch::Tally;

/// Held activations that go in one step.
const PAGE: usize = 500;
/// Wishes that may wait.
const MOST: usize = 64;

/// To order something of a trigger.
#[derive(Clone, Default)]
pub struct Orders {
    waiting: Arc<Mutex<VecDeque<Asked>>>,
    wake: Arc<Notify>,
}

struct Asked {
    trigger: TriggerId,
    order: Order,
    done: oneshot::Sender<()>,
}

impl Orders {
    /// With what wakes an idle engine.
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self { waiting: Arc::default(), wake }
    }

    /// Returns when it is done, and on disk. False when the engine does not: it is about to end, waits for the store, or
    /// has too much to do already.
    pub async fn give(&self, trigger: TriggerId, order: Order) -> bool {
        let (done, told) = oneshot::channel();
        {
            let Ok(mut waiting) = self.waiting.lock() else { return false };
            if waiting.len() >= MOST {
                return false;
            }
            waiting.push_back(Asked { trigger, order, done });
        }
        self.wake.notify_one();
        told.await.is_ok()
    }

    /// Whoever waits is told at once that it is not done here: another daemon has the engine.
    pub(super) fn refuse(&self) {
        while self.next().is_some() {}
    }

    fn next(&self) -> Option<Asked> {
        self.waiting.lock().ok()?.pop_front()
    }
}

impl Engine {
    /// To give it orders.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Does what is ordered at once, where no loop runs: no event is decided by it.
    pub async fn obey(&self, trigger: TriggerId, order: Order) -> Result<(), StoreError> {
        while let Some(recorded) = self.store.recorded().await? {
            self.again(recorded).await?;
        }
        let (program, now) = (self.program.load_full(), self.clock.now());
        self.begin_program(&program).await?;
        self.order(trigger, order, now, &program).await?;
        while self.release(&program, now).await? {}
        Ok(())
    }

    /// One wish, or one page of what was held; false when there is neither.
    pub(super) async fn orders_and_releases(&self, program: &Program, now: Timestamp) -> Result<bool, StoreError> {
        if let Some(asked) = self.orders.next() {
            self.order(asked.trigger, asked.order, now, program).await?;
            // Whoever asked may have gone.
            let _ = asked.done.send(());
            return Ok(true);
        }
        self.release(program, now).await
    }

    async fn order(
        &self,
        trigger: TriggerId,
        order: Order,
        now: Timestamp,
        program: &Program,
    ) -> Result<(), StoreError> {
        let step = self.store.record(Step::Order { trigger, order, now }).await?;
        self.ordered(step, trigger, order, now, program).await
    }

    /// The step itself, now or in a replay.
    pub(super) async fn ordered(
        &self,
        step: StepId,
        trigger: TriggerId,
        order: Order,
        now: Timestamp,
        program: &Program,
    ) -> Result<(), StoreError> {
        let mut loaded = Loaded { triggers: self.store.triggers(), ..Loaded::default() };
        let changes = decide::order(&mut loaded, trigger, order, now, program);
        self.store.commit(loaded, Changes { step: Some(step), ..changes }).await
    }

    async fn release(&self, program: &Program, now: Timestamp) -> Result<bool, StoreError> {
        let triggers = self.store.triggers();
        let Some((trigger, _)) = triggers.iter().find(|(_, state)| state.release.is_some()) else { return Ok(false) };
        let max = u32::try_from(PAGE).unwrap_or(u32::MAX);
        let step = self.store.record(Step::Release { trigger: *trigger, max, now }).await?;
        self.released(step, *trigger, max, now, program).await?;
        Ok(true)
    }

    /// The step itself, now or in a replay.
    pub(super) async fn released(
        &self,
        step: StepId,
        trigger: TriggerId,
        max: u32,
        now: Timestamp,
        program: &Program,
    ) -> Result<(), StoreError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let held = self.store.held(trigger, max).await?;
        let mut loaded = self.store.load(held.iter().map(|activation| activation.person).collect()).await?;
        let changes = decide::release(&mut loaded, trigger, &held, held.len() < max, now, program);
        let tally = Tally::of(&changes, 0);
        self.store.commit(loaded, Changes { step: Some(step), ..changes }).await?;
        tally.count(&self.state);
        Ok(())
    }
}
