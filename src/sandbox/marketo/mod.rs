//! Marketo Engage: tokens, leads, custom activities and their reading back. Nearly every answer is HTTP 200; `success`
//! and each record's `status` tell the truth. Facts from its Swagger files and developer pages of 2026.
//!
//! Kinds of records: `leads` (by their address) and `activities` of any type, of leads that are there; `lists`, `campaigns`
//! and `programs`.

/// Activities: adding custom ones and reading all back.
mod activities;
/// Imports of leads.
mod bulk;
/// Leads: sync and look-up.
mod leads;
/// Static lists, campaigns and their requests.
mod lists;
/// Tokens of one hour.
mod token;
/// Custom activity types.
mod types;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Value, json};

use super::call::{Answer, Call, Verdict, call_id, iso};
use super::faults::{Fault, Kind};
use super::lists::Lists;
use super::received::{Ledger, lock};
use super::records::Records;
use super::window::{Fixed, Rolling};
use super::{Options, Vendor};
use activities::Activity;
use leads::Lead;
use token::Tokens;

/// "1 MB", read strictly (developer page on the REST API).
const BYTES: usize = 1_000_000;
/// "8 KB" of path and query (the same).
const URI_BYTES: usize = 8_192;
/// Records in a call (the same).
const RECORDS: usize = 300;
/// Calls in progress (the same).
const IN_PROGRESS: usize = 10;
/// A day begins at 00:00 "CST", taken as six hours behind UTC all year (the same).
const CST: i64 = 6 * 3_600_000;

/// The simulated instance.
pub(super) struct Marketo {
    options: Arc<Options>,
    ledger: Ledger,
    /// Only notes of what was read: leads and activities lie in `state`.
    records: Records,
    state: Mutex<Memory>,
}

