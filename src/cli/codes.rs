//! `espalier codes import|list`

use std::path::PathBuf;
use std::process::ExitCode;

use super::local::Local;
use super::show::{self, Unread};
use super::{Configured, Ended, Failed, load};
use crate::intake::catalogue;
use crate::rules::is_pool_name;
use crate::store::{Added, PoolCount};

/// Codes given to the store at once.
const BATCH: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Puts codes at the end of a pool; those that any pool ever had are passed over.
    Import {
        /// The pool, as `[code]` in a trigger's file names it.
        pool: String,
        /// CSV: a code a row.
        file: PathBuf,
        /// The column that has them; `code`, else the first, unless said.
        #[arg(long)]
        column: Option<String>,
    },
    /// Every pool, with how many codes are left.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let local = Local::of(&configured).await?;
    let done = match &args.what {
        What::Import { pool, file, column } => import(&local, pool, file, column.as_deref()).await,
        What::List { json } => list(&local, *json).await,
    };
    local.close().await?;
    done
}

async fn import(local: &Local, pool: &str, file: &std::path::Path, column: Option<&str>) -> Ended {
    if !is_pool_name(pool) {
        return Err(Failed(format!("`{pool}` is no name of a pool: at most 64 lower-case letters, digits and dashes")));
    }
    let (mut codes, mut unread) = (Vec::new(), Unread::of(file));
    let read =
        catalogue::codes(file, column, &mut |code| codes.push(code), &mut |line, words| unread.tell(line, words));
    read.map_err(|e| Failed(format!("{}: {e}", file.display())))?;
    let mut done = Added::default();
    for batch in codes.chunks(BATCH) {
        let added: Added = match local {
            Local::Daemon(client) => client.send(&format!("/api/codes/{pool}"), batch).await?,
            Local::Store(store) => store.add_codes(pool, batch.to_vec()).await.map_err(Failed::new)?,
        };
        done.new += added.new;
        done.known += added.known;
        done.too_many += added.too_many;
    }
    println!("{} codes are new in `{pool}`, {} known; {} could not be read", done.new, done.known, unread.count);
    if done.too_many > 0 {
        return Err(Failed(format!("{} found no room: see `store.codes` in the configuration", done.too_many)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(local: &Local, json: bool) -> Ended {
    let pools: Vec<PoolCount> = match local {
        Local::Daemon(client) => client.get("/api/codes", &[]).await?.unwrap_or_default(),
        Local::Store(store) => store.pools(),
    };
    if json {
        show::json(&pools)?;
    } else if pools.is_empty() {
        println!("There are no codes.");
    } else {
        let mut table = show::table(["pool", "left", "imported"]);
        for pool in &pools {
            table.add_row([&*pool.name, &pool.left.to_string(), &pool.added.to_string()]);
        }
        println!("{table}");
    }
    Ok(ExitCode::SUCCESS)
}
