//! Pulls what a connector's lists hold: ask, read, append with the place, again.
//!
//! One task for each list, and one more for its past. What is new goes first: the past waits while anything new of the
//! account is being read. A page's events and the place after it are one append, so that a crash neither leaves out nor
//! repeats; products and what is set aside are kept before it.
//!
//! Beside the lists, a watchdog sees that the subscriptions to webhooks are there, and has the gap read where one was lost.

mod account;
mod behind;
mod kept;
pub mod look;
mod night;
mod page;
mod past;
mod process;
mod quiet;
mod recent;
mod state;
mod stream;
mod watchdog;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use account::NotPulled;
pub use night::{Missing, NightRead, Reread};
pub use process::{Brought, Process, Rerun};
pub use quiet::{Ear, Heard, Listening};
pub use state::{Doing, HooksState, StreamState};

use self::account::{Account, Refresh};
use self::past::Past;
use self::stream::Pulling;
use self::watchdog::Watchdog;
use crate::identity;
use crate::model::Span;
use crate::quota::Accounts;
use crate::source::audit::Audit;
pub use crate::source::audit::Findings;
use crate::source::manifest::Connected;
use crate::source::manifest::stream::Stream as Declared;
use crate::source::stream::settings::Settings;
use crate::source::stream::{self as list};
use crate::source::subscriptions::{self, Subscriptions};
use crate::store::{Duties, Store};
use tokio::sync::watch;

/// A source's lists, ready to be pulled, and its subscriptions to webhooks.
pub struct Source {
    streams: Vec<Pulling>,
    /// The account of all of them; none, where nobody lets us in.
    account: Option<(Arc<list::Account>, Arc<Account>)>,
    store: Arc<dyn Store>,
    watchdog: Option<Watchdog>,
}

/// A source's subscriptions to webhooks, looked at.
#[derive(Clone, Debug)]
pub struct WatchingHooks {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    /// How they are.
    pub state: watch::Receiver<HooksState>,
}

/// One list, looked at.
#[derive(Clone, Debug)]
pub struct Watching {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    /// The list's name in the connector.
    pub stream: Arc<str>,
    /// How often it is read.
    pub every: Span,
    /// What is being done.
    pub state: watch::Receiver<StreamState>,
    /// What its records were seen to hold.
    audited: Option<(watch::Receiver<Audit>, Arc<Declared>)>,
}

impl Watching {
    /// What is worth saying of what its records hold; none, for what is not read by a manifest.
    pub fn findings(&self) -> Option<Findings> {
        self.audited.as_ref().map(|(audit, declared)| audit.borrow().findings(declared))
    }
}

/// Under what name a list's audit is kept in the store.
pub fn audit_name(source: &str, stream: &str) -> String {
    format!("audit:{source}:{stream}")
}

impl Source {
    /// The lists of a connector that `settings` name; none, where it is not let in to any. Of `accounts` it shares the
    /// ledger of whoever calls the same one.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        name: &str,
        connected: &Connected,
        settings: &Settings,
        names: &identity::Settings,
        store: Arc<dyn Store>,
        accounts: &Accounts,
    ) -> Result<Self, NotPulled> {
        let Ok(of) = list::Account::of(&connected.manifest, &connected.given) else {
            return Ok(Self { streams: Vec::new(), account: None, store, watchdog: None });
        };
        let name: Arc<str> = name.into();
        let of = Arc::new(of);
        let rotates = of.token.as_ref().is_some_and(|token| token.rotates);
        let keeper = rotates.then(|| Refresh::of(&name, store.clone()));
        let account = Arc::new(Account::new(&name, of.clone(), settings.share, keeper, accounts)?);
        let wanted = |stream: &str| settings.streams.as_ref().is_none_or(|some| some.iter().any(|one| one == stream));
        let streams =
            connected.manifest.streams.iter().filter(|(stream, _)| wanted(stream)).map(|(stream, declared)| {
                let mut declared = declared.clone();
                declared.every = settings.every.unwrap_or(declared.every);
                let stream = list::Stream::new(stream, of.clone(), declared);
                Pulling::new(name.clone(), stream, (account.clone(), store.clone()), settings.start, names.clone())
            });
        let streams = streams.collect();
        Ok(Self { streams, account: Some((of, account)), store, watchdog: None })
    }

    /// Sees to its subscriptions to webhooks too, where `settings` say an address for them.
    #[must_use]
    pub fn managing(mut self, name: &str, connected: &Connected, settings: Option<&subscriptions::Settings>) -> Self {
        if let (Some((of, account)), Some(settings)) = (&self.account, settings) {
            let Connected { manifest, given } = connected;
            let managed = Subscriptions::of(manifest, given, of.clone(), settings);
            let lists = self.streams.iter().filter(|one| one.stream.has_past());
            let lists = lists.map(|one| (one.stream.name.clone(), one.again.0.clone())).collect();
            let with = (account.clone(), self.store.clone());
            self.watchdog = managed.map(|of| Watchdog::new(name.into(), of, with, settings.every, lists));
        }
        self
    }

    /// Its subscriptions, to be looked at, where they are managed.
    pub fn watching_hooks(&self) -> Option<WatchingHooks> {
        self.watchdog.as_ref().map(Watchdog::watching)
    }

    /// Its lists, to be looked at.
    pub fn watching(&self) -> Vec<Watching> {
        self.streams.iter().map(Pulling::watching).collect()
    }

    /// Its lists, to be read again at night: those whose past can be asked for.
    pub fn reread(&self) -> impl Iterator<Item = Reread> {
        self.streams.iter().filter(|one| one.stream.has_past()).map(|one| Reread {
            source: one.source.clone(),
            stream: one.stream.name.clone(),
            again: one.again.0.clone(),
            state: one.state.subscribe(),
        })
    }

    /// What comes of each of its lists.
    pub fn ears(&self) -> impl Iterator<Item = Ear> {
        self.streams.iter().map(|one| Ear {
            source: one.source.clone(),
            stream: Some((one.stream.name.clone(), one.state.subscribe())),
            tally: one.tally.clone(),
        })
    }

    /// Pulls until `stop`, while that is ours to do: of the daemons that share a store the one that calls the account. A
    /// page that was begun is kept.
    pub async fn run(self, stop: CancellationToken) {
        let Some((_, account)) = self.account else { return };
        let names = [account.duty(), format!("pull:{}", account.source())];
        let (mut duties, watchdog) = (Duties::new(self.store, names), self.watchdog.map(Arc::new));
        let streams: Vec<Arc<Pulling>> = self.streams.into_iter().map(Arc::new).collect();
        let elsewhere = || {
            for stream in &streams {
                stream.state.send_modify(StreamState::is_elsewhere);
            }
            if let Some(watchdog) = &watchdog {
                watchdog.is_elsewhere();
            }
        };
        while let Some(on) = duties.next(&stop, elsewhere).await {
            let mut tasks = JoinSet::new();
            if let Some(watchdog) = &watchdog {
                tasks.spawn(watchdog.clone().run(on.duty(), on.stop().clone()));
            }
            for stream in &streams {
                stream.is_ours(on.duty());
                tasks.spawn(Past::run(stream.clone(), on.stop().clone()));
                tasks.spawn(stream.clone().run(on.stop().clone()));
            }
            while tasks.join_next().await.is_some() {}
        }
    }
}
