//! A million events under 20 triggers: simulated from a file, and back-tested from a store.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use espalier::clock::SystemClock;
use espalier::engine::{self, Engine};
use espalier::identity;
use espalier::model::Timestamp;
use espalier::rules::{self, Program};
use espalier::settings::Settings;
use espalier::source::tracking::{self, Call};
use espalier::source::{Arrival, Limits};
use espalier::store::Store;
use espalier::store::embedded::Embedded;

use crate::daemon::{configure, klaviyo_at};
use crate::load::median;
use crate::{ROUNDS, triggers};

const EVENTS: u64 = 1_000_000;
/// In milliseconds: a million take 30 days.
const EVERY: i64 = 2_592;
const START: i64 = 1_790_000_000_000;

fn message(n: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(START + n as i64 * EVERY).expect("an instant");
    triggers::message(n, at)
}

/// Runs the program; what it says, and how long it took.
fn timed(args: &[&str], folder: &Path) -> (Vec<u8>, f64) {
    let began = Instant::now();
    let out =
        Command::new(env!("CARGO_BIN_EXE_espalier")).args(args).current_dir(folder).output().expect("the program");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    (out.stdout, began.elapsed().as_secs_f64())
}

pub fn simulate() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), "", &klaviyo_at(([127, 0, 0, 1], 9).into()), &triggers::triggers());
    let file = std::fs::File::create(folder.path().join("events.jsonl")).expect("a file");
    let mut file = std::io::BufWriter::new(file);
    (0..EVENTS).for_each(|n| writeln!(file, "{}", message(n)).expect("room on the disk"));
    file.flush().expect("room on the disk");
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let (out, seconds) = timed(&["simulate", "--triggers", "triggers", "--events", "events.jsonl"], folder.path());
        println!("round {round}: {seconds:.1} s; {} fires", out.iter().filter(|byte| **byte == b'\n').count());
        took.push(seconds);
    }
    println!("simulate: {EVENTS} events, 20 triggers: {:.1} s (wanted under 30)", median(took));
}

/// No trigger yet; but histories are kept as they usually are.
fn nobody() -> Program {
    Program::of(Vec::new(), rules::Settings::default())
}

/// Brings the events into the store, with no trigger yet.
async fn fill(folder: &Path) {
    let configured = Settings::load(&folder.join("espalier.toml")).unwrap_or_else(|m| panic!("{m:?}"));
    let begin = Timestamp::from_millis(START);
    let store = Embedded::open(&configured.settings.store, begin).expect("a store");
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let (names, program) = (identity::Settings::default(), Arc::new(ArcSwap::from_pointee(nobody())));
    let clock = Arc::new(SystemClock);
    let engine = Engine::new(shared.clone(), clock, program, engine::Settings::default(), names.clone());
    let source: Arc<str> = "web".into();
    let limits = Limits { message: 1 << 20, messages: 1_000 };
    for block in 0..EVENTS / 1_000 {
        let messages: Vec<String> = (0..1_000).map(|one| message(block * 1_000 + one)).collect();
        let at = Timestamp::from_millis(START + ((block + 1) * 1_000) as i64 * EVERY);
        let arrival = Arrival { source: &source, at, names: &names, limits: &limits };
        let body = format!("{{\"batch\":[{}]}}", messages.join(","));
        let read =
            tracking::read(body.as_bytes(), Call::Batch, &arrival).unwrap_or_else(|_| panic!("our own messages"));
        shared.append(read.events, None).await.expect("room on the disk");
        if block % 20 == 0 {
            engine.drain().await.expect("a step");
        }
    }
    engine.drain().await.expect("a step");
    shared.close().await.expect("an end");
}

pub async fn backtest() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), "cache = \"256 MB\"\n", &klaviyo_at(([127, 0, 0, 1], 9).into()), &triggers::triggers());
    let began = Instant::now();
    fill(folder.path()).await;
    println!("stored in {:?}", Duration::from_secs(began.elapsed().as_secs()));
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let (out, seconds) = timed(&["backtest", "--format", "json", "--config", "espalier.toml"], folder.path());
        let found: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        println!("round {round}: {seconds:.1} s; {} people, {} events", found["people"], found["events"]);
        took.push(seconds);
    }
    println!("backtest: {EVENTS} events, 20 triggers: {:.1} s (wanted under 30)", median(took));
}
