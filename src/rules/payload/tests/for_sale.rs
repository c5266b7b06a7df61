//! The catalogue: looked up by id, beside what events said, and few left of a product.

use super::*;

#[test]
fn the_catalogue_is_looked_up_by_id() {
    says("{{ catalogue[event.product_id].name }} {{ catalogue.p1.price | money }}", json!("p3 in full 9.50"));
    says(
        "{{ catalogue.p1 }}",
        json!({"product_id": "p1", "name": "p1 in full", "category": "Things",
        "url": "https://shop.example/p1", "image_url": "https://shop.example/p1.jpg", "currency": "EUR", "price": "9.5",
        "stock": 3}),
    );
    fails("{{ catalogue[\"p0\"].name }}", "a value that it asks for is not there");
    says("{{ catalogue.p0 is defined }}", json!(false));
}

#[test]
fn the_catalogue_says_what_events_did_not() {
    let text = format!("{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart }}}}'\n");
    let person = ines(&[("Product Added", json!({"product_id": "p2", "name": "Own name", "quantity": 2}))]);
    let said = rendered(&compile(&text).expect("a trigger"), &person, "").payload.to_value();
    let product = json!({"product_id": "p2", "name": "Own name", "url": "https://shop.example/p2",
        "image_url": "https://shop.example/p2.jpg", "category": "Things", "currency": "EUR", "price": "9.5", "quantity": 2,
        "total": "19"});
    assert_eq!(said["x"], json!({"products": [product], "quantity": 2, "total": "19", "currency": "EUR"}));
}

#[test]
fn it_is_urgent_when_few_are_left_and_one_at_least() {
    let urgent = "[urgency]\nunder = 4\nset = { x = '{{ stock }} of {{ product.name }}' }\n";
    check(urgent, Ok(json!("3 of p1 in full")));
    check(&urgent.replace('4', "3"), Ok(Value::Null));
    let text = format!("{HEAD}when = {{ did = \"Order Completed\" }}\n{urgent}");
    let program = compile(&text).expect("a trigger");
    for (products, wanted) in [
        (json!([{"product_id": "p1"}, {"product_id": "p4"}, {"product_id": "p3"}]), json!("2 of p4 in full")),
        (json!([{"product_id": "p2"}, {"product_id": "p3"}, {"product_id": "p5"}, {"product_id": "zz"}]), Value::Null),
    ] {
        let person = ines(&[("Order Completed", json!({ "products": products }))]);
        assert_eq!(rendered(&program, &person, "").payload.to_value()["x"], wanted);
    }
    wrong(
        "urgency = { under = 3, set = { x = \"{{ stok }}\" } }",
        "36: urgency.set.x: uses `stok`, which is not known here (did you mean `stock`?)",
    );
    wrong("urgency = { under = 0, set = { x = 1 } }", "21: urgency.under: must be a whole number from 1 to 1000000");
    wrong("urgency = { set = { x = 1 } }", "11: urgency.under: is missing");
}
