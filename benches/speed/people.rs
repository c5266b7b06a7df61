//! What deciding costs when there are many people: the same events a second whether 10,000 are known or a million.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use espalier::clock::VirtualClock;
use espalier::engine::{self, Engine};
use espalier::identity;
use espalier::model::setting::Size;
use espalier::model::{Event, EventKind, Identifier, IdentifierKind, Origin, RawJson, Span, Timestamp};
use espalier::rules::{self, Program};
use espalier::store::Store;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;

use crate::load::median;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Of sled, and of decoded people.
const CACHE_MB: u64 = 256;
/// Events of a round.
const EVENTS: u64 = 100_000;
const POPULATIONS: [u64; 3] = [10_000, 100_000, 1_000_000];

/// A store with so many people, and its engine.
struct Town {
    people: u64,
    store: Embedded,
    engine: Engine,
    clock: VirtualClock,
    events: u64,
    _folder: tempfile::TempDir,
}

impl Town {
    async fn of(people: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Size(CACHE_MB << 20);
        let settings = Settings { path: folder.path().to_owned(), cache, people_cache: cache, ..Settings::default() };
        let program = Program::compile(&super::triggers::triggers(), &rules::Settings::default(), None);
        let store = Embedded::open(&settings, START).expect("a store");
        let clock = VirtualClock::new(START);
        let engine = Engine::new(
            Arc::new(store.clone()),
            Arc::new(clock.clone()),
            Arc::new(ArcSwap::from_pointee(program.expect("triggers"))),
            engine::Settings::default(),
            identity::Settings::default(),
        );
        let mut town = Self { people, store, engine, clock, events: 0, _folder: folder };
        town.decide((0..people).collect()).await;
        town
    }

    /// One event of each of these.
    async fn decide(&mut self, who: Vec<u64>) {
        for some in who.chunks(1_000) {
            let events: Vec<Event> = some.iter().map(|person| self.event(*person)).collect();
            if let Some(last) = events.last() {
                self.clock.set(last.arrived);
            }
            self.store.append(events, None).await.expect("room");
            self.engine.drain().await.expect("a whole store");
        }
    }

    fn event(&mut self, person: u64) -> Event {
        self.events += 1;
        let at = START + Span::from_millis(self.events as i64);
        let product = self.events.wrapping_mul(2_654_435_761) % 500;
        Event {
            kind: EventKind::Did,
            name: if self.events.is_multiple_of(5) { "Product Added" } else { "Product Viewed" }.into(),
            at,
            claimed_at: None,
            arrived: at,
            source: "bench".into(),
            origin: Origin::Tracking,
            dedupe: vec![Event::dedupe_key(&["bench", &self.events.to_string()])],
            identifiers: vec![
                Identifier::new(IdentifierKind::UserId, format!("u{person}")),
                Identifier::new(IdentifierKind::Email, format!("u{person}@example.com")),
            ],
            session: None,
            properties: RawJson::trusted(format!(
                "{{\"product_id\":\"p{product}\",\"cart_id\":\"c{person}\",\"price\":\"19.90\",\"currency\":\"EUR\"}}"
            )),
            traits: RawJson::empty(),
        }
    }

    /// Events decided a second. A few people do much: the square of an even share.
    async fn round(&mut self, round: u64) -> f64 {
        let mut random = fastrand::Rng::with_seed(round);
        let who = (0..EVENTS).map(|_| {
            let share = random.f64();
            (share * share * self.people as f64) as u64
        });
        let who: Vec<u64> = who.collect();
        let began = Instant::now();
        self.decide(who).await;
        EVENTS as f64 / began.elapsed().as_secs_f64()
    }
}

pub async fn many() {
    let mut towns = Vec::new();
    for people in POPULATIONS {
        towns.push(Town::of(people).await);
    }
    let mut rates = vec![Vec::new(); towns.len()];
    for round in 0..crate::ROUNDS as u64 {
        for (town, rates) in towns.iter_mut().zip(&mut rates) {
            rates.push(town.round(round).await);
        }
    }
    let medians: Vec<f64> = rates.into_iter().map(median).collect();
    let Some(first) = medians.first() else { return };
    for (people, rate) in POPULATIONS.iter().zip(&medians) {
        println!(
            "people: {people} known, caches of {CACHE_MB} MB: {rate:.0} events/s decided, {:.2} of those with {} (wanted 0.7)",
            rate / first,
            POPULATIONS[0]
        );
    }
    for town in towns {
        town.store.close().await.expect("an end");
    }
}
