//! `espalier run`: the daemon, until it is told to stop. SIGHUP has it read the trigger files again.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{Configured, Daemon, Ended, Failed, load, log};
use crate::clock::SystemClock;

pub async fn run(args: &Configured) -> Ended {
    let configured = load(&args.config)?;
    log::begin(&configured.settings.log);
    // Before the start, which may take a while: unheard, it would end the process.
    let mut hangup = signal(SignalKind::hangup()).map_err(Failed::new)?;
    let running = Daemon::new(configured, Arc::new(SystemClock)).begin().await?;
    match &running.way_in {
        // To a terminal only: what a service says is kept in logs.
        Some(link) if std::io::stdout().is_terminal() => println!("Come in once, and make your account: {link}"),
        Some(_) => tracing::info!("nobody can sign in yet; `espalier account link` prints a way in that is good once"),
        None => {}
    }
    let mut stop = std::pin::pin!(told_to_stop());
    loop {
        tokio::select! {
            told = &mut stop => break told?,
            // What became of it is in the log.
            Some(()) = hangup.recv() => drop(running.reloads.ask().await),
        }
    }
    tracing::info!("stopping: no more is taken, what is under way is finished");
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C or SIGTERM.
pub async fn told_to_stop() -> Result<(), Failed> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failed::new)?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended.map_err(Failed::new),
        _ = terminate.recv() => Ok(()),
    }
}
