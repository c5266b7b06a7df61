//! A state that is made again from the journal says what the one before it said: the same occasions and verdicts, the
//! same people. In virtual time; `PROPTEST_CASES` sets how many random lives are lived (24 unless told otherwise).

mod did;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use did::did;
use espalier::clock::{Clock, VirtualClock};
use espalier::engine::{self, Engine};
use espalier::identity;
use espalier::model::setting::Size;
use espalier::model::{
    Changes, Decision, Event, Identifier, IdentifierKind, Join, Order, PausePolicy, Person, RawJson, Release, Span,
    Timestamp, TriggerId, Verdict,
};
use espalier::rules::{self, Program, gate};
use espalier::store::embedded::{Embedded, rebuild, verify};
use espalier::store::settings::Settings;
use espalier::store::{Store, record};
use proptest::collection::vec;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// Fires at once, for each key, whatever the past; more than six times an hour it pauses itself.
const PING: (&str, &str) = ("ping", "per = \"cart_id\"\nguard = { most = 6 }\n[[when.all]]\ndid = \"Ping\"\n");
/// Fires by time alone, not again within a day, and never late.
const LEFT: (&str, &str) = (
    "left",
    "priority = 80\ncooldown = \"24h\"\nexpires = \"1h\"\n[[when.all]]\nlast = \"Product Added\"\nover = \"30m\"\n\
     [[when.all]]\ndid_not = \"Order Completed\"\nsince = \"Product Added\"\n",
);
/// True of everybody who ever added something.
const ADDED: (&str, &str) = ("added", "[[when.all]]\ndid = \"Product Added\"\nat_least = 2\nwithin = \"3h\"\n");
/// One more that comes later, and looks back.
const RECENT: (&str, &str) =
    ("recent", "per = \"cart_id\"\nfrom = \"2026-01-01\"\n[[when.all]]\ndid = \"Product Added\"\nwithin = \"2h\"\n");

/// In force in random lives: nights that come up again and again, and a cap that a second activation meets.
const GATES: &str = "quiet_hours = { from = \"12:00\", until = \"15:30\", zone = \"Europe/Lisbon\" }\n\
                     cap = { most = 2, within = \"5h\" }\nholdout = \"10%\"\n";

