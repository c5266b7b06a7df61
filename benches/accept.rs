//! `cargo bench --bench accept`: durable accept against bare references taken in the same run; medians of 3 interleaved
//! rounds. The load generator shares the machine.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's time")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use espalier::cli::{Daemon, Running};
use espalier::clock::SystemClock;
use espalier::sandbox::{Options, Sandbox};
use espalier::settings::Settings;
use serde::Deserialize;
use support::{fdatasync_median, flood, median, paced};

/// `wk:` in Basic form.
const KEY: &str = "Basic d2s6";
const REQUESTS: u64 = 30_000;

/// What the bare handler parses and forgets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[expect(dead_code, reason = "parsed, as the daemon must")]
    message_id: String,
    #[expect(dead_code, reason = "parsed, as the daemon must")]
    properties: serde_json::Map<String, serde_json::Value>,
}

/// 1 KiB, each its own.
fn message(n: u64) -> Vec<u8> {
    let now = jiff::Timestamp::now();
    let mut text = format!(
        "{{\"type\":\"track\",\"event\":\"Ping\",\"messageId\":\"m-{n}-{now}\",\"userId\":\"u{}\",\"context\":{{\"traits\":{{\"email\":\"u{}@example.com\"}}}},\"properties\":{{\"ping_id\":\"p{n}-{now}\",\"filler\":\"",
        n % 100_000,
        n % 100_000
    );
    text.extend(std::iter::repeat_n('x', 1_024_usize.saturating_sub(text.len() + 3)));
    text.push_str("\"}}");
    text.into_bytes()
}

async fn bare() -> SocketAddr {
    let take = |body: axum::body::Bytes| async move {
        match serde_json::from_slice::<Message>(&body) {
            Ok(_) => "{\"success\":true}",
            Err(_) => "{\"success\":false}",
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = axum::Router::new().route("/v1/track", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("the bare server") });
    address
}

async fn daemon(folder: &Path, rest: &str, trigger: Option<&str>) -> Running {
    std::fs::create_dir_all(folder.join("triggers")).expect("a folder");
    if let Some(trigger) = trigger {
        std::fs::write(folder.join("triggers/ping.toml"), trigger).expect("a trigger");
    }
    std::fs::write(folder.join("key"), "wk").expect("a key");
    let key = folder.join("key").display().to_string();
    let text = format!(
        "[store]\npath = \"store\"\n[intake]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n[delivery]\nlinger = \"0ms\"\n\
         [source.web]\nkind = \"tracking\"\nwrite_key = \"${{file:{key}}}\"\n{}",
        rest.replace("KEY", &format!("${{file:{key}}}"))
    );
    std::fs::write(folder.join("espalier.toml"), text).expect("the configuration");
    let configured = Settings::load(&folder.join("espalier.toml")).unwrap_or_else(|m| panic!("{m:?}"));
    Daemon::new(configured, Arc::new(SystemClock)).begin().await.expect("the daemon")
}

const PING: &str = "name = \"ping\"\nper = \"ping_id\"\n[[when.all]]\ndid = \"Ping\"\n[[activate]]\ndestination = \"klaviyo\"\nevent = \"Pinged\"\n";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let bare = bare().await;
    let accepting = daemon(&folder.path().join("a"), "", None).await;
    let (mut shares, mut waits) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let reference = flood(bare, "/v1/track", KEY, 64, REQUESTS, message).await;
        let ours = flood(accepting.intake, "/v1/track", KEY, 64, REQUESTS, message).await;
        let sync = fdatasync_median(folder.path());
        let steady =
            paced(accepting.intake, "/v1/track", KEY, 64, 10_000, Some(Duration::from_micros(500)), message).await;
        shares.push(ours.per_second() / reference.per_second());
        waits.push(steady.quantile(0.99).as_secs_f64() / sync.as_secs_f64());
        println!(
            "round {round}: accept {:.0}/s, bare {:.0}/s; paced p99 {:?}, fdatasync {:?}",
            ours.per_second(),
            reference.per_second(),
            steady.quantile(0.99),
            sync
        );
    }
    println!("durable accept / bare handler: {:.2} (wanted 0.35)", median(shares));
    println!("accept p99 at 2,000/s / fdatasync median: {:.1} (wanted at most 10)", median(waits));
    accepting.stop().await.expect("an end");

    let sandbox =
        Sandbox::new(Arc::new(SystemClock), Options { limits: false, api_key: "wk".into(), ..Options::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let vendor = listener.local_addr().expect("an address");
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await.expect("the vendor") });
    let rest = format!(
        "[destination.klaviyo]\nkind = \"klaviyo\"\napi_key = \"KEY\"\nbase_url = \"http://{vendor}/klaviyo\"\nunlimited = true\n"
    );
    let whole = daemon(&folder.path().join("b"), &rest, Some(PING)).await;
    let began = Instant::now();
    let load = flood(whole.intake, "/v1/track", KEY, 64, REQUESTS, message).await;
    while sandbox.counts("klaviyo").effects < REQUESTS {
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", sandbox.counts("klaviyo"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rate = REQUESTS as f64 / began.elapsed().as_secs_f64();
    println!(
        "whole path, one activation an event: {rate:.0}/s (wanted 10,000); accepted at {:.0}/s",
        load.per_second()
    );
    whole.stop().await.expect("an end");
}
