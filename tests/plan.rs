//! `plan` and `apply` against simulated accounts: what is missing is told and made, once; what cannot be made is told; the
//! exit code says which. And the daemon's own look by the clock.

mod support;

use std::sync::Arc;
use std::time::Duration;

use espalier::cli::{Daemon, Running};
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

const HUBSPOT: &str = "kind = \"hubspot\"\ntoken = \"${env:TEST_SANDBOX_KEY}\"\nhub_id = 1234567\nbase_url = \"AT/hubspot\"\nunlimited = true";

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
    assert_eq!(world.requests("hubspot") - before, 2, "one look at the token, and one at the definitions");
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
    let revoked = json!({ "vendor": "hubspot", "path": "event-definitions", "kind": "revoke_scope" });
    world.fault(revoked).await;
    let (code, said) = world.run(&["plan"]).await;
    let words =
        "scope behavioral_events.event_definitions.read_write: the token has it not, or the account is no Enterprise";
    assert!(code == Some(2) && said.contains(words), "{code:?} {said}");
    world.fault(json!({ "vendor": "hubspot", "kind": "status", "status": 503 })).await;
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(1) && said.contains("cannot be told: the vendor is down"), "{code:?} {said}");
    let (code, said) = world.run(&["plan", "--destination", "vendr"]).await;
    assert!(code == Some(1) && said.contains("there is no destination `vendr`"), "{said}");
    assert!(!said.contains("sandbox\""), "no secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metric_needs_a_live_flow_that_listens() {
    let world = World::with(KLAVIYO).await;
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
    assert!(code == Some(0) && said.contains("vendor (klaviyo): 1 note\n"), "{code:?} {said}");
    assert!(
        said.contains("note     scopes events:write, data-privacy:write: cannot be seen without sending"),
        "{said}"
    );

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
         client_secret = \"${{env:TEST_SANDBOX_KEY}}\"\nunlimited = true\nactivity_type = {activity_type}\nattributes = {{ cartValue = \"price\", isNew = \"is_new\" }}"
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
    assert!(said.contains("write `activity_type = 100003` into the configuration"), "{said}");
    world.configure(&marketo(100_003));
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(0) && said.contains("vendor (marketo): 1 note\n"), "{code:?} {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_has_nothing_to_be_compared() {
    let world = World::with("kind = \"webhook\"\nurl = \"AT/webhook\"").await;
    let (code, said) = world.run(&["plan"]).await;
    assert!(code == Some(0) && said.contains("has nothing that could be asked for"), "{code:?} {said}");
}

const KLAVIYO: &str =
    "kind = \"klaviyo\"\napi_key = \"${env:TEST_SANDBOX_KEY}\"\nbase_url = \"AT/klaviyo\"\nunlimited = true";

/// A trigger that does so.
fn doing(activate: &str) -> String {
    CART.replace("event = \"Cart Abandoned\"", activate)
}

impl World {
    fn trigger(&self, text: &str) {
        std::fs::write(self.folder.path().join("triggers/cart.toml"), text).expect("a trigger");
    }

    fn put(&self, vendor: &str, kind: &str, record: Value) {
        self.sandbox.put(vendor, kind, record).expect("a record");
    }

