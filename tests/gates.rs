//! What a gate delays, from the event to the vendor: the engine, the store and a lane in virtual time.

mod did;

use std::sync::Arc;

use arc_swap::ArcSwap;
use did::did;
use espalier::clock::{Clock, VirtualClock};
use espalier::delivery;
use espalier::delivery::Lane;
use espalier::destination;
use espalier::engine::{self, Engine};
use espalier::identity;
use espalier::model::{Event, Identifier, IdentifierKind, Mistake, RawJson, Span, Timestamp};
use espalier::ops;
use espalier::ops::letters::{self, Replayed};
use espalier::quota::Accounts;
use espalier::replay;
use espalier::rules::{self, Program};
use espalier::sandbox::{Options, Sandbox};
use espalier::settings;
use espalier::store::Store;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const LEFT: &str = r#"
name = "left"
per = "cart_id"
expires = "12h"
[[when.all]]
last = "Product Added"
over = "30m"
[[when.all]]
did_not = "Order Completed"
since = "Product Added"
[[activate]]
destination = "esp"
event = "Left"
"#;

const GATES: &str = r#"quiet_hours = { from = "21:00", until = "08:00", zone = "Europe/Lisbon" }"#;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-11-{text}:00Z")).expect("an instant")
}

/// Something that ines does.
fn event(id: &str, name: &str, at: Timestamp, properties: Value) -> Event {
    let ines = Identifier::new(IdentifierKind::Email, "ines@example.com");
    Event { properties: RawJson::from_value(&properties), ..did(id, name, at, vec![ines]) }
}

/// A daemon's inside on a clock that is turned by hand, and the vendor.
struct House {
    clock: VirtualClock,
    store: Embedded,
    engine: Engine,
    program: Arc<ArcSwap<Program>>,
    sandbox: Sandbox,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    lane: tokio::task::JoinHandle<()>,
    messages: u64,
}

impl House {
    async fn build(folder: &std::path::Path, now: Timestamp) -> Self {
        Self::with(LEFT, folder, now).await
    }

