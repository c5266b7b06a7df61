//! `espalier explain PERSON [--trigger NAME]`

use std::process::ExitCode;

use serde_json::Value;

use super::local::Local;
use super::{Configured, Ended, Failed, load, show};
use crate::clock::{Clock, SystemClock};
use crate::ops;
use crate::settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// `email:ines@example.com`, `user_id:42`, or just the address or id.
    person: String,
    /// Only this trigger.
    #[arg(long)]
    trigger: Option<String>,
    #[command(flatten)]
    configured: Configured,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    if let Some(trigger) = &args.trigger
        && configured.program.named(trigger).is_none()
    {
        let known: Vec<&str> = configured.program.triggers().iter().map(|t| &*t.name).collect();
        return Err(Failed(format!("there is no trigger `{trigger}`; there are: {}", known.join(", "))));
    }
    let answer = ask(&configured, &args.person, args.trigger.as_deref()).await?;
    if args.json {
        show::json(&answer)?;
    } else {
        print(&answer);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is known of somebody; by the daemon where one runs.
pub async fn ask(configured: &settings::Configured, person: &str, trigger: Option<&str>) -> Result<Value, Failed> {
    let answer: Option<Value> = match Local::of(configured).await? {
        Local::Daemon(client) => {
            let question = serde_json::json!({ "person": person, "trigger": trigger });
            client.ask("/api/explain", &question).await?
        }
        Local::Store(store) => {
            let names = &configured.settings.identity;
            let found = ops::explain(&*store, &configured.program, names, person, trigger, SystemClock.now())
                .await
                .map_err(Failed::new)?;
            store.close().await.map_err(Failed::new)?;
            found.map(serde_json::to_value).transpose().map_err(Failed::new)?
        }
    };
    answer.ok_or_else(|| Failed("nobody goes by that name".into()))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn print(answer: &Value) {
    let names: Vec<String> = list(answer, "identifiers").map(text).collect();
    println!("{}", names.join("  "));
    println!(
        "first seen {}, {} events remembered, asked at {}",
        text(&answer["first_seen"]),
        answer["events"],
        text(&answer["at"])
    );
    for channel in list(answer, "channels") {
        println!("{}", text(channel));
    }
    for said in list(answer, "consent") {
        println!(
            "  {} {} {} by {} ({})",
            text(&said["at"]),
            text(&said["channel"]),
            text(&said["act"]),
            text(&said["because"]),
            text(&said["source"])
        );
    }
    let computed: Vec<String> = answer["computed"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name} {}", text(value)))
        .collect();
    if !computed.is_empty() {
        println!("computed: {}", computed.join(", "));
    }
    for trigger in list(answer, "triggers") {
        println!("\n{}  {}", text(&trigger["trigger"]), text(&trigger["title"]));
        if let Some(words) = trigger["held_back"].as_str() {
            println!("  held back now: {words}");
        }
        for key in list(trigger, "keys") {
            let name = text(&key["key"]);
            let of = if name.is_empty() { String::new() } else { format!(" for {name}") };
            let truth = if key["is_true"] == true { "true" } else { "not true" };
            let next = key["next"].as_str().map_or(String::new(), |at| format!(", asked again at {at}"));
            println!("  {truth} now{of}{next}");
            for one in list(key, "conditions") {
                let mark = if one["is_true"] == true { "yes" } else { " no" };
                let indent = "  ".repeat(one["depth"].as_u64().unwrap_or(0) as usize);
                let found = text(&one["found"]);
                let found = if found.is_empty() { String::new() } else { format!(": {found}") };
                println!("    {mark}  {indent}{}{found}", text(&one["condition"]));
            }
        }
        if list(trigger, "keys").next().is_none() {
            println!("  not true: nothing it reads has happened");
        }
    }
    println!("\nwhat became of its edges:");
    if list(answer, "edges").next().is_none() {
        println!("  there was none");
    }
    for edge in list(answer, "edges") {
        let key = text(&edge["key"]);
        let of = if key.is_empty() { String::new() } else { format!(" for {key}") };
        println!("  {} {}{of}: {}", text(&edge["at"]), text(&edge["trigger"]), text(&edge["verdict"]));
        for delivery in list(edge, "deliveries") {
            println!("    {} ({}): {}", text(&delivery["lane"]), text(&delivery["does"]), text(&delivery["state"]));
        }
    }
    print_joins(answer);
}

/// What joined them, and what was refused.
pub fn print_joins(answer: &Value) {
    for join in list(answer, "joins") {
        let because: Vec<String> = list(join, "because").map(text).collect();
        match join["refused"].as_str() {
            None => println!("joined at {} by {} ({})", text(&join["at"]), because.join(", "), text(&join["source"])),
            Some(words) => println!("kept apart at {} though {}: {words}", text(&join["at"]), because.join(", ")),
        }
    }
}
