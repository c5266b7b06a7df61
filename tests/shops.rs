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
use espalier::manifest::setting::{Given, Written};
use espalier::model::{Event, Identifier, IdentifierKind, Person, Span, Timestamp};
use espalier::pull::{Source, Watching};
use espalier::quota::Accounts;
use espalier::rules::{self, Program};
use espalier::sandbox::{Options, Sandbox};
use espalier::source::fixture;
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
        let router = sandbox.router();
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
        let source =
            Source::new("shop", &connected, &Pull::default(), &names, shared, &Accounts::new(None, shared_clock))
                .expect("a client");
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

#[tokio::test]
async fn woocommerce() {
    let shop = Shop::open(
        "woocommerce",
        |sandbox| {
            fill(sandbox, "woocommerce", "orders", 230);
            fill(sandbox, "woocommerce", "customers", 230);
            fill(sandbox, "woocommerce", "products", 130);
            let draft = json!({ "id": 6_999, "status": "checkout-draft", "billing": { "email": "draft@example.com" } });
            sandbox.put("woocommerce", "orders", draft).expect("an order");
        },
        |url| json!({ "shop": url, "key": "sandbox", "secret": "sandbox", "currency": "EUR" }),
    )
    .await;
    shop.read().await;
    let orders: Vec<String> = (7_001..=7_230).map(|n: u64| n.to_string()).collect();
    let mut wanted = once(&["Order Completed", "Order Updated"], orders.iter());
    same(&shop.did("order_id").await, &wanted);
    assert_eq!((shop.people().await.len(), shop.store.catalogue().len()), (230, 130));

    let at = shop.clock.now().as_millis();
    let mut placed = espalier::sandbox::made_up::woocommerce::order(300, at);
    placed["status"] = "on-hold".into();
    (placed["date_paid_gmt"], placed["date_paid"]) = (Value::Null, Value::Null);
    shop.sandbox.put("woocommerce", "orders", placed).expect("an order");
    let late = espalier::sandbox::made_up::woocommerce::order(301, at);
    shop.sandbox.put_late("woocommerce", "orders", late, shop.clock.now() + Span::from_minutes(10)).expect("an order");
    // Opened in the admin, and nothing changed.
    shop.change("orders", "7001", json!({}));
    shop.change("orders", "7002", json!({ "status": "cancelled" }));
    let gmt = shop.clock.now().to_string();
    let gmt = gmt.get(..19).expect("an instant");
    shop.change("orders", "7003", json!({ "status": "completed", "date_completed_gmt": gmt }));
    let refund = json!({ "order_id": 7_004, "amount": "9.50", "reason": "", "line_items": [] });
    let refund = shop.sandbox.put("woocommerce", "refunds", refund).expect("a refund");
    shop.change("orders", "7004", json!({ "refunds": [{ "id": refund, "reason": "", "total": "-9.50" }] }));
    shop.change("customers", "45", json!({ "first_name": "Changed" }));
    shop.change("products", "95", json!({ "stock_status": "outofstock", "stock_quantity": 0 }));
    shop.turn(Span::from_minutes(90)).await;
    wanted.extend(once(&["Order Placed", "Order Updated"], ["7300".into()].iter()));
    wanted.extend(once(&["Order Completed", "Order Updated"], ["7301".into()].iter()));
    for event in ["Order Cancelled 7002", "Order Fulfilled 7003", "Order Refunded 7004"] {
        wanted.insert(event.into(), 1);
    }
    wanted.insert("Order Updated 7002".into(), 2);
    wanted.insert("Order Updated 7003".into(), 2);
    same(&shop.did("order_id").await, &wanted);
    assert_eq!(shop.of("person5@example.com", "first_name").await, "Changed");
    assert_eq!(shop.store.catalogue().get("95").expect("a product").stock, Some(0));
    // The transfer comes in.
    let gmt = shop.clock.now().to_string();
    let gmt = gmt.get(..19).expect("an instant");
    shop.change("orders", "7300", json!({ "status": "processing", "date_paid_gmt": gmt }));
    shop.turn(Span::from_minutes(5)).await;
    wanted.insert("Order Completed 7300".into(), 1);
    wanted.insert("Order Updated 7300".into(), 2);
    same(&shop.did("order_id").await, &wanted);
    shop.end().await;
}

