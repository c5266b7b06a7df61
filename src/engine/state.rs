//! What the engine is doing, in words for people.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::model::{PersonId, Timestamp};

/// Edges of one trigger with one end that are remembered one by one.
pub const LATELY: usize = 50;

/// What it is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Not yet begun.
    #[default]
    Starting,
    /// Working through the journal or due timers.
    Deciding,
    /// All that arrived is decided; waiting for events or a timer.
    Idle,
    /// Another daemon has the engine: this one takes its place when it ends.
    Elsewhere,
    /// The store refused a step, for this reason; tried again by itself.
    Refused(String),
    /// Ended.
    Stopped,
}

/// Edges, oldest first: when each was, and whose.
pub type Kept = VecDeque<(Timestamp, PersonId)>;

/// What it is doing, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineState {
    /// What.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
    /// Edges since the start, by trigger and what became of them.
    pub edges: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Of those from which nothing leaves the last [`LATELY`] of each sort.
    pub kept: BTreeMap<(Arc<str>, &'static str), Kept>,
}

impl EngineState {
    /// True if that is news.
    pub(super) fn enter(&mut self, stage: Stage, now: Timestamp) -> bool {
        if self.stage == stage {
            return false;
        }
        (self.stage, self.since) = (stage, now);
        true
    }
}
