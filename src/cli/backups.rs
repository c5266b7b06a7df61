//! Backups at set times: made by the daemon, and removed when their time is over.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::model::Timestamp;
use crate::ops::store::{BackupFailed, BackupHealth};
use crate::store::embedded;
use crate::store::settings::Backups;
use crate::store::{Backup, Store, StoreError, backup};

/// Makes each in its turn, until `stop`. One that was due while no daemon ran is not made up for. `told` says when the last was
/// begun, and while it could not be made, why.
pub async fn keep_backups(
    store: Arc<dyn Store>,
    clock: SharedClock,
    (settings, told): (Backups, watch::Sender<Option<BackupHealth>>),
    stop: CancellationToken,
) {
    let mut after = clock.now();
    let last = match newest(&*store, &settings).await {
        Ok(last) => last,
        Err(error) => {
            tracing::warn!(reason = %error, "it cannot be told when the last backup was made");
            None
        }
    };
    told.send_replace(Some(BackupHealth { last, failed: None }));
    while let Some(due) = settings.at.next(after, &settings.zone) {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.until(due) => {}
        }
        let now = clock.now();
        // One that takes longer than the time to the next is followed by that at once, and by no more.
        after = settings.at.last(now, &settings.zone).unwrap_or(now);
        match one(&*store, &settings, now).await {
            Ok((folder, size_bytes)) => {
                tracing::info!(%folder, size_bytes, "a backup is made");
                told.send_replace(Some(BackupHealth { last: Some(now), failed: None }));
            }
            Err(error) => {
                tracing::error!(reason = %error, "no backup could be made; the next is made at its time");
                metrics::counter!("espalier_backup_failures_total").increment(1);
                told.send_modify(|health| {
                    let health = health.get_or_insert_default();
                    let since = health.failed.as_ref().map_or(now, |before| before.since);
                    health.failed = Some(BackupFailed { since, words: error.to_string() });
                });
            }
        }
        if let Err(error) = remove_old(&*store, &settings, now).await {
            tracing::warn!(reason = %error, "it cannot be told which backups are old");
        }
    }
}

async fn one(store: &dyn Store, settings: &Backups, now: Timestamp) -> Result<(String, u64), StoreError> {
    let folder = within(settings)?.join(now.to_string().replace(':', "-"));
    let folder = folder.to_str().ok_or_else(|| StoreError::Unavailable("the folder of backups is not UTF-8".into()))?;
    let folder = folder.to_owned();
    let wanted = Backup { folder: folder.clone(), at: now, kept_until: Some(now + settings.keep) };
    let made = backup::make(store, wanted, now).await?;
    Ok((folder, made.size_bytes))
}

/// Where all of them lie.
fn within(settings: &Backups) -> Result<PathBuf, StoreError> {
    std::path::absolute(&settings.path).map_err(|e| StoreError::Unavailable(e.to_string()))
}

/// When the newest that is whole was begun.
async fn newest(store: &dyn Store, settings: &Backups) -> Result<Option<Timestamp>, StoreError> {
    let within = within(settings)?;
    let known = backup::known(store).await?;
    let newest = move || {
        let is_ours = |folder: &Path| folder.parent() == Some(&*within) && embedded::backup::is_whole(folder);
        known.into_iter().filter(|one| is_ours(Path::new(&one.folder))).map(|one| one.at).max()
    };
    tokio::task::spawn_blocking(newest).await.map_err(|e| StoreError::Unavailable(e.to_string()))
}

