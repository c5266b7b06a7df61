use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::source::manifest::shipped;

const OURS: &str = "https://hooks.example/hooks/shop";

fn wanted(topics: &[&str]) -> BTreeSet<Wanted> {
    topics.iter().map(|topic| Wanted { topic: (*topic).to_owned(), written: topic.to_uppercase() }).collect()
}

/// `1 A ours`, `2 B other`, `3 A ours off`
fn there(lines: &[&str]) -> Vec<Subscription> {
    let one = |line: &&str| {
        let parts: Vec<&str> = line.split(' ').collect();
        let address = if parts[2] == "ours" { OURS.to_owned() } else { format!("https://{}.example/", parts[2]) };
        Subscription { id: parts[0].into(), topic: parts[1].into(), address, is_active: parts.get(3) != Some(&"off") }
    };
    lines.iter().map(one).collect()
}

fn said(steps: &[Step]) -> Vec<String> {
    let one = |step: &Step| match step {
        Step::Create(of) => format!("create {}", of.topic),
        Step::Enable(of, id) => format!("enable {} {id}", of.topic),
        Step::Remove(of, id) => format!("remove {} {id}", of.topic),
    };
    steps.iter().map(one).collect()
}

#[track_caller]
fn check(lines: &[&str], can_enable: bool, steps: &[&str]) {
    assert_eq!(said(&plan(&there(lines), &wanted(&["a", "b"]), OURS, can_enable)), steps, "{lines:?}");
}

#[test]
fn what_is_missing_is_created_and_what_is_double_removed() {
    check(&[], true, &["create a", "create b"]);
    check(&["1 A ours", "2 B ours"], true, &[]);
    check(&["1 A ours", "2 B other", "3 C ours"], true, &["create b"]);
    check(&["1 A ours", "2 B ours", "3 B ours", "4 B other"], true, &["remove b 3"]);
    check(&["1 A ours", "2 B ours", "2 B ours"], true, &[]);
}

#[test]
fn what_sends_nothing_is_put_to_work_or_made_anew() {
    check(&["1 A ours off", "2 B ours"], true, &["enable a 1"]);
    check(&["1 A ours off", "2 B ours"], false, &["remove a 1", "create a"]);
    check(&["1 A ours off", "3 A ours", "2 B ours"], true, &["remove a 1"]);
    check(&["1 A ours off", "3 A ours off", "2 B ours"], true, &["enable a 1", "remove a 3"]);
    check(&["1 A other off", "2 B ours"], true, &["create a"]);
}

#[test]
fn addresses_are_the_same_but_for_the_case_of_their_host() {
    for (other, same) in [
        ("HTTPS://Hooks.Example/hooks/shop", true),
        ("https://hooks.example/Hooks/shop", false),
        ("https://hooks.example/hooks/shop/", false),
        ("https://hooks.example/hooks/shop?x=1", false),
        ("https://hooks.example.evil/hooks/shop", false),
        ("arn:aws:events:eu::event-source/x", false),
        ("", false),
    ] {
        assert_eq!(is_same(other, OURS), same, "{other}");
    }
}

/// What is there after the steps.
fn applied(there: &[Subscription], steps: &[Step]) -> BTreeMap<String, Subscription> {
    let mut after: BTreeMap<String, Subscription> = there.iter().map(|one| (one.id.clone(), one.clone())).collect();
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Create(of) => {
                let (topic, address) = (of.written.clone(), OURS.to_owned());
                let new = Subscription { id: format!("new{n}"), topic, address, is_active: true };
                after.insert(new.id.clone(), new);
            }
            Step::Enable(_, id) => after.get_mut(id).expect("it is there").is_active = true,
            Step::Remove(_, id) => drop(after.remove(id).expect("it is there")),
        }
    }
    after
}

proptest! {
    #[test]
    fn after_the_plan_each_topic_has_one_and_others_are_as_they_were(
        rows in prop::collection::vec((0..8_u8, 0..4_u8, 0..3_u8, any::<bool>()), 0..24),
        topics in prop::collection::btree_set(0..4_u8, 0..4),
        can_enable in any::<bool>(),
    ) {
        let topic = |n: u8| format!("T{n}");
        let mut seen = BTreeSet::new();
        let there: Vec<Subscription> = rows
            .into_iter()
            // The same id is the same subscription, however often it is listed.
            .map(|(id, of, at, is_active)| (format!("{id}-{of}-{at}-{is_active}"), of, at, is_active))
            .map(|(id, of, at, is_active)| {
                let address = if at == 0 { OURS.to_owned() } else { format!("https://other{at}.example/") };
                seen.insert(id.clone());
                Subscription { id, topic: topic(of), address, is_active }
            })
            .collect();
        let wanted: BTreeSet<Wanted> = topics.iter().map(|n| Wanted { topic: format!("t{n}"), written: topic(*n) }).collect();
        let steps = plan(&there, &wanted, OURS, can_enable);
        let after = applied(&there, &steps);
        for one in &wanted {
            let ours: Vec<&Subscription> =
                after.values().filter(|row| row.address == OURS && row.topic == one.written).collect();
            prop_assert!(matches!(ours.as_slice(), [one] if one.is_active), "{ours:?}");
        }
        let is_ours = |row: &Subscription| row.address == OURS && wanted.iter().any(|one| one.written == row.topic);
        for row in there.iter().filter(|row| !is_ours(row)) {
            prop_assert_eq!(after.get(&row.id), Some(row));
        }
        let left: Vec<Subscription> = after.into_values().collect();
        prop_assert_eq!(plan(&left, &wanted, OURS, can_enable), Vec::new());
    }
}

