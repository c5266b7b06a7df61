//! Activities: custom ones added, all kinds read back. There is no key against repeats: each record that is accepted fires its trigger, so each is an
//! effect (developer page on activities).

use serde_json::{Map, Value, json};

use super::{Marketo, Memory, RECORDS, Refusal, field, input, page, success};
use crate::sandbox::call::{Answer, Call, instant, is_scalar, iso};
use crate::sandbox::received::{Effect, lock};
use crate::sandbox::stamp;

/// Secondary attributes of a type (developer page on activities).
const ATTRIBUTES: usize = 20;
/// Bytes of one record's attributes (codes page, 1049).
const ATTRIBUTE_BYTES: usize = 65_536;
/// Lead ids in a read (Swagger).
const LEAD_IDS: usize = 30;
/// Activity types in a read.
const TYPE_IDS: usize = 10;
/// Activities that one read looks at: where few are of the types that are asked for, pages come empty and go on.
const LOOKED_AT: usize = 1_000;
/// Activities kept for reading back; the older half goes when they are more.
const MOST: usize = 1_000_000;

/// An activity kept for reading back.
pub(super) struct Activity {
    lead: u64,
    kind: u64,
    at: i64,
    /// Not given to readers before this instant.
    visible: i64,
    /// The asset's id, for the vendor's own types.
    primary_id: Option<u64>,
    date: Box<str>,
    primary: Box<str>,
    /// As JSON text, which is the smallest.
    attributes: Box<str>,
}

/// A record whose form is right.
struct Record<'a> {
    lead: u64,
    kind: u64,
    at: i64,
    visible: i64,
    date: &'a str,
    primary: String,
    primary_id: Option<u64>,
    attributes: &'a [Value],
}

