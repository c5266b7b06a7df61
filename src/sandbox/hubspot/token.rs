//! What the token may do: a private app's is told (vendor page on private apps), and each call asks for the scopes of its
//! operation (specifications 2026-03, `security`).
//!
//! Kind of record: `scopes` (`has`: those of the token; `is_service_key`: nothing is told of it). Without one the token has
//! all.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Endpoint, Hubspot, definitions, error, lists, search};
use crate::sandbox::call::{Answer, Call};
use crate::sandbox::received::lock;

/// All that the simulated calls ask for.
const ALL: [&str; 6] = [
    "analytics.behavioral_events.send",
    "behavioral_events.event_definitions.read_write",
    "crm.lists.read",
    "crm.lists.write",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
];

/// What the token may do.
pub(super) struct Token {
    has: Vec<String>,
    is_service_key: bool,
}

impl Default for Token {
    fn default() -> Self {
        Self { has: ALL.map(str::to_owned).into(), is_service_key: false }
    }
}

/// `POST /oauth/v2/private-apps/get/access-token-info`
pub(super) fn is_info(call: &Call) -> bool {
    call.method == Method::POST && call.path == "/oauth/v2/private-apps/get/access-token-info"
}

/// The scopes of the operation that a call is.
fn needed(call: &Call) -> &'static [&'static str] {
    match Endpoint::of(&call.path) {
        Some(Endpoint::Upsert | Endpoint::Forget) => return &["crm.objects.contacts.write"],
        Some(Endpoint::Send | Endpoint::SendBatch) => return &["analytics.behavioral_events.send"],
        None => {}
    }
    if let Some(search::Ask::BatchRead(kind)) = search::Ask::of(&call.method, &call.path)
        && kind == "contacts"
    {
        return &["crm.objects.contacts.read"];
    }
    if definitions::Ask::of(&call.method, &call.path).is_some() {
        return &["behavioral_events.event_definitions.read_write"];
    }
    if lists::look(&call.method, &call.path).is_some() {
        return &["crm.lists.read"];
    }
    match lists::ask(&call.method, &call.path) {
        Some(_) => &["crm.lists.read", "crm.lists.write"],
        None => &[],
    }
}

impl Hubspot {
    /// Takes over what the token may do from now on.
    pub(super) fn put_scopes(&self, record: &Value) -> String {
        let has = record.get("has").and_then(Value::as_array).into_iter().flatten();
        let has = has.filter_map(|scope| scope.as_str().map(str::to_owned)).collect();
        lock(&self.state).token =
            Token { has, is_service_key: record.get("is_service_key") == Some(&Value::Bool(true)) };
        "token".to_owned()
    }

    /// The refusal of a call whose scopes the token has not.
    pub(super) fn lacks(&self, call: &Call) -> Option<Answer> {
        let token = &lock(&self.state).token;
        let missing: Vec<&str> =
            needed(call).iter().filter(|scope| !token.has.iter().any(|has| has == **scope)).copied().collect();
        let words = format!("This app hasn't been granted all required scopes: [{}]", missing.join(", "));
        (!missing.is_empty()).then(|| error(call, 403, "MISSING_SCOPES", &words))
    }

    pub(super) fn token_info(&self, call: &Call) -> Answer {
        let body = serde_json::from_slice::<Value>(&call.body).unwrap_or_default();
        let token = &lock(&self.state).token;
        if token.is_service_key || body.get("tokenKey").and_then(Value::as_str) != Some(&self.options.api_key) {
            return error(call, 404, "OBJECT_NOT_FOUND", "No private app has this token");
        }
        let info = json!({ "userId": 1, "hubId": self.options.hub_id, "appId": 2, "scopes": token.has });
        Answer::json(200, &info)
    }
}
