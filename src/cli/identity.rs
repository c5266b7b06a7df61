//! `espalier identity audit|show|link|unlink`

use std::process::ExitCode;

use serde_json::Value;

use super::local::Local;
use super::people::told;
use super::{Configured, Ended, Failed, explain, load, show};
use crate::ops::identity::{self, Audit, Told, Word};

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
        What::Audit { json } => {
            let audit: Audit = match Local::of(&configured).await? {
                Local::Daemon(client) => client.get("/api/identity/audit", &[]).await?.unwrap_or_default(),
                Local::Store(store) => {
                    let audit = identity::audit(&store).await.map_err(Failed::new)?;
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
}
