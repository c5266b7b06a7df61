//! `espalier reconcile [--now [--source S] [--since T]]`, `espalier reconcile show|list|resend`

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::local::{Client, Local};
use super::{Configured, Ended, Failed, load, local, show};
use crate::clock::{Clock, SystemClock};
use crate::model::{Span, Timestamp};
use crate::ops::letters::{self, Replayed};
use crate::pull::Brought;
use crate::reconcile::{NightState, Report, Wanted, recent};
use crate::rules::Program;

/// How often a night that is under way is looked at.
const LOOKED: Span = Span::from_millis(300);
/// Reports that are listed.
const LISTED: usize = 30;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// The running daemon compares now what it compares at night; waits for the report.
    #[arg(long, required = true)]
    now: bool,
    /// Only this source.
    #[arg(long, value_name = "S")]
    source: Option<String>,
    /// Since this instant, or so long ago: `2026-11-20`, `3d`. Without it since the last good night.
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What a night found: the last, or the one that began then.
    Show {
        /// When it began, as `list` says it, or the beginning of that.
        of: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sends again what a vendor took and does not show, by the ids that a report names. A vendor that has it after all
    /// drops it, or is asked before.
    Resend {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<u64>,
    },
    /// The nights whose reports are kept, newest first.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let Some(what) = &args.what else {
        let client = local::needed(&configured.settings.store.path).await?;
        return now(&client, args).await;
    };
    let local = Local::of(&configured).await?;
    if let What::Resend { ids } = what {
        let done = resend(&local, &configured.program, ids).await;
        local.close().await?;
        return done;
    }
    let reports: Vec<Report> = match &local {
        Local::Daemon(client) => client.get("/api/nights", &[]).await?.unwrap_or_default(),
        Local::Store(store) => recent(&**store, LISTED).await.map_err(Failed::new)?,
    };
    local.close().await?;
    match what {
        What::Resend { .. } => {}
        What::List { json: true } => show::json(&reports)?,
        What::List { json: false } => list(&reports),
        What::Show { of, json } => {
            let wanted = of.as_deref().unwrap_or_default();
            let found = reports.iter().find(|report| report.of.to_string().starts_with(wanted));
            let report = found.ok_or_else(|| match reports.is_empty() {
                true => Failed("there was no night yet; `espalier reconcile --now` does one".into()),
                false => Failed(format!("no night began at `{wanted}`; `espalier reconcile list` names them")),
            })?;
            return told(report, *json);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn resend(local: &Local, program: &Program, ids: &[u64]) -> Ended {
    let mut done = 0;
    for id in ids {
        let replayed = match local {
            Local::Daemon(client) => match client.post(&format!("/api/nights/resend/{id}")).await {
                Ok(Some(_)) => Replayed::Done,
                Ok(None) => Replayed::Missing,
                Err(refused) => Replayed::Refused(refused.to_string()),
            },
            Local::Store(store) => {
                letters::resend(&**store, program, *id, SystemClock.now()).await.map_err(Failed::new)?
            }
        };
        match replayed {
            Replayed::Done => done += 1,
            Replayed::Missing => eprintln!("{id}: there is no event of this number that a vendor took"),
            Replayed::Refused(words) => eprintln!("{id}: {words}"),
        }
    }
    println!("{done} of {} put back into their lane", ids.len());
    Ok(if done == ids.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An instant, a day, or so long ago.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, Failed> {
    let at = Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")));
    let at = at.or_else(|| text.parse::<Span>().ok().map(|ago| now - ago));
    at.ok_or_else(|| Failed(format!("`{text}` is no instant, day or time ago: 2026-11-20T08:00:00Z, 2026-11-20, 3d")))
}

async fn now(client: &Client, args: &Args) -> Ended {
    let began = SystemClock.now();
    let since = args.since.as_deref().map(|text| since(text, began)).transpose()?;
    let before = state(client).await?.last.map(|report| report.of);
    let _: serde_json::Value = client.send("/api/nights", &Wanted { source: args.source.clone(), since }).await?;
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}").map_err(Failed::new)?);
    let report = loop {
        SystemClock.until(SystemClock.now() + LOOKED).await;
        let state = state(client).await?;
        if let Some(running) = state.running {
            bar.set_length(running.lists as u64);
            bar.set_position(running.read as u64);
            bar.set_message(running.doing);
        } else if let Some(last) = state.last.filter(|last| Some(last.of) != before) {
            break last;
        }
    };
    bar.finish_and_clear();
    told(&report, args.json)
}

async fn state(client: &Client) -> Result<NightState, Failed> {
    let state = client.get("/api/nights/state", &[]).await?;
    state.ok_or_else(|| Failed("the daemon does not know this: is it of an earlier version?".into()))
}

fn list(reports: &[Report]) {
    let mut table = show::table(["night", "ended", "lists", "missing", "lanes", "findings"]);
    for report in reports {
        let missing: u64 = report.lists.iter().map(|list| list.read.missing).sum();
        table.add_row([
            report.of.to_string(),
            report.ended.to_string(),
            report.lists.len().to_string(),
            missing.to_string(),
            report.lanes.len().to_string(),
            report.findings().len().to_string(),
        ]);
    }
    show::to_the_right(&mut table, 2..6);
    println!("{table}");
}

/// Exit code 0 where nothing differed, 2 where something did.
fn told(report: &Report, json: bool) -> Ended {
    if json {
        show::json(report)?
    } else {
        print(report)
    }
    Ok(if report.findings().is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn print(report: &Report) {
    println!(
        "The night of {}, until {}: {} events accepted since the one before.",
        report.of, report.ended, report.accepted
    );
    if !report.lists.is_empty() {
        let mut table = show::table(["list", "since", "events", "known", "missing", "unreadable", "read to its end"]);
        for list in &report.lists {
            let read = &list.read;
            table.add_row([
                format!("{}/{}", list.source, list.stream),
                list.from.to_string(),
                read.events.to_string(),
                read.known.to_string(),
                read.missing.to_string(),
                read.set_aside.to_string(),
                if read.is_done { "yes".into() } else { list.held.clone().unwrap_or_else(|| "no".into()) },
            ]);
        }
        show::to_the_right(&mut table, 2..6);
        println!("{table}");
    }
    for list in &report.lists {
        for one in &list.read.told {
            println!("was missing: {}/{}: {} of {} ({})", list.source, list.stream, one.name, one.at, one.key);
        }
    }
    for program in &report.programs {
        let Brought { records, events, set_aside, .. } = program.brought.clone().unwrap_or_default();
        let ended = program.ended();
        println!(
            "{}: its program was run once more: {records} records, {events} new events, {set_aside} unreadable; {ended}",
            program.source
        );
    }
    if !report.lanes.is_empty() {
        let heads = [
            "lane",
            "decided",
            "accepted",
            "of them deferred",
            "refused",
            "expired",
            "called back",
            "forgotten",
            "waiting",
            "astray",
        ];
        let mut table = show::table(heads);
        for lane in &report.lanes {
            let of = &lane.of;
            let (taken, deferred, waiting) = (of.accepted, lane.deferred, lane.queued);
            let counts = [of.made, taken, deferred, of.refused, of.expired, of.cancelled, of.forgotten, waiting];
            let counts = counts.iter().map(u64::to_string);
            table.add_row(std::iter::once(lane.lane.clone()).chain(counts).chain([lane.astray.to_string()]));
        }
        show::to_the_right(&mut table, 1..10);
        println!("{table}");
    }
    for lane in &report.lanes {
        let Some(looked) = &lane.looked else { continue };
        println!("what {} shows of what it took since {}: {}", lane.lane, looked.since, looked.words());
        for (why, n) in &looked.untold {
            println!("cannot be told of {n}: {why}");
        }
        for one in &looked.told {
            println!("is not shown: {} of {}, {} ({}, {})", one.event, one.trigger, one.at, one.occasion, one.id);
        }
    }
    match report.findings() {
        findings if findings.is_empty() => println!("Nothing differed."),
        findings => findings.iter().for_each(|words| println!("found: {words}")),
    }
}
