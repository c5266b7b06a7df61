//! A list looked at by hand: a page at a time, nothing kept.

use std::sync::Arc;

use super::account::{Account, NotPulled};
use super::page;
use crate::clock::SharedClock;
use crate::identity;
use crate::model::{Span, Timestamp};
use crate::quota::Accounts;
use crate::source::manifest::Connected;
use crate::source::stream::{self as list, Mapped, NoAccount, Place, Stop};

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum NotLooked {
    /// There are no credentials.
    #[error(transparent)]
    NoAccount(#[from] NoAccount),
    /// There is no way out.
    #[error(transparent)]
    NotPulled(#[from] NotPulled),
    /// Its credentials change with each use, and nobody would keep the new ones.
    #[error("the vendor changes the refresh token with each use, so only the daemon may use it")]
    Rotates,
}

/// An account, looked at.
pub struct Look {
    account: Arc<list::Account>,
    way: Account,
    source: Arc<str>,
    names: identity::Settings,
}

/// A page, with what its records make.
pub struct Seen {
    /// As they came.
    pub records: Vec<serde_json::Value>,
    /// What they make.
    pub mapped: Mapped,
    /// True when there is no other page.
    pub is_end: bool,
}

/// One list of it, at a place.
pub struct Looking<'l> {
    look: &'l Look,
    stream: list::Stream,
    place: Place,
    until: Timestamp,
}

impl Look {
    /// At the account of this source.
    ///
    /// # Errors
    /// Why there is none.
    pub fn at(
        source: &str,
        connected: &Connected,
        names: &identity::Settings,
        clock: SharedClock,
    ) -> Result<Self, NotLooked> {
        let account = Arc::new(list::Account::of(&connected.manifest, &connected.given)?);
        if account.token.as_ref().is_some_and(|token| token.rotates) {
            return Err(NotLooked::Rotates);
        }
        let source: Arc<str> = source.into();
        let accounts = Accounts::new(None, clock);
        let way = Account::new(&source, account.clone(), 1.0, None, &accounts)?;
        Ok(Self { account, way, source, names: names.clone() })
    }

    /// A list of it, as far as it changed within the last `back`.
    pub fn list(&self, name: &str, connected: &Connected, back: Span) -> Option<Looking<'_>> {
        let declared = connected.manifest.streams.get(name)?.clone();
        let stream = list::Stream::new(name, self.account.clone(), declared);
        let now = self.way.clock.now();
        Some(Looking { look: self, stream, place: Place::at(now - back), until: now })
    }
}

impl Looking<'_> {
    /// The list.
    pub fn stream(&self) -> &list::Stream {
        &self.stream
    }

    /// The next page; none at the end.
    ///
    /// # Errors
    /// Why nothing can be read.
    pub async fn next(&mut self) -> Result<Option<Seen>, Stop> {
        let (way, now) = (&self.look.way, self.look.way.clock.now());
        loop {
            if self.stream.open(&mut self.place, now, Some(self.until)).is_err() {
                return Ok(None);
            }
            let Some(page) = page::fetch(&self.stream, way, &mut self.place, &mut page::Ahead::default()).await? else {
                continue;
            };
            let of = (&self.look.source, &self.look.names);
            let mapped = page::map(&self.stream, &page, &self.place, of, now);
            self.place = page.next;
            return Ok(Some(Seen { records: page.records, mapped, is_end: page.is_end }));
        }
    }
}
