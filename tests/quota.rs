//! Budgets of whole daemons against simulators that keep the vendors' limits: a day that outlives kills, one ledger for a
//! source and a destination of one account, two daemons with half of it each.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use espalier::clock::{FastClock, SharedClock};
use espalier::model::Span;
use espalier::sandbox::Options;
use espalier::store::settings::Kind;
use serde_json::{Value, json};
use support::shop::track;
use support::{Daemon, client, espalier, eventually, pause};

crate::on_both!(a_day_is_not_spent_twice_by_a_daemon_that_is_killed_again_and_again);

const FORM: &str = r#"
name = "form"
per = "form"
when = { did = "Form Submitted" }
activate = [{ destination = "esp", event = "Form Submitted" }]
"#;

fn quota(folder: &Path) -> Value {
    let (is_well, text) = espalier(folder, &["quota", "--json"]);
    assert!(is_well, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

async fn send(daemon: &Daemon, forms: std::ops::Range<u32>) {
    let http = client();
    for n in forms {
        let form = track(&format!("m{n}"), "Form Submitted", json!({ "form": format!("f{n}") })).to_string();
        assert_eq!(daemon.post(&http, "/v1/track", form).await, Some(200));
    }
}

/// The account's day, as it is told.
fn day(told: &Value) -> Value {
    let windows = told["accounts"][0]["windows"].as_array().cloned().unwrap_or_default();
    windows.into_iter().find(|one| one["span_ms"] == 86_400_000).unwrap_or_default()
}

async fn a_day_is_not_spent_twice_by_a_daemon_that_is_killed_again_and_again(kind: Kind) {
    const STARTS: u32 = 4;
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, at) = support::vendors(Options::default()).await;
    // 20 calls of a day are ours.
    let destination = format!(
        "[destination.esp]\nkind = \"marketo\"\nbase_url = \"http://{at}/marketo\"\n\
         client_id = \"${{env:TEST_SANDBOX_KEY}}\"\nclient_secret = \"${{env:TEST_SANDBOX_KEY}}\"\n\
         activity_type = 100001\nlook_after = \"0ms\"\nper_day = 40\n"
    );
    let mut daemon =
        Daemon::new(folder.path(), &folder.path().join("store"), &destination, &[("form", FORM)]).on(kind).await;
    let mut forms = 0;
    for start in 0..STARTS {
        daemon.start_ready().await;
        let before = sandbox.counts("marketo").effects;
        for _ in 0..16 / STARTS {
            // One at a time: each is two calls.
            send(&daemon, forms..forms + 1).await;
            forms += 1;
            pause(300).await;
        }
        if start == 0 {
            eventually("what there is room for", Duration::from_secs(20), || async {
                sandbox.counts("marketo").effects > before
            })
            .await;
        }
        daemon.kill();
    }
    daemon.start_ready().await;
    // What of the day is left goes as well.
    let is_spent = || day(&quota(folder.path()))["used"].as_u64() >= Some(19);
    while !is_spent() {
        send(&daemon, forms..forms + 1).await;
        forms += 1;
        eventually("its end, or the day's", Duration::from_secs(40), || async {
            is_spent() || quota(folder.path())["lanes"][0]["queued"] == 0
        })
        .await;
    }
    send(&daemon, forms..forms + 1).await;
    forms += 1;
    // From here on nothing more leaves, and what is counted stays.
    eventually("the lane to say so", Duration::from_secs(20), || async {
        espalier(folder.path(), &["status"]).1.contains("the quota is used up")
    })
    .await;
    let (counts, starts) = (sandbox.counts("marketo"), u64::from(STARTS));
    // Each run asks for a token, which costs nothing.
    assert!(counts.requests <= 20 + starts + 1, "{counts:?}");
    assert!(counts.effects >= 4, "{counts:?}");
    let told = quota(folder.path());
    let day = day(&told);
    assert_eq!((day["calls"].as_u64(), day["ours"].as_u64()), (Some(40), Some(20)), "{told}");
    let used = day["used"].as_u64().expect("a count");
    assert!(used >= counts.requests - starts - 1 && used <= 20 + starts + 1, "{used} of {counts:?}");
    let waiting = u64::from(forms) - counts.effects;
    let (_, text) = espalier(folder.path(), &["quota"]);
    let words = format!("esp: {waiting} waiting, 2 rest calls, through at ");
    assert!(text.contains(&words) && text.contains("form needs 10 % of today's calls and ends at "), "{text}");
    let page = daemon.page("/quota").await.text().await.expect("text");
    assert!(page.contains("form needs 10 % of today"), "{page}");
    let needed = daemon.metric("espalier_trigger_calls_needed{lane=\"esp\",trigger=\"form\"}").await;
    assert_eq!(needed, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_and_a_destination_of_one_account_share_its_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_sandbox, at) = support::vendors(Options::default()).await;
    let both = format!(
        "[destination.esp]\nkind = \"hubspot\"\ntoken = \"${{env:TEST_SANDBOX_KEY}}\"\nhub_id = 1234567\n\
         base_url = \"http://{at}/hubspot\"\n\
         [source.crm]\nkind = \"connector\"\nconnector = \"hubspot\"\npull = {{ streams = [\"contacts\"] }}\n\
         settings = {{ token = \"${{env:TEST_SANDBOX_KEY}}\", base_url = \"http://{at}/hubspot\" }}\n"
    );
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &both, &[("form", FORM)]);
    daemon.start_ready().await;
    send(&daemon, 0..1).await;
    let of = |told: &Value, family: &str, span: u64| {
        let windows = told["accounts"][0]["windows"].as_array().cloned().unwrap_or_default();
        windows.into_iter().find(|one| one["family"] == family && one["span_ms"] == span).unwrap_or_default()
    };
    eventually("calls of both", Duration::from_secs(20), || async {
        let told = quota(folder.path());
        of(&told, "crm", 10_000)["used"].as_u64() >= Some(1) && of(&told, "crm", 86_400_000)["left"].is_u64()
    })
    .await;
    let told = quota(folder.path());
    assert_eq!(told["accounts"].as_array().map(Vec::len), Some(1), "{told}");
    // The source asks for no more than 80 of the account's 100.
    assert_eq!(of(&told, "crm", 10_000)["ours"], 80, "{told}");
    assert_eq!(of(&told, "search", 1_000)["ours"], 4, "{told}");
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_with_half_of_an_account_each_are_never_refused() {
    let clock: SharedClock = Arc::new(FastClock::new(4));
    let (sandbox, at) = support::vendors_at(clock.clone(), Options::default()).await;
    let mut running = Vec::new();
    for n in 0..2 {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[store]\npath = \"{}\"\n[intake]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
             [gates.guard]\nleast = 1000000\n\
             [source.web]\nkind = \"tracking\"\nwrite_key = \"${{file:{}}}\"\n\
             [destination.esp]\nkind = \"klaviyo\"\napi_key = \"${{file:{}}}\"\nbulk_from = 0\nshare = 0.5\n\
             base_url = \"http://{at}/klaviyo\"\n",
            folder.path().join("store").display(),
            folder.path().join("key").display(),
            folder.path().join("token").display(),
        );
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        std::fs::create_dir_all(folder.path().join("triggers")).expect("a folder");
        write("key", support::WRITE_KEY);
        write("token", "sandbox");
        write("espalier.toml", &text);
        write("triggers/form.toml", FORM);
        let configured = espalier::settings::Settings::load(&folder.path().join("espalier.toml"));
        let configured = configured.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let daemon = espalier::cli::Daemon::new(configured, clock.clone()).begin().await.expect("a daemon");
        running.push((n, daemon, folder));
    }
    // More than the account takes of them in a minute: each is a call.
    for (n, daemon, _) in &running {
        for batch in 0..25 {
            let form = |m: u32| {
                let mut form = track(&format!("{batch}-{m}"), "Form Submitted", json!({ "form": "f" }));
                form["userId"] = json!(format!("u{n}-{batch}-{m}"));
                form["context"] = json!({ "traits": { "email": format!("u{n}-{batch}-{m}@example.com") } });
                form
            };
            let body = json!({ "batch": (0..100).map(form).collect::<Vec<_>>() }).to_string();
            let url = format!("http://{}/v1/batch", daemon.intake);
            let answer = client().post(url).basic_auth(support::WRITE_KEY, Some("")).body(body).send().await;
            assert!(answer.expect("an answer").status().is_success());
        }
    }
    let taken = || sandbox.counts("klaviyo").effects;
    eventually("the first call", Duration::from_secs(20), || async { taken() > 0 }).await;
    let (began, before) = (clock.now(), taken());
    clock.until(began + Span::from_secs(61)).await;
    let counts = sandbox.counts("klaviyo");
    assert_eq!(counts.throttled, 0, "{counts:?}");
    assert!(counts.effects - before >= 3_500 * 95 / 100, "{counts:?}");
    for (_, daemon, _folder) in running {
        daemon.stop().await.expect("an end");
    }
}
