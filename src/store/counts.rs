//! What a store counts. All of it is kept in memory by the adapter; none of it is a scan.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::codes::CodePool;
use crate::model::{Position, Timestamp};

/// A lane's queue, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCount {
    /// Ready or waiting for a later time.
    pub queued: u64,
    /// Those among them that wait for a later time.
    pub deferred: u64,
    /// The earliest `not_before` of the deferred.
    pub next: Option<Timestamp>,
    /// The edge of the oldest that is queued.
    pub oldest: Option<Timestamp>,
    /// Dead letters.
    pub dead: u64,
    /// Of the queued, how many each trigger has; none that has none.
    pub triggers: BTreeMap<Arc<str>, u64>,
    /// Everything that ever came to it.
    pub totals: LaneTotals,
}

/// What ever came to a lane, and how it ended. Every activation that was made is queued, has one end, or was forgotten
/// with its person: [`LaneTotals::made`] is the sum of all the others and of [`LaneCount::queued`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LaneTotals {
    /// Activations that were decided for it.
    pub made: u64,
    /// The vendor has them: taken now, or known to it already.
    pub accepted: u64,
    /// Dead letters, and those of them that were dropped.
    pub refused: u64,
    /// Their time ran out while they waited.
    pub expired: u64,
    /// Called back before they left.
    pub cancelled: u64,
    /// They waited for somebody who was forgotten.
    pub forgotten: u64,
}

impl LaneTotals {
    /// Those that have left the queue.
    pub fn ended(&self) -> u64 {
        self.accepted + self.refused + self.expired + self.cancelled + self.forgotten
    }
}

/// The whole store, counted. Kept in memory by the adapter; never a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The newest event on disk.
    pub journaled: Position,
    /// The newest event decided.
    pub decided: Position,
    /// Arrival of the oldest event not yet decided.
    pub oldest_undecided: Option<Timestamp>,
    /// People there are.
    pub people: u64,
    /// The earliest durable timer.
    pub next_timer: Option<Timestamp>,
    /// Messages set aside as unreadable.
    pub set_aside: u64,
    /// Bytes of journal on disk.
    pub journal_bytes: u64,
    /// The engine's last step.
    pub step: u64,
    /// Grows while a snapshot is written or the journal rewritten, for which the engine may have to wait.
    pub upkeep: u64,
}

/// What became of products that were put into the catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stocked {
    /// They were not there before.
    pub new: u64,
    /// They took the place of an older word.
    pub changed: u64,
    /// The same word, or a newer one, was there.
    pub known: u64,
    /// There was no room for them.
    pub too_many: u64,
}

/// What became of codes that were put into a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CodesAdded)]
pub struct Added {
    /// They wait to be given.
    pub new: u64,
    /// A pool had them before.
    pub known: u64,
    /// There was no room for them.
    pub too_many: u64,
}

/// A pool of codes, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PoolCount {
    /// Its name.
    pub name: Arc<str>,
    /// Codes that were ever put into it.
    pub added: u64,
    /// Those not yet given.
    pub left: u64,
}

impl PoolCount {
    /// Of this pool.
    pub fn of((name, pool): (&Arc<str>, &CodePool)) -> Self {
        Self { name: name.clone(), added: pool.first + pool.codes.len() as u64, left: pool.left() }
    }
}