fn program(triggers: &[(&str, &str)], gates: &gate::Settings) -> Program {
    let file = |(name, rule): &(&str, &str)| {
        let place = rule.find("[[when").expect("a condition");
        let activate = "activate = [{ destination = \"esp\", event = \"Go\" }]\n";
        let text = format!("name = \"{name}\"\ntitle = \"T\"\n{}{activate}{}", &rule[..place], &rule[place..]);
        (format!("{name}.toml"), text)
    };
    let files: Vec<_> = triggers.iter().map(file).collect();
    let settings = rules::Settings { gates: gates.clone(), ..rules::Settings::default() };
    Program::compile(&files, &settings, None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn minutes(n: i64) -> Timestamp {
    START + Span::from_minutes(n)
}

/// Everything that was decided of one person, and what is remembered.
type Told = (Person, Vec<Decision>, Vec<Join>);

/// A store, its engine, and a clock that is turned by hand.
struct Life {
    settings: Settings,
    batch: usize,
    clock: VirtualClock,
    gates: gate::Settings,
    program: Arc<ArcSwap<Program>>,
    open: Option<(Embedded, Engine)>,
    messages: u64,
}

impl Life {
    fn new(folder: &Path, batch: usize, triggers: &[(&str, &str)]) -> Self {
        let settings = Settings {
            path: folder.to_owned(),
            cache: Size(4 << 20),
            segment: Size(2 << 10),
            retention: Span::ZERO,
            ..Settings::default()
        };
        let gates = gate::Settings::default();
        let program = Arc::new(ArcSwap::from_pointee(program(triggers, &gates)));
        Self { settings, batch, clock: VirtualClock::new(START), gates, program, open: None, messages: 0 }
    }

    fn begin(&mut self) -> &(Embedded, Engine) {
        self.open.get_or_insert_with(|| {
            let store = Embedded::open(&self.settings, self.clock.now()).expect("a store");
            let engine = Engine::new(
                Arc::new(store.clone()),
                Arc::new(self.clock.clone()),
                self.program.clone(),
                engine::Settings { batch: self.batch },
                identity::Settings::default(),
            );
            (store, engine)
        })
    }

    fn ask_other(&mut self, triggers: &[(&str, &str)]) {
        self.program.store(Arc::new(program(triggers, &self.gates)));
    }

    /// Something done at an instant, which arrives now.
    async fn does(&mut self, user: &str, device: Option<&str>, name: &str, key: &str, at: Timestamp) {
        self.messages += 1;
        let user = Identifier::new(IdentifierKind::UserId, user);
        let device = device.map(|device| Identifier::new(IdentifierKind::AnonymousId, device));
        let names = std::iter::once(user).chain(device).collect();
        let event = Event {
            arrived: self.clock.now(),
            properties: RawJson::trusted(format!("{{\"cart_id\":\"{key}\",\"product_id\":\"{key}\"}}")),
            ..did(&self.messages.to_string(), name, at, names)
        };
        self.begin().0.append(vec![event], None).await.expect("room");
    }

    async fn decide(&mut self) {
        self.begin().1.drain().await.expect("a whole store");
    }

    async fn end(&mut self) {
        if let Some((store, _)) = self.open.take() {
            // What is read ahead is waited for: it holds the store.
            store.due(Timestamp::MIN, 0).await.expect("nobody");
            store.close().await.expect("a close");
        }
    }

    async fn told(&mut self) -> Vec<Told> {
        let store = self.begin().0.clone();
        let mut told = Vec::new();
        for person in store.people(None, usize::MAX).await.expect("everybody") {
            let story = store.story(person.id).await.expect("a read").expect("a story");
            told.push((story.person, story.decisions, story.joins));
        }
        told
    }

    /// Edges, verdicts and when they were learned of, of all.
    async fn edges(&mut self) -> Vec<(String, Timestamp, Timestamp, Verdict)> {
        let told = self.told().await.into_iter().flat_map(|(_, decisions, _)| decisions);
        told.map(|d| (d.trigger.to_string(), d.at, d.decided, d.verdict)).collect()
    }

    /// Makes the state again, and holds what it says against what it said before.
    async fn is_made_again_exactly(&mut self) {
        self.decide().await;
        let before = self.told().await;
        let states = self.begin().0.triggers();
        self.end().await;
        rebuild(&self.settings, self.clock.now()).expect("a rebuild");
        self.decide().await;
        let after = self.told().await;
        assert_eq!(after, before);
        assert_eq!(self.begin().0.triggers(), states);
        let bytes = |told: &[Told]| -> Vec<Vec<u8>> { told.iter().map(|(_, d, j)| record::encode(&(d, j))).collect() };
        assert_eq!(bytes(&after), bytes(&before));
        self.end().await;
        assert_eq!(verify(&self.settings).expect("a check").damage, Vec::<String>::new());
    }
}

fn activated() -> Verdict {
    Verdict::Activated(vec!["esp".into()])
}

/// Gives each occasion a code of the pool that both of these take from.
const CODED: [(&str, &str); 2] = [
    ("one", "per = \"cart_id\"\ncode = { pool = \"few\" }\n[[when.all]]\ndid = \"Ping\"\n"),
    (
        "two",
        "per = \"cart_id\"\npriority = 90\ncode = { pool = \"few\" }\n[[when.all]]\nlast = \"Ping\"\nover = \"5m\"\n",
    ),
];

/// Who has which code, by occasion.
async fn codes(life: &mut Life) -> BTreeMap<String, String> {
    let store = life.begin().0.clone();
    let mut codes = BTreeMap::new();
    for person in store.people(None, usize::MAX).await.expect("everybody") {
        let story = store.story(person.id).await.expect("a read").expect("a story");
        for record in story.records {
            if let Some(code) = record.activation.payload.to_value()["code"].as_str() {
                codes.insert(record.activation.occasion.to_string(), code.to_owned());
            }
        }
    }
    codes
}

/// Orders are counted when the first trigger asks for them, over everybody who is there.
#[tokio::test]
async fn what_was_ordered_is_counted_when_a_trigger_first_asks() {
    const RECOMMENDS: (&str, &str) = (
        "recommends",
        "per = \"cart_id\"\nrecommend = { by = [\"popular\"], count = 2 }\n[[when.all]]\ndid = \"Ping\"\n",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::new(folder.path(), 3, &[PING]);
    for (n, product) in ["a", "b", "b", "c", "c", "c"].iter().enumerate() {
        life.does(&format!("u{n}"), None, "Order Completed", product, minutes(0)).await;
    }
    life.decide().await;
    life.ask_other(&[RECOMMENDS]);
    life.clock.set(minutes(1));
    life.does("u5", None, "Ping", "x", minutes(1)).await;
    life.decide().await;
    let store = life.begin().0.clone();
    let mut said = Vec::new();
    for person in store.people(None, usize::MAX).await.expect("everybody") {
        let records = store.story(person.id).await.expect("a read").expect("a story").records;
        said.extend(records.iter().map(|record| record.activation.payload.to_value()["recommended"].clone()));
    }
    // Not `c`, which this one has bought.
    let products = |ids: [&str; 2]| serde_json::json!(ids.map(|id| serde_json::json!({ "product_id": id })));
    assert_eq!(said, [products(["b", "a"])]);
    drop(store);
    life.end().await;
}

/// Whatever is made again, with which triggers, and whatever happens since: an occasion keeps its code, and no code is of
/// two occasions.
#[tokio::test]
async fn codes_stay_with_their_occasions() {
    for seed in 0..16 {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let batch = random.usize(1..20);
        let mut life = Life::new(folder.path(), batch, &CODED);
        let mut had: BTreeMap<String, String> = BTreeMap::new();
        let (mut now, mut made) = (0, 0);
        for round in 0..12 {
            let new = (0..random.usize(0..8)).map(|n| format!("C{}", made + n).into()).collect::<Vec<Box<str>>>();
            made += new.len();
            life.begin().0.add_codes("few", new).await.expect("an import");
            for _ in 0..random.u8(1..5) {
                now += random.i64(0..9);
                life.clock.set(minutes(now));
                let (user, cart) = (format!("u{}", random.u8(0..3)), format!("c{}", random.u8(0..40)));
                let late = random.i64(0..3) * random.i64(0..7);
                life.does(&user, None, "Ping", &cart, minutes(now - late)).await;
                if random.bool() {
                    life.decide().await;
                }
            }
            life.decide().await;
            let before = codes(&mut life).await;
            for (occasion, code) in &before {
                let known = had.entry(occasion.clone()).or_insert_with(|| code.clone());
                assert_eq!(known, code, "seed {seed}, round {round}: another code than before");
            }
            match random.u8(0..4) {
                0 if seed % 2 == 0 => life.is_made_again_exactly().await,
                1 => life.end().await,
                2 if seed % 2 == 1 => {
                    // What is made again is asked by other triggers: fewer codes are taken, in another order.
                    life.end().await;
                    rebuild(&life.settings, life.clock.now()).expect("a rebuild");
                    life.ask_other(&CODED[random.usize(0..2)..][..1]);
                    life.decide().await;
                    life.ask_other(&CODED);
                }
                _ => {}
            }
            let distinct: std::collections::BTreeSet<&String> = had.values().collect();
            assert_eq!(distinct.len(), had.len(), "seed {seed}, round {round}: a code was given twice");
        }
        assert!(had.len() > 3, "seed {seed}: {} codes given", had.len());
        life.end().await;
    }
}

#[tokio::test]
async fn an_event_that_came_after_a_timer_is_asked_where_it_was_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::new(folder.path(), 100, &[PING, LEFT]);
    life.does("ines", None, "Product Added", "c1", minutes(0)).await;
    life.decide().await;
    life.clock.set(minutes(31));
    life.decide().await;
    life.does("ines", None, "Ping", "c1", minutes(29)).await;
    life.decide().await;
    let edge = |trigger: &str, verdict| (trigger.to_owned(), minutes(30), minutes(31), verdict);
    assert_eq!(life.edges().await.len(), 2);
    assert!(life.edges().await.contains(&edge("ping", activated())), "at the timer, not at its own time");
    life.clock.set(minutes(40));
    life.is_made_again_exactly().await;
}

#[tokio::test]
async fn what_fired_in_time_is_not_expired_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::new(folder.path(), 100, &[LEFT]);
    for at in [0, 120, 26 * 60] {
        life.clock.set(minutes(at));
        life.does("ines", None, "Product Added", "c1", minutes(at)).await;
        life.decide().await;
        life.clock.set(minutes(at + 30));
        life.decide().await;
    }
    let verdicts: Vec<Verdict> = life.edges().await.into_iter().map(|(.., verdict)| verdict).collect();
    assert_eq!(verdicts, [activated(), Verdict::CoolingDown(minutes(30)), activated()]);
    life.clock.set(minutes(30 * 60));
    life.is_made_again_exactly().await;
    life.clock.set(minutes(35 * 60));
    life.does("ines", None, "Product Added", "c1", minutes(35 * 60)).await;
    life.clock.set(minutes(36 * 60));
    life.decide().await;
    let last = life.edges().await.pop().expect("an edge");
    assert_eq!(last.3, Verdict::CoolingDown(minutes(26 * 60 + 30)), "the cool-down is that of the first run");
}

#[tokio::test]
async fn a_trigger_added_since_does_not_fire_for_what_lies_before_it() {
    for added_while_replaying in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut life = Life::new(folder.path(), 100, &[PING]);
        for n in 0..3 {
            life.clock.set(minutes(n));
            life.does("ines", None, "Product Added", "c1", minutes(n)).await;
            life.does("ines", None, "Ping", &format!("c{n}"), minutes(n)).await;
            life.decide().await;
        }
        life.clock.set(minutes(5));
        let before = life.edges().await;
        if added_while_replaying {
            life.end().await;
            rebuild(&life.settings, minutes(5)).expect("a rebuild");
        }
        life.ask_other(&[PING, ADDED]);
        life.decide().await;
        assert_eq!(life.edges().await, before);
        life.is_made_again_exactly().await;
        // It knows what it did not fire for, and fires the next time.
        life.clock.set(minutes(300));
        life.decide().await;
        for n in 301..303 {
            life.clock.set(minutes(n));
            life.does("ines", None, "Product Added", "c1", minutes(n)).await;
            life.decide().await;
        }
        assert_eq!(life.edges().await.last(), Some(&("added".into(), minutes(302), minutes(302), activated())));
        life.is_made_again_exactly().await;
    }
}

