//! The store on PostgreSQL: its whole path beside that of the embedded one, and an acknowledged message beside a bare
//! commit. The server is the benchmark's own and shares the machine; what it says is committed is on the disk.

use std::time::{Duration, Instant};

use sqlx::Connection as _;

use crate::ROUNDS;
use crate::daemon::{KEY, PING, begin, begin_on, idle, klaviyo_at, message, postgres_at, sandbox};
use crate::load::{median, pace, paced, quantile};
use crate::path;
use crate::server::{Server, connect};

/// Its settings are those that it comes with, but for memory: as much as sled's cache is given.
pub const LASTING: [&str; 4] = ["-c", "shared_buffers=256MB", "-c", "log_min_messages=warning"];

/// How many messages a second, and how many of them in a round.
const RATES: [(u32, u64); 3] = [(500, 5_000), (1_000, 10_000), (2_000, 20_000)];

/// As fast as each goes, by turns.
pub async fn path() {
    let server = Server::begin_with(&LASTING).await;
    let triggers = [("ping".into(), PING.into())];
    let (mut sleds, mut ours, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let (vendors, at) = sandbox().await;
        let running = begin(&folder.path().join("sled"), &klaviyo_at(at), &triggers).await;
        let (sled, sled_accepted) = path::whole(&running, &vendors).await;
        running.stop().await.expect("an end");

        let (vendors, at) = sandbox().await;
        let of = folder.path().join("postgres");
        let store = postgres_at(&of, &server.database().await);
        let running = begin_on(&of, &store, &klaviyo_at(at), &triggers).await;
        let (postgres, accepted) = path::whole(&running, &vendors).await;
        running.stop().await.expect("an end");

        println!(
            "round {round}: sled {sled:.0}/s, accepted at {sled_accepted:.0}/s; PostgreSQL {postgres:.0}/s, accepted at \
             {accepted:.0}/s"
        );
        shares.push(postgres / sled);
        sleds.push(sled);
        ours.push(postgres);
    }
    println!("path-postgres: sled {:.0}/s, PostgreSQL {:.0}/s", median(sleds), median(ours));
    println!("path-postgres: whole path on PostgreSQL / on sled: {:.2} (wanted at least 0.3)", median(shares));
}

/// Time to commit a row of 1 KiB by one connection, a row each `every`, counted from when it was due; sorted.
async fn commits(url: &str, rows: u64, every: Duration) -> Vec<Duration> {
    let mut connection = connect(url).await;
    let (pace, mut receivers) = pace(1, rows, every);
    let mut due = receivers.pop().expect("one receiver");
    let body = [7_u8; 1024];
    let mut took = Vec::new();
    while let Some((_, since)) = due.recv().await {
        let insert = sqlx::query("insert into bare (body) values ($1)").bind(&body[..]);
        insert.execute(&mut connection).await.expect("a commit");
        took.push(since.elapsed());
    }
    pace.join().expect("the pace to be kept");
    connection.close().await.expect("a close");
    took.sort_unstable();
    took
}

/// The same by whoever waits for nothing but the database: what a commit takes by itself; sorted.
async fn bare(url: &str, rows: u64) -> Vec<Duration> {
    let mut connection = connect(url).await;
    let body = [7_u8; 1024];
    let mut took = Vec::new();
    for _ in 0..rows {
        let began = Instant::now();
        let insert = sqlx::query("insert into bare (body) values ($1)").bind(&body[..]);
        insert.execute(&mut connection).await.expect("a commit");
        took.push(began.elapsed());
    }
    connection.close().await.expect("a close");
    took.sort_unstable();
    took
}

/// How soon a message is acknowledged, at several rates.
pub async fn accept() {
    let server = Server::begin_with(&LASTING).await;
    let folder = tempfile::tempdir().expect("a folder");
    let reference = server.database().await;
    let mut connection = connect(&reference).await;
    let table = "create table bare (id bigint generated always as identity primary key, body bytea not null)";
    sqlx::query(table).execute(&mut connection).await.expect("a table");
    connection.close().await.expect("a close");
    let store = postgres_at(folder.path(), &server.database().await);
    let ours = begin_on(folder.path(), &store, "", &[]).await;
    for (rate, requests) in RATES {
        let every = Duration::from_secs(1) / rate;
        let (mut shares, mut unhurried) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            idle(&ours).await;
            let alone = bare(&reference, 2_000).await;
            let commit = commits(&reference, requests, every).await;
            let steady = paced(ours.intake, "/v1/track", KEY, 64, requests, every, message).await;
            let tail = steady.quantile(0.99).as_secs_f64();
            shares.push(tail / quantile(&commit, 0.99).as_secs_f64());
            unhurried.push(tail / quantile(&alone, 0.99).as_secs_f64());
            println!(
                "round {round}, {rate}/s: accepted p50 {:?} p99 {:?}; commit p50 {:?} p99 {:?}; one after the other p50 \
                 {:?} p99 {:?}",
                steady.quantile(0.5),
                steady.quantile(0.99),
                quantile(&commit, 0.5),
                quantile(&commit, 0.99),
                quantile(&alone, 0.5),
                quantile(&alone, 0.99),
            );
        }
        println!(
            "accept-postgres: p99 at {rate}/s / p99 of a bare commit at that rate: {:.1} (wanted at most 3); / of commits \
             one after the other: {:.1}",
            median(shares),
            median(unhurried)
        );
    }
    ours.stop().await.expect("an end");
}