/// What it remembers.
struct Memory {
    tokens: Tokens,
    /// 100 calls in 20 seconds (developer page on the REST API).
    rate: Rolling,
    /// 50,000 calls a day (the same).
    day: Fixed,
    /// Leads in the order of their ids.
    leads: Vec<Lead>,
    /// The first lead of an address.
    by_email: HashMap<Arc<str>, usize>,
    /// Addresses of several leads.
    ambiguous: HashSet<Arc<str>>,
    /// Activities in the order of their ids.
    activities: Vec<Activity>,
    /// Activities dropped from the front, so that ids go on.
    dropped: usize,
    lists: Lists,
    campaigns: Lists,
    /// With their tokens.
    programs: Lists,
    /// Custom activity types.
    types: Vec<types::Type>,
    /// Imports in the order of their ids, from 1 on.
    jobs: Vec<bulk::Job>,
    /// When each of the two that are worked on at once is through (developer page "Bulk lead import").
    workers: [i64; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    SyncLeads,
    FindLeads,
    DeleteLeads,
    AddActivities,
    PagingToken,
    ReadActivities,
    ActivityTypes,
    CustomTypes,
    Usage,
    Bulk,
    Look,
    ChangeList,
    RequestCampaign,
}

/// A refusal of the whole call: its code and words.
type Refusal = (&'static str, String);

impl Vendor for Marketo {
    fn answer(&self, call: &Call) -> Answer {
        if call.uri_bytes > URI_BYTES {
            return Answer::empty(414).with(Verdict::Refused);
        }
        let most = if call.path.starts_with("/bulk/") { bulk::BYTES } else { BYTES };
        if call.body.len() > most {
            return Answer::empty(413).with(Verdict::Refused);
        }
        if call.path == "/identity/oauth/token" {
            return self.issue(call);
        }
        // Tokens, methods and paths are looked at before anything is counted (codes page, rows with an asterisk).
        if let Err(code) = lock(&self.state).tokens.check(call) {
            let words = match code {
                "600" => "Access token not specified",
                "602" => "Access token expired",
                _ => "Access token invalid",
            };
            return refused(call, code, words);
        }
        let endpoint = match endpoint(call) {
            Ok(endpoint) => endpoint,
            Err((code, words)) => return refused(call, code, &words),
        };
        if let Err((code, words)) = self.take_quota(call) {
            return refused(call, code, &words).with(Verdict::Throttled);
        }
        let answer = match endpoint {
            Endpoint::SyncLeads => body(call).and_then(|b| self.sync_leads(call, &b)),
            Endpoint::FindLeads => self.find_leads(call),
            Endpoint::DeleteLeads => body(call).and_then(|b| self.delete_leads(call, &b)),
            Endpoint::AddActivities => body(call).and_then(|b| self.add_activities(call, &b)),
            Endpoint::PagingToken => activities::paging_token(call),
            Endpoint::ReadActivities => self.read_activities(call),
            Endpoint::ActivityTypes => Ok(activities::types(call, self.options.activity_type)),
            Endpoint::CustomTypes => match types::Ask::of(&call.method, &call.path) {
                Some(ask) => self.types(&ask, call),
                None => Err(("610", "Requested resource not found".to_owned())),
            },
            Endpoint::Usage => Ok(self.usage(call)),
            Endpoint::Bulk => match bulk::Ask::of(&call.method, &call.path) {
                Some(ask) => self.bulk(call, &ask),
                None => Err(("610", "Requested resource not found".to_owned())),
            },
            Endpoint::Look => match lists::Look::of(&call.method, &call.path) {
                Some(look) => self.look(&look, call),
                None => Err(("610", "Requested resource not found".to_owned())),
            },
            Endpoint::ChangeList => body(call).and_then(|b| self.change_list(call, &b)),
            Endpoint::RequestCampaign => body(call).and_then(|b| self.request_campaign(call, &b)),
        };
        answer.unwrap_or_else(|(code, words)| refused(call, code, &words))
    }

    fn failure(&self, call: &Call, fault: &Fault) -> Answer {
        let code = match fault.kind {
            Kind::Code | Kind::ErrorInside => Some(fault.code.as_str()),
            Kind::RevokeToken => Some("601"),
            Kind::RevokeScope => Some("603"),
            _ => None,
        };
        if let Some(code) = code {
            let is_quota = matches!(code, "606" | "607" | "615");
            let verdict = if is_quota { Verdict::Throttled } else { Verdict::Refused };
            return refused(call, code, words_of(code)).with(verdict);
        }
        // Other statuses than 200 come from the gateway, and their bodies are not JSON.
        let verdict = if fault.status() == 429 { Verdict::Throttled } else { Verdict::Refused };
        let answer = Answer {
            body: format!("<html><body><h1>{}</h1></body></html>", fault.status()),
            content_type: "text/html",
            ..Answer::empty(fault.status())
        };
        match fault.retry_after {
            Some(seconds) => answer.header("retry-after", seconds).with(verdict),
            None => answer.with(verdict),
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
            "leads" => self.put_lead(&record, now),
            "activities" => self.put_activity(&record, now, visible),
            "lists" => lock(&self.state).lists.put(&record),
            "campaigns" => lock(&self.state).campaigns.put(&record),
            "programs" => lock(&self.state).programs.put(&record),
            _ => Err(format!("no records of the kind `{kind}` are kept here")),
        }
    }
    fn lose(&self, id: &str) -> bool {
        self.lose_activity(id) | self.ledger.lose(id)
    }
    fn revoke(&self) {
        lock(&self.state).tokens.revoke();
    }
}

impl Marketo {
    /// An empty instance.
    pub fn new(options: Arc<Options>) -> Self {
        let state = Memory {
            tokens: Tokens::default(),
            rate: Rolling::new(100, 20_000),
            day: Fixed::new(50_000, 86_400_000),
            leads: Vec::new(),
            by_email: HashMap::new(),
            ambiguous: HashSet::new(),
            activities: Vec::new(),
            dropped: 0,
            lists: Lists::new(&options.lists),
            jobs: Vec::new(),
            workers: [i64::MIN; 2],
            campaigns: Lists::new(&options.campaigns),
            programs: Lists::new(&[lists::PROGRAM.to_string()]),
            types: [options.activity_type]
                .iter()
                .chain(&options.activity_types)
                .enumerate()
                .map(|(place, id)| types::Type::of(*id, place == 0))
                .collect(),
        };
        let ledger = Ledger::new(options.bodies);
        Self { options, ledger, records: Records::new(|_| None), state: Mutex::new(state) }
    }

    /// Client credentials, in the query (identity Swagger). Outside every quota.
    fn issue(&self, call: &Call) -> Answer {
        let failed = |status, error: &str, words: &str| {
            Answer::json(status, &json!({"error": error, "error_description": words})).with(Verdict::Refused)
        };
        if call.method != Method::GET && call.method != Method::POST {
            return failed(405, "invalid_request", "Use GET or POST");
        }
        if call.param("grant_type") != Some("client_credentials") {
            return failed(400, "unsupported_grant_type", "Unsupported grant type");
        }
        if call.param("client_id") != Some(&self.options.client_id) {
            return failed(401, "unauthorized", "No client with the requested id");
        }
        if call.param("client_secret") != Some(&self.options.api_key) {
            return failed(401, "invalid_client", "Bad client credentials");
        }
        let (token, seconds) = lock(&self.state).tokens.issue(call.at);
        let body = json!({
            "access_token": token, "token_type": "bearer", "expires_in": seconds, "scope": "apis@sandbox.example",
        });
        Answer::json(200, &body)
    }

    /// Counts the call against all three quotas, also when they are not kept: usage is asked for.
    fn take_quota(&self, call: &Call) -> Result<(), Refusal> {
        let mut memory = lock(&self.state);
        let today = call.at.saturating_sub(CST);
        if self.options.limits {
            if call.in_progress > IN_PROGRESS {
                return Err(("615", format!("Concurrent access limit reached: '{IN_PROGRESS}'")));
            }
            if !memory.day.has_room(today) {
                return Err(("607", "Daily quota reached".to_owned()));
            }
            if !memory.rate.take(call.at) {
                return Err(("606", "Max rate limit '100' exceeded with in '20' secs".to_owned()));
            }
        }
        memory.day.count(today);
        Ok(())
    }

    /// Calls of today.
    fn usage(&self, call: &Call) -> Answer {
        let today = call.at.saturating_sub(CST);
        let count = lock(&self.state).day.used(today);
        let date = iso(today).chars().take(10).collect::<String>();
        let users = json!([{"userId": "apis@sandbox.example", "count": count}]);
        success(call, json!([{"date": date, "total": count, "users": users}]))
    }
}

/// Which endpoint is meant.
fn endpoint(call: &Call) -> Result<Endpoint, Refusal> {
    let is_get = call.method == Method::GET;
    let is_post = call.method == Method::POST;
    // A look-up that is too long for a URI comes as POST with `_method=GET`.
    let reads = is_get || (is_post && call.param("_method").is_some_and(|m| m.eq_ignore_ascii_case("get")));
    let is_list = lists::list_of(&call.path).is_some();
    let is_campaign = lists::campaign_of(&call.path).is_some();
    match (call.path.as_str(), reads) {
        _ if is_list && (is_post || call.method == Method::DELETE) => Ok(Endpoint::ChangeList),
        _ if is_campaign && is_post => Ok(Endpoint::RequestCampaign),
        _ if is_list || is_campaign => Err(("605", format!("HTTP method '{}' is not supported", call.method))),
        ("/rest/v1/leads.json", true) => Ok(Endpoint::FindLeads),
        ("/rest/v1/leads.json", false) if is_post => Ok(Endpoint::SyncLeads),
        ("/rest/v1/leads/delete.json", false) if is_post => Ok(Endpoint::DeleteLeads),
        ("/rest/v1/activities/external.json", false) if is_post => Ok(Endpoint::AddActivities),
        ("/rest/v1/activities/pagingtoken.json", true) => Ok(Endpoint::PagingToken),
        ("/rest/v1/activities.json", true) => Ok(Endpoint::ReadActivities),
        ("/rest/v1/activities/types.json", true) => Ok(Endpoint::ActivityTypes),
        ("/rest/v1/stats/usage.json", true) => Ok(Endpoint::Usage),
        (
            "/rest/v1/leads.json"
            | "/rest/v1/leads/delete.json"
            | "/rest/v1/activities/external.json"
            | "/rest/v1/activities/pagingtoken.json"
            | "/rest/v1/activities.json"
            | "/rest/v1/stats/usage.json",
            _,
        ) => Err(("605", format!("HTTP method '{}' is not supported", call.method))),
        _ if bulk::Ask::of(&call.method, &call.path).is_some() => Ok(Endpoint::Bulk),
        _ if types::Ask::of(&call.method, &call.path).is_some() => Ok(Endpoint::CustomTypes),
        _ if lists::Look::of(&call.method, &call.path).is_some() => Ok(Endpoint::Look),
        _ => Err(("610", "Requested resource not found".to_owned())),
    }
}

/// A field of a question: of the query, or of the body where it comes as POST with `_method=GET`.
fn field(call: &Call, name: &str) -> Option<String> {
    let of_body = || call.form().into_iter().find(|(n, _)| n == name).map(|(_, value)| value);
    call.param(name).map(str::to_owned).or_else(of_body)
}

/// The JSON of a call that writes.
fn body(call: &Call) -> Result<Value, Refusal> {
    if !call.has_type(&["application/json"]) {
        return Err(("612", "Invalid Content Type".to_owned()));
    }
    match serde_json::from_slice::<Value>(&call.body) {
        Ok(body) if body.is_object() => Ok(body),
        _ => Err(("609", "Invalid JSON".to_owned())),
    }
}

/// `input`, with 1 to 300 records.
fn input(body: &Value) -> Result<&[Value], Refusal> {
    match body.get("input") {
        None | Some(Value::Null) => Err(("1002", "Missing value for required parameter 'input'".to_owned())),
        Some(Value::Array(all)) if all.is_empty() => Err(("1002", "'input' cannot be empty".to_owned())),
        Some(Value::Array(all)) if all.len() > RECORDS => {
            Err(("1003", format!("Max number of records per call is {RECORDS}")))
        }
        Some(Value::Array(all)) => Ok(all),
        Some(_) => Err(("1003", "Invalid value for 'input': an array is required".to_owned())),
    }
}

fn request_id(call: &Call) -> String {
    call_id(call, "request").simple().to_string().chars().take(16).collect()
}

/// HTTP 200 with results.
fn success(call: &Call, result: Value) -> Answer {
    Answer::json(200, &json!({"requestId": request_id(call), "success": true, "result": result}))
}

/// HTTP 200 with fields beside or instead of `result`.
fn page(call: &Call, result: Option<Value>, more: Option<bool>, token: String) -> Answer {
    let mut body = json!({"requestId": request_id(call), "success": true, "nextPageToken": token});
    if let Some(body) = body.as_object_mut() {
        result.into_iter().for_each(|r| drop(body.insert("result".to_owned(), r)));
        more.into_iter().for_each(|m| drop(body.insert("moreResult".to_owned(), m.into())));
    }
    Answer::json(200, &body)
}

/// HTTP 200 that refuses.
fn refused(call: &Call, code: &str, message: &str) -> Answer {
    let errors = json!([{"code": code, "message": message}]);
    Answer::json(200, &json!({"requestId": request_id(call), "success": false, "errors": errors}))
        .with(Verdict::Refused)
}

/// The words of a code that is ordered as a fault.
fn words_of(code: &str) -> &'static str {
    match code {
        "502" => "Bad Gateway",
        "601" => "Access token invalid",
        "602" => "Access token expired",
        "603" => "Access denied",
        "604" => "Request timed out",
        "606" => "Max rate limit '100' exceeded with in '20' secs",
        "607" => "Daily quota reached",
        "608" => "API Temporarily Unavailable",
        "611" => "System error",
        "614" => "Unreachable Subscription",
        "615" => "Concurrent access limit reached",
        "713" => "Transient error",
        "719" => "Lock wait timeout exception",
        _ => "Error on demand",
    }
}
