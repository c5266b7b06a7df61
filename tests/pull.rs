//! A connector's list against a vendor that does all it can to be misread.

#![expect(clippy::disallowed_methods, reason = "what it waits for is a server's answer, in the machine's time")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use espalier::clock::{Clock, SystemClock, VirtualClock};
use espalier::identity;
use espalier::manifest::setting::Given;
use espalier::model::{Span, Timestamp};
use espalier::pull::{Source, Watching};
use espalier::quota::Accounts;
use espalier::source::manifest::{Connected, Manifest};
use espalier::source::stream::settings::Settings;
use espalier::store::Store;
use espalier::store::embedded::Embedded;
use serde_json::{Value, json};
use support::{Daemon, espalier, eventually};
use tokio_util::sync::CancellationToken;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const PAGE: usize = 50;

const MANIFEST: &str = r#"
name  = "acme"
facts = "the test's own vendor"
[settings]
base_url = { kind = "url", help = "where it is" }
id       = { kind = "word", help = "the client" }
secret   = { kind = "secret", help = "its secret" }
[api]
base_url = "{{ settings.base_url }}"
auth     = { kind = "oauth2", path = "/token", fields = { grant_type = "client_credentials" }, secrets = { client_id = "id", client_secret = "secret" } }
[[api.answer]]
path = "errors"
do   = "retry"
[stream.orders]
path    = "/orders"
query   = { from = "{{ window.from }}", until = "{{ window.until }}", after = "{{ page.token }}" }
records = "items"
paging  = { kind = "cursor", next = "next" }
window  = { time = "epoch_millis", overlap = "2m", margin = "10s" }
every   = "30s"
[[stream.orders.emit]]
event      = "Order Completed"
id         = "id"
version    = "changed"
at         = "changed"
identify   = { email = "email" }
properties = { order_id = { text = "id" }, total = "total" }
"#;

/// What the vendor does to the next calls, instead of answering.
#[derive(Clone, Debug)]
enum Trick {
    Truncated,
    Html,
    WrongType,
    ErrorInside,
    NotFoundPage,
    SamePage,
    Circle,
    TokenEnds,
    ScopeRevoked,
    TooMany,
    Down,
    OtherShape,
    Cut,
}

#[derive(Default)]
struct World {
    orders: BTreeMap<u64, Value>,
    tricks: VecDeque<Trick>,
    tokens: u64,
    calls: u64,
    last: Option<Value>,
}

#[derive(Clone)]
struct Vendor {
    world: Arc<Mutex<World>>,
    address: SocketAddr,
}

impl Vendor {
    /// Its clock is the one that is turned: its answers are dated by it.
    async fn start(clock: &(impl Clock + Clone)) -> Self {
        let world: Arc<Mutex<World>> = Arc::default();
        let router = Router::new().route("/token", post(token)).route("/orders", get(orders)).with_state(world.clone());
        let address = support::serve(support::dated(router, Arc::new(clock.clone()))).await;
        Self { world, address }
    }

    fn put(&self, ids: std::ops::Range<u64>, at: Timestamp) {
        let mut world = self.world.lock().expect("the world");
        for id in ids {
            let order = json!({ "id": id, "changed": at.as_millis() + id as i64, "email": format!("p{id}@example.com"), "total": "9.00" });
            world.orders.insert(id, order);
        }
    }

    fn break_record(&self, id: u64) {
        let mut world = self.world.lock().expect("the world");
        if let Some(order) = world.orders.get_mut(&id) {
            order["email"] = Value::Null;
        }
    }

    fn play(&self, trick: Trick) {
        self.world.lock().expect("the world").tricks.push_back(trick);
    }

    fn calls(&self) -> u64 {
        self.world.lock().expect("the world").calls
    }
}

async fn token(State(world): State<Arc<Mutex<World>>>, body: String) -> Response {
    assert!(body.contains("client_secret=secret"), "the secret is in the form");
    let mut world = world.lock().expect("the world");
    world.tokens += 1;
    axum::Json(json!({ "access_token": format!("t{}", world.tokens), "expires_in": 86_400 })).into_response()
}

