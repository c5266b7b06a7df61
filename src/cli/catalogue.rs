//! `espalier catalogue import FILE`

use std::path::PathBuf;
use std::process::ExitCode;

use super::local::Local;
use super::show::Unread;
use super::{Configured, Ended, Failed, load};
use crate::clock::{Clock, SystemClock};
use crate::intake::catalogue;
use crate::model::CatalogueItem;
use crate::store::Stocked;

/// Products given to the store at once.
const BATCH: usize = 500;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Takes products in, each in the place of an older word of it.
    Import {
        /// CSV with a line of names, or JSON lines (`.jsonl`).
        file: PathBuf,
    },
}

pub async fn run(args: &Args) -> Ended {
    let What::Import { file } = &args.what;
    let configured = load(&args.configured.config)?;
    let local = Local::of(&configured).await?;
    let (mut items, mut unread) = (Vec::new(), Unread::of(file));
    let read = catalogue::products(file, SystemClock.now(), &mut |item| items.push(item), &mut |line, words| {
        unread.tell(line, words);
    });
    read.map_err(|e| Failed(format!("{}: {e}", file.display())))?;
    let mut done = Stocked::default();
    for batch in items.chunks(BATCH) {
        let stocked = put(&local, batch.to_vec()).await?;
        done.new += stocked.new;
        done.changed += stocked.changed;
        done.known += stocked.known;
        done.too_many += stocked.too_many;
    }
    local.close().await?;
    println!(
        "{} products are new, {} changed, {} known; {} could not be read",
        done.new, done.changed, done.known, unread.count
    );
    if done.too_many > 0 {
        return Err(Failed(format!("{} found no room: see `store.catalogue` in the configuration", done.too_many)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn put(local: &Local, items: Vec<CatalogueItem>) -> Result<Stocked, Failed> {
    match local {
        Local::Daemon(client) => client.send("/api/catalogue", &items).await,
        Local::Store(store) => store.put_items(items).await.map_err(Failed::new),
    }
}
