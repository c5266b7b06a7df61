//! BigCommerce's objects: orders as its v2 gives them, all else as v3 does.

use serde_json::{Value, json};

use super::{article, money, person};
use crate::sandbox::stamp::Stamp;

/// The nth order, of the nth customer; every third of a guest.
pub fn order(n: u64, changed: i64) -> Value {
    let who = person(n);
    let total = money(article(n).2 * 2, 4);
    let at = |ms| Stamp::Rfc2822.write(ms);
    json!({
        "id": 100 + n, "customer_id": if n.is_multiple_of(3) { 0 } else { n }, "date_created": at(changed - 60_000),
        "date_modified": at(changed), "date_shipped": "", "status_id": 11, "status": "Awaiting Fulfillment",
        "custom_status": "Awaiting Fulfillment", "subtotal_ex_tax": total, "subtotal_inc_tax": total,
        "subtotal_tax": "0.0000", "shipping_cost_inc_tax": "0.0000", "total_ex_tax": total, "total_inc_tax": total,
        "total_tax": "0.0000", "items_total": 2, "items_shipped": 0, "payment_method": "Manual",
        "payment_status": "", "refunded_amount": "0.0000", "store_credit_amount": "0.0000",
        "discount_amount": "0.0000", "coupon_discount": "0.0000", "ip_address": "192.0.2.7", "currency_code": "EUR",
        "default_currency_code": "EUR", "currency_exchange_rate": "1.0000000000", "is_deleted": false,
        "staff_notes": "", "customer_message": "", "order_source": "www", "channel_id": 1,
        "cart_id": format!("{n:08x}-0000-4000-8000-000000000000"), "external_id": null, "customer_locale": "en",
        "billing_address": {
            "first_name": who.first, "last_name": who.last, "company": "", "street_1": format!("Rua Direita {n}"),
            "street_2": "", "city": "Porto", "state": "", "zip": "4000-001", "country": "Portugal",
            "country_iso2": "PT", "phone": "212 555 0101", "email": who.email, "form_fields": [],
        },
        "products": {"url": format!("https://api.bigcommerce.com/stores/sandbox/v2/orders/{}/products", 100 + n),
            "resource": format!("/orders/{}/products", 100 + n)},
    })
}

/// The one line of the nth order.
pub fn order_product(n: u64, _: i64) -> Value {
    let (name, sku, price) = article(n);
    json!({
        "id": 500 + n, "order_id": 100 + n, "product_id": 80 + n, "variant_id": 60 + n, "name": name, "sku": sku,
        "type": "physical", "base_price": money(price, 4), "price_inc_tax": money(price, 4),
        "price_ex_tax": money(price, 4), "total_inc_tax": money(price * 2, 4), "total_ex_tax": money(price * 2, 4),
        "quantity": 2, "is_refunded": false, "quantity_refunded": 0, "brand": "", "product_options": [],
    })
}

/// The nth customer.
pub fn customer(n: u64, changed: i64) -> Value {
    let who = person(n);
    let at = |ms| Stamp::Zulu.write(ms);
    json!({
        "id": n, "email": who.email, "first_name": who.first, "last_name": who.last, "company": "",
        "phone": "212 555 0101", "notes": "", "tax_exempt_category": "", "customer_group_id": 0,
        "date_created": at(changed - 60_000), "date_modified": at(changed), "address_count": 1,
        "attribute_count": 0, "authentication": {"force_password_reset": false}, "origin_channel_id": 1,
        "channel_ids": null, "accepts_product_review_abandoned_cart_emails": true, "store_credit_amounts": [],
    })
}

/// The nth product.
pub fn product(n: u64, changed: i64) -> Value {
    let (name, sku, price) = article(n);
    let at = |ms| Stamp::Zulu.write(ms);
    json!({
        "id": 80 + n, "name": name, "type": "physical", "sku": sku, "description": "", "weight": 1,
        "price": price as f64 / 100.0, "cost_price": 0, "retail_price": 0, "sale_price": 0,
        "calculated_price": price as f64 / 100.0, "categories": [9], "brand_id": 0, "inventory_level": 12,
        "inventory_tracking": "product", "availability": "available", "is_visible": true,
        "custom_url": {"url": format!("/article-{n}/"), "is_customized": false},
        "date_created": at(changed - 60_000), "date_modified": at(changed), "base_variant_id": 60 + n,
    })
}
