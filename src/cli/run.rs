//! `espalier run`: the daemon, until it is told to stop. SIGHUP has it read the trigger files again.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::service::{self, Service};
use super::{Configured, Daemon, Ended, Failed, load, log};
use crate::clock::SystemClock;

/// What ends the daemon: Ctrl-C and SIGTERM. Heard from the moment on in which it is made.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    fn new() -> Result<Self, Failed> {
        let heard = |kind| signal(kind).map_err(Failed::new);
        Ok(Self { terminate: heard(SignalKind::terminate())?, interrupt: heard(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

pub async fn run(args: &Configured) -> Ended {
    let configured = load(&args.config)?;
    log::begin(&configured.settings.log);
    // Before the start, which may take a while: unheard, it would end the process.
    let mut hangup = signal(SignalKind::hangup()).map_err(Failed::new)?;
    let mut stops = Stops::new()?;
    service::tell_opening();
    let clock = Arc::new(SystemClock);
    let running = tokio::select! {
        begun = Daemon::new(configured, clock.clone()).begin() => begun?,
        () = stops.told() => {
            tracing::info!("stopped before it had begun");
            return Ok(ExitCode::SUCCESS);
        }
    };
    match &running.way_in {
        // To a terminal only: what a service says is kept in logs.
        Some(link) if std::io::stdout().is_terminal() => println!("Come in once, and make your account: {link}"),
        Some(_) => tracing::info!("nobody can sign in yet; `espalier account link` prints a way in that is good once"),
        None => {}
    }
    let service = Service::ready(running.watched.clone(), clock);
    loop {
        tokio::select! {
            () = stops.told() => break,
            // What became of it is in the log.
            Some(()) = hangup.recv() => drop(running.reloads.ask().await),
        }
    }
    tracing::info!("stopping: no more is taken, what is under way is finished");
    service.stopping();
    tokio::select! {
        drained = running.stop() => if drained? {
            tracing::info!("stopped");
            return Ok(ExitCode::SUCCESS);
        },
        () = stops.told() => tracing::warn!("told once more: it ends at once; what was under way is taken up again"),
    }
    Ok(ExitCode::FAILURE)
}

/// Ctrl-C or SIGTERM.
pub async fn told_to_stop() -> Result<(), Failed> {
    Stops::new()?.told().await;
    Ok(())
}