#[tokio::test]
async fn bigcommerce() {
    let shop = Shop::open(
        "bigcommerce",
        |sandbox| {
            // More than the limit lets be asked for at once, a call for each order's lines.
            fill(sandbox, "bigcommerce", "orders", 260);
            fill(sandbox, "bigcommerce", "order_products", 260);
            fill(sandbox, "bigcommerce", "customers", 260);
            fill(sandbox, "bigcommerce", "products", 260);
            let mut begun = espalier::sandbox::made_up::bigcommerce::order(900, START.as_millis() - 60_000);
            begun["status_id"] = 0.into();
            sandbox.put("bigcommerce", "orders", begun).expect("a checkout");
        },
        |url| json!({ "store_hash": "sandbox", "token": "sandbox", "base_url": url, "shop_url": "https://shop.example" }),
    )
    .await;
    shop.read().await;
    let orders: Vec<String> = (101..=360).map(|n: u64| n.to_string()).collect();
    let mut wanted = once(&["Order Completed", "Order Updated"], orders.iter());
    wanted.insert("Checkout Started 1000".into(), 1);
    same(&shop.did("order_id").await, &wanted);
    assert_eq!((shop.people().await.len(), shop.store.catalogue().len()), (261, 260));
    let url = shop.store.catalogue().get("85").and_then(|item| item.url.clone());
    assert_eq!(url.as_deref(), Some("https://shop.example/article-5/"));
    for person in shop.people().await {
        for entry in person.history.entries().iter().filter(|entry| &*entry.name == "Order Completed") {
            assert_eq!(entry.fields()["products"][0]["quantity"], 2, "{:?}", entry.fields());
        }
    }

    let at = shop.clock.now().as_millis();
    let late = espalier::sandbox::made_up::bigcommerce::order(301, at);
    shop.sandbox.put_late("bigcommerce", "orders", late, shop.clock.now() + Span::from_minutes(8)).expect("an order");
    shop.change("orders", "1000", json!({ "status_id": 11 }));
    shop.change("orders", "101", json!({ "staff_notes": "called" }));
    shop.change("orders", "102", json!({ "status_id": 5, "status": "Cancelled" }));
    shop.change("orders", "103", json!({ "status_id": 2, "status": "Shipped" }));
    shop.change("orders", "104", json!({ "status_id": 14, "refunded_amount": "5.0000" }));
    shop.change("customers", "5", json!({ "first_name": "Changed" }));
    shop.change("products", "85", json!({ "inventory_level": 1 }));
    shop.turn(Span::from_minutes(20)).await;
    wanted.extend(once(&["Order Completed", "Order Updated"], ["401".into(), "1000".into()].iter()));
    for event in ["Order Cancelled 102", "Order Fulfilled 103", "Order Refunded 104"] {
        wanted.insert(event.into(), 1);
    }
    for changed in 102..=104 {
        wanted.insert(format!("Order Updated {changed}"), 2);
    }
    same(&shop.did("order_id").await, &wanted);
    assert_eq!(shop.of("person5@example.com", "first_name").await, "Changed");
    assert_eq!(shop.store.catalogue().get("85").expect("a product").stock, Some(1));
    shop.end().await;
}