/// Fires for carts left since then, not for those that were bought since, nor for what has expired by now.
#[tokio::test]
async fn a_trigger_told_from_when_on_fires_for_what_was_since() {
    let ended = (
        "ended",
        "per = \"cart_id\"\nexpires = \"3h\"\n[[when.all]]\nlast = \"Product Added\"\nover = \"30m\"\n\
         [[when.all]]\ndid_not = \"Order Completed\"\nsince = \"Product Added\"\n",
    );
    for (from, fired) in [(None, vec![]), (Some(0), vec![150, 210]), (Some(151), vec![210])] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut life = Life::new(folder.path(), 100, &[PING]);
        for (at, name, cart) in [
            (0, "Product Added", "expired"),
            (120, "Product Added", "left"),
            (130, "Product Added", "bought in time"),
            (140, "Order Completed", "bought in time"),
            (150, "Product Added", "bought later"),
            (180, "Product Added", "left too"),
            (200, "Order Completed", "bought later"),
            (230, "Product Added", "to come"),
        ] {
            life.clock.set(minutes(at));
            life.does("ines", None, name, cart, minutes(at)).await;
            life.decide().await;
        }
        life.clock.set(minutes(240));
        let from = from.map(|from| format!("from = \"{}\"\n", minutes(from))).unwrap_or_default();
        let rule = format!("{from}{}", ended.1);
        life.ask_other(&[PING, (ended.0, &rule)]);
        life.decide().await;
        let mut queued: Vec<_> = life.begin().0.work("esp", minutes(240), 10).await.expect("work");
        queued.sort_by_key(|work| work.activation.at);
        let queued: Vec<_> = queued.iter().map(|work| work.activation.at).collect();
        assert_eq!(queued, fired.iter().map(|at| minutes(*at)).collect::<Vec<_>>());
        life.clock.set(minutes(270));
        life.decide().await;
        let last = life.edges().await.pop().expect("an edge");
        assert_eq!((last.1, last.3), (minutes(260), activated()), "what is to come comes");
        life.is_made_again_exactly().await;
    }
}

