//! What of a manifest says what is pulled: where a list is, how it is paged, how far it was read, and what its records
//! make.

use std::collections::BTreeMap;

use super::mapped::{Like, OF_MESSAGE, emits, takes};
use crate::manifest::written::{Reading, Table, Value, entries, texts};
use crate::manifest::{Body, Expression, Path, Text};
use crate::model::http::Method;
use crate::model::{Origin, Span};
use crate::source::mapping::Shape;
use crate::source::stream::Makes;

/// Names that a call for a page may use.
const OF_PAGE: &[&str] = &["settings", "window", "page"];
/// Names that a call for what records refer to may use.
const OF_LOOKUP: &[&str] = &["settings", "ids", "inputs"];

/// One list at a vendor.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The call for a page.
    pub call: Call,
    /// Where in the answer the records are; the answer itself, where none is said.
    pub records: Option<Path>,
    /// An empty list is left out of the answer: its absence is no mistake.
    pub empty_is_absent: bool,
    /// How it goes on.
    pub paging: Paging,
    /// How far it was read.
    pub reach: Reach,
    /// How long to rest when all is read.
    pub every: Span,
    /// The field that dates a record: for filtering here, and for the audit.
    pub field: Option<Path>,
    /// What else has to be asked for each page.
    pub lookups: Vec<Lookup>,
    /// Names of what stands beside the records (JSON:API), put into each record that refers to it.
    pub included: Vec<String>,
    /// What is worked out of each record and put into it, for what a path cannot reach.
    pub derive: Vec<(String, Expression)>,
    /// What a record makes.
    pub makes: Makes,
    /// Fields that nobody asks for: the audit does not name them.
    pub unread: Vec<String>,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// GET or POST; PUT and DELETE for what is changed.
    pub method: Method,
    /// Begins with `/`.
    pub path: Text,
    /// Its query.
    pub query: Vec<(String, Text)>,
    /// Its body.
    pub body: Option<Body>,
    /// The budget that it spends.
    pub family: String,
}

/// How a list goes on after its first page.
#[derive(Clone, Debug, PartialEq)]
pub enum Paging {
    /// It does not.
    None,
    /// `Link: <...>; rel="next"`.
    Link,
    /// The address of the next page is in the answer; the last page has none.
    NextUrl {
        /// Where.
        next: Path,
    },
    /// A token for the next page is in the answer.
    Cursor {
        /// Where.
        next: Path,
        /// Where it says whether there is more; the last page has no token, where nothing is said.
        more: Option<Path>,
    },
    /// Pages are numbered.
    Page {
        /// The number of the first.
        first: u64,
        /// Where the answer says how many there are.
        pages: Option<Path>,
        /// Where it says how many records there are.
        total: Option<Path>,
    },
    /// Records are counted.
    Offset {
        /// Where it says how many there are.
        total: Option<Path>,
    },
}

/// How far a list was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// Closed windows of time, one after the other.
    Window(Window),
    /// A token that the vendor gives, which outlives the page.
    Token {
        /// The call that begins.
        begin: Call,
        /// Where its answer has the token.
        next: Path,
    },
}

/// A list that is always read as a whole.
const WHOLE: Reach = Reach::Window(Window {
    time: TimeForm::Seconds,
    overlap: Span::ZERO,
    margin: Span::ZERO,
    slice: Span::MAX,
    filter: Filter::Nobody,
    cap: None,
});

/// Closed windows of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// How instants are written in the call.
    pub time: TimeForm,
    /// So much before the window is read again: what is committed late.
    pub overlap: Span,
    /// A window ends so long before now: what is not yet to be seen.
    pub margin: Span,
    /// A window is at most so long.
    pub slice: Span,
    /// Who leaves out what lies outside of it.
    pub filter: Filter,
    /// Where the answer says how many there are, and how many of them can be listed at most.
    pub cap: Option<(Path, u64)>,
}

/// Who leaves out what lies outside of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The vendor, as it is asked.
    Vendor,
    /// We: the vendor knows no such filter.
    Here,
    /// Nobody: each run is the whole list.
    Nobody,
}

