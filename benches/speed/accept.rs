//! Durable accept: one message a request against a handler that keeps nothing; batches against a bare log.

use std::time::Duration;

use crate::ROUNDS;
use crate::daemon::{KEY, batch, begin, idle, message};
use crate::load::{fdatasync_median, flood, median, paced};
use crate::reference;

const REQUESTS: u64 = 30_000;
const BATCHES: u64 = 1_500;

pub async fn single() {
    let folder = tempfile::tempdir().expect("a folder");
    let bare = reference::bare().await;
    let ours = begin(folder.path(), "", &[]).await;
    let (mut shares, mut waits) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let reference = flood(bare, "/v1/track", KEY, 64, REQUESTS, message).await;
        let accepted = flood(ours.intake, "/v1/track", KEY, 64, REQUESTS, message).await;
        let sync = fdatasync_median(folder.path());
        idle(&ours).await;
        let pace = Duration::from_micros(500);
        let steady = paced(ours.intake, "/v1/track", KEY, 64, 10_000, pace, message).await;
        shares.push(accepted.per_second() / reference.per_second());
        waits.push(steady.quantile(0.99).as_secs_f64() / sync.as_secs_f64());
        println!(
            "round {round}: accept {:.0}/s, bare {:.0}/s; paced p50 {:?} p99 {:?}, fdatasync {sync:?}",
            accepted.per_second(),
            reference.per_second(),
            steady.quantile(0.5),
            steady.quantile(0.99),
        );
    }
    println!("accept-single: durable accept / bare handler: {:.2} (wanted 0.35)", median(shares));
    println!("accept-single: p99 at 2,000/s / fdatasync median: {:.1} (wanted at most 10)", median(waits));
    ours.stop().await.expect("an end");
}

pub async fn batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = reference::log(folder.path()).await;
    let ours = begin(folder.path(), "", &[]).await;
    let mut shares = Vec::new();
    for round in 0..ROUNDS {
        let reference = flood(log, "/v1/batch", KEY, 64, BATCHES, batch).await;
        let accepted = flood(ours.intake, "/v1/batch", KEY, 64, BATCHES, batch).await;
        shares.push(accepted.per_second() / reference.per_second());
        println!(
            "round {round}: {:.0} events/s, bare log {:.0} events/s",
            100.0 * accepted.per_second(),
            100.0 * reference.per_second()
        );
    }
    println!("accept-batch: batches of 100 / bare append-and-fdatasync log: {:.2} (wanted 0.35)", median(shares));
    ours.stop().await.expect("an end");
}
