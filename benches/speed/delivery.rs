//! Delivery against simulators that keep the vendors' published limits, by a clock that runs faster than the machine's:
//! how much of each limit is used, and how many calls are refused for it; a million activations that drain, and the time
//! to the first delivery after a restart; how fast request bodies are built.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use espalier::clock::{Clock as _, FastClock, SharedClock, SystemClock};
use espalier::delivery::{self, Lane};
use espalier::destination::{Destination, Exchange, Item, Limits, Next, Settings};
use espalier::model::http::{AccountKey, Learned, Request, Response, TokenRequest, Window};
use espalier::model::setting::Size;
use espalier::model::{
    Action, ActionKind, Activation, Changes, Decision, Identifier, IdentifierKind, Loaded, OccasionId, PersonId,
    RawJson, Span, Timestamp, Verdict,
};
use espalier::quota::Accounts;
use espalier::sandbox::{Options, Sandbox};
use espalier::store::embedded::Embedded;
use espalier::store::record::{decode, encode};
use espalier::store::{Store, settings};
use tokio_util::sync::CancellationToken;

use crate::daemon::{PING, begin, klaviyo_at, sandbox, serve};
use crate::load::resident_of;

/// A part of the body that makes an activation as large as usual ones.
const PRODUCTS: &str = r#"[{"product_id":"p1","name":"Lamp, green","price":"49.90","quantity":1,"url":"https://shop.example/p/1"},{"product_id":"p2","name":"Oar","price":"12.00","quantity":2,"url":"https://shop.example/p/2"}]"#;

fn activation(n: u64, lane: &str, now: Timestamp) -> Activation {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    Activation {
        occasion: OccasionId(id),
        lane: lane.into(),
        trigger: "ping".into(),
        person: PersonId(id),
        identifiers: vec![Identifier::new(IdentifierKind::Email, format!("p{n}@example.com"))],
        traits: RawJson::trusted(r#"{"first_name":"Ada"}"#),
        key: "c1".into(),
        at: now,
        action: Action::Event("Pinged".into()),
        priority: 50,
        expires_at: now + Span::from_days(30),
        not_before: None,
        payload: RawJson::trusted(format!(
            r#"{{"cart_id":"c{n}","total":"73.90","currency":"EUR","products":{PRODUCTS}}}"#
        )),
        broken: None,
    }
}

/// Puts so many into a lane's queue.
async fn queue(store: &dyn Store, lane: &str, numbers: std::ops::Range<u64>, now: Timestamp) {
    let mut from = numbers.start;
    while from < numbers.end {
        let until = (from + 2_000).min(numbers.end);
        let activations: Vec<Activation> = (from..until).map(|n| activation(n, lane, now)).collect();
        let decision = |of: &Activation| Decision {
            occasion: of.occasion,
            trigger: of.trigger.clone(),
            person: of.person,
            key: of.key.clone(),
            at: of.at,
            decided: now,
            verdict: Verdict::Activated(vec![of.lane.clone()]),
        };
        let decisions = activations.iter().map(decision).collect();
        store
            .commit(Loaded::default(), Changes { decisions, activations, ..Changes::default() })
            .await
            .expect("a commit");
        from = until;
    }
}

/// A destination with smaller batches: its limits are counted in calls.
struct Small(Box<dyn Destination>, usize);

impl Destination for Small {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn can(&self) -> &'static [ActionKind] {
        self.0.can()
    }

    fn base_url(&self) -> &str {
        self.0.base_url()
    }
    fn limits(&self) -> Limits {
        Limits { records: self.1, ..self.0.limits() }
    }
    fn windows(&self) -> Vec<Window> {
        self.0.windows()
    }
    fn account(&self) -> Option<AccountKey> {
        self.0.account()
    }
    fn calls(&self, records: usize) -> usize {
        self.0.calls(records)
    }
    fn calls_by_family(&self, records: usize) -> Vec<(&'static str, usize)> {
        self.0.calls_by_family(records)
    }
    fn learned(&self, family: &str, answer: &Response, now: Timestamp) -> Vec<Learned> {
        self.0.learned(family, answer, now)
    }
    fn usage(&self) -> Option<Request> {
        self.0.usage()
    }
    fn needs_begin(&self) -> bool {
        self.0.needs_begin()
    }
    fn token(&self) -> Option<TokenRequest> {
        self.0.token()
    }
    fn exchange(&self, batch: Vec<Item>) -> Box<dyn Exchange> {
        self.0.exchange(batch)
    }
    fn pretended(&self, request: &Request) -> Response {
        self.0.pretended(request)
    }
}

/// One limit of a vendor, and how a lane is brought to it.
struct Limit {
    name: &'static str,
    vendor: &'static str,
    settings: &'static str,
    /// Records of a batch.
    records: usize,
    /// Exchanges that the limit lets through in a second.
    a_second: f64,
    /// The longest window, in seconds.
    window: u64,
    /// How much faster than the machine's the clock runs.
    speed: u32,
}

