//! `espalier connector check`: is there a way in, and what do the records make?

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;

use super::{Configured, Ended, Failed, source};
use crate::clock::{Clock, SystemClock};
use crate::model::Span;
use crate::pull::look::{Look, Seen};
use crate::source::audit::Audit;
use crate::source::fixture;
use crate::source::stream::Stream;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The source, as the configuration names it.
    source: String,
    /// Only this list.
    #[arg(long)]
    list: Option<String>,
    /// How far back to look.
    #[arg(long, default_value = "30d")]
    back: Span,
    /// Records of each list that are shown beside what they make. They are people's own data.
    #[arg(long, default_value_t = 1)]
    show: usize,
}

pub async fn run(args: &Args, configured: &Configured) -> Ended {
    let (configured, connected) = source(configured, &args.source)?;
    let names = &configured.settings.identity;
    let look = Look::at(&args.source, &connected, names, Arc::new(SystemClock)).map_err(Failed::new)?;
    let mut is_well = true;
    let lists = connected.manifest.streams.keys().filter(|list| args.list.as_ref().is_none_or(|one| one == *list));
    for list in lists {
        let Some(mut looking) = look.list(list, &connected, args.back) else { continue };
        match looking.next().await {
            Ok(None) => println!("ok     {list}: nothing changed within {}", args.back),
            Ok(Some(seen)) => {
                told(list, &seen);
                let mut audit = Audit::default();
                for record in &seen.records {
                    audit.see(record, looking.stream().declared(), SystemClock.now());
                }
                super::audit::print("         ", &audit.findings(looking.stream().declared()));
                for record in seen.records.iter().take(args.show) {
                    shown(record, looking.stream());
                }
            }
            Err(stop) => {
                is_well = false;
                println!("WRONG  {list}: {stop}");
            }
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(list: &str, seen: &Seen) {
    let (read, items) = (&seen.mapped.read, &seen.mapped.items);
    let more = if seen.is_end { "" } else { ", and there are more pages" };
    println!(
        "ok     {list}: {} records, which make {} events and {} products; {} cannot be read{more}",
        seen.records.len(),
        read.events.len(),
        items.len(),
        read.rejected.len()
    );
    let mut reasons: Vec<&str> = read.rejected.iter().map(|one| one.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons.iter().take(5) {
        println!("         a record {reason}");
    }
}

/// A record, and what it makes.
fn shown(record: &Value, stream: &Stream) {
    let indented = |value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.lines().map(|line| format!("         | {line}\n")).collect::<String>()
    };
    println!("         a record as it came:\n{}", indented(record).trim_end());
    let one = fixture::one(stream, record);
    println!("         and what it makes:\n{}", indented(&one).trim_end());
}
