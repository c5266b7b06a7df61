//! HubSpot: contact upserts and custom events, CRM records and e-mail events read back, on a private app's token. Facts from its public API specification
//! (2026-03), its usage guidelines, its page on error handling and its guide "Send custom event occurrences".

/// `POST …/contacts/batch/upsert`.
mod contacts;
/// Custom event definitions.
mod definitions;
/// `GET /email/public/v1/events`.
mod email_events;
/// `POST …/send` and `…/send/batch`.
mod events;
/// Lists, `PUT …/memberships/add` and `…/remove`.
mod lists;
/// CRM records: search, list, batch read, associations.
mod search;
/// What the token may do.
mod token;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Verdict, call_id};
use super::faults::Fault;
use super::lists::Lists;
use super::received::{Ledger, Seen, lock};
use super::records::Records;
use super::window::{Fixed, Rolling};
use super::{Options, Vendor};

/// The largest body that it reads. The vendor names no limit.
const BYTES: usize = 10_000_000;
/// The account's first contact.
const FIRST_CONTACT: u64 = 608_051;
/// Contacts that the account's tier allows.
const CONTACTS: usize = 2_000_000;

/// The simulated account.
pub(super) struct Hubspot {
    options: Arc<Options>,
    ledger: Ledger,
    records: Records,
    state: Mutex<Memory>,
}

/// What it remembers.
struct Memory {
    /// 100 calls in 10 seconds for a private app of a Free or Starter account (usage guidelines).
    crm: Rolling,
    /// 250,000 calls a day (the same); the account's day is UTC's.
    day: Fixed,
    /// 1,250 requests a second, outside the other limits (guide on custom events).
    sends: Rolling,
    /// 5 searches a second for the whole account (a public thread on it; older pages say 4 for each token).
    searches: Rolling,
    /// Place in `contacts` by address.
    by_email: HashMap<Arc<str>, usize>,
    contacts: Vec<Contact>,
    /// Addresses that may not be used again.
    blocked: HashSet<Arc<str>>,
    definitions: definitions::Definitions,
    seen: Seen,
    lists: Lists,
    token: token::Token,
}

struct Contact {
    /// Empty for one that was forgotten.
    email: Arc<str>,
    /// When it was created, in milliseconds.
    created: i64,
}

