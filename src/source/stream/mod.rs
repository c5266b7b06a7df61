//! A list at a vendor, read to its end again and again: which call comes next, and what its answer holds.
//!
//! Values in, values out. What is kept between calls is a [`Place`]: it lies in the store beside the events of the page
//! that it follows, so that nothing is left out and nothing read twice has an effect.
//!
//! Time windows are of our own clock, corrected by the vendor's: no record moves them, whatever date it claims.

mod answer;
mod place;
mod record;
pub mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Value, json};

pub use answer::Stop;
pub use place::{Open, Place};
pub use record::{Makes, Mapped, Records};

use super::manifest::Manifest;
use super::manifest::api::{self, Api};
use super::manifest::setting::Given;
use super::manifest::stream::{Call, Filter, Lookup, Paging, Reach, Stream as Declared, TimeForm, Window};
use super::mapping::{Expression, GRACE, Path, Seen};
use crate::model::http::{Auth, Method, Name, Pace, Request, Response, TokenRequest, Window as Budget};
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};

/// So long before it a list is read again whose token was lost.
const LATE: Span = Span::from_hours(1);

/// An account at a vendor, as a configuration has it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where it is: scheme, host and the beginning of each path.
    pub base_url: String,
    /// How a token is fetched, where it needs one.
    pub token: Option<TokenRequest>,
    /// What may be asked how often.
    pub windows: Vec<Budget>,
    /// Calls at once.
    pub concurrency: usize,
    api: Api,
    auth: Auth,
    shown: Value,
}

/// Why no account can be made of what was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAccount {
    /// The connector only listens.
    #[error("the connector `{0}` has nothing that is pulled")]
    Listens(String),
    /// None of the ways to be let in has its settings.
    #[error("no credentials: {0}")]
    Credentials(String),
    /// The address makes no sense.
    #[error("the address of its API cannot be made of these settings")]
    Address,
}

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

/// What a call for what records refer to asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The lookup's place among those of its list.
    pub number: usize,
    /// These of its ids.
    pub ids: Vec<String>,
}

/// What is asked next.
#[derive(Debug)]
pub enum Next {
    /// This call.
    Ask(Box<Request>),
    /// Nothing, before then.
    Rest(Timestamp),
}

impl Account {
    /// Of a connector, as it is configured.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(manifest: &Manifest, given: &Given) -> Result<Self, NoAccount> {
        let api = manifest.api.clone().ok_or_else(|| NoAccount::Listens(manifest.name.clone()))?;
        let shown = json!({ "settings": given.all_shown() });
        let seen = Seen::of(&shown);
        let base_url = api.base_url.text(&seen).filter(|url| url.starts_with("http")).ok_or(NoAccount::Address)?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        let way = api.auth.iter().find(|way| way.needs().iter().all(|name| given.has(name)));
        let Some(way) = way else {
            let ways: Vec<String> = api.auth.iter().map(|way| format!("`{}`", way.needs().join("` and `"))).collect();
            return Err(NoAccount::Credentials(format!("set {}", ways.join(", or "))));
        };
        let said = |name: &str| {
            let secret = given.secret(name).cloned();
            secret.or_else(|| given.shown(name).map(Secret::new)).unwrap_or_else(|| Secret::new(""))
        };
        let (auth, token) = match way {
            api::Auth::Header { header, secret } => (Auth::Named(header.clone(), said(secret)), None),
            api::Auth::Bearer { secret, scheme: None } => (Auth::Header("Bearer", said(secret)), None),
            api::Auth::Bearer { secret, scheme: Some(scheme) } => {
                let value = Secret::new(format!("{scheme} {}", said(secret).expose()));
                (Auth::Named("authorization".to_owned(), value), None)
            }
            api::Auth::Basic { user, password } => {
                let pair = format!("{}:{}", said(user).expose(), said(password).expose());
                let pair = base64::engine::general_purpose::STANDARD.encode(pair);
                (Auth::Header("Basic", Secret::new(pair)), None)
            }
            api::Auth::Token { path, fields, secrets, form, life, header, rotates } => {
                let token = TokenRequest {
                    path: path.text(&seen).unwrap_or_default(),
                    fields: named(fields, &seen),
                    secrets: secrets.iter().map(|(name, of)| (Name::from(name.clone()), said(of))).collect(),
                    form: *form,
                    life: *life,
                    header: header.clone(),
                    rotates: *rotates,
                };
                (Auth::Token, Some(token))
            }
        };
        let windows = api.limits.windows.iter().map(|(family, calls, span)| Budget {
            family: family.clone().into(),
            calls: *calls,
            span: *span,
            pace: Pace::Steady,
        });
        let (windows, concurrency) = (windows.collect(), api.limits.concurrency.max(1));
        Ok(Self { base_url, token, windows, concurrency, api, auth, shown })
    }

    /// A call with what `beside` the settings its texts may use.
    pub(super) fn call(&self, call: &Call, beside: &[(&str, Value)]) -> Request {
        let mut names = self.shown.as_object().cloned().unwrap_or_default();
        names.extend(beside.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let seen = Seen::of(&Value::Object(names));
        let body = call.body.as_ref().map(|body| body.value(&seen).to_string().into_bytes()).unwrap_or_default();
        self.request(
            call.method,
            call.path.text(&seen).unwrap_or_default(),
            body,
            &call.family,
            named(&call.query, &seen),
        )
    }

    fn request(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
        family: &str,
        query: Vec<(Name, String)>,
    ) -> Request {
        Request {
            method,
            path,
            query,
            headers: named(&self.api.headers, &Seen::of(&self.shown)),
            content_type: "application/json",
            auth: self.auth.clone(),
            body,
            family: family.to_owned().into(),
            timeout: self.api.timeout,
        }
    }
}

