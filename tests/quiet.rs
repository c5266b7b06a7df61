//! A source of which improbably little comes is told by the daemon, across restarts, and not for what nobody watched.

#![expect(clippy::disallowed_methods, reason = "tasks take the machine's time")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use espalier::clock::{Clock, SystemClock, VirtualClock};
use espalier::model::{Span, Timestamp};
use espalier::pull::{Ear, Listening};
use espalier::sandbox::Options;
use espalier::source::volume::{Quiet, Tally, Volume};
use espalier::store::Store;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;
use serde_json::json;
use support::{Daemon, client, espalier, eventually, vendors};
use tokio_util::sync::CancellationToken;

/// 2026-11-23, a Monday, 10:00 UTC.
const NOW: Timestamp = Timestamp::from_millis(1_795_428_000_000);
const WEEK: Span = Span::from_days(7);

fn open(path: &Path, now: Timestamp) -> Embedded {
    Embedded::open(&Settings { path: path.to_owned(), ..Settings::default() }, now).expect("a store")
}

/// What is known of a source of which so many events came each hour for four weeks until then, a whole hour.
fn learned(each_hour: u64, until: Timestamp) -> Volume {
    let mut volume = Volume::default();
    let mut at = until - Span::from_millis(4 * WEEK.as_millis());
    while at < until {
        volume.tell(&BTreeMap::from([(Volume::hour(at), each_hour)]), (at, at + Span::HOUR));
        at = at + Span::HOUR;
    }
    assert_eq!(volume.quiet(), None);
    volume
}

/// A store that knows this of the source `web`.
async fn seed(path: &Path, now: Timestamp, volume: &Volume) {
    let store = open(path, now);
    store.keep("volume:web", &serde_json::to_vec(volume).expect("JSON")).await.expect("kept");
    store.close().await.expect("closed");
}

/// One source that is listened to until it is stopped.
struct Heard {
    store: Embedded,
    clock: VirtualClock,
    tally: Tally,
    state: tokio::sync::watch::Receiver<Vec<espalier::pull::Heard>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Heard {
    fn start(path: &Path, clock: &VirtualClock) -> Self {
        let (store, tally) = (open(path, clock.now()), Tally::default());
        let ear = Ear { source: "web".into(), stream: None, tally: tally.clone() };
        let listening = Listening::new(vec![ear], Arc::new(store.clone()), Arc::new(clock.clone()));
        let (state, stop) = (listening.heard(), CancellationToken::new());
        let task = tokio::spawn(listening.run(stop.clone()));
        Self { store, clock: clock.clone(), tally, state, stop, task }
    }

    /// Goes on by so many minutes, in each of which so many events come.
    async fn go(&self, minutes: u64, each: u64) {
        for _ in 0..minutes {
            self.tally.count(each);
            self.clock.set(self.clock.now() + Span::from_minutes(1));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn quiet(&self) -> Option<Quiet> {
        self.state.borrow().first().and_then(|one| one.quiet)
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("an end");
        self.store.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_is_told_survives_a_restart_and_ends_when_events_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = VirtualClock::new(NOW);
    seed(folder.path(), NOW, &learned(60, NOW)).await;

    let heard = Heard::start(folder.path(), &clock);
    heard.go(40, 1).await;
    assert_eq!(heard.quiet(), None);
    // The daemon is down for a day: nobody watched, and nobody was silent.
    heard.end().await;
    clock.set(clock.now() + Span::DAY);
    let heard = Heard::start(folder.path(), &clock);
    heard.go(10, 0).await;
    assert_eq!(heard.quiet(), None);
    heard.go(110, 0).await;
    let quiet = heard.quiet().expect("it is quiet");
    assert_eq!((quiet.came, quiet.since >= NOW + Span::DAY), (0, true), "{quiet:?}");

    heard.end().await;
    let heard = Heard::start(folder.path(), &clock);
    heard.go(2, 0).await;
    assert_eq!(heard.quiet().map(|quiet| quiet.since), Some(quiet.since));
    heard.go(5, 1).await;
    assert_eq!(heard.quiet(), None);
    heard.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_shows_what_is_quiet_and_which_subscriptions_there_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    std::fs::create_dir_all(&path).expect("a folder");
    let now = SystemClock.now();
    let stopped = Timestamp::from_millis((Volume::hour(now) - 4) * Span::HOUR.as_millis());
    let mut volume = learned(60, stopped);
    volume.tell(&BTreeMap::new(), (stopped, now));
    assert!(volume.quiet().is_some());
    seed(&path, now, &volume).await;

    let (sandbox, address) = vendors(Options::default()).await;
    let other = json!({ "topic": "ORDERS_CREATE", "uri": "https://other.example/" });
    sandbox.put("shopify", "webhookSubscriptions", other).expect("a subscription");
    let rest = format!(
        "[source.shop]\nkind = \"connector\"\nconnector = \"shopify\"\n\
         settings = {{ shop = \"sandbox.myshopify.com\", token = \"${{env:TEST_SANDBOX_KEY}}\", \
         secrets = [\"${{env:TEST_SECRET}}\"], base_url = \"http://{address}/shopify\" }}\n\
         webhooks = {{ address = \"https://hooks.example/hooks/shop\", topics = [\"orders/create\", \"carts/update\"] }}\n"
    );
    let mut daemon = Daemon::new(folder.path(), &path, &rest, &[]);
    daemon.start_ready().await;
    let limit = Duration::from_secs(30);
    let there = || async { sandbox.records("shopify", "webhookSubscriptions").len() == 3 };
    eventually("both are subscribed", limit, there).await;
    let page = async |daemon: &Daemon, path: &str| daemon.page(path).await.text().await.expect("text");
    eventually("the page says both", limit, || async {
        page(&daemon, "/").await.contains("improbably quiet since")
            && page(&daemon, "/connectors/shop").await.contains("complete")
    })
    .await;
    let (_, said) = espalier(folder.path(), &["status"]);
    assert!(said.contains("! source web: improbably quiet since") && said.contains("complete"), "{said}");
    assert_eq!(daemon.metric("espalier_source_quiet{source=\"web\",list=\"\"}").await, Some(1));
    assert_eq!(daemon.metric("espalier_source_quiet{source=\"shop\",list=\"orders\"}").await, Some(0));
    assert_eq!(daemon.metric("espalier_subscriptions_missing{source=\"shop\"}").await, Some(0));
    let changed = "espalier_subscriptions_changed_total{source=\"shop\",change=\"created\"}";
    assert_eq!(daemon.metric(changed).await, Some(2));

    // What comes ends it.
    let http = client();
    for n in 0..20 {
        let body = json!({ "messageId": n.to_string(), "userId": "u1", "event": "A", "type": "track" }).to_string();
        assert_eq!(daemon.post(&http, "/v1/track", body).await, Some(200));
    }
    assert!(daemon.terminate().success());
    daemon.start_ready().await;
    eventually("it is not quiet any more", limit, || async { !page(&daemon, "/").await.contains("improbably quiet") })
        .await;
}
