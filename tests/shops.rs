//! Whole flow from each simulated shop: what stands in its lists, and what changes in them, is pulled by the real room into
//! a store, decided, and found with its people exactly once.

#![expect(clippy::disallowed_methods, reason = "calls go over a real socket, which takes the machine's time")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use espalier::clock::{Clock, VirtualClock};
use espalier::engine::{self, Engine};
use espalier::identity;
use espalier::model::{Identifier, IdentifierKind, Person, Span, Timestamp};
use espalier::pull::{Source, Watching};
use espalier::rules::{self, Program};
use espalier::sandbox::{Options, Sandbox};
use espalier::source::manifest::setting::{Given, Written};
use espalier::source::manifest::{Connected, Manifest, shipped};
use espalier::source::stream::settings::Settings as Pull;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;
use espalier::store::{Store, each_person};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// 2026-11-23T16:00:00Z
const START: Timestamp = Timestamp::from_millis(1_795_449_600_000);
/// The clock is turned so far at once.
const TURN: Span = Span::from_secs(15);

/// An account at a vendor, what is pulled of it, and who comes of it.
struct Shop {
    vendor: &'static str,
    clock: VirtualClock,
    sandbox: Sandbox,
    store: Embedded,
    engine: Engine,
    watching: Vec<Watching>,
    stop: CancellationToken,
    pulled: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Shop {
    /// `fill` puts in what is there before the first run; `settings` are made of the account's address.
    async fn open(vendor: &'static str, fill: impl Fn(&Sandbox), settings: impl Fn(&str) -> Value) -> Self {
        let clock = VirtualClock::new(START);
        let sandbox = Sandbox::new(Arc::new(clock.clone()), Options::default());
        fill(&sandbox);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/{vendor}", listener.local_addr().expect("an address"));
        let date = clock.clone();
        // The vendor's clock is the test's, too.
        let dated = axum::middleware::map_response(move |mut answer: axum::response::Response| {
            let now = jiff::Timestamp::from_millisecond(date.now().as_millis()).expect("an instant");
            let now = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            answer.headers_mut().insert("date", now.parse().expect("a header"));
            async move { answer }
        });
        let router = sandbox.router().layer(dated);
        tokio::spawn(async move { axum::serve(listener, router).await.expect("the vendors") });
        let manifest = Manifest::read("connector.toml", shipped(vendor).expect("its text")).expect("right");
        let written: Written = serde_json::from_value(settings(&url)).expect("settings");
        let given = Given::read(&manifest.settings, &written).unwrap_or_else(|unfit| panic!("{unfit:?}"));
        let connected = Connected { manifest, given };
        let folder = tempfile::tempdir().expect("a folder");
        let store = Settings { path: folder.path().to_owned(), ..Settings::default() };
        let store = Embedded::open(&store, START).expect("a store");
        let (shared, shared_clock): (Arc<dyn Store>, Arc<dyn Clock>) =
            (Arc::new(store.clone()), Arc::new(clock.clone()));
        let names = identity::Settings::default();
        let program = Program::compile(&[], &rules::Settings::default(), None).expect("no triggers");
        let program = Arc::new(ArcSwap::from_pointee(program));
        let engine =
            Engine::new(shared.clone(), shared_clock.clone(), program, engine::Settings::default(), names.clone());
        let source = Source::new("shop", &connected, &Pull::default(), &names, shared, shared_clock).expect("a client");
        let (watching, stop) = (source.watching(), CancellationToken::new());
        let pulled = tokio::spawn(source.run(stop.clone()));
        Self { vendor, clock, sandbox, store, engine, watching, stop, pulled, _folder: folder }
    }

    /// Turns the clock on by so much, letting each call that becomes due be answered.
    async fn turn(&self, span: Span) {
        let end = self.clock.now() + span;
        while self.clock.now() < end {
            self.clock.set((self.clock.now() + TURN).min(end));
            let (mut quiet, mut seen) = (0, self.asked());
            while quiet < 3 {
                tokio::time::sleep(Duration::from_millis(2)).await;
                let now = self.asked();
                quiet = if now == seen { quiet + 1 } else { 0 };
                seen = now;
            }
        }
        self.engine.drain().await.expect("a whole store");
    }

    fn asked(&self) -> (u64, u64) {
        let pages = self.watching.iter().map(|list| list.state.borrow().pages).sum();
        (self.sandbox.counts(self.vendor).requests, pages)
    }

    /// Turns the clock on until the lists are read, the past too; then for half an hour more, in which nothing may come
    /// that was there before.
    async fn read(&self) {
        for _ in 0..200 {
            self.turn(Span::from_minutes(1)).await;
            let is_read = |list: &Watching| {
                let state = list.state.borrow();
                state.past.is_none() && state.pages > 0
            };
            if self.watching.iter().all(is_read) {
                self.turn(Span::from_minutes(30)).await;
                return;
            }
        }
        panic!("not read: {:#?}", self.watching.iter().map(|list| list.state.borrow().clone()).collect::<Vec<_>>());
    }

    async fn people(&self) -> Vec<Person> {
        let mut people = Vec::new();
        each_person(&self.store, |person| people.push(person.clone())).await.expect("a whole store");
        people
    }

    /// `Order Completed 7001` and how often, of everybody; `key` is the property that says which.
    async fn did(&self, key: &str) -> BTreeMap<String, usize> {
        let mut did = BTreeMap::new();
        for person in self.people().await {
            for entry in person.history.entries() {
                let Some(id) = entry.fields().get(key).and_then(Value::as_str) else { continue };
                *did.entry(format!("{} {id}", entry.name)).or_default() += 1;
            }
        }
        did
    }

    /// A person's trait.
    async fn of(&self, email: &str, name: &str) -> Value {
        let who = Identifier::new(IdentifierKind::Email, email);
        let id = self.store.find(&who).await.expect("a store").unwrap_or_else(|| panic!("{email} is not known"));
        let story = self.store.story(id).await.expect("a store").expect("somebody");
        story.person.traits.get(name).map(|found| json!(found.value)).unwrap_or_default()
    }

    fn change(&self, kind: &str, id: &str, patch: Value) {
        self.sandbox.change(self.vendor, kind, id, patch).expect("a record");
    }

    /// Nothing was refused for being too much, nothing set aside, and nothing stands still.
    async fn end(self) {
        let counts = self.sandbox.counts(self.vendor);
        assert_eq!((counts.throttled, counts.refused), (0, 0), "{counts:?}");
        for list in &self.watching {
            let state = list.state.borrow();
            assert_eq!((&state.held, state.set_aside), (&None, 0), "{}: {state:?}", list.stream);
        }
        assert_eq!(self.store.set_aside_list(10).await.expect("a store"), []);
        self.stop.cancel();
        self.pulled.await.expect("it ends");
    }
}

/// Once each.
fn once<'i>(events: &[&str], ids: impl Iterator<Item = &'i String>) -> BTreeMap<String, usize> {
    let ids: Vec<&String> = ids.collect();
    events.iter().flat_map(|event| ids.iter().map(move |id| (format!("{event} {id}"), 1))).collect()
}

