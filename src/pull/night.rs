//! What a night finds in a list that it reads again: what was known, and what was missing.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::past::{Again, Past};
use super::state::{Doing, StreamState};
use crate::model::{DedupeKey, Event, Timestamp};
use crate::source::stream::Mapped;
use crate::store::{Store, StoreError};

/// Missing events that are told one by one.
const TOLD: usize = 20;

/// What a night has read of a list so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NightRead {
    /// Which night: when it began.
    pub of: Timestamp,
    /// Its stretch is read to its end.
    pub is_done: bool,
    /// Events that the list's records make.
    pub events: u64,
    /// Those that a decided event stands for.
    pub known: u64,
    /// The others, which are in the journal since.
    pub missing: u64,
    /// Records that could not be read.
    pub set_aside: u64,
    /// The first of those that were missing.
    pub told: Vec<Missing>,
}

/// An event that was not known until a night read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = MissingRecord)]
pub struct Missing {
    /// Its name; empty where it only says who somebody is.
    pub name: Arc<str>,
    /// When it happened.
    pub at: Timestamp,
    /// Its message key, in hexadecimal digits: it names nobody.
    pub key: String,
}

impl NightRead {
    /// Counts a page, and leaves only what is missing in it.
    pub(super) fn compare(&mut self, page: &mut Mapped, known: &HashSet<DedupeKey>) {
        let events = &mut page.read.events;
        self.events += events.len() as u64;
        self.set_aside += page.read.rejected.len() as u64;
        events.retain(|event| !event.dedupe.iter().any(|key| known.contains(key)));
        self.missing += events.len() as u64;
        self.known = self.events - self.missing;
        let room = TOLD.saturating_sub(self.told.len());
        self.told.extend(events.iter().take(room).map(Missing::of));
    }
}

impl Missing {
    fn of(event: &Event) -> Self {
        let key = event.dedupe.first().map(hex::encode).unwrap_or_default();
        Self { name: event.name.clone(), at: event.at, key }
    }
}

/// A list that a night can have read again. Cheap to clone.
#[derive(Clone)]
pub struct Reread {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    /// The list's name in the connector.
    pub stream: Arc<str>,
    pub(super) again: mpsc::Sender<Again>,
    pub(super) state: watch::Receiver<StreamState>,
}

impl Reread {
    /// Has the stretch read for this night, and returns when the store has the wish: no crash forgets it. Asked twice
    /// for one night it is read once. False when the list has ended.
    pub async fn ask(&self, night: Timestamp, (from, until): (Timestamp, Timestamp)) -> bool {
        let (kept, is_kept) = oneshot::channel();
        let again = Again { from, until, night: Some(night), kept: Some(kept) };
        self.again.send(again).await.is_ok() && is_kept.await.is_ok()
    }

    /// What this night has read so far.
    pub fn read(&self, night: Timestamp) -> Option<NightRead> {
        self.state.borrow().night.clone().filter(|read| read.of == night)
    }

    /// Returns when this night's stretch is read to its end.
    pub async fn done(&self, night: Timestamp) {
        let mut state = self.state.clone();
        let is_done = |state: &StreamState| state.night.as_ref().is_some_and(|read| read.of == night && read.is_done);
        // The list ends with the daemon, and so does who waits.
        let _ = state.wait_for(is_done).await;
    }

    /// True where this daemon reads it.
    pub fn is_here(&self) -> bool {
        self.state.borrow().doing != Doing::Elsewhere
    }

    /// What this night has read so far, whichever daemon reads it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read_anywhere(&self, store: &dyn Store, night: Timestamp) -> Result<Option<NightRead>, StoreError> {
        if self.is_here() {
            return Ok(self.read(night));
        }
        let kept = store.cursor(&format!("pull:{}:{}:past", self.source, self.stream)).await?;
        Ok(kept.and_then(|kept| Past::read_of(&kept, night)))
    }

    /// Why nothing is read, in words.
    pub fn held(&self) -> Option<String> {
        self.state.borrow().held.clone()
    }
}
