//! `espalier triggers list|pause|resume|held|reload`

use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::local::Local;
use super::{Configured, Ended, Failed, check, load, local, show};
use crate::clock::{Clock, SystemClock};
use crate::engine::Engine;
use crate::model::{Order, PausePolicy, Release, TriggerId};
use crate::ops::triggers::{self, Held, Liveness};
use crate::settings::{self, Settings};
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Each trigger: live, paused or paused by its guard, and how often it fires.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lets nothing of a trigger leave until it is resumed.
    Pause {
        /// Which; a segment's is `segment:NAME`.
        name: String,
        /// What becomes of its edges: `drop`; `keep` holds their activations until they expire; `catch-up` holds them
        /// for whom the condition is true when it is resumed.
        #[arg(long, default_value = "drop", value_parser = word(&PausePolicy::WORDS))]
        policy: String,
    },
    /// Makes a trigger live again.
    Resume {
        /// Which.
        name: String,
        /// How what was held goes, unless as the pause's policy says: `send`, `catch-up` or `drop`.
        #[arg(long, value_parser = word(&Release::WORDS))]
        held: Option<String>,
    },
    /// What is held of a trigger, the oldest first.
    Held {
        /// Which.
        name: String,
        /// As JSON, with payloads.
        #[arg(long)]
        json: bool,
    },
    /// The running daemon reads trigger, segment and cohort files again: all of them, or none with a mistake.
    Reload,
}

fn word<T>(words: &[(&'static str, T)]) -> clap::builder::PossibleValuesParser {
    words.iter().map(|(word, _)| *word).collect::<Vec<_>>().into()
}

fn meant<T: Copy>(words: &[(&'static str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant)
}

pub async fn run(args: &Args) -> Ended {
    if let What::Reload = args.what {
        return reload(args).await;
    }
    let configured = load(&args.configured.config)?;
    let local = Local::of(&configured).await?;
    let done = act(&local, &args.what, &configured).await;
    local.close().await?;
    done
}

async fn act(local: &Local, what: &What, configured: &settings::Configured) -> Ended {
    match what {
        What::List { json } => {
            let list: Vec<Liveness> = match local {
                Local::Daemon(client) => client.get("/api/triggers", &[]).await?.unwrap_or_default(),
                Local::Store(store) => triggers::list(&**store, &configured.program, SystemClock.now()),
            };
            if *json { show::json(&list)? } else { println!("{}", table(&list)) }
        }
        What::Held { name, json } => {
            let held = held(local, name, configured).await?;
            if *json { show::json(&held)? } else { print_held(name, &held) }
        }
        What::Pause { name, policy } => {
            let policy = meant(&PausePolicy::WORDS, policy).unwrap_or_default();
            let path = format!("/api/triggers/{name}/pause?policy={}", policy.word());
            order(local, name, &path, Order::Pause(policy), configured).await?;
        }
        What::Resume { name, held } => {
            let path = match held {
                Some(held) => format!("/api/triggers/{name}/resume?held={held}"),
                None => format!("/api/triggers/{name}/resume"),
            };
            let how = held.as_deref().and_then(|held| meant(&Release::WORDS, held));
            order(local, name, &path, Order::Resume(how), configured).await?;
        }
        What::Reload => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The trigger of that name, of those that are configured.
fn known(name: &str, configured: &settings::Configured) -> Result<TriggerId, Failed> {
    configured.program.named(name).map(|trigger| trigger.id).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failed {
    Failed(format!("there is no trigger `{name}`; `espalier triggers list` names them"))
}

async fn order(
    local: &Local,
    name: &str,
    path: &str,
    order: Order,
    configured: &settings::Configured,
) -> Result<(), Failed> {
    let now = match local {
        Local::Daemon(client) => {
            let answer = client.post(path).await?.ok_or_else(|| unknown(name))?;
            serde_json::from_value(answer).map_err(Failed::new)?
        }
        Local::Store(store) => obey(store, name, order, configured).await?,
    };
    println!("{name}: {}", Liveness::words(&now));
    Ok(())
}

/// Where no daemon runs.
async fn obey(
    store: &Arc<dyn Store>,
    name: &str,
    order: Order,
    configured: &settings::Configured,
) -> Result<Liveness, Failed> {
    let trigger = known(name, configured)?;
    let program = Arc::new(ArcSwap::from_pointee(configured.program.clone()));
    let (settings, names) = (configured.settings.engine.clone(), configured.settings.identity.clone());
    let engine = Engine::new(store.clone(), Arc::new(SystemClock), program, settings, names);
    engine.obey(trigger, order).await.map_err(Failed::new)?;
    triggers::one(&**store, &configured.program, name, SystemClock.now()).ok_or_else(|| unknown(name))
}

async fn held(local: &Local, name: &str, configured: &settings::Configured) -> Result<Vec<Held>, Failed> {
    match local {
        Local::Daemon(client) => {
            client.get(&format!("/api/triggers/{name}/held"), &[]).await?.ok_or_else(|| unknown(name))
        }
        Local::Store(store) => triggers::held(&**store, known(name, configured)?).await.map_err(Failed::new),
    }
}

fn table(list: &[Liveness]) -> comfy_table::Table {
    let mut table = show::table(["trigger", "state", "fires this hour", "usual", "pauses itself at"]);
    for one in list {
        let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
        table.add_row([one.name.clone(), one.words(), one.this_hour.to_string(), number(one.usual), number(one.limit)]);
    }
    table
}

fn print_held(name: &str, held: &[Held]) {
    if held.is_empty() {
        return println!("Nothing is held of {name}.");
    }
    let mut table = show::table(["edge", "lane", "does", "person", "key", "expires"]);
    for one in held {
        let (at, expires) = (one.at.to_string(), one.expires_at.to_string());
        table.add_row([&at, &one.lane, &one.does, &one.person, &one.key, &expires]);
    }
    println!("{table}");
    println!("`espalier triggers resume {name}` lets them go; with `--held drop` they go nowhere.");
}

async fn reload(args: &Args) -> Ended {
    // The files are the daemon's to judge: only the way to it is read here.
    let path = Settings::store_path(&args.configured.config).map_err(|mistakes| {
        check::print(&mistakes);
        Failed(format!("{} in the configuration; the daemon was not asked", check::counted(mistakes.len())))
    })?;
    let client = local::needed(&path).await?;
    match client.reload().await? {
        Ok(compiled) => {
            println!("In force now: {} triggers, {} segments.", compiled.triggers, compiled.segments);
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => {
            check::print(&mistakes);
            let count = check::counted(mistakes.len());
            Err(Failed(format!("{count}; the daemon goes on with the triggers that were in force")))
        }
    }
}
