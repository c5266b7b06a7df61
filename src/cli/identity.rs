//! `espalier identity audit|show|link|unlink`

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;

use super::local::Local;
use super::people::told;
use super::{Configured, Ended, Failed, explain, load, show};
use crate::clock::{SharedClock, SystemClock};
use crate::delivery::Asker;
use crate::ops::identity::{self, Audit, Told, Word};
use crate::quota::Accounts;
use crate::reconcile::VendorProfiles;
use crate::settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Who has several names of a kind of which one person has one, which joins were refused, which records named nobody.
    Audit {
        /// Vendors are asked too, which profile an address leads to: of those whom the audit names, and of others.
        #[arg(long)]
        vendors: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Somebody's names, and what joined them.
    Show {
        /// `email:ines@example.com`, `user_id:42`, or just the address or id.
        person: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says that these names are one person's: those who go by them become one.
    Link {
        /// `email:ines@example.com user_id:42`
        #[arg(required = true, num_args = 2..)]
        names: Vec<String>,
    },
    /// Says that these names are somebody else's than who goes by them: they leave, with what was done under them, and
    /// are never joined with that person again, but by `link`.
    Unlink {
        /// `email:old@example.com`
        #[arg(required = true)]
        names: Vec<String>,
    },
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    match &args.what {
        What::Audit { vendors, json } => {
            let audit: Audit = match Local::of(&configured).await? {
                Local::Daemon(client) => {
                    let vendors = if *vendors { "true" } else { "false" };
                    client.get("/api/identity/audit", &[("vendors", vendors)]).await?.unwrap_or_default()
                }
                Local::Store(store) => {
                    let mut audit = identity::audit(&*store).await.map_err(Failed::new)?;
                    if *vendors {
                        let clock: SharedClock = Arc::new(SystemClock);
                        let askers = askers(&configured, &clock)?;
                        identity::audit_vendors(&*store, &askers, &mut audit, &clock).await.map_err(Failed::new)?;
                    }
                    Local::Store(store).close().await?;
                    audit
                }
            };
            if *json { show::json(&audit)? } else { print(&audit) }
        }
        What::Show { person, json } => {
            let answer = explain::ask(&configured, person, None).await?;
            if *json { show::json(&answer)? } else { print_one(&answer) }
        }
        What::Link { names } => drop(told(&configured, &Told::of(Word::Link, names)).await?),
        What::Unlink { names } => drop(told(&configured, &Told::of(Word::Unlink, names)).await?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The accounts of the configuration, for a command by itself.
fn askers(configured: &settings::Configured, clock: &SharedClock) -> Result<Vec<Arc<Asker>>, Failed> {
    let budgets = Accounts::new(None, clock.clone());
    let each = configured.settings.destination.iter().map(|(name, destination)| {
        let built = destination.clone().build(name);
        Asker::new(name.as_str().into(), built, &budgets).map(Arc::new).map_err(Failed::new)
    });
    each.collect()
}

fn print_one(answer: &Value) {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    println!("{}", answer["person"].as_str().unwrap_or_default());
    for name in texts(&answer["identifiers"]) {
        println!("  {name}");
    }
    explain::print_joins(answer);
    println!("`espalier identity unlink NAME` takes a name out, with what was done under it.");
}

fn print(audit: &Audit) {
    println!("{} people; {} of them have several names of one kind.", audit.people, audit.several);
    for one in &audit.told {
        println!("  {}  ({} names in all)", one.names.join("  "), one.all);
        println!("    espalier identity show {}", one.person);
        println!("    {}", one.mend);
    }
    if !audit.refused.is_empty() {
        println!("Joins that were refused, to keep two people apart:");
    }
    for one in &audit.refused {
        let words = one.refused.as_deref().unwrap_or_default();
        println!("  {} {} ({}): {words}", one.at, one.because.join("  "), one.source);
        if let [first, ..] = one.because.as_slice() {
            println!("    espalier identity show {first}");
        }
    }
    for (source, n) in &audit.nobody {
        println!("{source}: {n} records named nobody; `espalier store set-aside` shows them");
    }
    audit.vendors.iter().for_each(print_vendor);
    for account in &audit.unasked {
        println!("{account}: cannot be asked without an address in a URL, or has no profiles");
    }
}

fn print_vendor(of: &VendorProfiles) {
    if let Some(why) = &of.failed {
        println!("{}: could not be asked: {why}", of.account);
        return;
    }
    println!(
        "{}: {} addresses of {} people were asked for, of {} people who have one; {} lead nowhere there, and {} differences \
         were found.",
        of.account,
        of.addresses,
        of.asked,
        of.people,
        of.unknown,
        of.told.len()
    );
    for (why, n) in &of.untold {
        println!("  {n} could not be told: {why}");
    }
    for one in &of.told {
        println!("  {}", one.words);
        for row in &one.rows {
            println!("    {} ({}): {}", row.name, row.person, row.profiles.join(", "));
        }
        println!("    {}", one.mend);
    }
}
