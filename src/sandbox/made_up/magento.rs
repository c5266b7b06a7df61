//! Magento's entities as its REST API gives them.

use serde_json::{Value, json};

use super::{article, person};
use crate::sandbox::stamp::Stamp;

fn at(ms: i64) -> Value {
    Stamp::Sql.write(ms)
}
fn price(cents: u64) -> f64 {
    cents as f64 / 100.0
}

/// The nth order: a configurable product, which is two lines; every third of a guest.
pub fn order(n: u64, changed: i64) -> Value {
    let who = person(n);
    let (name, sku, cents) = article(n);
    let is_guest = n.is_multiple_of(3);
    let mut order = json!({
        "entity_id": n, "increment_id": format!("{n:09}"), "state": "processing", "status": "processing",
        "store_id": 1, "created_at": at(changed - 60_000), "updated_at": at(changed), "customer_email": who.email,
        "customer_firstname": who.first, "customer_lastname": who.last, "customer_is_guest": u8::from(is_guest),
        "quote_id": 30 + n, "grand_total": price(cents * 2), "base_grand_total": price(cents * 2),
        "subtotal": price(cents * 2), "tax_amount": 0, "shipping_amount": 0, "discount_amount": 0,
        "total_item_count": 1, "total_qty_ordered": 2, "order_currency_code": "EUR", "base_currency_code": "EUR",
        "billing_address": {
            "email": who.email, "firstname": who.first, "lastname": who.last, "street": [format!("Rua Direita {n}")],
            "city": "Porto", "postcode": "4000-001", "country_id": "PT", "telephone": "212 555 0101",
        },
        "items": [
            {"item_id": n * 2, "order_id": n, "product_type": "configurable", "product_id": 200 + n, "sku": sku,
                "name": name, "qty_ordered": 2, "price": price(cents), "row_total": price(cents * 2)},
            {"item_id": n * 2 + 1, "parent_item_id": n * 2, "order_id": n, "product_type": "simple",
                "product_id": 700 + n, "sku": sku, "name": name, "qty_ordered": 2, "price": 0, "row_total": 0},
        ],
        "payment": {"method": "checkmo"}, "status_histories": [], "extension_attributes": {},
    });
    if let Some(map) = order.as_object_mut().filter(|_| !is_guest) {
        map.insert("customer_id".to_owned(), n.into());
    }
    order
}

/// The nth customer, subscribed to the newsletter.
pub fn customer(n: u64, changed: i64) -> Value {
    let who = person(n);
    json!({
        "id": n, "group_id": 1, "created_at": at(changed - 60_000), "updated_at": at(changed),
        "created_in": "Default Store View", "email": who.email, "firstname": who.first, "lastname": who.last,
        "store_id": 1, "website_id": 1, "addresses": [], "disable_auto_group_change": 0,
        "extension_attributes": {"is_subscribed": true},
    })
}

/// The nth cart, active, of the nth customer.
pub fn cart(n: u64, changed: i64) -> Value {
    let who = person(n);
    let (name, sku, cents) = article(n);
    json!({
        "id": 30 + n, "created_at": at(changed - 60_000), "updated_at": at(changed), "is_active": true,
        "is_virtual": false, "items_count": 1, "items_qty": 2, "orig_order_id": 0, "reserved_order_id": null,
        "customer": {"id": n, "email": who.email, "firstname": who.first, "lastname": who.last},
        "customer_is_guest": false, "store_id": 1,
        "billing_address": {"id": n, "email": who.email, "country_id": "PT"},
        "currency": {"store_currency_code": "EUR", "quote_currency_code": "EUR", "base_currency_code": "EUR"},
        "items": [{"item_id": n, "sku": sku, "qty": 2, "name": name, "price": price(cents),
            "product_type": "simple", "quote_id": (30 + n).to_string()}],
    })
}

/// The nth product.
pub fn product(n: u64, changed: i64) -> Value {
    let (name, sku, cents) = article(n);
    json!({
        "id": 200 + n, "sku": sku, "name": name, "attribute_set_id": 4, "price": price(cents), "status": 1,
        "visibility": 4, "type_id": "simple", "created_at": at(changed - 60_000), "updated_at": at(changed),
        "extension_attributes": {"website_ids": [1], "category_links": [{"position": 0, "category_id": "9"}]},
        "product_links": [], "options": [], "media_gallery_entries": [],
        "custom_attributes": [{"attribute_code": "url_key", "value": format!("article-{n}")},
            {"attribute_code": "image", "value": format!("/a/{n}.jpg")}],
    })
}
