//! `espalier store verify|rebuild`

use std::process::ExitCode;

use super::{Configured, Ended, Failed, load};
use crate::clock::{Clock, SystemClock};
use crate::store::embedded::{rebuild, verify};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Reads every record of the journal and every value of the state. Changes nothing.
    Verify,
    /// Puts the state aside and makes it again from snapshot and journal; the daemon then decides what followed anew.
    /// Nothing that was settled at a vendor is sent again.
    Rebuild,
}

pub fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let settings = &configured.settings.store;
    match args.what {
        What::Verify => {
            let found = verify(settings).map_err(Failed::new)?;
            println!(
                "journal: {} segments, {} events, {} settled records, {} steps; {} bytes of a write that was cut, never acknowledged",
                found.segments, found.events, found.settled, found.steps, found.torn_bytes
            );
            println!(
                "state: {} values, {} people, decided up to event {}",
                found.values, found.people, found.decided.0
            );
            for words in &found.damage {
                println!("! {words}");
            }
            if found.damage.is_empty() {
                println!("well");
                return Ok(ExitCode::SUCCESS);
            }
            println!("damaged: `espalier store rebuild` makes the state again from the journal");
            Ok(ExitCode::FAILURE)
        }
        What::Rebuild => {
            rebuild(settings, SystemClock.now()).map_err(Failed::new)?;
            println!(
                "the old state is put aside beside the new one; start the daemon, and it decides the rest of the journal"
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}