    async fn with(trigger: &str, folder: &std::path::Path, now: Timestamp) -> Self {
        let clock = VirtualClock::new(now);
        let sandbox = Sandbox::new(Arc::new(clock.clone()), Options::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = sandbox.router();
        tokio::spawn(async move { axum::serve(listener, router).await.expect("the vendors") });
        let settings = Settings { path: folder.to_owned(), ..Settings::default() };
        let store = Embedded::open(&settings, now).expect("a store");
        let rules = rules::Settings { gates: toml::from_str(GATES).expect("gates"), ..rules::Settings::default() };
        let program = Program::compile(&[("left.toml".into(), trigger.into())], &rules, None).expect("a trigger");
        let program = Arc::new(ArcSwap::from_pointee(program));
        let engine = Engine::new(
            Arc::new(store.clone()),
            Arc::new(clock.clone()),
            program.clone(),
            engine::Settings::default(),
            identity::Settings::default(),
        );
        let vendor =
            json!({ "kind": "klaviyo", "api_key": "sandbox", "base_url": format!("http://{address}/klaviyo") });
        let destination: destination::Settings = serde_json::from_value(vendor).expect("a destination");
        let lane = Lane::new(
            "esp".into(),
            destination.build("esp"),
            Arc::new(store.clone()),
            delivery::settings::Settings { linger: Span::ZERO, ..Default::default() },
            &Accounts::new(None, Arc::new(clock.clone())),
        )
        .expect("a lane");
        let stop = CancellationToken::new();
        let lane = tokio::spawn(lane.run(stop.clone()));
        Self { clock, store, engine, program, sandbox, address, stop, lane, messages: 0 }
    }

    /// Something ines does now, and what follows from it.
    async fn does(&mut self, name: &str, cart: &str) {
        self.messages += 1;
        let properties = json!({ "cart_id": cart, "product_id": "p1" });
        let event = event(&self.messages.to_string(), name, self.clock.now(), properties);
        self.store.append(vec![event], None).await.expect("room");
        self.engine.drain().await.expect("a whole store");
    }

    /// The same, that was done earlier and is only known now.
    async fn did(&mut self, name: &str, cart: &str, then: Timestamp) {
        self.messages += 1;
        let properties = json!({ "cart_id": cart, "product_id": "p1" });
        let late = Event { arrived: self.clock.now(), ..event(&self.messages.to_string(), name, then, properties) };
        self.store.append(vec![late], None).await.expect("room");
        self.engine.drain().await.expect("a whole store");
    }

    async fn turn_to(&self, now: Timestamp) {
        self.clock.set(now);
        self.engine.drain().await.expect("a whole store");
    }

    /// The carts that the vendor was told of.
    fn told(&self) -> Vec<String> {
        let cart = |body: &Value| {
            body.pointer("/data/attributes/properties/cart_id")
                .or(body.pointer("/attributes/properties/cart_id"))
                .cloned()
        };
        let effects = self.sandbox.effects("klaviyo");
        effects.iter().filter_map(|e| cart(&e.body)?.as_str().map(str::to_owned)).collect()
    }

    /// The names of the events that the vendor has.
    fn names(&self) -> Vec<String> {
        let name = |body: &Value| {
            body.pointer("/data/attributes/metric/data/attributes/name")
                .or(body.pointer("/attributes/metric/data/attributes/name"))
                .cloned()
        };
        let effects = self.sandbox.effects("klaviyo");
        effects.iter().filter_map(|e| name(&e.body)?.as_str().map(str::to_owned)).collect()
    }

    /// What is ready has been sent. Time stands still meanwhile.
    async fn is_sent(&self) {
        let mut changed = self.store.changed();
        while self.store.lane_count("esp").queued > self.store.lane_count("esp").deferred {
            tokio::select! {
                seen = changed.changed() => seen.expect("a store"),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// A cart is left, and the vendor refuses to hear of it. Returns the dead letter.
    async fn refused(&mut self, cart: &str) -> u64 {
        let fault = json!({ "vendor": "klaviyo", "kind": "bad_record", "times": 1 });
        let faults = format!("http://{}/_sandbox/faults", self.address);
        let told = reqwest::Client::new().post(faults).json(&fault).send().await.expect("the vendors");
        assert!(told.status().is_success());
        self.does("Product Added", cart).await;
        self.turn_to(self.clock.now() + Span::from_minutes(30)).await;
        self.is_sent().await;
        let letters = self.store.dead_letters(None, 10).await.expect("dead letters");
        letters.iter().find(|letter| &*letter.activation.key == cart).expect("a dead letter").id.0
    }

    async fn replay(&self, letter: u64) -> Replayed {
        let replayed = letters::replay(&self.store, &self.program.load(), letter, self.clock.now()).await;
        replayed.expect("a whole store")
    }

    async fn explained(&self) -> ops::Explained {
        let names = identity::Settings::default();
        let program = self.program.load_full();
        let found = ops::explain(&self.store, &program, &names, "ines@example.com", None, self.clock.now()).await;
        found.expect("a whole store").expect("ines")
    }

    async fn end(self) {
        self.stop.cancel();
        self.lane.await.expect("a lane that ends");
        self.store.close().await.expect("a close");
    }
}

#[tokio::test]
async fn what_quiet_hours_delay_leaves_when_they_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut house = House::build(folder.path(), at("23T21:00")).await;
    house.does("Product Added", "c1").await;
    house.turn_to(at("23T22:00")).await;
    let count = house.store.lane_count("esp");
    assert_eq!((count.queued, count.deferred, count.next), (1, 1, Some(at("24T08:00"))));
    let explained = house.explained().await;
    assert_eq!(
        explained.edges[0].verdict,
        "activated for esp, delayed until 2026-11-24T08:00:00.000Z: quiet hours last until then"
    );
    assert_eq!(
        explained.edges[0].deliveries[0].state,
        "waiting for its first try, not before 2026-11-24T08:00:00.000Z"
    );
    let held_back = explained.triggers[0].held_back.as_deref();
    assert_eq!(held_back, Some("quiet hours last until 2026-11-24T08:00:00.000Z"));
    // The lane is asked, a millisecond before, and has nothing.
    house.turn_to(at("24T08:00") - Span::from_millis(1)).await;
    assert!(house.store.work("esp", house.clock.now(), 10).await.expect("work").is_empty());
    assert_eq!(house.told(), Vec::<String>::new());
    house.turn_to(at("24T08:00")).await;
    while house.told().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.told(), ["c1"]);
    while house.store.lane_count("esp").queued > 0 {
        tokio::task::yield_now().await;
    }
    let explained = house.explained().await;
    assert!(explained.edges[0].deliveries[0].state.starts_with("accepted by the vendor"));
    assert_eq!(explained.triggers[0].held_back, None);
    house.end().await;
}

#[tokio::test]
async fn what_waits_for_the_morning_is_called_back_by_an_order_and_by_a_no() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut house = House::build(folder.path(), at("23T21:00")).await;
    house.does("Product Added", "c1").await;
    house.does("Product Added", "c2").await;
    house.turn_to(at("23T22:00")).await;
    assert_eq!(house.store.lane_count("esp").deferred, 2);
    house.does("Order Completed", "c1").await;
    assert_eq!(house.store.lane_count("esp").deferred, 1);
    house.does("Unsubscribed", "").await;
    let count = house.store.lane_count("esp");
    assert_eq!((count.queued, count.deferred, count.next), (0, 0, None));
    house.turn_to(at("24T09:00")).await;
    // Somebody's next edge finds the gate closed.
    house.does("Product Added", "c3").await;
    house.turn_to(at("24T10:00")).await;
    house.is_sent().await;
    assert_eq!(house.told(), Vec::<String>::new());
    let explained = house.explained().await;
    let no = "withdrawn at 2026-11-23T22:00:00.000Z by `Unsubscribed` of `web`";
    let verdict = |key: &str| {
        let edges = explained.edges.iter().filter(|edge| edge.key == key);
        edges.map(|edge| edge.verdict.clone()).collect::<Vec<_>>()
    };
    assert_eq!(verdict("c1")[1], "called back: a later event took its reason away");
    assert_eq!(verdict("c2")[1], format!("called back: no consent to email: {no}"));
    assert_eq!(verdict("c3"), [format!("dropped: no consent to email: {no}")]);
    assert_eq!(explained.channels, ["email: consent withdrawn"]);
    let said: Vec<_> = explained.consent.iter().map(|s| (s.at, s.channel, s.act, s.because.as_str())).collect();
    assert_eq!(said, [(at("23T22:00"), "email", "withdrawn", "Unsubscribed")]);
    house.end().await;
}

#[tokio::test]
async fn a_dead_letter_is_not_sent_to_whom_it_may_not_go_any_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut house = House::build(folder.path(), at("23T10:00")).await;
    let (mended, bought) = (house.refused("c1").await, house.refused("c2").await);
    assert_eq!(house.replay(mended).await, Replayed::Done);
    house.is_sent().await;
    assert_eq!(house.told(), ["c1"]);
    house.does("Order Completed", "c2").await;
    let old = house.refused("c3").await;
    // It has expired; only a replay would still send it.
    house.turn_to(at("24T10:00")).await;
    let unwanted = house.refused("c4").await;
    house.does("Unsubscribed", "").await;
    let no = "no consent to email: withdrawn at 2026-11-24T10:30:00.000Z by `Unsubscribed` of `web`";
    let refused = [
        (bought, "called back: a later event took its reason away".to_owned()),
        (old, format!("it may not go to them any more: {no}")),
        (unwanted, format!("called back: {no}")),
    ];
    for (letter, words) in refused {
        assert_eq!(house.replay(letter).await, Replayed::Refused(words));
    }
    assert_eq!(house.replay(mended).await, Replayed::Missing);
    assert_eq!(house.told(), ["c1"]);
    house.end().await;
}

