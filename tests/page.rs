//! The page in a real browser: every view opened, each control used and what came of it looked at, axe-core without a
//! serious finding in light, in dark and at phone width, no request to elsewhere. `scripts/test` installs the browser and
//! what drives it; without them this test fails.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use espalier::clock::{Clock, SystemClock};
use espalier::model::Span;
use espalier::sandbox::Options;
use serde_json::{Value, json};
use support::shop::trigger;
use support::{Daemon, WRITE_KEY, client, espalier, eventually, fault, vendors};

const LIMIT: Duration = Duration::from_secs(60);
/// What the first load may fetch, packed as it is sent.
const HEAVIEST: u64 = 150_000;

/// A daemon with a shop that is pulled and a vendor that refused some of what it was sent.
async fn furnished(folder: &Path) -> (espalier::sandbox::Sandbox, Daemon) {
    let (sandbox, at) = vendors(Options::default()).await;
    let begun = SystemClock.now() - Span::HOUR;
    sandbox.fill("woocommerce", "orders", 12, begun, Span::from_secs(1)).expect("orders");
    let rest = format!(
        r#"[destination.klaviyo]
kind = "klaviyo"
api_key = "${{env:TEST_SANDBOX_KEY}}"
base_url = "http://{at}/klaviyo"
[destination.hubspot]
kind = "hubspot"
token = "${{env:TEST_SANDBOX_KEY}}"
hub_id = 1234567
base_url = "http://{at}/hubspot"
[delivery]
linger = "0ms"
[source.shop]
kind = "connector"
connector = "woocommerce"
settings = {{ shop = "http://{at}/woocommerce", key = "${{env:TEST_SANDBOX_KEY}}", secret = "${{env:TEST_SANDBOX_KEY}}" }}
pull = {{ streams = ["orders"], start = "1d" }}
"#
    );
    let form = trigger("form", "title = \"A form was sent\"\nper = \"form\"\n", "Form Submitted", "Form");
    let bought = trigger("bought", "title = \"Something was bought\"\n", "Order Completed", "Bought");
    let bought = bought.replace("\"klaviyo\"", "\"hubspot\"");
    let mut daemon = Daemon::new(folder, &folder.join("store"), &rest, &[("form", &form), ("bought", &bought)]);
    daemon.start_ready().await;
    fault(at, json!({ "vendor": "klaviyo", "kind": "bad_record", "times": 7 })).await;
    let http = client();
    for n in 0..12 {
        let message = json!({ "type": "track", "event": "Form Submitted", "messageId": format!("m{n}"), "userId": format!("u{n}"),
            "properties": { "form": format!("f{n}") }, "context": { "traits": { "email": format!("p{n}@example.com"), "first_name": "Ines" } } });
        assert_eq!(daemon.post(&http, "/v1/track", message.to_string()).await, Some(200));
    }
    eventually("seven are refused, and the rest is taken", LIMIT, || async {
        daemon.metric("espalier_lane_dead_letters{lane=\"klaviyo\"}").await == Some(7)
            && daemon.metric("espalier_activations_total{lane=\"klaviyo\",outcome=\"accepted\"}").await == Some(5)
    })
    .await;
    eventually("orders are pulled", LIMIT, || async {
        daemon.metric("espalier_journal_position").await.is_some_and(|n| n > 12)
    })
    .await;
    (sandbox, daemon)
}

