//! What is known of backups: a short list in the store, so that an erasure can tell which of them still have somebody.

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{Store, StoreError};
use crate::model::{Position, Timestamp};

/// The list's name among what is kept.
const KEPT: &str = "backups";
/// Backups that are known at most; the oldest are forgotten first.
const MOST: usize = 10_000;
/// Bytes of all their folders' names at most: the list is one value.
const LONGEST: usize = 4 << 20;
/// Bytes of a folder's whole path at most, as the system has it.
const LONGEST_PATH: usize = 4_096;

/// Held from when the list is read until it is written: backups are made by the clock and by hand.
static CHANGING: Mutex<()> = Mutex::const_new(());

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

/// Makes one, which is known from before it begins: an erasure that comes meanwhile tells of it. One that is known in the
/// same folder stays known until the new one is there in its place.
///
/// # Errors
/// When it cannot be made, in the folder or of the store. It is known no more then, unless the store cannot be written.
pub async fn make(store: &dyn Store, backup: Backup, now: Timestamp) -> Result<BackedUp, StoreError> {
    if backup.folder.len() > LONGEST_PATH {
        return Err(StoreError::Unavailable(format!("a folder's path has {LONGEST_PATH} bytes at most")));
    }
    note(store, backup.clone()).await?;
    let made = store.back_up(std::path::Path::new(&backup.folder), now).await;
    let tidied = change(store, |all| match all.iter().rposition(|one| *one == backup) {
        Some(ours) if made.is_err() => drop(all.remove(ours)),
        Some(_) => all.retain(|one| one.folder != backup.folder || *one == backup),
        None => {}
    });
    if let Err(error) = tidied.await {
        // It tells of a backup too many, which is the lesser harm.
        tracing::warn!(reason = %error, "the list of backups cannot be written");
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

/// Notes that there will be one.
async fn note(store: &dyn Store, backup: Backup) -> Result<(), StoreError> {
    change(store, |all| {
        all.push(backup);
        let mut bytes: usize = all.iter().map(|one| one.folder.len()).sum();
        let mut over = 0;
        while all.len() - over > MOST || bytes > LONGEST && over + 1 < all.len() {
            bytes -= all[over].folder.len();
            over += 1;
        }
        for old in all.drain(..over) {
            tracing::warn!(folder = %old.folder, at = %old.at, "too many backups are known: the oldest is forgotten");
        }
    })
    .await
}

/// Notes that the one in this folder is gone; false where none was known there.
///
/// # Errors
/// When the store cannot be written.
pub async fn gone(store: &dyn Store, folder: &str) -> Result<bool, StoreError> {
    let mut was_known = false;
    change(store, |all| {
        let before = all.len();
        all.retain(|one| one.folder != folder);
        was_known = all.len() < before;
    })
    .await?;
    Ok(was_known)
}

/// Changes the list, and writes it where that makes a difference.
async fn change(store: &dyn Store, change: impl FnOnce(&mut Vec<Backup>)) -> Result<(), StoreError> {
    let _alone = CHANGING.lock().await;
    let before = known(store).await?;
    let mut all = before.clone();
    change(&mut all);
    if all == before { Ok(()) } else { store.keep(KEPT, &super::record::encode(&all)).await }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::{Embedded, backup};
    use crate::store::settings::Settings;

    fn store(folder: &std::path::Path) -> Embedded {
        let settings = Settings { path: folder.join("store"), ..Settings::default() };
        std::fs::create_dir(&settings.path).expect("a folder");
        Embedded::open(&settings, Timestamp::MIN).expect("a store")
    }

    fn of(folder: &std::path::Path, at: i64) -> Backup {
        let folder = folder.to_str().expect("UTF-8").to_owned();
        Backup { folder, at: Timestamp::from_millis(at), kept_until: None }
    }

    #[tokio::test]
    async fn a_second_one_into_the_same_folder_is_refused_and_the_first_stays_known_and_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let copy = folder.path().join("copy");
        let first = of(&copy, 1);
        make(&store, first.clone(), first.at).await.expect("a backup");
        let told = make(&store, of(&copy, 2), Timestamp::from_millis(2)).await.expect_err("it is taken").to_string();
        assert!(told.contains("is not empty"), "{told}");
        assert_eq!(known(&store).await.expect("a list"), std::slice::from_ref(&first));
        assert_eq!(backup::check(&copy).expect("a backup").1, Vec::<String>::new());
        // Of the same instant, too.
        make(&store, first.clone(), first.at).await.expect_err("it is taken");
        assert_eq!(known(&store).await.expect("a list"), [first]);
        // Somebody has removed it: the new one takes its place.
        std::fs::remove_dir_all(&copy).expect("a folder");
        make(&store, of(&copy, 3), Timestamp::from_millis(3)).await.expect("a backup");
        assert_eq!(known(&store).await.expect("a list"), [of(&copy, 3)]);
        assert!(gone(&store, copy.to_str().expect("UTF-8")).await.expect("a list"));
        assert!(!gone(&store, copy.to_str().expect("UTF-8")).await.expect("a list"));
        store.close().await.expect("an end");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn whoever_changes_the_list_at_once_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let tasks = (0..40).map(|n| {
            let (store, one) = (store.clone(), of(&folder.path().join(n.to_string()), n));
            tokio::spawn(async move { note(&store, one).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("an end").expect("a list");
        }
        assert_eq!(known(&store).await.expect("a list").len(), 40);
        store.close().await.expect("an end");
    }

    #[tokio::test]
    async fn the_list_is_bounded_in_number_and_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let named = |name: String, at: i64| of(std::path::Path::new(&name), at);
        let all: Vec<Backup> = (0..MOST as i64).map(|n| named(format!("/backup/{n}"), n)).collect();
        store.keep(KEPT, &crate::store::record::encode(&all)).await.expect("a list");
        note(&store, named("/backup/new".into(), 0)).await.expect("a list");
        let known_now = known(&store).await.expect("a list");
        assert_eq!((known_now.len(), &*known_now[0].folder), (MOST, "/backup/1"), "the oldest went");
        assert_eq!(&*known_now[MOST - 1].folder, "/backup/new");
        note(&store, named("n".repeat(LONGEST), 0)).await.expect("a list");
        assert_eq!(known(&store).await.expect("a list").len(), 1, "the newest stays, however long");
        let long = named(format!("/{}", "n".repeat(LONGEST_PATH)), 0);
        make(&store, long, Timestamp::MIN).await.expect_err("no system has such a folder");
        store.close().await.expect("an end");
    }
}
