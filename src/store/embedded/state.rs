//! Positions and counts: kept in memory, written with every batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::steps::Taken;
use crate::model::{Position, Timestamp, TriggerId, TriggerStates};

/// What the tree says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The newest event decided.
    pub decided: Position,
    /// Settled records of the journal that are in the tree, up to this ordinal.
    pub settled: u64,
    /// Records of the catalogue and of codes that are in the tree, up to this ordinal of the same count.
    pub noted: u64,
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

/// One lane, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// Rows.
    pub queued: u64,
    /// Rows that wait for a time.
    pub deferred: u64,
    /// Dead letters.
    pub dead: u64,
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
