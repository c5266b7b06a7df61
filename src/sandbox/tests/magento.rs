//! Magento: criteria, the last page again, tokens and signatures.

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Reply, START, World};

const TOKEN: (&str, &str) = ("authorization", "Bearer sandbox");

impl World {
    async fn magento_get(&self, path: &str) -> Reply {
        self.get(&format!("/magento/rest/all/V1/{path}"), &[TOKEN]).await
    }
}

/// Two bounds are two groups.
fn window(from: &str, until: &str) -> String {
    let one = |group: u8, value: &str, condition: &str| {
        let place = format!("searchCriteria[filter_groups][{group}][filters][0]");
        format!(
            "{place}[field]=updated_at&{place}[value]={}&{place}[condition_type]={condition}",
            value.replace(' ', "%20")
        )
    };
    format!("{}&{}&searchCriteria[sortOrders][0][field]=updated_at", one(0, from, "gteq"), one(1, until, "lt"))
}

#[tokio::test]
async fn magento_repeats_its_last_page_beyond_the_end() {
    let world = World::free();
    let ids = world.fill("magento", "orders", 250);
    let window = window("2026-11-23 15:00:10", "2026-11-23 15:04:00");
    let page = async |n: u32| {
        world
            .magento_get(&format!("orders?{window}&searchCriteria[pageSize]=100&searchCriteria[currentPage]={n}"))
            .await
    };
    let mut sizes = Vec::new();
    for n in 1..=4 {
        let reply = page(n).await;
        assert_eq!((reply.status, reply.at("/total_count")), (200, &json!(230)), "{:?}", reply.body);
        sizes.push(reply.at("/items").as_array().map_or(0, Vec::len));
    }
    assert_eq!(sizes, [100, 100, 30, 30]);
    assert_eq!(world.read("magento")[..230], ids[10..240]);
    assert_eq!(page(4).await.at("/items"), page(3).await.at("/items"));
    let none = self::window("2026-11-24 00:00:00", "2026-11-25 00:00:00");
    let none = world.magento_get(&format!("orders?{none}")).await;
    assert_eq!((none.at("/items"), none.at("/total_count")), (&Value::Null, &json!(0)));
    let fields =
        world.magento_get("orders?searchCriteria[pageSize]=1&fields=items[entity_id,items[sku]],total_count").await;
    assert_eq!(
        fields.at(""),
        &json!({"items": [{"entity_id": 1, "items": [{"sku": "SKU-1"}, {"sku": "SKU-1"}]}], "total_count": 250})
    );
}

#[tokio::test]
async fn magento_joins_filters_of_a_group_by_or() {
    let world = World::free();
    world.fill("magento", "carts", 5);
    world.fill("magento", "customers", 5);
    world.fill("magento", "products", 5);
    let filter = |group: u8, place: u8, field: &str, value: &str| {
        let place = format!("searchCriteria[filterGroups][{group}][filters][{place}]");
        format!("{place}[field]={field}&{place}[value]={value}&{place}[conditionType]=eq")
    };
    let two =
        format!("{}&{}", filter(0, 0, "email", "person1@example.com"), filter(0, 1, "email", "person2@example.com"));
    assert_eq!(world.magento_get(&format!("customers/search?{two}")).await.at("/total_count"), 2);
    world.sandbox.change("magento", "carts", "31", json!({"is_active": false})).expect("a cart");
    let active = filter(0, 0, "is_active", "1");
    assert_eq!(world.magento_get(&format!("carts/search?{active}")).await.at("/total_count"), 4);
    assert_eq!(world.magento_get("products?searchCriteria").await.at("/total_count"), 5);
    assert_eq!(world.magento_get("orders").await.at("/parameters/fieldName"), "searchCriteria");
    assert_eq!(world.magento_get("orders?searchCriteria[pageSize]=many").await.status, 400);
    assert_eq!(world.magento_get("customers/2").await.at("/email"), "person2@example.com");
    assert_eq!(world.magento_get("customers/9").await.status, 404);
}

#[tokio::test]
async fn magento_takes_a_token_or_a_signature() {
    let world = World::free();
    let open = world.get("/magento/rest/all/V1/orders?searchCriteria", &[]).await;
    assert_eq!((open.status, open.at("/parameters/resources")), (401, &json!("Magento_Sales::actions_view")));
    // Brackets are encoded once in the query and twice in what is signed.
    let signed = |nonce: &str, seconds: i64, secret: &str| {
        let parameters = format!(
            "oauth_consumer_key=sandbox&oauth_nonce={nonce}&oauth_signature_method=HMAC-SHA256&oauth_timestamp={seconds}&oauth_token=sandbox&oauth_version=1.0&searchCriteria%5BpageSize%5D=1"
        );
        let text = format!(
            "GET&http%3A%2F%2F127.0.0.1%2Fmagento%2Frest%2Fall%2FV1%2Forders&{}",
            parameters.replace('%', "%25").replace('=', "%3D").replace('&', "%26")
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(format!("sandbox&{secret}").as_bytes()).expect("any key");
        mac.update(text.as_bytes());
        let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        format!(
            "OAuth oauth_consumer_key=\"sandbox\", oauth_nonce=\"{nonce}\", oauth_signature_method=\"HMAC-SHA256\", oauth_timestamp=\"{seconds}\", oauth_token=\"sandbox\", oauth_version=\"1.0\", oauth_signature=\"{signature}\""
        )
    };
    let now = START / 1_000;
    for (nonce, seconds, secret, status) in [
        ("a", now, "sandbox", 200),
        ("a", now, "sandbox", 401),
        ("b", now - 301, "sandbox", 401),
        ("c", now, "other", 401),
        ("d", now - 299, "sandbox", 200),
    ] {
        let header = signed(nonce, seconds, secret);
        let path = "/magento/rest/all/V1/orders?searchCriteria%5BpageSize%5D=1";
        let reply = world.get(path, &[("authorization", &header)]).await;
        assert_eq!(reply.status, status, "{nonce} {seconds} {secret}: {:?}", reply.body);
    }
}