const LIMITS: [Limit; 4] = [
    Limit {
        name: "Klaviyo's events, 350 a second and 3,500 a minute",
        vendor: "klaviyo",
        settings: r#""kind":"klaviyo","api_key":"sandbox","bulk_from":0"#,
        records: 10,
        a_second: 3_500.0 / 60.0 / 10.0,
        window: 60,
        speed: 5,
    },
    Limit {
        name: "Klaviyo's bulk jobs, 10 a second and 150 a minute",
        vendor: "klaviyo",
        settings: r#""kind":"klaviyo","api_key":"sandbox","bulk_from":10"#,
        records: 10,
        a_second: 150.0 / 60.0,
        window: 60,
        speed: 20,
    },
    Limit {
        name: "HubSpot's 100 in 10 seconds",
        vendor: "hubspot",
        settings: r#""kind":"hubspot","token":"sandbox","hub_id":1234567"#,
        records: 10,
        a_second: 100.0 / 10.0,
        window: 10,
        speed: 5,
    },
    Limit {
        name: "Marketo's 100 in 20 seconds",
        vendor: "marketo",
        settings: r#""kind":"marketo","client_id":"sandbox","client_secret":"sandbox","activity_type":100001"#,
        records: 10,
        a_second: 100.0 / 20.0 / 2.0,
        window: 20,
        speed: 4,
    },
];

/// Windows that are measured, after the first.
const WINDOWS: u64 = 5;

/// How much of each limit one daemon uses, and two with half of it each.
pub async fn rates() {
    for limit in &LIMITS {
        for daemons in [1, 2] {
            rate(limit, daemons).await;
        }
    }
}

async fn vendors(clock: SharedClock) -> (Sandbox, SocketAddr) {
    let sandbox = Sandbox::new(clock, Options { bodies: 0, ..Options::default() });
    let router = sandbox.router();
    (sandbox, serve(router).await)
}

fn store(folder: &Path, now: Timestamp) -> Embedded {
    let settings =
        settings::Settings { path: folder.join("store"), cache: Size(64 << 20), ..settings::Settings::default() };
    Embedded::open(&settings, now).expect("a store")
}

async fn rate(limit: &Limit, daemons: u64) {
    let clock: SharedClock = Arc::new(FastClock::new(limit.speed));
    let (sandbox, address) = vendors(clock.clone()).await;
    let share = 1.0 / daemons as f64;
    let text = format!("{{{},\"base_url\":\"http://{address}/{}\",\"share\":{share}}}", limit.settings, limit.vendor);
    let total = (limit.a_second * limit.records as f64 * (limit.window * (WINDOWS + 2)) as f64) as u64;
    let stop = CancellationToken::new();
    let (mut running, mut stores) = (Vec::new(), Vec::new());
    for daemon in 0..daemons {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path(), clock.now());
        queue(&store, "lane", daemon << 32..(daemon << 32) + total, clock.now()).await;
        let destination: Settings = serde_json::from_str(&text).expect("settings");
        let shared: Arc<dyn Store> = Arc::new(store);
        let accounts = Accounts::new(Some(shared.clone()), clock.clone());
        let small = Box::new(Small(destination.build("lane"), limit.records));
        let lane = Lane::new("lane".into(), small, shared.clone(), delivery::Settings::default(), &accounts);
        let lane = lane.expect("a lane");
        accounts.open().await;
        running.push(lane);
        stores.push((shared, folder));
    }
    let lanes: Vec<_> = running.into_iter().map(|lane| tokio::spawn(lane.run(stop.clone()))).collect();
    let window = |n: u64| Span::from_secs((limit.window * n) as i64);
    clock.until(clock.now() + window(1)).await;
    let (began, before) = (clock.now(), sandbox.counts(limit.vendor));
    clock.until(began + window(WINDOWS)).await;
    let after = sandbox.counts(limit.vendor);
    let took = clock.now().since(began).as_millis() as f64 / 1_000.0;
    stop.cancel();
    for lane in lanes {
        lane.await.expect("a lane's end");
    }
    let taken = (after.effects - before.effects) as f64 / limit.records as f64 / took;
    println!(
        "delivery-rate: {}, {daemons} daemon(s): {:.1} % of the limit (wanted 98), {} throttled (wanted 0)",
        limit.name,
        100.0 * taken / limit.a_second,
        sandbox.counts(limit.vendor).throttled,
    );
    for (store, _folder) in stores {
        store.close().await.expect("an end");
    }
}

/// Activations of the backlog; ESPALIER_RECORDS takes their place.
const BACKLOG: u64 = 1_000_000;
/// Twice as fast as time: 2,500 events a second become 5,000.
const SPEED: u32 = 2;

/// A vendor that only counts, in windows as Klaviyo's bulk jobs have: it keeps nothing, so that memory is the lane's own.
#[derive(Default)]
struct Counter {
    events: u64,
    throttled: u64,
    /// The second and the minute, each with its calls.
    windows: [(i64, u32); 2],
}

