//! `espalier dead-letters list|show|replay|drop`

use std::process::ExitCode;

use super::local::Local;
use super::{Configured, Ended, Failed, load, show};
use crate::clock::{Clock, SystemClock};
use crate::ops::letters::{self, MOST, Replayed, Shown};
use crate::rules::Program;
use crate::store::WorkId;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// All of them, newest first.
    List {
        /// Only of this lane.
        #[arg(long)]
        lane: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One of them, with its payload and tries.
    Show {
        /// Its id.
        id: u64,
    },
    /// Puts some back into their lane.
    Replay(Which),
    /// Removes some for good.
    Drop(Which),
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Their ids.
    #[arg(required_unless_present = "all")]
    ids: Vec<u64>,
    /// All that are listed.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: only of this lane.
    #[arg(long, requires = "all")]
    lane: Option<String>,
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let local = Local::of(&configured).await?;
    let done = act(&local, &configured.program, &args.what).await;
    local.close().await?;
    done
}

async fn act(local: &Local, program: &Program, what: &What) -> Ended {
    match what {
        What::List { lane, json } => {
            let letters = listed(local, lane.as_deref()).await?;
            if *json {
                show::json(&letters)?;
            } else {
                list(&letters);
            }
        }
        What::Show { id } => {
            let found: Option<Shown> = match local {
                Local::Daemon(client) => client.get(&format!("/api/dead-letters/{id}"), &[]).await?,
                Local::Store(store) => {
                    store.dead_letter(WorkId(*id)).await.map_err(Failed::new)?.as_ref().map(Shown::of)
                }
            };
            show::json(&found.ok_or_else(|| Failed(format!("there is no dead letter {id}")))?)?;
        }
        What::Replay(which) => return each(local, program, which, true).await,
        What::Drop(which) => return each(local, program, which, false).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn listed(local: &Local, lane: Option<&str>) -> Result<Vec<Shown>, Failed> {
    match local {
        Local::Daemon(client) => {
            let query: Vec<(&str, &str)> = lane.map(|lane| ("lane", lane)).into_iter().collect();
            Ok(client.get("/api/dead-letters", &query).await?.unwrap_or_default())
        }
        Local::Store(store) => {
            Ok(store.dead_letters(lane, MOST).await.map_err(Failed::new)?.iter().map(Shown::of).collect())
        }
    }
}

fn list(letters: &[Shown]) {
    if letters.is_empty() {
        println!("There are no dead letters.");
        return;
    }
    let mut table = show::table(["id", "lane", "does", "trigger", "edge", "given up", "why"]);
    for letter in letters {
        let id = letter.id.to_string();
        table.add_row([&id, &letter.lane, &letter.does, &letter.trigger, &letter.at, &letter.dead, &letter.why]);
    }
    println!("{table}");
}

async fn each(local: &Local, program: &Program, which: &Which, is_replay: bool) -> Ended {
    let ids = if which.all {
        // The oldest first, as they would have left.
        listed(local, which.lane.as_deref()).await?.iter().rev().map(|letter| letter.id).collect()
    } else {
        which.ids.clone()
    };
    let mut done = 0;
    for id in &ids {
        let found = match local {
            Local::Daemon(client) => {
                let verb = if is_replay { "replay" } else { "drop" };
                match client.post(&format!("/api/dead-letters/{id}/{verb}")).await {
                    Ok(answer) => answer.is_some(),
                    Err(refused) => {
                        eprintln!("dead letter {id}: {refused}");
                        continue;
                    }
                }
            }
            Local::Store(store) if is_replay => {
                let replayed = letters::replay(&**store, program, *id, SystemClock.now()).await.map_err(Failed::new)?;
                if let Replayed::Refused(words) = &replayed {
                    eprintln!("dead letter {id}: {words}");
                    continue;
                }
                replayed == Replayed::Done
            }
            Local::Store(store) => store.drop_dead(WorkId(*id)).await.map_err(Failed::new)?,
        };
        if found {
            done += 1;
        } else {
            eprintln!("there is no dead letter {id}");
        }
    }
    println!("{done} of {} {}", ids.len(), if is_replay { "put back into their lane" } else { "dropped" });
    Ok(if done == ids.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
