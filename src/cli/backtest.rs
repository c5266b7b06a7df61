//! `espalier backtest [TRIGGER]`: what triggers would have done with the stored history.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::local::Local;
use super::{Configured, Ended, Failed, check, load, show};
use crate::destination::Destination;
use crate::model::Span;
use crate::ops::{self, BacktestFailed, BacktestWanted};
use crate::quota::{self, Calls, Need};
use crate::replay::{Report, Tested};
use crate::rules::gate::guard::Tripped;

/// A trigger's file is not larger.
const LARGEST: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// One trigger, or a segment as `segment:NAME`; without it, all.
    trigger: Option<String>,
    /// Only fires so long before the newest event: `30d`.
    #[arg(long)]
    since: Option<Span>,
    /// A former version of the trigger, to compare with.
    #[arg(long, value_name = "FILE", requires = "trigger")]
    against: Option<PathBuf>,
    /// `table` for people, `json` for programs and plots.
    #[arg(long, default_value = "table")]
    format: Format,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// What one destination would need.
#[derive(Serialize)]
struct Quota {
    trigger: String,
    destination: String,
    #[serde(flatten)]
    need: Need,
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let against = args.against.as_deref().map(text_of).transpose()?;
    let wanted = BacktestWanted { trigger: args.trigger.clone(), since: args.since, against };
    let ended = match Local::of(&configured).await? {
        Local::Daemon(client) => client.backtest(&wanted).await?.map_err(BacktestFailed::Mistakes),
        Local::Store(store) => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let (program, names) = (Arc::new(configured.program), configured.settings.identity);
            let ended = ops::backtest(store.clone(), program, names, wanted, None, threads, Arc::default()).await;
            store.close().await.map_err(Failed::new)?;
            ended
        }
    };
    let report = ended.map_err(|failed| match failed {
        BacktestFailed::Mistakes(mistakes) => {
            check::print(&mistakes);
            Failed(check::counted(mistakes.len()))
        }
        other => Failed::new(other),
    })?;
    let destinations: Vec<(String, Box<dyn Destination>)> =
        configured.settings.destination.into_iter().map(|(name, one)| (name.clone(), one.build(&name))).collect();
    let quota: Vec<Quota> = report.triggers.iter().flat_map(|tested| needs(tested, &destinations)).collect();
    match args.format {
        Format::Json => {
            let mut shown = serde_json::to_value(&report).map_err(Failed::new)?;
            shown["quota"] = serde_json::to_value(&quota).map_err(Failed::new)?;
            show::json(&shown)?;
        }
        Format::Table => print(&report, &quota),
    }
    Ok(ExitCode::SUCCESS)
}

fn text_of(path: &Path) -> Result<(String, String), Failed> {
    let unreadable = |e: std::io::Error| Failed(format!("{}: {e}", path.display()));
    if std::fs::metadata(path).map_err(unreadable)?.len() > LARGEST {
        return Err(Failed(format!("{} is larger than 1 MB: that is no trigger", path.display())));
    }
    Ok((path.display().to_string(), std::fs::read_to_string(path).map_err(unreadable)?))
}

fn needs(tested: &Tested, destinations: &[(String, Box<dyn Destination>)]) -> Vec<Quota> {
    let of = |records: &crate::replay::Records| {
        let (_, destination) = destinations.iter().find(|(name, _)| *name == records.destination)?;
        let by_day: Vec<u64> = records.days.iter().map(|day| day.fires).collect();
        let need = quota::need(&**destination, &by_day);
        Some(Quota { trigger: tested.trigger.clone(), destination: records.destination.clone(), need })
    };
    tested.destinations.iter().filter_map(of).collect()
}

fn print(report: &Report, quota: &[Quota]) {
    println!("{} people, {} events, from {} to {}", report.people, report.events, report.since, report.until);
    if !report.is_whole {
        println!("Stopped before the end: this is a sample of the people, chosen by hash.");
    }
    if report.cut.people > 0 {
        let (people, events) = (report.cut.people, report.cut.events);
        println!("Of {people} people {events} older events were cut from the history: their fires are not seen.");
    }
    for tested in &report.triggers {
        println!("\n{}  {}", tested.trigger, tested.title);
        counts(tested);
        if report.triggers.len() == 1 {
            days(tested);
        }
    }
    if quota.is_empty() {
        return;
    }
    println!();
    let mut shown =
        show::table(["quota", "records", "calls in batches", "calls one by one", "busiest day", "allowed a day"]);
    let between = |calls: Calls| format!("{} to {}", calls.batched, calls.single);
    for Quota { trigger, destination, need } in quota {
        let allowed: Vec<String> = need.allowed_a_day.iter().map(|(family, n)| format!("{family} {n}")).collect();
        shown.add_row([
            format!("{trigger}: {destination}"),
            need.records.to_string(),
            need.calls.batched.to_string(),
            need.calls.single.to_string(),
            between(need.busiest_day),
            allowed.join(", "),
        ]);
    }
    println!("{shown}");
}

fn counts(tested: &Tested) {
    let share = show::percent;
    let mut shown = show::table(["", "edges", "people", "share"]);
    shown.add_row(["fires", &tested.fires.to_string(), &tested.people.to_string(), &share(tested.share_of_people)]);
    let after = tested.purchases.within_an_hour_after.to_string();
    shown.add_row(["  within an hour before a purchase", &after, "", ""]);
    let before = tested.purchases.within_an_hour_before.to_string();
    shown.add_row(["  within an hour after a purchase", &before, "", ""]);
    for (word, n) in tested.verdicts.iter().filter(|(word, _)| *word != "activated") {
        let words = match word.as_str() {
            "delayed" => "delayed by quiet hours".to_owned(),
            "deferred" => "deferred to a night".to_owned(),
            word => format!("held back: {word}"),
        };
        shown.add_row([words, n.to_string(), String::new(), String::new()]);
    }
    if let Some(Tripped { hours, first: Some(first), fires }) = tested.guard {
        let words = format!("held by the rate guard in {hours} hours, first {first}");
        shown.add_row([words, fires.to_string(), String::new(), String::new()]);
    }
    for one in &tested.conditions {
        let people = one.people.to_string();
        shown.add_row([format!("alone: {}", one.condition), String::new(), people, share(one.share_of_people)]);
    }
    if let Some(old) = &tested.against {
        shown.add_row(["former version", &old.fires.to_string(), &old.people.to_string(), ""]);
        for (words, part) in
            [("  in both", old.both), ("  in the former only", old.only_old), ("  in the present only", old.only_new)]
        {
            shown.add_row([words, &part.fires.to_string(), &part.people.to_string(), ""]);
        }
    }
    println!("{shown}");
}

fn days(tested: &Tested) {
    let mut shown = show::table(["day (UTC)", "fires", "former version", ""]);
    let most = tested.days.iter().map(|day| day.fires).max().unwrap_or(0).max(1);
    for (n, day) in tested.days.iter().enumerate() {
        let old = tested.against.as_ref().and_then(|old| old.days.get(n));
        if day.fires == 0 && old.is_none_or(|old| old.fires == 0) {
            continue;
        }
        let bar = "#".repeat(usize::try_from((day.fires * 40).div_ceil(most)).unwrap_or(0));
        let old = old.map_or_else(String::new, |old| old.fires.to_string());
        shown.add_row([day.day.clone(), day.fires.to_string(), old, bar]);
    }
    println!("{shown}");
}
