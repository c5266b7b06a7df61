//! The whole path, one activation for each event: how many a second, and how soon.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use espalier::cli::Running;
use espalier::sandbox::Sandbox;

use crate::ROUNDS;
use crate::daemon::{self, KEY, PING, begin, klaviyo_at, message, sandbox, serve};
use crate::load::{Connection, fdatasync_median, flood, median, quantile};

/// Of one round.
pub const REQUESTS: u64 = 30_000;
/// Events of one round of the latency measurement, and how many a second.
const PACED: u64 = 1_000;
const EVERY: Duration = Duration::from_millis(5);

/// As fast as it goes.
pub async fn throughput() {
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let (sandbox, vendor) = sandbox().await;
        let ours = begin(folder.path(), &klaviyo_at(vendor), &[("ping".into(), PING.into())]).await;
        let (rate, accepted) = whole(&ours, &sandbox).await;
        rates.push(rate);
        println!("round {round}: {rate:.0}/s; accepted at {accepted:.0}/s");
        ours.stop().await.expect("an end");
    }
    println!("path: whole path, one activation an event: {:.0}/s (wanted 10,000)", median(rates));
}

/// How many a second went the whole path, and how many were accepted.
pub async fn whole(ours: &Running, sandbox: &Sandbox) -> (f64, f64) {
    let began = Instant::now();
    let load = flood(ours.intake, "/v1/track", KEY, 64, REQUESTS, message).await;
    while sandbox.counts("klaviyo").effects < REQUESTS {
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", sandbox.counts("klaviyo"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (REQUESTS as f64 / began.elapsed().as_secs_f64(), load.per_second())
}

/// When each `ping_id` was first seen.
type Arrivals = Arc<Mutex<HashMap<u64, Instant>>>;

/// A vendor that notes when an event comes, and accepts it.
async fn vendor(arrivals: Arrivals) -> std::net::SocketAddr {
    let take = |State(arrivals): State<Arrivals>, body: Bytes| async move {
        let now = Instant::now();
        let text = String::from_utf8_lossy(&body);
        let mut seen = arrivals.lock().expect("a whole map");
        for (at, _) in text.match_indices("\"ping_id\":\"p") {
            let rest = &text[at + 12..];
            let number = rest.split('-').next().and_then(|n| n.parse().ok()).expect("our own number");
            seen.entry(number).or_insert(now);
        }
        StatusCode::ACCEPTED
    };
    serve(axum::Router::new().fallback(axum::routing::post(take)).with_state(arrivals)).await
}

/// From the answer that an event is kept to its arrival at the vendor, 200 a second.
pub async fn latency() {
    let folder = tempfile::tempdir().expect("a folder");
    let arrivals = Arrivals::default();
    let vendor = vendor(arrivals.clone()).await;
    let ours = begin(folder.path(), &klaviyo_at(vendor), &[("ping".into(), PING.into())]).await;
    let (mut medians, mut tails) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let sync = fdatasync_median(folder.path()).as_secs_f64();
        arrivals.lock().expect("a whole map").clear();
        let mut connection = Connection::open(ours.intake).await.expect("intake listens");
        let start = Instant::now();
        let mut accepted = Vec::new();
        for n in 0..PACED {
            tokio::time::sleep_until((start + EVERY * u32::try_from(n).expect("a bounded load")).into()).await;
            let status = connection.post("/v1/track", KEY, &daemon::message(n)).await.expect("an answer");
            assert_eq!(status, 200);
            accepted.push(Instant::now());
        }
        while (arrivals.lock().expect("a whole map").len() as u64) < PACED {
            assert!(start.elapsed() < Duration::from_secs(60), "some never arrived");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let seen = arrivals.lock().expect("a whole map").clone();
        let mut took: Vec<Duration> =
            accepted.iter().zip(0..).map(|(at, n)| seen[&n].saturating_duration_since(*at)).collect();
        took.sort_unstable();
        let (middle, tail) = (quantile(&took, 0.5), quantile(&took, 0.99));
        medians.push(middle.as_secs_f64() / sync);
        tails.push(tail.as_secs_f64() / sync);
        println!("round {round}: accepted to arrival: median {middle:?}, p99 {tail:?}; fdatasync {:.0} us", sync * 1e6);
    }
    println!("latency: median / fdatasync median: {:.1} (wanted at most 4)", median(medians));
    println!("latency: p99 / fdatasync median: {:.1} (wanted at most 10)", median(tails));
    ours.stop().await.expect("an end");
}
