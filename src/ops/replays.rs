//! Dead letters replayed by what they have in common: counted first, then one after the other behind everything else. There
//! is one such wish at a time, and it ends with the daemon.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::health::Watched;
use super::letters::{self, Replayed};
use crate::model::Timestamp;
use crate::store::{Sought, StoreError, WorkId};

/// Dead letters read at once.
const PAGE: usize = 200;

/// One wish.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ReplayBatch)]
pub struct Batch {
    /// What they have in common.
    pub sought: Sought,
    /// Whose wish it is.
    pub by: Arc<str>,
    /// When it was begun.
    pub began: Timestamp,
    /// How far it is.
    pub stage: Stage,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ReplayStage)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// They are counted.
    Counting {
        /// So far.
        found: u64,
    },
    /// Counted: nothing happens until somebody says so.
    Counted {
        /// So many.
        found: u64,
    },
    /// They are put back into their lanes.
    Replaying(Done),
    /// All of them were looked at.
    Ended(Done),
    /// It was left half-way, in words: what was put back stays so.
    Failed {
        /// Why.
        words: String,
    },
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ReplayDone)]
pub struct Done {
    /// So many were counted.
    pub of: u64,
    /// Wait in their lanes again.
    pub replayed: u64,
    /// May not go to the person any more, or have nothing to send: they stay.
    pub refused: u64,
    /// Were gone by then.
    pub missing: u64,
}

/// The one wish that there may be.
#[derive(Clone, Default)]
pub struct Replays {
    batch: Arc<Mutex<Option<Batch>>>,
    stop: CancellationToken,
}

/// Another wish is being worked on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("others are being counted or replayed; look again in a moment")]
pub struct Busy;

impl Replays {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Batch>> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last wish.
    pub fn look(&self) -> Option<Batch> {
        self.lock().clone()
    }

    /// Leaves what is under way where it is.
    pub fn end(&self) {
        self.stop.cancel();
    }

    fn enter(&self, stage: Stage) {
        if let Some(batch) = self.lock().as_mut() {
            batch.stage = stage;
        }
    }

    /// Begins to count what is looked for, of what was given up until now.
    ///
    /// # Errors
    /// While another wish is worked on.
    pub fn count(&self, watched: &Watched, sought: Sought, by: Arc<str>) -> Result<(), Busy> {
        let began = watched.clock.now();
        {
            let mut batch = self.lock();
            if batch.as_ref().is_some_and(Batch::is_at_work) {
                return Err(Busy);
            }
            let stage = Stage::Counting { found: 0 };
            *batch = Some(Batch { sought: sought.clone(), by, began, stage });
        }
        let (mine, watched) = (self.clone(), watched.clone());
        tokio::spawn(async move {
            let counted = mine.counted(&watched, sought, began).await;
            mine.enter(match counted {
                Ok(found) => Stage::Counted { found },
                Err(words) => Stage::Failed { words },
            });
        });
        Ok(())
    }

    async fn counted(&self, watched: &Watched, mut sought: Sought, began: Timestamp) -> Result<u64, String> {
        let mut found = 0;
        loop {
            if self.stop.is_cancelled() {
                return Err(ENDS.into());
            }
            let page = watched.store.letters(&sought, PAGE).await.map_err(|error| error.to_string())?;
            found += page.found.iter().filter(|letter| letter.at <= began).count() as u64;
            self.enter(Stage::Counting { found });
            match page.next {
                Some(next) => sought.before = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Begins to put back what was counted by the wish that began then: nobody says yes to what another has asked for
    /// meanwhile. What they are, in words; none where nothing of then is counted.
    pub fn begin(&self, watched: &Watched, by: Arc<str>, began: Timestamp) -> Option<String> {
        let (sought, of, words) = {
            let mut guard = self.lock();
            let batch = guard.as_mut().filter(|batch| batch.began == began)?;
            let words = batch.in_words();
            let Stage::Counted { found } = batch.stage else { return None };
            batch.stage = Stage::Replaying(Done { of: found, ..Done::default() });
            batch.by = by.clone();
            (batch.sought.clone(), found, words)
        };
        tracing::info!(%by, lane = sought.lane.as_deref(), trigger = sought.trigger.as_deref(), count = of, "dead letters are replayed");
        let (mine, watched) = (self.clone(), watched.clone());
        tokio::spawn(async move {
            let done = mine.replayed(&watched, (sought, began), of).await;
            mine.enter(match done {
                Ok(done) => Stage::Ended(done),
                Err(words) => Stage::Failed { words },
            });
        });
        Some(words)
    }

    async fn replayed(
        &self,
        watched: &Watched,
        (mut sought, began): (Sought, Timestamp),
        of: u64,
    ) -> Result<Done, String> {
        let mut done = Done { of, ..Done::default() };
        loop {
            let page = watched.store.letters(&sought, PAGE).await.map_err(|error| error.to_string())?;
            // What was given up since, among it what was put back and failed again, was not counted.
            for letter in page.found.iter().filter(|letter| letter.at <= began) {
                if self.stop.is_cancelled() {
                    return Err(ENDS.into());
                }
                match self.one(watched, letter.id).await.map_err(|error| error.to_string())? {
                    Replayed::Done => done.replayed += 1,
                    Replayed::Refused(_) => done.refused += 1,
                    Replayed::Missing => done.missing += 1,
                }
                self.enter(Stage::Replaying(done));
            }
            match page.next {
                Some(next) => sought.before = Some(next),
                None => return Ok(done),
            }
        }
    }

    async fn one(&self, watched: &Watched, id: WorkId) -> Result<Replayed, StoreError> {
        let program = watched.program.load_full();
        letters::replay(&*watched.store, &program, id.0, watched.clock.now()).await
    }

    /// Forgets what was counted by the wish that began then. What it was, in words; none while it is worked on, or where
    /// it is another's.
    pub fn forget(&self, began: Timestamp) -> Option<String> {
        let mut batch = self.lock();
        let words = batch.as_ref().filter(|batch| batch.began == began && !batch.is_at_work())?.in_words();
        *batch = None;
        Some(words)
    }
}

/// Why it stopped half-way.
const ENDS: &str = "the daemon ended";

/// What they have in common, in words.
pub fn in_words(sought: &Sought) -> String {
    let of =
        [("lane", sought.lane.as_deref()), ("trigger", sought.trigger.as_deref()), ("code", sought.end.as_deref())];
    let of: Vec<String> = of.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?))).collect();
    if of.is_empty() { "all".into() } else { of.join(", ") }
}

impl Batch {
    /// How many of what, for the audit log.
    fn in_words(&self) -> String {
        match self.stage {
            Stage::Counted { found } => format!("{found} dead letters, {}", in_words(&self.sought)),
            _ => format!("dead letters, {}", in_words(&self.sought)),
        }
    }

    /// True while it is worked on.
    pub fn is_at_work(&self) -> bool {
        matches!(self.stage, Stage::Counting { .. } | Stage::Replaying(_))
    }
}
