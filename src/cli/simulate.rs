//! `espalier simulate`: what triggers would have done. The same engine in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::show::{self, Unread};
use super::{Ended, Failed, check, load, messages, parallel};
use crate::clock::{Clock, SystemClock};
use crate::model::{Catalogue, Span, Timestamp};
use crate::replay::{Fire, Simulation, Sold, leaves, simulate_with};
use crate::rules::{self, Files, Program, gate};
use crate::{identity, intake, settings};

/// So many fires are text at once, in memory that is used again; fewer are not worth a thread.
const BLOCK: usize = 2_000;
const FEW: usize = 512;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration whose triggers and identity rules are used.
    #[arg(long, short, conflicts_with = "triggers", required_unless_present = "triggers")]
    config: Option<PathBuf>,
    /// A folder of trigger files; no configuration is needed.
    #[arg(long)]
    triggers: Option<PathBuf>,
    /// A folder of segment files, for triggers that ask for one.
    #[arg(long, requires = "triggers")]
    segments: Option<PathBuf>,
    /// Segment-spec messages, one JSON object a line, in any order; `.gz` is unpacked.
    #[arg(long)]
    events: PathBuf,
    /// What is for sale, as `catalogue import` takes it: for payloads.
    #[arg(long)]
    catalogue: Option<PathBuf>,
    /// Only this trigger.
    #[arg(long)]
    trigger: Option<String>,
    /// Time runs on to this instant after the last event.
    #[arg(long)]
    until: Option<String>,
    /// `jsonl`: a line for each fire. `table`: what to look at before switching a trigger on.
    #[arg(long, default_value = "jsonl")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Jsonl,
    Table,
}

pub fn run(args: &Args) -> Ended {
    let (program, names) = program(args)?;
    let program = match &args.trigger {
        None => program,
        Some(wanted) => {
            let chosen: Vec<_> = program.triggers().iter().filter(|t| *t.name == **wanted).cloned().collect();
            if chosen.is_empty() {
                return Err(Failed(format!("there is no trigger `{wanted}`")));
            }
            Program::of(chosen, program.settings().clone())
        }
    };
    let until = match &args.until {
        None => None,
        Some(text) => Some(Timestamp::parse(text).ok_or_else(|| Failed(format!("`{text}` is not RFC 3339")))?),
    };
    let events = messages::read(&args.events, &names)?;
    let counts = match args.format {
        Format::Table => leaves(&events, &program, &names, until),
        Format::Jsonl => Vec::new(),
    };
    let simulation = simulate_with(events, &program, &names, until, &for_sale(args)?);
    match args.format {
        Format::Jsonl => {
            let mut out = std::io::stdout().lock();
            for block in simulation.fires.chunks(BLOCK) {
                for text in parallel::parts(block, FEW, lines) {
                    // A closed pipe ends the printing, which is what its reader wanted.
                    if out.write_all(&text.map_err(Failed::new)?).is_err() {
                        return Ok(ExitCode::SUCCESS);
                    }
                }
            }
            let _ = out.flush();
        }
        Format::Table => table(&program, &simulation, &counts),
    }
    Ok(ExitCode::SUCCESS)
}

/// Fires as they are printed, a line each.
fn lines(fires: &[Fire]) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for fire in fires {
        serde_json::to_writer(&mut text, fire)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn for_sale(args: &Args) -> Result<Sold, Failed> {
    let mut catalogue = Catalogue::default();
    if let Some(file) = &args.catalogue {
        let (now, mut unread) = (SystemClock.now(), Unread::of(file));
        let read = intake::catalogue::products(file, now, &mut |item| _ = catalogue.put(item), &mut |line, words| {
            unread.tell(line, words);
        });
        read.map_err(|e| Failed(format!("{}: {e}", file.display())))?;
    }
    Ok(Sold { catalogue: Arc::new(catalogue), ..Sold::default() })
}

fn program(args: &Args) -> Result<(Program, identity::Settings), Failed> {
    if let Some(config) = &args.config {
        let configured = load(config)?;
        return Ok((configured.program, configured.settings.identity));
    }
    let files = |folder: &Option<PathBuf>, key| match folder {
        Some(folder) => settings::toml_files(folder, key).map_err(|mistake| vec![*mistake]),
        None => Ok(Vec::new()),
    };
    let compiled = files(&args.triggers, "triggers").and_then(|triggers| {
        let segments = files(&args.segments, "segments")?;
        let files = Files { triggers: &triggers, segments: &segments, configuration: None };
        let gates = gate::Settings::unconfigured();
        Program::compile_all(&files, &rules::Settings { gates, ..rules::Settings::default() }, None)
    });
    match compiled {
        Ok(program) => Ok((program, identity::Settings::default())),
        Err(mistakes) => {
            check::print(&mistakes);
            Err(Failed(format!("{} in the triggers", check::counted(mistakes.len()))))
        }
    }
}

fn table(program: &Program, simulation: &Simulation, leaves: &[crate::replay::LeafCount]) {
    let days = simulation
        .span
        .map_or(1.0, |(first, last)| (last.since(first).as_millis() as f64 / Span::DAY.as_millis() as f64).max(1.0));
    println!("{} people, {} events, {days:.1} days", simulation.people, simulation.events);
    let share = |people: usize| show::percent(people as f64 / simulation.people.max(1) as f64);
    let mut by_trigger: BTreeMap<&str, (usize, BTreeSet<_>)> = BTreeMap::new();
    let mut held_back: BTreeMap<&str, usize> = BTreeMap::new();
    for fire in &simulation.fires {
        if fire.is_dropped() {
            *held_back.entry(&fire.trigger).or_default() += 1;
            continue;
        }
        let entry = by_trigger.entry(&fire.trigger).or_default();
        entry.0 += 1;
        entry.1.insert(fire.who);
    }
    let mut shown =
        show::table(["trigger, and each condition alone", "fires", "a day", "people", "share", "held back"]);
    for trigger in program.triggers() {
        let (fires, people) = by_trigger.get(&*trigger.name).map_or((0, 0), |(fires, people)| (*fires, people.len()));
        let row = [
            trigger.name.to_string(),
            fires.to_string(),
            format!("{:.1}", fires as f64 / days),
            people.to_string(),
            share(people),
            held_back.get(&*trigger.name).unwrap_or(&0).to_string(),
        ];
        shown.add_row(row);
        for leaf in leaves.iter().filter(|leaf| leaf.trigger == trigger.name) {
            let row = [
                format!("  {}", leaf.condition),
                String::new(),
                String::new(),
                leaf.people.to_string(),
                share(leaf.people),
                String::new(),
            ];
            shown.add_row(row);
        }
    }
    println!("{shown}");
}