/// Why a record is skipped.
type Skip = (&'static str, String);

impl Marketo {
    /// `POST /rest/v1/activities/external.json`. Takes the right records, in order, and says what was wrong with others.
    pub(super) fn add_activities(&self, call: &Call, body: &Value) -> Result<Answer, Refusal> {
        let records = input(body)?;
        let mut memory = lock(&self.state);
        let mut ledger = self.ledger.open();
        let mut results = Vec::with_capacity(records.len());
        for (place, body) in records.iter().enumerate() {
            let on_demand = call.bad_record && place == 0;
            let right =
                if on_demand { Err(("1003", "Invalid on demand".to_owned())) } else { Self::form(body, &memory) };
            let added = right.and_then(|record| {
                let lead = memory.lead(record.lead).ok_or_else(|| ("1004", "Lead not found".to_owned()))?;
                Ok((lead, record))
            });
            match added {
                Ok((lead, record)) => {
                    let person = memory.leads.get(lead).map(|l| l.email.to_string()).unwrap_or_default();
                    let effect = Effect {
                        id: activation_id(record.attributes),
                        event: record.primary.clone(),
                        person,
                        at: record.date.to_owned(),
                        body: Value::Null,
                    };
                    ledger.effect(effect, body);
                    let id = memory.keep(lead, record);
                    results.push(json!({"id": id, "marketoGUID": id.to_string(), "status": "added"}));
                }
                Err((code, message)) => {
                    ledger.counts.refused += 1;
                    results.push(json!({"status": "skipped", "errors": [{"code": code, "message": message}]}));
                }
            }
        }
        Ok(success(call, results.into()))
    }

    /// Puts an activity of any type in; its lead must be there. Gives its id, which is also its `marketoGUID`.
    pub(super) fn put_activity(&self, body: &Value, now: i64, visible: i64) -> Result<String, String> {
        let number = |name: &str| body.get(name).and_then(Value::as_u64).ok_or_else(|| format!("`{name}` is missing"));
        let date = match body.get("activityDate").and_then(Value::as_str) {
            Some(date) => date.to_owned(),
            None => iso(now),
        };
        let at = stamp::read(&date, 0).ok_or("`activityDate` is no instant")?;
        let lead = number("leadId")?;
        let mut memory = lock(&self.state);
        let place = memory.lead(lead).ok_or_else(|| format!("there is no lead {lead}"))?;
        let record = Record {
            lead,
            kind: number("activityTypeId")?,
            at,
            visible,
            date: &date,
            primary: body.get("primaryAttributeValue").and_then(Value::as_str).unwrap_or("").to_owned(),
            primary_id: body.get("primaryAttributeValueId").and_then(Value::as_u64),
            attributes: body.get("attributes").and_then(Value::as_array).map_or(&[], Vec::as_slice),
        };
        Ok(memory.keep(place, record).to_string())
    }

    /// Activities whose attribute `activationId` is this are read back no more. False when there is none.
    pub(super) fn lose_activity(&self, id: &str) -> bool {
        let is_it = |one: &Activity| {
            let attributes = serde_json::from_str::<Vec<Value>>(&one.attributes).unwrap_or_default();
            activation_id(&attributes) == id
        };
        let mut memory = lock(&self.state);
        let lost = memory.activities.iter_mut().filter(|one| is_it(one));
        // Of a type that nobody has: ids go on.
        lost.map(|one| one.kind = 0).count() > 0
    }

    /// What a record must be like (Swagger, custom activity).
    fn form<'a>(record: &'a Value, memory: &Memory) -> Result<Record<'a>, Skip> {
        let missing = |name: &str| ("1002", format!("Missing value for required parameter '{name}'"));
        let invalid = |name: &str| ("1003", format!("Invalid value for '{name}'"));
        let record = record.as_object().ok_or_else(|| invalid("input"))?;
        let given = |name: &str| record.get(name).filter(|v| !v.is_null()).ok_or_else(|| missing(name));
        let lead = given("leadId")?.as_u64().ok_or_else(|| invalid("leadId"))?;
        let kind = given("activityTypeId")?.as_u64().ok_or_else(|| invalid("activityTypeId"))?;
        if !memory.types.iter().any(|one| one.takes(kind)) {
            return Err(("1003", format!("Activity type '{kind}' is not an approved custom activity type")));
        }
        let date = given("activityDate")?.as_str().ok_or_else(|| invalid("activityDate"))?;
        let at = instant(date).ok_or_else(|| invalid("activityDate"))?;
        let primary = match given("primaryAttributeValue")? {
            Value::String(text) if text.is_empty() => return Err(missing("primaryAttributeValue")),
            Value::String(text) => text.clone(),
            other if is_scalar(other) => other.to_string(),
            _ => return Err(invalid("primaryAttributeValue")),
        };
        // The type's primary attribute is a string, of at most 255 characters (developer page on custom activities).
        if primary.chars().count() > 255 {
            return Err(invalid("primaryAttributeValue"));
        }
        let attributes = match record.get("attributes") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(all)) => all.as_slice(),
            Some(_) => return Err(invalid("attributes")),
        };
        if attributes.len() > ATTRIBUTES {
            return Err(("1028", format!("More than {ATTRIBUTES} attributes")));
        }
        let mut bytes = 0;
        for attribute in attributes {
            let attribute = attribute.as_object().ok_or_else(|| invalid("attributes"))?;
            let name = name(attribute).ok_or_else(|| missing("apiName"))?;
            match attribute.get("value") {
                None => return Err(missing("value")),
                Some(value) if is_scalar(value) || value.is_null() => {
                    bytes += name.len() + value.as_str().map_or(8, str::len);
                }
                Some(_) => return Err(("1003", format!("Invalid value for attribute '{name}'"))),
            }
        }
        if bytes > ATTRIBUTE_BYTES {
            return Err(("1049", "Too many characters in attributes".to_owned()));
        }
        Ok(Record { lead, kind, at, visible: i64::MIN, date, primary, primary_id: None, attributes })
    }

    /// `GET /rest/v1/activities.json`: pages of 300, from the token's place on.
    pub(super) fn read_activities(&self, call: &Call) -> Result<Answer, Refusal> {
        let token = field(call, "nextPageToken").ok_or(("1003", "nextPageToken not specified".to_owned()))?;
        let (since, from) = read_token(&token).ok_or(("1003", "Invalid nextPageToken".to_owned()))?;
        let types = numbers(call, "activityTypeIds", TYPE_IDS)?;
        if types.is_empty() {
            return Err(("1003", "activityTypeIds not specified".to_owned()));
        }
        let leads = numbers(call, "leadIds", LEAD_IDS)?;
        let size = call.param("batchSize").and_then(|s| s.parse().ok()).unwrap_or(RECORDS).clamp(1, RECORDS);
        let memory = lock(&self.state);
        let mut candidates: Vec<usize> = Vec::new();
        let end = memory.dropped + memory.activities.len();
        let first = from.max(memory.dropped);
        let last = end.min(first.saturating_add(LOOKED_AT));
        if leads.is_empty() {
            candidates.extend(first..last);
        } else {
            let of_lead = |id: &u64| memory.lead(*id).and_then(|place| memory.leads.get(place));
            candidates.extend(leads.iter().filter_map(of_lead).flat_map(|l| l.activities.iter().copied()));
            candidates.retain(|number| *number >= from);
            candidates.sort_unstable();
            candidates.dedup();
        }
        let mut found = Vec::new();
        let mut given = Vec::new();
        let (mut next, mut is_more) = if leads.is_empty() { (last.max(from), last < end) } else { (end, false) };
        for number in candidates {
            let Some(activity) = number.checked_sub(memory.dropped).and_then(|place| memory.activities.get(place))
            else {
                continue;
            };
            // What is not to be seen yet holds up all that came after it: the token must not pass it.
            if activity.visible > call.at {
                (next, is_more) = (number, false);
                break;
            }
            if activity.at < since || !types.contains(&activity.kind) {
                continue;
            }
            if found.len() == size {
                (next, is_more) = (number, true);
                break;
            }
            found.push(activity.show(number));
            given.push((number + 1).to_string());
        }
        if call.is_stuck {
            (next, is_more) = (from, true);
        }
        drop(memory);
        self.records.note_ids("activities", &call.asked(), given, call.at);
        // An empty page has no `result` at all.
        let result = (!found.is_empty()).then(|| found.into());
        Ok(page(call, result, Some(is_more), write_token(since, next)))
    }
}

