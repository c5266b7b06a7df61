//! What people did with mail, as Klaviyo, HubSpot and Marketo tell it, and HubSpot's CRM records.

use serde_json::{Value, json};

use super::{article, money, person};
use crate::sandbox::stamp::Stamp;

/// The id of one of Klaviyo's own metrics in the simulated account: another in each real one.
pub fn klaviyo_metric(name: &str) -> String {
    // Six characters, as the vendor's are.
    let hash = name.bytes().fold(7_u64, |h, b| h.wrapping_mul(131).wrapping_add(u64::from(b)));
    let letter =
        |n: u64| char::from(b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefgh".get((n % 32) as usize).copied().unwrap_or(b'A'));
    (0..6).map(|place| letter(hash >> (place * 5))).collect()
}

/// The nth event: an e-mail was clicked by the nth person.
pub fn klaviyo_event(n: u64, at: i64) -> Value {
    json!({
        "id": format!("3Ev{n:06}"), "metric": klaviyo_metric("Clicked Email"), "profile": klaviyo_profile(n, at),
        "timestamp": at.div_euclid(1_000), "datetime": Stamp::Offset.write(at),
        "event_properties": {
            "$event_id": format!("{at}:{n}"), "Campaign Name": "Autumn", "$message": "01MESSAGE", "$flow": null,
            "Subject": "Hello", "URL": "https://shop.example/spring",
        },
    })
}

/// The id of the nth profile.
pub fn klaviyo_profile_id(n: u64) -> String {
    format!("01PROFILE{n:017}")
}

/// The nth profile.
pub fn klaviyo_profile(n: u64, changed: i64) -> Value {
    let who = person(n);
    json!({
        "id": klaviyo_profile_id(n), "email": who.email, "phone_number": who.phone, "external_id": format!("user-{n}"),
        "anonymous_id": null, "first_name": who.first, "last_name": who.last, "organization": null,
        "locale": null, "title": null, "image": null, "created": Stamp::Offset.write(changed),
        "updated": Stamp::Offset.write(changed), "last_event_date": null, "location": {}, "properties": {},
        "subscriptions": {"email": {"marketing": {
            "can_receive_email_marketing": true, "consent": "SUBSCRIBED", "consent_timestamp": Stamp::Offset.write(changed),
            "method": "FORM", "double_optin": false, "suppression": [], "list_suppressions": [],
        }}},
    })
}

/// The nth contact.
pub fn hubspot_contact(n: u64, changed: i64) -> Value {
    let who = person(n);
    let at = Stamp::ZuluMillis.write(changed);
    json!({"id": (50 + n).to_string(), "properties": {
        "email": who.email, "firstname": who.first, "lastname": who.last, "phone": who.phone,
        "lifecyclestage": "lead", "hs_email_optout": "false", "createdate": at, "lastmodifieddate": at,
    }})
}

/// The nth deal, of the nth contact.
pub fn hubspot_deal(n: u64, changed: i64) -> Value {
    let at = Stamp::ZuluMillis.write(changed);
    json!({
        "id": (9_000 + n).to_string(), "associations": {"contacts": [(50 + n).to_string()]},
        "properties": {
            "dealname": format!("Deal {n}"), "amount": money(article(n).2, 2), "dealstage": "appointmentscheduled",
            "pipeline": "default", "deal_currency_code": "EUR", "hs_is_closed_won": "false", "closedate": null,
            "createdate": at, "hs_lastmodifieddate": at,
        },
    })
}

/// The nth order, of the nth contact.
pub fn hubspot_order(n: u64, changed: i64) -> Value {
    let at = Stamp::ZuluMillis.write(changed);
    json!({
        "id": (4_000 + n).to_string(), "associations": {"contacts": [(50 + n).to_string()]},
        "properties": {
            "hs_order_name": format!("#{n}"), "hs_total_price": money(article(n).2, 2), "hs_currency_code": "EUR",
            "hs_external_order_id": format!("order-{n}"), "hs_fulfillment_status": null,
            "hs_createdate": at, "hs_lastmodifieddate": at,
        },
    })
}

/// The nth e-mail event: a click.
pub fn hubspot_email_event(n: u64, created: i64) -> Value {
    json!({
        "id": format!("00000000-0000-4000-8000-{n:012}"), "created": created, "type": "CLICK",
        "recipient": person(n).email, "portalId": 1_234_567, "appId": 113, "appName": "Batch", "emailCampaignId": 71,
        "sentBy": {"id": format!("00000000-0000-4000-9000-{n:012}"), "created": created - 60_000},
        "smtpId": null, "url": "https://shop.example/spring", "userAgent": "Mozilla/5.0",
        "browser": {"name": "Firefox", "type": "Browser"}, "location": {"country": "Portugal", "city": "Porto"},
    })
}

/// The nth person as a lead.
pub fn marketo_lead(n: u64) -> Value {
    json!({"email": person(n).email})
}

/// The nth activity: the nth lead clicked a link.
pub fn marketo_activity(n: u64, at: i64) -> Value {
    json!({
        "leadId": 1_000 + n, "activityDate": Stamp::Zulu.write(at), "activityTypeId": 11, "primaryAttributeValueId": 71,
        "primaryAttributeValue": "Autumn mail",
        "attributes": [{"name": "Link", "value": "https://shop.example/spring"}, {"name": "Campaign Run ID", "value": n},
            {"name": "Is Mobile Device", "value": false}],
    })
}
