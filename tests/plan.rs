//! `plan` and `apply` against simulated accounts: what is missing is told and made, once; what cannot be made is told; the
//! exit code says which.

mod support;

use std::sync::Arc;
use std::time::Duration;

use espalier::cli::Daemon;
use espalier::clock::{Clock, FastClock};
use espalier::model::Span;
use espalier::sandbox::{Options, Sandbox};
use espalier::settings::Settings;
use serde_json::{Value, json};

const CART: &str = r#"
name = "cart"
per = "cart_id"
when = { did = "Product Added" }
payload = { is_new = "{{ event.n == 1 }}" }
types = { added_at = "datetime" }
[[activate]]
destination = "vendor"
event = "Cart Abandoned"
[[test]]
name = "t"
events = ["+0m Product Added cart_id=c1 price=20.50 n=1"]
fires = ["+0m"]
"#;

struct World {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    address: String,
}

impl World {
    /// A folder with this destination, whose `AT` is where the vendors are.
    async fn with(destination: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (sandbox, at) = support::vendors(Options::default()).await;
        let address = format!("http://{at}");
        std::fs::create_dir(folder.path().join("triggers")).expect("a folder");
        std::fs::write(folder.path().join("triggers/cart.toml"), CART).expect("a trigger");
        let world = Self { folder, sandbox, address };
        world.configure(destination);
        world
    }

    fn configure(&self, destination: &str) {
        let text = format!("[destination.vendor]\n{}\n", destination.replace("AT", &self.address));
        std::fs::write(self.folder.path().join("espalier.toml"), text).expect("the configuration");
    }

    /// A command's exit code and all that it said.
    async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = support::command(self.folder.path(), args);
        let out = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("the program");
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.code(), said)
    }

    async fn fault(&self, fault: Value) {
        support::fault(&self.address, fault).await;
    }

    fn requests(&self, vendor: &str) -> u64 {
        self.sandbox.counts(vendor).requests
    }
}

const HUBSPOT: &str =
    "kind = \"hubspot\"\ntoken = \"${env:TEST_SANDBOX_KEY}\"\nhub_id = 1234567\nbase_url = \"AT/hubspot\"";

