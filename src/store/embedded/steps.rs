//! The engine's steps: written down before what follows from them, and found again when the state does not have it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::frame::Kind;
use super::overlay::Batch;
use super::segments::Reader;
use super::state::State;
use super::tree::{Disk, put};
use super::{Inner, keys};
use crate::model::StepId;
use crate::store::record::{StepRecord, decode, encode};
use crate::store::{Adopted, Progress, Recorded, Step, StoreError};

/// So many steps may be written without one of them being on disk: the state carries them until they are.
const UNSYNCED: usize = 32;

/// What the tree says of steps, beside the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The last step that is in the tree.
    pub step: u64,
    /// How far its program's triggers were made known to those who were there before.
    pub adopted: Adopted,
    /// Steps in the tree that the journal may lose with the power: it is given them again.
    pub unsynced: Vec<(u64, StepRecord)>,
}

/// A step that was written down and is not yet in the tree.
#[derive(Clone)]
struct Open {
    id: u64,
    /// The step that was in the tree before.
    follows: u64,
    record: StepRecord,
    /// It was found in the journal: another process made it, or sled lost it.
    is_replay: bool,
}

/// The open step, and where the journal is read for the next one.
#[derive(Default)]
pub struct Steps {
    open: Option<Open>,
    /// Stands behind the record of this step.
    behind: Option<(Reader, u64)>,
    /// No step lies in the journal after the last one taken, up to this one.
    none_up_to: u64,
}

impl State {
    /// Reads what the tree says of steps: nothing, in a store from before they were written down.
    pub fn read_steps(&mut self, disk: &Disk) -> Result<(), StoreError> {
        self.taken = disk.get(keys::TAKEN)?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        let program = disk.get(keys::PROGRAM)?.map(|bytes| decode::<Vec<_>>(&bytes)).transpose()?;
        self.program = program.map(Arc::from);
        Ok(())
    }
}

/// Where the engine is.
pub fn progress(inner: &Inner) -> Result<Progress, StoreError> {
    let state = inner.state()?;
    Ok(Progress { program: state.program.clone(), adopted: state.taken.adopted })
}

/// The open step, if memory knows without reading that there is one or none.
pub fn known(inner: &Inner) -> Result<Option<Option<Recorded>>, StoreError> {
    let taken = inner.state()?.taken.step;
    let steps = inner.steps()?;
    if let Some(open) = steps.open.as_ref().filter(|open| open.follows == taken) {
        return Ok(Some(Some(open.told())));
    }
    let reaches = inner.journal.tail()?.end.step;
    Ok((reaches <= taken.max(steps.none_up_to)).then_some(None))
}

/// The open step, from the journal.
pub fn read(inner: &Inner) -> Result<Option<Recorded>, StoreError> {
    if let Some(known) = known(inner)? {
        return Ok(known);
    }
    let taken = inner.state()?.taken.step;
    let mut steps = inner.steps()?;
    let (reaches, limit) = {
        let tail = inner.journal.tail()?;
        (tail.end.step, tail.limit)
    };
    let mut reader = match steps.behind.take().filter(|(_, last)| *last == taken) {
        Some((reader, _)) => reader,
        None => Reader::from(&inner.journal_folder, (u64::MAX, u64::MAX, taken + 1))?,
    };
    while let Some((head, payload)) = reader.next(limit)? {
        if head.kind == Kind::Step && head.first > taken {
            let open = Open { id: head.first, follows: taken, record: decode(&payload)?, is_replay: true };
            let told = open.told();
            steps.behind = Some((reader, head.first));
            steps.open = Some(open);
            return Ok(Some(told));
        }
    }
    steps.none_up_to = reaches;
    Ok(None)
}

/// Writes a step down. Only what changes by time alone is waited for: an event lies in the journal before its step, so
/// that whatever is on disk after the step brings the step with it.
pub async fn record(inner: &Inner, step: Step) -> Result<StepId, StoreError> {
    if !matches!(known(inner)?, Some(None)) {
        return Err(StoreError::Unavailable("a step is open".into()));
    }
    let (follows, record, unsynced) = {
        let state = inner.state()?;
        (state.taken.step, StepRecord { after: state.decided, step }, state.taken.unsynced.len())
    };
    let durable = !matches!(record.step, Step::Events { .. }) || unsynced >= UNSYNCED;
    let written = inner.journal_append(Kind::Step, encode(&record), Vec::new(), durable).await;
    let id = written.map_err(StoreError::Unavailable)?;
    inner.steps()?.open = Some(Open { id, follows, record, is_replay: false });
    Ok(StepId(id))
}

/// True while steps of the journal are taken again: until then nobody knows what a later one calls back.
pub fn is_replay(inner: &Inner) -> Result<bool, StoreError> {
    let taken = inner.told.load().taken.step;
    let steps = inner.steps()?;
    if let Some(open) = steps.open.as_ref().filter(|open| open.follows == taken) {
        return Ok(open.is_replay);
    }
    Ok(inner.journal.tail()?.end.step > taken.max(steps.none_up_to))
}

/// Puts it into the batch that this step is taken.
pub fn take(inner: &Inner, batch: &mut Batch, state: &mut State, step: Option<StepId>) -> Result<(), StoreError> {
    let Some(StepId(id)) = step else { return Ok(()) };
    let open = inner.steps()?.open.clone().filter(|open| open.id == id && open.follows == state.taken.step);
    let Some(open) = open else {
        // sled was opened again meanwhile, and may have lost what this follows from.
        return Err(StoreError::Unavailable(format!("step {id} is not the open one")));
    };
    match &open.record.step {
        Step::Program(triggers) => {
            state.program = Some(triggers.clone().into());
            state.taken.adopted = Adopted::UpTo(None);
            put(batch, keys::PROGRAM.to_vec(), &encode(triggers));
        }
        Step::Adopt { until: Some(until), .. } => state.taken.adopted = Adopted::UpTo(Some(*until)),
        Step::Adopt { until: None, .. } => state.taken.adopted = Adopted::Everybody,
        Step::Events { .. } | Step::Timers { .. } | Step::Order { .. } | Step::Release { .. } => {}
    }
    state.taken.step = id;
    let synced = inner.journal.tail()?.synced_step;
    state.taken.unsynced.push((id, open.record));
    state.taken.unsynced.retain(|(id, _)| *id > synced);
    put(batch, keys::TAKEN.to_vec(), &encode(&state.taken));
    Ok(())
}

impl Open {
    fn told(&self) -> Recorded {
        Recorded { id: StepId(self.id), after: self.record.after, step: self.record.step.clone() }
    }
}
