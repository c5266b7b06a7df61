//! Two daemons on one PostgreSQL, under load, at vendors that keep their published limits. The one that has all of the
//! work is killed: how soon the other decides, has each account and lane, and calls each vendor.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use espalier::clock::SystemClock;
use espalier::sandbox::{Options, Sandbox};
use sqlx::{Connection as _, PgConnection};

use crate::ROUNDS;
use crate::daemon::{KEY, configure, message, postgres_at, serve};
use crate::load::{Connection, median};
use crate::opening::{accepts, start};
use crate::postgres::LASTING;
use crate::server::{Server, connect};

const VENDORS: [&str; 3] = ["klaviyo", "hubspot", "marketo"];
/// Messages a second that the one accepts that lives on.
const RATE: u32 = 100;
/// What was on its way when the daemon was killed has arrived.
const ARRIVED: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(180);

fn trigger() -> String {
    let activate = |vendor: &str| format!("[[activate]]\ndestination = \"{vendor}\"\nevent = \"Pinged\"\n");
    let all: String = VENDORS.iter().map(|vendor| activate(vendor)).collect();
    format!("name = \"ping\"\nper = \"ping_id\"\n[[when.all]]\ndid = \"Ping\"\n{all}")
}

fn member(folder: &Path, url: &str, vendors: SocketAddr) -> SocketAddr {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let intake = free();
    let rest = format!(
        r#"[intake]
listen = "{intake}"
[destination.klaviyo]
kind = "klaviyo"
api_key = "KEY"
base_url = "http://{vendors}/klaviyo"
[destination.hubspot]
kind = "hubspot"
token = "KEY"
hub_id = 1234567
base_url = "http://{vendors}/hubspot"
[destination.marketo]
kind = "marketo"
base_url = "http://{vendors}/marketo"
client_id = "KEY"
client_secret = "KEY"
activity_type = 100001
"#
    );
    configure(folder, &postgres_at(folder, url), &rest, &[("ping".into(), trigger())]);
    intake
}

/// Whoever has a lease now, by the lease's name.
async fn holders(connection: &mut PgConnection) -> BTreeMap<String, String> {
    let sql = "select name, holder::text from leases where holder is not null and until > now() and (name = 'engine'
               or name like 'account:%' or name like 'lane:%')";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(connection).await.expect("leases");
    rows.into_iter().collect()
}

async fn decided(connection: &mut PgConnection) -> i64 {
    let (decided,): (i64,) =
        sqlx::query_as("select decided from engine").fetch_one(connection).await.expect("the engine's place");
    decided
}

/// Messages at a steady rate, one after the other, until it is told to stop.
async fn load(intake: SocketAddr, stop: Arc<AtomicBool>, next: Arc<AtomicU64>) {
    let mut connection = Connection::open(intake).await.expect("intake listens");
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let n = next.fetch_add(1, Ordering::Relaxed);
        let status = connection.post("/v1/track", KEY, &message(n)).await.expect("an answer");
        assert_eq!(status, 200, "whoever lives accepts");
    }
}

/// Waits until all that is asked for is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < LONGEST, "not {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn end(mut child: Child) {
    child.kill().expect("a process of ours");
    child.wait().expect("a process of ours");
}

/// How long after the kill each came about.
async fn one_round(server: &Server) -> BTreeMap<String, Duration> {
    let folder = tempfile::tempdir().expect("a folder");
    let url = server.database().await;
    let options = Options { api_key: "wk".into(), client_id: "wk".into(), bodies: 0, ..Options::default() };
    let sandbox = Sandbox::new(Arc::new(SystemClock), options);
    let vendors = serve(sandbox.router()).await;
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let (at_first, at_second) = (member(&first, &url, vendors), member(&second, &url, vendors));
    let one = start(&first);
    accepts(at_first).await;
    let mut connection = connect(&url).await;
    let all = 1 + 2 * VENDORS.len();
    until("all of it the first one's", async || holders(&mut connection).await.len() == all).await;
    let two = start(&second);
    accepts(at_second).await;
    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
    let loading = tokio::spawn(load(at_second, stop.clone(), next));
    let effects = || VENDORS.map(|vendor| sandbox.counts(vendor).effects);
    until("called at each vendor", async || effects().iter().all(|n| *n > 0)).await;
    let before = holders(&mut connection).await;
    assert_eq!(before.len(), all, "{before:?}");
    assert!(before.values().all(|holder| Some(holder) == before.get("engine")), "one has all of it: {before:?}");

    let killed = Instant::now();
    end(one);
    tokio::time::sleep(ARRIVED).await;
    let (sent_before, decided_before) = (effects(), decided(&mut connection).await);
    let mut took = BTreeMap::new();
    let wanted = before.len() + 1 + VENDORS.len();
    until("taken over", async || {
        let now = holders(&mut connection).await;
        let mut note = |what: String| {
            took.entry(what).or_insert_with(|| killed.elapsed());
        };
        for (name, holder) in &now {
            if before.get(name).is_some_and(|was| was != holder) {
                // Accounts are told without their ids, which differ from run to run.
                note(format!("has {name}"));
            }
        }
        if decided(&mut connection).await > decided_before {
            note("decides".into());
        }
        for ((vendor, now), was) in VENDORS.iter().zip(effects()).zip(sent_before) {
            if now > was {
                note(format!("sends to {vendor}"));
            }
        }
        took.len() == wanted
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    loading.await.expect("a load that is accepted");
    connection.close().await.expect("a close");
    end(two);
    took
}

pub async fn after_kill() {
    let server = Server::begin_with(&LASTING).await;
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let took = one_round(&server).await;
        println!("round {round}: {took:.1?}");
        for (what, time) in took {
            let kind = what.split(':').next().unwrap_or_default().to_owned();
            let what = if kind == "has account" { kind } else { what };
            all.entry(what).or_default().push(time.as_secs_f64());
        }
    }
    for (what, times) in all {
        let longest = times.iter().copied().fold(0.0, f64::max);
        println!("takeover: the other {what} {:.1} s after the kill, {longest:.1} s at most", median(times));
    }
    println!(
        "takeover: leases and decisions are wanted within 10 s; a vendor without a key against repeats is asked first, after `look_after`"
    );
}
