//! What one answer of a CRM or e-mail platform leads to: which mistakes are whose, in the connectors that ship.

use std::sync::Arc;

use espalier::manifest::setting::Given;
use espalier::model::http::Response;
use espalier::model::{Span, Timestamp};
use espalier::source::manifest::{Manifest, shipped};
use espalier::source::stream::{self, Place, Turn};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_795_435_200_000);

/// What an answer to the first page of a list leads to, in words.
#[track_caller]
fn check(vendor: &str, list: &str, status: u16, body: &str, wanted: &str) {
    let manifest = Manifest::read("connector.toml", shipped(vendor).expect("a connector")).expect("a manifest");
    let account = stream::Account::of(&manifest, &Given::anything(&manifest.settings)).expect("an account");
    let list = stream::Stream::new(list, Arc::new(account), manifest.streams[list].clone());
    let mut place = Place { token: Some("t".into()), ..Place::at(NOW - Span::from_hours(1)) };
    list.open(&mut place, NOW, None).expect("a window");
    let response = Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
    let said = match list.read(&place, &response, NOW) {
        Turn::Stop(stop) | Turn::Broken(_, stop) => stop.to_string(),
        Turn::Again(next) if next.restarts > 0 => "again from the beginning".into(),
        Turn::Again(_) => "again".into(),
        Turn::Page(page) => format!("{} records", page.records.len()),
    };
    assert_eq!(said, wanted, "{vendor} {status} {body}");
}

#[test]
fn klaviyo_answers() {
    let said = |code: &str, detail: &str| json!({ "errors": [{ "code": code, "detail": detail }] }).to_string();
    let check = |status, code: &str, wanted: &str| check("klaviyo", "events", status, &said(code, "words"), wanted);
    check(400, "not_authenticated", "the credentials are refused: HTTP 400: words");
    check(401, "authentication_failed", "the credentials are refused: HTTP 401: words");
    check(403, "permission_denied", "the account may not read this: HTTP 403: words");
    check(400, "invalid", "what is asked does not fit the account: HTTP 400: words");
    check(429, "throttled", "the vendor's limit is reached: HTTP 429: words");
    check(503, "unavailable", "HTTP 503: words");
}

#[test]
fn marketo_answers() {
    let said = |code: &str| json!({ "success": false, "errors": [{ "code": code, "message": "words" }] }).to_string();
    let check = |code: &str, wanted: &str| check("marketo", "activities", 200, &said(code), wanted);
    check("602", "the access token is refused: HTTP 200: words");
    check("601", "the access token is refused: HTTP 200: words");
    check("603", "the account may not read this: HTTP 200: words");
    check("606", "the vendor's limit is reached: HTTP 200: words");
    check("607", "the vendor's limit is reached: HTTP 200: words");
    check("615", "the vendor's limit is reached: HTTP 200: words");
    check("611", "HTTP 200: words");
    check("1003", "again from the beginning");
    check("1006", "what is asked does not fit the account: HTTP 200: words");
    self::check("marketo", "activities", 200, r#"{"success":false}"#, "HTTP 200");
    self::check("marketo", "activities", 414, "", "again from the beginning");
    self::check(
        "marketo",
        "activities",
        502,
        "<html>Bad Gateway</html>",
        "HTTP 502, and a web page: of a proxy, or of a sign-in",
    );
    self::check("marketo", "activities", 200, r#"{"success":true,"moreResult":true,"nextPageToken":"A"}"#, "0 records");
}

#[test]
fn hubspot_answers() {
    let check = |status, body: Value, wanted: &str| check("hubspot", "contacts", status, &body.to_string(), wanted);
    for policy in ["SECONDLY", "TEN_SECONDLY_ROLLING", "DAILY"] {
        let body = json!({ "status": "error", "policyName": policy, "message": "words" });
        check(429, body, "the vendor's limit is reached: HTTP 429: words");
    }
    let said = |category: &str| json!({ "status": "error", "category": category, "message": "words" });
    check(400, said("VALIDATION_ERROR"), "what is asked does not fit the account: HTTP 400: words");
    check(401, said("INVALID_AUTHENTICATION"), "the credentials are refused: HTTP 401: words");
    check(403, said("MISSING_SCOPES"), "the account may not read this: HTTP 403: words");
    check(477, said("MIGRATION_IN_PROGRESS"), "the vendor's limit is reached: HTTP 477: words");
    check(200, json!({ "total": 10_001, "results": [] }), "again");
    check(504, json!({}), "HTTP 504");
}

#[test]
fn salesforce_answers() {
    let said = |code: &str, message: &str| json!([{ "message": message, "errorCode": code }]).to_string();
    let check =
        |status, code: &str, wanted: &str| check("salesforce", "contacts", status, &said(code, "words"), wanted);
    check(401, "INVALID_SESSION_ID", "the access token is refused: HTTP 401: words");
    check(403, "REQUEST_LIMIT_EXCEEDED", "the vendor's limit is reached: HTTP 403: words");
    check(403, "API_DISABLED_FOR_ORG", "the account may not read this: HTTP 403: words");
    check(400, "INVALID_FIELD", "what is asked does not fit the account: HTTP 400: words");
    check(400, "INVALID_QUERY_LOCATOR", "again from the beginning");
    check(400, "QUERY_TIMEOUT", "again");
    check(500, "UNKNOWN_EXCEPTION", "HTTP 500: words");
    self::check("salesforce", "contacts", 420, "", "HTTP 420");
}