const MANIFEST: &str = r#"
name  = "acme"
facts = "the test's own vendor"
settings = { token = { kind = "secret", help = "h" }, sign = { kind = "secrets", help = "h" } }
[api]
base_url = "https://acme.example"
auth     = { kind = "bearer", secret = "token" }
[webhook]
secrets          = "sign"
signature        = "hmac-sha256-base64"
signature_header = "S"
topic_header     = "T"
[webhook.subscriptions]
id      = "id"
topic   = "topic"
address = "url"
active  = { path = "status", is = ["active", "true"] }
by_hand = ["shop/gone"]
list    = { path = "/hooks", query = { page = "{{ page.number }}" }, paging = { kind = "page" } }
create  = { method = "post", path = "/hooks", body = { topic = "{{ topic }}", url = "{{ address }}" }, secrets = { "a.secret" = "sign" } }
enable  = { method = "put", path = "/hooks/{{ id }}", body = { status = "active" } }
remove  = { method = "delete", path = "/hooks/{{ id }}", query = { force = "true" } }
[topic."orders/create"]
emit = [{ event = "E", id = "id", at = "at", identify = { email = "email" } }]
[topic."shop/gone"]
emit = [{ kind = "erase", identify = { email = "email" } }]
[topic."shop/asks"]
acknowledge = true
[stream.orders]
path = "/orders"
emit = [{ event = "E", id = "id", at = "at", identify = { email = "email" } }]
"#;

fn managed() -> Subscriptions {
    let manifest = Manifest::read("c.toml", MANIFEST).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let written = serde_json::from_value(json!({"token": "t", "sign": ["hush", "old"]})).expect("settings");
    let given = Given::read(&manifest.settings, &written).expect("fits");
    let account = Arc::new(Account::of(&manifest, &given).expect("an account"));
    let settings = Settings { address: OURS.into(), topics: None, every: Span::HOUR };
    Subscriptions::of(&manifest, &given, account, &settings).expect("managed")
}

#[test]
fn calls_are_as_the_manifest_has_them_and_show_no_secret() {
    let managed = managed();
    let topics: Vec<&str> = managed.wanted.iter().map(|one| one.topic.as_str()).collect();
    assert_eq!(topics, ["orders/create"], "neither what is made by hand, nor what says nothing");
    let step = managed.plan(&[]).remove(0);
    let create = managed.ask(&step);
    let body: Value = serde_json::from_slice(&create.body).expect("a body");
    assert_eq!(body, json!({"topic": "orders/create", "url": OURS, "a": {"secret": "hush"}}));
    assert!(!format!("{create:?} {managed:?}").contains("hush"));
    let of = managed.wanted.first().expect("one").clone();
    let remove = managed.ask(&Step::Remove(of.clone(), "7".into()));
    assert_eq!((remove.path.as_str(), remove.body.len()), ("/hooks/7", 0));
    assert_eq!(managed.ask(&Step::Enable(of.clone(), "7".into())).path, "/hooks/7");
    let gone = Response { status: 404, ..Response::default() };
    assert_eq!(managed.judge(&Step::Remove(of, "7".into()), &gone, Timestamp::MIN), Ok(()));
    assert!(managed.judge(&step, &gone, Timestamp::MIN).is_err());
}

#[test]
fn records_are_subscriptions_or_nothing_is_known() {
    let managed = managed();
    let read = |record: Value| managed.read(&record).map(|one| one.is_active);
    assert_eq!(read(json!({"id": 1, "topic": "orders/create", "url": OURS, "status": "active"})), Ok(true));
    assert_eq!(read(json!({"id": 1, "topic": "orders/create", "status": true})), Ok(true));
    assert_eq!(read(json!({"id": 1, "topic": "orders/create", "status": "disabled"})), Ok(false));
    assert!(read(json!({"topic": "orders/create", "status": "active"})).is_err());
    assert!(read(json!({"id": 1})).is_err());
}

#[test]
fn shopify_writes_topics_its_own_way() {
    let manifest = Manifest::read("connector.toml", shipped("shopify").expect("its text")).expect("right");
    let declared = manifest.webhook.as_ref().and_then(|webhook| webhook.subscriptions.as_ref()).expect("managed");
    assert_eq!(
        declared.written.write("customers_email_marketing_consent/update"),
        "CUSTOMERS_EMAIL_MARKETING_CONSENT_UPDATE"
    );
    for topic in &declared.by_hand {
        assert!(manifest.topics.contains_key(topic), "{topic}");
    }
}
