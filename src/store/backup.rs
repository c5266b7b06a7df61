//! What is known of backups: a short list in the store, so that an erasure can tell which of them still have somebody.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::model::{Position, Timestamp};

/// The list's name among what is kept.
const KEPT: &str = "backups";
/// Backups that are known at most; the oldest are forgotten first.
const MOST: usize = 200;

/// A backup of this store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Backup {
    /// Its folder, by its whole path.
    pub folder: String,
    /// When it was begun.
    pub at: Timestamp,
    /// Until when it is kept, by the word of who made it; none where nobody said.
    pub kept_until: Option<Timestamp>,
}

/// What a backup has that was just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BackedUp {
    /// The newest event in it.
    #[schema(value_type = u64)]
    pub position: Position,
    /// Bytes of its files.
    pub size_bytes: u64,
}

/// Makes one, which is known from before it begins: an erasure that comes meanwhile tells of it.
///
/// # Errors
/// When it cannot be made, in the folder or of the store. It is known no more then, unless the store cannot be written.
pub async fn make(store: &dyn Store, backup: Backup, now: Timestamp) -> Result<BackedUp, StoreError> {
    let folder = backup.folder.clone();
    note(store, backup).await?;
    let made = store.back_up(std::path::Path::new(&folder), now).await;
    if made.is_err() {
        gone(store, &folder).await?;
    }
    made
}

/// Those that are known, the oldest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn known(store: &dyn Store) -> Result<Vec<Backup>, StoreError> {
    match store.kept(KEPT).await? {
        Some(bytes) => super::record::decode(&bytes),
        None => Ok(Vec::new()),
    }
}

/// Notes that there is one, or will be.
///
/// # Errors
/// When the store cannot be written.
pub async fn note(store: &dyn Store, backup: Backup) -> Result<(), StoreError> {
    let mut all = known(store).await?;
    all.retain(|one| one.folder != backup.folder);
    all.push(backup);
    let over = all.len().saturating_sub(MOST);
    store.keep(KEPT, &super::record::encode(&all.split_off(over))).await
}

/// Notes that the one in this folder is gone; false where none was known there.
///
/// # Errors
/// When the store cannot be written.
pub async fn gone(store: &dyn Store, folder: &str) -> Result<bool, StoreError> {
    let mut all = known(store).await?;
    let before = all.len();
    all.retain(|one| one.folder != folder);
    if all.len() < before {
        store.keep(KEPT, &super::record::encode(&all)).await?;
    }
    Ok(all.len() < before)
}
