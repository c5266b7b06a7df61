//! Shopify's objects as its Admin GraphQL gives them. What a made-up object has, the simulated schema knows.

use serde_json::{Value, json};

use super::{article, money, person};
use crate::sandbox::stamp::Stamp;

const HOUR: i64 = 3_600_000;

fn at(ms: i64) -> Value {
    Stamp::Zulu.write(ms)
}

/// An amount in the shop's currency and as the buyer saw it.
fn amount(cents: u64) -> Value {
    let money = json!({"amount": money(cents, 2), "currencyCode": "EUR"});
    json!({"shopMoney": money, "presentmentMoney": money})
}

fn address(n: u64) -> Value {
    let who = person(n);
    json!({
        "firstName": who.first, "lastName": who.last, "name": format!("{} {}", who.first, who.last), "company": null,
        "address1": format!("Rua Direita {n}"), "address2": null, "city": "Porto", "zip": "4000-001", "province": null,
        "provinceCode": null, "country": "Portugal", "countryCode": "PT", "countryCodeV2": "PT", "phone": who.phone,
    })
}

fn line_item(n: u64, quantity: u64) -> Value {
    let (title, sku, price) = article(n);
    let (product, variant) = (1_000 + n, 50_000 + n);
    json!({
        "id": format!("gid://shopify/LineItem/{}", 900_000 + n), "title": title, "name": format!("{title} - Large"),
        "variantTitle": "Large", "sku": sku, "vendor": "Espalier Goods", "quantity": quantity,
        "currentQuantity": quantity, "requiresShipping": true, "taxable": true, "isGiftCard": false,
        "originalUnitPriceSet": amount(price), "discountedUnitPriceSet": amount(price),
        "originalTotalSet": amount(price * quantity), "discountedTotalSet": amount(price * quantity),
        "totalDiscountSet": amount(0), "image": {"url": format!("https://cdn.example/{product}.jpg"), "altText": null},
        "customAttributes": [], "discountAllocations": [],
        "product": {
            "id": format!("gid://shopify/Product/{product}"), "legacyResourceId": product.to_string(), "title": title,
            "handle": format!("article-{n}"), "vendor": "Espalier Goods", "productType": "Kitchen", "tags": ["wood"],
        },
        "variant": {
            "id": format!("gid://shopify/ProductVariant/{variant}"), "legacyResourceId": variant.to_string(),
            "title": "Large", "sku": sku, "price": money(price, 2),
            "inventoryItem": {"id": format!("gid://shopify/InventoryItem/{variant}")},
        },
    })
}

/// The nth order, of the nth customer: paid, two lines.
pub fn order(n: u64, changed: i64) -> Value {
    let who = person(n);
    let total = article(n).2 * 2 + article(n + 1).2;
    let mut customer = customer(n, changed - HOUR);
    if let Some(map) = customer.as_object_mut() {
        map.shift_remove("metafields");
    }
    json!({
        "id": format!("gid://shopify/Order/{}", 5_000_000 + n), "legacyResourceId": (5_000_000 + n).to_string(),
        "name": format!("#{}", 1_000 + n), "number": 1_000 + n, "confirmationNumber": format!("C{n:08}"),
        "email": who.email, "phone": null, "note": null, "tags": [], "test": false, "confirmed": true,
        "createdAt": at(changed - HOUR), "updatedAt": at(changed), "processedAt": at(changed - HOUR),
        "cancelledAt": null, "cancelReason": null, "closedAt": null, "closed": false, "edited": false,
        "displayFinancialStatus": "PAID", "displayFulfillmentStatus": "UNFULFILLED", "fullyPaid": true,
        "returnStatus": "NO_RETURN", "currencyCode": "EUR", "presentmentCurrencyCode": "EUR",
        "sourceName": "web", "sourceIdentifier": null, "customerLocale": "pt-PT", "clientIp": "192.0.2.7",
        "customerAcceptsMarketing": false, "landingPageUrl": null, "referrerUrl": null,
        "statusPageUrl": format!("https://sandbox.myshopify.com/orders/{n}"), "cartToken": null, "checkoutToken": null,
        "paymentGatewayNames": ["bogus"], "discountCode": null, "discountCodes": [], "taxesIncluded": true,
        "subtotalLineItemsQuantity": 3, "currentSubtotalLineItemsQuantity": 3, "totalWeight": "1200",
        "totalPriceSet": amount(total), "currentTotalPriceSet": amount(total), "subtotalPriceSet": amount(total),
        "currentSubtotalPriceSet": amount(total), "totalTaxSet": amount(0), "currentTotalTaxSet": amount(0),
        "totalDiscountsSet": amount(0), "currentTotalDiscountsSet": amount(0), "totalShippingPriceSet": amount(0),
        "totalRefundedSet": amount(0), "totalReceivedSet": amount(total), "totalOutstandingSet": amount(0),
        "netPaymentSet": amount(total), "originalTotalPriceSet": amount(total),
        "customAttributes": [], "billingAddress": address(n), "shippingAddress": address(n), "customer": customer,
        "app": {"id": "gid://shopify/App/580111", "name": "Online Store"},
        "lineItems": {"nodes": [line_item(n, 2), line_item(n + 1, 1)]},
        "shippingLines": {"nodes": [{"id": format!("gid://shopify/ShippingLine/{n}"), "title": "Post", "code": "POST",
            "originalPriceSet": amount(0), "discountedPriceSet": amount(0)}]},
        "fulfillments": [], "refunds": [], "transactions": [],
    })
}

