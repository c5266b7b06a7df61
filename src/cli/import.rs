//! `espalier import FILE --mapping NAME`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use indicatif::{ProgressBar, ProgressStyle};

use super::show::Unread;
use super::{Configured, Ended, Failed, load, local, opened};
use crate::clock::{Clock, SystemClock};
use crate::engine::Engine;
use crate::intake::SourceSettings;
use crate::intake::import::Import;
use crate::store::StoreError;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV or JSON lines.
    file: PathBuf,
    /// A source of kind `file`, by its name.
    #[arg(long)]
    mapping: String,
    /// Only into the journal; the daemon decides it when it runs.
    #[arg(long)]
    no_decide: bool,
    #[command(flatten)]
    configured: Configured,
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let settings = configured.settings;
    let Some(SourceSettings::File(mapping)) = settings.source.get(&args.mapping) else {
        let files =
            settings.source.iter().filter(|(_, s)| matches!(s, SourceSettings::File(_))).map(|(name, _)| name.as_str());
        let known: Vec<&str> = files.collect();
        return Err(Failed(format!(
            "`{}` is not a source of kind `file`; there are: {}",
            args.mapping,
            known.join(", ")
        )));
    };
    if local::running(&settings.store.path).await.is_some() {
        return Err(Failed("a daemon runs on this store: stop it for the import, and start it after".into()));
    }
    let store = opened::open(&settings.store, SystemClock.now()).await?;

    let size = std::fs::metadata(&args.file).map_err(|e| Failed(format!("{}: {e}", args.file.display())))?.len();
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}") {
        bar.set_style(style);
    }
    let (shown, mut unread) = (bar.clone(), Unread::of(&args.file));
    let mut rejected = |line: u64, words: &str| shown.suspend(|| unread.tell(line, words));
    let mut import =
        Import { source: args.mapping.as_str().into(), mapping, names: &settings.identity, rejected: &mut rejected };
    let done = import
        .run(&args.file, &*store, &|| SystemClock.now(), &mut |progress| {
            bar.set_position(progress.bytes);
            bar.set_message(format!("{} rows", progress.rows));
        })
        .await
        .map_err(Failed::new)?;
    bar.finish_and_clear();
    println!("{} rows taken, {} could not be read, {} lines in all", done.rows, done.rejected, done.lines);

    if !args.no_decide {
        let program = Arc::new(ArcSwap::from_pointee(configured.program));
        let engine = Engine::new(store.clone(), Arc::new(SystemClock), program, settings.engine, settings.identity);
        match engine.drain().await {
            Err(StoreError::Elsewhere) => println!("the daemon that has the engine decides them"),
            decided => {
                decided.map_err(Failed::new)?;
                let counts = store.counts();
                println!("{} events decided, {} people known", counts.decided.0, counts.people);
            }
        }
    }
    store.close().await.map_err(Failed::new)?;
    Ok(ExitCode::SUCCESS)
}
