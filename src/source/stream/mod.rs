//! A list at a vendor, read to its end again and again: which call comes next, and what its answer holds.
//!
//! Values in, values out. What is kept between calls is a [`Place`]: it lies in the store beside the events of the page
//! that it follows, so that nothing is left out and nothing read twice has an effect.
//!
//! Time windows are of our own clock, corrected by the vendor's: no record moves them, whatever date it claims.

mod account;
mod answer;
mod lookup;
mod paging;
mod place;
mod record;
pub mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use lookup::include;
use serde_json::{Value, json};

pub use account::{Account, NoAccount};
pub use answer::Stop;
pub use lookup::Asked;
pub use place::{Open, Place};
pub use record::{Makes, Mapped, Records};

use super::manifest::stream::{Filter, Paging, Reach, Stream as Declared, TimeForm, Window};
use super::mapping::GRACE;
use crate::manifest::Path;
use crate::model::http::{Method, Request, Response};
use crate::model::{Span, Timestamp};

/// So long before it a list is read again whose token was lost.
const LATE: Span = Span::from_hours(1);

/// A page, read.
#[derive(Debug)]
pub struct Page {
    /// Its records, as they came.
    pub records: Vec<Value>,
    /// Where the list goes on, or that it is at its end.
    pub next: Place,
    /// True when the window is read to its end.
    pub is_end: bool,
}

/// What an answer led to.
#[derive(Debug)]
pub enum Turn {
    /// A page.
    Page(Box<Page>),
    /// Nothing was read; ask again from here.
    Again(Place),
    /// Nothing can be read for now.
    Stop(Stop),
    /// Nothing can be read for now, and then only from here.
    Broken(Place, Stop),
}

/// What is asked next.
#[derive(Debug)]
pub enum Next {
    /// This call.
    Ask(Box<Request>),
    /// Nothing, before then.
    Rest(Timestamp),
}

/// One list of one account.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its name in the manifest.
    pub name: Arc<str>,
    account: Arc<Account>,
    declared: Declared,
}

impl Stream {
    /// Of this account.
    pub fn new(name: &str, account: Arc<Account>, declared: Declared) -> Self {
        Self { name: name.into(), account, declared }
    }

    /// True for a list that has a past to be read: one that is always read as a whole has none.
    pub fn has_past(&self) -> bool {
        self.window().is_none_or(|window| window.filter != Filter::Nobody)
    }

    /// What was said of the connector's settings, but for secrets.
    fn settings(&self) -> &Value {
        self.account.shown.get("settings").unwrap_or(&Value::Null)
    }

