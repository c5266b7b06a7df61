//! Trigger files and people in, payloads out. `check` is the only place that renders.

mod anything;
mod cart;
mod codes;
mod for_sale;
mod mistakes;
mod recommend;
mod said;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Fire, Rendered, Shelf, occasion, payload};
use crate::model::{
    Catalogue, CatalogueItem, Codes, Entry, Identifier, Origin, Person, PersonId, Position, RawJson, Sales, Span,
    Timestamp, Trait,
};
use crate::rules::Program;
use crate::rules::tests::{HEAD, compile};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Somebody who did these, a minute apart from [`START`] on: (name, properties).
fn ines(events: &[(&str, Value)]) -> Person {
    let mut person = Person::new(PersonId([1; 16]), Position(1), START);
    person.identifiers = ["email:ines@example.com", "user_id:u1"].into_iter().filter_map(Identifier::parse).collect();
    person.traits.insert("first_name".into(), Trait { at: START, value: "Ines".into() });
    person.traits.insert("plan".into(), Trait { at: START, value: json!({"name": "gold", "since": null}) });
    for (n, (name, properties)) in events.iter().enumerate() {
        let at = START + Span::from_minutes(n as i64);
        let properties = RawJson::from_value(properties);
        person.history.push(Entry::new(at, Position(n as u64 + 1), (*name).into(), Origin::Tracking, None, properties));
    }
    person
}

/// What the trigger says for the key, an hour later.
fn rendered(program: &Program, person: &Person, key: &str) -> Rendered {
    let trigger = &program.triggers()[0];
    let at = START + Span::from_hours(1);
    let shelf = Shelf { catalogue: &catalogue(), sales: &Sales::default(), codes: &Codes::made_up() };
    payload(&Fire {
        program,
        trigger,
        person,
        key,
        at,
        occasion: occasion(trigger, person.canonical(), key, at),
        shelf,
    })
}

const PER_CART: &str = "per = \"cart_id\"\nwhen = { last = \"Product Added\", over = \"30m\" }\n";

/// Two carts at once, and a purchase before.
fn carts() -> Person {
    let lamp = |quantity| {
        json!({"cart_id": "c1", "product_id": "p1", "name": "Lamp", "price": "39.95", "currency": "EUR",
        "quantity": quantity, "url": "https://shop.example/p1", "image": "https://shop.example/p1.jpg",
        "cart_url": "https://shop.example/cart/c1"})
    };
    ines(&[
        (
            "Order Completed",
            json!({"order_id": "o1", "total": 20.5, "currency": "EUR", "products": [
            {"product_id": "p9", "name": "Bulb", "price": 10, "quantity": 2}]}),
        ),
        ("Product Added", lamp(json!(2))),
        (
            "Product Added",
            json!({"cart_id": "c2", "product_id": "p2", "name": "Oar", "price": 0.1, "quantity": 3,
            "recovery_url": "https://shop.example/cart/c2"}),
        ),
        ("Product Added", lamp(json!(null))),
        ("Product Added", json!({"cart_id": "c1", "product_id": "p3", "price": "5", "currency": "EUR"})),
        ("Product Removed", json!({"cart_id": "c1", "product_id": "p3"})),
    ])
}

/// What the lines after the head come to: the value of `x`, or why there is none.
#[track_caller]
fn check(lines: &str, wanted: Result<Value, &str>) {
    let program = compile(&format!("{HEAD}{PER_CART}{lines}")).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let Rendered { payload, broken, .. } = rendered(&program, &carts(), "c1");
    let said = broken.as_deref().map_or_else(|| Ok(payload.to_value()["x"].clone()), Err);
    assert_eq!(said, wanted, "{lines}");
    // Whatever fails, what every payload says is there.
    assert_eq!(payload.to_value()["trigger"], "t");
}

#[track_caller]
fn says(template: &str, wanted: Value) {
    check(&format!("[payload]\nx = '{template}'\n"), Ok(wanted));
}

#[track_caller]
fn fails(template: &str, words: &str) {
    check(&format!("[payload]\nx = '{template}'\n"), Err(&format!("`payload.x` cannot be said: {words}")));
}

#[track_caller]
fn wrong(line: &str, mistake: &str) {
    let told = compile(&format!("{HEAD}when = {{ did = \"Product Added\" }}\n{line}\n")).err().unwrap_or_default();
    assert_eq!(told, [format!("t.toml:4:{mistake}")], "{line}");
}

fn catalogue() -> Arc<Catalogue> {
    let item = |id: &str, stock: Option<i64>| CatalogueItem {
        id: id.into(),
        name: Some(format!("{id} in full").into()),
        url: Some(format!("https://shop.example/{id}").into()),
        image_url: Some(format!("https://shop.example/{id}.jpg").into()),
        price: Some("9.50".into()),
        currency: Some("EUR".into()),
        category: Some("Things".into()),
        stock,
        updated: START,
    };
    let mut catalogue = Catalogue::default();
    for (id, stock) in [("p1", Some(3)), ("p2", None), ("p3", Some(0)), ("p4", Some(2)), ("p5", Some(5))] {
        catalogue.put(item(id, stock));
    }
    Arc::new(catalogue)
}
