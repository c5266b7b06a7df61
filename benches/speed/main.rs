//! `cargo bench`: ratios against bare references taken in the same run; medians of 3 interleaved rounds. The load
//! generator shares the machine. `cargo bench -- NAME` measures only those whose name contains NAME.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's time")]

mod accept;
mod daemon;
mod delivery;
mod history;
mod load;
mod opening;
mod path;
mod people;
mod postgres;
mod pull;
mod reference;
mod rules;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/support/postgres.rs"]
mod server;
mod takeover;
mod triggers;
mod views;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of each measurement that is a ratio.
const ROUNDS: usize = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    if is_wanted("accept-single") {
        accept::single().await;
    }
    if is_wanted("accept-batch") {
        accept::batches().await;
    }
    if is_wanted("latency") {
        path::latency().await;
    }
    if is_wanted("path") {
        path::throughput().await;
    }
    if is_wanted("path-postgres") {
        postgres::path().await;
    }
    if is_wanted("accept-postgres") {
        postgres::accept().await;
    }
    if is_wanted("takeover") {
        takeover::after_kill().await;
    }
    if is_wanted("triggers") {
        triggers::decided().await;
    }
    let counts: Vec<usize> = [100, 1_000, 10_000].into_iter().filter(|n| is_wanted(&format!("triggers-{n}"))).collect();
    if !counts.is_empty() {
        rules::many_triggers(&counts);
    }
    if is_wanted("rules-200") {
        rules::parse_and_ask();
    }
    if is_wanted("long-person") {
        rules::much_of_one();
    }
    if is_wanted("people") {
        people::many().await;
    }
    if is_wanted("simulate") {
        history::simulate();
    }
    if is_wanted("backtest") {
        history::backtest().await;
    }
    if is_wanted("pull-cdk") {
        // ESPALIER_RECORDS: 10,000,000 shows whether memory is flat; the CDK then takes its time.
        let records = std::env::var("ESPALIER_RECORDS").ok().and_then(|text| text.parse().ok());
        pull::beside_the_cdk(records.unwrap_or(100_000)).await;
    }
    if is_wanted("pull-quota") {
        pull::within_a_quota().await;
    }
    if is_wanted("delivery-rate") {
        delivery::rates().await;
    }
    if is_wanted("delivery-backlog") {
        // ESPALIER_RECORDS: fewer, to see that it runs.
        delivery::backlog(std::env::var("ESPALIER_RECORDS").ok().and_then(|text| text.parse().ok())).await;
    }
    if is_wanted("delivery-body") {
        delivery::bodies();
    }
    if is_wanted("views") {
        views::served().await;
    }
    if is_wanted("opening") {
        opening::after_kill().await;
    }
}