/// What `simulate` prints: trigger, key, gate, and when it leaves if that is later than the edge.
#[test]
fn simulate_says_which_gate() {
    let rule = |name: &str, more: &str| {
        let activate = "[[activate]]\ndestination = \"esp\"\nevent = \"E\"\n";
        let when = "[[when.all]]\ndid = \"Product Added\"\nwithin = \"1m\"\n";
        (
            format!("{name}.toml"),
            format!("name = \"{name}\"\nper = \"cart_id\"\nexpires = \"12h\"\n{more}\n{when}{activate}"),
        )
    };
    let gates = format!("{GATES}\ncap = {{ most = 1, within = \"1d\" }}");
    let check = |rules: &[(String, String)], events: &[(&str, &str, &str)], wanted: &[&str]| {
        let settings = rules::Settings { gates: toml::from_str(&gates).expect("gates"), ..Default::default() };
        let program = Program::compile(rules, &settings, None).expect("triggers");
        let events = events.iter().enumerate();
        let events =
            events.map(|(n, (when, name, cart))| event(&n.to_string(), name, at(when), json!({ "cart_id": cart })));
        let simulation =
            replay::simulate(events.collect(), &program, &identity::Settings::default(), Some(at("30T00:00")));
        let told = simulation.fires.iter().map(|fire| {
            let line = serde_json::to_value(fire).expect("JSON");
            let gate = line["gate"].as_str().unwrap_or("-");
            let later = line.get("not_before").map(|at| format!(" {}", at.as_str().unwrap_or_default()));
            assert_eq!((&line["destinations"], &line["payload"]["cart_id"]), (&json!(["esp"]), &json!(fire.key)));
            format!("{} {} {gate}{}", fire.trigger, fire.key, later.unwrap_or_default())
        });
        assert_eq!(told.collect::<Vec<_>>(), wanted);
    };
    let (low, high) = (rule("low", "priority = 1"), rule("high", "priority = 9\nquiet_hours = false"));
    let plain = std::slice::from_ref(&low);
    check(plain, &[("23T10:00", "Product Added", "c1")], &["low c1 -"]);
    check(plain, &[("23T22:00", "Product Added", "c1")], &["low c1 quiet_hours 2026-11-24T08:00:00.000Z"]);
    check(
        plain,
        &[("23T10:00", "Product Added", "c1"), ("23T11:00", "Product Added", "c2")],
        &["low c1 -", "low c2 cap"],
    );
    check(plain, &[("23T09:00", "Unsubscribed", ""), ("23T10:00", "Product Added", "c1")], &["low c1 consent"]);
    // Called back while it waits, and only then.
    let said_no = |when| [("23T22:00", "Product Added", "c1"), (when, "Unsubscribed", "")];
    check(plain, &said_no("24T07:00"), &["low c1 consent"]);
    check(plain, &said_no("24T08:30"), &["low c1 quiet_hours 2026-11-24T08:00:00.000Z"]);
    let left = [("left.toml".to_owned(), LEFT.to_owned())];
    let bought = [("23T22:00", "Product Added", "c1"), ("24T07:00", "Order Completed", "c1")];
    check(&left, &bought, &["left c1 cancelled"]);
    check(&[rule("low", "holdout = 100")], &[("23T10:00", "Product Added", "c1")], &["low c1 holdout"]);
    // At one instant the higher one has the only place.
    let both = [low, high];
    check(&both, &[("23T22:00", "Product Added", "c1")], &["high c1 -", "low c1 cap"]);
}