#[tokio::test]
async fn magento() {
    let shop = Shop::open(
        "magento",
        |sandbox| {
            fill(sandbox, "magento", "orders", 230);
            fill(sandbox, "magento", "customers", 230);
            fill(sandbox, "magento", "carts", 120);
            fill(sandbox, "magento", "products", 130);
            let cart = |n: u64, patch: Value| {
                let mut cart = espalier::sandbox::made_up::magento::cart(n, START.as_millis() - 60_000);
                patch.as_object().expect("a patch").iter().for_each(|(name, value)| cart[name] = value.clone());
                sandbox.put("magento", "carts", cart).expect("a cart");
            };
            cart(800, json!({ "is_active": false }));
            cart(801, json!({ "items_count": 0, "items": [] }));
            cart(802, json!({ "customer": {}, "billing_address": {} }));
        },
        |url| json!({ "shop": url, "token": "sandbox", "currency": "EUR" }),
    )
    .await;
    shop.read().await;
    let number = |n: u64| format!("{n:09}");
    let orders: Vec<String> = (1..=230).map(number).collect();
    let mut wanted = once(&["Order Completed", "Order Updated"], orders.iter());
    same(&shop.did("order_id").await, &wanted);
    let carts: Vec<String> = (31..=150).map(|n: u64| n.to_string()).collect();
    let mut left = once(&["Cart Updated"], carts.iter());
    let carts_of = async || {
        let mut did = shop.did("cart_id").await;
        did.retain(|key, _| key.starts_with("Cart"));
        did
    };
    same(&carts_of().await, &left);
    assert_eq!((shop.people().await.len(), shop.store.catalogue().len()), (230, 130));

    let at = shop.clock.now().as_millis();
    let late = espalier::sandbox::made_up::magento::order(301, at);
    shop.sandbox.put_late("magento", "orders", late, shop.clock.now() + Span::from_minutes(10)).expect("an order");
    let mut unpaid = espalier::sandbox::made_up::magento::order(302, at);
    unpaid["state"] = "pending_payment".into();
    shop.sandbox.put("magento", "orders", unpaid).expect("an order");
    shop.change("orders", "1", json!({ "status_histories": [{ "comment": "by cron" }] }));
    shop.change("orders", "2", json!({ "state": "canceled", "status": "canceled" }));
    shop.change("orders", "3", json!({ "state": "complete", "status": "complete" }));
    shop.change("orders", "4", json!({ "total_refunded": 9.5 }));
    shop.change(
        "carts",
        "35",
        json!({ "items_qty": 3, "items": [{ "sku": "SKU-5", "qty": 3, "name": "Salt jar", "price": 1.5 }] }),
    );
    shop.change("customers", "7", json!({ "extension_attributes": { "is_subscribed": false } }));
    shop.change("products", "205", json!({ "status": 2 }));
    shop.turn(Span::from_minutes(40)).await;
    wanted.extend(once(&["Order Completed", "Order Updated"], [number(301)].iter()));
    wanted.insert(format!("Checkout Started {}", number(302)), 1);
    for (n, event) in [(2, "Order Cancelled"), (3, "Order Fulfilled"), (4, "Order Refunded")] {
        wanted.insert(format!("{event} {}", number(n)), 1);
        wanted.insert(format!("Order Updated {}", number(n)), 2);
    }
    same(&shop.did("order_id").await, &wanted);
    left.insert("Cart Updated 35".into(), 2);
    same(&carts_of().await, &left);
    assert_eq!(shop.of("person7@example.com", "email_consent").await, false);
    assert_eq!(shop.store.catalogue().get("SKU-5").expect("a product").stock, Some(0));
    shop.end().await;
}