async fn orders(
    State(world): State<Arc<Mutex<World>>>,
    headers: HeaderMap,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    let mut world = world.lock().expect("the world");
    world.calls += 1;
    let is_known = headers.get("authorization").is_some_and(|held| *held == *format!("Bearer t{}", world.tokens));
    if !is_known {
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({ "message": "the token is not known" }))).into_response();
    }
    let number = |name: &str| asked.get(name).and_then(|text| text.parse::<i64>().ok());
    let (from, until) = (number("from").unwrap_or(0), number("until").unwrap_or(i64::MAX));
    let offset = number("after").unwrap_or(0) as usize;
    let inside: Vec<&Value> = world
        .orders
        .values()
        .filter(|order| order["changed"].as_i64().is_some_and(|at| (from..until).contains(&at)))
        .collect();
    let page: Vec<Value> = inside.iter().skip(offset).take(PAGE).map(|order| (*order).clone()).collect();
    let end = offset + page.len();
    let next = (end < inside.len()).then(|| end.to_string());
    let body = json!({ "items": page, "next": next });
    let last = world.last.replace(body.clone());
    match world.tricks.pop_front() {
        None => axum::Json(body).into_response(),
        Some(Trick::Truncated) => {
            let text = body.to_string();
            ([("content-type", "application/json")], text[..text.len() / 2].to_owned()).into_response()
        }
        Some(Trick::Html) => axum::response::Html("<html>Sign in</html>").into_response(),
        Some(Trick::WrongType) => ([("content-type", "text/plain")], body.to_string()).into_response(),
        Some(Trick::ErrorInside) => axum::Json(json!({ "errors": [{ "message": "internal" }] })).into_response(),
        Some(Trick::NotFoundPage) => (StatusCode::NOT_FOUND, "<html>Not here</html>").into_response(),
        Some(Trick::SamePage) => axum::Json(last.unwrap_or(body)).into_response(),
        Some(Trick::Circle) => {
            axum::Json(json!({ "items": [], "next": asked.get("after").cloned().unwrap_or("0".into()) }))
                .into_response()
        }
        Some(Trick::TokenEnds) => {
            world.tokens += 1;
            (StatusCode::UNAUTHORIZED, axum::Json(json!({ "message": "expired" }))).into_response()
        }
        Some(Trick::ScopeRevoked) => {
            (StatusCode::FORBIDDEN, axum::Json(json!({ "message": "needs read_orders" }))).into_response()
        }
        Some(Trick::TooMany) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3")], "").into_response(),
        Some(Trick::Down) => StatusCode::BAD_GATEWAY.into_response(),
        Some(Trick::OtherShape) => axum::Json(json!({ "data": page })).into_response(),
        Some(Trick::Cut) => {
            let cut = futures_util::stream::iter([Ok("{\"items\": [".to_owned()), Err(std::io::Error::other("cut"))]);
            Response::new(Body::from_stream(cut))
        }
    }
}

/// The list being pulled into a store of its own, by a clock that is turned.
struct Pulled {
    vendor: Vendor,
    store: Embedded,
    clock: VirtualClock,
    watching: Watching,
    /// What is new in it.
    tally: espalier::source::volume::Tally,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Pulled {
    async fn start(vendor: Vendor, folder: &std::path::Path, clock: VirtualClock, start: Span) -> Self {
        let settings = espalier::store::settings::Settings { path: folder.to_owned(), ..Default::default() };
        let store = Embedded::open(&settings, clock.now()).expect("a store");
        let manifest = Manifest::read("acme.toml", MANIFEST).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let said = json!({ "base_url": format!("http://{}", vendor.address), "id": "me", "secret": "secret" });
        let written = serde_json::from_value(said).expect("settings");
        let given = Given::read(&manifest.settings, &written).expect("fits");
        let (connected, settings) = (Connected { manifest, given }, Settings { start, ..Settings::default() });
        let (names, shared) = (identity::Settings::default(), Arc::new(store.clone()));
        let accounts = Accounts::new(None, Arc::new(clock.clone()));
        let source = Source::new("acme", &connected, &settings, &names, shared, &accounts);
        let source = source.expect("an HTTP client");
        let watching = source.watching().into_iter().next().expect("one list");
        let tally = source.ears().next().expect("one list").tally;
        let stop = CancellationToken::new();
        let task = tokio::spawn(source.run(stop.clone()));
        // Where it begins is by the clock as it stands now, however late the task is.
        let begun = |state: &espalier::pull::StreamState| state.read > Timestamp::from_millis(0);
        watching.state.clone().wait_for(begun).await.expect("it runs");
        Self { vendor, store, clock, watching, tally, stop, task }
    }

    /// Turns the clock, a second at a time, until this holds.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..4_000 {
            if holds(self) {
                return;
            }
            self.clock.set(self.clock.now() + Span::from_secs(1));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("{what}: {:#?}", self.watching.state.borrow());
    }

