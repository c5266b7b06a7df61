//! Pulls what a connector's lists hold: ask, read, append with the place, again.
//!
//! One task for each list, and one more for its past. What is new goes first: the past waits while anything new of the
//! account is being read. A page's events and the place after it are one append, so that a crash neither leaves out nor
//! repeats; products and what is set aside are kept before it.

mod account;
pub mod look;
mod page;
mod past;
mod state;
mod stream;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use account::NotPulled;
pub use state::{Doing, StreamState};

use self::account::{Account, Kept};
use self::past::Past;
use self::stream::Pulling;
use crate::clock::SharedClock;
use crate::identity;
use crate::source::audit::{Audit, Findings};
use crate::source::manifest::Connected;
use crate::source::manifest::stream::Stream as Declared;
use crate::source::stream::settings::Settings;
use crate::source::stream::{self as list};
use crate::store::Store;
use tokio::sync::watch;

/// A source's lists, ready to be pulled.
pub struct Source {
    streams: Vec<Pulling>,
}

/// One list, looked at.
#[derive(Clone, Debug)]
pub struct Watching {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    /// The list's name in the connector.
    pub stream: Arc<str>,
    /// What is being done.
    pub state: watch::Receiver<StreamState>,
    /// What its records were seen to hold.
    audit: watch::Receiver<Audit>,
    declared: Arc<Declared>,
}

impl Watching {
    /// What is worth saying of what its records hold.
    pub fn findings(&self) -> Findings {
        self.audit.borrow().findings(&self.declared)
    }
}

/// Under what name a list's audit is kept in the store.
pub fn audit_name(source: &str, stream: &str) -> String {
    format!("audit:{source}:{stream}")
}

impl Source {
    /// The lists of a connector that `settings` name; none, where it is not let in to any.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        name: &str,
        connected: &Connected,
        settings: &Settings,
        names: &identity::Settings,
        store: Arc<dyn Store>,
        clock: SharedClock,
    ) -> Result<Self, NotPulled> {
        let Ok(of) = list::Account::of(&connected.manifest, &connected.given) else {
            return Ok(Self { streams: Vec::new() });
        };
        let name: Arc<str> = name.into();
        let of = Arc::new(of);
        let rotates = of.token.as_ref().is_some_and(|token| token.rotates);
        let keeper = rotates.then(|| Kept::of(&name, store.clone()));
        let account = Arc::new(Account::new(&name, of.clone(), settings.share, keeper, clock)?);
        let wanted = |stream: &str| settings.streams.as_ref().is_none_or(|some| some.iter().any(|one| one == stream));
        let streams =
            connected.manifest.streams.iter().filter(|(stream, _)| wanted(stream)).map(|(stream, declared)| {
                let mut declared = declared.clone();
                declared.every = settings.every.unwrap_or(declared.every);
                let stream = list::Stream::new(stream, of.clone(), declared);
                Pulling::new(name.clone(), stream, (account.clone(), store.clone()), settings.start, names.clone())
            });
        Ok(Self { streams: streams.collect() })
    }

    /// Its lists, to be looked at.
    pub fn watching(&self) -> Vec<Watching> {
        self.streams.iter().map(Pulling::watching).collect()
    }

    /// Pulls until `stop`. A page that was begun is kept.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for stream in self.streams {
            let stream = Arc::new(stream);
            tasks.spawn(Past::run(stream.clone(), stop.clone()));
            let stop = stop.clone();
            tasks.spawn(async move { stream.run(stop).await });
        }
        while tasks.join_next().await.is_some() {}
    }
}