impl Memory {
    /// The contact with this id.
    fn contact(&self, id: &str) -> Option<&Contact> {
        let place = id.parse::<u64>().ok()?.checked_sub(FIRST_CONTACT)?;
        self.contacts.get(usize::try_from(place).ok()?).filter(|contact| !contact.email.is_empty())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Upsert,
    Forget,
    Send,
    SendBatch,
}

impl Endpoint {
    /// The path's shape differs by family and version (specification of each version).
    fn of(path: &str) -> Option<Self> {
        match path {
            "/crm/v3/objects/contacts/batch/upsert"
            | "/crm/objects/2026-03/contacts/batch/upsert"
            | "/crm/objects/2026-09/contacts/batch/upsert" => Some(Self::Upsert),
            "/crm/v3/objects/contacts/gdpr-delete"
            | "/crm/objects/2026-03/contacts/gdpr-delete"
            | "/crm/objects/2026-09/contacts/gdpr-delete" => Some(Self::Forget),
            "/events/v3/send" | "/events/2026-03/send" | "/events/custom/2026-09/send" => Some(Self::Send),
            "/events/v3/send/batch" | "/events/2026-03/send/batch" | "/events/custom/2026-09/send/batch" => {
                Some(Self::SendBatch)
            }
            _ => None,
        }
    }
}

impl Vendor for Hubspot {
    fn answer(&self, call: &Call) -> Answer {
        match call.credentials("Bearer") {
            Some(token) if token == self.options.api_key => {}
            _ => {
                let words = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
                return error(call, 401, "INVALID_AUTHENTICATION", words);
            }
        }
        if token::is_info(call) {
            return self.token_info(call);
        }
        if let Some(answer) = self.lacks(call) {
            return answer;
        }
        if let Some(read) = search::Ask::of(&call.method, &call.path) {
            return self.read(&read, call);
        }
        let look = lists::look(&call.method, &call.path).map(|id| (id, None));
        let change = lists::ask(&call.method, &call.path).map(|(id, is_removal)| (id, Some(is_removal)));
        if let Some((id, is_removal)) = look.or(change) {
            let quota = if self.options.limits { self.take_crm_quota(call) } else { Ok(Vec::new()) };
            return quota.map_or_else(
                |answer| answer,
                |mut headers| {
                    let mut answer = match is_removal {
                        Some(is_removal) => self.change_list(call, &id, is_removal),
                        None => self.look_at_list(call, &id),
                    };
                    answer.headers.append(&mut headers);
                    answer
                },
            );
        }
        if let Some(ask) = definitions::Ask::of(&call.method, &call.path) {
            let headers = match self.options.limits.then(|| self.take_crm_quota(call)) {
                Some(Err(answer)) => return answer,
                Some(Ok(headers)) => headers,
                None => Vec::new(),
            };
            let mut answer = self.definitions(&ask, call);
            answer.headers.extend(headers);
            return answer;
        }
        let Some(endpoint) = Endpoint::of(&call.path) else {
            return error(call, 404, "OBJECT_NOT_FOUND", "resource not found");
        };
        if call.method != Method::POST {
            return error(call, 405, "VALIDATION_ERROR", "Method Not Allowed");
        }
        let mut headers = Vec::new();
        if self.options.limits {
            match self.take_quota(endpoint, call) {
                Ok(given) => headers = given,
                Err(answer) => return answer,
            }
        }
        let mut answer = self.work(endpoint, call);
        answer.headers.append(&mut headers);
        answer
    }