/// The higher one's edge comes by time while the lower one waits, and is learned of long after.
#[test]
fn simulate_says_what_gave_its_place() {
    let text = |name: &str, priority: u8, when: &str| {
        let head = format!("name = \"{name}\"\npriority = {priority}\nexpires = \"12h\"\n");
        let activate = "[[activate]]\ndestination = \"esp\"\nevent = \"E\"\n";
        (format!("{name}.toml"), format!("{head}when = {{ last = \"Product Added\", {when} }}\n{activate}"))
    };
    let files = [text("low", 1, "over = \"1h\""), text("high", 9, "over = \"2h\"")];
    let gates = format!("{GATES}\ncap = {{ most = 1, within = \"1d\" }}");
    let settings = rules::Settings { gates: toml::from_str(&gates).expect("gates"), ..Default::default() };
    let program = Program::compile(&files, &settings, None).expect("triggers");
    let added = event("1", "Product Added", at("23T21:00"), json!({}));
    let later = event("2", "Page Viewed", at("24T12:00"), json!({}));
    let simulation = replay::simulate(vec![added, later], &program, &identity::Settings::default(), None);
    let told: Vec<_> = simulation.fires.iter().map(|f| (&*f.trigger, f.gate, f.is_dropped())).collect();
    assert_eq!(told, [("low", Some("cap"), true), ("high", Some("quiet_hours"), false)]);
}

