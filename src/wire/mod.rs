//! The one place that speaks outward, HTTP and SMTP: time limits, sizes, redirects off, tokens. It never knows what an answer
//! means, and what it says of a failure holds no URL's query, no header and no body.

pub mod backoff;
pub mod mail;
mod token;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::model::http::{Answer, Auth, Method, Request, Response, TokenRequest};

use token::Tokens;
pub use token::{Keeper, TokenError};

/// The most bytes of an answer that are read.
const LARGEST: usize = 8 << 20;
/// A connection must stand by then.
const CONNECT: Duration = Duration::from_secs(10);

/// One account's way out.
pub struct Wire {
    client: reqwest::Client,
    base_url: String,
    tokens: Option<Tokens>,
}

/// The client could not be made: the machine's certificates or the TLS library are at fault.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client could be made: {0}")]
pub struct NoClient(String);

impl Wire {
    /// To one account. `token` says how its access token is fetched, where it has one; `keeper` keeps what the vendor
    /// changes of it.
    pub fn new(
        base_url: &str,
        token: Option<TokenRequest>,
        keeper: Option<Arc<dyn Keeper>>,
        clock: SharedClock,
    ) -> Result<Self, NoClient> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .pool_idle_timeout(Duration::from_secs(60))
            .tcp_nodelay(true)
            .user_agent(concat!("espalier/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| NoClient(e.to_string()))?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        let tokens = token.map(|request| Tokens::new(client.clone(), base_url.clone(), request, keeper, clock));
        Ok(Self { client, base_url, tokens })
    }

    /// Makes one call.
    pub async fn send(&self, request: Request) -> Result<Answer, TokenError> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut call = self.client.request(method, format!("{}{}", self.base_url, request.path));
        if !request.query.is_empty() {
            call = call.query(&request.query);
        }
        for (name, value) in &request.headers {
            call = call.header(&**name, value);
        }
        call = match &request.auth {
            Auth::Open => call,
            Auth::Header(scheme, secret) => let_in(call, "authorization", &format!("{scheme} {}", secret.expose())),
            Auth::Named(header, secret) => let_in(call, header, secret.expose()),
            Auth::Token => match &self.tokens {
                Some(tokens) => {
                    let (header, value) = tokens.get().await?;
                    let_in(call, header, value.expose())
                }
                None => call,
            },
        };
        if !request.body.is_empty() {
            call = call.header(reqwest::header::CONTENT_TYPE, request.content_type).body(request.body);
        }
        Ok(match call.timeout(request.timeout.to_std()).send().await {
            Ok(answer) => read(answer).await,
            Err(error) if error.is_connect() || error.is_builder() => Answer::NotSent(words(&error)),
            Err(error) => Answer::Unclear(words(&error)),
        })
    }

    /// The vendor refused the token: the next call fetches a new one. Says whether there was one to forget.
    pub async fn forget_token(&self) -> bool {
        match &self.tokens {
            Some(tokens) => tokens.forget().await,
            None => false,
        }
    }
}

fn let_in(call: reqwest::RequestBuilder, header: &str, value: &str) -> reqwest::RequestBuilder {
    match reqwest::header::HeaderValue::from_str(value) {
        Ok(mut value) => {
            value.set_sensitive(true);
            call.header(header, value)
        }
        // A secret with control characters: the vendor's 401 says what is wrong without showing it.
        Err(_) => call,
    }
}

/// Reads an answer to its end, up to the largest size.
pub(crate) async fn read(mut answer: reqwest::Response) -> Answer {
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Answer::Unclear("the answer is larger than we read".into()),
            Ok(None) => return Answer::Came(Response { status, headers, body }),
            Err(error) => return Answer::Unclear(words(&error)),
        }
    }
}

/// What went wrong, without the URL.
pub(crate) fn words(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer was cut"
    } else {
        "the connection was cut"
    };
    let mut cause = std::error::Error::source(error);
    let mut last = None;
    while let Some(inner) = cause {
        last = Some(inner.to_string());
        cause = inner.source();
    }
    last.map_or(what.to_owned(), |last| format!("{what}: {last}"))
}
