//! The cart of a key, the latest cart, and the last order.

use super::*;

#[test]
fn the_cart_is_the_keys_own_with_exact_amounts() {
    says(
        "{{ cart.products }}",
        json!([{"product_id": "p1", "name": "Lamp", "url": "https://shop.example/p1",
            "image_url": "https://shop.example/p1.jpg", "currency": "EUR", "category": "Things", "price": "39.95", "quantity": 3,
            "total": "119.85"}]),
    );
    says("{{ cart.total }} {{ cart.currency }}, {{ cart.quantity }}", json!("119.85 EUR, 3"));
    says("{{ cart.total | money }} {{ \"0.1\" | money(0) }}", json!("119.85 0"));
    says("{{ cart.recovery_url }}", json!("https://shop.example/cart/c1"));
    says("{{ cart.total | number > 119.8 }}", json!(true));
}

#[test]
fn without_a_cart_for_key_it_is_the_latest() {
    let text = format!(
        "{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart.id }}}} {{{{ cart.total }}}}'\n"
    );
    let program = compile(&text).expect("a trigger");
    assert_eq!(rendered(&program, &carts(), "").payload.to_value()["x"], json!("c1 119.85"));
    let bought = ines(&[
        ("Product Added", json!({"cart_id": "c", "product_id": "a", "price": 1, "cart_url": "https://s.example/old"})),
        ("Order Completed", json!({"cart_id": "c"})),
        ("Product Added", json!({"cart_id": "c", "product_id": "b", "price": "2.50"})),
    ]);
    assert_eq!(rendered(&program, &bought, "").payload.to_value()["x"], json!("c 2.5"), "what is bought is not in it");
}

#[test]
fn an_event_that_tells_the_whole_cart_is_believed() {
    let text = format!("{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart.total }}}}'\n");
    let program = compile(&text).expect("a trigger");
    let person = ines(&[
        ("Product Added", json!({"product_id": "a", "price": 1})),
        ("Checkout Started", json!({"products": [{"product_id": "b", "price": 2, "quantity": 2}]})),
        ("Product Added", json!({"product_id": "b", "price": 2})),
        ("Product Removed", json!({"product_id": "b", "quantity": 1})),
    ]);
    assert_eq!(rendered(&program, &person, "").payload.to_value()["x"], json!("4"));
}

#[test]
fn variants_are_told_apart_and_what_there_is_none_of_is_not_there() {
    let text = format!(
        "{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart.products | map(attribute=\"quantity\") | list }}}}'\n\
         [[content]]\nwhen = 'cart.total is defined'\nset = {{ total = '{{{{ cart.total }}}}' }}\n"
    );
    let program = compile(&text).expect("a trigger");
    let add = |variant: u8| {
        ("Product Added", json!({"product_id": "a", "variant_id": variant, "price": 2, "quantity": variant}))
    };
    let remove = |said: Value| ("Product Removed", said);
    let check = |last: (&str, Value), wanted: Value| {
        let person = ines(&[add(1), add(2), ("Product Added", json!({"product_id": "ab", "price": 1})), last]);
        assert_eq!(rendered(&program, &person, "").payload.to_value()["x"], wanted);
    };
    check(remove(json!({"product_id": "a", "variant_id": 2})), json!([1, 1]));
    check(remove(json!({"product_id": "a"})), json!([1]));
    check(remove(json!({"product_id": "a", "variant_id": 2, "quantity": "1"})), json!([1, 1, 1]));
    check(("Product Added", json!({"product_id": "c", "quantity": 0})), json!([1, 2, 1]));
    // More than can be told has no total, and no end.
    for (many, total) in [(500, json!("500")), (501, Value::Null)] {
        let products: Vec<Value> = (0..many).map(|n| json!({"product_id": n, "price": 1})).collect();
        let person =
            ines(&[("Product Added", json!({"product_id": 0})), ("Cart Viewed", json!({ "products": products }))]);
        let said = rendered(&program, &person, "").payload.to_value();
        assert_eq!((said["x"].as_array().map(Vec::len), &said["total"]), (Some(100), &total));
    }
}

#[test]
fn a_total_is_not_said_where_it_would_be_wrong() {
    let text = format!("{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart.total }}}}'\n");
    let program = compile(&text).expect("a trigger");
    for second in [json!({"product_id": "b"}), json!({"product_id": "b", "price": 2, "currency": "USD"})] {
        let person = ines(&[
            ("Product Added", json!({"product_id": "a", "price": 1, "currency": "EUR"})),
            ("Product Added", second),
        ]);
        let broken = rendered(&program, &person, "").broken;
        assert_eq!(broken.as_deref(), Some("`payload.x` cannot be said: `cart.total` is not there"));
    }
}

#[test]
fn the_last_order_has_the_shops_own_total() {
    says("{{ last_order.id }} {{ last_order.total | money }} {{ last_order.products[0].total }}", json!("o1 20.50 20"));
    let text = format!("{HEAD}when = {{ did = \"A\" }}\n[payload]\nx = '{{{{ last_order.id }}}}'\n");
    let never = rendered(&compile(&text).expect("a trigger"), &ines(&[("A", json!({}))]), "");
    assert_eq!(never.broken.as_deref(), Some("`payload.x` cannot be said: `last_order.id` is not there"));
}
