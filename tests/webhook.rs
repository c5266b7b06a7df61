//! A webhook's whole way: what triggers fire is received, signed and once; what a receiver answers holds, retries or ends
//! a lane; presets of ESPs go to their simulators.

mod support;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use espalier::sandbox::{Effect, Options, Sandbox};
use hmac::{KeyInit, Mac};
use serde_json::{Value, json};
use support::{Daemon, client, eventually};

/// `whsec_` and this in base64 is the secret.
const KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

const TRIGGER: &str = r#"
name = "form"
per = "form"
once = true
when = { did = "Form Submitted" }
payload = { note = "{{ event.note }}" }
[[activate]]
destination = "hook"
event = "Form Submitted"
"#;

const DELIVERY: &str =
    "[delivery]\nlinger = \"0ms\"\nbackoff = \"50ms\"\nlongest = \"200ms\"\nmended = \"300ms\"\nprobe = \"200ms\"\n";

struct World {
    _folder: tempfile::TempDir,
    sandbox: Sandbox,
    vendors: String,
    daemon: Daemon,
}

impl World {
    /// A daemon with this destination, whose `AT` is where the receivers are.
    async fn with(destination: &str) -> Self {
        Self::and(destination, Options::default(), |_| ()).await
    }

    async fn and(destination: &str, options: Options, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (sandbox, at) = support::vendors(options).await;
        let vendors = format!("http://{at}");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, format!("whsec_{}", STANDARD.encode(KEY))).expect("a file");
        prepare(folder.path());
        let destination =
            destination.replace("AT", &vendors).replace("SECRET", &format!("${{file:{}}}", secret.display()));
        let rest = format!("connectors = \"connectors\"\n{DELIVERY}[destination.hook]\n{destination}\n");
        let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), "", &[("form", TRIGGER)]);
        // `connectors` stands above the tables.
        let file = folder.path().join("espalier.toml");
        let text = std::fs::read_to_string(&file).expect("the configuration");
        let (top, tables) = rest.split_once('\n').expect("two lines");
        std::fs::write(&file, format!("{top}\n{text}{tables}")).expect("the configuration");
        daemon.start_ready().await;
        Self { _folder: folder, sandbox, vendors, daemon }
    }

    async fn fault(&self, fault: Value) {
        support::fault(&self.vendors, fault).await;
    }

    async fn submit(&self, forms: std::ops::Range<u32>) {
        let track = |n: u32| {
            let properties = json!({ "form": format!("f{n}"), "note": format!("n{n}") });
            json!({ "type": "track", "event": "Form Submitted", "messageId": format!("m{n}"), "userId": format!("u{n}"),
                    "properties": properties, "context": { "traits": { "email": format!("p{n}@example.com") } } })
        };
        let batch: Vec<Value> = forms.map(track).collect();
        let body = json!({ "batch": batch }).to_string();
        assert_eq!(self.daemon.post(&client(), "/v1/batch", body).await, Some(200));
    }

    async fn received(&self, account: &str, wanted: usize) -> Vec<Effect> {
        eventually("the calls", Duration::from_secs(30), || async { self.sandbox.effects(account).len() >= wanted })
            .await;
        self.sandbox.effects(account)
    }

    fn run(&self, args: &[&str]) -> String {
        support::espalier(self._folder.path(), args).1
    }

    async fn held(&self, words: &str) {
        eventually(words, Duration::from_secs(20), || async { self.run(&["status"]).contains(words) }).await;
    }
}

/// Verified with nothing of ours: the key, HMAC and base64.
fn is_signed(effect: &Effect) -> bool {
    let header = |name: &str| effect.body["headers"][name].as_str().expect("a header").to_owned();
    let signed = format!(
        "{}.{}.{}",
        header("webhook-id"),
        header("webhook-timestamp"),
        effect.body["text"].as_str().expect("the body")
    );
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&KEY).expect("a key");
    mac.update(signed.as_bytes());
    header("webhook-signature") == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