    fn accepted(&self) -> u64 {
        self.store.counts().journaled.0
    }

    async fn end(self) -> (Vendor, VirtualClock) {
        self.stop.cancel();
        self.task.await.expect("an end");
        self.store.close().await.expect("closed");
        (self.vendor, self.clock)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_vendor_answers_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = VirtualClock::new(NOW);
    let vendor = Vendor::start(&clock).await;
    let pulled = Pulled::start(vendor, folder.path(), clock, Span::from_hours(1)).await;
    let tricks = [
        (Trick::Truncated, "HTTP 200 is not JSON"),
        (Trick::Html, "HTTP 200 is not JSON, and a web page"),
        (Trick::ErrorInside, "HTTP 200: internal"),
        (Trick::NotFoundPage, "HTTP 404, and a web page"),
        (Trick::Circle, "the same place in the list again and again"),
        (Trick::ScopeRevoked, "the account may not read this: HTTP 403: needs read_orders"),
        (Trick::TooMany, "the vendor's limit is reached: HTTP 429"),
        (Trick::Down, "HTTP 502"),
        (Trick::OtherShape, "`items` is no list"),
        (Trick::Cut, "the connection was cut"),
    ];
    let mut id = 0;
    for (trick, words) in tricks {
        let at = pulled.clock.now();
        pulled.vendor.put(id..id + 120, at);
        id += 120;
        // Twice: a circle shows itself when it is gone round.
        pulled.vendor.play(trick.clone());
        if matches!(trick, Trick::Circle) {
            (0..3).for_each(|_| pulled.vendor.play(Trick::Circle));
        }
        let said = |pulled: &Pulled| pulled.watching.state.borrow().last_error.clone().unwrap_or_default();
        pulled.until(&format!("{trick:?} is told"), |pulled| said(pulled).contains(words)).await;
        pulled.until(&format!("all after {trick:?}"), |pulled| pulled.accepted() == id).await;
    }
    // These need no word: what comes is taken, and a new token is fetched.
    for trick in [Trick::WrongType, Trick::SamePage, Trick::TokenEnds] {
        pulled.vendor.put(id..id + 120, pulled.clock.now());
        id += 120;
        pulled.vendor.play(trick.clone());
        pulled.until(&format!("all after {trick:?}"), |pulled| pulled.accepted() == id).await;
    }
    // A broken record is set aside; the page goes on.
    pulled.vendor.put(id..id + 120, pulled.clock.now());
    pulled.vendor.break_record(id + 60);
    id += 119;
    pulled.until("all but the broken one", |pulled| pulled.accepted() == id).await;
    let aside = pulled.store.set_aside_list(10).await.expect("a list");
    assert_eq!(aside.iter().map(|one| (&*one.source, &*one.reason)).next(), Some(("acme/orders", "names nobody")));
    // One that claims to be of the future moves nothing.
    pulled.vendor.put(100_000..100_001, pulled.clock.now() + Span::from_days(400));
    let before = pulled.clock.now();
    pulled.until("time", |pulled| pulled.clock.now() > before + Span::from_minutes(5)).await;
    let read = pulled.watching.state.borrow().read;
    assert!(read <= pulled.clock.now() - Span::from_secs(10) && read > before, "{read}");
    // What changes is read again, once.
    pulled.vendor.put(0..10, pulled.clock.now());
    pulled.until("what changed", |pulled| pulled.accepted() == id + 10).await;
    let before = pulled.clock.now();
    pulled.until("time", |pulled| pulled.clock.now() > before + Span::from_minutes(5)).await;
    assert_eq!(pulled.accepted(), id + 10, "nothing is appended twice");
    pulled.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_read_beside_what_is_new_and_a_restart_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = VirtualClock::new(NOW);
    let vendor = Vendor::start(&clock).await;
    vendor.put(0..5_000, NOW - Span::from_days(20));
    vendor.put(5_000..5_100, NOW - Span::from_days(40));
    let pulled = Pulled::start(vendor, folder.path(), clock, Span::from_days(30)).await;
    pulled.until("some of the past", |pulled| pulled.accepted() > 500).await;
    let (vendor, clock) = pulled.end().await;
    vendor.put(6_000..6_100, clock.now());
    let calls = vendor.calls();
    let pulled = Pulled::start(vendor, folder.path(), clock, Span::from_days(30)).await;
    pulled.until("all", |pulled| pulled.accepted() == 5_100 && pulled.watching.state.borrow().past.is_none()).await;
    let new: u64 = pulled.tally.take(pulled.clock.now()).values().sum();
    assert_eq!(new, 100, "the past says nothing of how much comes");
    assert!(pulled.vendor.calls() - calls < 120, "it did not begin anew: {} calls", pulled.vendor.calls() - calls);
    pulled.end().await;
}

/// The whole daemon, killed again and again while it pulls: each order is in the journal once, for a page's events and the
/// place after them are one append.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_daemon_leaves_nothing_out_and_repeats_nothing() {
    const ORDERS: u64 = 20_000;
    let folder = tempfile::tempdir().expect("a folder");
    let vendor = Vendor::start(&SystemClock).await;
    vendor.put(0..ORDERS, SystemClock.now() - Span::from_hours(2));
    let connector = folder.path().join("connectors/acme");
    std::fs::create_dir_all(&connector).expect("a folder");
    std::fs::write(connector.join("connector.toml"), MANIFEST).expect("a manifest");
    let source = format!(
        "[source.acme]\nkind = \"connector\"\nconnector = \"acme\"\npull = {{ start = \"1d\" }}\n\
         settings = {{ base_url = \"http://{}\", id = \"me\", secret = \"${{env:TEST_SECRET}}\" }}\n",
        vendor.address
    );
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &source, &[]);
    // Above every table.
    let config = folder.path().join("espalier.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    std::fs::write(&config, format!("connectors = \"connectors\"\n{text}")).expect("the configuration");
    for kill in 1..=6 {
        let enough = vendor.calls() + 30 + 7 * kill;
        daemon.start();
        eventually("some pages", Duration::from_secs(60), || async { vendor.calls() >= enough }).await;
        daemon.kill();
    }
    daemon.start_ready().await;
    let status = || {
        let (_, told) = espalier(folder.path(), &["status", "--json"]);
        serde_json::from_str::<Value>(&told).unwrap_or_default()
    };
    let is_read = || async {
        let status = status();
        let is_decided = status["journal"]["backlog"] == 0;
        is_decided && status["streams"][0]["past_ms"].is_null() && status["streams"][0]["state"] == "in sync"
    };
    eventually("all of it", Duration::from_secs(60), is_read).await;
    let journal = status()["journal"].clone();
    assert_eq!((&journal["accepted"], &journal["people"]), (&json!(ORDERS), &json!(ORDERS)), "{journal}");
    // A call for each page, those that were under way at a kill, and a few for what is new.
    assert!(vendor.calls() < ORDERS / PAGE as u64 + 40, "it goes on where it was: {} calls", vendor.calls());
}
