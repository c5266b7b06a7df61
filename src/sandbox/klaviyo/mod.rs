//! Klaviyo: single and bulk events, profile import, the account, and reading back. Facts from its OpenAPI of revision 2026-07-15 and its
//! guide "Rate limits, status codes, and errors".

/// What a payload must be like.
mod check;
/// The text of `filter=`.
mod filter;
/// Flows and what starts them.
mod flows;
/// Jobs that import profiles.
mod jobs;
/// Lists and their members.
mod lists;
/// Which identifiers belong to one profile.
mod people;
/// Events, metrics and profiles read back.
mod read;
mod words;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Value, json};

use super::call::{Answer, Call, Verdict, call_id, iso};
use super::faults::Fault;
use super::lists::Lists;
use super::received::{Effect, Ledger, Seen, key, lock};
use super::records::Records;
use super::window::Fixed;
use super::{Options, Vendor};
use check::{At, Record, Rules, Wrong};
use people::People;

/// "5 MB", read strictly (OpenAPI, create event).
const EVENT_BYTES: usize = 5_000_000;
/// "100 KB" for a profile (OpenAPI, create or update profile).
const PROFILE_BYTES: usize = 100_000;
/// Profiles whose id is given out.
const PROFILES: usize = 2_000_000;
/// Events in a bulk job (OpenAPI).
const BULK_EVENTS: usize = 1_000;

/// The simulated account.
pub(super) struct Klaviyo {
    options: Arc<Options>,
    ledger: Ledger,
    records: Records,
    state: Mutex<Memory>,
}

/// What it remembers.
struct Memory {
    events: Quota,
    bulk: Quota,
    import: Quota,
    account: Quota,
    list_events: Quota,
    metrics: Quota,
    metric_flows: Quota,
    list_flows: Quota,
    flows: Quota,
    list_looks: Quota,
    profiles: Quota,
    people: People,
    seen: Seen,
    list: Quota,
    job: Quota,
    jobs: Vec<jobs::Job>,
    consent: Quota,
    privacy: Quota,
    lists: Lists,
    /// The first identifier of each profile whose id was given out.
    names: HashMap<u128, Box<str>>,
}

/// Burst and steady window of one endpoint. All private keys of an account share them (rate limit guide).
struct Quota {
    burst: Fixed,
    steady: Fixed,
}

impl Quota {
    fn new(burst: u32, steady: u32) -> Self {
        Self { burst: Fixed::new(burst, 1_000), steady: Fixed::new(steady, 60_000) }
    }

