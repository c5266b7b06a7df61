//! A call to a simulated vendor and its answer, as plain values: the vendors themselves never wait.

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use base64::Engine;
use serde_json::Value;

/// What came in.
pub(super) struct Call {
    pub method: Method,
    /// Below the vendor's prefix, without a slash at the end.
    pub path: String,
    /// Names and values, decoded.
    pub query: Vec<(String, String)>,
    /// Length of path and query in bytes.
    pub uri_bytes: usize,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// When, in milliseconds.
    pub at: i64,
    /// The first record is to be taken for invalid.
    pub bad_record: bool,
    /// The next page is to be this one.
    pub is_stuck: bool,
    /// Where the account is reached, without a slash at the end: what its own links begin with.
    pub base: String,
    /// Calls to this vendor that have no answer yet, this one included.
    pub in_progress: usize,
}

impl Call {
    /// A header's text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }
    /// The token of `Authorization: <scheme> <token>`.
    pub fn credentials(&self, scheme: &str) -> Option<&str> {
        let (given, token) = self.header("authorization").split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then_some(token.trim())
    }
    /// User and password of `Authorization: Basic …`.
    pub fn basic(&self) -> Option<(String, String)> {
        let bytes = base64::engine::general_purpose::STANDARD.decode(self.credentials("Basic")?).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }
    /// The fields of a form in the body.
    pub fn form(&self) -> Vec<(String, String)> {
        let text = std::str::from_utf8(&self.body).unwrap_or("").trim();
        match format!("/?{text}").parse::<Uri>() {
            Ok(uri) => Query::try_from_uri(&uri).map(|Query(pairs)| pairs).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
    /// The whole query, for the eyes of a test.
    pub fn asked(&self) -> String {
        self.query.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&")
    }
    /// A query parameter's value.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// Whether the body says that it is of one of these types.
    pub fn has_type(&self, types: &[&str]) -> bool {
        let given = self.header("content-type").split(';').next().unwrap_or("").trim();
        types.iter().any(|t| given.eq_ignore_ascii_case(t))
    }
}

/// What an answer means for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Accepted, perhaps without some of its records.
    Accepted,
    /// Refused as a whole.
    Refused,
    /// Refused because a quota is spent.
    Throttled,
}

/// What goes out.
#[derive(Clone)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// Empty or JSON.
    pub body: String,
    pub content_type: &'static str,
    pub verdict: Verdict,
}

impl Answer {
    /// No body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
            content_type: "application/json",
            verdict: Verdict::Accepted,
        }
    }
    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self { body: body.to_string(), ..Self::empty(status) }
    }
    /// With another verdict.
    pub fn with(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }
    /// With one more header.
    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// As HTTP.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !self.body.is_empty() {
            response.headers_mut().insert("content-type", HeaderValue::from_static(self.content_type));
            *response.body_mut() = Body::from(self.body);
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// A page for people.
pub(super) fn html(status: u16, title: &str) -> Answer {
    Answer {
        body: format!("<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"),
        content_type: "text/html; charset=UTF-8",
        ..Answer::empty(status)
    }
    .with(if status == 429 { Verdict::Throttled } else { Verdict::Refused })
}

/// Text as a query carries it: all but letters, digits and `-._~` encoded.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Names and values as a query.
pub(super) fn query_of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = pairs.into_iter().map(|(n, v)| format!("{}={}", encoded(n), encoded(v))).collect();
    pairs.join("&")
}

/// An answer that breaks off before it is written: the client sees a connection that was closed.
pub(super) fn cut() -> Response<Body> {
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut on demand"))]);
    Response::new(Body::from_stream(broken))
}

/// A value that is only text, number or truth.
pub(super) fn is_scalar(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

/// One `@`, something before it, a domain with a dot after it, and no blanks.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | ',' | ';' | '<' | '>' | '(' | ')');
    text.len() <= 254
        && !local.is_empty()
        && !text.contains("..")
        && !local.contains(is_odd)
        && domain.contains('.')
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-'])
        && domain.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '-')
}

/// Lower-case letters, digits and `_`, a letter first, at most `longest`.
pub(super) fn is_lower_name(text: &str, longest: usize) -> bool {
    text.len() <= longest
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// ISO 8601 with an offset, in milliseconds.
pub(super) fn instant(text: &str) -> Option<i64> {
    if text.as_bytes().get(10) != Some(&b'T') || text.contains('[') {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Milliseconds as ISO 8601.
pub(super) fn iso(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

/// An id for an answer, the same for the same call at the same instant.
pub(super) fn call_id(call: &Call, salt: &str) -> uuid::Uuid {
    let key = super::received::key(&[salt.as_bytes(), call.path.as_bytes(), &call.at.to_le_bytes()]);
    uuid::Builder::from_random_bytes(key.to_be_bytes()).into_uuid()
}
