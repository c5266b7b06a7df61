//! Subscriptions to webhooks at simulated shops: what is missing is created, what is lost is told and its gap pulled, and
//! what is somebody else's stays as it is.

#![expect(clippy::disallowed_methods, reason = "calls go over a real socket, which takes the machine's time")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use espalier::clock::{Clock, VirtualClock};
use espalier::identity;
use espalier::manifest::setting::{Given, Written};
use espalier::model::{Span, Timestamp};
use espalier::pull::{HooksState, Source, WatchingHooks};
use espalier::quota::Accounts;
use espalier::sandbox::{Options, Sandbox, made_up};
use espalier::source::manifest::{Connected, Manifest, shipped};
use espalier::source::stream::settings::Settings as Pull;
use espalier::source::subscriptions::Settings as Hooks;
use espalier::store::Store;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// 2026-11-23T16:00:00Z
const START: Timestamp = Timestamp::from_millis(1_795_449_600_000);
const OURS: &str = "https://hooks.example/hooks/shop";
const OTHER: &str = "https://other.example/hooks";
/// The clock is turned so far at once.
const TURN: Span = Span::from_secs(20);

/// A vendor's account: it outlives those that look at it.
struct Vendor {
    name: &'static str,
    /// Its kind of record that subscriptions are, and where one has topic and address.
    kind: [&'static str; 3],
    sandbox: Sandbox,
    clock: VirtualClock,
    settings: Value,
}

impl Vendor {
    async fn open(name: &'static str, kind: [&'static str; 3], settings: impl Fn(&str) -> Value) -> Self {
        let clock = VirtualClock::new(START);
        let sandbox = Sandbox::new(Arc::new(clock.clone()), Options::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/{name}", listener.local_addr().expect("an address"));
        let router = sandbox.router();
        tokio::spawn(async move { axum::serve(listener, router).await.expect("the vendors") });
        Self { name, kind, sandbox, clock, settings: settings(&url) }
    }

    async fn shopify() -> Self {
        let kind = ["webhookSubscriptions", "topic", "uri"];
        let said = |url: &str| json!({ "shop": "sandbox.myshopify.com", "token": "sandbox", "secrets": ["hush"], "base_url": url });
        Self::open("shopify", kind, said).await
    }

    async fn woocommerce() -> Self {
        let kind = ["webhooks", "topic", "delivery_url"];
        let said =
            |url: &str| json!({ "shop": url, "key": "sandbox", "secret": "sandbox", "secrets": ["hush", "older"] });
        Self::open("woocommerce", kind, said).await
    }

    fn put(&self, topic: &str, address: &str) -> String {
        let [kind, of, at] = self.kind;
        self.sandbox.put(self.name, kind, json!({ of: topic, at: address })).expect("a subscription")
    }

    /// How many there are of each topic and address.
    fn there(&self) -> BTreeMap<(String, String), usize> {
        let [kind, of, at] = self.kind;
        let mut there = BTreeMap::new();
        for row in self.sandbox.records(self.name, kind) {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            *there.entry((text(of), text(at))).or_default() += 1;
        }
        there
    }

    /// The id of ours for a topic.
    fn id(&self, topic: &str) -> Option<String> {
        let [kind, of, at] = self.kind;
        let rows = self.sandbox.records(self.name, kind);
        let row = rows.iter().find(|row| row[of] == topic && row[at] == OURS)?;
        Some(row["id"].as_str().map_or_else(|| row["id"].to_string(), str::to_owned))
    }

    /// Somebody, or the vendor itself, takes ours away.
    fn lose(&self, topic: &str) {
        let id = self.id(topic).expect("it was there");
        assert!(self.sandbox.remove(self.name, self.kind[0], &id));
    }
}

/// The source at work on a store.
struct Watched<'v> {
    vendor: &'v Vendor,
    store: Embedded,
    hooks: WatchingHooks,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl<'v> Watched<'v> {
    fn start(vendor: &'v Vendor, folder: &Path, topics: &[&str], streams: &[&str]) -> Self {
        let manifest = Manifest::read("connector.toml", shipped(vendor.name).expect("its text")).expect("right");
        let written: Written = serde_json::from_value(vendor.settings.clone()).expect("settings");
        let given = Given::read(&manifest.settings, &written).unwrap_or_else(|unfit| panic!("{unfit:?}"));
        let connected = Connected { manifest, given };
        let settings = Settings { path: folder.to_owned(), ..Settings::default() };
        let store = Embedded::open(&settings, vendor.clock.now()).expect("a store");
        let names = identity::Settings::default();
        let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        let pull = Pull { streams: Some(own(streams)), start: Span::from_minutes(1), ..Pull::default() };
        let hooks = Hooks { address: OURS.into(), topics: Some(own(topics)), every: Span::from_minutes(15) };
        let clock = Arc::new(vendor.clock.clone());
        let source =
            Source::new("shop", &connected, &pull, &names, Arc::new(store.clone()), &Accounts::new(None, clock))
                .expect("a client");
        let source = source.managing("shop", &connected, Some(&hooks));
        let (hooks, stop) = (source.watching_hooks().expect("managed"), CancellationToken::new());
        let task = tokio::spawn(source.run(stop.clone()));
        Self { vendor, store, hooks, stop, task }
    }

    /// Turns the clock on by so much, letting each call that becomes due be answered.
    async fn turn(&self, span: Span) {
        let clock = &self.vendor.clock;
        let end = clock.now() + span;
        let asked = || self.vendor.sandbox.counts(self.vendor.name).requests;
        while clock.now() < end {
            clock.set((clock.now() + TURN).min(end));
            let (mut quiet, mut seen) = (0, asked());
            while quiet < 4 {
                tokio::time::sleep(Duration::from_millis(2)).await;
                quiet = if asked() == seen { quiet + 1 } else { 0 };
                seen = asked();
            }
        }
    }

    fn state(&self) -> HooksState {
        self.hooks.state.borrow().clone()
    }

    fn accepted(&self) -> u64 {
        self.store.counts().journaled.0
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("an end");
        self.store.close().await.expect("closed");
    }
}

fn counts(rows: &[(&str, &str, usize)]) -> BTreeMap<(String, String), usize> {
    rows.iter().map(|(topic, address, n)| (((*topic).to_owned(), (*address).to_owned()), *n)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_created_doubles_go_and_others_stay() {
    let vendor = Vendor::shopify().await;
    vendor.put("ORDERS_CREATE", OTHER);
    vendor.put("ORDERS_CREATE", OTHER);
    vendor.put("ORDERS_UPDATED", OURS);
    vendor.put("ORDERS_UPDATED", OURS);
    vendor.put("THEMES_PUBLISH", OURS);
    // More than a page of them.
    (0..120).for_each(|n| drop(vendor.put("CARTS_UPDATE", &format!("https://other{n}.example/"))));
    let folder = tempfile::tempdir().expect("a folder");
    let topics = ["orders/create", "orders/updated", "carts/update"];
    let watched = Watched::start(&vendor, folder.path(), &topics, &["orders"]);
    watched.turn(Span::from_minutes(2)).await;
    let mut there = vendor.there();
    there.retain(|(_, address), _| !address.starts_with("https://other") || address == OTHER);
    let wanted = [
        ("ORDERS_CREATE", OTHER, 2),
        ("ORDERS_CREATE", OURS, 1),
        ("ORDERS_UPDATED", OURS, 1),
        ("THEMES_PUBLISH", OURS, 1),
        ("CARTS_UPDATE", OURS, 1),
    ];
    assert_eq!(there, counts(&wanted));
    assert_eq!(vendor.there().len(), 125, "all others are there");
    let state = watched.state();
    assert_eq!((state.wanted, state.standing, &state.held), (3, 3, &None));
    assert_eq!((state.missing.len(), state.lost.len()), (0, 0), "what never was there was not lost");
    let asked = vendor.there();
    watched.turn(Span::from_hours(1)).await;
    assert_eq!(vendor.there(), asked, "nothing more is done");
    watched.end().await;
}

/// An order that its list cannot see for a while: only who asks for the past again finds it.
fn late(vendor: &Vendor, n: u64, after: Span) {
    let now = vendor.clock.now();
    let order = made_up::shopify::order(n, now.as_millis());
    vendor.sandbox.put_late("shopify", "orders", order, now + after).expect("an order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_is_told_created_and_its_gap_is_pulled() {
    let vendor = Vendor::shopify().await;
    let folder = tempfile::tempdir().expect("a folder");
    let topics = ["orders/create", "customers/update"];
    let watched = Watched::start(&vendor, folder.path(), &topics, &["orders", "customers"]);
    watched.turn(Span::from_minutes(16)).await;
    assert_eq!(watched.state().standing, 2);

    // While all subscriptions stand nobody asks for the past again.
    late(&vendor, 1, Span::from_minutes(12));
    watched.turn(Span::from_minutes(30)).await;
    assert_eq!(watched.accepted(), 0);

    vendor.lose("ORDERS_CREATE");
    late(&vendor, 2, Span::from_minutes(11));
    watched.turn(Span::from_minutes(25)).await;
    assert!(vendor.id("ORDERS_CREATE").is_some(), "it is there again");
    let state = watched.state();
    assert_eq!(state.lost.keys().collect::<Vec<_>>(), ["orders/create"]);
    assert_eq!((state.standing, state.missing.len()), (2, 0));
    // Both: what failed to be delivered for four hours before is lost too.
    assert_eq!(watched.accepted(), 4, "completed and updated, of two orders");

    // While nobody looks it is lost once more, and a new daemon knows that it was there.
    watched.end().await;
    vendor.lose("ORDERS_CREATE");
    vendor.clock.set(vendor.clock.now() + Span::from_hours(30));
    let lost = vendor.clock.now();
    let watched = Watched::start(&vendor, folder.path(), &topics, &["orders", "customers"]);
    watched.turn(Span::from_minutes(2)).await;
    assert!(vendor.id("ORDERS_CREATE").is_some(), "it is there again");
    assert!(watched.state().lost["orders/create"] >= lost, "{:?}", watched.state());
    watched.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_changes_nothing() {
    let vendor = Vendor::shopify().await;
    let folder = tempfile::tempdir().expect("a folder");
    vendor.put("ORDERS_CREATE", OURS);
    let order = |kind: &str, times: u64| {
        vendor.sandbox.fault(json!({"vendor": "shopify", "kind": kind, "times": times})).expect("a fault");
    };
    order("truncated", 2);
    order("html", 2);
    order("error_inside", 2);
    order("revoke_scope", 2);
    let watched = Watched::start(&vendor, folder.path(), &["orders/create", "carts/update"], &[]);
    let mut told = Vec::new();
    for _ in 0..200 {
        watched.turn(Span::from_secs(20)).await;
        told.extend(watched.state().held);
        if vendor.id("CARTS_UPDATE").is_some() {
            break;
        }
    }
    // It was created after all of these, not in between.
    told.dedup();
    for words in ["is not JSON", "a web page", "Internal error", "may not read this"] {
        assert!(told.iter().any(|said| said.contains(words)), "{words}: {told:?}");
    }
    watched.turn(Span::from_minutes(1)).await;
    assert_eq!(vendor.there(), counts(&[("ORDERS_CREATE", OURS, 1), ("CARTS_UPDATE", OURS, 1)]));
    // An answer that is cut after the vendor took it makes no second one: it is looked at before it is created again.
    vendor.lose("CARTS_UPDATE");
    let cut = json!({"vendor": "shopify", "kind": "close_after_accept", "skip": 1});
    vendor.sandbox.fault(cut).expect("a fault");
    watched.turn(Span::from_minutes(20)).await;
    assert_eq!(vendor.there(), counts(&[("ORDERS_CREATE", OURS, 1), ("CARTS_UPDATE", OURS, 1)]));
    assert_eq!((watched.state().held, watched.state().standing), (None, 2));
    watched.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_shop_disabled_is_put_to_work_again() {
    let vendor = Vendor::woocommerce().await;
    let off = json!({ "topic": "order.created", "delivery_url": OTHER, "status": "disabled" });
    vendor.sandbox.put("woocommerce", "webhooks", off).expect("a webhook");
    let folder = tempfile::tempdir().expect("a folder");
    let topics = ["order.created", "order.updated"];
    let watched = Watched::start(&vendor, folder.path(), &topics, &["orders"]);
    watched.turn(Span::from_minutes(16)).await;
    let state = watched.state();
    assert_eq!((state.standing, state.lost.len(), &state.held), (2, 0, &None));
    let ours = || {
        let rows = vendor.sandbox.records("woocommerce", "webhooks");
        let mut ours: Vec<Value> = rows.into_iter().filter(|row| row["delivery_url"] == OURS).collect();
        ours.sort_by_key(|row| row["id"].as_u64());
        ours
    };
    assert!(ours().iter().all(|row| row["secret"] == "hush" && row["status"] == "active"), "{:?}", ours());
    let ids: Vec<Value> = ours().iter().map(|row| row["id"].clone()).collect();
    let id = vendor.id("order.updated").expect("it is there");
    vendor.sandbox.change("woocommerce", "webhooks", &id, json!({ "status": "disabled" })).expect("a webhook");
    watched.turn(Span::from_minutes(16)).await;
    assert_eq!(watched.state().lost.keys().collect::<Vec<_>>(), ["order.updated"]);
    assert_eq!(ours().iter().map(|row| row["id"].clone()).collect::<Vec<_>>(), ids, "the same, and none beside them");
    assert!(ours().iter().all(|row| row["status"] == "active"), "{:?}", ours());
    // Somebody who pauses one has a reason.
    vendor.sandbox.change("woocommerce", "webhooks", &id, json!({ "status": "paused" })).expect("a webhook");
    watched.turn(Span::from_minutes(16)).await;
    assert!(ours().iter().any(|row| row["status"] == "paused"));
    let rows = vendor.sandbox.records("woocommerce", "webhooks");
    let other: Vec<&Value> = rows.iter().filter(|row| row["delivery_url"] == OTHER).collect();
    assert!(matches!(other.as_slice(), [one] if one["status"] == "disabled"), "{other:?}");
    watched.end().await;
}