/// The definition as the account has it.
async fn definition(world: &World, name: &str) -> Value {
    let url = format!("{}/hubspot/events/2026-03/event-definitions/{name}", world.address);
    let answer = support::client().get(url).bearer_auth("sandbox").send().await.expect("the vendor");
    answer.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_is_made_with_its_properties_once() {
    let world = World::with(HUBSPOT).await;
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(2) && said.contains("missing  event pe1234567_cart_abandoned"), "{code:?} {said}");
    assert!(said.contains("[apply makes it] (for cart)"), "{said}");
    let (code, said) = world.run(&["plan", "--json"]).await;
    let told: Value = serde_json::from_str(&said).expect(&said);
    assert_eq!((code, &told[0]["differences"][0]["sort"]), (Some(2), &json!("missing")));

    let (code, said) = world.run(&["apply"]).await;
    assert!(code == Some(0) && said.contains("event pe1234567_cart_abandoned: made"), "{code:?} {said}");
    let made = definition(&world, "pe1234567_cart_abandoned").await;
    let types: Vec<String> = made["properties"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| format!("{}={}", p["name"].as_str().unwrap_or_default(), p["type"].as_str().unwrap_or_default()))
        .collect();
    for wanted in ["price=number", "is_new=enumeration", "added_at=datetime", "cart_id=string", "occurred_at=datetime"]
    {
        assert!(types.contains(&wanted.to_owned()), "{wanted} of {types:?}");
    }
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(0) && said.contains("nothing differs"), "{code:?} {said}");
    // What is there is not asked to be made again.
    let before = world.requests("hubspot");
    assert_eq!(world.run(&["apply"]).await.0, Some(0));
    assert_eq!(world.requests("hubspot") - before, 1, "one look");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_is_added_a_type_is_told_and_what_nobody_sends_too() {
    let world = World::with(HUBSPOT).await;
    let http = support::client();
    let url = format!("{}/hubspot/events/2026-03/event-definitions", world.address);
    for (name, kind) in [("cart_abandoned", "number"), ("long_gone", "string")] {
        let property = json!({ "name": "cart_id", "label": "cart id", "type": kind });
        let body = json!({ "name": name, "label": name, "includeDefaultProperties": false, "propertyDefinitions": [property] });
        assert_eq!(http.post(&url).bearer_auth("sandbox").json(&body).send().await.expect("the vendor").status(), 201);
    }
    let (code, said) = world.run(&["plan"]).await;
    assert_eq!(code, Some(2));
    for wanted in [
        "property price of pe1234567_cart_abandoned: is not there; it would be a number [apply makes it]",
        "differs  property cart_id of pe1234567_cart_abandoned: is a number, and values are of type string",
        "unused   event pe1234567_long_gone: no trigger sends it",
    ] {
        assert!(said.contains(wanted), "{wanted}\nis not in\n{said}");
    }
    // Cut in the middle: the next run goes on from what is there.
    world.fault(json!({ "vendor": "hubspot", "path": "/property", "kind": "close_after_accept", "skip": 2 })).await;
    let (code, said) = world.run(&["apply"]).await;
    assert!(code == Some(1) && said.contains("stopped: the vendor is down"), "{code:?} {said}");
    let has = definition(&world, "pe1234567_cart_abandoned").await["properties"].as_array().map_or(0, Vec::len);
    assert_eq!(has, 4, "three of them were made before it was cut");
    world
        .fault(json!({ "vendor": "hubspot", "path": "/property", "kind": "status", "status": 429, "retry_after": 1 }))
        .await;
    let (code, said) = world.run(&["apply"]).await;
    assert!(code == Some(2) && !said.contains("NOT made"), "the type remains: {code:?} {said}");
    assert!(said.contains("1 differs, 1 unused"), "{said}");
    let names = definition(&world, "pe1234567_cart_abandoned").await;
    let names: Vec<&str> =
        names["properties"].as_array().expect("a list").iter().filter_map(|p| p["name"].as_str()).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len());
    // Declared as it is there, nothing is left to do.
    let declared = CART.replace("types = { ", "types = { cart_id = \"number\", ");
    std::fs::write(world.folder.path().join("triggers/cart.toml"), declared).expect("a trigger");
    assert_eq!(world.run(&["plan"]).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_that_is_missing_and_an_account_that_is_down_are_told() {
    let world = World::with(HUBSPOT).await;
    world.fault(json!({ "vendor": "hubspot", "kind": "revoke_scope" })).await;
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(1) && said.contains("a scope or the subscription is missing"), "{code:?} {said}");
    world.fault(json!({ "vendor": "hubspot", "kind": "status", "status": 503 })).await;
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(1) && said.contains("cannot be told: the vendor is down"), "{code:?} {said}");
    let (code, said) = world.run(&["plan", "--destination", "vendr"]).await;
    assert!(code == Some(1) && said.contains("there is no destination `vendr`"), "{said}");
    assert!(!said.contains("sandbox\""), "no secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metric_needs_a_live_flow_that_listens() {
    let world =
        World::with("kind = \"klaviyo\"\napi_key = \"${env:TEST_SANDBOX_KEY}\"\nbase_url = \"AT/klaviyo\"").await;
    let (code, said) = world.run(&["plan"]).await;
    // The account has a metric of this name from the beginning.
    assert!(code == Some(2) && said.contains("metric Cart Abandoned: starts no flow"), "{code:?} {said}");
    let metrics = support::client().get(format!("{}/klaviyo/api/metrics", world.address));
    let metrics = metrics.header("authorization", "Klaviyo-API-Key sandbox").header("revision", "2026-07-15");
    let metrics: Value = metrics.send().await.expect("the vendor").json().await.expect("JSON");
    let of = |name: &str| {
        let all = metrics["data"].as_array().expect("a list");
        all.iter().find(|one| one["attributes"]["name"] == name).expect("a metric")["id"].clone()
    };
    let flow =
        |status: &str| json!({ "id": "F1", "name": "Win back", "status": status, "metric": of("Cart Abandoned") });
    world.sandbox.put("klaviyo", "flows", flow("draft")).expect("a flow");
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(2) && said.contains("starts no live flow: `Win back` is draft"), "{code:?} {said}");
    world.sandbox.put("klaviyo", "flows", flow("live")).expect("a flow");
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(0) && said.contains("nothing differs"), "{code:?} {said}");

    let other = CART.replace("Cart Abandoned", "Cart Left");
    std::fs::write(world.folder.path().join("triggers/cart.toml"), other).expect("a trigger");
    let (code, said) = world.run(&["plan"]).await;
    assert_eq!(code, Some(0), "the first event makes it: {said}");
    assert!(said.contains("note     metric Cart Left: is made by its first event"), "{said}");
    assert!(said.contains("unused   metric Cart Abandoned: no trigger sends it"), "{said}");
    world.fault(json!({ "vendor": "klaviyo", "path": "/api/metrics", "kind": "revoke_scope" })).await;
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(2) && said.contains("scope metrics:read: the key has it not"), "{code:?} {said}");
}