#[tokio::test]
async fn a_trigger_that_is_gone_is_not_asked_in_a_replay() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::new(folder.path(), 100, &[PING, LEFT]);
    life.does("ines", None, "Product Added", "c1", minutes(0)).await;
    life.does("ines", None, "Ping", "c1", minutes(0)).await;
    life.decide().await;
    life.clock.set(minutes(31));
    life.decide().await;
    let ping: Vec<_> = life.edges().await.into_iter().filter(|(trigger, ..)| trigger == "ping").collect();
    life.end().await;
    rebuild(&life.settings, minutes(31)).expect("a rebuild");
    life.ask_other(&[PING]);
    life.decide().await;
    assert_eq!(life.edges().await, ping);
    life.is_made_again_exactly().await;
}

#[tokio::test]
async fn what_an_earlier_version_decided_comes_before_the_first_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::new(folder.path(), 2, &[PING]);
    for n in 0..5 {
        life.does("ines", None, "Ping", &format!("c{n}"), minutes(n)).await;
    }
    // It wrote no steps. What it made of these is not here; that they are decided is.
    let store = life.begin().0.clone();
    let claim = store.claim(5).await.expect("a claim");
    let position = claim.events.last().map(|(position, _)| *position);
    store.commit(claim.loaded, Changes { position, ..Changes::default() }).await.expect("a commit");
    drop(store);
    life.does("ines", None, "Ping", "c5", minutes(5)).await;
    life.decide().await;
    life.end().await;
    rebuild(&life.settings, minutes(6)).expect("a rebuild");
    life.clock.set(minutes(6));
    life.decide().await;
    let edges = life.edges().await;
    let learned: Vec<(Timestamp, Timestamp)> = edges.iter().map(|(_, at, learned, _)| (*at, *learned)).collect();
    let anew = (0..5).map(|n| (minutes(n), minutes(6)));
    assert_eq!(learned, anew.chain([(minutes(5), START)]).collect::<Vec<_>>(), "the last one has a step");
    assert!(edges.iter().all(|(.., verdict)| *verdict == activated()));
}