/// Removes those of this folder whose time is over: they are known by name, and nothing else in it is touched. One that
/// cannot be removed is tried again after the next backup, and keeps no other.
async fn remove_old(store: &dyn Store, settings: &Backups, now: Timestamp) -> Result<(), StoreError> {
    let within = within(settings)?;
    for old in backup::known(store).await? {
        let folder = Path::new(&old.folder);
        if folder.parent() != Some(&*within) || old.kept_until.is_none_or(|until| until > now) {
            continue;
        }
        let removed = match tokio::fs::remove_dir_all(folder).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::Unavailable(error.to_string())),
            _ => backup::gone(store, &old.folder).await,
        };
        if let Err(error) = removed {
            tracing::warn!(folder = %old.folder, reason = %error, "a backup whose time is over could not be removed");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use crate::model::{Span, Zone};
    use crate::store::embedded::Embedded;
    use crate::store::settings::Settings;

    /// A store, and where its backups come to lie for two days.
    fn begin(folder: &Path, now: Timestamp) -> (Arc<dyn Store>, Backups) {
        let settings = Settings { path: folder.join("store"), ..Settings::default() };
        std::fs::create_dir(&settings.path).expect("a folder");
        let backups = Backups {
            path: folder.join("backups"),
            keep: Span::from_days(2),
            at: "0 1 * * *".parse().expect("a schedule"),
            zone: Zone::UTC,
        };
        std::fs::create_dir(&backups.path).expect("a folder");
        (Arc::new(Embedded::open(&settings, now).expect("a store")), backups)
    }

    #[tokio::test]
    async fn one_that_cannot_be_removed_keeps_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Timestamp::parse("2026-11-29T00:30:00Z").expect("an instant");
        let (store, settings) = begin(folder.path(), now);
        assert_eq!(newest(&*store, &settings).await.expect("a list"), None);
        let mut made = Vec::new();
        for day in 0..3 {
            let at = now + Span::from_hours(24 * day);
            made.push(one(&*store, &settings, at).await.expect("a backup").0);
            assert_eq!(newest(&*store, &settings).await.expect("a list"), Some(at));
        }
        // A file stands where the first was: it is no folder that could be removed.
        std::fs::remove_dir_all(&made[0]).expect("a folder");
        std::fs::write(&made[0], "").expect("a file");
        // The last was cut.
        std::fs::remove_file(Path::new(&made[2]).join("backup.json")).expect("a file");
        assert_eq!(newest(&*store, &settings).await.expect("a list"), Some(now + Span::from_hours(24)));
        remove_old(&*store, &settings, now + Span::from_hours(24 * 3)).await.expect("a list");
        let known = backup::known(&*store).await.expect("a list");
        let known: Vec<&str> = known.iter().map(|one| &*one.folder).collect();
        assert_eq!(known, [&made[0], &made[2]], "the second is gone, and the first is tried again");
        assert!(Path::new(&made[0]).exists() && !Path::new(&made[1]).exists());
        store.close().await.expect("an end");
    }

    #[tokio::test]
    async fn one_is_made_each_day_and_goes_when_its_time_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = Timestamp::parse("2026-11-29T00:30:00Z").expect("an instant");
        let clock = VirtualClock::new(start);
        let (store, backups) = begin(folder.path(), start);
        std::fs::create_dir(backups.path.join("of somebody else")).expect("a folder");
        let stop = CancellationToken::new();
        let (told, mut health) = watch::channel(None);
        let shared = Arc::new(clock.clone());
        let task = tokio::spawn(keep_backups(store.clone(), shared, (backups.clone(), told), stop.clone()));
        // It waits from here on.
        tokio::task::yield_now().await;
        for day in 0..4 {
            let at = start + Span::from_hours(24 * day) + Span::from_minutes(30);
            clock.set(at);
            let name = at.to_string().replace(':', "-");
            let is_there = || backups.path.join(&name).join("backup.json").exists();
            for _ in 0..5_000 {
                let known = backup::known(&*store).await.expect("a read");
                let over = known.iter().any(|one| one.kept_until.is_some_and(|until| until <= at));
                if is_there() && !over {
                    break;
                }
                let pause = || std::thread::sleep(std::time::Duration::from_millis(2));
                tokio::task::spawn_blocking(pause).await.expect("a pause");
            }
            assert!(is_there(), "{name}");
        }
        let known = backup::known(&*store).await.expect("a read");
        assert_eq!(known.len(), 2, "those of the last two days: {known:?}");
        let last = start + Span::from_hours(72) + Span::from_minutes(30);
        assert_eq!(*health.borrow_and_update(), Some(BackupHealth { last: Some(last), failed: None }));
        assert_eq!(newest(&*store, &backups).await.expect("a list"), Some(last));
        assert!(known.iter().all(|one| Path::new(&one.folder).exists()));
        assert_eq!(std::fs::read_dir(&backups.path).expect("a folder").count(), 3, "and what is not ours");

        // One that cannot be made is told until one is.
        let aside = folder.path().join("aside");
        std::fs::rename(&backups.path, &aside).expect("a folder");
        std::fs::write(&backups.path, "").expect("a file");
        let due = |day: i64| start + Span::from_hours(24 * day) + Span::from_minutes(30);
        for day in [4, 5] {
            clock.set(due(day));
            health.changed().await.expect("a word");
            let told = health.borrow_and_update().clone().expect("health");
            let failed = told.failed.expect("it failed");
            assert_eq!((failed.since, told.last), (due(4), Some(last)), "{}", failed.words);
        }
        std::fs::remove_file(&backups.path).expect("a file");
        clock.set(due(6));
        health.changed().await.expect("a word");
        assert_eq!(*health.borrow_and_update(), Some(BackupHealth { last: Some(due(6)), failed: None }));
        stop.cancel();
        task.await.expect("an end");
        store.close().await.expect("an end");
    }
}