fn marketo(activity_type: u64) -> String {
    format!(
        "kind = \"marketo\"\nbase_url = \"AT/marketo\"\nclient_id = \"${{env:TEST_SANDBOX_KEY}}\"\n\
         client_secret = \"${{env:TEST_SANDBOX_KEY}}\"\nactivity_type = {activity_type}\nattributes = {{ cartValue = \"price\", isNew = \"is_new\" }}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activity_type_gets_its_attributes_and_is_approved() {
    let world = World::with(&marketo(100_001)).await;
    let (code, said) = world.run(&["plan"]).await;
    assert!(
        code == Some(2) && said.contains("activity type activation: lacks the attributes cartValue, isNew"),
        "{said}"
    );
    // Cut between the attributes and the approval: what is there is found, and approved.
    world.fault(json!({ "vendor": "marketo", "path": "/approve", "kind": "status", "status": 502 })).await;
    let (code, said) = world.run(&["apply"]).await;
    assert!(code == Some(1) && said.contains("stopped: the vendor is down"), "{code:?} {said}");
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(2) && said.contains("has a draft that is not approved"), "{code:?} {said}");
    let (code, said) = world.run(&["apply"]).await;
    assert!(code == Some(0) && said.contains("activity type activation: made"), "{code:?} {said}");
    assert_eq!(world.run(&["plan"]).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_is_not_there_is_made_and_its_number_told() {
    let world = World::with(&marketo(7)).await;
    let (code, said) = world.run(&["apply"]).await;
    assert!(code == Some(2) && said.contains("activity type 7: made"), "{code:?} {said}");
    assert!(said.contains("write `activity_type = 100002` into the configuration"), "{said}");
    world.configure(&marketo(100_002));
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(0) && said.contains("nothing differs"), "{code:?} {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_has_nothing_to_be_compared() {
    let world = World::with("kind = \"webhook\"\nurl = \"AT/webhook\"").await;
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(0) && said.contains("has nothing that could be asked for"), "{code:?} {said}");
}

/// The daemon itself compares at the time that is set, tells what differs, and makes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_compares_by_the_clock_and_only_tells() {
    let world = World::with(HUBSPOT).await;
    let key = world.folder.path().join("key");
    std::fs::write(&key, "sandbox").expect("a file");
    // A day is 12 seconds.
    let clock = FastClock::new(7_200);
    let soon = clock.now() + Span::from_hours(2);
    let soon = soon.to_string();
    let at = format!("{} {} * * *", &soon[14..16], &soon[11..13]);
    let destination =
        HUBSPOT.replace("AT", &world.address).replace("env:TEST_SANDBOX_KEY", &format!("file:{}", key.display()));
    let text = format!(
        "[store]\npath = \"store\"\n[intake]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
         [plan]\nat = \"{at}\"\n[destination.vendor]\n{destination}\n"
    );
    let file = world.folder.path().join("espalier.toml");
    std::fs::write(&file, text).expect("the configuration");
    let configured = Settings::load(&file).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    let running = Daemon::new(configured, Arc::new(clock)).begin().await.expect("a daemon");
    let told = || async { !running.watched.health().drift.is_empty() };
    support::eventually("the comparison", Duration::from_secs(30), told).await;
    let health = running.watched.health();
    assert_eq!((health.drift[0].account.as_str(), health.drift[0].to_do), ("vendor", Some(1)));
    let trouble = "account vendor is not as triggers need it: 1 missing, seen at ";
    assert!(health.troubles.iter().any(|words| words.starts_with(trouble)), "{:?}", health.troubles);
    assert_eq!(definition(&world, "pe1234567_cart_abandoned").await["category"], "OBJECT_NOT_FOUND", "nothing is made");

    // Mended, it is well the next day.
    world.configure(HUBSPOT);
    assert_eq!(world.run(&["apply"]).await.0, Some(0));
    let is_well = || async { running.watched.health().drift.iter().all(|one| one.to_do == Some(0)) };
    support::eventually("the next day", Duration::from_secs(90), is_well).await;
    assert!(!running.watched.health().troubles.iter().any(|words| words.contains("account vendor")));
    running.stop().await.expect("an orderly end");
}
