//! Backups made, listed and restored; the store made small.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::look;
use crate::cli::local::Local;
use crate::cli::{Ended, Failed};
use crate::clock::{Clock, SystemClock};
use crate::identity;
use crate::model::Span;
use crate::ops::identity::{Told, Word, name, tell};
use crate::ops::store::{Gone, Wanted};
use crate::settings::Configured;
use crate::store::embedded::{self, Embedded};
use crate::store::settings::Kind;
use crate::store::{BackedUp, Backup, SetAside, Store, backup};

/// What a daemon may take for a copy of a large store. It goes on with it should we not wait.
const PATIENCE: Duration = Duration::from_secs(6 * 60 * 60);

/// Makes the store small.
pub async fn compact(configured: &Configured) -> Ended {
    let position = match Local::of(configured).await? {
        Local::Daemon(client) => {
            let said: Value = client.send_for("/api/store/compact", &Value::Null, PATIENCE).await?;
            said["position"].as_u64().unwrap_or_default()
        }
        Local::Store(store) => {
            let position = store.compact(SystemClock.now()).await.map_err(Failed::new)?;
            store.close().await.map_err(Failed::new)?;
            position.0
        }
    };
    match configured.settings.store.kind {
        Kind::Embedded => {
            println!(
                "a snapshot is written up to event {position}; the journal before it goes by its age ([store] retention)"
            );
        }
        Kind::Postgres => println!("what is older than `[store]` keeps it is gone; {position} events are decided"),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is looked through at most.
const ASIDE: usize = 1_000;

/// Shows what could not be read.
pub async fn set_aside(configured: &Configured, most: usize, bodies: bool) -> Ended {
    let all: Vec<SetAside> = match Local::of(configured).await? {
        Local::Daemon(client) => client.get("/api/set-aside", &[]).await?.unwrap_or_default(),
        Local::Store(store) => {
            let all = store.set_aside_list(ASIDE).await;
            store.close().await.map_err(Failed::new)?;
            all.map_err(Failed::new)?
        }
    };
    for SetAside { at, source, reason, body } in all.iter().take(most) {
        println!("{at}  {source}: {reason}");
        if bodies {
            println!("  {body}");
        }
    }
    match all.len() {
        0 => println!("nothing is set aside"),
        n if n > most => println!("{} of {n} are shown; --most N shows more", most.min(n)),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// By its whole path: the daemon runs elsewhere.
fn whole(folder: &Path) -> Result<String, Failed> {
    let whole = std::path::absolute(folder).map_err(|e| Failed(format!("{}: {e}", folder.display())))?;
    whole.to_str().map(str::to_owned).ok_or_else(|| Failed("the folder's name is not UTF-8".into()))
}

async fn make(configured: &Configured, folder: &Path, keep: Option<Span>) -> Result<BackedUp, Failed> {
    let folder = whole(folder)?;
    match Local::of(configured).await? {
        Local::Daemon(client) => {
            let wanted = Wanted { folder, keep_ms: keep.map(Span::as_millis) };
            client.send_for("/api/store/backup", &wanted, PATIENCE).await
        }
        Local::Store(store) => {
            let now = SystemClock.now();
            let wanted = Backup { folder, at: now, kept_until: keep.map(|keep| now + keep) };
            let made = backup::make(&*store, wanted, now).await;
            store.close().await.map_err(Failed::new)?;
            made.map_err(Failed::new)
        }
    }
}

/// Makes a backup.
pub async fn back_up(configured: &Configured, folder: &Path, keep: Option<Span>) -> Ended {
    let BackedUp { position, size_bytes } = make(configured, folder, keep).await?;
    println!("{}: all up to event {}, {size_bytes} bytes", folder.display(), position.0);
    println!("the configuration, the triggers and the secrets are not in it: keep those by themselves");
    Ok(ExitCode::SUCCESS)
}

/// Lists those that are known.
pub async fn list(configured: &Configured) -> Ended {
    let known: Vec<Backup> = match Local::of(configured).await? {
        Local::Daemon(client) => client.get("/api/store/backups", &[]).await?.unwrap_or_default(),
        Local::Store(store) => {
            let known = backup::known(&*store).await;
            store.close().await.map_err(Failed::new)?;
            known.map_err(Failed::new)?
        }
    };
    for Backup { folder, at, kept_until } in &known {
        match kept_until {
            Some(until) => println!("{at}  {folder}  kept until {until}"),
            None => println!("{at}  {folder}"),
        }
    }
    println!("{} known; one that you have removed: espalier store backups --gone FOLDER", known.len());
    Ok(ExitCode::SUCCESS)
}

/// Notes that one is gone.
pub async fn gone(configured: &Configured, folder: &Path) -> Ended {
    let folder = whole(folder)?;
    if Path::new(&folder).exists() {
        return Err(Failed(format!("{folder} is still there: remove it first")));
    }
    forget(configured, folder).await?;
    println!("noted");
    Ok(ExitCode::SUCCESS)
}

async fn forget(configured: &Configured, folder: String) -> Result<(), Failed> {
    let was_known = match Local::of(configured).await? {
        Local::Daemon(client) => {
            let said: Value = client.send("/api/store/backups/gone", &Gone { folder }).await?;
            said["folder"].is_string()
        }
        Local::Store(store) => {
            let known = backup::gone(&*store, &folder).await;
            store.close().await.map_err(Failed::new)?;
            known.map_err(Failed::new)?
        }
    };
    if was_known { Ok(()) } else { Err(Failed("no backup is known in this folder".into())) }
}

/// Names of people, one a line, every one of which is a name. What is wrong is told by its line: it is somebody's.
fn names_in(file: &Path, settings: &identity::Settings) -> Result<Vec<String>, Failed> {
    let text = std::fs::read_to_string(file).map_err(|e| Failed(format!("{}: {e}", file.display())))?;
    let mut names = Vec::new();
    for (n, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if name(line, settings).is_err() {
            let (file, line) = (file.display(), n + 1);
            return Err(Failed(format!(
                "{file}, line {line} is no name, like email:ines@example.com; nothing was restored"
            )));
        }
        names.push(line.to_owned());
    }
    Ok(names)
}

/// Makes a store of a backup.
pub async fn restore(configured: &Configured, folder: &Path, names: Option<&Path>) -> Ended {
    let (settings, identity) = (&configured.settings.store, &configured.settings.identity);
    // Before anything is made: a store that is restored would be here without those erasures.
    let names = names.map(|file| names_in(file, identity)).transpose()?.unwrap_or_default();
    let now = SystemClock.now();
    let manifest = embedded::restore(settings, folder, now).map_err(Failed::new)?;
    println!("restored up to event {}, as it was at {}", manifest.position.0, manifest.at);
    if !names.is_empty() {
        let store = Embedded::open(settings, now).map_err(Failed::new)?;
        for (n, name) in names.iter().enumerate() {
            let told = Told { is_anybody: true, ..Told::of(Word::Erase, std::slice::from_ref(name)) };
            let noted = tell(&store, &told, identity, SystemClock.now()).await;
            // The name is not said: it is somebody's.
            noted.map_err(|error| {
                Failed(format!("{n} of {} erasures are noted: {error}; run `person erase` for the rest", names.len()))
            })?;
        }
        store.close().await.map_err(Failed::new)?;
        println!("{} erasures are noted: the daemon forgets them before anything leaves", names.len());
    }
    println!(
        "what came since then is to be had from the sources; who was forgotten since then is here again: docs/operations.md"
    );
    Ok(ExitCode::SUCCESS)
}

/// Writes all of it to a file. Of a store that is at work a backup is made first, and removed again.
pub async fn export(configured: &Configured, file: &Path) -> Ended {
    let settings = &configured.settings.store;
    if crate::cli::local::running(&settings.path).await.is_none() {
        return look::counted("written", embedded::export(settings, file, SystemClock.now()).map_err(Failed::new)?);
    }
    if file.exists() {
        return Err(Failed(format!("{} is there already", file.display())));
    }
    let folder: PathBuf = whole(&file.with_extension("backup"))?.into();
    make(configured, &folder, None).await?;
    let counted = embedded::export_backup(&folder, file);
    std::fs::remove_dir_all(&folder).map_err(|e| Failed(format!("{}: {e}", folder.display())))?;
    forget(configured, whole(&folder)?).await?;
    look::counted("written", counted.map_err(Failed::new)?)
}