/// What changes while pages are read, on pages that were read already above all, pushes no other record out of sight.
async fn nothing_slips_between_pages(
    vendor: &'static str,
    count: u64,
    ids: impl Fn(u64) -> (String, String),
    settings: impl Fn(&str) -> Value,
) {
    let shop = Shop::open(vendor, |sandbox| drop(fill(sandbox, vendor, "orders", count)), settings).await;
    let slow = json!({ "vendor": vendor, "kind": "slow", "delay_ms": 20_000, "times": 30 });
    shop.sandbox.fault(slow).expect("a fault");
    for n in 1..=30 {
        shop.turn(Span::from_secs(30)).await;
        shop.change("orders", &ids(n).0, json!({ "customer_note": "changed" }));
    }
    shop.read().await;
    let did = shop.did("order_id").await;
    let missing: Vec<String> =
        (1..=count).map(|n| ids(n).1).filter(|id| !did.contains_key(&format!("Order Completed {id}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    shop.end().await;
}

#[tokio::test]
async fn nothing_slips_between_pages_of_woocommerce() {
    let ids = |n: u64| ((7_000 + n).to_string(), (7_000 + n).to_string());
    let settings = |url: &str| json!({ "shop": url, "key": "sandbox", "secret": "sandbox" });
    nothing_slips_between_pages("woocommerce", 450, ids, settings).await;
}

#[tokio::test]
async fn nothing_slips_between_pages_of_magento() {
    let ids = |n: u64| (n.to_string(), format!("{n:09}"));
    nothing_slips_between_pages("magento", 450, ids, |url| json!({ "shop": url, "token": "sandbox" })).await;
}

#[tokio::test]
async fn nothing_slips_between_pages_of_shopify() {
    let ids = |n: u64| (format!("gid://shopify/Order/{}", 5_000_000 + n), (5_000_000 + n).to_string());
    let settings = |url: &str| json!({ "shop": "sandbox.myshopify.com", "token": "sandbox", "base_url": url });
    nothing_slips_between_pages("shopify", 90, ids, settings).await;
}

/// The keys by which repeats are known, of each event that a message or an answer makes.
fn keys(connector: &str, made: impl Fn(&Manifest) -> Vec<Event>) -> BTreeMap<String, Vec<[u8; 16]>> {
    let manifest = Manifest::read("connector.toml", shipped(connector).expect("its text")).expect("right");
    made(&manifest).into_iter().map(|event| (event.name.to_string(), event.dedupe)).collect()
}

#[track_caller]
fn one(connector: &str, topic: &str, event: &str, body: &Value, list: &str, answer: &Value) {
    let came = keys(connector, |manifest| {
        fixture::topic(manifest, topic, body.to_string().as_bytes()).expect("it listens").events
    });
    let pulled = keys(connector, |manifest| {
        fixture::page(manifest, list, answer.to_string().as_bytes(), &[]).expect("a page").read.events
    });
    let is_one = came[event].iter().any(|key| pulled[event].contains(key));
    assert!(is_one, "{event} of {topic} and of {list}");
}

#[test]
fn what_comes_by_webhook_and_by_list_is_one_event() {
    let read = |file: &str| -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors").join(file);
        serde_json::from_slice(&std::fs::read(path).expect("a sample")).expect("JSON")
    };
    let mut page = read("shopify/fixtures/orders.page.json");
    let order = |topic: &str, event: &str, number: u64, at: &str, page: &Value| {
        let body = json!({ "id": number, "email": "a@example.org", "created_at": at, "updated_at": at });
        one("shopify", topic, event, &body, "orders", page);
    };
    let all = page["data"]["orders"]["nodes"].take();
    for (n, number, events) in [
        (
            0,
            5_871_200_337_001_u64,
            &[("orders/create", "Order Completed"), ("orders/updated", "Order Updated"), ("orders/paid", "Order Paid")]
                [..],
        ),
        (1, 5_871_200_338_842, &[("orders/fulfilled", "Order Fulfilled")][..]),
        (2, 5_871_200_339_001, &[("orders/cancelled", "Order Cancelled")][..]),
    ] {
        page["data"]["orders"]["nodes"] = json!([all[n]]);
        for (topic, event) in events {
            order(topic, event, number, "2026-11-22T19:04:14+01:00", &page);
        }
    }
    page["data"]["orders"]["nodes"] = json!([all[1]]);
    let refund = json!({ "id": 944_012_300_034_u64, "order_id": 5_871_200_338_842_u64, "created_at": "2026-11-23T05:29:58-05:00" });
    one("shopify", "refunds/create", "Order Refunded", &refund, "orders", &page);
    let mut page = read("shopify/fixtures/checkouts.page.json");
    page["data"]["abandonedCheckouts"]["nodes"].as_array_mut().expect("a list").truncate(1);
    let checkout =
        json!({ "token": "6c1b7f0e9d", "email": "a@example.org", "updated_at": "2026-11-23T11:52:10+01:00" });
    one("shopify", "checkouts/create", "Checkout Started", &checkout, "checkouts", &page);
    one("shopify", "checkouts/update", "Checkout Updated", &checkout, "checkouts", &page);

    let order = read("woocommerce/fixtures/order_created.json");
    for event in ["Order Completed", "Order Updated"] {
        one("woocommerce", "order.created", event, &order, "orders", &json!([order]));
        one("woocommerce", "order.updated", event, &order, "orders", &json!([order]));
    }
}
