//! A run that somebody asks for, beside those that are due: what it brought is told.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use crate::pull::{Doing, StreamState};

/// What one run brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Brought {
    /// Records that it printed.
    pub records: u64,
    /// Events made of them, but those that were made of them before.
    pub events: u64,
    /// Records that could not be read.
    pub set_aside: u64,
    /// Why it did not come to its end, in words.
    pub failed: Option<String>,
}

/// Who asks for a run, and is told what it brought.
pub(super) type Wish = oneshot::Sender<Brought>;

/// A program that can be run once more. Cheap to clone.
#[derive(Clone)]
pub struct Rerun {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    pub(super) wishes: mpsc::Sender<Wish>,
    pub(super) states: Vec<watch::Receiver<StreamState>>,
}

impl Rerun {
    /// True where this daemon runs it.
    pub fn is_here(&self) -> bool {
        self.states.iter().all(|state| state.borrow().doing != Doing::Elsewhere)
    }

    /// Has it run from where it is, after the run that may be under way, and returns what that brought. None when the
    /// daemon ends.
    pub async fn run(&self) -> Option<Brought> {
        let (brought, told) = oneshot::channel();
        self.wishes.send(brought).await.ok()?;
        told.await.ok()
    }
}

impl Brought {
    /// What all of its streams have brought since the daemon began.
    pub(super) fn so_far<'s>(states: impl Iterator<Item = &'s StreamState>) -> Self {
        states.fold(Self::default(), |sum, state| Self {
            records: sum.records + state.records,
            events: sum.events + state.events,
            set_aside: sum.set_aside + state.set_aside,
            failed: None,
        })
    }

    /// What came since then.
    pub(super) fn since(self, before: &Self, failed: Option<String>) -> Self {
        Self {
            records: self.records.saturating_sub(before.records),
            events: self.events.saturating_sub(before.events),
            set_aside: self.set_aside.saturating_sub(before.set_aside),
            failed,
        }
    }
}
