//! `espalier plan`: what the triggers need of accounts, against what those have. Ends with 0 where nothing is to be done,
//! 2 where something is, 1 where that cannot be told.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use super::{Configured, Ended, Failed, load, show};
use crate::clock::SystemClock;
use crate::model::{LaneName, Need};
use crate::plan::{Account, Compared, counted, needs};
use crate::quota::Accounts;
use crate::settings;

/// What is to be done.
pub const TO_DO: u8 = 2;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this destination.
    #[arg(long)]
    destination: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    configured: Configured,
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let (accounts, needs) = accounts(configured, args.destination.as_deref())?;
    let (mut compared, mut is_told) = (Vec::new(), true);
    for account in &accounts {
        match account.compare(needs.get(&account.name).map(Vec::as_slice).unwrap_or_default()).await {
            Ok(one) => {
                if !args.json {
                    print(&one);
                }
                compared.push(one);
            }
            Err(halt) => {
                is_told = false;
                eprintln!("{}: cannot be told: {halt}", account.name);
            }
        }
    }
    if args.json {
        show::json(&compared)?;
    }
    Ok(ended(is_told, compared.iter().map(Compared::to_do).sum()))
}

/// 1 where something could not be told, 2 where there is something to do.
pub fn ended(is_told: bool, to_do: usize) -> ExitCode {
    match (is_told, to_do) {
        (false, _) => ExitCode::FAILURE,
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(TO_DO),
    }
}

type Needed = BTreeMap<LaneName, Vec<Need>>;

/// The accounts of the configuration, and what triggers need of each.
pub fn accounts(configured: settings::Configured, only: Option<&str>) -> Result<(Vec<Account>, Needed), Failed> {
    let settings = configured.settings;
    let needs = needs(&configured.program, &settings.identity);
    if let Some(only) = only.filter(|only| !settings.destination.contains_key(*only)) {
        let known: Vec<&str> = settings.destination.keys().map(String::as_str).collect();
        return Err(Failed(format!("there is no destination `{only}`; there are {}", known.join(", "))));
    }
    let wanted = settings.destination.into_iter().filter(|(name, _)| only.is_none_or(|only| only == name));
    let budgets = Accounts::new(None, Arc::new(SystemClock));
    let accounts = wanted.map(|(name, destination)| {
        let built = destination.build(&name);
        Account::new(name.into(), built, &budgets).map_err(Failed::new)
    });
    Ok((accounts.collect::<Result<_, _>>()?, needs))
}

/// For people: a line each, the calls that make it counted.
pub fn print(compared: &Compared) {
    let Some(differences) = &compared.differences else {
        println!("{} ({}): has nothing that could be asked for", compared.account, compared.kind);
        return;
    };
    println!("{} ({}): {}", compared.account, compared.kind, counted(differences));
    for one in differences {
        let sort = one.sort.word();
        let made = if one.steps.is_empty() { "" } else { " [apply makes it]" };
        let by: Vec<&str> = one.triggers.iter().map(|name| &**name).collect();
        let by = if by.is_empty() { String::new() } else { format!(" (for {})", by.join(", ")) };
        println!("  {sort:<8} {}: {}{made}{by}", one.what, one.words);
    }
}
