//! One call over HTTP as a value: what sources and destinations build, what `wire` makes, and what came back.

use std::borrow::Cow;
use std::fmt;

use super::setting::Secret;
use super::{Span, Timestamp};

/// A name that is written in the program, or in a manifest.
pub type Name = Cow<'static, str>;

/// HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// As it is written in a request.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// True for an item of `Accept-Encoding` that takes gzip.
pub fn is_gzip(item: &str) -> bool {
    let (coding, weight) = item.split_once(';').unwrap_or((item, "q=1"));
    let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
    coding.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|q| q > 0.0)
}

/// How a request is let in. Values, not calls; never in a URL.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Nothing is asked.
    Open,
    /// `Authorization: <scheme> <secret>`
    Header(&'static str, Secret),
    /// `<header>: <secret>`
    Named(String, Secret),
    /// The access token that [`TokenRequest`] fetches.
    Token,
}

/// One call to be made. `Debug` shows no body: it may hold people, or a secret that a vendor has to be told.
#[derive(Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Begins with `/`; appended to the account's base URL.
    pub path: String,
    /// Query parameters, not yet escaped. No secrets.
    pub query: Vec<(Name, String)>,
    /// Headers besides authorization and content type.
    pub headers: Vec<(Name, String)>,
    /// Media type of the body.
    pub content_type: &'static str,
    /// How it is let in.
    pub auth: Auth,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Which budget it spends.
    pub family: Name,
    /// The whole call takes at most this long.
    pub timeout: Span,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("auth", &self.auth)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most the executor's limit.
    pub body: Vec<u8>,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The vendor answered.
    Came(Response),
    /// Nothing left: no connection was made. Safe to repeat.
    NotSent(String),
    /// Cut, timed out or unreadable after sending: the vendor may have taken it.
    Unclear(String),
}

impl Answer {
    /// The HTTP status; 0 where nothing came.
    pub fn status(&self) -> u16 {
        match self {
            Self::Came(response) => response.status,
            Self::NotSent(_) | Self::Unclear(_) => 0,
        }
    }
}

/// One window of an account's budget: the vendor lets `calls` through in `span`, and we take `share` of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Which calls share it: [`Request::family`].
    pub family: Name,
    /// Calls that the vendor lets through, of all who use the account.
    pub calls: u32,
    /// The part of them that is ours, above 0 and at most 1; the rest is left to other tools and other daemons.
    pub share: f64,
    /// In this time.
    pub span: Span,
    /// How the vendor counts it.
    pub counted: Counted,
}

/// How a vendor counts a window, which says how near to its number one can safely come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It begins anew at instants that the vendor chooses: what is left holds until then.
    Fixed,
    /// It looks back over its length from each call: what is left changes with each call that grows old.
    Rolling,
    /// It begins anew so long after each midnight of UTC (or each multiple of its length), and outlives a restart.
    Daily {
        /// So long after.
        begins: Span,
    },
}

impl Counted {
    /// As vendors count who do not say it: short windows look back, long ones are days.
    pub fn usual(span: Span) -> Self {
        if span < Span::HOUR { Self::Rolling } else { Self::Daily { begins: Span::ZERO } }
    }
}

impl Window {
    /// Calls that are ours: at least one.
    pub fn ours(&self) -> u32 {
        ((f64::from(self.calls) * self.share).floor() as u32).max(1)
    }
}

/// What an answer says of a window: the vendor's own figures, for all who use the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Which family.
    pub family: Name,
    /// Which of its windows, by its length.
    pub span: Span,
    /// Calls that the vendor lets through in it, where it says so.
    pub calls: Option<u32>,
    /// Calls that are left in it, where it says so.
    pub left: Option<u32>,
    /// When it begins anew, where it says so.
    pub resets: Option<Timestamp>,
}

/// Whose budget a call spends. Two that are equal are one account, and share one ledger.
#[derive(Clone, Debug)]
pub struct AccountKey {
    /// Where it is.
    pub base_url: String,
    /// As whom, where the address alone does not say it.
    pub credential: Option<Secret>,
}

impl AccountKey {
    /// A name for what is kept of it, which tells neither the address nor the credential.
    pub fn id(&self) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(self.base_url.as_bytes()).update(b" ");
        hash.update(self.credential.as_ref().map(|secret| secret.expose().as_bytes()).unwrap_or_default());
        hex::encode(hash.finalize().as_bytes().first_chunk::<16>().copied().unwrap_or_default())
    }
}

impl PartialEq for AccountKey {
    fn eq(&self, other: &Self) -> bool {
        self.base_url == other.base_url
            && self.credential.as_ref().map(Secret::expose) == other.credential.as_ref().map(Secret::expose)
    }
}

/// How a token is fetched: the executor keeps it and renews it, one at a time.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Appended to the account's base URL.
    pub path: String,
    /// Fields that are no secret.
    pub fields: Vec<(Name, String)>,
    /// Fields that are.
    pub secrets: Vec<(Name, Secret)>,
    /// How the fields are sent.
    pub form: TokenForm,
    /// The life of a token whose answer does not say it.
    pub life: Span,
    /// The header that carries it; `Authorization: Bearer` where none is named.
    pub header: Option<String>,
    /// Each answer may bring another `refresh_token`, which takes the place of the one in `secrets`.
    pub rotates: bool,
}

/// How the fields of a [`TokenRequest`] are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenForm {
    /// GET with a query: only where the vendor knows no other way.
    Query,
    /// POST, `application/x-www-form-urlencoded` (RFC 6749).
    Form,
    /// POST, JSON.
    Json,
}

impl Response {
    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }
    /// When `Retry-After` lets us come again, in seconds or as a date (RFC 9110); at most a day ahead.
    pub fn retry_after(&self, now: Timestamp) -> Option<Timestamp> {
        let text = self.header("retry-after")?.trim();
        if let Ok(at) = jiff::fmt::rfc2822::parse(text) {
            let at = Timestamp::from_millis(at.timestamp().as_millisecond());
            return Some(at.clamp(now, now + Span::DAY));
        }
        self.ahead("retry-after", Span::from_secs(1), now)
    }
    /// The instant that a header names by how many of `unit` it lies ahead; at most a day.
    pub fn ahead(&self, header: &str, unit: Span, now: Timestamp) -> Option<Timestamp> {
        let number: f64 = self.header(header)?.trim().parse().ok()?;
        let ms = (number.max(0.0) * unit.as_millis() as f64).min(Span::DAY.as_millis() as f64);
        Some(now + Span::from_millis(ms.ceil() as i64))
    }
}

/// A vendor's words without what may be personal: cut at 300 characters; words with an `@` or seven digits in a row are
/// left out.
pub fn redacted(words: &str) -> String {
    let is_private = |word: &str| {
        let mut run = 0;
        let long_number = word.chars().any(|c| {
            run = if c.is_ascii_digit() { run + 1 } else { 0 };
            run >= 7
        });
        word.contains('@') || long_number
    };
    let kept: Vec<&str> = words.split_whitespace().map(|word| if is_private(word) { "…" } else { word }).collect();
    kept.join(" ").chars().take(300).collect()
}
