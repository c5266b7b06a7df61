//! Backups at set times: made by the daemon, and removed when their time is over.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::model::Timestamp;
use crate::store::settings::Backups;
use crate::store::{Backup, Store, StoreError, backup};

/// Makes each in its turn, until `stop`. One that was due while no daemon ran is not made up for.
pub async fn keep_backups(store: Arc<dyn Store>, clock: SharedClock, settings: Backups, stop: CancellationToken) {
    let mut after = clock.now();
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
                metrics::gauge!("espalier_backup_last_seconds").set(now.as_millis() as f64 / 1_000.0);
            }
            Err(error) => {
                tracing::error!(reason = %error, "no backup could be made; the next is made at its time");
                metrics::counter!("espalier_backup_failures_total").increment(1);
            }
        }
        if let Err(error) = remove_old(&*store, &settings, now).await {
            tracing::warn!(reason = %error, "a backup whose time is over could not be removed");
        }
    }
}

async fn one(store: &dyn Store, settings: &Backups, now: Timestamp) -> Result<(String, u64), StoreError> {
    let unavailable = |words: String| StoreError::Unavailable(words);
    let name = now.to_string().replace(':', "-");
    let folder = std::path::absolute(settings.path.join(name)).map_err(|e| unavailable(e.to_string()))?;
    let folder = folder.to_str().ok_or_else(|| unavailable("the folder of backups is not UTF-8".into()))?.to_owned();
    let wanted = Backup { folder: folder.clone(), at: now, kept_until: Some(now + settings.keep) };
    let made = backup::make(store, wanted, now).await?;
    Ok((folder, made.size_bytes))
}

/// Removes those of this folder whose time is over: they are known by name, and nothing else in it is touched.
async fn remove_old(store: &dyn Store, settings: &Backups, now: Timestamp) -> Result<(), StoreError> {
    let unavailable = |e: std::io::Error| StoreError::Unavailable(e.to_string());
    let within = std::path::absolute(&settings.path).map_err(unavailable)?;
    for old in backup::known(store).await? {
        let folder = Path::new(&old.folder);
        if folder.parent() != Some(&*within) || old.kept_until.is_none_or(|until| until > now) {
            continue;
        }
        match tokio::fs::remove_dir_all(folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unavailable(error)),
            _ => backup::gone(store, &old.folder).await?,
        };
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

    #[tokio::test]
    async fn one_is_made_each_day_and_goes_when_its_time_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = Timestamp::parse("2026-11-29T00:30:00Z").expect("an instant");
        let clock = VirtualClock::new(start);
        let settings = Settings { path: folder.path().join("store"), ..Settings::default() };
        std::fs::create_dir(&settings.path).expect("a folder");
        let store: Arc<dyn Store> = Arc::new(Embedded::open(&settings, start).expect("a store"));
        let backups = Backups {
            path: folder.path().join("backups"),
            keep: Span::from_days(2),
            at: "0 1 * * *".parse().expect("a schedule"),
            zone: Zone::UTC,
        };
        std::fs::create_dir(&backups.path).expect("a folder");
        std::fs::create_dir(backups.path.join("of somebody else")).expect("a folder");
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep_backups(store.clone(), Arc::new(clock.clone()), backups.clone(), stop.clone()));
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
        stop.cancel();
        task.await.expect("an end");
        let known = backup::known(&*store).await.expect("a read");
        assert_eq!(known.len(), 2, "those of the last two days: {known:?}");
        assert!(known.iter().all(|one| Path::new(&one.folder).exists()));
        assert_eq!(std::fs::read_dir(&backups.path).expect("a folder").count(), 3, "and what is not ours");
        store.close().await.expect("an end");
    }
}
