//! An account's access token: fetched when it is needed, by one caller at a time, renewed shortly before its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::clock::SharedClock;
use crate::model::http::{Answer, Name, TokenForm, TokenRequest};
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};

/// A token with less life than this left is renewed first.
const MARGIN: Span = Span::from_secs(60);
/// The shortest life that a token is taken to have.
const SHORTEST: Span = Span::from_secs(61);
/// A token fetch takes at most this long.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
/// The field that a rotation replaces.
const REFRESH: &str = "refresh_token";

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The vendor refuses the client's credentials.
    #[error("the vendor refuses the client id, secret or refresh token (HTTP {0})")]
    Refused(u16),
    /// Come again later.
    #[error("no token: {0}")]
    Unavailable(String),
}

/// Where a refresh token that the vendor has changed outlives the process.
#[async_trait]
pub trait Keeper: Send + Sync + 'static {
    /// The newest that was kept, if any.
    async fn kept(&self) -> Result<Option<Secret>, String>;
    /// Keeps one. It is on disk when this returns: the vendor takes the former one no more.
    async fn keep(&self, refresh: &Secret) -> Result<(), String>;
}

pub struct Tokens {
    client: reqwest::Client,
    base_url: String,
    request: TokenRequest,
    keeper: Option<Arc<dyn Keeper>>,
    clock: SharedClock,
    /// Held while a token is fetched: the others wait for that one.
    current: Mutex<Option<(Secret, Timestamp)>>,
}

/// The vendor's answer (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<i64>,
    #[serde(default)]
    refresh_token: Option<String>,
}

impl Tokens {
    pub fn new(
        client: reqwest::Client,
        base_url: String,
        request: TokenRequest,
        keeper: Option<Arc<dyn Keeper>>,
        clock: SharedClock,
    ) -> Self {
        Self { client, base_url, request, keeper, clock, current: Mutex::new(None) }
    }

    /// The header that carries the token, with the token in it.
    pub async fn get(&self) -> Result<(&str, Secret), TokenError> {
        let token = self.token().await?;
        Ok(match &self.request.header {
            Some(header) => (header, token),
            None => ("authorization", Secret::new(format!("Bearer {}", token.expose()))),
        })
    }

    async fn token(&self) -> Result<Secret, TokenError> {
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
        let mut secrets = self.request.secrets.clone();
        if let Some(keeper) = self.keeper.as_ref().filter(|_| self.request.rotates) {
            let kept = keeper.kept().await.map_err(TokenError::Unavailable)?;
            if let (Some(kept), Some((_, place))) = (kept, secrets.iter_mut().find(|(name, _)| name == REFRESH)) {
                *place = kept;
            }
        }
        let answer = match self.ask(&secrets).timeout(TIMEOUT).send().await {
            Ok(answer) => super::read(answer).await,
            Err(error) => return Err(TokenError::Unavailable(super::words(&error))),
        };
        let response = match answer {
            Answer::Came(response) if response.status == 200 => response,
            Answer::Came(response) if matches!(response.status, 400 | 401 | 403) => {
                return Err(TokenError::Refused(response.status));
            }
            Answer::Came(response) => return Err(TokenError::Unavailable(format!("HTTP {}", response.status))),
            Answer::NotSent(words) | Answer::Unclear(words) => return Err(TokenError::Unavailable(words)),
        };
        let granted: Granted = serde_json::from_slice(&response.body)
            .map_err(|_| TokenError::Unavailable("the token's answer is not what we know".into()))?;
        if let (Some(keeper), Some(refresh), true) = (&self.keeper, granted.refresh_token, self.request.rotates) {
            // Before the access token is used: after a crash the former refresh token may be worth nothing.
            keeper.keep(&Secret::new(refresh)).await.map_err(TokenError::Unavailable)?;
        }
        let life = granted.expires_in.map_or(self.request.life, Span::from_secs);
        Ok((Secret::new(granted.access_token), life))
    }

    fn ask(&self, secrets: &[(Name, Secret)]) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.base_url, self.request.path);
        let shown = self.request.fields.iter().map(|(name, value)| (&**name, value.as_str()));
        let fields: Vec<(&str, &str)> = shown.chain(secrets.iter().map(|(name, s)| (&**name, s.expose()))).collect();
        match self.request.form {
            TokenForm::Query => self.client.get(url).query(&fields),
            TokenForm::Form => self.client.post(url).form(&fields),
            TokenForm::Json => self.client.post(url).json(&fields.into_iter().collect::<BTreeMap<_, _>>()),
        }
    }
}