// === random lives ===

#[derive(Clone, Debug)]
enum Deed {
    /// Somebody does something, and it arrives so many minutes late.
    Does { user: usize, device: Option<usize>, name: usize, key: usize, late: i64 },
    /// Time goes on.
    Wait(i64),
    /// The engine works.
    Decide,
    /// A trigger file is added.
    AskMore,
    /// The state as it is now is what a later loss leaves.
    Remember,
    /// sled lost all since then.
    Forget,
    /// The state is lost.
    Lose,
    /// The journal may be shortened.
    Snapshot,
    /// Somebody pauses or resumes a trigger.
    Order(&'static str, Order),
}

const NAMES: &[&str] = &["Product Added", "Order Completed", "Ping", "Ping", "Unsubscribed", "Subscribed"];
/// Each knows more than the one before: what is asked no more cannot be said again.
const PROGRAMS: &[&[(&str, &str)]] = &[&[PING], &[PING, LEFT], &[PING, LEFT, ADDED], &[RECENT, PING, LEFT, ADDED]];

fn deed() -> impl Strategy<Value = Deed> {
    let does = (0..3_usize, proptest::option::weighted(0.2, 0..2_usize), 0..NAMES.len(), 0..2_usize, 0..90_i64);
    prop_oneof![
        8 => does.prop_map(|(user, device, name, key, late)| {
            // Half of it comes at once.
            let late = if late < 45 { 0 } else { late };
            Deed::Does { user, device, name, key, late }
        }),
        5 => (1..100_i64).prop_map(Deed::Wait),
        5 => Just(Deed::Decide),
        1 => Just(Deed::AskMore),
        1 => Just(Deed::Remember),
        1 => Just(Deed::Forget),
        1 => Just(Deed::Lose),
        1 => Just(Deed::Snapshot),
        2 => (prop::sample::select(&["ping", "left"][..]), order()).prop_map(|(name, order)| Deed::Order(name, order)),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Pause(PausePolicy::Drop)),
        Just(Order::Pause(PausePolicy::Keep)),
        Just(Order::Pause(PausePolicy::CatchUp)),
        Just(Order::Resume(None)),
        Just(Order::Resume(Some(Release::Send))),
        Just(Order::Resume(Some(Release::Drop))),
    ]
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let at = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &at);
        } else {
            fs::copy(&path, at).expect("a copy");
        }
    }
}

