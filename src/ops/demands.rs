//! What people demanded of their data: who was forgotten, and how far the destinations are with it; who wants to see what
//! is kept of them. Nothing personal is in it.

use serde::{Deserialize, Serialize};

use super::explain::attempt;
use crate::model::{Access, OccasionId, Span, Timestamp};
use crate::store::{Backup, Receipt, Store, StoreError, backup};

/// Receipts told at once.
const TOLD: usize = 1_000;

/// That somebody was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Receipt)]
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
    /// When the journal and its snapshots had nothing of what they did any more; none while they have.
    pub journal: Option<Timestamp>,
    /// Names that led to them.
    pub names: u32,
    /// Events of theirs that were remembered.
    pub events: u64,
    /// The destinations that were asked.
    pub destinations: Vec<Asked>,
    /// Backups that were made before the journal had nothing of theirs any more, as far as they are known: each has them
    /// until it is removed.
    #[serde(default)]
    pub backups: Vec<Backup>,
}

/// A destination that was asked to forget somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ReceiptOfAccount)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Whether it has taken the demand.
    pub is_done: bool,
    /// In words.
    pub words: String,
}

impl Shown {
    fn of(receipt: &Receipt, backups: &[Backup]) -> Self {
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
            backups: backups
                .iter()
                .filter(|backup| erasure.journal.is_none_or(|gone| backup.at < gone))
                .cloned()
                .collect(),
        }
    }
}

/// The newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn receipts(store: &dyn Store) -> Result<Vec<Shown>, StoreError> {
    newest(store, TOLD).await
}

/// The newest of them.
pub(super) async fn newest(store: &dyn Store, max: usize) -> Result<Vec<Shown>, StoreError> {
    let backups = backup::known(store).await?;
    Ok(store.receipts(max).await?.iter().map(|receipt| Shown::of(receipt, &backups)).collect())
}

/// The law gives a month (GDPR, article 12).
const MONTH: Span = Span::from_days(30);

/// That somebody wants to see what is kept of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Demand {
    /// Its number.
    pub id: String,
    /// Who asked for it: a source's name.
    pub source: String,
    /// When it was asked for.
    pub asked: Timestamp,
    /// By when it is to be answered.
    pub due: Timestamp,
    /// The person's id here, for `espalier person export`; none of somebody who was not known then.
    pub person: Option<String>,
    /// When it was answered; none while it is open.
    pub answered: Option<Timestamp>,
}

impl Demand {
    fn of(access: &Access) -> Self {
        Self {
            id: access.id.to_string(),
            source: access.source.to_string(),
            asked: access.asked,
            due: access.asked + MONTH,
            person: access.person.map(|id| id.to_string()),
            answered: access.answered,
        }
    }
}

/// Those that are open first, the oldest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn demands(store: &dyn Store) -> Result<Vec<Demand>, StoreError> {
    Ok(store.accesses(TOLD).await?.iter().map(Demand::of).collect())
}

/// Notes that the demand of this number was answered; false where no such one is open.
///
/// # Errors
/// When the store cannot be written.
pub async fn answered(store: &dyn Store, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    match OccasionId::parse(id) {
        Some(id) => store.answer(id, now).await,
        None => Ok(false),
    }
}
