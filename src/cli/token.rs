//! `espalier token list|add|revoke`

use std::process::ExitCode;

use super::access::door;
use super::{Configured, Ended, Failed, show};
use crate::model::Span;
use crate::ops::{Area, Role};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Which programs may come in.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes a token, and prints its secret: the only time that it is shown.
    Add {
        /// 1 to 64 letters, digits, and any of `@._-`.
        name: String,
        /// viewer, operator or admin.
        #[arg(long)]
        role: Role,
        /// Holds it to a part of the API: health, metrics, triggers, people, letters, nights, connectors, catalogue,
        /// alerts, store, access. May be said several times.
        #[arg(long = "only", value_name = "AREA")]
        areas: Vec<Area>,
        /// How long it is good: `30d`. For ever where nothing is said.
        #[arg(long = "for", value_name = "TIME")]
        length: Option<Span>,
    },
    /// Revokes a token, from its next request on.
    Revoke { name: String },
}

pub async fn run(args: &Args) -> Ended {
    let door = door(&args.configured).await?;
    let done = match &args.what {
        What::List { json } => door.shown().await.and_then(|shown| list(&shown["tokens"], *json)),
        What::Add { name, role, areas, length } => {
            door.add_token(name, *role, areas.clone(), *length).await.map(|secret| println!("{secret}"))
        }
        What::Revoke { name } => door.revoke(name).await,
    };
    door.close().await?;
    done.map(|()| ExitCode::SUCCESS)
}

fn list(tokens: &serde_json::Value, json: bool) -> Result<(), Failed> {
    if json {
        return show::json(tokens);
    }
    let mut table = show::table(["name", "role", "only for", "since", "until"]);
    for one in tokens.as_array().into_iter().flatten() {
        let areas: Vec<String> = one["areas"].as_array().into_iter().flatten().map(show::text).collect();
        let [name, role, since, until] = ["name", "role", "since", "until"].map(|key| show::text(&one[key]));
        table.add_row([name, role, areas.join(", "), since, until]);
    }
    println!("{table}");
    Ok(())
}