impl Memory {
    /// Keeps an activity of the lead at this place; gives its id.
    fn keep(&mut self, lead: usize, record: Record<'_>) -> usize {
        if self.activities.len() >= MOST {
            self.activities.drain(..MOST / 2);
            self.dropped += MOST / 2;
        }
        let number = self.dropped + self.activities.len();
        if let Some(lead) = self.leads.get_mut(lead) {
            // Numbers of dropped activities go with them.
            if lead.activities.len() >= 1_000 {
                let dropped = self.dropped;
                lead.activities.retain(|n| *n >= dropped);
            }
            lead.activities.push(number);
        }
        self.activities.push(Activity {
            lead: record.lead,
            kind: record.kind,
            at: record.at,
            visible: record.visible,
            primary_id: record.primary_id,
            date: record.date.into(),
            primary: record.primary.into(),
            attributes: serde_json::to_string(record.attributes).unwrap_or_default().into(),
        });
        number + 1
    }
}

impl Activity {
    /// As it is read back.
    fn show(&self, number: usize) -> Value {
        let attributes = serde_json::from_str(&self.attributes).unwrap_or_else(|_| json!([]));
        let attributes = match attributes {
            Value::Array(all) => all.into_iter().map(named).collect(),
            other => other,
        };
        let mut shown = json!({
            "id": number + 1, "marketoGUID": (number + 1).to_string(), "leadId": self.lead, "activityDate": self.date,
            "activityTypeId": self.kind, "primaryAttributeValue": self.primary, "attributes": attributes,
        });
        if let (Some(map), Some(id)) = (shown.as_object_mut(), self.primary_id) {
            map.insert("primaryAttributeValueId".to_owned(), id.into());
        }
        shown
    }
}