    fn failure(&self, call: &Call, fault: &Fault) -> Answer {
        let answer = match fault.status() {
            429 => throttled(call, "TEN_SECONDLY_ROLLING"),
            401 => error(call, 401, "INVALID_AUTHENTICATION", "Authentication failed on demand."),
            400 => error(call, 400, "VALIDATION_ERROR", "There was a problem with the request."),
            403 => error(call, 403, "MISSING_SCOPES", "This app hasn't been granted all required scopes."),
            status => error(call, status, "INTERNAL_ERROR", "There was a problem with the request."),
        };
        match fault.retry_after {
            Some(seconds) => answer.header("retry-after", seconds),
            None => answer,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
    fn records(&self) -> &Records {
        &self.records
    }
    fn put(&self, kind: &str, record: Value, now: i64, visible: i64) -> Result<String, String> {
        match kind {
            "lists" => lock(&self.state).lists.put(&record),
            "scopes" => Ok(self.put_scopes(&record)),
            _ => self.records.put(kind, record, now, visible),
        }
    }
}

impl Hubspot {
    /// An empty account.
    pub fn new(options: Arc<Options>) -> Self {
        let state = Memory {
            crm: Rolling::new(100, 10_000),
            day: Fixed::new(250_000, 86_400_000),
            sends: Rolling::new(1_250, 1_000),
            searches: Rolling::new(5, 1_000),
            by_email: HashMap::new(),
            contacts: Vec::new(),
            blocked: HashSet::new(),
            definitions: Default::default(),
            seen: Seen::default(),
            lists: Lists::new(&options.lists),
            token: token::Token::default(),
        };
        let ledger = Ledger::new(options.bodies);
        Self { options, ledger, records: Records::new(search::shape), state: Mutex::new(state) }
    }

    fn take_quota(&self, endpoint: Endpoint, call: &Call) -> Result<Vec<(&'static str, String)>, Answer> {
        let mut memory = lock(&self.state);
        if !matches!(endpoint, Endpoint::Upsert | Endpoint::Forget) {
            return if memory.sends.take(call.at) { Ok(Vec::new()) } else { Err(throttled(call, "SECONDLY")) };
        }
        drop(memory);
        self.take_crm_quota(call)
    }

    /// Ten seconds and the day, with the headers that tell of both.
    fn take_crm_quota(&self, call: &Call) -> Result<Vec<(&'static str, String)>, Answer> {
        let mut memory = lock(&self.state);
        if !memory.day.has_room(call.at) {
            return Err(throttled(call, "DAILY"));
        }
        if !memory.crm.take(call.at) {
            return Err(throttled(call, "TEN_SECONDLY_ROLLING"));
        }
        memory.day.count(call.at);
        Ok(vec![
            ("x-hubspot-ratelimit-max", memory.crm.limit().to_string()),
            ("x-hubspot-ratelimit-remaining", memory.crm.left().to_string()),
            ("x-hubspot-ratelimit-interval-milliseconds", "10000".to_owned()),
            ("x-hubspot-ratelimit-daily", memory.day.limit().to_string()),
            ("x-hubspot-ratelimit-daily-remaining", memory.day.left(call.at).to_string()),
        ])
    }

    fn work(&self, endpoint: Endpoint, call: &Call) -> Answer {
        if call.body.len() > BYTES {
            return error(call, 413, "VALIDATION_ERROR", "The request is too large");
        }
        if !call.has_type(&["application/json"]) {
            return error(call, 415, "VALIDATION_ERROR", "Unsupported Media Type");
        }
        let payload = match serde_json::from_slice::<Value>(&call.body) {
            Ok(Value::Object(payload)) => payload,
            _ => return error(call, 400, "VALIDATION_ERROR", "Invalid input JSON"),
        };
        match endpoint {
            Endpoint::Upsert => self.upsert(call, &payload),
            Endpoint::Forget => self.forget(call, &payload),
            Endpoint::Send => self.send(call, &[Value::Object(payload)]),
            Endpoint::SendBatch => match inputs(&payload, events::BATCH) {
                Ok(inputs) => self.send(call, inputs),
                Err(words) => error(call, 400, "VALIDATION_ERROR", &words),
            },
        }
    }
}

/// `{"inputs": [ … ]}` with 1 to `most` elements.
fn inputs(payload: &Map<String, Value>, most: usize) -> Result<&[Value], String> {
    if let Some(name) = payload.keys().find(|n| *n != "inputs") {
        return Err(format!("Invalid input JSON: unrecognized field \"{name}\""));
    }
    match payload.get("inputs") {
        Some(Value::Array(all)) if all.is_empty() => Err("Invalid input: inputs may not be empty".to_owned()),
        Some(Value::Array(all)) if all.len() > most => {
            Err(format!("The maximum number of inputs supported in a batch request is {most}, received {}", all.len()))
        }
        Some(Value::Array(all)) => Ok(all),
        _ => Err("Some required fields were not set: [inputs]".to_owned()),
    }
}

/// An error in the vendor's form. Clients must take every field as optional (page on error handling).
fn error(call: &Call, status: u16, category: &str, message: &str) -> Answer {
    let body = json!({
        "status": "error", "message": message, "correlationId": call_id(call, category), "category": category,
    });
    Answer::json(status, &body).with(Verdict::Refused)
}

/// 429 with the policy that was met. No `Retry-After` is promised.
fn throttled(call: &Call, policy: &str) -> Answer {
    let body = json!({
        "status": "error", "message": format!("You have reached your {} limit.", policy.to_lowercase()),
        "errorType": "RATE_LIMIT", "policyName": policy, "correlationId": call_id(call, policy),
        "requestId": call_id(call, "request"),
    });
    let answer = Answer::json(429, &body).with(Verdict::Throttled);
    if policy == "TEN_SECONDLY_ROLLING" {
        return answer
            .header("x-hubspot-ratelimit-max", 100)
            .header("x-hubspot-ratelimit-remaining", 0)
            .header("x-hubspot-ratelimit-interval-milliseconds", 10_000);
    }
    answer
}
