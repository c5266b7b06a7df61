//! One page: asked for, read, with what its records refer to, and mapped.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::account::Account;
use crate::identity;
use crate::model::Timestamp;
use crate::model::http::Response;
use crate::source::stream::{Mapped, Page, Place, Records, Stop, Stream, Turn};
use crate::source::{Arrival, Limits};

/// The answer to the next call of a list, asked for while the page before it is being kept. Never more than one.
#[derive(Default)]
pub struct Ahead(Option<AbortOnDropHandle<Result<Response, Stop>>>);

impl Ahead {
    /// Asks for the page at `place`, which nobody moves meanwhile.
    pub fn ask(&mut self, stream: &Stream, account: &Arc<Account>, place: &Place) {
        let account = account.clone();
        self.0 = stream
            .ask(place)
            .map(|request| AbortOnDropHandle::new(tokio::spawn(async move { account.call(request).await })));
    }
}

/// The page at `place`; nothing where it only has to be asked again, from where `place` then is.
///
/// # Errors
/// Why nothing can be read for now.
pub async fn fetch(
    stream: &Stream,
    account: &Account,
    place: &mut Place,
    ahead: &mut Ahead,
) -> Result<Option<Page>, Stop> {
    let response = match ahead.0.take() {
        Some(asked) => asked.await.map_err(|_| Stop::Retry("the call was given up".into()))??,
        None => {
            let Some(request) = stream.ask(place) else { return Ok(None) };
            account.call(request).await?
        }
    };
    let mut page = match stream.read(place, &response, account.clock.now()) {
        Turn::Page(page) => *page,
        Turn::Again(next) => {
            *place = next;
            return Ok(None);
        }
        Turn::Stop(stop) => return Err(stop),
        Turn::Broken(next, stop) => {
            *place = next;
            return Err(stop);
        }
    };
    for number in 0..stream.declared().lookups.len() {
        for (asked, request) in stream.lookups(number, &page.records) {
            let response = account.call(request).await?;
            stream.look_up(&asked, &response, &mut page.records, account.clock.now())?;
        }
    }
    Ok(Some(page))
}

/// What a page that was asked for at `place` makes.
pub fn map(
    stream: &Stream,
    page: &Page,
    place: &Place,
    (source, names): (&Arc<str>, &identity::Settings),
    now: Timestamp,
) -> Mapped {
    // The bounds are of requests that come in; a record is one message.
    let limits = Limits { message: usize::MAX, messages: usize::MAX };
    let arrival = Arrival { source, at: now, names, limits: &limits };
    stream.map(Records { records: &page.records, fresh: stream.fresh(place) }, &arrival)
}
