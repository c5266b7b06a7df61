//! CRMs and e-mail platforms read back whole: records are put into the simulated vendor, the pull room reads its lists, the
//! engine decides. Whatever was put in is somebody's history exactly once, and no call was one too many. In virtual time.

#![expect(clippy::disallowed_methods, reason = "the simulated vendors answer over sockets, in the machine's time")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use espalier::clock::{Clock, VirtualClock};
use espalier::engine::{self, Engine};
use espalier::identity;
use espalier::manifest::setting::{Given, Written};
use espalier::model::setting::Size;
use espalier::model::{IdentifierKind, Person, Span, Timestamp};
use espalier::pull::{Doing, Source, Watching};
use espalier::quota::Accounts;
use espalier::rules::{self, Program};
use espalier::sandbox::made_up::engagement;
use espalier::sandbox::{Options, Sandbox};
use espalier::source::manifest::{Connected, Manifest, shipped};
use espalier::source::stream::settings::Settings;
use espalier::store::embedded::Embedded;
use espalier::store::{Store, settings};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const START: Timestamp = Timestamp::from_millis(1_795_435_200_000);

/// One vendor, the lists of it that are pulled, and what is made of them.
struct World {
    vendor: &'static str,
    sandbox: Sandbox,
    address: SocketAddr,
    clock: VirtualClock,
    store: Embedded,
    engine: Engine,
    lists: Vec<Watching>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

fn opened(folder: &Path) -> Embedded {
    let settings =
        settings::Settings { path: folder.to_owned(), cache: Size(16 << 20), ..settings::Settings::default() };
    Embedded::open(&settings, START).expect("a store")
}

impl World {
    async fn new(vendor: &'static str) -> Self {
        let clock = VirtualClock::new(START);
        let (sandbox, address) = support::vendors_at(Arc::new(clock.clone()), Options::default()).await;
        let folder = tempfile::tempdir().expect("a folder");
        let store = opened(folder.path());
        let program = Program::compile(&[], &rules::Settings::default(), None).expect("no triggers");
        let engine = Engine::new(
            Arc::new(store.clone()),
            Arc::new(clock.clone()),
            Arc::new(ArcSwap::from_pointee(program)),
            engine::Settings::default(),
            identity::Settings::default(),
        );
        let (lists, stop, task) = (Vec::new(), CancellationToken::new(), None);
        Self { vendor, sandbox, address, clock, store, engine, lists, stop, task, _folder: folder }
    }

