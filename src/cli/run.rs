//! `espalier run`: the daemon, until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;

use super::{Configured, Daemon, Ended, Failed, load, log};
use crate::clock::SystemClock;

pub async fn run(args: &Configured) -> Ended {
    let configured = load(&args.config)?;
    log::begin(&configured.settings.log);
    let running = Daemon::new(configured, Arc::new(SystemClock)).begin().await?;
    told_to_stop().await?;
    tracing::info!("stopping: no more is taken, what is under way is finished");
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C or SIGTERM.
pub async fn told_to_stop() -> Result<(), Failed> {
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(Failed::new)?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended.map_err(Failed::new),
        _ = terminate.recv() => Ok(()),
    }
}
