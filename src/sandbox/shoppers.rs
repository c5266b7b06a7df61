//! A simulated shop's visitors. Each follows one of a few stories, sends what a browser or server library would send,
//! and notes what should follow from it. Knows nothing of triggers but their stories' outcome.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::clock::SharedClock;
use crate::model::{Span, Timestamp};

/// One activation that a vendor should take.
#[derive(Clone, Debug, PartialEq)]
pub struct Should {
    /// Which vendor.
    pub vendor: &'static str,
    /// The event as the vendor calls it.
    pub event: &'static str,
    /// The address.
    pub person: String,
    /// When it becomes due.
    pub at: Timestamp,
}

/// What all shoppers did, and what should follow.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Shoppers that came.
    pub shoppers: u64,
    /// Messages answered 2xx, repetitions among them.
    pub sent: u64,
    /// Messages sent a second time.
    pub repeated: u64,
    /// What vendors should take.
    pub activations: Vec<Should>,
    /// Carts left by visitors without a name: due, and refused by the vendor.
    pub nameless: Vec<Timestamp>,
}

/// The shop.
#[derive(Clone)]
pub struct Shop {
    inner: Arc<Inner>,
}

struct Inner {
    intake: SocketAddr,
    clock: SharedClock,
    client: reqwest::Client,
    expected: Mutex<Expected>,
    seed: u64,
}

/// Shoppers under way.
pub struct Visits {
    shop: Shop,
    running: JoinSet<()>,
    next: u64,
    owed: f64,
    each_tick: f64,
}

impl Visits {
    /// So many in a second; a tick is a tenth.
    pub fn new(shop: Shop, each_second: u32) -> Self {
        Self { shop, running: JoinSet::new(), next: 0, owed: 0.0, each_tick: f64::from(each_second) / 10.0 }
    }

    /// Lets those in whose time it is.
    pub fn tick(&mut self) {
        self.owed += self.each_tick;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            let (shop, n) = (self.shop.clone(), self.next);
            self.next += 1;
            self.running.spawn(async move { shop.visit(n).await });
        }
        while self.running.try_join_next().is_some() {}
    }

    /// Lets everybody finish.
    pub async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

fn minutes(n: i64) -> Span {
    Span::from_minutes(n)
}