const PLAIN: &str = "kind = \"webhook\"\nurl = \"AT/webhook/in\"\nsecret = \"SECRET\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fires_is_received_signed_and_once() {
    let mut world = World::with(PLAIN).await;
    world.submit(0..1).await;
    let first = world.received("webhook", 1).await.remove(0);
    assert!(is_signed(&first));
    let said: Value = serde_json::from_str(first.body["text"].as_str().expect("text")).expect("JSON");
    assert_eq!((&said["type"], &said["data"]["payload"]["note"]), (&json!("Form Submitted"), &json!("n0")));
    assert_eq!((&said["data"]["person"]["email"], first.person.as_str()), (&json!("p0@example.com"), "p0@example.com"));
    assert_eq!(said["data"]["id"], first.id.as_str(), "the key against repeats is the occasion");

    // Down for two calls, then cut after it was taken: the same key comes again, and the receiver knows it.
    world.fault(json!({ "vendor": "webhook", "kind": "status", "status": 500, "times": 2 })).await;
    world.fault(json!({ "vendor": "webhook", "kind": "close_after_accept", "times": 1 })).await;
    world.submit(1..2).await;
    let settled = || async {
        world.daemon.metric("espalier_activations_total{lane=\"hook\",outcome=\"accepted\"}").await == Some(2)
    };
    eventually("both are settled", Duration::from_secs(30), settled).await;
    let effects = world.sandbox.effects("webhook");
    assert!(effects.len() == 2 && effects.iter().all(is_signed));
    let counts = world.sandbox.counts("webhook");
    assert_eq!((counts.duplicates, counts.refused), (1, 2));

    // What would be sent is shown, with the address and without the secret.
    let shown = world.run(&["payload", "form", "user_id:u1", "--json"]);
    let shown: Value = serde_json::from_str(&shown).expect(&shown);
    let call = &shown[0]["calls"][0];
    assert_eq!(call["call"], format!("POST {}/webhook/in", world.vendors));
    assert_eq!(call["body"]["data"]["payload"]["note"], "n1");
    assert!(!world.daemon.log_end().contains("whsec_"));
    assert!(world.daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_never_takes_is_a_dead_letter_and_what_it_takes_later_waits() {
    let world = World::with(PLAIN).await;
    world.fault(json!({ "vendor": "webhook", "kind": "bad_record", "times": 1 })).await;
    world.submit(0..1).await;
    let listed = || async {
        serde_json::from_str::<Value>(&world.run(&["dead-letters", "list", "--json"]))
            .is_ok_and(|l| l[0]["id"].is_u64())
    };
    eventually("the dead letter", Duration::from_secs(20), listed).await;
    assert!(world.run(&["dead-letters", "list"]).contains("422"));
    // The limit is no failure, and keeps its place.
    world.fault(json!({ "vendor": "webhook", "kind": "status", "status": 429, "retry_after": 1, "times": 1 })).await;
    world.submit(1..2).await;
    world.received("webhook", 1).await;
    assert_eq!(world.sandbox.counts("webhook").throttled, 1);
    assert!(world.run(&["dead-letters", "replay", "--all"]).contains("1 of 1"));
    world.received("webhook", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_address_or_refused_credentials_hold_the_lane() {
    let world = World::with(PLAIN).await;
    for (status, words, n) in [(401, "the credentials are refused", 0), (410, "does not fit the account: HTTP 410", 1)]
    {
        world.fault(json!({ "vendor": "webhook", "kind": "status", "status": status, "times": 4 })).await;
        world.submit(n..n + 1).await;
        world.held(words).await;
        assert!(world.run(&["dead-letters", "list"]).contains("no dead letters"));
        // Nothing was lost: it is sent when that is mended.
        world.received("webhook", n as usize + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_go_in_one_call_where_the_manifest_says_so() {
    const BATCHED: &str = r#"
name = "batched"
facts = "a test"
base_url = "{{ settings.url }}"
path = "/batch"
sign = { secrets = "secret" }
body = { id = "{{ occasion }}", note = "{{ payload.note }}" }
[settings]
url = { kind = "url", help = "h" }
secret = { kind = "secret", help = "h" }
[batch]
most = 50
body = { type = "batch", items = "{{ records }}" }
"#;
    let destination =
        "kind = \"webhook\"\nconnector = \"batched\"\nsettings = { url = \"AT/webhook\", secret = \"SECRET\" }";
    let prepare = |folder: &Path| {
        std::fs::create_dir_all(folder.join("connectors/batched")).expect("a folder");
        std::fs::write(folder.join("connectors/batched/destination.toml"), BATCHED).expect("a manifest");
    };
    let world = World::and(destination, Options::default(), prepare).await;
    // While the lane is held they gather.
    world.fault(json!({ "vendor": "webhook", "kind": "status", "status": 401, "times": 1 })).await;
    world.submit(0..1).await;
    world.held("the credentials are refused").await;
    world.submit(1..60).await;
    let notes = || -> Vec<String> {
        let effects = world.sandbox.effects("webhook");
        assert!(effects.iter().all(|e| is_signed(e) && e.body["path"] == "/batch"));
        let calls = effects
            .iter()
            .map(|e| serde_json::from_str::<Value>(e.body["text"].as_str().expect("text")).expect("JSON"));
        calls
            .flat_map(|call| call["items"].as_array().cloned().unwrap_or_default())
            .map(|item| item["note"].to_string())
            .collect()
    };
    eventually("all sixty", Duration::from_secs(30), || async { notes().len() >= 60 }).await;
    let mut notes = notes();
    notes.sort();
    notes.dedup();
    assert_eq!(notes.len(), 60, "each once");
    let calls = world.sandbox.effects("webhook").len();
    assert!(calls < 20, "{calls} calls for sixty records");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brevo_gets_events_within_its_limits() {
    let destination = "kind = \"webhook\"\nconnector = \"brevo\"\nsettings = { base_url = \"AT/brevo\", api_key = \"${env:TEST_SANDBOX_KEY}\" }";
    let world = World::with(destination).await;
    world.submit(0..12).await;
    let effects = world.received("brevo", 12).await;
    assert_eq!(effects.len(), 12);
    assert!(effects.iter().all(|e| e.event == "Form_Submitted" && e.person.ends_with("@example.com")));
    let counts = world.sandbox.counts("brevo");
    assert_eq!((counts.refused, counts.throttled), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn braze_gets_batches_and_names_the_bad_one() {
    let destination = "kind = \"webhook\"\nconnector = \"braze\"\nsettings = { endpoint = \"AT/braze\", api_key = \"${env:TEST_SANDBOX_KEY}\" }";
    let world = World::with(destination).await;
    world.fault(json!({ "vendor": "braze", "kind": "status", "status": 401, "times": 1 })).await;
    world.submit(0..1).await;
    world.held("the credentials are refused").await;
    world.fault(json!({ "vendor": "braze", "kind": "bad_record", "times": 1 })).await;
    world.submit(1..30).await;
    let effects = world.received("braze", 29).await;
    let is_one = || async { world.run(&["dead-letters", "list", "--json"]).contains("invalid on demand") };
    eventually("the dead letter", Duration::from_secs(20), is_one).await;
    assert_eq!((effects.len(), world.received("braze", 29).await.len()), (29, 29));
    assert!(effects.iter().all(|e| e.event == "Form Submitted" && e.person.starts_with('u')));
    let calls = world.sandbox.counts("braze").requests;
    assert!(calls < 10, "{calls} calls for thirty events");
}
