//! An account's access token: fetched when it is needed, by one caller at a time, renewed shortly before its end.

use serde::Deserialize;
use tokio::sync::Mutex;

use crate::clock::SharedClock;
use crate::destination::{Answer, TokenRequest};
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};

/// A token with less life than this left is renewed first.
const MARGIN: Span = Span::from_secs(60);
/// The shortest life that a token is taken to have.
const SHORTEST: Span = Span::from_secs(61);
/// A token fetch takes at most this long.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The vendor refuses the client's credentials.
    #[error("the vendor refuses the client id or secret (HTTP {0})")]
    Refused(u16),
    /// Come again later.
    #[error("no token: {0}")]
    Unavailable(String),
}

pub struct Tokens {
    client: reqwest::Client,
    base_url: String,
    request: TokenRequest,
    clock: SharedClock,
    /// Held while a token is fetched: the others wait for that one.
    current: Mutex<Option<(Secret, Timestamp)>>,
}

/// The vendor's answer (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: i64,
}

impl Tokens {
    pub fn new(client: reqwest::Client, base_url: String, request: TokenRequest, clock: SharedClock) -> Self {
        Self { client, base_url, request, clock, current: Mutex::new(None) }
    }

    pub async fn get(&self) -> Result<Secret, TokenError> {
        let mut current = self.current.lock().await;
        let now = self.clock.now();
        if let Some((token, _)) = current.as_ref().filter(|(_, until)| now + MARGIN < *until) {
            return Ok(token.clone());
        }
        let (token, life) = self.fetch().await?;
        // A vendor that gives the old token again until it ends leaves little life: it is used while it has any.
        *current = Some((token.clone(), self.clock.now() + life.max(SHORTEST)));
        Ok(token)
    }

    pub async fn forget(&self) -> bool {
        self.current.lock().await.take().is_some()
    }

    async fn fetch(&self) -> Result<(Secret, Span), TokenError> {
        let secrets: Vec<(&str, &str)> = self.request.secrets.iter().map(|(name, s)| (*name, s.expose())).collect();
        let call = self
            .client
            .get(format!("{}{}", self.base_url, self.request.path))
            .query(&self.request.query)
            .query(&secrets);
        let answer = match call.timeout(TIMEOUT).send().await {
            Ok(answer) => super::read(answer).await,
            Err(error) => return Err(TokenError::Unavailable(super::words(&error))),
        };
        match answer {
            Answer::Came(response) if response.status == 200 => {
                let granted: Granted = serde_json::from_slice(&response.body)
                    .map_err(|_| TokenError::Unavailable("the token's answer is not what we know".into()))?;
                Ok((Secret::new(granted.access_token), Span::from_secs(granted.expires_in)))
            }
            Answer::Came(response) if matches!(response.status, 400 | 401 | 403) => {
                Err(TokenError::Refused(response.status))
            }
            Answer::Came(response) => Err(TokenError::Unavailable(format!("HTTP {}", response.status))),
            Answer::NotSent(words) | Answer::Unclear(words) => Err(TokenError::Unavailable(words)),
        }
    }
}