    /// What `plan` says, and how it ends.
    async fn check(&self, code: i32, wanted: &[&str]) {
        let (ended, said) = self.run(&["plan"]).await;
        assert_eq!(ended, Some(code), "{said}");
        for wanted in wanted {
            assert!(said.contains(wanted), "{wanted}\nis not in\n{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_klaviyo_is_told_by_its_name_and_what_it_starts() {
    let world = World::with(KLAVIYO).await;
    world.trigger(&doing("list = \"VipX4\""));
    world.check(2, &["by hand  list VipX4: is not there", "(for cart)"]).await;
    world.put("klaviyo", "lists", json!({ "id": "VipX4", "name": "Best buyers" }));
    let scopes = "note     scopes profiles:write, lists:write, data-privacy:write: cannot be seen without sending";
    world.check(0, &["note     list VipX4: is `Best buyers`, and starts no flow", scopes]).await;
    let flow = |status: &str| json!({ "id": "F1", "name": "Thanks", "status": status, "list": "VipX4" });
    world.put("klaviyo", "flows", flow("draft"));
    world.check(2, &["list VipX4: is `Best buyers`, and starts no live flow: `Thanks` is draft"]).await;
    world.put("klaviyo", "flows", flow("live"));
    world.check(0, &["list VipX4: is `Best buyers`, and starts `Thanks`"]).await;
    world.fault(json!({ "vendor": "klaviyo", "path": "/api/profiles", "kind": "revoke_scope" })).await;
    world.check(2, &["by hand  scope profiles:read: the key has it not"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_hubspot_has_to_take_members_and_the_token_the_scopes() {
    let world = World::with(HUBSPOT).await;
    world.trigger(&doing("remove_from = \"7\""));
    world.check(2, &["by hand  list 7: is not there"]).await;
    let list = |kind: &str| json!({ "id": "7", "name": "Buyers", "processingType": kind });
    world.put("hubspot", "lists", list("DYNAMIC"));
    world.check(2, &["differs  list 7: is `Buyers`, and dynamic"]).await;
    world.put("hubspot", "lists", list("SNAPSHOT"));
    world.check(0, &["note     list 7: is `Buyers`"]).await;
    world.put("hubspot", "scopes", json!({ "has": ["crm.lists.read", "crm.objects.contacts.read"] }));
    world.check(2, &["by hand  scope crm.lists.write: the token has it not"]).await;
    let has = [
        "crm.lists.read",
        "crm.objects.contacts.read",
        "crm.lists.write",
        "behavioral_events.event_definitions.read_write",
    ];
    world.put("hubspot", "scopes", json!({ "has": has, "is_service_key": true }));
    world
        .check(0, &["note     scopes crm.objects.contacts.read, crm.lists.read, crm.lists.write: cannot be seen"])
        .await;
    world.configure(&format!("{HUBSPOT}\nversion = \"v3\""));
    world.check(0, &["note     list 7: is `Buyers`"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_has_to_be_there_active_and_for_more_than_one_time() {
    let world = World::with(&format!("{}\ncampaigns = {{ 12 = {{ url = \"cart_id\" }} }}", marketo(100_001))).await;
    world.trigger(&doing("campaign = \"12\""));
    world.check(2, &["by hand  campaign 12: is not there"]).await;
    let campaign = |active: bool, rule: &str| json!({ "id": 12, "name": "Win back", "isActive": active, "qualificationRuleType": rule, "parentProgramId": 44 });
    world.put("marketo", "campaigns", campaign(false, "any"));
    world.put("marketo", "programs", json!({ "id": 44, "tokens": ["other"] }));
    world.check(2, &["campaign 12: is `Win back`, and not active: activate it"]).await;
    world.put("marketo", "campaigns", campaign(true, "once"));
    world.check(2, &["campaign 12: is `Win back`, and runs once for a person"]).await;
    world.put("marketo", "campaigns", campaign(true, "any"));
    world.check(0, &["note     campaign 12: is `Win back`", "note     token url of campaign 12: is not among"]).await;
    world.put("marketo", "programs", json!({ "id": 44, "tokens": ["url"] }));
    world
        .check(0, &["vendor (marketo): 2 note\n", "permissions Read-Write Lead, Execute Campaign: cannot be seen"])
        .await;
    world.fault(json!({ "vendor": "marketo", "path": "/smartCampaign/", "kind": "revoke_scope" })).await;
    world.check(2, &["by hand  permission Read-Only Assets"]).await;

    world.trigger(&doing("list = \"9\""));
    world.check(2, &["by hand  list 9: is not there"]).await;
    world.put("marketo", "lists", json!({ "id": 9, "name": "Buyers" }));
    world.check(0, &["note     list 9: is `Buyers`"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_of_an_event_gets_its_attributes_and_is_made_where_it_is_none() {
    let own = |number: u64| {
        let attributes = "attributes = { price = \"price\", addedAt = \"added_at\" }";
        let types = format!("types = {{ \"Cart Abandoned\" = {{ activity_type = {number}, {attributes} }} }}");
        format!("{}\n{types}", marketo(100_001))
    };
    let world = World::with(&own(100_002)).await;
    // The generic type is not looked at: no trigger sends it.
    world
        .check(
            2,
            &[
                "vendor (marketo): 1 missing, 1 note",
                "activity type activation100002: lacks the attributes addedAt, price",
            ],
        )
        .await;
    let (code, said) = world.run(&["apply"]).await;
    assert!(code == Some(0) && said.contains("activity type activation100002: made"), "{code:?} {said}");
    world.check(0, &["vendor (marketo): 1 note\n"]).await;

    world.configure(&own(7));
    world.check(2, &["activity type 7: is not there; `espalierCartAbandoned` would be made, with 3 attributes"]).await;
    // Cut before the approval: the next run goes on from the draft.
    world.fault(json!({ "vendor": "marketo", "path": "/approve", "kind": "status", "status": 502 })).await;
    assert_eq!(world.run(&["apply"]).await.0, Some(1));
    let (code, said) = world.run(&["apply"]).await;
    assert!(code == Some(2) && said.contains("activity type espalierCartAbandoned: made"), "{code:?} {said}");
    let words = "write `types.\"Cart Abandoned\".activity_type = 100003` into the configuration";
    assert!(said.contains(words), "{said}");
    world.configure(&own(100_003));
    world.check(0, &["vendor (marketo): 1 note\n"]).await;
}

impl World {
    /// A daemon that compares at this time, by this clock.
    async fn daemon(&self, destination: &str, at: &str, clock: FastClock) -> Running {
        let key = self.folder.path().join("key");
        std::fs::write(&key, "sandbox").expect("a file");
        let secret = format!("file:{}", key.display());
        let destination = destination.replace("AT", &self.address).replace("env:TEST_SANDBOX_KEY", &secret);
        let text = format!(
            "[store]\npath = \"store\"\n[intake]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
             [plan]\nat = \"{at}\"\n[destination.vendor]\n{destination}\n"
        );
        let file = self.folder.path().join("espalier.toml");
        std::fs::write(&file, text).expect("the configuration");
        let configured = Settings::load(&file).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
        Daemon::new(configured, Arc::new(clock)).begin().await.expect("a daemon")
    }
}

/// In two hours, daily.
fn soon(clock: &FastClock) -> String {
    let soon = (clock.now() + Span::from_hours(2)).to_string();
    format!("{} {} * * *", &soon[14..16], &soon[11..13])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_tells_lists_and_campaigns_that_are_not_as_they_were() {
    let destination = marketo(100_001);
    let world = World::with(&destination).await;
    let both = doing("list = \"1044\"") + "[[activate]]\ndestination = \"vendor\"\ncampaign = \"3712\"\n";
    world.trigger(&both);
    // A day is 12 seconds.
    let clock = FastClock::new(7_200);
    let at = soon(&clock);
    let running = world.daemon(&destination, &at, clock).await;
    let told = |to_do: usize| {
        let running = &running;
        move || async move { running.watched.health().drift.iter().any(|one| one.to_do == Some(to_do)) }
    };
    support::eventually("the first look", Duration::from_secs(30), told(0)).await;
    world.put("marketo", "campaigns", json!({ "id": 3712, "name": "Win back", "isActive": false }));
    support::eventually("the next day", Duration::from_secs(60), told(1)).await;
    let health = running.watched.health();
    let trouble = "account vendor is not as triggers need it: 1 by hand";
    assert!(health.troubles.iter().any(|one| one.to_string().starts_with(trouble)), "{:?}", health.troubles);
    running.stop().await.expect("an orderly end");
}

/// What is asked of Klaviyo keeps within the windows of each endpoint: flows are shown 60 times in a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_many_flows_keeps_within_the_windows() {
    let limited = KLAVIYO.replace("\nunlimited = true", "");
    for (destination, is_throttled) in [(limited.as_str(), false), (KLAVIYO, true)] {
        // A minute is a second.
        let clock = FastClock::new(60);
        let mut world = World::with(destination).await;
        let (sandbox, at) = support::vendors_at(Arc::new(clock), Options::default()).await;
        (world.sandbox, world.address) = (sandbox, format!("http://{at}"));
        let mut trigger = CART.split("[[activate]]").next().expect("a head").to_owned();
        for list in 0..20 {
            trigger += &format!("[[activate]]\ndestination = \"vendor\"\nlist = \"L{list}\"\n");
            world.put("klaviyo", "lists", json!({ "id": format!("L{list}") }));
            for flow in 0..5 {
                let id = format!("F{list}x{flow}");
                let flow = json!({ "id": id, "name": "Draft", "status": "draft", "list": format!("L{list}") });
                world.put("klaviyo", "flows", flow);
            }
        }
        world.trigger(&trigger);
        let running = world.daemon(destination, "* * * * *", clock).await;
        let told = || async { !running.watched.health().drift.is_empty() };
        support::eventually("the comparison", Duration::from_secs(60), told).await;
        let drift = running.watched.health().drift.remove(0);
        assert_eq!((drift.to_do, drift.words.as_str()), (Some(20), "20 by hand, 1 unused, 1 note"));
        assert_eq!(world.sandbox.counts("klaviyo").throttled > 0, is_throttled);
        running.stop().await.expect("an orderly end");
    }
}

/// The daemon itself compares at the time that is set, tells what differs, and makes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_compares_by_the_clock_and_only_tells() {
    let world = World::with(HUBSPOT).await;
    // A day is 12 seconds.
    let clock = FastClock::new(7_200);
    let at = soon(&clock);
    let running = world.daemon(HUBSPOT, &at, clock).await;
    let told = || async { !running.watched.health().drift.is_empty() };
    support::eventually("the comparison", Duration::from_secs(30), told).await;
    let health = running.watched.health();
    assert_eq!((health.drift[0].account.as_str(), health.drift[0].to_do), ("vendor", Some(1)));
    let trouble = "account vendor is not as triggers need it: 1 missing, seen at ";
    assert!(health.troubles.iter().any(|one| one.to_string().starts_with(trouble)), "{:?}", health.troubles);
    assert_eq!(definition(&world, "pe1234567_cart_abandoned").await["category"], "OBJECT_NOT_FOUND", "nothing is made");

    // Mended, it is well the next day.
    world.configure(HUBSPOT);
    assert_eq!(world.run(&["apply"]).await.0, Some(0));
    let is_well = || async { running.watched.health().drift.iter().all(|one| one.to_do == Some(0)) };
    support::eventually("the next day", Duration::from_secs(90), is_well).await;
    assert!(!running.watched.health().troubles.iter().any(|one| one.of == "account vendor"));
    running.stop().await.expect("an orderly end");
}
