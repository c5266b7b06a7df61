//! The same engine, driven the same way, over a store of each kind; and what there is to see of each.

pub mod seen;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use espalier::clock::{Clock, VirtualClock};
use espalier::engine::{self, Engine};
use espalier::identity;
use espalier::model::setting::{Secret, Size};
use espalier::model::{Event, Order, Span, Timestamp, TriggerId};
use espalier::rules::Program;
use espalier::store::embedded::Embedded;
use espalier::store::postgres::Postgres;
use espalier::store::settings::{Kind, Settings};
use espalier::store::{Step, Store, Work, WorkId};

use crate::support::stores;

/// A store with the engine over it.
pub struct Side {
    settings: Settings,
    clock: VirtualClock,
    program: Arc<ArcSwap<Program>>,
    batch: usize,
    /// None between two openings.
    open: Option<(Arc<dyn Store>, Engine)>,
}

impl Side {
    async fn begin(
        kind: Kind,
        folder: &Path,
        clock: VirtualClock,
        program: Arc<ArcSwap<Program>>,
        batch: usize,
    ) -> Self {
        let url = match kind {
            Kind::Embedded => None,
            Kind::Postgres => Some(Secret::new(stores::database().await)),
        };
        let settings = Settings {
            kind,
            path: folder.to_owned(),
            url,
            connections: 4,
            cache: Size(4 << 20),
            // Nothing is cut by its age meanwhile: when that is done is each store's own.
            records: Span::from_days(3_650),
            dedupe: Span::from_days(3_650),
            ..Settings::default()
        };
        let mut side = Self { settings, clock, program, batch, open: None };
        side.open().await;
        side
    }

    async fn open(&mut self) {
        let store: Arc<dyn Store> = match self.settings.kind {
            Kind::Embedded => Arc::new(Embedded::open(&self.settings, self.clock.now()).expect("a store")),
            Kind::Postgres => Arc::new(Postgres::open(&self.settings).await.expect("a store")),
        };
        let engine = Engine::new(
            store.clone(),
            Arc::new(self.clock.clone()),
            self.program.clone(),
            engine::Settings { batch: self.batch },
            identity::Settings::default(),
        );
        self.open = Some((store, engine));
    }

    pub fn store(&self) -> &dyn Store {
        &*self.open.as_ref().expect("it is open").0
    }

    pub fn engine(&self) -> &Engine {
        &self.open.as_ref().expect("it is open").1
    }

    /// Ends, well or as a daemon that is killed, and begins again.
    async fn again(&mut self, is_closed: bool) {
        self.end(is_closed).await;
        self.open().await;
    }

    async fn end(&mut self, is_closed: bool) {
        let Some((store, engine)) = self.open.take() else { return };
        drop(engine);
        match &self.settings.url {
            // What is in memory goes, and nobody gives the leases back.
            Some(url) if !is_closed => {
                drop(store);
                stores::free(url.expose()).await;
            }
            _ => {
                // What is read ahead is waited for: it holds the store.
                store.due(Timestamp::MIN, 0).await.expect("nobody");
                store.close().await.expect("a close");
            }
        }
    }
}

/// Both, with what of each is in somebody's hands: by lane, the same activation's numbers.
pub struct Pair {
    pub sides: [Side; 2],
    pub clock: VirtualClock,
    program: Arc<ArcSwap<Program>>,
    hands: Vec<(&'static str, [WorkId; 2])>,
    /// None of them was killed yet.
    is_sure: bool,
    _folder: tempfile::TempDir,
}

/// Asks both, and has the same answer of both.
macro_rules! same {
    ($pair:expr, $what:expr, |$store:ident| $asked:expr) => {{
        let $store = $pair.sides[0].store();
        let one = $asked.await;
        let $store = $pair.sides[1].store();
        let other = $asked.await;
        let (one, other) = (one.expect("an answer of the embedded store"), other.expect("an answer of PostgreSQL"));
        assert_eq!(one, other, "{}: the embedded store, and PostgreSQL", $what);
        one
    }};
}
pub(crate) use same;

impl Pair {
    /// Both are empty, and ask this program.
    pub async fn begin(program: Program, at: Timestamp, batch: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = VirtualClock::new(at);
        let program = Arc::new(ArcSwap::from_pointee(program));
        let side = |kind| Side::begin(kind, folder.path(), clock.clone(), program.clone(), batch);
        let sides = [side(Kind::Embedded).await, side(Kind::Postgres).await];
        let pair = Self { sides, clock, program, hands: Vec::new(), is_sure: true, _folder: folder };
        // Before anything happens: else who is there already would be adopted.
        pair.decide().await;
        pair
    }

