//! Made-up people, orders and goods in each vendor's form, the same for the same number. Tests put them into accounts as
//! they are or changed. Instants in the vendors' files are milliseconds since 1970, as everywhere behind the sandbox's door.

/// BigCommerce.
pub mod bigcommerce;
/// Klaviyo, HubSpot and Marketo: what people did with mail, and HubSpot's CRM.
pub mod engagement;
/// Magento.
pub mod magento;
/// Salesforce.
pub mod salesforce;
/// Shopify, in the shape of its GraphQL.
pub mod shopify;
/// WooCommerce.
pub mod woocommerce;

use serde_json::Value;

use crate::model::Timestamp;

/// Somebody who does not exist.
#[derive(Debug, Clone)]
pub struct Person {
    /// Given name.
    pub first: &'static str,
    /// Family name.
    pub last: &'static str,
    /// Address, one for each number.
    pub email: String,
    /// In international form, from the range that is kept for fiction.
    pub phone: String,
}

const FIRST: [&str; 8] = ["Ines", "Jonas", "Mara", "Teo", "Zoë", "Bruno", "Aiko", "Émile"];
const LAST: [&str; 7] = ["Duarte", "Lindqvist", "O'Hara", "Novák", "Sato", "Berg", "Quiroga"];
const GOODS: [&str; 6] = ["Walnut tray", "Oil cloth", "Linen apron", "Copper pan", "Beech spoon", "Salt jar"];

/// The nth person.
pub fn person(n: u64) -> Person {
    let of = |names: &[&'static str]| names.get((n % names.len().max(1) as u64) as usize).copied().unwrap_or("Ada");
    Person {
        first: of(&FIRST),
        last: of(&LAST),
        email: format!("person{n}@example.com"),
        phone: format!("+1212555{:04}", 100 + n % 100),
    }
}

/// The nth article: name, SKU and price in cents.
fn article(n: u64) -> (&'static str, String, u64) {
    let name = GOODS.get((n % GOODS.len() as u64) as usize).copied().unwrap_or("Walnut tray");
    (name, format!("SKU-{n}"), 950 + (n * 731) % 9_000)
}

/// Cents as a decimal with so many places.
fn money(cents: u64, places: usize) -> String {
    format!("{}.{:02}{}", cents / 100, cents % 100, "0".repeat(places.saturating_sub(2)))
}

/// The nth record of a vendor's kind, last changed at `at`; none for a kind that is not made up.
pub fn record(vendor: &str, kind: &str, n: u64, at: Timestamp) -> Option<Value> {
    let at = at.as_millis();
    Some(match (vendor, kind) {
        ("shopify", "orders") => shopify::order(n, at),
        ("shopify", "customers") => shopify::customer(n, at),
        ("shopify", "products") => shopify::product(n, at),
        ("shopify", "abandonedCheckouts") => shopify::abandoned_checkout(n, at),
        ("woocommerce", "orders") => woocommerce::order(n, at),
        ("woocommerce", "customers") => woocommerce::customer(n, at),
        ("woocommerce", "products") => woocommerce::product(n, at),
        ("bigcommerce", "orders") => bigcommerce::order(n, at),
        ("bigcommerce", "order_products") => bigcommerce::order_product(n, at),
        ("bigcommerce", "customers") => bigcommerce::customer(n, at),
        ("bigcommerce", "products") => bigcommerce::product(n, at),
        ("magento", "orders") => magento::order(n, at),
        ("magento", "customers") => magento::customer(n, at),
        ("magento", "carts") => magento::cart(n, at),
        ("magento", "products") => magento::product(n, at),
        ("salesforce", "Contact") => salesforce::contact(n, at),
        ("salesforce", "Lead") => salesforce::lead(n, at),
        ("salesforce", "Account") => salesforce::account(n, at),
        ("salesforce", "Opportunity") => salesforce::opportunity(n, at),
        ("salesforce", "Order") => salesforce::order(n, at),
        ("salesforce", "OrderItem") => salesforce::order_item(n, at),
        ("salesforce", "Product2") => salesforce::product(n, at),
        ("salesforce", "OpportunityHistory") => salesforce::opportunity_history(n, at),
        ("hubspot", "contacts") => engagement::hubspot_contact(n, at),
        ("hubspot", "deals") => engagement::hubspot_deal(n, at),
        ("hubspot", "orders") => engagement::hubspot_order(n, at),
        ("hubspot", "email_events") => engagement::hubspot_email_event(n, at),
        ("klaviyo", "events") => engagement::klaviyo_event(n, at),
        ("klaviyo", "profiles") => engagement::klaviyo_profile(n, at),
        ("marketo", "leads") => engagement::marketo_lead(n),
        ("marketo", "activities") => engagement::marketo_activity(n, at),
        _ => return None,
    })
}