#[track_caller]
fn same(did: &BTreeMap<String, usize>, wanted: &BTreeMap<String, usize>) {
    let missing: Vec<_> = wanted.iter().filter(|(key, n)| did.get(*key) != Some(n)).collect();
    let more: Vec<_> = did.iter().filter(|(key, n)| wanted.get(*key) != Some(n)).collect();
    assert!(missing.is_empty() && more.is_empty(), "wanted and not so: {missing:?}; so and not wanted: {more:?}");
}

/// Made-up records from an hour before the start on, one each second.
fn fill(sandbox: &Sandbox, vendor: &str, kind: &str, count: u64) -> Vec<String> {
    sandbox.fill(vendor, kind, count, START - Span::HOUR, Span::from_secs(1)).expect("a kind")
}

fn number(gid: &str) -> String {
    gid.rsplit('/').next().unwrap_or_default().to_owned()
}

async fn shopify(settings: impl Fn(&str) -> Value) {
    let shop = Shop::open(
        "shopify",
        |sandbox| {
            fill(sandbox, "shopify", "orders", 45);
            fill(sandbox, "shopify", "customers", 90);
            fill(sandbox, "shopify", "products", 60);
            fill(sandbox, "shopify", "abandonedCheckouts", 25);
            // As old as a product can be that is still sold.
            let old = espalier::sandbox::made_up::shopify::product(900, 1_500_000_000_000);
            sandbox.put("shopify", "products", old).expect("a product");
        },
        settings,
    )
    .await;
    shop.read().await;
    let orders: Vec<String> = (1..=45).map(|n| (5_000_000 + n).to_string()).collect();
    let checkouts: Vec<String> = (1..=25).map(|n| n.to_string()).collect();
    let mut wanted = once(&["Order Completed", "Order Updated"], orders.iter());
    same(&shop.did("order_id").await, &wanted);
    let mut left = once(&["Checkout Started", "Checkout Updated"], checkouts.iter());
    same(&shop.did("checkout_id").await, &left);
    assert_eq!((shop.people().await.len(), shop.store.catalogue().len()), (90, 61));
    assert_eq!(shop.of("person7@example.com", "email_consent").await, "subscribed");

    // A new order, one that is committed late, one paid back, one sent, one called off, a checkout and a no.
    let now = shop.clock.now().as_millis();
    let new = espalier::sandbox::made_up::shopify::order(50, now);
    shop.sandbox.put("shopify", "orders", new).expect("an order");
    let late = espalier::sandbox::made_up::shopify::order(51, now);
    shop.sandbox.put_late("shopify", "orders", late, shop.clock.now() + Span::from_minutes(4)).expect("an order");
    let gid = |n: u64| format!("gid://shopify/Order/{}", 5_000_000 + n);
    let refund = espalier::sandbox::made_up::shopify::refund(77, 950, now);
    shop.change("orders", &gid(1), json!({ "displayFinancialStatus": "REFUNDED", "refunds": [refund] }));
    let parcel = espalier::sandbox::made_up::shopify::fulfillment(1, now);
    shop.change("orders", &gid(2), json!({ "displayFulfillmentStatus": "FULFILLED", "fulfillments": [parcel] }));
    let at = shop.clock.now().to_string();
    shop.change("orders", &gid(3), json!({ "cancelledAt": at, "cancelReason": "CUSTOMER" }));
    let paid = json!([{ "kind": "SALE", "status": "SUCCESS", "processedAt": at }]);
    shop.change("orders", &gid(4), json!({ "transactions": paid }));
    shop.change("abandonedCheckouts", "gid://shopify/AbandonedCheckout/300009", json!({ "note": "x" }));
    let no = json!({ "marketingState": "UNSUBSCRIBED", "marketingUpdatedAt": at });
    shop.change("customers", "gid://shopify/Customer/700007", json!({ "defaultEmailAddress": no }));
    shop.change("products", "gid://shopify/Product/1005", json!({ "totalInventory": 3 }));
    shop.turn(Span::from_minutes(20)).await;
    wanted.extend(once(&["Order Completed", "Order Updated"], ["5000050".into(), "5000051".into()].iter()));
    for changed in 1..=4 {
        wanted.insert(format!("Order Updated {}", number(&gid(changed))), 2);
    }
    for event in ["Order Refunded 5000001", "Order Fulfilled 5000002", "Order Cancelled 5000003", "Order Paid 5000004"]
    {
        wanted.insert(event.into(), 1);
    }
    same(&shop.did("order_id").await, &wanted);
    left.insert("Checkout Updated 9".into(), 2);
    same(&shop.did("checkout_id").await, &left);
    assert_eq!(shop.of("person7@example.com", "email_consent").await, "unsubscribed");
    assert_eq!(shop.store.catalogue().get("1005").expect("a product").stock, Some(3));
    shop.end().await;
}

#[tokio::test]
async fn shopify_by_a_token() {
    shopify(|url| json!({ "shop": "sandbox.myshopify.com", "token": "sandbox", "base_url": url })).await;
}

#[tokio::test]
async fn shopify_by_client_credentials() {
    let said = |url: &str| json!({ "shop": "sandbox.myshopify.com", "client_id": "sandbox", "client_secret": "sandbox", "base_url": url });
    shopify(said).await;
}