    /// Begins to pull what the connector has with these settings.
    async fn pull(&mut self, settings: Value) {
        let text = shipped(self.vendor).expect("a shipped connector");
        let manifest = Manifest::read("connector.toml", text).expect("a manifest");
        let written: Written = serde_json::from_value(settings).expect("settings");
        let given = Given::read(&manifest.settings, &written).expect("settings that fit");
        let source = Source::new(
            "crm",
            &Connected { manifest, given },
            &Settings::default(),
            &identity::Settings::default(),
            Arc::new(self.store.clone()),
            &Accounts::new(None, Arc::new(self.clock.clone())),
        );
        let source = source.expect("a source");
        self.lists = source.watching();
        assert!(!self.lists.is_empty(), "it is let in");
        self.stop = CancellationToken::new();
        self.task = Some(tokio::spawn(source.run(self.stop.clone())));
        // The first time the clock is turned when each list has begun with its past.
        if self.now() != START {
            return;
        }
        let has_begun = |list: &Watching| {
            let state = list.state.borrow();
            state.doing != Doing::Starting && (state.past.is_some() || state.pages > 0)
        };
        for _ in 0..5_000 {
            if self.lists.iter().all(has_begun) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("they do not begin: {}", self.states());
    }

    /// Stops pulling, as a restart does.
    async fn halt(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.expect("an end");
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Turns the clock by so much.
    async fn turn(&self, span: Span) {
        self.clock.set(self.now() + span);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    /// Turns the clock until all lists have read what there is now.
    async fn read(&self) {
        let now = self.now();
        for _ in 0..20_000 {
            let behind = self.lists.iter().find(|list| {
                let state = list.state.borrow();
                assert!(!state.needs_a_person, "{}: {:?}", list.stream, state.held);
                state.read <= now || state.past.is_some()
            });
            if behind.is_none() {
                return;
            }
            self.turn(Span::from_secs(2)).await;
        }
        panic!("it is never read to its end: {}", self.states());
    }

    fn states(&self) -> String {
        let said = |list: &Watching| format!("{} {:?}", list.stream, *list.state.borrow());
        self.lists.iter().map(said).collect::<Vec<_>>().join("\n")
    }

    fn put(&self, kind: &str, record: Value) -> String {
        self.sandbox.put(self.vendor, kind, record).expect("a record")
    }

    fn change(&self, kind: &str, id: &str, patch: Value) {
        self.sandbox.change(self.vendor, kind, id, patch).expect("a change");
    }

    /// So many made-up records, one each second up to now.
    fn fill(&self, kind: &str, count: u64) -> Vec<String> {
        let from = self.now() - Span::from_secs(count as i64);
        self.sandbox.fill(self.vendor, kind, count, from, Span::from_secs(1)).expect("records")
    }

    fn fault(&self, fault: Value) {
        let mut fault = fault;
        fault["vendor"] = self.vendor.into();
        self.sandbox.fault(fault).expect("a fault");
    }

    /// Everybody.
    async fn people(&self) -> Vec<Person> {
        self.engine.drain().await.expect("a whole store");
        self.store.people(None, usize::MAX).await.expect("everybody")
    }

    /// Whoever has this address.
    async fn person(&self, email: &str) -> Person {
        let is_it = |person: &Person| {
            person.identifiers.iter().any(|one| one.kind == IdentifierKind::Email && &*one.value == email)
        };
        let mut found: Vec<Person> = self.people().await.into_iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{email}");
        found.remove(0)
    }

    /// What they all did: event and address, each with how often.
    async fn done(&self) -> BTreeMap<(String, String), usize> {
        let mut done = BTreeMap::new();
        for person in self.people().await {
            let email = person.identifiers.iter().find(|one| one.kind == IdentifierKind::Email);
            let email = email.map_or_else(|| "nobody".to_owned(), |one| one.value.to_string());
            for entry in person.history.entries() {
                *done.entry((entry.name.to_string(), email.clone())).or_default() += 1;
            }
        }
        done
    }

    /// How often what happened.
    async fn sums(&self) -> BTreeMap<String, usize> {
        let mut sums = BTreeMap::new();
        for ((name, _), count) in self.done().await {
            *sums.entry(name).or_default() += count;
        }
        sums
    }

    /// No call was one too many, nothing was set aside, and all that should go wrong did.
    async fn is_clean(&self) {
        assert_eq!(self.sandbox.counts(self.vendor).throttled, 0);
        let aside = self.store.set_aside_list(10).await.expect("a list");
        assert_eq!(aside.iter().map(|one| &*one.reason).collect::<Vec<_>>(), Vec::<&str>::new());
        let waiting = self.sandbox.fault(json!({ "vendor": self.vendor, "kind": "close", "times": 0 }));
        assert_eq!(waiting, Ok(0), "faults that did not come up");
    }
}

/// Properties of what somebody did last under this name.
fn last(person: &Person, name: &str) -> Value {
    let entry = person.history.entries().iter().rfind(|entry| &*entry.name == name);
    entry.unwrap_or_else(|| panic!("no {name}")).properties.to_value()
}

fn sums(wanted: &[(&str, usize)]) -> BTreeMap<String, usize> {
    wanted.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn email(n: u64) -> String {
    format!("person{n}@example.com")
}

/// Everybody of these did it once, and nobody else.
#[track_caller]
fn once_each(done: &BTreeMap<(String, String), usize>, name: &str, people: impl Iterator<Item = u64>) {
    let did: BTreeMap<&str, usize> =
        done.iter().filter(|((did, _), _)| did == name).map(|((_, who), n)| (who.as_str(), *n)).collect();
    let wanted: BTreeSet<String> = people.map(email).collect();
    let missing: Vec<&String> = wanted.iter().filter(|who| !did.contains_key(who.as_str())).take(5).collect();
    let wrong: Vec<_> = did.iter().filter(|(who, n)| **n != 1 || !wanted.contains(**who)).take(5).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{name}: {missing:?} are missing of {}, {wrong:?} are too many",
        did.len()
    );
}

// === Klaviyo ===

fn klaviyo_event(metric: &str, profile: u64, properties: Value) -> Value {
    let (metric, profile) = (engagement::klaviyo_metric(metric), engagement::klaviyo_profile_id(profile));
    json!({ "metric": metric, "profile": profile, "event_properties": properties })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn klaviyo_tells_what_people_did_with_mail() {
    let mut world = World::new("klaviyo").await;
    world.fill("events", 1_300);
    world.pull(json!({ "api_key": "sandbox", "base_url": format!("http://{}/klaviyo", world.address) })).await;
    world.fault(json!({ "kind": "status", "status": 503, "path": "/api/events", "skip": 1 }));
    world.fault(json!({ "kind": "repeat_page", "path": "/api/events", "skip": 2 }));
    world.read().await;
    once_each(&world.done().await, "Email Link Clicked", 1..=1_300);

    for (metric, properties) in [
        ("Received Email", json!({ "$message": "01M", "Subject": "Hello" })),
        ("Opened Email", json!({ "$message": "01M", "machine_open": true })),
        ("Bounced Email", json!({ "Bounce Type": "Hard" })),
        ("Marked Email as Spam", json!({})),
        ("Unsubscribed from Email Marketing", json!({})),
        ("Dropped Email", json!({})),
        ("Cart Abandoned", json!({})),
    ] {
        world.put("events", klaviyo_event(metric, 7, properties));
    }
    let mut late = klaviyo_event("Opened Email", 8, json!({}));
    late["datetime"] = json!((world.now() - Span::from_minutes(1)).to_string());
    world.sandbox.put_late("klaviyo", "events", late, world.now() + Span::from_minutes(50)).expect("an event");
    let marketing = json!({ "consent": "UNSUBSCRIBED", "consent_timestamp": world.now().to_string() });
    let left = json!({ "subscriptions": { "email": { "marketing": marketing } } });
    world.change("profiles", &engagement::klaviyo_profile_id(9), left);
    world.turn(Span::from_secs(1)).await;
    world.read().await;
    world.halt().await;
    world.pull(json!({ "api_key": "sandbox", "base_url": format!("http://{}/klaviyo", world.address) })).await;
    for _ in 0..6 {
        world.turn(Span::from_minutes(10)).await;
    }
    world.read().await;

    let wanted = [
        ("Email Bounced", 1),
        ("Email Delivered", 1),
        ("Email Dropped", 1),
        ("Email Link Clicked", 1_300),
        ("Email Marked as Spam", 1),
        ("Email Opened", 2),
        ("Unsubscribed", 1),
    ];
    assert_eq!(world.sums().await, sums(&wanted));
    let seven = world.person(&email(7)).await;
    assert_eq!(last(&seven, "Email Opened"), json!({ "message_id": "01M", "is_machine": true }));
    assert_eq!(last(&seven, "Email Delivered"), json!({ "message_id": "01M", "subject": "Hello" }));
    let traits = world.person(&email(9)).await.traits;
    assert_eq!(traits.get("email_consent").map(|one| one.value.clone()), Some(json!("unsubscribed")));
    world.is_clean().await;
    world.halt().await;
}

// === Marketo ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marketo_tells_what_leads_did_with_mail() {
    let mut world = World::new("marketo").await;
    world.fill("leads", 400);
    world.fill("activities", 400);
    // Of so many page visits pages come empty, and go on.
    for _ in 0..1_500 {
        world.put("activities", json!({ "leadId": 1_001, "activityTypeId": 1 }));
    }
    world.put("activities", json!({ "leadId": 1_002, "activityTypeId": 7, "primaryAttributeValueId": 72 }));
    let settings = json!({
        "base_url": format!("http://{}/marketo", world.address), "client_id": "sandbox", "client_secret": "sandbox",
    });
    world.pull(settings.clone()).await;
    // In the middle of the list: a token that is revoked, and an instance that is busy.
    world.fault(json!({ "kind": "revoke_token", "path": "/activities.json", "skip": 3 }));
    world.fault(json!({ "kind": "code", "code": "713", "path": "/activities.json", "skip": 1 }));
    world.read().await;
    once_each(&world.done().await, "Email Link Clicked", 1..=400);

    // A paging token that the vendor does not know any more, and access tokens at the end of their life.
    world.fault(json!({ "kind": "code", "code": "1003", "path": "/activities.json" }));
    for hour in 0..3 {
        world.put("activities", json!({ "leadId": 1_003 + hour, "activityTypeId": 9 }));
        let late = json!({ "leadId": 1_003 + hour, "activityTypeId": 8, "activityDate": (world.now() - Span::from_minutes(50)).to_string() });
        world
            .sandbox
            .put_late("marketo", "activities", late, world.now() + Span::from_minutes(5))
            .expect("an activity");
        world.fault(json!({ "kind": "code", "code": "602", "path": "/leads.json" }));
        world.turn(Span::from_hours(1)).await;
        world.read().await;
        world.halt().await;
        world.pull(settings.clone()).await;
    }
    world.read().await;
    let wanted = [("Email Bounced", 3), ("Email Delivered", 1), ("Email Link Clicked", 400), ("Unsubscribed", 3)];
    assert_eq!(world.sums().await, sums(&wanted));
    let clicked = last(&world.person(&email(5)).await, "Email Link Clicked");
    let wanted = json!({
        "message_id": "71", "message_name": "Autumn mail", "campaign_id": "5", "link": "https://shop.example/spring",
    });
    assert_eq!(clicked, wanted);
    assert_eq!(last(&world.person(&email(4)).await, "Email Bounced")["bounce_type"], "hard");
    world.is_clean().await;
    world.halt().await;
}

// === HubSpot ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hubspot_tells_of_contacts_their_deals_orders_and_mail() {
    let mut world = World::new("hubspot").await;
    world.fill("contacts", 430);
    let deals = world.fill("deals", 230);
    let orders = world.fill("orders", 120);
    world.fill("email_events", 1_050);
    world.put("deals", json!({ "properties": { "dealname": "of nobody", "dealstage": "new" } }));
    let settings = json!({ "token": "sandbox", "base_url": format!("http://{}/hubspot", world.address) });
    world.pull(settings.clone()).await;
    world.fault(json!({ "kind": "status", "status": 502, "path": "/deals/search", "skip": 1 }));
    world.fault(json!({ "kind": "html", "status": 200, "path": "/associations", "skip": 1 }));
    world.fault(json!({ "kind": "truncated", "path": "/email/public/v1/events", "skip": 1 }));
    world.read().await;
    let done = world.done().await;
    once_each(&done, "Contact Created", 1..=430);
    once_each(&done, "Deal Created", 1..=230);
    once_each(&done, "Deal Stage Changed", 1..=230);
    once_each(&done, "Order Completed", 1..=120);
    once_each(&done, "Email Link Clicked", 1..=1_050);

    // A touch is no change; a stage is one, and each stage once.
    world.change("deals", &deals[0], json!({ "properties": { "amount": "1.00" } }));
    world.change("deals", &deals[1], json!({ "properties": { "dealstage": "qualifiedtobuy" } }));
    let won = json!({ "properties": { "dealstage": "closedwon", "hs_is_closed_won": "true" } });
    world.change("deals", &deals[2], won);
    world.change("orders", &orders[3], json!({ "properties": { "hs_fulfillment_status": "fulfilled" } }));
    world.change(
        "contacts",
        "55",
        json!({ "properties": { "hs_email_optout": "true", "lifecyclestage": "customer" } }),
    );
    let mut late = engagement::hubspot_contact(700, world.now().as_millis());
    late["properties"]["createdate"] = json!(world.now().to_string());
    world.sandbox.put_late("hubspot", "contacts", late, world.now() + Span::from_minutes(4)).expect("a contact");
    for _ in 0..4 {
        world.turn(Span::from_minutes(3)).await;
        world.read().await;
        world.halt().await;
        world.pull(settings.clone()).await;
    }
    world.change("deals", &deals[2], json!({ "properties": { "dealname": "Renamed" } }));
    world.read().await;
    let wanted = [
        ("Contact Created", 431),
        ("Deal Created", 230),
        ("Deal Stage Changed", 232),
        ("Deal Won", 1),
        ("Email Link Clicked", 1_050),
        ("Order Completed", 120),
        ("Order Updated", 1),
    ];
    assert_eq!(world.sums().await, sums(&wanted));
    assert_eq!(last(&world.person(&email(2)).await, "Deal Stage Changed")["stage"], "qualifiedtobuy");
    assert_eq!(last(&world.person(&email(4)).await, "Order Updated")["fulfillment_status"], "fulfilled");
    let traits = world.person(&email(5)).await.traits;
    let said = ["email_consent", "lifecycle_stage"].map(|name| traits.get(name).map(|one| one.value.clone()));
    assert_eq!(said, [Some(json!("unsubscribed")), Some(json!("customer"))]);
    world.is_clean().await;
    world.halt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hubspot_lists_more_than_one_search_does() {
    let mut world = World::new("hubspot").await;
    // An import: all within five minutes, which the overlap is longer than.
    let from = world.now() - Span::from_minutes(6);
    world.sandbox.fill("hubspot", "contacts", 10_400, from, Span::from_millis(20)).expect("contacts");
    world.pull(json!({ "token": "sandbox", "base_url": format!("http://{}/hubspot", world.address) })).await;
    world.read().await;
    once_each(&world.done().await, "Contact Created", 1..=10_400);
    world.is_clean().await;
    world.halt().await;
}

// === Salesforce ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn salesforce_tells_of_contacts_leads_deals_and_orders() {
    let mut world = World::new("salesforce").await;
    let contacts = world.fill("Contact", 2_150);
    let leads = world.fill("Lead", 40);
    world.fill("Product2", 90);
    let deals = world.fill("Opportunity", 120);
    world.fill("OpportunityHistory", 120);
    let orders = world.fill("Order", 90);
    world.fill("OrderItem", 90);
    world.put("Opportunity", json!({ "Name": "of nobody", "StageName": "New", "ContactId": null }));
    // My Domain: next pages are named from its root.
    let settings = json!({
        "domain": format!("http://{}", world.address), "client_id": "sandbox", "client_secret": "sandbox",
    });
    world.pull(settings.clone()).await;
    world.fault(json!({ "kind": "revoke_token", "path": "/query/" }));
    world.fault(json!({ "kind": "cursor_loop", "path": "/query/" }));
    world.fault(json!({ "kind": "status", "status": 420, "path": "/queryAll", "skip": 3 }));
    world.read().await;
    let done = world.done().await;
    once_each(&done, "Contact Created", 1..=2_150);
    once_each(&done, "Lead Created", 1..=40);
    once_each(&done, "Deal Created", 1..=120);
    once_each(&done, "Deal Stage Changed", 1..=120);
    once_each(&done, "Order Completed", 1..=90);

    let step = |stage: &str| json!({ "OpportunityId": deals[4], "StageName": stage, "IsDeleted": false });
    world.change("Opportunity", &deals[4], json!({ "StageName": "Closed Won", "IsClosed": true, "IsWon": true }));
    world.put("OpportunityHistory", step("Negotiation"));
    world.put("OpportunityHistory", step("Closed Won"));
    world.change("Order", &orders[5], json!({ "Status": "Cancelled" }));
    world.change("Contact", &contacts[2], json!({ "IsDeleted": true, "MasterRecordId": contacts[1] }));
    world.change("Contact", &contacts[8], json!({ "HasOptedOutOfEmail": true, "MailingCity": "Braga" }));
    let converted = json!({ "IsConverted": true, "ConvertedDate": "2026-11-23", "ConvertedContactId": contacts[9] });
    world.change("Lead", &leads[9], converted);
    // At night another integration stamps everything.
    for id in &contacts[100..400] {
        world.change("Contact", id, json!({ "LastModifiedDate": null }));
    }
    for _ in 0..3 {
        // Longer than a session lives, and than a token is kept; and the new one dies under all lists at once.
        world.fault(json!({ "kind": "revoke_token", "path": "/queryAll", "skip": 2 }));
        world.turn(Span::from_hours(3)).await;
        world.read().await;
        world.halt().await;
        world.pull(settings.clone()).await;
    }
    world.read().await;
    let wanted = [
        ("Contact Created", 2_150),
        ("Deal Created", 120),
        ("Deal Stage Changed", 122),
        ("Deal Won", 1),
        ("Lead Converted", 1),
        ("Lead Created", 40),
        ("Order Cancelled", 1),
        ("Order Completed", 90),
    ];
    assert_eq!(world.sums().await, sums(&wanted));
    let five = world.person(&email(5)).await;
    assert_eq!(last(&five, "Deal Won")["stage"], "Closed Won");
    let bought = last(&five, "Order Completed");
    assert_eq!((&bought["products"][0]["sku"], &bought["currency"]), (&json!("SKU-5"), &Value::Null));
    assert_eq!(world.person(&email(3)).await.id, world.person(&email(2)).await.id);
    let traits = world.person(&email(9)).await.traits;
    let said = ["email_consent", "city"].map(|name| traits.get(name).map(|one| one.value.clone()));
    assert_eq!(said, [Some(json!("unsubscribed")), Some(json!("Braga"))]);
    world.is_clean().await;
    world.halt().await;
}
