//! What destinations are told without a trigger: consent that changes, and who is to be forgotten.

mod support;

use espalier::clock::Clock;
use espalier::model::{Identifier, IdentifierKind, Span};
use espalier::ops::identity::{Told, Word, tell};
use espalier::ops::{answered, demands, receipts};
use espalier::store::settings::Kind;
use serde_json::{Value, json};
use support::client;
use support::shop::{signature, track};
use support::world::World;

crate::on_both!(
    a_yes_and_a_no_reach_the_vendor_in_their_order,
    who_is_forgotten_is_forgotten_at_the_vendor_with_a_receipt,
    what_a_shops_customers_demand_is_listed_and_done,
);

/// Klaviyo, with consent.
fn destinations(vendors: &str) -> String {
    format!(
        "[destination.esp]\nkind = \"klaviyo\"\napi_key = \"${{file:SECRET}}\"\nbase_url = \"{vendors}/klaviyo\"\n\
         consent = {{ list = \"UwQxX4\", channels = [\"email\", \"sms\"] }}\n"
    )
}

/// Somebody does this now.
fn did(world: &World, id: &str, user: &str, event: &str, properties: Value) -> Value {
    let mut one = track(id, event, properties);
    one["timestamp"] = json!(world.clock.now().to_string());
    one["userId"] = json!(user);
    let phone = (user == "ines").then_some("+351912345678");
    one["context"] = json!({ "traits": { "email": format!("{user}@shop.example"), "phone": phone } });
    one
}

/// What the vendor was told, of whom.
fn told(world: &World) -> Vec<String> {
    let effects = world.sandbox.effects("klaviyo");
    effects.into_iter().map(|effect| format!("{}: {}", effect.event, effect.person)).collect()
}

async fn a_yes_and_a_no_reach_the_vendor_in_their_order(kind: Kind) {
    let world = World::on(kind, &[], destinations).await;
    world.tells(vec![did(&world, "1", "ines", "Subscribed", json!({}))]).await;
    world.until("the yes", Span::from_secs(1), |w| told(w) == ["subscribe email: ines@shop.example"]).await;
    // While the vendor is away they wait, and neither overtakes the other.
    world.fault(json!({ "vendor": "klaviyo", "kind": "status", "status": 503, "times": 1_000_000 })).await;
    let batch = vec![
        did(&world, "2", "ines", "Unsubscribed", json!({})),
        did(&world, "3", "ines", "Subscribed", json!({ "channel": "sms" })),
    ];
    world.tells(batch).await;
    world.tells(vec![did(&world, "4", "ines", "Spam Complaint", json!({}))]).await;
    world.turn(Span::from_hours(2), Span::from_minutes(1)).await;
    world.heal().await;
    world.until("all of it", Span::from_secs(10), |w| w.is_through("esp")).await;
    assert_eq!(
        told(&world)[1..],
        ["unsubscribe email: ines@shop.example", "subscribe sms: +351912345678", "suppress: ines@shop.example",]
    );
    world.daemon.stop().await.expect("an end");
}