async fn live(deeds: &[Deed], batch: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    fs::create_dir_all(&store).expect("a folder");
    let (state, remembered) = (store.join("state"), folder.path().join("remembered"));
    let mut life = Life::new(&store, batch, PROGRAMS[0]);
    life.gates = toml::from_str(GATES).expect("gates");
    life.ask_other(PROGRAMS[0]);
    let (mut now, mut asked) = (0, 0);
    for deed in deeds {
        match deed {
            Deed::Does { user, device, name, key, late } => {
                let (user, device) = (format!("u{user}"), device.map(|n| format!("d{n}")));
                life.does(&user, device.as_deref(), NAMES[*name], &format!("c{key}"), minutes(now - late)).await;
            }
            Deed::Wait(minutes_on) => {
                now += minutes_on;
                life.clock.set(minutes(now));
            }
            Deed::Decide => life.decide().await,
            Deed::AskMore => {
                asked = (asked + 1).min(PROGRAMS.len() - 1);
                life.ask_other(PROGRAMS[asked]);
            }
            Deed::Remember => {
                life.begin();
                life.end().await;
                copy(&state, &remembered);
            }
            Deed::Forget if remembered.exists() => {
                life.decide().await;
                let before = life.told().await;
                life.end().await;
                copy(&remembered, &state);
                life.decide().await;
                assert_eq!(life.told().await, before, "after sled lost its last commits");
            }
            Deed::Forget => {}
            Deed::Lose => life.is_made_again_exactly().await,
            Deed::Order(name, order) => {
                let engine = &life.begin().1;
                engine.obey(TriggerId::of(name), *order).await.expect("a whole store");
            }
            Deed::Snapshot => {
                life.decide().await;
                life.begin().0.compact(Timestamp::MAX).await.expect("a snapshot");
                // What was remembered before lies before what the journal holds now.
                let _ = fs::remove_dir_all(&remembered);
            }
        }
    }
    life.is_made_again_exactly().await;
}

/// Each life opens the store several times.
fn cases() -> ProptestConfig {
    let told = ProptestConfig::default();
    let cases = if told.cases == 256 { 24 } else { told.cases };
    ProptestConfig { cases, ..told }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, failure_persistence: None, ..cases() })]

    #[test]
    fn any_life_is_lived_again_exactly(deeds in vec(deed(), 1..60), batch in 1..6_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(live(&deeds, batch));
    }
}
