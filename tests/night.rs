//! Whole nights of a daemon on a clock that is turned: what the day lost is found once, a night that was cut off goes on,
//! and one that was missed is made up for.

#![expect(clippy::disallowed_methods, reason = "what it waits for is a server's answer, in the machine's time")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use espalier::cli::{Daemon, Running};
use espalier::clock::{Clock, VirtualClock};
use espalier::model::{Span, Timestamp};
use espalier::reconcile::{Busy, Report, Wanted, Why};
use espalier::sandbox::{Options, Sandbox};
use espalier::settings::Settings;
use serde_json::{Value, json};

const MANIFEST: &str = r#"
name  = "acme"
facts = "the test's own vendor"
[settings]
base_url = { kind = "url", help = "where it is" }
api_key  = { kind = "secret", help = "any" }
[api]
base_url = "{{ settings.base_url }}"
auth     = { kind = "bearer", secret = "api_key" }
[stream.orders]
path    = "/orders"
query   = { from = "{{ window.from }}", until = "{{ window.until }}", after = "{{ page.token }}" }
records = "items"
paging  = { kind = "cursor", next = "next" }
window  = { time = "epoch_millis", overlap = "2m", margin = "10s" }
every   = "30m"
[[stream.orders.emit]]
event      = "Order Completed"
id         = "id"
version    = "changed"
at         = "changed"
identify   = { email = "email" }
properties = { order_id = { text = "id" }, total = "total" }
"#;

const FOLLOW_UP: &str = r#"
name    = "thank-you"
expires = "2h"
[[when.all]]
did = "Order Completed"
"#;

/// What a vendor is told beside its address and the name of its lane.
fn destination(lane: &str) -> &'static str {
    match lane {
        "hubspot" => "token = \"${file:KEY}\"\nhub_id = 1234567",
        "marketo" => "client_id = \"${file:KEY}\"\nclient_secret = \"${file:KEY}\"\nactivity_type = 100001",
        _ => "api_key = \"${file:KEY}\"",
    }
}

/// Orders by id, and whether the vendor answers.
#[derive(Default)]
struct World {
    orders: Mutex<BTreeMap<u64, i64>>,
    is_down: AtomicBool,
}

async fn orders(State(world): State<Arc<World>>, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    if world.is_down.load(Ordering::SeqCst) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let number = |name: &str| asked.get(name).and_then(|text| text.parse::<i64>().ok());
    let (from, until) = (number("from").unwrap_or(0), number("until").unwrap_or(i64::MAX));
    let (offset, world) = (number("after").unwrap_or(0) as usize, world.orders.lock().expect("the world"));
    let inside: Vec<(&u64, &i64)> = world.iter().filter(|(_, at)| (from..until).contains(*at)).collect();
    let page: Vec<Value> = inside
        .iter()
        .skip(offset)
        .take(5)
        .map(|(id, at)| json!({ "id": id, "changed": at, "email": format!("p{id}@example.com"), "total": "9.00" }))
        .collect();
    let end = offset + page.len();
    let next = (end < inside.len()).then(|| end.to_string());
    axum::Json(json!({ "items": page, "next": next })).into_response()
}

/// Its answers are dated by the clock that is turned.
async fn vendor(clock: &VirtualClock) -> (Arc<World>, SocketAddr) {
    let world: Arc<World> = Arc::default();
    let router = Router::new().route("/orders", get(orders)).with_state(world.clone());
    let address = support::serve(support::dated(router, Arc::new(clock.clone()))).await;
    (world, address)
}

impl World {
    fn put(&self, ids: std::ops::Range<u64>, at: Timestamp) {
        self.orders.lock().expect("the world").extend(ids.map(|id| (id, at.as_millis() + id as i64)));
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an instant")
}

/// A daemon on a clock that is turned, with its vendors.
struct Life {
    folder: tempfile::TempDir,
    clock: VirtualClock,
    world: Arc<World>,
    sandbox: Sandbox,
    running: Option<Running>,
}

impl Life {
    async fn begin(now: &str) -> Self {
        Self::of(now, &["klaviyo"]).await
    }

    /// Where these vendors are thanked through.
    async fn of(now: &str, lanes: &[&str]) -> Self {
        Self::with(now, lanes, FOLLOW_UP, "").await
    }

    /// The same, with another trigger, and more in each of its starts.
    async fn with(now: &str, lanes: &[&str], trigger: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = VirtualClock::new(at(now));
        let (world, address) = vendor(&clock).await;
        let (sandbox, vendors) = support::vendors_at(Arc::new(clock.clone()), Options::default()).await;
        write(folder.path(), address, vendors, lanes, (trigger, more));
        let mut life = Self { folder, clock, world, sandbox, running: None };
        life.start().await;
        life
    }

