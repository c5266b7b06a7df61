//! A store copied to the other kind.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::{Ended, Failed};
use crate::model::setting::Secret;
use crate::settings;
use crate::store::copy::{Kind as Pieces, Told, copy};
use crate::store::embedded::copy::{Folder, Making};
use crate::store::postgres::copy::Database;
use crate::store::settings::{Kind, Settings};

/// So many pieces of a kind are one word of how far it is.
const WORTH_TELLING: u64 = 100_000;

/// Which store `text` names, with what else the configuration says of `[store]`.
fn named(text: &str, settings: &Settings) -> Result<Settings, Failed> {
    let text = match settings::resolve(text) {
        Some(resolved) => resolved.map_err(Failed)?,
        None => text.to_owned(),
    };
    if let Some(path) = text.strip_prefix("sled://").filter(|path| !path.is_empty()) {
        return Ok(Settings { kind: Kind::Embedded, path: PathBuf::from(path), url: None, ..settings.clone() });
    }
    if ["postgres://", "postgresql://"].iter().any(|start| text.starts_with(start)) {
        return Ok(Settings { kind: Kind::Postgres, url: Some(Secret::new(text)), ..settings.clone() });
    }
    // What it is instead is not told: it may have a password.
    Err(Failed("a store is named `sled:///folder` or `postgres://user@host/name`".into()))
}

/// Copies.
pub async fn run(settings: &Settings, from: &str, to: &str) -> Ended {
    let (from, to) = (named(from, settings)?, named(to, settings)?);
    let copied = match (from.kind, to.kind) {
        (Kind::Embedded, Kind::Postgres) => to_database(&from, &to).await?,
        (Kind::Postgres, Kind::Embedded) => to_folder(&from, &to).await?,
        (Kind::Embedded, Kind::Embedded) => {
            return Err(Failed("both are folders: `espalier store export` and `import` move one".into()));
        }
        (Kind::Postgres, Kind::Postgres) => {
            return Err(Failed("both are databases: `pg_dump` and `pg_restore` move one".into()));
        }
    };
    println!("{:<20} {:>12}", "copied", "count");
    for (kind, count) in copied {
        println!("{:<20} {count:>12}  the same in both", kind.word());
    }
    println!("all of it is copied: start daemons on the copy alone, since two stores would send the same twice");
    Ok(ExitCode::SUCCESS)
}

async fn to_database(from: &Settings, to: &Settings) -> Result<Vec<(Pieces, u64)>, Failed> {
    let mut source = Folder::open(from).map_err(Failed::new)?;
    let mut target = Database::target(to).await.map_err(Failed::new)?;
    let copied = copy(&mut source, &mut target, &mut tell()).await;
    let closed = target.close().await;
    let copied = copied.map_err(Failed::new)?;
    closed.map(|()| copied).map_err(Failed::new)
}

async fn to_folder(from: &Settings, to: &Settings) -> Result<Vec<(Pieces, u64)>, Failed> {
    let mut source = Database::source(from).await.map_err(Failed::new)?;
    let made = Making::open(to);
    let copied = match made {
        Ok(mut target) => copy(&mut source, &mut target, &mut tell()).await,
        Err(refused) => Err(refused),
    };
    let closed = source.close().await;
    let copied = copied.map_err(Failed::new)?;
    closed.map(|()| copied).map_err(Failed::new)
}

/// Says how far it is.
fn tell() -> impl FnMut(Told) + Send {
    let mut said = (None, 0);
    move |told| match told {
        Told::GoesOn(kind) => eprintln!("a copy that was cut goes on with: {}", kind.word()),
        Told::Anew => eprintln!("a copy was begun of what has changed since, or was not the same: it begins anew"),
        Told::Copied(kind, count) => {
            let steps = count / WORTH_TELLING;
            if steps > 0 && said != (Some(kind), steps) {
                said = (Some(kind), steps);
                eprintln!("{}: {count} so far", kind.word());
            }
        }
        Told::Comparing(Pieces::Events) => eprintln!("all is written; both are read again and compared"),
        Told::Comparing(_) => {}
    }
}