/// An order's refund, for its list `refunds`.
pub fn refund(n: u64, cents: u64, created: i64) -> Value {
    json!({
        "id": format!("gid://shopify/Refund/{n}"), "legacyResourceId": n.to_string(), "createdAt": at(created),
        "updatedAt": at(created), "note": null, "totalRefundedSet": amount(cents),
        "refundLineItems": {"nodes": [{"quantity": 1, "subtotalSet": amount(cents), "lineItem": line_item(n, 1)}]},
        "transactions": {"nodes": []},
    })
}

/// An order's fulfilment, for its list `fulfillments`.
pub fn fulfillment(n: u64, created: i64) -> Value {
    json!({
        "id": format!("gid://shopify/Fulfillment/{n}"), "legacyResourceId": n.to_string(), "name": format!("#{n}.1"),
        "createdAt": at(created), "updatedAt": at(created), "deliveredAt": null, "estimatedDeliveryAt": null,
        "inTransitAt": null, "status": "SUCCESS", "displayStatus": "FULFILLED", "totalQuantity": 3,
        "trackingInfo": [{"company": "Post", "number": format!("T{n}"), "url": null}],
    })
}

/// The nth customer, subscribed to e-mail and not to SMS.
pub fn customer(n: u64, changed: i64) -> Value {
    let who = person(n);
    json!({
        "id": format!("gid://shopify/Customer/{}", 700_000 + n), "legacyResourceId": (700_000 + n).to_string(),
        "email": who.email, "phone": who.phone, "firstName": who.first, "lastName": who.last,
        "displayName": format!("{} {}", who.first, who.last), "createdAt": at(changed - 24 * HOUR),
        "updatedAt": at(changed), "state": "ENABLED", "note": null, "tags": [], "locale": "pt-PT",
        "verifiedEmail": true, "validEmailAddress": true, "taxExempt": false, "productSubscriberStatus": "NEVER_SUBSCRIBED",
        "lifetimeDuration": "1 day", "numberOfOrders": "1", "amountSpent": {"amount": "49.00", "currencyCode": "EUR"},
        "defaultEmailAddress": {"emailAddress": who.email, "marketingState": "SUBSCRIBED",
            "marketingOptInLevel": "SINGLE_OPT_IN", "marketingUpdatedAt": at(changed), "validFormat": true},
        "defaultPhoneNumber": {"phoneNumber": who.phone, "marketingState": "NOT_SUBSCRIBED",
            "marketingOptInLevel": "SINGLE_OPT_IN", "marketingUpdatedAt": null, "marketingCollectedFrom": "OTHER"},
        "emailMarketingConsent": {"marketingState": "SUBSCRIBED", "marketingOptInLevel": "SINGLE_OPT_IN",
            "consentUpdatedAt": at(changed)},
        "smsMarketingConsent": {"marketingState": "NOT_SUBSCRIBED", "marketingOptInLevel": "SINGLE_OPT_IN",
            "consentUpdatedAt": null, "consentCollectedFrom": "OTHER"},
        "defaultAddress": address(n), "addresses": [address(n)], "lastOrder": null, "metafields": {"nodes": []},
    })
}

