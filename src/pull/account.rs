//! One account's way out, shared by its lists: budget, calls at once, and who goes first.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use crate::clock::SharedClock;
use crate::model::Timestamp;
use crate::model::http::{Answer, Request, Response, Window};
use crate::model::setting::Secret;
use crate::quota::{Accounts, For, Ledger};
use crate::source::stream::{self as list, Stop};
use crate::store::Store;
use crate::wire::{Keeper, NoClient, TokenError, Wire};

/// Why a source cannot be pulled at all.
#[derive(Debug, thiserror::Error)]
pub enum NotPulled {
    /// The machine's certificates or its TLS library are at fault.
    #[error(transparent)]
    NoClient(#[from] NoClient),
}

/// One account.
pub struct Account {
    /// The daemon's clock.
    pub clock: SharedClock,
    source: Arc<str>,
    of: Arc<list::Account>,
    wire: Wire,
    ledger: Ledger,
    /// Nothing is read before: reading gives way earlier than sending.
    rests: watch::Sender<Timestamp>,
    permits: Semaphore,
    /// Lists of it whose newest is being read.
    reading: watch::Sender<usize>,
}

/// Held while the newest of a list is being read.
pub struct Reading(Arc<Account>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.reading.send_modify(|n| *n = n.saturating_sub(1));
    }
}

impl Account {
    /// Of a source, which may use this `share` of the vendor's limits; `keeper` keeps what the vendor changes of its
    /// credentials.
    pub fn new(
        source: &Arc<str>,
        of: Arc<list::Account>,
        share: f64,
        keeper: Option<Arc<dyn Keeper>>,
        accounts: &Accounts,
    ) -> Result<Self, NotPulled> {
        let clock = accounts.clock();
        let wire = Wire::new(&of.base_url, of.token.clone(), keeper, clock.clone())?;
        let windows: Vec<Window> = of.windows.iter().map(|window| Window { share, ..window.clone() }).collect();
        let ledger = accounts.ledger(&format!("source/{source}"), Some(of.key.clone()), &windows);
        let (rests, reading) = (watch::Sender::new(Timestamp::MIN), watch::Sender::new(0));
        let permits = Semaphore::new(of.concurrency.clamp(1, 100));
        Ok(Self { clock, source: source.clone(), of, wire, ledger, rests, permits, reading })
    }

    /// Of which source it is.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The duty of calling it.
    pub fn duty(&self) -> String {
        self.ledger.duty()
    }

    /// The newest of a list is read while this is held.
    pub fn reads_newest(self: &Arc<Self>) -> Reading {
        self.reading.send_modify(|n| *n += 1);
        Reading(self.clone())
    }

    /// Returns while nothing new is read.
    pub async fn is_quiet(&self) {
        // The sender is ours: it does not end.
        let _ = self.reading.subscribe().wait_for(|n| *n == 0).await;
    }

    /// One call, when the budget has room for it.
    ///
    /// # Errors
    /// When no answer came, or no token.
    pub async fn call(&self, request: Request) -> Result<Response, Stop> {
        // Closed never.
        let _permit = self.permits.acquire().await;
        loop {
            let rests = *self.rests.borrow();
            if rests <= self.clock.now() {
                break;
            }
            self.clock.until(rests).await;
        }
        let family = request.family.clone();
        let pass = self.ledger.enter(&family, For::Reading, 1).await;
        let pass = pass.map_err(|not_ours| Stop::Retry(not_ours.to_string()))?;
        let answer = self.wire.send(request).await;
        drop(pass);
        let status = match &answer {
            Ok(Answer::Came(response)) => response.status.to_string(),
            Ok(Answer::NotSent(_)) => "not_sent".into(),
            Ok(Answer::Unclear(_)) => "unclear".into(),
            Err(_) => "no_token".into(),
        };
        metrics::counter!("espalier_pull_calls_total", "source" => self.source.to_string(), "status" => status)
            .increment(1);
        match answer {
            Ok(Answer::Came(response)) => {
                let now = self.clock.now();
                if let Some(until) = self.of.heed(&response, now) {
                    self.block(until);
                }
                if let Some(until) = response.retry_after(now).filter(|_| response.status == 429) {
                    self.ledger.block(&family, until, "for reading");
                }
                Ok(response)
            }
            Ok(Answer::NotSent(words) | Answer::Unclear(words)) | Err(TokenError::Unavailable(words)) => {
                Err(Stop::Retry(words))
            }
            Err(refused @ TokenError::Refused(_)) => Err(Stop::Credentials(refused.to_string())),
        }
    }

    /// The vendor's limit is reached: no list of the account asks before then.
    pub fn block(&self, until: Timestamp) {
        self.rests.send_modify(|rests| *rests = until.max(*rests));
    }

    /// The token was refused; true where another one can be fetched. Another list of the account may have forgotten it
    /// already, which does not make the credentials wrong.
    pub async fn forget_token(&self) -> bool {
        self.wire.forget_token().await;
        self.of.token.is_some()
    }
}

/// A refresh token in the store.
pub struct Refresh {
    store: Arc<dyn Store>,
    name: String,
}

impl Refresh {
    /// Of this source.
    pub fn of(source: &str, store: Arc<dyn Store>) -> Arc<dyn Keeper> {
        Arc::new(Self { store, name: format!("pull:{source}:refresh") })
    }
}

#[async_trait::async_trait]
impl Keeper for Refresh {
    async fn kept(&self) -> Result<Option<Secret>, String> {
        let kept = self.store.kept(&self.name).await.map_err(|e| e.to_string())?;
        Ok(kept.and_then(|bytes| String::from_utf8(bytes).ok()).map(Secret::new))
    }

    async fn keep(&self, refresh: &Secret) -> Result<(), String> {
        self.store.keep(&self.name, refresh.expose().as_bytes()).await.map_err(|e| e.to_string())
    }
}
