//! Salesforce's records. What a made-up record has, the simulated object knows as a field.

use serde_json::{Value, json};

use super::{article, person};
use crate::sandbox::stamp::Stamp;

/// An id of 18 characters for the nth record of the object with this prefix.
pub(in crate::sandbox) fn id(prefix: &str, n: u64) -> String {
    format!("{prefix}xx{n:010}AAA")
}

/// What every record has.
fn with_times(mut record: Value, id: String, changed: i64) -> Value {
    let at = |ms| Stamp::NoColon.write(ms);
    if let Some(map) = record.as_object_mut() {
        map.insert("Id".to_owned(), id.into());
        map.insert("IsDeleted".to_owned(), false.into());
        map.insert("CreatedDate".to_owned(), at(changed - 86_400_000));
        map.insert("LastModifiedDate".to_owned(), at(changed));
        map.insert("SystemModstamp".to_owned(), at(changed));
        map.insert("OwnerId".to_owned(), self::id("005", 1).into());
    }
    record
}

/// The nth contact, of the nth account.
pub fn contact(n: u64, changed: i64) -> Value {
    let who = person(n);
    let record = json!({
        "MasterRecordId": null, "AccountId": id("001", n), "Salutation": null, "FirstName": who.first,
        "LastName": who.last, "Name": format!("{} {}", who.first, who.last), "Email": who.email, "Phone": who.phone,
        "MobilePhone": null, "Title": null, "LeadSource": "Web", "Birthdate": null, "MailingStreet": null,
        "MailingCity": "Porto", "MailingState": null, "MailingPostalCode": "4000-001", "MailingCountry": "Portugal",
        "HasOptedOutOfEmail": false, "HasOptedOutOfFax": false, "DoNotCall": false, "EmailBouncedDate": null,
        "EmailBouncedReason": null, "IndividualId": null,
    });
    with_times(record, id("003", n), changed)
}

/// The nth lead.
pub fn lead(n: u64, changed: i64) -> Value {
    let who = person(n);
    let record = json!({
        "MasterRecordId": null, "FirstName": who.first, "LastName": who.last, "Name": format!("{} {}", who.first, who.last),
        "Company": "Example & Co.", "Email": who.email, "Phone": who.phone, "MobilePhone": null, "Title": null,
        "Status": "Open - Not Contacted", "LeadSource": "Web", "Rating": null, "City": "Porto", "Country": "Portugal",
        "IsConverted": false, "ConvertedDate": null, "ConvertedContactId": null, "ConvertedAccountId": null,
        "ConvertedOpportunityId": null, "HasOptedOutOfEmail": false, "DoNotCall": false, "EmailBouncedDate": null,
        "EmailBouncedReason": null,
    });
    with_times(record, id("00Q", n), changed)
}

/// The nth account.
pub fn account(n: u64, changed: i64) -> Value {
    let record = json!({
        "MasterRecordId": null, "Name": format!("Example {n}"), "Type": null, "Industry": null, "Website": null,
        "Phone": null, "BillingCity": "Porto", "BillingCountry": "Portugal", "NumberOfEmployees": 12,
        "AnnualRevenue": null, "IsPersonAccount": false, "PersonContactId": null, "PersonEmail": null,
    });
    with_times(record, id("001", n), changed)
}

/// The nth opportunity, of the nth account and contact.
pub fn opportunity(n: u64, changed: i64) -> Value {
    let record = json!({
        "AccountId": id("001", n), "ContactId": id("003", n), "Name": format!("Deal {n}"), "StageName": "Prospecting",
        "Amount": article(n).2 as f64 / 100.0, "Probability": 10, "CloseDate": "2026-12-31", "Type": null,
        "LeadSource": "Web", "IsClosed": false, "IsWon": false, "CampaignId": null, "CurrencyIsoCode": "EUR",
    });
    with_times(record, id("006", n), changed)
}

/// The nth order, activated, of the nth account.
pub fn order(n: u64, changed: i64) -> Value {
    let record = json!({
        "AccountId": id("001", n), "BillToContactId": id("003", n), "OrderNumber": format!("{n:08}"),
        "Name": null, "Status": "Activated", "StatusCode": "A", "TotalAmount": article(n).2 as f64 / 100.0,
        "EffectiveDate": "2026-11-23", "EndDate": null, "ActivatedDate": Stamp::NoColon.write(changed),
        "Type": null, "Description": null, "CurrencyIsoCode": "EUR",
    });
    with_times(record, id("801", n), changed)
}

/// The nth product.
pub fn product(n: u64, changed: i64) -> Value {
    let (name, sku, _) = article(n);
    let record = json!({"Name": name, "ProductCode": sku, "Family": null, "IsActive": true, "Description": null});
    with_times(record, id("01t", n), changed)
}

/// The nth item: of the nth order, two of the nth product.
pub fn order_item(n: u64, changed: i64) -> Value {
    let price = article(n).2 as f64 / 200.0;
    let record = json!({
        "OrderId": id("801", n), "Product2Id": id("01t", n), "OrderItemNumber": format!("{n:010}"), "Quantity": 2.0,
        "UnitPrice": price, "TotalPrice": price * 2.0,
    });
    with_times(record, id("802", n), changed)
}

/// The nth step: the nth opportunity in its first stage.
pub fn opportunity_history(n: u64, changed: i64) -> Value {
    let record = json!({
        "OpportunityId": id("006", n), "StageName": "Prospecting", "Amount": article(n).2 as f64 / 100.0,
        "Probability": 10.0, "CloseDate": "2026-12-31", "ForecastCategory": "Pipeline",
    });
    let mut record = with_times(record, id("008", n), changed);
    if let Some(map) = record.as_object_mut() {
        map.insert("CreatedDate".to_owned(), Stamp::NoColon.write(changed));
    }
    record
}
