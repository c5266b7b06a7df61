//! WooCommerce's objects as its REST API v3 gives them (public API documentation, v3).

use serde_json::{Value, json};

use super::{article, money, person};
use crate::sandbox::stamp::Stamp;
use crate::sandbox::woocommerce::BEFORE_UTC;

fn local(ms: i64) -> Value {
    Stamp::Bare(BEFORE_UTC).write(ms)
}
fn gmt(ms: i64) -> Value {
    Stamp::Bare(0).write(ms)
}

fn address(n: u64, with_contact: bool) -> Value {
    let who = person(n);
    let mut address = json!({
        "first_name": who.first, "last_name": who.last, "company": "", "address_1": format!("Rua Direita {n}"),
        "address_2": "", "city": "Porto", "state": "", "postcode": "4000-001", "country": "PT",
    });
    if let Some(map) = address.as_object_mut().filter(|_| with_contact) {
        map.insert("email".to_owned(), who.email.into());
        map.insert("phone".to_owned(), "(212) 555-0101".into());
    }
    address
}

/// The nth order: paid, one line; every third of a guest.
pub fn order(n: u64, changed: i64) -> Value {
    let (name, sku, price) = article(n);
    let total = money(price * 2, 2);
    let created = changed - 60_000;
    json!({
        "id": 7_000 + n, "parent_id": 0, "number": (7_000 + n).to_string(), "order_key": format!("wc_order_{n:013x}"),
        "created_via": "checkout", "version": "11.2.0", "status": "processing", "currency": "EUR",
        "date_created": local(created), "date_created_gmt": gmt(created), "date_modified": local(changed),
        "date_modified_gmt": gmt(changed), "discount_total": "0.00", "discount_tax": "0.00",
        "shipping_total": "0.00", "shipping_tax": "0.00", "cart_tax": "0.00", "total": total, "total_tax": "0.00",
        "prices_include_tax": true, "customer_id": if n.is_multiple_of(3) { 0 } else { 40 + n },
        "customer_ip_address": "192.0.2.7", "customer_user_agent": "", "customer_note": "",
        "billing": address(n, true), "shipping": address(n, false), "payment_method": "bacs",
        "payment_method_title": "Direct bank transfer", "transaction_id": "", "date_paid": local(created),
        "date_paid_gmt": gmt(created), "date_completed": null, "date_completed_gmt": null,
        "cart_hash": format!("{n:032x}"), "meta_data": [{"id": n, "key": "_wc_order_attribution_source_type", "value": "typein"}],
        "line_items": [{
            "id": 300 + n, "name": name, "product_id": 90 + n, "variation_id": 0, "quantity": 2, "tax_class": "",
            "subtotal": total, "subtotal_tax": "0.00", "total": total, "total_tax": "0.00", "taxes": [],
            "meta_data": [], "sku": sku, "price": price as f64 / 100.0,
        }],
        "tax_lines": [], "shipping_lines": [], "fee_lines": [], "coupon_lines": [], "refunds": [],
    })
}

/// The nth customer.
pub fn customer(n: u64, changed: i64) -> Value {
    let who = person(n);
    let created = changed - 60_000;
    json!({
        "id": 40 + n, "date_created": local(created), "date_created_gmt": gmt(created),
        "date_modified": local(changed), "date_modified_gmt": gmt(changed), "email": who.email,
        "first_name": who.first, "last_name": who.last, "role": "customer", "username": format!("person{n}"),
        "billing": address(n, true), "shipping": address(n, false), "is_paying_customer": false,
        "avatar_url": "", "meta_data": [],
    })
}

/// The nth product, in stock.
pub fn product(n: u64, changed: i64) -> Value {
    let (name, sku, price) = article(n);
    let created = changed - 60_000;
    json!({
        "id": 90 + n, "name": name, "slug": format!("article-{n}"),
        "permalink": format!("https://shop.example/product/article-{n}/"), "date_created": local(created),
        "date_created_gmt": gmt(created), "date_modified": local(changed), "date_modified_gmt": gmt(changed),
        "type": "simple", "status": "publish", "featured": false, "catalog_visibility": "visible",
        "description": "", "short_description": "", "sku": sku, "price": money(price, 2),
        "regular_price": money(price, 2), "sale_price": "", "on_sale": false, "purchasable": true, "total_sales": 0,
        "manage_stock": true, "stock_quantity": 12, "stock_status": "instock", "backorders": "no", "parent_id": 0,
        "categories": [{"id": 9, "name": "Kitchen", "slug": "kitchen"}], "tags": [],
        "images": [{"id": n, "src": format!("https://shop.example/i/{n}.jpg"), "name": "", "alt": ""}],
        "attributes": [], "variations": [], "meta_data": [],
    })
}