/// What the configuration says is in force, and what it says later once the triggers are read again.
#[test]
fn the_configuration_sets_gates_for_all_triggers() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("espalier.toml");
    std::fs::create_dir(folder.path().join("triggers")).expect("a folder");
    let trigger = LEFT.replace("destination = \"esp\"", "destination = \"vendor\"");
    std::fs::write(folder.path().join("triggers/left.toml"), trigger).expect("a trigger");
    let write = |gates: &str| {
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "sandbox").expect("a secret");
        let secret = secret.display();
        let vendor = format!("[destination.vendor]\nkind = \"klaviyo\"\napi_key = \"${{file:{secret}}}\"\n");
        std::fs::write(&file, format!("[gates]\n{gates}\n{vendor}")).expect("the configuration");
    };
    let gates = |configured: Result<settings::Configured, _>| {
        configured.unwrap_or_else(|wrong: Vec<Mistake>| panic!("{wrong:?}")).program.settings().gates.clone()
    };
    let wanted = |text: &str| toml::from_str::<rules::gate::Settings>(text).expect("gates");
    let first = format!("consent = \"opt_in\"\nholdout = 2.5\ncap = {{ most = 3, within = \"7d\" }}\n{GATES}");
    write(&first);
    assert_eq!(gates(settings::Settings::load(&file)), wanted(&first));
    assert_ne!(wanted(&first), rules::gate::Settings::default());
    write("cap = [{ most = 3, within = \"7d\" }]");
    let again = settings::Settings::load_again(&file, &["vendor".into()]);
    assert_eq!(gates(again), wanted("cap = { most = 3, within = \"7d\" }"));
}

#[tokio::test]
async fn what_has_left_and_loses_its_reason_is_told_to_be_void_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let trigger =
        LEFT.replace("expires = \"12h\"", "expires = \"1h\"\nvoid_within = \"2d\"") + "void = \"Left Not Valid\"\n";
    let mut house = House::with(&trigger, folder.path(), at("23T10:00")).await;
    for cart in ["c1", "c2", "c3"] {
        house.does("Product Added", cart).await;
    }
    house.turn_to(at("23T10:30")).await;
    house.is_sent().await;
    assert_eq!(house.names(), ["Left", "Left", "Left"]);
    // Bought before the reminder left, and known only now, when it would have expired.
    house.turn_to(at("23T14:00")).await;
    house.did("Order Completed", "c1", at("23T10:20")).await;
    house.is_sent().await;
    assert_eq!(house.names(), ["Left", "Left", "Left", "Left Not Valid"]);
    // Once, however often it is said again; and after the edge as well.
    house.did("Order Completed", "c1", at("23T10:21")).await;
    house.does("Order Completed", "c2").await;
    house.is_sent().await;
    assert_eq!(house.names().iter().filter(|name| *name == "Left Not Valid").count(), 2);
    let explained = house.explained().await;
    let told: Vec<&str> =
        explained.edges.iter().map(|edge| edge.verdict.as_str()).filter(|v| v.contains("valid")).collect();
    assert_eq!(told, ["not valid any more after it had left; told to esp"; 2]);
    // Too late for anybody to care.
    house.turn_to(at("25T11:00")).await;
    house.does("Order Completed", "c3").await;
    house.is_sent().await;
    assert_eq!(house.names().len(), 5);
    // What had not left is called back, and nobody is told.
    house.does("Product Added", "c4").await;
    house.turn_to(at("25T11:30") - Span::from_millis(1)).await;
    house.did("Order Completed", "c4", at("25T11:20")).await;
    house.turn_to(at("25T12:00")).await;
    house.is_sent().await;
    assert_eq!(house.names().len(), 5);
    house.end().await;
}
