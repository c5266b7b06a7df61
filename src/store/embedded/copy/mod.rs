//! This store copied to another adapter, and made of another's pieces: see [`crate::store::copy`].
//!
//! The folder is locked as for a daemon. What is copied has to be as a daemon leaves it that was told to stop: what its
//! journal has and its state has not, only the engine can decide.

mod making;
mod pieces;

use std::fs::File;
use std::path::PathBuf;

use async_trait::async_trait;

pub use making::Making;

use super::frame::Kind as Sort;
use super::open::{BEHIND, journal_folder, lock, open_disk, state_folder, state_of};
use super::register::Register;
use super::seen::{Seen, Sorted};
use super::segments::{self, End, Limit, Reader};
use super::state::State;
use super::tree::Disk;
use super::{keys, migrate, restore};
use crate::model::{DedupeKey, Position};
use crate::store::copy::{Frame, Kind, Page, Source};
use crate::store::record::{Cursor, cursor_of, decode};
use crate::store::settings::Settings;
use crate::store::{SCHEMA, StoreError};

/// A store that nobody has open, read piece by piece.
pub struct Folder {
    settings: Settings,
    /// None while a store that is made is emptied.
    disk: Option<Disk>,
    journal: PathBuf,
    register: Register,
    /// Reads the journal on, behind this event.
    events: Option<(u64, Reader, Limit)>,
    /// Reads message keys on, behind this one.
    keys: Option<(DedupeKey, Sorted)>,
    _lock: File,
}

impl Folder {
    /// Opens one to be copied. It changes nothing of it.
    ///
    /// # Errors
    /// When there is none, somebody has it open, it is damaged, of an earlier layout, or behind its journal.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        let journal = journal_folder(settings);
        let shown = settings.path.display();
        if !journal.exists() || !state_folder(settings).exists() {
            return Err(StoreError::Unavailable(format!("there is no store in {shown}, or one without a state")));
        }
        restore::finished(settings)?;
        let lock = lock(settings)?;
        let disk = open_disk(settings)?.map_err(|e| StoreError::Damaged(format!("sled does not open: {e}")))?;
        let schema = migrate::found(&disk)?;
        if schema != Some(SCHEMA) {
            return Err(StoreError::Unavailable(format!(
                "the store in {shown} has another schema than {SCHEMA}, which this version writes: start the daemon once on \
                 it, and stop it"
            )));
        }
        let (end, _) = end_of(&journal)?;
        let (disk, state) = state_of(disk, settings, end.position)?;
        if is_behind(&journal, &disk, &state, end)? {
            return Err(StoreError::Unavailable(format!(
                "the state in {shown} is behind its journal, as a daemon leaves it that was killed: start the daemon once on \
                 it, and stop it when it has caught up"
            )));
        }
        Ok(Self::of(settings, disk, lock))
    }

    fn of(settings: &Settings, disk: Disk, lock: File) -> Self {
        Self {
            disk: Some(disk),
            journal: journal_folder(settings),
            register: Register::new(&settings.path),
            settings: settings.clone(),
            events: None,
            keys: None,
            _lock: lock,
        }
    }

    fn disk(&self) -> Result<&Disk, StoreError> {
        self.disk.as_ref().ok_or_else(super::poisoned)
    }

    fn state(&self) -> Result<State, StoreError> {
        let state = super::open::read_state(self.disk()?)?;
        state.ok_or_else(|| StoreError::Damaged("the state says nothing of itself".into()))
    }

    fn frame(&self) -> Result<Frame, StoreError> {
        let state = self.state()?;
        let first = segments::list(&self.journal)?.first().map_or(1, |segment| segment.position);
        Ok(Frame { first: Position(first), decided: state.decided, step: state.taken.step })
    }

    /// Of what grows with each write, and of the small values that do not.
    fn mark(&self) -> Result<String, StoreError> {
        let mut hash = blake3::Hasher::new();
        let disk = self.disk()?;
        for key in [keys::STATE, keys::TAKEN, keys::PROGRAM] {
            hash.update(&disk.get(key)?.unwrap_or_default());
        }
        let (end, _) = end_of(&self.journal)?;
        for number in [end.position, end.ordinal, end.step, end.length] {
            hash.update(&number.to_le_bytes());
        }
        for prefix in [keys::KEPT, keys::CURSOR] {
            for entry in disk.prefix(&[prefix]).whole() {
                let (key, value) = entry?;
                hash.update(&key).update(&value);
            }
        }
        let (version, _) = self.register.access()?;
        let last = self.register.list(None, 1)?.pop();
        hash.update(&version.to_le_bytes());
        hash.update(&last.map_or(0, |last| last.id).to_le_bytes());
        Ok(format!("sled {}", hash.finalize().to_hex()))
    }

    /// Message keys of what is decided, as this store knows them.
    fn sorted(&self) -> Result<Sorted, StoreError> {
        let mut seen = Seen::new(&self.settings.path, &self.journal, self.settings.dedupe);
        seen.open(self.state()?.decided.0)?;
        Sorted::of(&seen)
    }
}

/// How far a journal reaches that nobody writes, and may be read.
fn end_of(journal: &std::path::Path) -> Result<(End, Limit), StoreError> {
    let Some(last) = segments::list(journal)?.pop() else { return Ok(Default::default()) };
    let end = segments::end_of(&last)?;
    // A write that was cut was never acknowledged.
    Ok((end, Limit { segment: last.place(), length: end.length }))
}

/// A step, an outcome or a cursor lies in the journal that the tree does not have.
fn is_behind(journal: &std::path::Path, disk: &Disk, state: &State, end: End) -> Result<bool, StoreError> {
    if end.step > state.taken.step || end.ordinal != state.applied.through() {
        return Ok(true);
    }
    let (_, limit) = end_of(journal)?;
    let from = state.decided.0.saturating_sub(BEHIND).max(1);
    let mut reader = Reader::from(journal, (from, u64::MAX, u64::MAX))?;
    while let Some((head, payload)) = reader.next(limit)? {
        if head.kind == Sort::Events
            && head.first >= from
            && let Some((name, _)) = cursor_of(&payload)?
        {
            let known = disk.get(&keys::named(keys::CURSOR, &name))?;
            let known = known.map(|bytes| decode::<Cursor>(&bytes)).transpose()?;
            if known.is_none_or(|known| known.at.0 < head.first) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[async_trait]
impl Source for Folder {
    async fn frame(&mut self) -> Result<Frame, StoreError> {
        Self::frame(self)
    }

    async fn mark(&mut self) -> Result<String, StoreError> {
        Self::mark(self)
    }

    async fn page(&mut self, kind: Kind, after: Option<&[u8]>) -> Result<Page, StoreError> {
        pieces::page(self, kind, after)
    }
}
