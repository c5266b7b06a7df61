//! Pulls what a connector's lists hold: ask, read, append with the place, again.
//!
//! One task for each list, and one more for its past. What is new goes first: the past waits while anything new of the
//! account is being read. A page's events and the place after it are one append, so that a crash neither leaves out nor
//! repeats; products and what is set aside are kept before it.

mod account;
mod kept;
mod past;
mod process;
mod recent;
mod state;
mod stream;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use account::NotPulled;
pub use process::Process;
pub use state::{Doing, StreamState};

use self::account::Account;
use self::past::Past;
use self::stream::Pulling;
use crate::clock::SharedClock;
use crate::identity;
use crate::source::manifest::Connected;
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
        let account = Arc::new(Account::new(&name, of.clone(), settings.share, store, clock)?);
        let wanted = |stream: &str| settings.streams.as_ref().is_none_or(|some| some.iter().any(|one| one == stream));
        let streams =
            connected.manifest.streams.iter().filter(|(stream, _)| wanted(stream)).map(|(stream, declared)| {
                let mut declared = declared.clone();
                declared.every = settings.every.unwrap_or(declared.every);
                let stream = list::Stream::new(stream, of.clone(), declared);
                Pulling::new(name.clone(), stream, account.clone(), settings.start, names.clone())
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