/// How an instant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// `2026-11-23T10:00:00.000Z`
    Millis,
    /// `2026-11-23T10:00:00Z`
    Seconds,
    /// `2026-11-23T10:00:00`: UTC, unsaid
    Bare,
    /// `2026-11-23 10:00:00`: UTC, unsaid
    Spaced,
    /// Milliseconds since 1970
    EpochMillis,
    /// Seconds since 1970
    EpochSeconds,
}

/// What records refer to, asked for a page at a time and put into each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// Where it stands in the record afterwards.
    pub name: String,
    /// Only for records of which this holds.
    pub when: Option<Expression>,
    /// The id in the record.
    pub id: Path,
    /// The call for several.
    pub call: Call,
    /// Ids of one call at most.
    pub most: usize,
    /// Where in the answer they are.
    pub records: Option<Path>,
    /// The id in each; none where one is asked for at a time, and all of the answer is of it.
    pub key: Option<Path>,
    /// Several may be of one record: they stand in it as a list.
    pub is_list: bool,
}

/// What a stream has that it does not say itself: `[every_stream]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    method: Option<Method>,
    path: Option<Text>,
    query: Vec<(String, Text)>,
    body: Option<Body>,
    family: Option<String>,
    records: Option<Path>,
    empty_is_absent: Option<bool>,
    paging: Option<Paging>,
    reach: Option<Reach>,
    every: Option<Span>,
    field: Option<Path>,
    origin: Option<Origin>,
}

impl Part {
    fn over(self, lower: &Self) -> Self {
        let mut query = lower.query.clone();
        for (name, text) in self.query {
            match query.iter_mut().find(|(known, _)| *known == name) {
                Some((_, place)) => *place = text,
                None => query.push((name, text)),
            }
        }
        Self {
            method: self.method.or(lower.method),
            path: self.path.or_else(|| lower.path.clone()),
            query,
            body: self.body.or_else(|| lower.body.clone()),
            family: self.family.or_else(|| lower.family.clone()),
            records: self.records.or_else(|| lower.records.clone()),
            empty_is_absent: self.empty_is_absent.or(lower.empty_is_absent),
            paging: self.paging.or_else(|| lower.paging.clone()),
            reach: self.reach.or_else(|| lower.reach.clone()),
            every: self.every.or(lower.every),
            field: self.field.or_else(|| lower.field.clone()),
            origin: self.origin.or(lower.origin),
        }
    }

    /// A list of it, of whose records nothing is made; none without a path.
    fn plain(self, reach: Reach) -> Option<Stream> {
        Some(Stream {
            call: Call {
                method: self.method.unwrap_or(Method::Get),
                path: self.path?,
                query: self.query,
                body: self.body,
                family: self.family.unwrap_or_default(),
            },
            records: self.records,
            empty_is_absent: self.empty_is_absent.unwrap_or(false),
            paging: self.paging.unwrap_or(Paging::None),
            reach,
            every: self.every.unwrap_or(Span::from_minutes(1)),
            field: self.field,
            lookups: Vec::new(),
            included: Vec::new(),
            derive: Vec::new(),
            makes: Makes { origin: self.origin.unwrap_or(Origin::System), emits: Vec::new(), item: Vec::new() },
            unread: Vec::new(),
        })
    }
}