    async fn start(&mut self) {
        let file = self.folder.path().join("espalier.toml");
        let configured = Settings::load(&file).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let daemon = Daemon::new(configured, Arc::new(self.clock.clone()));
        self.running = Some(daemon.begin().await.unwrap_or_else(|failed| panic!("{failed}")));
    }

    async fn stop(&mut self) {
        let running = self.running.take().expect("a daemon");
        let clock = self.clock.clone();
        // Whatever waits for the clock is let go.
        let turning = tokio::spawn(async move {
            loop {
                clock.set(clock.now() + Span::from_millis(1));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        running.stop().await.unwrap_or_else(|failed| panic!("{failed}"));
        turning.abort();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a daemon")
    }

    /// Turns the clock until this holds.
    async fn until(&self, what: &str, step: Span, holds: impl Fn(&Self) -> bool) {
        for _ in 0..6_000 {
            if holds(self) {
                return;
            }
            self.clock.set(self.clock.now() + step);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let streams: Vec<_> = self.running().watched.streams.iter().map(|one| one.state.borrow().clone()).collect();
        panic!("{what}, at {}: {:#?} {streams:#?}", self.clock.now(), self.running().watched.nights.state.borrow());
    }

    /// Turns the clock until so many events came by day, and are decided.
    async fn day(&self, events: u64) {
        let is_so = |life: &Self| {
            let counts = life.running().watched.store.counts();
            (counts.journaled.0, counts.decided.0) == (events, events)
        };
        self.until("what came by day", Span::from_secs(10), is_so).await;
    }

    fn accepted(&self) -> u64 {
        self.running().watched.store.counts().journaled.0
    }

    fn last(&self) -> Option<Report> {
        self.running().watched.nights.state.borrow().last.clone()
    }

    /// The next night's report, the clock standing at or after this instant.
    async fn night(&self, from: &str, before: Option<Timestamp>) -> Report {
        self.clock.set(at(from));
        self.until("a night", Span::from_millis(500), |life| life.last().is_some_and(|last| Some(last.of) != before))
            .await;
        self.last().expect("a report")
    }
}

fn write(folder: &Path, vendor: SocketAddr, sandbox: SocketAddr, lanes: &[&str], (trigger, more): (&str, &str)) {
    let connector = folder.join("connectors/acme");
    std::fs::create_dir_all(&connector).expect("a folder");
    std::fs::create_dir_all(folder.join("triggers")).expect("a folder");
    std::fs::write(connector.join("connector.toml"), MANIFEST).expect("a manifest");
    let starts =
        lanes.iter().map(|lane| format!("[[activate]]\ndestination = \"{lane}\"\nevent = \"Thank You\"\n{more}\n"));
    let trigger = format!("{trigger}{}", starts.collect::<String>());
    std::fs::write(folder.join("triggers/thank-you.toml"), trigger).expect("a trigger");
    std::fs::write(folder.join("key"), "sandbox").expect("a key");
    let text = format!(
        "triggers = \"triggers\"\nconnectors = \"connectors\"\n[store]\npath = \"store\"\n\
         [intake]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
         [source.shop]\nkind = \"connector\"\nconnector = \"acme\"\nsettings = {{ base_url = \"http://{vendor}\", api_key = \"${{file:{key}}}\" }}\npull = {{ start = \"1d\" }}\n\
         [nightly]\nat = \"0 3 * * *\"\n",
        key = folder.join("key").display()
    );
    let destinations = lanes.iter().map(|lane| {
        let more = destination(lane).replace("KEY", &folder.join("key").display().to_string());
        format!("[destination.{lane}]\nkind = \"{lane}\"\nbase_url = \"http://{sandbox}/{lane}\"\n{more}\n")
    });
    let text = text + &destinations.collect::<String>();
    std::fs::write(folder.join("espalier.toml"), text).expect("the configuration");
}

fn list(report: &Report) -> (u64, u64, u64, bool) {
    let read = &report.lists.first().expect("one list").read;
    (read.events, read.known, read.missing, read.is_done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_day_lost_is_found_at_night_once_and_nothing_old_is_sent() {
    let life = Life::begin("2026-11-24T12:00:00Z").await;
    life.world.put(0..20, at("2026-11-24T12:10:00Z"));
    life.day(20).await;
    // Seen by nobody until long after the list was read beyond it: a slow transaction at the vendor.
    life.clock.set(at("2026-11-24T20:00:00Z"));
    life.until("a rest", Span::from_secs(10), |life| {
        life.running().watched.streams.iter().all(|one| one.state.borrow().read > at("2026-11-24T19:00:00Z"))
    })
    .await;
    life.world.put(20..27, at("2026-11-24T14:00:00Z"));
    let report = life.night("2026-11-25T03:00:00Z", None).await;
    assert_eq!((report.why, list(&report)), (Why::Due, (27, 20, 7, true)));
    assert_eq!(life.accepted(), 27, "what was known is not appended again");
    assert_eq!(report.lists[0].read.told.len(), 7);
    assert_eq!(report.lanes[0].of.made, 20, "what the night found has expired, and is not sent");
    assert_eq!((report.lanes[0].astray, report.undecided), (0, 0));
    assert_eq!(report.not_compacted, None);
    assert!(report.findings().iter().any(|words| words.contains("7 events were missing")), "{:?}", report.findings());
    // The next one knows them; it looks back to the last good night only.
    let next = life.night("2026-11-26T03:00:00Z", Some(report.of)).await;
    assert_eq!((list(&next), next.findings()), ((0, 0, 0, true), Vec::new()));
    // By hand and further back: all are known, and still once in the journal.
    let nights = life.running().watched.nights.clone();
    nights.begin(Wanted { source: Some("shop".into()), since: Some(at("2026-11-24T00:00:00Z")) }).expect("it begins");
    life.until("a night by hand", Span::from_millis(500), |life| life.last().is_some_and(|last| last.of > next.of))
        .await;
    let by_hand = life.last().expect("a report");
    assert_eq!((by_hand.why, list(&by_hand), by_hand.lanes.len()), (Why::ByHand, (27, 27, 0, true), 0));
    assert_eq!(life.accepted(), 27);
    // What cannot be done is said.
    let refused =
        |source: &str, since: Option<&str>| nights.begin(Wanted { source: Some(source.into()), since: since.map(at) });
    assert_eq!(refused("shpo", None), Err(Busy::Unknown("shpo".into(), "shop".into())));
    assert_eq!(refused("shop", Some("2026-11-01T00:00:00Z")), Err(Busy::TooFar(Span::from_days(7))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_that_was_cut_off_goes_on_and_one_that_was_missed_is_made_up_for() {
    let mut life = Life::begin("2026-11-24T12:00:00Z").await;
    life.world.put(0..12, at("2026-11-24T12:10:00Z"));
    life.day(12).await;
    life.world.is_down.store(true, Ordering::SeqCst);
    life.clock.set(at("2026-11-25T03:00:00Z"));
    let running = |life: &Life| life.running().watched.nights.state.borrow().running.clone();
    life.until("a night", Span::from_millis(100), |life| {
        running(life).is_some_and(|one| one.doing.starts_with("reads"))
    })
    .await;
    let of = running(&life).expect("a night").of;
    // There is one at a time.
    assert_eq!(life.running().watched.nights.begin(Wanted::default()), Err(Busy::UnderWay));
    life.stop().await;
    life.world.is_down.store(false, Ordering::SeqCst);
    life.start().await;
    life.until("its end", Span::from_secs(1), |life| life.last().is_some()).await;
    let report = life.last().expect("a report");
    assert_eq!((report.of, list(&report)), (of, (12, 12, 0, true)), "the same night, and nothing twice");
    assert_eq!(life.accepted(), 12);
    // Three nights pass while nobody is there, and one order that no webhook brought.
    life.stop().await;
    life.world.put(12..13, at("2026-11-26T12:00:00Z"));
    life.clock.set(at("2026-11-28T10:00:00Z"));
    life.start().await;
    let report = life.night("2026-11-28T10:00:00Z", Some(of)).await;
    assert!(report.of < at("2026-11-28T11:00:00Z"), "at once");
    assert_eq!((report.why, report.lists[0].read.is_done), (Why::Due, true));
    // The list itself may have come first, or have read it beside the night: it is decided once.
    assert_eq!(life.running().watched.store.counts().people, 13);
    let next = life.running().watched.nights.state.clone();
    let next = next.clone().wait_for(|state| state.next.is_some()).await.expect("a state").next;
    assert_eq!(next, Some(at("2026-11-29T03:00:00Z")), "one night makes up for three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_cannot_be_read_is_said_and_is_read_from_there_the_next_night() {
    let life = Life::begin("2026-11-24T12:00:00Z").await;
    life.world.put(0..3, at("2026-11-24T12:10:00Z"));
    life.day(3).await;
    life.world.is_down.store(true, Ordering::SeqCst);
    life.clock.set(at("2026-11-25T03:00:00Z"));
    life.until("a night", Span::from_secs(60), |life| life.last().is_some()).await;
    let report = life.last().expect("a report");
    assert!(report.ended >= report.of + Span::from_hours(6), "as long as a night may be");
    assert!(report.findings()[0].contains("could not be read to its end"), "{:?}", report.findings());
    life.world.is_down.store(false, Ordering::SeqCst);
    let next = life.night("2026-11-26T03:00:00Z", Some(report.of)).await;
    assert_eq!(list(&next), (3, 3, 0, true), "since before the night that was not good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_vendor_took_and_does_not_show_is_found() {
    let lanes = ["hubspot", "klaviyo", "marketo"];
    let life = Life::of("2026-11-24T12:00:00Z", &lanes).await;
    life.world.put(0..8, at("2026-11-24T12:10:00Z"));
    let have = |life: &Life, lane: &str| life.running().watched.store.lane_count(lane).totals.accepted == 8;
    life.until("what came by day", Span::from_secs(5), |life| lanes.iter().all(|lane| have(life, lane))).await;
    let lost = lanes.map(|lane| {
        let effect = life.sandbox.effects(lane).swap_remove(3);
        assert!(life.sandbox.lose(lane, &effect.id), "{lane}");
        effect
    });
    let report = life.night("2026-11-25T03:00:00Z", None).await;
    for (lane, effect) in report.lanes.iter().zip(lost) {
        let looked = lane.looked.as_ref().expect("the vendor was asked");
        let counts = (looked.accepted, looked.asked, looked.found, looked.missing, looked.untold.len());
        assert_eq!(counts, (8, 8, 7, 1, 0), "{} {looked:#?}", lane.lane);
        assert_eq!((looked.told[0].trigger.as_str(), looked.told[0].event.as_str()), ("thank-you", "Thank You"));
        let is_lost = effect.body.to_string().contains(&looked.told[0].occasion);
        assert!(is_lost, "{}: {} is not {}", lane.lane, looked.told[0].occasion, effect.body);
    }
    assert_eq!(report.findings().len(), 3, "{:?}", report.findings());
    // What was looked at is not looked at again.
    let next = life.night("2026-11-26T03:00:00Z", Some(report.of)).await;
    assert!(next.lanes.iter().all(|lane| lane.looked.as_ref().is_some_and(|looked| looked.accepted == 0)));
    assert_eq!(next.findings(), Vec::<String>::new());
    // Sent again, each has it, and what is not lost is not there twice.
    let token = std::fs::read_to_string(life.folder.path().join("store/admin.token")).expect("a token");
    let send = async |id: u64| {
        let url = format!("http://{}/api/nights/resend/{id}", life.running().ops);
        support::client().post(&url).bearer_auth(token.trim()).send().await.expect("an answer").status()
    };
    for lane in &report.lanes {
        let counts = life.sandbox.counts(&lane.lane);
        let told = lane.looked.as_ref().expect("the vendor was asked");
        assert_eq!(send(told.told[0].id).await, 200, "{}", lane.lane);
        assert_eq!(send(u64::MAX).await, 404, "there is none of this number");
        let is_through = |life: &Life| life.running().watched.store.lane_count(&lane.lane).queued == 0;
        life.until("what is sent again", Span::from_millis(500), is_through).await;
        let now = life.sandbox.counts(&lane.lane);
        let effects = life.sandbox.effects(&lane.lane).len();
        let is_new = lane.lane == "marketo";
        assert_eq!(
            (effects, now.duplicates - counts.duplicates),
            if is_new { (8, 0) } else { (7, 1) },
            "{}",
            lane.lane
        );
    }
}

const WIN_BACK: &str = r#"
name    = "win-back"
expires = "2d"
[[when.all]]
did = "Order Completed"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deferred_leaves_together_with_the_night() {
    let life = Life::with("2026-11-24T12:00:00Z", &["klaviyo"], WIN_BACK, "defer = true").await;
    life.world.put(0..70, at("2026-11-24T12:10:00Z"));
    life.day(70).await;
    let count = |life: &Life| life.running().watched.store.lane_count("klaviyo");
    assert_eq!((count(&life).deferred, count(&life).next), (70, Some(at("2026-11-25T03:00:00Z"))));
    assert_eq!(life.sandbox.counts("klaviyo").requests, 0);
    let report = life.night("2026-11-25T03:00:00Z", None).await;
    let lane = report.lanes.first().expect("a lane");
    assert_eq!((lane.deferred, lane.of.accepted, lane.queued), (70, 70, 0));
    let counts = life.sandbox.counts("klaviyo");
    assert_eq!((counts.effects, counts.requests), (70, 1), "in one call, by the bulk endpoint");
    let next = life.night("2026-11-26T03:00:00Z", Some(report.of)).await;
    assert_eq!((next.lanes[0].deferred, next.lanes[0].of.accepted), (0, 0));
    assert_eq!(next.lanes[0].looked.as_ref().map(|looked| (looked.accepted, looked.found)), Some((70, 70)));
}
