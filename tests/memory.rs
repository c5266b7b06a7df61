//! People that sleep cost disk, not memory. `ESPALIER_PEOPLE` sets how many there are (20,000 unless told otherwise):
//! `ESPALIER_PEOPLE=1000000 cargo test --release --test memory -- --nocapture`.

#![expect(clippy::disallowed_methods, reason = "a test's own switch")]

mod did;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use did::did;
use espalier::clock::VirtualClock;
use espalier::engine::{self, Engine};
use espalier::identity;
use espalier::model::setting::Size;
use espalier::model::{Event, Identifier, IdentifierKind, RawJson, Span, Timestamp};
use espalier::rules::{self, Program};
use espalier::store::Store;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The caches of the store in this test.
const CACHE: u64 = 32 << 20;
/// What memory may grow to besides: sled's cache takes up to 1.7 times what it is told.
const BESIDES: u64 = 150 << 20;
const START: i64 = 1_795_000_000_000;

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn on_disk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the store");
    entries
        .map(|e| e.expect("a file").path())
        .map(|path| if path.is_dir() { on_disk(&path) } else { path.metadata().map_or(0, |m| m.len()) })
        .sum()
}

/// The n-th person looks at a product.
fn event(n: u64) -> Event {
    let at = Timestamp::from_millis(START) + Span::from_millis(i64::try_from(n).expect("a bounded test"));
    let identifiers = vec![
        Identifier::new(IdentifierKind::UserId, format!("u{n}")),
        Identifier::new(IdentifierKind::Email, format!("u{n}@example.com")),
    ];
    let properties = format!(
        "{{\"product_id\":\"p{}\",\"name\":\"Product {}\",\"price\":19.9,\"currency\":\"EUR\"}}",
        n % 500,
        n % 500
    );
    Event {
        properties: RawJson::trusted(properties),
        traits: RawJson::trusted("{\"plan\":\"gold\",\"city\":\"Ghent\"}"),
        ..did(&n.to_string(), "Product Viewed", at, identifiers)
    }
}

/// Steps on threads of the same number as in the program.
#[test]
fn people_cost_disk_and_not_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(4).enable_all().build();
    runtime.expect("a runtime").block_on(fill());
}

async fn fill() {
    let people: u64 = std::env::var("ESPALIER_PEOPLE").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        path: folder.path().to_owned(),
        cache: Size(CACHE),
        people_cache: Size(CACHE),
        ..Settings::default()
    };
    let text = include_str!("../config/triggers/viewed-not-added.toml").to_owned();
    let program = Program::compile(&[("t".into(), text)], &rules::Settings::default(), None).expect("a trigger");
    let store = Embedded::open(&settings, Timestamp::from_millis(START)).expect("a store");
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let clock = VirtualClock::new(Timestamp::from_millis(START));
    let program = Arc::new(ArcSwap::from_pointee(program));
    let engine = Engine::new(
        shared.clone(),
        Arc::new(clock.clone()),
        program,
        engine::Settings::default(),
        identity::Settings::default(),
    );
    let before = resident();
    let mut half = 0;
    for first in (0..people).step_by(1_000) {
        let events: Vec<Event> = (first..(first + 1_000).min(people)).map(event).collect();
        if let Some(last) = events.last() {
            clock.set(last.arrived);
        }
        shared.append(events, None).await.expect("room");
        engine.drain().await.expect("a whole store");
        if first == people / 2 / 1_000 * 1_000 {
            half = resident();
        }
    }
    assert_eq!(shared.counts().people, people);
    let grown = resident().saturating_sub(before);
    println!(
        "{people} people: {} bytes of memory each ({} MB in all, {} MB in the second half), {} bytes of state and {} bytes of journal each",
        grown / people,
        grown >> 20,
        resident().saturating_sub(half) >> 20,
        on_disk(&folder.path().join("state")) / people,
        on_disk(&folder.path().join("journal")) / people
    );
    let most = CACHE * 17 / 10 + CACHE + BESIDES;
    assert!(grown <= most, "memory grew by {} MB, more than {} MB", grown >> 20, most >> 20);
    shared.close().await.expect("an end");
}