    pub fn ask(&self, program: Program) {
        self.program.store(Arc::new(program));
    }

    /// These happen, in one message.
    pub async fn hear(&self, events: Vec<Event>) {
        same!(self, "the journal's end", |store| store.append(events.clone(), None));
    }

    /// All that there is to decide by now is decided.
    pub async fn decide(&self) {
        for side in &self.sides {
            side.engine().drain().await.expect("a whole store");
        }
    }

    pub async fn obey(&self, trigger: TriggerId, order: Order) {
        for side in &self.sides {
            side.engine().obey(trigger, order).await.expect("a whole store");
        }
    }

    /// All that waits is written down as a step and not decided, as when the engine is killed at it. What is left of a
    /// backlog the embedded store would give in other portions when it is opened again: so there is none.
    pub async fn begin_step(&self) {
        let [one, _] = &self.sides;
        let counts = one.store().counts();
        let waits = usize::try_from(counts.journaled.0 - counts.decided.0).expect("few");
        if waits > one.batch || one.store().recorded().await.expect("a read").is_some() {
            return self.decide().await;
        }
        for side in &self.sides {
            let claim = side.store().claim(side.batch).await.expect("a claim");
            if let Some((until, _)) = claim.events.last() {
                let step = Step::Events { until: *until, now: self.clock.now() };
                side.store().record(step).await.expect("a step");
            }
        }
    }

    /// Both are ended, and begin again; what was in hand is in nobody's, for these lanes are taken over at once. Until then
    /// PostgreSQL, which cannot know whether who has it lives, calls nothing of it back.
    pub async fn again(&mut self, is_closed: bool, lanes: &[&str]) {
        self.hands.clear();
        self.is_sure &= is_closed;
        for side in &mut self.sides {
            side.again(is_closed).await;
            for lane in lanes {
                let none = side.store().work(lane, self.clock.now(), 0).await.expect("an answer");
                assert!(none.is_empty(), "nothing was asked for");
            }
        }
    }

    /// Takes what may leave.
    pub async fn take(&mut self, lane: &'static str, max: usize) {
        // While a step is to be taken again the embedded store gives nothing: a later one may be in its journal.
        if self.sides[0].store().recorded().await.expect("a read").is_some() {
            self.decide().await;
        }
        let now = self.clock.now();
        let [one, other] = &self.sides;
        let one = one.store().work(lane, now, max).await.expect("work");
        let other = other.store().work(lane, now, max).await.expect("work");
        let told = |work: &[Work]| -> Vec<_> { work.iter().map(|one| (one.activation.clone(), one.tries)).collect() };
        assert_eq!(told(&one), told(&other), "what may leave by {lane}: the embedded store, and PostgreSQL");
        // What a journal that is ahead of its state leaves open, a database knows.
        let is_sure = self.is_sure;
        let agree = one.iter().zip(&other).all(|(one, other)| match one.may_have_left {
            true => other.may_have_left || !is_sure,
            false => !other.may_have_left,
        });
        assert!(agree, "what may have left by {lane}: {one:?}\n{other:?}");
        self.hands.extend(one.iter().zip(&other).map(|(one, other)| (lane, [one.id, other.id])));
    }

    /// One of those in hand, on both.
    pub fn pick(&mut self, index: proptest::sample::Index) -> Option<(&'static str, [WorkId; 2])> {
        (!self.hands.is_empty()).then(|| self.hands.swap_remove(index.index(self.hands.len())))
    }

    /// It stays in hand.
    pub fn keep(&mut self, one: (&'static str, [WorkId; 2])) {
        self.hands.push(one);
    }

    /// Both are closed, and the database is gone.
    pub async fn end(mut self) {
        for side in &mut self.sides {
            side.end(true).await;
            if let Some(url) = &side.settings.url {
                stores::drop_database(url.expose()).await;
            }
        }
    }
}
