//! `espalier alerts list|test|silence|unsilence`

use std::process::ExitCode;

use super::local::{Client, needed};
use super::{Configured, Ended, Failed, show};
use crate::alerts::{Kind, Listing, Silence, Tested};
use crate::model::Span;
use crate::ops::SilenceWanted;
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
    /// What fires, waits to fire, or is over; silences; receivers.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sends each receiver a message that says that it is a test, and prints what it answers.
    Test {
        /// Only this one.
        #[arg(long, value_name = "NAME")]
        receiver: Option<String>,
    },
    /// Nothing new is told for a while.
    Silence {
        /// For so long: `30m`, `2h`.
        #[arg(long = "for", value_name = "SPAN")]
        length: Span,
        /// Only of this kind, as `list` writes it.
        #[arg(long, value_name = "KIND", value_parser = kind)]
        kind: Option<Kind>,
        /// Only about this, as `list` writes it: `lane klaviyo`.
        #[arg(long, value_name = "OF")]
        of: Option<String>,
    },
    /// Ends a silence, by its number.
    Unsilence {
        /// As `list` writes it.
        id: u64,
    },
}

fn kind(word: &str) -> Result<Kind, String> {
    let all = Kind::ALL.map(Kind::word);
    Kind::named(word).ok_or_else(|| crate::model::mistake::instead(word, &all, "one of"))
}

pub async fn run(args: &Args) -> Ended {
    let path = Settings::store_path(&args.configured.config);
    let path = path.map_err(|mistakes| {
        super::check::print(&mistakes);
        Failed("the configuration cannot be read".into())
    })?;
    let client = needed(&path).await?;
    match &args.what {
        What::List { json } => list(&client, *json).await,
        What::Test { receiver } => test(&client, receiver.as_deref()).await,
        What::Silence { length, kind, of } => {
            let wanted = SilenceWanted { kind: *kind, of: of.clone(), length: *length };
            let silence: Silence = client.send("/api/alerts/silences", &wanted).await?;
            println!(
                "silence {} until {}; `espalier alerts unsilence {}` ends it",
                silence.id, silence.until, silence.id
            );
            Ok(ExitCode::SUCCESS)
        }
        What::Unsilence { id } => match client.delete(&format!("/api/alerts/silences/{id}")).await? {
            Some(_) => {
                println!("silence {id} has ended");
                Ok(ExitCode::SUCCESS)
            }
            None => Err(Failed(format!("there is no silence {id}"))),
        },
    }
}

async fn list(client: &Client, as_json: bool) -> Ended {
    let listing: Option<Listing> = client.get("/api/alerts", &[]).await?;
    let listing = listing.ok_or_else(|| Failed("the daemon knows no alerts: is it of an earlier version?".into()))?;
    if as_json {
        show::json(&listing)?;
        return Ok(ExitCode::SUCCESS);
    }
    if listing.alerts.is_empty() {
        println!("nothing fires");
    } else {
        let mut table = show::table(["state", "severity", "kind", "what is wrong", "since"]);
        for one in &listing.alerts {
            let alert = &one.alert;
            let state = if one.is_silenced { format!("{}, silenced", one.state) } else { one.state.clone() };
            let remedy = alert.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
            let sentence = alert.key.kind.sentence(&alert.key.of, &alert.words) + &remedy;
            let (severity, kind) = (alert.severity.word(), alert.key.kind.word());
            table.add_row([state, severity.into(), kind.into(), sentence, alert.since.to_string()]);
        }
        println!("{table}");
    }
    if listing.untracked > 0 {
        println!("and {} more", listing.untracked);
    }
    for Silence { id, kind, of, until, by, .. } in &listing.silences {
        let kind = kind.map_or("every kind", Kind::word);
        let of = of.as_ref().map(|of| format!(" about {of}")).unwrap_or_default();
        println!("silence {id}: {kind}{of}, until {until}, by {by}");
    }
    for one in &listing.receivers {
        match &one.failing {
            None => println!("receiver {} ({})", one.name, one.kind),
            Some(failing) => println!(
                "! receiver {} ({}) cannot be told since {}: {}; tried again at {}",
                one.name, one.kind, failing.since, failing.words, failing.not_before
            ),
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn test(client: &Client, receiver: Option<&str>) -> Ended {
    let query = receiver.map(|name| ("receiver", name));
    let tested: Option<Vec<Tested>> = client.post_asking("/api/alerts/test", query.as_slice()).await?;
    let tested = tested.ok_or_else(|| Failed("there is no such receiver in `[alerts.receiver]`".into()))?;
    if tested.is_empty() {
        return Err(Failed("no receiver is configured: `[alerts.receiver.NAME]`".into()));
    }
    for one in &tested {
        let word = if one.is_taken { "taken" } else { "not taken" };
        println!("{} ({}): {word}: {}", one.receiver, one.kind, one.words);
    }
    Ok(if tested.iter().all(|one| one.is_taken) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