    /// As the manifest has it.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    fn window(&self) -> Option<&Window> {
        match &self.declared.reach {
            Reach::Window(window) => Some(window),
            Reach::Token { .. } => None,
        }
    }

    /// Opens the next window where none is open; at rest until there is one. `until` bounds a stretch of the past.
    pub fn open(&self, place: &mut Place, now: Timestamp, until: Option<Timestamp>) -> Result<(), Timestamp> {
        if place.open.is_some() {
            return Ok(());
        }
        let margin = self.window().map_or(Span::ZERO, |window| window.margin);
        // The vendor's clock may be behind ours: what it stamps now would fall behind a window that ends by our now.
        let seen = now - margin - place.behind();
        let end = until.map_or(seen, |until| until.min(seen));
        let is_past = until.is_some();
        let next = place.read + margin + place.behind() + Span::from_secs(1);
        if let Some(until) = until.filter(|until| seen < *until && seen.since(place.read) <= margin) {
            // The last bit of it is read at once, when all of it may be seen.
            return Err(until + margin + place.behind());
        }
        if place.read >= end || (!is_past && now < place.rest) {
            return Err(if is_past { next } else { place.rest.max(next) });
        }
        let (overlap, slice) = match self.window() {
            // A list that cannot be cut is read as a whole, and so once.
            Some(window) if window.filter != Filter::Vendor => (window.overlap, Span::MAX),
            Some(window) => (window.overlap, window.slice),
            None => (Span::ZERO, Span::MAX),
        };
        let from = if is_past && place.pages == 0 { place.read } else { place.read - overlap };
        place.open = Some(Open::new(from, end.min(from + slice)));
        Ok(())
    }

    /// The call for the page at `place`, whose window is open.
    pub fn ask(&self, place: &Place) -> Option<Request> {
        let open = place.open.as_ref()?;
        if let Some(url) = &open.url {
            let path = url.clone();
            return Some(self.account.request(Method::Get, path, Vec::new(), &self.declared.call.family, Vec::new()));
        }
        let form = self.window().map_or(TimeForm::Seconds, |window| window.time);
        let first = if let Paging::Page { first, .. } = self.declared.paging { first } else { 0 };
        let token = match &self.declared.reach {
            Reach::Token { .. } => place.token.as_deref(),
            Reach::Window(_) => open.token.as_deref(),
        };
        let beside = [
            ("window", json!({ "from": written(open.from, form), "until": written(open.until, form) })),
            ("page", json!({ "token": token, "number": first + open.pages, "offset": open.records })),
        ];
        let call = match &self.declared.reach {
            Reach::Token { begin, .. } if token.is_none() => begin,
            _ => &self.declared.call,
        };
        Some(self.account.call(call, &beside))
    }

    /// What the answer to [`Stream::ask`] at `place` holds.
    pub fn read(&self, place: &Place, response: &Response, now: Timestamp) -> Turn {
        let mut place = place.clone();
        place.heed(response, now);
        let mut body = match self.account.judge(response, now) {
            Ok(body) => body,
            Err(Stop::Restart(words)) => return self.begun_again(place, words),
            Err(Stop::Narrow(words)) => return self.narrowed(place, words),
            // What was taken at the list's beginning and is refused in its middle is the place in it.
            Err(Stop::Configuration(words)) if place.is_amid() => return self.begun_again(place, words),
            Err(stop) => return Turn::Stop(stop),
        };
        let Some(mut open) = place.open.take() else { return Turn::Stop(Stop::odd("an answer to nothing")) };
        if let (Reach::Token { next, .. }, None) = (&self.declared.reach, &place.token) {
            // The list is read from the window's beginning on by it.
            let Some(token) = next.get(&body).and_then(crate::manifest::text) else {
                return Turn::Stop(Stop::odd("the answer has no token to begin with"));
            };
            place.token = Some(token);
            place.open = Some(open);
            return Turn::Again(place);
        }
        if let Some((total, most)) = self.window().and_then(|window| window.cap.as_ref())
            && open.pages == 0
            && total.get(&body).and_then(Value::as_u64).is_some_and(|total| total > *most)
        {
            place.open = Some(open);
            return self.narrowed(place, "the window holds more than can be listed".into());
        }
        let records = match self.records(&body) {
            Ok(records) => records,
            Err(words) => return Turn::Stop(Stop::odd(words)),
        };
        let is_repeated = open.is_repeated(records);
        let count = records.len();
        let more = match self.goes_on(&mut open, &mut place, &body, response, count, is_repeated) {
            Ok(more) => more,
            Err(words) => return Turn::Stop(Stop::odd(words)),
        };
        let records = if is_repeated { Vec::new() } else { self.taken(&mut body) };
        let mut records = self.within(records, &open);
        include(&mut records, &self.declared.included, &body);
        open.pages += 1;
        place.pages += 1;
        if more && open.turns_in_circles() {
            return Turn::Stop(Stop::odd("the vendor gives the same place in the list again and again"));
        }
        if more {
            place.open = Some(open);
        } else {
            place.read = place.read.max(open.until);
            place.restarts = 0;
            place.open = open.rest_of_cut();
            place.rest = self.rest(&mut place, now);
        }
        Turn::Page(Box::new(Page { records, next: place, is_end: !more }))
    }

    /// The list of an answer; nothing, where there is `null`.
    fn records<'b>(&self, body: &'b Value) -> Result<&'b [Value], String> {
        let path = self.declared.records.as_ref();
        let is_absent = || self.declared.empty_is_absent && path.is_some_and(|path| path.get(body).is_none());
        if body.is_null() || (body.is_object() && is_absent()) { Ok(&[]) } else { list(path, body) }
    }

    /// The same list, taken out of the answer.
    fn taken(&self, body: &mut Value) -> Vec<Value> {
        let found = match &self.declared.records {
            Some(path) => path.get_mut(body),
            None => Some(body),
        };
        match found {
            Some(Value::Array(records)) => std::mem::take(records),
            _ => Vec::new(),
        }
    }

    /// Those that lie in the window, where the vendor does not see to it.
    fn within(&self, mut records: Vec<Value>, open: &Open) -> Vec<Value> {
        if let (Some(Window { filter: Filter::Here, .. }), Some(field)) = (self.window(), &self.declared.field) {
            // What is later than the window is kept: it is read once more, and has no effect then.
            records.retain(|record| {
                let at = super::mapping::instant(std::slice::from_ref(field), record).ok().flatten();
                at.is_none_or(|at| at >= open.from)
            });
        }
        records
    }

    fn begun_again(&self, mut place: Place, words: String) -> Turn {
        let Some(open) = place.open.take() else { return Turn::Stop(Stop::odd(words)) };
        // A token that is lost knew what came late; another one only knows what is asked of it.
        let late = if place.token.take().is_some() { LATE } else { Span::ZERO };
        place.restarts += 1;
        place.open = Some(open.begun_again(late));
        if place.restarts > 3 {
            let stop = Stop::odd(format!("the list broke off again and again: {words}"));
            return Turn::Broken(place, stop);
        }
        Turn::Again(place)
    }

    fn narrowed(&self, mut place: Place, words: String) -> Turn {
        let Some(open) = place.open.take() else { return Turn::Stop(Stop::odd(words)) };
        match open.halved() {
            Some(half) => {
                place.open = Some(half);
                Turn::Again(place)
            }
            None => {
                place.open = Some(open);
                Turn::Stop(Stop::odd(format!("{words}, and lies in one instant")))
            }
        }
    }

    /// At once again while there is more to catch up with than one rest brings.
    fn rest(&self, place: &mut Place, now: Timestamp) -> Timestamp {
        let margin = self.window().map_or(Span::ZERO, |window| window.margin);
        if place.read + margin + place.behind() + self.declared.every < now {
            return now;
        }
        place.whole = place.read;
        now + self.declared.every
    }

    /// Before this, what is made once for an object was made then.
    pub fn fresh(&self, place: &Place) -> Option<Timestamp> {
        self.window().map(|_| place.whole - GRACE)
    }
}

fn list<'b>(path: Option<&Path>, body: &'b Value) -> Result<&'b [Value], String> {
    let found = match path {
        None => Some(body),
        Some(path) => match path.get(body) {
            Some(found) => Some(found),
            None if path.is_null(body) => return Ok(&[]),
            None => None,
        },
    };
    match found {
        Some(Value::Array(records)) => Ok(records),
        Some(Value::Null) => Ok(&[]),
        _ => {
            let at = path.map_or("the answer itself".to_owned(), |path| format!("`{}`", path.as_str()));
            Err(format!("the answer is not what we know: {at} is no list"))
        }
    }
}

/// An instant as a call writes it.
fn written(at: Timestamp, form: TimeForm) -> Value {
    let text = at.to_string();
    let seconds = text.get(..19).unwrap_or(&text);
    match form {
        TimeForm::Millis => text.into(),
        TimeForm::Seconds => format!("{seconds}Z").into(),
        TimeForm::Bare => seconds.into(),
        TimeForm::Spaced => seconds.replacen('T', " ", 1).into(),
        TimeForm::EpochMillis => at.as_millis().into(),
        TimeForm::EpochSeconds => at.as_millis().div_euclid(1_000).into(),
    }
}
