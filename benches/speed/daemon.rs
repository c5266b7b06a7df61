//! The daemon under measurement: in this process, on a store of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use espalier::cli::{Daemon, Running};
use espalier::clock::SystemClock;
use espalier::sandbox::{Options, Sandbox};
use espalier::settings::Settings;

/// `wk:` in Basic form.
pub const KEY: &str = "Basic d2s6";

/// Fires once for each event.
pub const PING: &str = "name = \"ping\"\nper = \"ping_id\"\n[[when.all]]\ndid = \"Ping\"\n[[activate]]\ndestination = \"klaviyo\"\nevent = \"Pinged\"\n";

/// sled's cache in the measurements within this process: the state of the 100,000 people fits into it.
pub const CACHE_MB: u32 = 256;

/// Writes the configuration; `store` goes into the store's section, `rest` may name the secret file as KEY.
pub fn configure(folder: &Path, store: &str, rest: &str, triggers: &[(String, String)]) {
    std::fs::create_dir_all(folder.join("triggers")).expect("a folder");
    for (name, text) in triggers {
        std::fs::write(folder.join("triggers").join(format!("{name}.toml")), text).expect("a trigger");
    }
    std::fs::write(folder.join("key"), "wk").expect("a key");
    let key = folder.join("key").display().to_string();
    let path = folder.join("store").display().to_string();
    let text = format!(
        "[store]\npath = \"{path}\"\n{store}[ops]\nlisten = \"127.0.0.1:0\"\n[source.web]\nkind = \"tracking\"\n\
         write_key = \"${{file:{key}}}\"\n{}",
        rest.replace("KEY", &format!("${{file:{key}}}"))
    );
    std::fs::write(folder.join("espalier.toml"), text).expect("the configuration");
}

/// Begins it on a store of its own, on ports that are free.
pub async fn begin(folder: &Path, rest: &str, triggers: &[(String, String)]) -> Running {
    begin_on(folder, &format!("cache = \"{CACHE_MB} MB\"\n"), rest, triggers).await
}

/// What the store's section says of a database. Its address lies in a file, as a secret has to.
pub fn postgres_at(folder: &Path, url: &str) -> String {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("url"), url).expect("a file");
    format!("kind = \"postgres\"\nurl = \"${{file:{}}}\"\n", folder.join("url").display())
}

/// Begins it with this in the store's section.
pub async fn begin_on(folder: &Path, store: &str, rest: &str, triggers: &[(String, String)]) -> Running {
    let rest = format!("[intake]\nlisten = \"127.0.0.1:0\"\n[delivery]\nlinger = \"0ms\"\n{rest}");
    configure(folder, store, &rest, triggers);
    let configured = Settings::load(&folder.join("espalier.toml")).unwrap_or_else(|m| panic!("{m:?}"));
    Daemon::new(configured, Arc::new(SystemClock)).begin().await.expect("the daemon")
}

/// The destination section for a vendor on this address.
pub fn klaviyo_at(vendor: SocketAddr) -> String {
    format!(
        "[destination.klaviyo]\nkind = \"klaviyo\"\napi_key = \"KEY\"\nbase_url = \"http://{vendor}/klaviyo\"\nunlimited = true\n"
    )
}

/// A vendor without limits.
pub async fn sandbox() -> (Sandbox, SocketAddr) {
    let sandbox = Sandbox::new(
        Arc::new(SystemClock),
        Options { limits: false, api_key: "wk".into(), bodies: 0, ..Options::default() },
    );
    let router = sandbox.router();
    let vendor = serve(router).await;
    (sandbox, vendor)
}

/// Serves a router on a free port.
pub async fn serve(router: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
    address
}

/// 1 KiB, each its own, from 100,000 people.
pub fn message(n: u64) -> Vec<u8> {
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

/// A hundred of them.
pub fn batch(n: u64) -> Vec<u8> {
    let mut text = b"{\"batch\":[".to_vec();
    for one in 0..100 {
        if one > 0 {
            text.push(b',');
        }
        text.extend(message(n * 100 + one));
    }
    text.extend(b"]}");
    text
}

/// Waits until all that was accepted is decided.
pub async fn idle(running: &Running) {
    let began = std::time::Instant::now();
    loop {
        let counts = running.watched.store.counts();
        if counts.decided == counts.journaled {
            return;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(300), "{counts:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
