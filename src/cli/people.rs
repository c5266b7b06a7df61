//! `espalier person export|erase`, and how what is said of people by hand reaches the journal.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use super::local::Local;
use super::{Configured, Ended, Failed, load, show};
use crate::clock::{Clock, SystemClock};
use crate::ops::identity::{self, Told, Word};
use crate::settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Everything that is kept of somebody, as JSON: for a request of access.
    Export {
        /// `email:ines@example.com`, `user_id:42`, or just the address or id.
        person: String,
        /// To this file, which only its owner may read; to the screen without it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Forgets somebody: names, traits, history, timers, what waits, dead letters. A request of erasure from a shop does
    /// the same.
    Erase {
        /// `email:ines@example.com`
        #[arg(required = true)]
        names: Vec<String>,
        /// Without asking.
        #[arg(long)]
        yes: bool,
    },
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    match &args.what {
        What::Export { person, out } => export(&configured, person, out.as_deref()).await?,
        What::Erase { names, yes } => {
            if !yes {
                return Err(Failed(format!(
                    "this cannot be taken back: `espalier person erase {} --yes`",
                    names.join(" ")
                )));
            }
            told(&configured, &Told { word: Word::Erase, names: names.clone() }).await?;
            let kept = configured.settings.store.retention;
            println!(
                "What came of them lies in the journal and its snapshots for {kept} more, until those are removed."
            );
            for name in configured.settings.destination.keys() {
                println!("{name}: not asked; erase them there too.");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn export(configured: &settings::Configured, person: &str, out: Option<&std::path::Path>) -> Result<(), Failed> {
    let names = &configured.settings.identity;
    let found: Option<Value> = match Local::of(configured).await? {
        Local::Daemon(client) => client.send("/api/person/export", &serde_json::json!({ "person": person })).await?,
        Local::Store(store) => {
            let found = identity::export(&store, names, person, SystemClock.now()).await.map_err(Failed::new)?;
            Local::Store(store).close().await?;
            found
        }
    };
    let Some(found) = found else { return Err(Failed("nobody goes by that name".into())) };
    let Some(out) = out else { return show::json(&found) };
    let text = serde_json::to_string_pretty(&found).map_err(Failed::new)?;
    crate::ops::write_private(out, &text).map_err(|e| Failed(format!("{}: {e}", out.display())))
}

/// Has it written down; by the running daemon it is decided at once.
pub async fn told(configured: &settings::Configured, told: &Told) -> Result<(), Failed> {
    match Local::of(configured).await? {
        Local::Daemon(client) => {
            let answer: Value = client.send("/api/identity", told).await?;
            match answer["is_decided"] == true {
                true => println!("Done."),
                false => println!("Written down; it is in force when what came before is decided."),
            }
        }
        Local::Store(store) => {
            let said = identity::tell(&store, told, &configured.settings.identity, SystemClock.now()).await;
            Local::Store(store).close().await?;
            said.map_err(Failed::new)?;
            println!("Written down; it is in force when the daemon runs.");
        }
    }
    Ok(())
}
