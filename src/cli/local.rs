//! Commands that look into a store: by the running daemon, or by opening it where none runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Failed, opened};
use crate::clock::{Clock, SystemClock};
use crate::model::Mistake;
use crate::ops::{self, Reloaded};
use crate::replay::Report;
use crate::settings::Configured;
use crate::store::Store;
use crate::store::settings::Kind;

/// The way to what is asked for.
pub enum Local {
    /// A daemon runs on this store.
    Daemon(Client),
    /// None does: the store is ours for now.
    Store(Arc<dyn Store>),
}

/// Of the running daemon's local API.
pub struct Client {
    http: reqwest::Client,
    daemon: ops::Running,
}

/// The daemon that runs on the store in `folder`, if one answers.
pub async fn running(folder: &Path) -> Option<Client> {
    let daemon = ops::running(folder)?;
    // The address was read from a file that only we may write: what the daemon shows there is made out to names of it.
    let http =
        reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().tls_danger_accept_invalid_certs(true);
    let client = Client { http: http.build().ok()?, daemon };
    let alive = client.http.get(client.url("/healthz")).send().await.ok()?;
    alive.status().is_success().then_some(client)
}

/// The same, for what nobody but a daemon can do.
pub async fn needed(folder: &Path) -> Result<Client, Failed> {
    running(folder).await.ok_or_else(|| Failed(format!("no daemon runs on the store in {}", folder.display())))
}

impl Local {
    /// Of this configuration's store.
    pub async fn of(configured: &Configured) -> Result<Self, Failed> {
        let path = &configured.settings.store.path;
        let has_files = configured.settings.store.kind == Kind::Embedded;
        if running(path).await.is_none() && has_files && !path.join("journal").exists() {
            return Err(Failed(format!("there is no store in {}; has the daemon run?", path.display())));
        }
        Self::or_new(configured).await
    }

    /// The same; a store that is not there is made.
    pub async fn or_new(configured: &Configured) -> Result<Self, Failed> {
        let settings = &configured.settings.store;
        match running(&settings.path).await {
            Some(client) => Ok(Self::Daemon(client)),
            None => opened::open(settings, SystemClock.now()).await.map(Self::Store),
        }
    }

    /// The store, where it was opened.
    pub async fn close(self) -> Result<(), Failed> {
        match self {
            Self::Daemon(_) => Ok(()),
            Self::Store(store) => store.close().await.map_err(Failed::new),
        }
    }
}

impl Client {
    /// GET, as JSON. `None` for 404.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<T>, Failed> {
        let call = self.http.get(self.url(path)).query(query).bearer_auth(self.daemon.token.expose());
        self.answer(call).await
    }

    /// POST without a body. `None` for 404.
    pub async fn post(&self, path: &str) -> Result<Option<Value>, Failed> {
        self.answer(self.posting(path)).await
    }

    /// POST with a query and without a body, as JSON. `None` for 404.
    pub async fn post_asking<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, Failed> {
        self.answer(self.posting(path).query(query)).await
    }

    /// POST of a question, as JSON both ways. `None` for 404.
    pub async fn ask<B: Serialize, T: DeserializeOwned>(&self, path: &str, question: &B) -> Result<Option<T>, Failed> {
        self.answer(self.posting(path).json(question)).await
    }

    /// POST with a body, as JSON both ways.
    pub async fn send<B: Serialize + ?Sized, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Failed> {
        let answer = self.answer(self.posting(path).json(body)).await?;
        answer.ok_or_else(|| Failed("the daemon does not know this: is it of an earlier version?".into()))
    }

    /// The same, of what takes its time.
    pub async fn send_for<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        limit: Duration,
    ) -> Result<T, Failed> {
        let answer = self.answer(self.posting(path).json(body).timeout(limit)).await?;
        answer.ok_or_else(|| Failed("the daemon does not know this: is it of an earlier version?".into()))
    }

    /// Has stored history tested; or what is wrong in the former version.
    pub async fn backtest(&self, wanted: &ops::BacktestWanted) -> Result<Result<Report, Vec<Mistake>>, Failed> {
        self.judged(self.posting("/api/backtest").json(wanted)).await
    }

    /// Has the trigger files read again.
    pub async fn reload(&self) -> Result<Reloaded, Failed> {
        self.judged(self.posting("/api/triggers/reload")).await
    }

    fn posting(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(self.url(path)).bearer_auth(self.daemon.token.expose())
    }

    /// DELETE. `None` for 404.
    pub async fn delete(&self, path: &str) -> Result<Option<Value>, Failed> {
        self.answer(self.http.delete(self.url(path)).bearer_auth(self.daemon.token.expose())).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.daemon.scheme, self.daemon.address)
    }

    async fn answer<T: DeserializeOwned>(&self, call: reqwest::RequestBuilder) -> Result<Option<T>, Failed> {
        let answer = self.sent(call).await?;
        match answer.status().as_u16() {
            404 => Ok(None),
            200..=299 => self.read(answer).await.map(Some),
            _ => Err(refused(answer).await),
        }
    }

    /// Where files are read, mistakes in them are an answer.
    async fn judged<T: DeserializeOwned>(
        &self,
        call: reqwest::RequestBuilder,
    ) -> Result<Result<T, Vec<Mistake>>, Failed> {
        let answer = self.sent(call).await?;
        match answer.status().as_u16() {
            200..=299 => self.read(answer).await.map(Ok),
            422 => self.read(answer).await.map(Err),
            _ => Err(refused(answer).await),
        }
    }

    async fn sent(&self, call: reqwest::RequestBuilder) -> Result<reqwest::Response, Failed> {
        call.send().await.map_err(|e| self.broken(e))
    }

    async fn read<T: DeserializeOwned>(&self, answer: reqwest::Response) -> Result<T, Failed> {
        answer.json().await.map_err(|e| self.broken(e))
    }

    fn broken(&self, error: reqwest::Error) -> Failed {
        Failed(format!("the daemon at {} does not answer: {}", self.daemon.address, error.without_url()))
    }
}

/// Why the daemon does not, in its words where it has any.
async fn refused(answer: reqwest::Response) -> Failed {
    let status = answer.status().as_u16();
    let said: Value = answer.json().await.unwrap_or_default();
    Failed(said["message"].as_str().map_or_else(|| format!("the daemon answers {status}"), str::to_owned))
}
