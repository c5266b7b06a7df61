//! `espalier status`

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;

use super::{Configured, Ended, Failed, load, local, show};
use crate::model::Span;
use crate::ops::Trouble;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    configured: Configured,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let client = local::needed(&configured.settings.store.path).await?;
    let status: Value =
        client.get("/api/status", &[]).await?.ok_or_else(|| Failed("the daemon does not know its status".into()))?;
    if args.json {
        show::json(&status)?;
    } else {
        print(&status);
    }
    let is_well = status["is_ready"] == true;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same for people.
pub fn print(status: &Value) {
    let text = show::text;
    let journal = &status["journal"];
    let commit = status["commit"].as_str().map(|commit| format!(" ({commit})")).unwrap_or_default();
    let (version, schema) = (text(&status["version"]), &status["schema"]);
    println!("espalier {version}{commit}, store schema {schema}, since {}", text(&status["began"]));
    println!(
        "events: {} accepted, {} decided, {} waiting; people: {}; set aside: {}; next timer: {}",
        journal["accepted"],
        journal["decided"],
        journal["backlog"],
        journal["people"],
        journal["set_aside"],
        text(&journal["next_timer"])
    );
    println!("engine: {}", text(&status["engine"]["doing"]));
    let cluster = &status["cluster"];
    if let Some(members) = cluster["members"].as_array() {
        let mut table = show::table(["daemon", "version", "since", "last seen", "page", "has"]);
        for one in members {
            let me = if one["is_me"] == true { " (this one)" } else { "" };
            let gone = if one["is_alive"] == true { "" } else { ", gone" };
            let holds: Vec<String> = one["holds"].as_array().into_iter().flatten().map(text).collect();
            table.add_row([
                format!("{}{me}{gone}", text(&one["name"])),
                text(&one["version"]),
                text(&one["since"]),
                text(&one["seen"]),
                text(&one["address"]),
                holds.join(", "),
            ]);
        }
        println!("{table}");
    }
    for one in cluster["takeovers"].as_array().into_iter().flatten() {
        let of = ["at", "of", "from", "to"].map(|name| text(&one[name]));
        println!("{}: {} went from {} to {}", of[0], of[1], of[2], of[3]);
    }
    let mut table = show::table(["lane", "state", "waiting", "later", "accepted", "dead letters", "last accepted"]);
    for lane in status["lanes"].as_array().into_iter().flatten() {
        table.add_row([
            text(&lane["name"]),
            text(&lane["state"]),
            text(&lane["queued"]),
            text(&lane["deferred"]),
            text(lane["outcomes"].get("accepted").unwrap_or(&Value::from(0))),
            text(&lane["dead"]),
            text(&lane["last_success"]),
        ]);
    }
    show::to_the_right(&mut table, 2..6);
    println!("{table}");
    let streams = status["streams"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !streams.is_empty() {
        let mut table =
            show::table(["list", "state", "behind", "records", "events", "products", "set aside", "last page"]);
        for stream in streams {
            let behind = stream["lag_ms"]
                .as_i64()
                .map_or_else(|| "-".into(), |ms| Span::from_millis(ms / 1_000 * 1_000).to_string());
            table.add_row([
                format!("{}/{}", text(&stream["source"]), text(&stream["stream"])),
                format!("{}{}", text(&stream["state"]), if stream["quiet"].is_null() { "" } else { ", quiet" }),
                behind,
                text(&stream["records"]),
                text(&stream["events"]),
                text(&stream["products"]),
                text(&stream["set_aside"]),
                text(&stream["last_success"]),
            ]);
        }
        show::to_the_right(&mut table, 2..7);
        println!("{table}");
    }
    let subscriptions = status["subscriptions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !subscriptions.is_empty() {
        let mut table = show::table(["webhooks", "state", "subscribed", "wanted", "looked at"]);
        for one in subscriptions {
            let cells = ["source", "state", "standing", "wanted", "looked"].map(|name| text(&one[name]));
            table.add_row(cells);
        }
        show::to_the_right(&mut table, 2..4);
        println!("{table}");
    }
    for trouble in status["troubles"].as_array().into_iter().flatten() {
        // A daemon of another version may know other kinds.
        match Trouble::deserialize(trouble) {
            Ok(trouble) => println!("! {trouble}"),
            Err(_) => println!("! {}: {}", text(&trouble["of"]), text(&trouble["words"])),
        }
    }
}