/// What `[every_stream]` and each stream may say alike.
pub(super) fn part(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Part {
    let methods = [("get", Method::Get), ("post", Method::Post)];
    let origins = [("system", Origin::System), ("email", Origin::Email)];
    let body = table.get("body").and_then(|v| v.body(OF_PAGE, reading));
    let reach = match (table.get("window"), table.get("token")) {
        (Some(window), None) => window.table(reading).map(|t| Reach::Window(self::window(t, reading))),
        (None, Some(token)) => token.table(reading).and_then(|t| self::token(t, reading)),
        (None, None) => None,
        (Some(_), Some(token)) => {
            token.wrong(reading, "stands beside `window`: it is one of them");
            None
        }
    };
    Part {
        method: table.get("method").and_then(|v| v.one_of(&methods, reading)),
        path: table.get("path").and_then(|v| v.template(OF_PAGE, reading)),
        query: texts(table.get("query"), OF_PAGE, reading),
        body,
        family: table.get("family").and_then(|v| v.text(reading)),
        records: table.get("records").and_then(|v| v.path(reading)),
        empty_is_absent: table.get("empty_is_absent").and_then(|v| v.yes_or_no(reading)),
        paging: table.get("paging").and_then(|v| v.table(reading)).and_then(|t| paging(t, reading)),
        reach,
        every: table.get("every").and_then(|v| v.span(reading)),
        field: table.get("field").and_then(|v| v.path(reading)),
        origin: table.get("origin").and_then(|v| v.one_of(&origins, reading)),
    }
}

pub(super) fn stream(
    mut table: Table<'_, '_>,
    every: (&Part, &Shape),
    shapes: &BTreeMap<String, Like<'_, '_>>,
    reading: &mut Reading<'_>,
) -> Option<Stream> {
    let part = part(&mut table, reading).over(every.0);
    let lookups = table.get("lookup").map(|v| v.list(reading)).unwrap_or_default();
    let lookups: Vec<Lookup> = lookups.iter().filter_map(|v| lookup(v.table(reading)?, reading)).collect();
    let included = table.get("included").map(|v| v.list(reading)).unwrap_or_default();
    let included = included.iter().filter_map(|value| value.text(reading)).collect();
    let unread = table.get("unread").map(|v| v.list(reading)).unwrap_or_default();
    let unread = unread.iter().filter_map(|value| value.text(reading)).collect();
    let derive = entries(table.get("derive"), reading);
    let derive =
        derive.into_iter().filter_map(|(name, value)| Some((name, value.expression(OF_MESSAGE, reading)?))).collect();
    let item = takes(table.get("item"), OF_MESSAGE, reading);
    let emits = emits(&mut table, every.1, shapes, reading);
    if emits.is_empty() && item.is_empty() {
        table.wrong(reading, "needs `emit`, `item` or both: what its records make");
    }
    if part.path.is_none() {
        table.wrong(reading, "needs `path`: where the list is");
    }
    let reach = part.reach.clone().unwrap_or(WHOLE);
    if let Reach::Window(Window { filter: Filter::Here, .. }) = &reach
        && part.field.is_none()
    {
        table.wrong(reading, "needs `field`, which dates a record: it is filtered here");
    }
    table.finish(reading);
    let makes = Makes { origin: part.origin.unwrap_or(Origin::System), emits, item };
    Some(Stream { lookups, included, derive, makes, unread, ..part.plain(reach)? })
}

/// A list that is read as a whole, and of which nothing is made.
pub(super) fn whole(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Stream> {
    let call = call(&mut table, OF_PAGE, reading);
    let records = table.get("records").and_then(|v| v.path(reading));
    let paging = table.get("paging").and_then(|v| v.table(reading)).and_then(|t| paging(t, reading));
    table.finish(reading);
    let Call { method, path, query, body, family } = call?;
    let (method, path, family) = (Some(method), Some(path), Some(family));
    Part { method, path, query, body, family, records, paging, ..Part::default() }.plain(WHOLE)
}

/// A call that stands within another table.
pub(super) fn call(table: &mut Table<'_, '_>, known: &[&str], reading: &mut Reading<'_>) -> Option<Call> {
    let methods = [("get", Method::Get), ("post", Method::Post), ("put", Method::Put), ("delete", Method::Delete)];
    let method = table.get("method").and_then(|v| v.one_of(&methods, reading)).unwrap_or(Method::Get);
    let path = table.need("path", reading).and_then(|v| v.template(known, reading));
    let query = texts(table.get("query"), known, reading);
    let body = table.get("body").and_then(|v| v.body(known, reading));
    let family = table.get("family").and_then(|v| v.text(reading)).unwrap_or_default();
    Some(Call { method, path: path?, query, body, family })
}

fn lookup(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Lookup> {
    let name = table.need("name", reading).and_then(|v| v.text(reading));
    let when = table.get("when").and_then(|v| v.expression(&["record"], reading));
    let id = table.need("id", reading).and_then(|v| v.path(reading));
    let call = call(&mut table, OF_LOOKUP, reading);
    let most = table.need("most", reading).and_then(|v| v.whole(1, 10_000, reading));
    let records = table.get("records").and_then(|v| v.path(reading));
    let key = if most == Some(1) { table.get("key") } else { table.need("key", reading) };
    let key = key.and_then(|v| v.path(reading));
    let is_list = table.get("list").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
    table.finish(reading);
    let most = most.and_then(|n| usize::try_from(n).ok());
    Some(Lookup { name: name?, when, id: id?, call: call?, most: most?, records, key, is_list })
}

fn token(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Reach> {
    let begin = call(&mut table, OF_PAGE, reading);
    let next = table.need("next", reading).and_then(|v| v.path(reading));
    table.finish(reading);
    Some(Reach::Token { begin: begin?, next: next? })
}

fn paging(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Paging> {
    #[derive(Clone, Copy)]
    enum Kind {
        None,
        Link,
        NextUrl,
        Cursor,
        Page,
        Offset,
    }
    let kinds = [
        ("none", Kind::None),
        ("link", Kind::Link),
        ("next_url", Kind::NextUrl),
        ("cursor", Kind::Cursor),
        ("page", Kind::Page),
        ("offset", Kind::Offset),
    ];
    let kind = table.need("kind", reading).and_then(|v| v.one_of(&kinds, reading))?;
    let found = |value: Option<Value<'_, '_>>, reading: &mut Reading<'_>| value.and_then(|v| v.path(reading));
    let paging = match kind {
        Kind::None => Some(Paging::None),
        Kind::Link => Some(Paging::Link),
        Kind::NextUrl => found(table.need("next", reading), reading).map(|next| Paging::NextUrl { next }),
        Kind::Cursor => {
            let more = found(table.get("more"), reading);
            found(table.need("next", reading), reading).map(|next| Paging::Cursor { next, more })
        }
        Kind::Page => {
            let first = table.get("first").and_then(|v| v.whole(0, 1, reading)).unwrap_or(1);
            let (pages, total) = (found(table.get("pages"), reading), found(table.get("total"), reading));
            Some(Paging::Page { first, pages, total })
        }
        Kind::Offset => Some(Paging::Offset { total: found(table.get("total"), reading) }),
    };
    table.finish(reading);
    paging
}

fn window(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Window {
    let forms = [
        ("millis", TimeForm::Millis),
        ("seconds", TimeForm::Seconds),
        ("bare", TimeForm::Bare),
        ("spaced", TimeForm::Spaced),
        ("epoch_millis", TimeForm::EpochMillis),
        ("epoch_seconds", TimeForm::EpochSeconds),
    ];
    let filters = [("vendor", Filter::Vendor), ("here", Filter::Here), ("nobody", Filter::Nobody)];
    let span = |name, default, table: &mut Table<'_, '_>, reading: &mut Reading<'_>| {
        table.get(name).and_then(|v| v.span(reading)).unwrap_or(default)
    };
    let overlap = span("overlap", Span::from_minutes(5), &mut table, reading);
    let margin = span("margin", Span::from_secs(30), &mut table, reading);
    let slice = span("slice", Span::from_days(30), &mut table, reading);
    let time = table.get("time").and_then(|v| v.one_of(&forms, reading)).unwrap_or(TimeForm::Seconds);
    let filter = table.get("filter").and_then(|v| v.one_of(&filters, reading)).unwrap_or(Filter::Vendor);
    let cap = table.get("cap").and_then(|v| v.table(reading)).and_then(|mut table| {
        let total = table.need("total", reading).and_then(|v| v.path(reading));
        let most = table.need("most", reading).and_then(|v| v.whole(1, 1_000_000_000, reading));
        table.finish(reading);
        total.zip(most)
    });
    if slice <= overlap {
        table.wrong(reading, "has a `slice` that is not longer than its `overlap`: it would never come forward");
    }
    table.finish(reading);
    Window { time, overlap, margin, slice, filter, cap }
}