    /// Counts a call and gives the steady window's headers, or the seconds to wait.
    fn take(&mut self, now: i64) -> Result<[(&'static str, String); 3], i64> {
        if !self.steady.has_room(now) {
            return Err(self.steady.seconds_left(now));
        }
        if !self.burst.has_room(now) {
            return Err(self.burst.seconds_left(now));
        }
        self.burst.count(now);
        self.steady.count(now);
        Ok([
            ("ratelimit-limit", self.steady.limit().to_string()),
            ("ratelimit-remaining", self.steady.left(now).to_string()),
            ("ratelimit-reset", self.steady.seconds_left(now).to_string()),
        ])
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Event,
    Bulk,
    Import,
    Account,
    List,
}

impl Vendor for Klaviyo {
    fn answer(&self, call: &Call) -> Answer {
        if let Err(answer) = self.let_in(call) {
            return answer;
        }
        if call.method == Method::GET
            && let Some(kind) = read::Kind::of(&call.path)
        {
            return match self.take_read_quota(kind, call.at) {
                Ok(headers) => {
                    let mut answer = self.read(call, kind);
                    answer.headers.extend(headers);
                    answer
                }
                Err(seconds) if self.options.limits => throttled(call, seconds),
                Err(_) => self.read(call, kind),
            };
        }
        if call.method == Method::GET
            && let Some(answer) = self.flows(call).or_else(|| self.look_at_lists(call))
        {
            return answer;
        }
        if let Some(ask) = jobs::Ask::of(&call.method, &call.path) {
            // Three endpoints of ten a second each; one window holds for them here, which is stricter.
            let quota =
                if self.options.limits { lock(&self.state).job.take(call.at).map(Vec::from) } else { Ok(Vec::new()) };
            return match quota {
                Ok(headers) => {
                    let mut answer = self.import_job(call, &ask);
                    answer.headers.extend(headers);
                    answer
                }
                Err(seconds) => throttled(call, seconds),
            };
        }
        if let Some(word) = words::Word::of(call) {
            return self.word(call, word);
        }
        let list = lists::list_of(&call.path);
        let (endpoint, method) = match call.path.as_str() {
            _ if list.is_some() && call.method == Method::DELETE => (Endpoint::List, Method::DELETE),
            _ if list.is_some() => (Endpoint::List, Method::POST),
            "/api/events" => (Endpoint::Event, Method::POST),
            "/api/event-bulk-create-jobs" => (Endpoint::Bulk, Method::POST),
            "/api/profile-import" => (Endpoint::Import, Method::POST),
            "/api/accounts" => (Endpoint::Account, Method::GET),
            _ => return error(call, 404, "not_found", "The requested path does not exist.", None),
        };
        if call.method != method {
            return error(call, 405, "method_not_allowed", "This method is not allowed here.", None);
        }
        let mut headers = Vec::new();
        if self.options.limits {
            match self.take_quota(endpoint, call.at) {
                Ok(given) => headers.extend(given),
                Err(seconds) => return throttled(call, seconds),
            }
        }
        let mut answer = self.work(endpoint, call);
        answer.headers.extend(headers);
        answer
    }

    fn failure(&self, call: &Call, fault: &Fault) -> Answer {
        let answer = match fault.status() {
            429 => return throttled(call, fault.retry_after.and_then(|s| i64::try_from(s).ok()).unwrap_or(1)),
            401 => error(call, 401, "authentication_failed", "Incorrect authentication credentials.", None),
            403 => error(call, 403, "permission_denied", "You do not have permission to perform this action.", None),
            status => error(call, status, "error", "A server error occurred.", None),
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
            _ => self.put_read(kind, record, now, visible),
        }
    }
}

impl Klaviyo {
    /// An empty account.
    pub fn new(options: Arc<Options>) -> Self {
        let state = Memory {
            // The spec says 750 a minute for imports where the guide says 700; the stricter holds here.
            events: Quota::new(350, 3_500),
            bulk: Quota::new(10, 150),
            import: Quota::new(75, 700),
            account: Quota::new(1, 15),
            list_events: Quota::new(350, 3_500),
            metrics: Quota::new(10, 150),
            metric_flows: Quota::new(10, 150),
            list_flows: Quota::new(3, 60),
            flows: Quota::new(3, 60),
            // Where the spec says 750 the guide says 700.
            list_looks: Quota::new(75, 700),
            profiles: Quota::new(75, 700),
            people: People::default(),
            seen: Seen::default(),
            list: Quota::new(10, 150),
            job: Quota::new(10, 150),
            jobs: Vec::new(),
            consent: Quota::new(75, 700),
            privacy: Quota::new(3, 60),
            lists: Lists::new(&options.lists),
            names: HashMap::new(),
        };
        let ledger = Ledger::new(options.bodies);
        let records = Records::new(read::shape);
        read::own_metrics(&records);
        Self { options, ledger, records, state: Mutex::new(state) }
    }

    /// Key and revision, before anything is counted.
    fn let_in(&self, call: &Call) -> Result<(), Answer> {
        match call.credentials("Klaviyo-API-Key") {
            Some(given) if given == self.options.api_key => {}
            Some(_) => {
                return Err(error(call, 401, "authentication_failed", "Incorrect authentication credentials.", None));
            }
            None => {
                let words = "Authentication credentials were not provided.";
                return Err(error(call, 401, "not_authenticated", words, None));
            }
        }
        let revision = call.header("revision");
        if revision.len() != 10 || revision.parse::<jiff::civil::Date>().is_err() {
            let words = "The header `revision` is required and must be a date like 2026-07-15.";
            return Err(error(call, 400, "invalid", words, None));
        }
        Ok(())
    }

    fn take_quota(&self, endpoint: Endpoint, now: i64) -> Result<[(&'static str, String); 3], i64> {
        let mut memory = lock(&self.state);
        let quota = match endpoint {
            Endpoint::Event => &mut memory.events,
            Endpoint::Bulk => &mut memory.bulk,
            Endpoint::Import => &mut memory.import,
            Endpoint::Account => &mut memory.account,
            Endpoint::List => &mut memory.list,
        };
        quota.take(now)
    }

    fn work(&self, endpoint: Endpoint, call: &Call) -> Answer {
        match endpoint {
            Endpoint::Account => return account(),
            Endpoint::List => return self.change_list(call, lists::list_of(&call.path).unwrap_or_default()),
            Endpoint::Event | Endpoint::Bulk | Endpoint::Import => {}
        }
        let largest = if endpoint == Endpoint::Import { PROFILE_BYTES } else { EVENT_BYTES };
        if call.body.len() > largest {
            return error(call, 413, "payload_too_large", "The payload is too large.", None);
        }
        if !call.has_type(&["application/vnd.api+json", "application/json"]) {
            return error(call, 415, "unsupported_media_type", "Send application/vnd.api+json.", None);
        }
        let Ok(payload) = serde_json::from_slice::<Value>(&call.body) else {
            return error(call, 400, "invalid", "The body is not valid JSON.", Some("/data"));
        };
        // `backfill` came with revision 2026-07-15; text of one form sorts as dates do.
        let rules = Rules { now: call.at, has_backfill: call.header("revision") >= "2026-07-15" };
        let mut wrong = Vec::new();
        match endpoint {
            Endpoint::Import => self.import(call, &payload, &mut wrong),
            Endpoint::Bulk => {
                let records = check::bulk(&payload, &rules, &mut wrong);
                if records.len() > BULK_EVENTS {
                    let words = format!("A job takes at most {BULK_EVENTS} events.");
                    wrong.push(Wrong::new(&At::root("/data/attributes/events-bulk-create/data"), words));
                }
                if call.bad_record {
                    let pointer =
                        "/data/attributes/events-bulk-create/data/0/attributes/events/data/0/attributes/properties";
                    wrong.push(Wrong::new(&At::root(pointer), "Invalid on demand.".to_owned()));
                }
                self.accept(call, &records, wrong)
            }
            Endpoint::Event | Endpoint::Account | Endpoint::List => {
                let records = check::single(&payload, &rules, &mut wrong);
                if call.bad_record {
                    wrong.push(Wrong::new(&At::root("/data/attributes/properties"), "Invalid on demand.".to_owned()));
                }
                self.accept(call, &records, wrong)
            }
        }
    }

    /// All or nothing: refuses the call for any mistake, else drops the known events and takes the rest.
    ///
    /// The key is profile, metric and `unique_id`, without which the time in whole seconds stands in (OpenAPI).
    /// The key repeated within a bulk job refuses the job (OpenAPI); whether stored events do too is unknown: here not.
    fn accept(&self, call: &Call, records: &[Record<'_>], mut wrong: Vec<Wrong>) -> Answer {
        let mut memory = lock(&self.state);
        let mut keys = Vec::with_capacity(records.len());
        let mut here = HashSet::with_capacity(records.len());
        for record in records {
            let profile = memory.people.whose(&record.identifiers);
            let seconds = record.at.div_euclid(1_000).to_le_bytes();
            let id = record.unique_id.map_or([b"time".as_slice(), &seconds], |id| [b"id".as_slice(), id.as_bytes()]);
            let [kind, id] = id;
            let key = key(&[&profile.to_le_bytes(), record.metric.as_bytes(), kind, id]);
            if !here.insert(key) && record.unique_id.is_some() {
                let words = "This unique_id is repeated for the same profile and metric.".to_owned();
                wrong.push(Wrong { pointer: format!("{}/unique_id", record.pointer), detail: words });
            }
            keys.push((profile, key));
        }
        if !wrong.is_empty() {
            return refused(call, &wrong);
        }
        let mut ledger = self.ledger.open();
        for (record, (profile, key)) in records.iter().zip(keys) {
            memory.people.learn(&record.identifiers, profile);
            if !memory.seen.is_new(key) {
                ledger.counts.duplicates += 1;
                continue;
            }
            let effect = Effect {
                id: record.unique_id.unwrap_or("").to_owned(),
                event: record.metric.to_owned(),
                person: record.person.to_owned(),
                at: record.time.map_or_else(|| iso(record.at), str::to_owned),
                body: Value::Null,
            };
            ledger.effect(effect, record.body);
        }
        Answer::empty(202)
    }

    /// 201 for a new profile, 200 for a known one.
    fn import(&self, call: &Call, payload: &Value, wrong: &mut Vec<Wrong>) -> Answer {
        let found = check::profile_import(payload, wrong);
        if call.bad_record {
            wrong.push(Wrong::new(&At::root("/data/attributes/email"), "Invalid on demand.".to_owned()));
        }
        let Some((identifiers, attributes)) = found.filter(|_| wrong.is_empty()) else {
            return refused(call, wrong);
        };
        let mut memory = lock(&self.state);
        let profile = memory.people.whose(&identifiers);
        let status = if memory.people.learn(&identifiers, profile) { 200 } else { 201 };
        if let Some(person) =
            ["email", "phone_number", "external_id"].iter().find_map(|name| attributes[*name].as_str())
            && memory.names.len() < PROFILES
        {
            memory.names.insert(profile, person.into());
        }
        let id = lists::profile_id(profile);
        let links = json!({"self": format!("https://a.klaviyo.com/api/profiles/{id}")});
        let body = json!({"data": {"type": "profile", "id": id, "attributes": attributes, "links": links}});
        Answer { content_type: JSON_API, ..Answer::json(status, &body) }
    }
}

const JSON_API: &str = "application/vnd.api+json";

/// One error in JSON:API form.
fn error(call: &Call, status: u16, code: &str, detail: &str, pointer: Option<&str>) -> Answer {
    let title = match status {
        400 => "Invalid input.",
        401 => "Authentication failed.",
        429 => "Request was throttled.",
        _ => detail,
    };
    let error = json!({
        "id": call_id(call, code), "status": status, "code": code, "title": title, "detail": detail,
        "source": {"pointer": pointer.unwrap_or("/data")}, "links": {}, "meta": {},
    });
    Answer { content_type: JSON_API, ..Answer::json(status, &json!({"errors": [error]})) }.with(Verdict::Refused)
}

/// 400 that points at each mistake.
fn refused(call: &Call, wrong: &[Wrong]) -> Answer {
    let error = |w: &Wrong| {
        json!({
            "id": call_id(call, &w.pointer), "status": 400, "code": "invalid", "title": "Invalid input.",
            "detail": w.detail, "source": {"pointer": w.pointer}, "links": {}, "meta": {},
        })
    };
    let errors: Vec<Value> = wrong.iter().map(error).collect();
    Answer { content_type: JSON_API, ..Answer::json(400, &json!({"errors": errors})) }.with(Verdict::Refused)
}

/// 429 in the words that clients read the seconds from.
fn throttled(call: &Call, seconds: i64) -> Answer {
    let unit = if seconds == 1 { "second" } else { "seconds" };
    let detail = format!("Request was throttled. Expected available in {seconds} {unit}.");
    error(call, 429, "throttled", &detail, None).header("retry-after", seconds).with(Verdict::Throttled)
}

/// `GET /api/accounts`: proof that the key is right.
fn account() -> Answer {
    let body = json!({
        "data": [{
            "type": "account",
            "id": "SANDBX",
            "attributes": {
                "test_account": true,
                "contact_information": {
                    "default_sender_name": "Sandbox", "default_sender_email": "sandbox@example.com",
                    "website_url": null, "organization_name": "Sandbox", "street_address": {},
                },
                "industry": null, "timezone": "UTC", "preferred_currency": "EUR", "public_api_key": "SANDBX",
                "locale": "en-US",
            },
            "links": {"self": "https://a.klaviyo.com/api/accounts/SANDBX"},
        }],
        "links": {"self": "https://a.klaviyo.com/api/accounts"},
    });
    Answer { content_type: JSON_API, ..Answer::json(200, &body) }
}