/// The guides show views in light, as they are here; `UPDATE=1` writes their pictures.
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment")]
fn show(screenshots: &Path, images: &Path) {
    for entry in std::fs::read_dir(images).expect("the pictures") {
        let image = entry.expect("a picture").path();
        let view = image.file_stem().expect("a view").to_string_lossy().into_owned();
        let made = screenshots.join(format!("{view}-light.png"));
        assert!(made.exists(), "{} shows no view that there is", image.display());
        if std::env::var("UPDATE").is_ok() {
            std::fs::copy(made, image).expect("a picture");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_and_every_control() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_sandbox, daemon) = furnished(folder.path()).await;
    let (is_well, link) = espalier(folder.path(), &["account", "link"]);
    assert!(is_well, "{link}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let driver = root.join("tests/page");
    assert!(driver.join("node_modules/axe-core/package.json").exists(), "axe-core is not installed: run scripts/test");
    let screenshots = root.join("target/screenshots");
    std::fs::create_dir_all(&screenshots).expect("a folder");

    let intake = format!("http://{}", daemon.intake);
    let mut command = Command::new("node");
    command
        .arg(driver.join("drive.mjs"))
        .args([link.trim(), &intake, WRITE_KEY, "/usr/bin/chromium"])
        .arg(&screenshots);
    let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread");
    let ended = ended.unwrap_or_else(|e| panic!("node: {e}; scripts/test installs it"));
    let (said, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{errors}\n{}", daemon.log_end()));
    assert_eq!(told["surprises"], json!([]), "{:#}\n{}", told["surprises"], daemon.log_end());
    assert_eq!(told["steps"], told["wanted"]);
    show(&screenshots, &root.join("docs/images"));
    let bytes = told["bytes"].as_u64().expect("bytes");
    println!("the first load: {bytes} bytes in {} requests", told["requests"]);
    assert!(bytes > 40_000 && bytes < HEAVIEST, "the first load fetches {bytes} bytes");

    // Whoever did it is known, and what was counted stands with it; of whom it was, by their key alone.
    let (_, log) = espalier(folder.path(), &["audit", "--json"]);
    for wanted in
        ["POST /triggers/{name}", "POST /letters/replay", "POST /people/{id}/erase", "5 dead letters, trigger form"]
    {
        assert!(log.contains(wanted), "the audit log has no {wanted}:\n{log}");
    }
    assert!(!log.contains("example.com"), "{log}");
    assert!(!daemon.log_end().contains("example.com"), "{}", daemon.log_end());
}

/// Open pages hear of changes by a stream that does not end by itself: a daemon that ends does not wait for them, and has
/// room for so many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_are_bounded_and_end_with_the_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), "", &[]);
    daemon.start_ready().await;
    let token = std::fs::read_to_string(folder.path().join("store/admin.token")).expect("the token");
    let http = reqwest::Client::new();
    let listen = || http.get(format!("http://{}/live", daemon.ops)).bearer_auth(token.trim()).send();
    assert!(
        client().get(format!("http://{}/live", daemon.ops)).send().await.expect("an answer").url().path() != "/live"
    );
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut answer = listen().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let first = answer.chunk().await.expect("a stream").expect("a first event");
        assert!(String::from_utf8_lossy(&first).contains("hello"));
        open.push(answer);
    }
    assert_eq!(listen().await.expect("an answer").status(), 503);
    open.pop();
    eventually("there is room again", LIMIT, || async { listen().await.expect("an answer").status() == 200 }).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), async move { (daemon.terminate(), daemon) });
    assert!(ended.await.expect("it ends though pages are open").0.success());
}

/// What was drawn before is drawn after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_outlive_the_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let mut daemon = Daemon::new(folder.path(), &store, "", &[]);
    daemon.start_ready().await;
    let http = client();
    let known = async |daemon: &Daemon, names: &str| {
        let token = std::fs::read_to_string(store.join("admin.token")).expect("the token");
        let url = format!("http://{}/api/series?names={names}&over=1h", daemon.ops);
        let answer = http.get(url).bearer_auth(token.trim()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let told: Value = answer.json().await.expect("JSON");
        let at = told["at"].as_array().expect("instants").len();
        let values = told["series"][0]["values"].as_array().expect("values").clone();
        assert_eq!((at, values.len(), told["step_s"].as_i64()), (360, 360, Some(10)));
        values.iter().filter(|value| !value.is_null()).count()
    };
    eventually("two slots are known", LIMIT, || async { known(&daemon, "backlog").await >= 2 }).await;
    assert_eq!(known(&daemon, "nothing-of-the-sort").await, 0);
    let before = known(&daemon, "backlog").await;
    assert!(daemon.terminate().success());
    daemon.start_ready().await;
    assert!(known(&daemon, "backlog").await >= before);
}
