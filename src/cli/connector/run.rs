//! `espalier connector run`: one pull of a source, into the store or only to be looked at.

use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Configured, Ended, Failed, source};
use crate::cli::local;
use crate::cli::opened;
use crate::clock::{Clock, SharedClock, SystemClock};
use crate::intake::SourceSettings;
use crate::model::Span;
use crate::pull::look::Look;
use crate::pull::{Doing, Source};
use crate::quota::Accounts;
use crate::source::fixture;
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The source, as the configuration names it.
    source: String,
    /// Prints the events as JSON lines, and keeps nothing.
    #[arg(long)]
    dry_run: bool,
    /// How far back to look, with --dry-run.
    #[arg(long, default_value = "1d")]
    back: Span,
    /// Pages of each list at most, with --dry-run.
    #[arg(long, default_value_t = 10)]
    pages: usize,
}

pub async fn run(args: &Args, configured: &Configured) -> Ended {
    let (configured, connected) = source(configured, &args.source)?;
    if !args.dry_run {
        return pull(args, configured, &connected).await;
    }
    let names = &configured.settings.identity;
    let look = Look::at(&args.source, &connected, names, Arc::new(SystemClock)).map_err(Failed::new)?;
    let mut is_well = true;
    for list in connected.manifest.streams.keys() {
        let Some(mut looking) = look.list(list, &connected, args.back) else { continue };
        for _ in 0..args.pages {
            match looking.next().await {
                Ok(Some(seen)) => {
                    for line in fixture::lines(&seen.mapped) {
                        println!("{line}");
                    }
                    for one in &seen.mapped.read.rejected {
                        eprintln!("{list}: record {} {}", one.index, one.reason);
                    }
                }
                Ok(None) => break,
                Err(stop) => {
                    is_well = false;
                    eprintln!("{list}: {stop}");
                    break;
                }
            }
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Until each list is in sync, its past included; what is held ends it.
async fn pull(
    args: &Args,
    configured: crate::settings::Configured,
    connected: &crate::source::manifest::Connected,
) -> Ended {
    let settings = configured.settings;
    if local::running(&settings.store.path).await.is_some() {
        return Err(Failed("a daemon runs on this store and pulls by itself; --dry-run only looks".into()));
    }
    let Some(SourceSettings::Connector(of)) = settings.source.get(&args.source) else {
        return Err(Failed(format!("`{}` has no connector", args.source)));
    };
    let store = opened::open(&settings.store, SystemClock.now()).await?;
    let (shared, clock): (Arc<dyn Store>, SharedClock) = (store.clone(), Arc::new(SystemClock));
    let accounts = Accounts::new(Some(shared.clone()), clock);
    let source = Source::new(&args.source, connected, &of.pull, &settings.identity, shared, &accounts);
    let source = source.map_err(Failed::new)?;
    if !accounts.open().await {
        return Err(Failed("a daemon that shares this store has the account; it pulls by itself".into()));
    }
    let watching = source.watching();
    let stop = CancellationToken::new();
    let running = tokio::spawn(source.run(stop.clone()));
    let mut is_well = true;
    for mut one in watching {
        let name = one.stream.clone();
        let ended = one.state.wait_for(|state| match state.doing {
            Doing::Resting => state.past.is_none() && state.pages > 0,
            Doing::Held | Doing::Elsewhere => true,
            Doing::Starting | Doing::Reading => false,
        });
        let Ok(state) = ended.await.map(|state| state.clone()) else { continue };
        println!(
            "{name}: {} records in {} pages, {} events, {} products, {} set aside",
            state.records, state.pages, state.events, state.items, state.set_aside
        );
        if state.doing == Doing::Elsewhere {
            is_well = false;
            println!("{name}: {}", state.doing.word());
        }
        if let Some(words) = state.held {
            is_well = false;
            println!("{name}: held: {words}");
        }
    }
    stop.cancel();
    running.await.map_err(Failed::new)?;
    accounts.close().await;
    store.close().await.map_err(Failed::new)?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
