//! `espalier person export|erase`, and how what is said of people by hand reaches the journal.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use super::local::Local;
use super::{Configured, Ended, Failed, load, show};
use crate::clock::{Clock, SystemClock};
use crate::ops::identity::{self, Told, Word};
use crate::ops::{self, Demand, Receipt};
use crate::settings;
use crate::store::Backup;

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
        /// Though nobody here goes by these names: the destinations are asked in any case.
        #[arg(long)]
        anybody: bool,
    },
    /// Who wants to see what is kept of them (a shop passes on what its customers ask of it).
    Demands {
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Notes that a demand was answered, when its export has been handed over.
    Answered {
        /// Its number.
        id: String,
    },
    /// Who was forgotten, and how far the destinations are with it; nothing personal is in it.
    Receipts {
        /// Only the one of this number.
        id: Option<String>,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    match &args.what {
        What::Export { person, out } => export(&configured, person, out.as_deref()).await?,
        What::Demands { json } => {
            let demands: Vec<Demand> = match Local::of(&configured).await? {
                Local::Daemon(client) => client.get("/api/person/demands", &[]).await?.unwrap_or_default(),
                Local::Store(store) => {
                    let demands = ops::demands(&*store).await.map_err(Failed::new)?;
                    Local::Store(store).close().await?;
                    demands
                }
            };
            if *json {
                show::json(&demands)?;
            } else {
                print_demands(&demands);
            }
        }
        What::Answered { id } => {
            let is_noted = match Local::of(&configured).await? {
                Local::Daemon(client) => client.post(&format!("/api/person/demands/{id}/answered")).await?.is_some(),
                Local::Store(store) => {
                    let is_noted = ops::answered(&*store, id, SystemClock.now()).await.map_err(Failed::new)?;
                    Local::Store(store).close().await?;
                    is_noted
                }
            };
            if !is_noted {
                return Err(Failed("no such demand is open; `espalier person demands` lists them".into()));
            }
            println!("Noted.");
        }
        What::Receipts { id, json } => {
            let shown = receipts(&configured).await?;
            let shown: Vec<Receipt> =
                shown.into_iter().filter(|one| id.as_ref().is_none_or(|id| one.id.starts_with(&**id))).collect();
            match (json, shown.as_slice()) {
                (true, shown) => show::json(shown)?,
                (false, []) => return Err(Failed("there is no such receipt".into())),
                (false, shown) => shown.iter().for_each(|one| print_receipt(&configured, one)),
            }
        }
        What::Erase { names, yes, anybody } => {
            if !yes {
                return Err(Failed(format!(
                    "this cannot be taken back: `espalier person erase {} --yes`",
                    names.join(" ")
                )));
            }
            let said = Told { is_anybody: *anybody, ..Told::of(Word::Erase, names) };
            if let Some(position) = told(&configured, &said).await? {
                let shown = receipts(&configured).await?;
                shown.iter().filter(|one| one.position == position).for_each(|one| print_receipt(&configured, one));
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
            let found = identity::export(&*store, names, person, SystemClock.now()).await.map_err(Failed::new)?;
            Local::Store(store).close().await?;
            found
        }
    };
    let Some(found) = found else { return Err(Failed("nobody goes by that name".into())) };
    let Some(out) = out else { return show::json(&found) };
    let text = serde_json::to_string_pretty(&found).map_err(Failed::new)?;
    ops::write_private(out, &text).map_err(|e| Failed(format!("{}: {e}", out.display())))
}

async fn receipts(configured: &settings::Configured) -> Result<Vec<Receipt>, Failed> {
    match Local::of(configured).await? {
        Local::Daemon(client) => Ok(client.get("/api/person/receipts", &[]).await?.unwrap_or_default()),
        Local::Store(store) => {
            let shown = ops::receipts(&*store).await.map_err(Failed::new)?;
            Local::Store(store).close().await?;
            Ok(shown)
        }
    }
}

fn print_demands(demands: &[Demand]) {
    let (open, done): (Vec<&Demand>, Vec<&Demand>) = demands.iter().partition(|one| one.answered.is_none());
    for Demand { id, source, asked, due, person, .. } in &open {
        println!("demand {id}\n  of {asked} by {source}, due by {due}");
        match person {
            Some(person) => {
                println!("  espalier person export {person} --out FILE, then espalier person answered {id}")
            }
            None => println!("  nobody was known by its names: say so, then espalier person answered {id}"),
        }
    }
    println!("{} open, {} answered.", open.len(), done.len());
}

fn print_receipt(configured: &settings::Configured, of: &Receipt) {
    let Receipt { id, source, asked, forgotten, journal, names, events, destinations, backups, .. } = of;
    println!("receipt {id}");
    println!("  asked for by {source} at {asked}; forgotten here at {forgotten}: {names} names, {events} events");
    match journal {
        Some(at) => println!("  what they did is gone from the journal and its snapshots since {at}"),
        None => println!(
            "  what they did is in the journal and its snapshots until the second night, by {} in any case",
            *forgotten + configured.settings.store.retention
        ),
    }
    for name in configured.settings.destination.keys() {
        match destinations.iter().find(|asked| asked.name == *name) {
            Some(asked) => println!("  {name}: {}", asked.words),
            None => println!("  {name}: not asked; erase them there too"),
        }
    }
    for Backup { folder, at, kept_until } in backups {
        match kept_until {
            Some(until) => println!("  the backup of {at} in {folder} still has them; it is to be kept until {until}"),
            None => println!("  the backup of {at} in {folder} still has them; nobody said until when it is kept"),
        }
    }
}

/// Has it written down; by the running daemon it is decided at once. Returns its place in the journal, if it is.
pub async fn told(configured: &settings::Configured, told: &Told) -> Result<Option<u64>, Failed> {
    match Local::of(configured).await? {
        Local::Daemon(client) => {
            let answer: Value = client.send("/api/identity", told).await?;
            match answer["is_decided"] == true {
                true => {
                    println!("Done.");
                    return Ok(answer["position"].as_u64());
                }
                false => println!("Written down; it is in force when what came before is decided."),
            }
        }
        Local::Store(store) => {
            let said = identity::tell(&*store, told, &configured.settings.identity, SystemClock.now()).await;
            Local::Store(store).close().await?;
            said.map_err(Failed::new)?;
            println!("Written down; it is in force when the daemon runs.");
        }
    }
    Ok(None)
}
