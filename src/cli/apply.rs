//! `espalier apply`: makes what `plan` finds missing, then looks again. It may be stopped and run again at any time: what
//! is there is found there.

use std::process::ExitCode;

use super::plan::{accounts, ended, print};
use super::{Configured, Ended, load};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this destination.
    #[arg(long)]
    destination: Option<String>,
    #[command(flatten)]
    configured: Configured,
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let (accounts, needs) = accounts(configured, args.destination.as_deref())?;
    let (mut to_do, mut is_told) = (0, true);
    for account in &accounts {
        let needs = needs.get(&account.name).map(Vec::as_slice).unwrap_or_default();
        let name = account.name.clone();
        let done = async {
            let before = account.compare(needs).await?;
            let differences = before.differences.as_deref().unwrap_or_default();
            if differences.iter().all(|one| one.steps.is_empty()) {
                return Ok(before);
            }
            account
                .apply(differences, |one| {
                    is_told &= one.is_made;
                    let sign = if one.is_made { "" } else { "NOT made: " };
                    println!("{name}: {}: {sign}{}", one.what, one.words);
                })
                .await?;
            account.compare(needs).await
        };
        match done.await {
            Ok(compared) => {
                print(&compared);
                to_do += compared.to_do();
            }
            Err(halt) => {
                let halt: crate::destination::Halt = halt;
                is_told = false;
                eprintln!("{name}: stopped: {halt}");
            }
        }
    }
    let code: ExitCode = ended(is_told, to_do);
    Ok(code)
}
