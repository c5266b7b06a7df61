//! Who was forgotten, and how far the destinations are with it: nothing personal is in it.

use serde::{Deserialize, Serialize};

use super::explain::attempt;
use crate::model::Timestamp;
use crate::store::{Receipt, Store, StoreError};

/// Receipts told at once.
const TOLD: usize = 1_000;

/// That somebody was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number.
    pub id: String,
    /// Who asked for it: a source's name, or `by hand`.
    pub source: String,
    /// The place of the demand in the journal.
    pub position: u64,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When they were forgotten here: names, traits, history, timers, what waited, dead letters, what became of
    /// activations.
    pub forgotten: Timestamp,
    /// When the journal and its snapshots had nothing of theirs any more; none while they have.
    pub journal: Option<Timestamp>,
    /// Names that led to them.
    pub names: u32,
    /// Events of theirs that were remembered.
    pub events: u64,
    /// The destinations that were asked.
    pub destinations: Vec<Asked>,
}

/// A destination that was asked to forget somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Whether it has taken the demand.
    pub is_done: bool,
    /// In words.
    pub words: String,
}

impl Shown {
    fn of(receipt: &Receipt) -> Self {
        let erasure = &receipt.erasure;
        let destinations = receipt.lanes.iter().map(|(name, last)| Asked {
            name: name.to_string(),
            is_done: last.as_ref().is_some_and(|last| last.outcome.has_effect()),
            words: match last {
                Some(last) => format!("{}: {}", last.at, attempt(last)),
                None => "waits; asked an hour after the demand, when what was on its way is there".into(),
            },
        });
        Self {
            id: erasure.id.to_string(),
            source: erasure.source.to_string(),
            position: erasure.position.0,
            asked: erasure.asked,
            forgotten: erasure.decided,
            journal: erasure.journal,
            names: erasure.names,
            events: erasure.events,
            destinations: destinations.collect(),
        }
    }
}

/// The newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn receipts(store: &dyn Store) -> Result<Vec<Shown>, StoreError> {
    Ok(store.receipts(TOLD).await?.iter().map(Shown::of).collect())
}