async fn counting(clock: SharedClock) -> (Arc<Mutex<Counter>>, SocketAddr) {
    let counter = Arc::new(Mutex::new(Counter::default()));
    let shared = counter.clone();
    let take = move |body: axum::body::Bytes| async move {
        let now = clock.now().as_millis();
        let mut counter = shared.lock().expect("a whole counter");
        let limits = [(1_000, 10), (60_000, 150)];
        for (window, (span, _)) in counter.windows.iter_mut().zip(limits) {
            if window.0 != now / span {
                *window = (now / span, 0);
            }
        }
        if counter.windows.iter().zip(limits).any(|(window, (_, most))| window.1 >= most) {
            counter.throttled += 1;
            return axum::http::StatusCode::TOO_MANY_REQUESTS;
        }
        counter.windows.iter_mut().for_each(|window| window.1 += 1);
        counter.events += body.windows(11).filter(|text| *text == b"\"unique_id\"").count() as u64;
        axum::http::StatusCode::ACCEPTED
    };
    (counter, serve(axum::Router::new().fallback(axum::routing::post(take))).await)
}

/// A backlog drains at the limit's rate, in memory that does not grow; a restart with it delivers soon.
pub async fn backlog(activations: Option<u64>) {
    let total = activations.unwrap_or(BACKLOG);
    let folder = tempfile::tempdir().expect("a folder");
    let system = SystemClock;
    {
        let store = store(folder.path(), system.now());
        queue(&store, "klaviyo", 0..total, system.now()).await;
        store.close().await.expect("an end");
    }
    let (open, vendor) = sandbox().await;
    let began = Instant::now();
    let daemon = begin(folder.path(), &klaviyo_at(vendor), &[("ping".into(), PING.into())]).await;
    while open.counts("klaviyo").effects == 0 {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing is delivered");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("delivery-backlog: first delivery {:?} after a start with {total} waiting (wanted 5 s)", began.elapsed());
    daemon.stop().await.expect("an end");

    let clock: SharedClock = Arc::new(FastClock::new(SPEED));
    let (counter, address) = counting(clock.clone()).await;
    let store: Arc<dyn Store> = Arc::new(store(folder.path(), clock.now()));
    let text = format!(r#"{{"kind":"klaviyo","api_key":"sandbox","base_url":"http://{address}/klaviyo","share":1.0}}"#);
    let destination: Settings = serde_json::from_str(&text).expect("settings");
    let accounts = Accounts::new(Some(store.clone()), clock.clone());
    let settings = delivery::Settings::default();
    let lane =
        Lane::new("klaviyo".into(), destination.build("klaviyo"), store.clone(), settings, &accounts).expect("a lane");
    accounts.open().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(lane.run(stop.clone()));
    let own = || resident_of(std::process::id()) >> 20;
    let (mut reached, mut memory) = (Vec::new(), Vec::new());
    let left = store.lane_count("klaviyo").queued;
    for tenth in 1..=9_u64 {
        while store.lane_count("klaviyo").queued > left - left * tenth / 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        reached.push((clock.now(), counter.lock().expect("a whole counter").events));
        memory.push(own());
    }
    stop.cancel();
    task.await.expect("a lane's end");
    let (first, last) = (reached[1], reached[8]);
    let a_minute = (last.1 - first.1) as f64 * 60_000.0 / last.0.since(first.0).as_millis() as f64;
    println!(
        "delivery-backlog: {:.1} % of 150,000 a minute (wanted 98), {} throttled (wanted 0); resident by tenths: {memory:?} MB",
        a_minute / 1_500.0,
        counter.lock().expect("a whole counter").throttled
    );
    store.close().await.expect("an end");
}

/// From the stored form to the body of a bulk request, on one core.
pub fn bodies() {
    let now = SystemClock.now();
    let stored: Vec<Vec<u8>> = (0..1_000).map(|n| encode(&activation(n, "klaviyo", now))).collect();
    let settings = r#"{"kind":"klaviyo","api_key":"k"}"#;
    let destination = serde_json::from_str::<Settings>(settings).expect("settings").build("klaviyo");
    let (began, mut bytes, mut built) = (Instant::now(), 0, 0_u64);
    while began.elapsed() < Duration::from_secs(3) {
        let read = |stored: &Vec<u8>| Item { activation: decode(stored).expect("our own"), may_have_left: false };
        let batch: Vec<Item> = stored.iter().map(read).collect();
        match destination.exchange(batch).next(None, now) {
            Next::Ask(request) => bytes += request.body.len() as u64,
            Next::Wait(_) | Next::Done { .. } => unreachable!("there is something to send"),
        }
        built += 1_000;
    }
    let a_second = built as f64 / began.elapsed().as_secs_f64();
    println!("delivery-body: {a_second:.0} events a second, of {} bytes (wanted 90,000)", bytes / built);
}
