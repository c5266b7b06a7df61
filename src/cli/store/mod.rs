//! `espalier store verify|rebuild|compact|backup|backups|restore|export|import|copy|set-aside`

mod copy;
mod keep;
mod look;

use std::path::PathBuf;
use std::process::ExitCode;

use super::opened::needs_files;
use super::{Configured, Ended, Failed, load};
use crate::clock::{Clock, SystemClock};
use crate::model::Span;
use crate::store::embedded;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Reads every record of the journal and every value of the state; or every file of a backup. Changes nothing.
    Verify {
        /// A backup's folder, in place of the store.
        #[arg(long, value_name = "FOLDER")]
        backup: Option<PathBuf>,
    },
    /// Puts the state aside and makes it again from snapshot and journal; the daemon then decides what followed anew.
    /// Nothing that was settled at a vendor is sent again.
    Rebuild,
    /// Writes a snapshot and removes the journal that it covers and that is old enough; by the running daemon, where one
    /// runs. Nights do so by themselves.
    Compact,
    /// Copies the store to a folder; by the running daemon, while it goes on, where one runs.
    Backup {
        /// New or empty, and best on another disk.
        folder: PathBuf,
        /// How long you will keep it, as `30d`: receipts of erasures say so. Removing it is yours.
        #[arg(long, value_name = "SPAN")]
        keep: Option<Span>,
    },
    /// The backups that are known.
    Backups {
        /// Notes that the one in this folder is gone.
        #[arg(long, value_name = "FOLDER")]
        gone: Option<PathBuf>,
    },
    /// Makes a store of a backup, in the empty folder of `[store] path`.
    Restore {
        /// The backup.
        folder: PathBuf,
        /// Names of people to forget once more, one a line, as `email:ines@example.com`: those whose erasure is later
        /// than the backup.
        #[arg(long, value_name = "FILE")]
        forget: Option<PathBuf>,
    },
    /// Writes all of the store to a file, as JSON lines: to move it. Only the file's owner may read it.
    Export {
        /// A file that is new.
        file: PathBuf,
        /// A backup's folder, in place of the store.
        #[arg(long, value_name = "FOLDER")]
        backup: Option<PathBuf>,
    },
    /// Makes a store of an export, in the empty folder of `[store] path`.
    Import {
        /// The export.
        file: PathBuf,
    },
    /// Copies all of a store to the other kind, compares the two, and says so. Nobody may use either meanwhile. One that is
    /// cut goes on where it was when the same command is given again.
    Copy {
        /// What is copied, and stays as it is: `sled:///var/lib/espalier`, the folder that `[store] path` names, or
        /// `postgres://user@host/name`. What has a password in it is written `${env:DATABASE_URL}` or `${file:/path}`.
        #[arg(long, value_name = "STORE")]
        from: String,
        /// What is made, the same way: a folder without a store, or an empty database.
        #[arg(long, value_name = "STORE")]
        to: String,
    },
    /// Messages, or parts of them, that could not be read, the newest first: when, where they came, why.
    SetAside {
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        most: usize,
        /// And the messages themselves, which have people in them.
        #[arg(long)]
        bodies: bool,
    },
}

/// What makes backups of PostgreSQL.
const BACKUPS: &str = "`pg_dump`, or base backups with the archive of its log, make backups of PostgreSQL";

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let settings = &configured.settings.store;
    match &args.what {
        What::Verify { backup: Some(folder) } => look::verify_backup(folder),
        What::Verify { backup: None } => {
            needs_files(settings, "PostgreSQL looks after its own files, with checksums and `pg_amcheck`")?;
            look::verify_store(settings)
        }
        What::Rebuild => {
            needs_files(settings, "restore a base backup, up to the instant you want")?;
            embedded::rebuild(settings, SystemClock.now()).map_err(Failed::new)?;
            println!(
                "the old state is put aside beside the new one; start the daemon, and it decides the rest of the journal"
            );
            Ok(ExitCode::SUCCESS)
        }
        What::Copy { from, to } => copy::run(settings, from, to).await,
        What::SetAside { most, bodies } => keep::set_aside(&configured, *most, *bodies).await,
        What::Compact => keep::compact(&configured).await,
        What::Backup { folder, keep } => {
            needs_files(settings, BACKUPS)?;
            keep::back_up(&configured, folder, *keep).await
        }
        What::Backups { gone: Some(folder) } => keep::gone(&configured, folder).await,
        What::Backups { gone: None } => keep::list(&configured).await,
        What::Restore { folder, forget } => {
            needs_files(settings, "`pg_restore`, or a base backup with the archive of its log")?;
            keep::restore(&configured, folder, forget.as_deref()).await
        }
        What::Export { file, backup: Some(folder) } => {
            look::counted("written", embedded::export_backup(folder, file).map_err(Failed::new)?)
        }
        What::Export { file, backup: None } => {
            needs_files(settings, "`pg_dump` writes all of it")?;
            keep::export(&configured, file).await
        }
        What::Import { file } => {
            needs_files(settings, "`pg_restore` reads what `pg_dump` wrote")?;
            let counted = embedded::import(settings, file, SystemClock.now()).map_err(Failed::new)?;
            look::counted("imported, as they were written", counted)
        }
    }
}