/// Attributes are read back by `name`, whichever way they were written; both are given.
fn named(mut attribute: Value) -> Value {
    if let Some(map) = attribute.as_object_mut()
        && let Some(name) = name(map).map(str::to_owned)
    {
        map.insert("name".to_owned(), name.clone().into());
        map.insert("apiName".to_owned(), name.into());
    }
    attribute
}

/// An attribute's `apiName`, else its display name.
fn name(attribute: &Map<String, Value>) -> Option<&str> {
    let text = |key: &str| attribute.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
    text("apiName").or_else(|| text("name"))
}

/// The value of the attribute `activationId`, also under a display name like "Activation ID".
fn activation_id(attributes: &[Value]) -> String {
    let is_it = |map: &&Map<String, Value>| {
        name(map).is_some_and(|n| n.replace([' ', '_'], "").eq_ignore_ascii_case("activationid"))
    };
    let found = attributes.iter().filter_map(Value::as_object).find(is_it);
    found.and_then(|map| map.get("value")).and_then(Value::as_str).unwrap_or("").to_owned()
}

/// `GET /rest/v1/activities/types.json`: those that tell of mail, and the custom one (ids partly unverified).
pub(super) fn types(call: &Call, custom: u64) -> Answer {
    let own = [
        (1, "Visit Webpage"),
        (2, "Fill Out Form"),
        (6, "Send Email"),
        (7, "Email Delivered"),
        (8, "Email Bounced"),
        (9, "Unsubscribe Email"),
        (10, "Open Email"),
        (11, "Click Email"),
        (12, "New Lead"),
        (13, "Change Data Value"),
        (27, "Email Bounced Soft"),
        (32, "Merge Leads"),
        (37, "Delete Lead"),
        (custom, "Activation"),
    ];
    let shown = own.map(|(id, name)| json!({"id": id, "name": name, "description": name, "attributes": []}));
    success(call, shown.to_vec().into())
}

// === paging ===

/// `GET /rest/v1/activities/pagingtoken.json`. Reads then give the activities whose `activityDate` is not earlier.
pub(super) fn paging_token(call: &Call) -> Result<Answer, Refusal> {
    let since = field(call, "sinceDatetime").ok_or(("1003", "sinceDatetime not specified".to_owned()))?;
    // A plus that was not encoded reads as a blank; a date alone is its midnight.
    let text = since.trim().replace(' ', "+");
    let at = instant(&text).or_else(|| instant(&format!("{text}T00:00:00Z")));
    let at = at.ok_or_else(|| ("704", format!("Invalid date '{since}'")))?;
    Ok(page(call, None, None, write_token(at, 0)))
}

/// Opaque on purpose.
fn write_token(since: i64, from: usize) -> String {
    hex::encode_upper(format!("{since}/{from}/{}", iso(since)))
}

fn read_token(token: &str) -> Option<(i64, usize)> {
    let text = String::from_utf8(hex::decode(token).ok()?).ok()?;
    let mut parts = text.split('/');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A parameter's numbers, at most so many.
fn numbers(call: &Call, name: &str, most: usize) -> Result<Vec<u64>, Refusal> {
    let invalid = || ("1003", format!("Invalid value for '{name}'"));
    let given = field(call, name).unwrap_or_default();
    let parts = given.split(',').map(str::trim).filter(|p| !p.is_empty());
    let numbers = parts.map(|p| p.parse().map_err(|_| invalid())).collect::<Result<Vec<u64>, _>>()?;
    if numbers.len() > most {
        return Err(("1003", format!("Max number of {name} is {most}")));
    }
    Ok(numbers)
}
