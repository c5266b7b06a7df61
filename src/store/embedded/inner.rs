//! What all steps of the embedded store share, and the locks it is behind.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use arc_swap::ArcSwap;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::committer::{Append, Committer, Tail};
use super::frame::{self, Kind};
use super::people::Shape;
use super::state::State;
use super::tree::Disk;
use super::{claim, outbox, register, rush, seen, shelf, sinking, steps, sweep};
use crate::model::{Event, LaneName, PersonId, Timestamp};
use crate::store::StoreError;
use crate::store::cache::Cache;
use crate::store::settings::Settings;

/// What all steps share. Locks are taken in this order: `state`, `steps`, `next`, journal's tail, `lanes`, `seen`,
/// `shapes`, `cache`.
/// Intake takes none of them: it must never wait for the engine.
pub(super) struct Inner {
    pub(super) settings: Settings,
    /// `None` while it is closed after an I/O error.
    pub(super) disk: sinking::Slot,
    pub(super) sinking: sinking::Sinking,
    /// Held by each step; alone by [`super::mend`].
    pub(super) mending: RwLock<()>,
    pub(super) journal: Journal,
    pub(super) journal_folder: PathBuf,
    pub(super) state: Mutex<State>,
    /// `state` as it last was, for those who must not wait for a step to end.
    pub(super) told: ArcSwap<State>,
    /// Arrival of the oldest event not yet decided, as it was last seen.
    pub(super) oldest: Mutex<Option<Timestamp>>,
    /// `state.decided`, for intake.
    pub(super) decided: AtomicU64,
    pub(super) steps: Mutex<steps::Steps>,
    pub(super) next: Mutex<claim::Next>,
    /// What the next claim will ask for, read ahead; and what was written since then.
    pub(super) read_ahead: Mutex<claim::Known>,
    pub(super) written: Mutex<claim::Known>,
    /// Reading ahead is under way.
    pub(super) ahead: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    pub(super) rush: tokio::sync::Mutex<rush::Rush>,
    /// Appends of events, whatever became of them.
    pub(super) requests: AtomicU64,
    pub(super) lanes: Mutex<HashMap<LaneName, outbox::Lane>>,
    /// Message keys of what is decided.
    pub(super) seen: Mutex<seen::Seen>,
    /// The catalogue and the pools of codes. Locked after all the others.
    pub(super) shelf: Mutex<shelf::Shelf>,
    /// Held while a record of the shelf is written down and applied: they are in the tree in the journal's order.
    pub(super) noted: tokio::sync::Mutex<()>,
    /// Held while files of the store are copied, or removed and rewritten: by that work itself, which ends though nobody
    /// waits for it any more.
    pub(super) keeping: Arc<tokio::sync::Mutex<()>>,
    /// Values written to snapshots and segments rewritten since the start: what the engine may have to wait for.
    pub(super) upkeep: AtomicU64,
    /// How the people of the open claim lie in the tree.
    pub(super) shapes: Mutex<HashMap<PersonId, Shape>>,
    pub(super) cache: Mutex<Cache<Shape>>,
    pub(super) round: Mutex<sweep::Round>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) register: Arc<register::Register>,
    /// Held while the folder is ours.
    pub(super) _lock: std::fs::File,
}

/// The journal's writer.
pub(super) struct Journal(pub(super) Committer);

impl Journal {
    pub(super) fn tail(&self) -> Result<MutexGuard<'_, Tail>, StoreError> {
        self.0.tail.lock().map_err(|_| poisoned())
    }
}

pub(super) fn poisoned() -> StoreError {
    StoreError::Unavailable("an earlier step ended badly; restart the daemon".into())
}

impl Inner {
    pub(super) fn disk(&self) -> Result<Arc<Disk>, StoreError> {
        let disk = self.disk.read().map_err(|_| poisoned())?.clone();
        disk.ok_or_else(|| StoreError::Unavailable("sled is closed after an I/O error".into()))
    }
    pub(super) fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        self.state.lock().map_err(|_| poisoned())
    }
    pub(super) fn steps(&self) -> Result<MutexGuard<'_, steps::Steps>, StoreError> {
        self.steps.lock().map_err(|_| poisoned())
    }
    /// Puts a state in force.
    pub(super) fn publish(&self, guard: &mut State, state: State) {
        self.told.store(Arc::new(state.clone()));
        *guard = state;
    }
    pub(super) fn next(&self) -> Result<MutexGuard<'_, claim::Next>, StoreError> {
        self.next.lock().map_err(|_| poisoned())
    }
    pub(super) fn read_ahead(&self) -> Result<MutexGuard<'_, claim::Known>, StoreError> {
        self.read_ahead.lock().map_err(|_| poisoned())
    }
    pub(super) fn written(&self) -> Result<MutexGuard<'_, claim::Known>, StoreError> {
        self.written.lock().map_err(|_| poisoned())
    }
    pub(super) fn lanes(&self) -> Result<MutexGuard<'_, HashMap<LaneName, outbox::Lane>>, StoreError> {
        self.lanes.lock().map_err(|_| poisoned())
    }
    pub(super) fn seen(&self) -> Result<MutexGuard<'_, seen::Seen>, StoreError> {
        self.seen.lock().map_err(|_| poisoned())
    }
    pub(super) fn shelf(&self) -> Result<MutexGuard<'_, shelf::Shelf>, StoreError> {
        self.shelf.lock().map_err(|_| poisoned())
    }
    pub(super) fn shapes(&self) -> Result<MutexGuard<'_, HashMap<PersonId, Shape>>, StoreError> {
        self.shapes.lock().map_err(|_| poisoned())
    }
    pub(super) fn cache(&self) -> Result<MutexGuard<'_, Cache<Shape>>, StoreError> {
        self.cache.lock().map_err(|_| poisoned())
    }

    pub(super) async fn journal_append(
        &self,
        kind: Kind,
        payload: Vec<u8>,
        events: Vec<Event>,
        durable: bool,
    ) -> Result<u64, String> {
        if payload.len() > frame::LARGEST {
            return Err("a record is larger than the journal takes".into());
        }
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX).max(1);
        let (answer, told) = oneshot::channel();
        self.journal.0.append(Append { kind, payload, count, events, durable, answer })?;
        told.await.map_err(|_| "the journal's writer is gone".to_owned())?
    }
}