/// The nth product, one variant, in stock.
pub fn product(n: u64, changed: i64) -> Value {
    let (title, sku, price) = article(n);
    let image = json!({"id": format!("gid://shopify/ProductImage/{n}"), "altText": null,
        "url": format!("https://cdn.example/{}.jpg", 1_000 + n)});
    json!({
        "id": format!("gid://shopify/Product/{}", 1_000 + n), "legacyResourceId": (1_000 + n).to_string(),
        "title": title, "handle": format!("article-{n}"), "description": "", "descriptionHtml": "",
        "vendor": "Espalier Goods", "productType": "Kitchen", "tags": ["wood"], "status": "ACTIVE",
        "createdAt": at(changed - 24 * HOUR), "updatedAt": at(changed), "publishedAt": at(changed - 24 * HOUR),
        "onlineStoreUrl": format!("https://sandbox.myshopify.com/products/article-{n}"), "onlineStorePreviewUrl": null,
        "totalInventory": 12, "tracksInventory": true, "hasOnlyDefaultVariant": false, "isGiftCard": false,
        "category": {"id": "gid://shopify/TaxonomyCategory/hg-11", "name": "Kitchen", "fullName": "Home > Kitchen"},
        "featuredImage": image, "featuredMedia": {"preview": {"image": image}}, "images": {"nodes": [image]},
        "priceRangeV2": {"minVariantPrice": {"amount": money(price, 2), "currencyCode": "EUR"},
            "maxVariantPrice": {"amount": money(price, 2), "currencyCode": "EUR"}},
        "collections": {"nodes": [{"id": "gid://shopify/Collection/1", "title": "Kitchen", "handle": "kitchen"}]},
        "variants": {"nodes": [{
            "id": format!("gid://shopify/ProductVariant/{}", 50_000 + n),
            "legacyResourceId": (50_000 + n).to_string(), "title": "Large", "displayName": format!("{title} - Large"),
            "sku": sku, "barcode": null, "price": money(price, 2), "compareAtPrice": null, "position": 1,
            "inventoryQuantity": 12, "inventoryPolicy": "DENY", "availableForSale": true, "taxable": true,
            "createdAt": at(changed - 24 * HOUR), "updatedAt": at(changed), "image": image,
            "selectedOptions": [{"name": "Size", "value": "Large"}],
            "inventoryItem": {"id": format!("gid://shopify/InventoryItem/{}", 50_000 + n),
                "legacyResourceId": (50_000 + n).to_string(), "tracked": true},
        }]},
    })
}

/// The nth checkout that was left, of the nth customer.
pub fn abandoned_checkout(n: u64, changed: i64) -> Value {
    let total = article(n).2 * 2;
    let mut customer = customer(n, changed - HOUR);
    if let Some(map) = customer.as_object_mut() {
        map.shift_remove("metafields");
    }
    json!({
        "id": format!("gid://shopify/AbandonedCheckout/{}", 300_000 + n), "legacyResourceId": (300_000 + n).to_string(),
        "name": format!("#{}", 300_000 + n), "createdAt": at(changed - HOUR), "updatedAt": at(changed),
        "completedAt": null, "note": "", "taxesIncluded": true, "discountCodes": [], "customAttributes": [],
        "abandonedCheckoutUrl": format!("https://sandbox.myshopify.com/checkouts/{n}/recover"),
        "customer": customer, "billingAddress": address(n), "shippingAddress": address(n),
        "totalPriceSet": amount(total), "subtotalPriceSet": amount(total), "totalTaxSet": amount(0),
        "totalDiscountSet": amount(0), "totalLineItemsPriceSet": amount(total), "totalDutiesSet": null,
        "lineItemsQuantity": 2, "lineItems": {"nodes": [line_item(n, 2)]},
    })
}
