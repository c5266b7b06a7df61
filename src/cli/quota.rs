//! `espalier quota`

use std::process::ExitCode;

use serde_json::Value;

use super::{Configured, Ended, Failed, load, local, show};
use crate::model::Span;

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
    let quota: Value =
        client.get("/api/quota", &[]).await?.ok_or_else(|| Failed("the daemon does not know its quotas".into()))?;
    if args.json {
        show::json(&quota)?;
    } else {
        print(&quota);
    }
    Ok(ExitCode::SUCCESS)
}

/// The same for people.
fn print(quota: &Value) {
    let text = show::text;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let accounts = list(&quota["accounts"]);
    let mut table = show::table([
        "account",
        "calls",
        "window",
        "allowed",
        "ours",
        "used",
        "left of all",
        "begins anew",
        "blocked until",
    ]);
    for account in &accounts {
        for one in list(&account["windows"]) {
            let span = one["span_ms"].as_i64().map_or_else(String::new, |ms| Span::from_millis(ms).to_string());
            let mut row = vec![text(&account["name"]), text(&one["family"]), span];
            row.extend(["calls", "ours", "used", "left", "resets", "blocked_until"].map(|name| text(&one[name])));
            table.add_row(row);
        }
    }
    if accounts.is_empty() {
        println!("no account has limits");
    } else {
        show::to_the_right(&mut table, 2..7);
        println!("{table}");
    }
    for lane in list(&quota["lanes"]) {
        let families = lane["calls"].as_object().cloned().unwrap_or_default();
        let calls: Vec<String> =
            families.iter().map(|(family, n)| format!("{n} {family}").trim_end().to_owned()).collect();
        let needs = if calls.is_empty() { "no".into() } else { calls.join(" and ") };
        let ends = lane["ends"].as_str().map_or_else(String::new, |at| format!(", through at {at}"));
        println!("{}: {} waiting, {needs} calls{ends}", text(&lane["lane"]), lane["queued"]);
        for words in list(&lane["words"]) {
            println!("  {}", text(&words));
        }
    }
}
