//! Positions and counts: kept in memory, written with every batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::steps::Taken;
use crate::model::{Outcome, Position, Timestamp, TriggerId, TriggerStates};
use crate::store::LaneTotals;

/// What the tree says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The newest event decided.
    pub decided: Position,
    /// Records of outcomes, of the catalogue and of codes that are in the tree.
    pub applied: Applied,
    /// The last number given to a row, a dead letter or a message set aside.
    pub seq: u64,
    /// People there are.
    pub people: u64,
    /// Messages set aside.
    pub aside: u64,
    /// The arrival of the newest event decided: the store's own idea of time, for ageing.
    pub reached: Timestamp,
    /// When the state was last made again from the journal. An activation whose edge is not later may have left before,
    /// though nobody knows: what was begun and not settled was noted in the state that is lost.
    pub doubtful_until: Timestamp,
    /// Ends written before their activations, while the engine is behind the journal's outcomes: at least so many.
    pub orphans: u64,
    /// Lanes that were ever used.
    pub lanes: BTreeMap<Arc<str>, LaneState>,
    /// The engine's last step. It has a place of its own in the tree, as the program has.
    #[serde(skip)]
    pub taken: Taken,
    /// The triggers of the last recorded program.
    #[serde(skip)]
    pub program: Option<Arc<[(TriggerId, u32)]>>,
    /// Those of triggers, each with a place of its own in the tree.
    #[serde(skip)]
    pub triggers: TriggerStates,
}

/// Which records of one count are in the tree. Lanes end in any order, so that a later one may be there first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// All up to this ordinal.
    through: u64,
    /// Those beyond it: as many as are under way at once.
    beyond: BTreeSet<u64>,
}

impl Applied {
    /// This one is in the tree.
    pub fn has(&self, ordinal: u64) -> bool {
        ordinal <= self.through || self.beyond.contains(&ordinal)
    }

    /// This one is in the tree from now on.
    pub fn note(&mut self, ordinal: u64) {
        if ordinal > self.through {
            self.beyond.insert(ordinal);
        }
        while self.beyond.remove(&(self.through + 1)) {
            self.through += 1;
        }
    }

    /// All up to this ordinal are.
    pub fn through(&self) -> u64 {
        self.through
    }
}

/// One lane, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// Rows.
    pub queued: u64,
    /// Rows that wait for a time.
    pub deferred: u64,
    /// Dead letters.
    pub dead: u64,
    /// Rows by trigger; none that has no row.
    pub triggers: BTreeMap<Arc<str>, u64>,
    /// What ever came to it, and how it ended.
    pub totals: LaneTotals,
}

impl LaneState {
    /// A row more.
    pub fn add(&mut self, trigger: &Arc<str>) {
        self.queued += 1;
        *self.triggers.entry(trigger.clone()).or_default() += 1;
    }

    /// A row less.
    pub fn take(&mut self, trigger: &Arc<str>) {
        self.queued = self.queued.saturating_sub(1);
        if let Some(rows) = self.triggers.get_mut(trigger) {
            *rows = rows.saturating_sub(1);
            if *rows == 0 {
                self.triggers.remove(trigger);
            }
        }
    }

    /// One of its activations ended so; waiting is no end.
    pub fn ended(&mut self, outcome: &Outcome) {
        let totals = &mut self.totals;
        let count = match outcome {
            Outcome::Accepted | Outcome::Duplicate => &mut totals.accepted,
            Outcome::Refused { .. } => &mut totals.refused,
            Outcome::Expired => &mut totals.expired,
            Outcome::Cancelled => &mut totals.cancelled,
            Outcome::Later { .. } => return,
        };
        *count += 1;
    }
}

impl State {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
    /// A lane, made when it is new.
    pub fn lane(&mut self, name: &Arc<str>) -> &mut LaneState {
        self.lanes.entry(name.clone()).or_default()
    }
}