async fn who_is_forgotten_is_forgotten_at_the_vendor_with_a_receipt(kind: Kind) {
    let trigger = "name = \"form\"\nwhen = { did = \"Form Submitted\" }\n\
                   activate = [{ destination = \"esp\", event = \"Form\" }]\n";
    let world = World::on(kind, &[("form", trigger.to_owned())], destinations).await;
    world.fault(json!({ "vendor": "klaviyo", "kind": "status", "status": 503, "times": 1_000_000 })).await;
    world.tells(vec![did(&world, "1", "ines", "Form Submitted", json!({}))]).await;
    world.tells(vec![did(&world, "2", "rui", "Form Submitted", json!({}))]).await;
    assert_eq!(world.queued("esp"), 2);

    let store = &*world.daemon.watched.store;
    let names = ["user_id:ines".to_owned()];
    let settings = espalier::identity::Settings::default();
    tell(store, &Told::of(Word::Erase, &names), &settings, world.clock.now()).await.expect("written down");
    world.decided().await;
    // What waited for her is gone; the demand waits for what is on its way.
    assert_eq!(world.queued("esp"), 2);
    let [receipt] = &*receipts(store).await.expect("receipts") else { panic!("one receipt") };
    assert_eq!((receipt.names, receipt.events, &*receipt.source), (3, 1, "by hand"));
    assert!(!receipt.destinations[0].is_done && receipt.destinations[0].words.starts_with("waits"), "{receipt:?}");

    world.heal().await;
    world.until("his", Span::from_secs(10), |w| told(w) == ["Form: rui@shop.example"]).await;
    world.turn(Span::from_minutes(40), Span::from_minutes(1)).await;
    assert_eq!(told(&world).len(), 1, "not before its time");
    world.until("hers", Span::from_secs(20), |w| w.is_through("esp") && told(w).len() == 3).await;
    assert_eq!(told(&world)[1..], ["erase: ines@shop.example", "erase: +351912345678"]);
    let [receipt] = &*receipts(store).await.expect("receipts") else { panic!("one receipt") };
    assert!(receipt.destinations[0].is_done, "{receipt:?}");

    // Who was never here may be known there.
    let stranger = Told { is_anybody: true, ..Told::of(Word::Erase, &["email:old@shop.example".to_owned()]) };
    tell(store, &stranger, &settings, world.clock.now()).await.expect("written down");
    world.decided().await;
    world.turn(Span::from_minutes(61), Span::from_minutes(1)).await;
    world.until("the stranger's", Span::from_secs(1), |w| told(w).len() == 4).await;
    assert_eq!(told(&world)[3], "erase: old@shop.example");
    let ines = Identifier::new(IdentifierKind::Email, "ines@shop.example");
    assert_eq!(store.find(&ines).await.expect("a read"), None);
    world.daemon.stop().await.expect("an end");
}

/// A webhook of the shop's, in its own words.
async fn hook(world: &World, topic: &str, id: &str) {
    let file = format!("connectors/shopify/fixtures/{}.json", topic.replace('/', "_"));
    let body = std::fs::read_to_string(file).expect("a fixture");
    let answer = client()
        .post(format!("http://{}/hooks/shop", world.daemon.intake))
        .header("x-shopify-topic", topic)
        .header("x-shopify-shop-domain", "acme.myshopify.com")
        .header("x-shopify-webhook-id", id)
        .header("x-shopify-hmac-sha256", signature("sandbox", &body))
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success(), "{topic}: {}", answer.status());
    world.decided().await;
}

async fn what_a_shops_customers_demand_is_listed_and_done(kind: Kind) {
    let world = World::on(kind, &[], |vendors| {
        let shop = "[source.shop]\nkind = \"connector\"\nconnector = \"shopify\"\n\
                    settings = { shop = \"acme.myshopify.com\", secrets = [\"${file:SECRET}\"] }\n";
        format!("{shop}{}", destinations(vendors))
    })
    .await;
    let store = &*world.daemon.watched.store;
    let mut john = did(&world, "1", "john", "Form Submitted", json!({}));
    john["context"] = json!({ "traits": { "email": "john@example.com" } });
    world.tells(vec![john]).await;

    hook(&world, "customers/data_request", "w1").await;
    let [demand] = &*demands(store).await.expect("demands") else { panic!("one demand") };
    assert_eq!((&*demand.source, demand.due), ("shop", world.clock.now() + Span::from_days(30)));
    let is_told =
        || world.daemon.watched.health().troubles.iter().any(|one| one.to_string().contains("espalier person demands"));
    assert!(is_told());
    // Its id leads to what is kept, and to nothing personal by itself.
    let names = espalier::identity::Settings::default();
    let person = demand.person.as_deref().expect("somebody who is known");
    let export = espalier::ops::identity::export(store, &names, person, world.clock.now()).await.expect("a read");
    assert!(export.expect("an export").to_string().contains("john@example.com"));
    assert!(answered(store, &demand.id, world.clock.now()).await.expect("an answer") && !is_told());

    hook(&world, "customers/redact", "w2").await;
    let [receipt] = &*receipts(store).await.expect("receipts") else { panic!("one receipt") };
    assert_eq!((&*receipt.source, receipt.events), ("shop", 1));
    world.turn(Span::from_minutes(61), Span::from_minutes(1)).await;
    world.until("his", Span::from_secs(1), |w| told(w).contains(&"erase: john@example.com".to_owned())).await;
    world.daemon.stop().await.expect("an end");
}