impl Shop {
    /// Whose messages go to `intake`.
    pub fn open(intake: SocketAddr, clock: SharedClock, seed: u64) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap_or_default();
        Self { inner: Arc::new(Inner { intake, clock, client, expected: Mutex::default(), seed }) }
    }

    /// What was done so far.
    pub fn done(&self) -> Expected {
        self.inner.expected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Expected)) {
        change(&mut self.inner.expected.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One shopper's story.
    async fn visit(&self, n: u64) {
        self.note(|e| e.shoppers += 1);
        let shopper = Shopper::new(self.clone(), n);
        match n % 10 {
            0 => shopper.leaves_a_cart(true).await,
            1 => shopper.leaves_a_cart(false).await,
            2 | 3 => shopper.registers_at_checkout().await,
            4 => shopper.comes_back_and_adds_more().await,
            5 => shopper.considers().await,
            6 => shopper.buys_late().await,
            7 => shopper.submits_a_form().await,
            8 => shopper.lands().await,
            _ => shopper.bought_long_ago().await,
        }
    }

    async fn post(&self, path: &str, body: &Value) {
        let inner = &self.inner;
        // As every library does: again until it is acknowledged.
        for _ in 0..20 {
            let call =
                inner.client.post(format!("http://{}{path}", inner.intake)).basic_auth("sandbox", Some("")).json(body);
            if call.send().await.is_ok_and(|answer| answer.status().is_success()) {
                let messages = body.get("batch").and_then(Value::as_array).map_or(1, Vec::len) as u64;
                self.note(|e| e.sent += messages);
                return;
            }
            inner.clock.until(inner.clock.now() + Span::from_secs(10)).await;
        }
    }
}

struct Shopper {
    shop: Shop,
    n: u64,
    rng: Mutex<fastrand::Rng>,
    count: Mutex<u64>,
}

impl Shopper {
    fn new(shop: Shop, n: u64) -> Self {
        let rng = Mutex::new(fastrand::Rng::with_seed(shop.inner.seed.wrapping_mul(0x9E37_79B9).wrapping_add(n)));
        Self { shop, n, rng, count: Mutex::new(0) }
    }

    fn below(&self, n: u64) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(..n)
    }

    fn email(&self) -> String {
        format!("shopper{}@example.com", self.n)
    }

    fn now(&self) -> Timestamp {
        self.shop.inner.clock.now()
    }

    async fn wait(&self, span: Span) {
        self.shop.inner.clock.until(self.now() + span).await;
    }

    fn should(&self, vendor: &'static str, event: &'static str, at: Timestamp) {
        let person = self.email();
        self.shop.note(|e| e.activations.push(Should { vendor, event, person, at }));
    }

    fn message(&self, kind: &str, at: Timestamp, who: Value, more: Value) -> Value {
        let id = {
            let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            format!("{}-{}-{}", self.shop.inner.seed, self.n, count)
        };
        let mut message = json!({ "type": kind, "messageId": id, "timestamp": at });
        for part in [who, more] {
            if let (Some(message), Value::Object(part)) = (message.as_object_mut(), part) {
                message.extend(part);
            }
        }
        message
    }

    fn anonymous(&self) -> Value {
        json!({ "anonymousId": format!("browser-{}", self.n) })
    }

    fn known(&self) -> Value {
        json!({ "anonymousId": format!("browser-{}", self.n), "userId": format!("user-{}", self.n),
            "context": { "traits": { "email": self.email() } } })
    }

    fn track(&self, who: Value, event: &str, at: Timestamp, properties: Value) -> Value {
        self.message("track", at, who, json!({ "event": event, "properties": properties }))
    }

    fn cart(&self, product: u64) -> Value {
        json!({ "cart_id": format!("cart-{}", self.n), "product_id": format!("P-{product}"), "name": format!("Walnut tray no. {product}"),
            "price": 19.5 + product as f64, "quantity": 1, "currency": "EUR", "url": format!("https://shop.example/p/{product}") })
    }

    /// Sends; one in ten twice, and one batch in four in reverse order.
    async fn send(&self, mut messages: Vec<Value>) {
        if self.below(4) == 0 {
            messages.reverse();
        }
        let body = json!({ "batch": messages });
        self.shop.post("/v1/batch", &body).await;
        if self.below(10) == 0 {
            let n = body.get("batch").and_then(Value::as_array).map_or(0, Vec::len) as u64;
            self.shop.post("/v1/batch", &body).await;
            self.shop.note(|e| e.repeated += n);
        }
    }

    async fn browses(&self, who: &Value) {
        for product in 0..2 + self.below(3) {
            let page = json!({ "product_id": format!("P-{}", 100 + product), "url": format!("https://shop.example/p/{product}") });
            self.send(vec![self.track(who.clone(), "Product Viewed", self.now(), page)]).await;
            self.wait(Span::from_secs(20)).await;
        }
    }

    async fn leaves_a_cart(&self, has_name: bool) {
        let who = if has_name { self.known() } else { self.anonymous() };
        self.browses(&who).await;
        let added = self.now();
        self.send(vec![self.track(who, "Product Added", added, self.cart(1))]).await;
        let due = added + minutes(30);
        if has_name {
            self.should("klaviyo", "Cart Abandoned", due);
        } else {
            self.shop.note(|e| e.nameless.push(due));
        }
    }

    /// The one who must not be reminded: a guest fills a cart, registers, and buys under the account.
    async fn registers_at_checkout(&self) {
        self.browses(&self.anonymous()).await;
        let added = self.now();
        self.send(vec![self.track(self.anonymous(), "Product Added", added, self.cart(2))]).await;
        self.wait(minutes(6 + self.below(6) as i64)).await;
        let at = self.now();
        let identify = self.message(
            "identify",
            at,
            self.known(),
            json!({ "traits": { "email": self.email(), "first_name": "Ines" } }),
        );
        let order = json!({ "cart_id": format!("cart-{}", self.n), "order_id": format!("order-{}", self.n), "total": "21.50", "currency": "EUR" });
        let bought = self.track(self.known(), "Order Completed", at + Span::from_secs(5), order);
        // The order's message comes late, and still before the half hour is over.
        self.send(vec![identify]).await;
        self.wait(minutes(self.below(4) as i64)).await;
        self.send(vec![bought]).await;
    }

    async fn comes_back_and_adds_more(&self) {
        let who = self.known();
        self.send(vec![self.track(who.clone(), "Product Added", self.now(), self.cart(3))]).await;
        self.wait(minutes(10)).await;
        let added = self.now();
        self.send(vec![self.track(who, "Product Added", added, self.cart(4))]).await;
        self.should("klaviyo", "Cart Abandoned", added + minutes(30));
    }

    async fn buys_late(&self) {
        let who = self.known();
        let added = self.now();
        self.send(vec![self.track(who.clone(), "Product Added", added, self.cart(5))]).await;
        let due = added + minutes(30);
        self.should("klaviyo", "Cart Abandoned", due);
        // Long enough after the half hour for the reminder to have left.
        self.shop.inner.clock.until(due + minutes(60)).await;
        let order = json!({ "cart_id": format!("cart-{}", self.n), "order_id": format!("order-{}", self.n), "total": "24.50", "currency": "EUR" });
        self.send(vec![self.track(who, "Order Completed", self.now(), order)]).await;
    }

    async fn considers(&self) {
        let who = self.known();
        let page = || json!({ "product_id": "P-7", "name": "Oil cloth", "url": "https://shop.example/p/7" });
        let first = self.now();
        let views: Vec<Value> =
            (0..3).map(|n| self.track(who.clone(), "Product Viewed", first + Span::from_secs(n * 5), page())).collect();
        self.wait(Span::from_secs(15)).await;
        self.send(views).await;
        let at = first + Span::from_secs(10);
        self.should("klaviyo", "Product Considered", at);
        self.should("hubspot", "pe1234567_product_considered", at);
    }

    async fn submits_a_form(&self) {
        let at = self.now();
        let body = json!({ "id": format!("form-{}-{}", self.shop.inner.seed, self.n), "email": self.email(), "form": "newsletter", "at": at });
        self.shop.post("/api/submit-form", &body).await;
        self.should("hubspot", "pe1234567_form_submitted", at);
        self.should("marketo", "form-submitted", at);
    }

    async fn lands(&self) {
        let at = self.now();
        let body = json!({ "id": format!("visit-{}-{}", self.shop.inner.seed, self.n), "visitor": format!("browser-{}", self.n),
            "email": self.email(), "url": "https://shop.example/spring", "at": at });
        self.shop.post("/api/track-visit", &body).await;
        self.should("klaviyo", "Landing Page Visited", at);
    }

    /// Orders of a month and of three months ago reach us only now; what became due long ago is not sent.
    async fn bought_long_ago(&self) {
        let days = if self.n % 20 < 10 { 30 } else { 90 };
        let bought = self.now() - Span::from_days(days) + minutes(20);
        let order = json!({ "order_id": format!("order-{}", self.n), "total": "99.00", "currency": "EUR" });
        self.send(vec![self.track(self.known(), "Order Completed", bought, order)]).await;
        let due = bought + Span::from_days(days);
        if days == 30 {
            self.should("klaviyo", "Purchase Follow-up", due);
        } else {
            self.should("klaviyo", "Customer Lapsed", due);
            self.should("marketo", "lapsed-customer", due);
        }
    }
}
