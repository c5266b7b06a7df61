//! `espalier triggers reload`

use std::process::ExitCode;

use super::{Configured, Ended, Failed, check, local};
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The running daemon reads trigger, segment and cohort files again: all of them, or none with a mistake.
    Reload,
}

pub async fn run(args: &Args) -> Ended {
    let What::Reload = args.what;
    // The files are the daemon's to judge: only the way to it is read here.
    let path = Settings::store_path(&args.configured.config).map_err(|mistakes| {
        check::print(&mistakes);
        Failed(format!("{} in the configuration; the daemon was not asked", check::counted(mistakes.len())))
    })?;
    let Some(client) = local::running(&path).await else {
        return Err(Failed(format!("no daemon runs on the store in {}", path.display())));
    };
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