fn named(texts: &[(String, super::text::Text)], seen: &Seen) -> Vec<(Name, String)> {
    texts.iter().filter_map(|(name, text)| Some((Name::from(name.clone()), text.text(seen)?))).collect()
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
        let body = match self.account.judge(response, now) {
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
            let Some(token) = next.get(&body).and_then(super::mapping::text) else {
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
        let is_repeated = open.is_repeated(&records);
        let more = match self.goes_on(&mut open, &mut place, &body, response, records.len(), is_repeated) {
            Ok(more) => more,
            Err(words) => return Turn::Stop(Stop::odd(words)),
        };
        let mut records = if is_repeated { Vec::new() } else { self.within(records, &open) };
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
    fn records(&self, body: &Value) -> Result<Vec<Value>, String> {
        let path = self.declared.records.as_ref();
        let is_absent = || self.declared.empty_is_absent && path.is_some_and(|path| path.get(body).is_none());
        if body.is_null() || (body.is_object() && is_absent()) { Ok(Vec::new()) } else { list(path, body) }
    }

    /// Moves on; false at the end.
    fn goes_on(
        &self,
        open: &mut Open,
        place: &mut Place,
        body: &Value,
        response: &Response,
        records: usize,
        is_repeated: bool,
    ) -> Result<bool, String> {
        open.records += records as u64;
        let number = |path: &Path| path.get(body).and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
        let cursor = |next: &Path, more: Option<&Path>| {
            let token = next.get(body).and_then(super::mapping::text);
            let is_more = more.map(|more| more.get(body).is_some_and(is_true));
            (token, is_more)
        };
        if let (Reach::Token { .. }, Paging::Cursor { next, more }) = (&self.declared.reach, &self.declared.paging) {
            let (token, is_more) = cursor(next, more.as_ref());
            place.token = token.or(place.token.take());
            open.mark(place.token.as_deref().unwrap_or_default());
            return Ok(is_more.unwrap_or(false));
        }
        // A vendor that gives the last page again and again where there is no other (Magento) is at its end.
        let counted = |total: Option<u64>, seen: u64| match total {
            _ if is_repeated || records == 0 => false,
            Some(total) => seen < total,
            None => true,
        };
        Ok(match &self.declared.paging {
            Paging::None => false,
            Paging::Link => self.leads(open, link(response.header("link").unwrap_or_default()))?,
            Paging::NextUrl { next } => self.leads(open, next.get(body).and_then(super::mapping::text))?,
            Paging::Cursor { next, more } => {
                let (token, is_more) = cursor(next, more.as_ref());
                match (token, is_more) {
                    (_, Some(false)) | (None, None) => false,
                    (None, Some(true)) => return Err("the answer says that there is more, and not where".into()),
                    (Some(token), _) => {
                        open.mark(&token);
                        open.token = Some(token);
                        true
                    }
                }
            }
            Paging::Page { pages, total, .. } => match pages.as_ref().and_then(number) {
                Some(pages) => !is_repeated && open.pages + 1 < pages,
                None => counted(total.as_ref().and_then(number), open.records),
            },
            Paging::Offset { total } => counted(total.as_ref().and_then(number), open.records),
        })
    }

    /// Follows an address, which must be of the same account: anything else would be given our credentials.
    fn leads(&self, open: &mut Open, url: Option<String>) -> Result<bool, String> {
        let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(false) };
        let base = &self.account.base_url;
        let host = base.find("://").and_then(|at| base.get(at + 3..)?.find('/').map(|slash| at + 3 + slash));
        let (origin, beneath) = base.split_at(host.unwrap_or(base.len()));
        let path = match url.strip_prefix(origin) {
            Some(path) => path,
            None if url.starts_with('/') && !url.starts_with("//") => &url,
            None => return Err("the next page is said to be at another host".into()),
        };
        let path = path.strip_prefix(beneath).ok_or("the next page is said to be outside of the API")?;
        if !path.starts_with(['/', '?']) {
            return Err("the next page is said to be at another host".into());
        }
        open.mark(path);
        open.url = Some(path.to_owned());
        Ok(true)
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

    /// What the lookup of this number has to ask for these records: a call for each part of their ids. One lookup may
    /// ask for what another has found, so each is asked when those before it are answered.
    pub fn lookups(&self, number: usize, records: &[Value]) -> Vec<(Asked, Request)> {
        let Some(lookup) = self.declared.lookups.get(number) else { return Vec::new() };
        let mut ids: Vec<String> = records.iter().filter_map(|record| lookup.of(record)).collect();
        ids.sort_unstable();
        ids.dedup();
        let call = |ids: &[String]| {
            let inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            let beside = [("ids", json!(ids.join(","))), ("inputs", Value::Array(inputs))];
            (Asked { number, ids: ids.to_vec() }, self.account.call(&lookup.call, &beside))
        };
        ids.chunks(lookup.most.max(1)).map(call).collect()
    }

    /// Puts what a lookup's answer holds into the records that refer to it.
    ///
    /// # Errors
    /// Why nothing can be read for now.
    pub fn look_up(
        &self,
        asked: &Asked,
        response: &Response,
        records: &mut [Value],
        now: Timestamp,
    ) -> Result<(), Stop> {
        let Some(lookup) = self.declared.lookups.get(asked.number) else { return Ok(()) };
        let body = self.account.judge(response, now)?;
        let all = if body.is_null() { Vec::new() } else { list(lookup.records.as_ref(), &body).map_err(Stop::odd)? };
        let mut found: std::collections::HashMap<String, Vec<Value>> = std::collections::HashMap::new();
        for one in all {
            let id = match &lookup.key {
                Some(key) => key.get(&one).and_then(super::mapping::text),
                None => asked.ids.first().cloned(),
            };
            if let Some(id) = id {
                found.entry(id).or_default().push(one);
            }
        }
        for record in records {
            let Some(mut of) = lookup.of(record).and_then(|id| found.get(&id)).cloned() else { continue };
            let value = if lookup.is_list { Value::Array(of) } else { of.pop().unwrap_or_default() };
            if let Value::Object(entries) = record {
                entries.insert(lookup.name.clone(), value);
            }
        }
        Ok(())
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

impl Lookup {
    /// The id that a record refers to, where it is to be asked for.
    fn of(&self, record: &Value) -> Option<String> {
        let id = super::mapping::text(self.id.get(record)?)?;
        let when = |when: &Expression| when.holds(&Seen::of(&json!({ "record": record }))).unwrap_or(false);
        self.when.as_ref().is_none_or(when).then_some(id)
    }
}

fn list(path: Option<&Path>, body: &Value) -> Result<Vec<Value>, String> {
    let found = match path {
        None => Some(body),
        Some(path) => match path.get(body) {
            Some(found) => Some(found),
            None if path.is_null(body) => return Ok(Vec::new()),
            None => None,
        },
    };
    match found {
        Some(Value::Array(records)) => Ok(records.clone()),
        Some(Value::Null) => Ok(Vec::new()),
        _ => {
            let at = path.map_or("the answer itself".to_owned(), |path| format!("`{}`", path.as_str()));
            Err(format!("the answer is not what we know: {at} is no list"))
        }
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::String(text) => text == "true",
        _ => false,
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

/// The address that a `Link` header calls the next (RFC 8288).
fn link(header: &str) -> Option<String> {
    header.split(',').find_map(|one| {
        let (address, rest) = one.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = rest.split(';').any(|part| {
            part.trim()
                .split_once('=')
                .is_some_and(|(name, value)| name.trim() == "rel" && value.trim().trim_matches('"') == "next")
        });
        is_next.then(|| address.to_owned())
    })
}

/// Puts what stands beside the records (JSON:API's `included`) into those that refer to it.
fn include(records: &mut [Value], names: &[String], body: &Value) {
    let key = |value: &Value| Some((value.get("type")?.as_str()?.to_owned(), value.get("id")?.as_str()?.to_owned()));
    let beside = body.get("included").and_then(Value::as_array).into_iter().flatten();
    let beside: std::collections::HashMap<(String, String), &Value> =
        beside.filter_map(|value| Some((key(value)?, value))).collect();
    for record in records {
        let found: Vec<(String, Value)> = names
            .iter()
            .filter_map(|name| {
                let of = record.get("relationships")?.get(name)?.get("data")?;
                Some((name.clone(), (*beside.get(&key(of)?)?).clone()))
            })
            .collect();
        if let Value::Object(entries) = record {
            entries.extend(found);
        }
    }
}
