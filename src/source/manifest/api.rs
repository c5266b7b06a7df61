//! What of a manifest says how a vendor is asked: where, how we are let in, what may be asked how often, and what its
//! answers mean.

use crate::manifest::access::{self, Auth, OF_SETTINGS};
use crate::manifest::answer::{self, Rule};
use crate::manifest::setting::Setting;
use crate::manifest::written::{Reading, Table, texts};
use crate::manifest::{Path, Text};
use crate::model::Span;

/// A call takes at most this long, unless the manifest says otherwise.
const TIMEOUT: Span = Span::from_secs(60);

/// One account at a vendor.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// Scheme, host and the beginning of each path.
    pub base_url: Text,
    /// How we are let in: the first whose settings are given.
    pub auth: Vec<Auth>,
    /// Headers of every call.
    pub headers: Vec<(String, Text)>,
    /// A call takes at most this long.
    pub timeout: Span,
    /// What may be asked how often.
    pub limits: Limits,
    /// What answers mean, the first that fits; the status alone decides where none does.
    pub answers: Vec<Rule<Act>>,
    /// Where an answer has the vendor's own words about an error, in turn.
    pub words: Vec<Path>,
}

/// What may be asked how often.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Calls in a time, by family; an empty name is of all that name none.
    pub windows: Vec<(String, u32, Span)>,
    /// Calls at once.
    pub concurrency: usize,
    /// Headers that say what is left.
    pub left: Option<Left>,
    /// A bucket of points (Shopify's GraphQL).
    pub cost: Option<Cost>,
}

/// Headers that say how many calls are left, and how long until there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// In lower case.
    pub header: String,
    /// In lower case.
    pub reset: String,
    /// Of the number in `reset`.
    pub unit: Span,
    /// So many are left to the vendor's other users.
    pub reserve: u64,
}

/// Where an answer says what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Points that there are now.
    pub available: Path,
    /// Points that come back each second.
    pub restore: Path,
    /// Points that this call asked for.
    pub requested: Path,
}

/// What an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Come again when the vendor says, else after a while: no failure.
    Wait,
    /// Come again after a while that grows.
    Retry,
    /// Fetch a new token, once.
    Renew,
    /// The credentials are refused: a person has to mend it.
    Credentials,
    /// The account may not see this: a person has to mend it.
    Scope,
    /// What is asked does not fit the account: a person has to mend it.
    Configuration,
    /// The place in the list is no more known: begin the window again.
    Restart,
    /// The window holds more than can be listed: ask for half of it.
    Narrow,
    /// There is nothing.
    Empty,
}

impl Act {
    const WORDS: [(&str, Self); 9] = [
        ("wait", Self::Wait),
        ("retry", Self::Retry),
        ("renew", Self::Renew),
        ("credentials", Self::Credentials),
        ("scope", Self::Scope),
        ("configuration", Self::Configuration),
        ("restart", Self::Restart),
        ("narrow", Self::Narrow),
        ("empty", Self::Empty),
    ];
}

pub(super) fn api(mut table: Table<'_, '_>, settings: &[Setting], reading: &mut Reading<'_>) -> Option<Api> {
    let base_url = table.need("base_url", reading).and_then(|v| v.template(OF_SETTINGS, reading));
    let auth = table.need("auth", reading).map(|v| access::several(v, settings, reading)).unwrap_or_default();
    let headers = texts(table.get("headers"), OF_SETTINGS, reading);
    let timeout = table.get("timeout").and_then(|v| v.span(reading)).unwrap_or(TIMEOUT);
    let limits = table.get("limits").and_then(|v| v.table(reading)).map(|t| limits(t, reading)).unwrap_or_default();
    let answers = answer::rules(table.get("answer"), &Act::WORDS, reading);
    let words = table.get("words").and_then(|v| v.paths(reading)).unwrap_or_default();
    table.finish(reading);
    Some(Api { base_url: base_url?, auth, headers, timeout, limits, answers, words })
}

fn limits(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Limits {
    let windows = access::windows(table.get("calls"), reading);
    let concurrency = table.get("concurrency").and_then(|v| v.whole(1, 100, reading));
    let left = table.get("left").and_then(|v| v.table(reading)).and_then(|mut table| {
        let header = table.need("header", reading).and_then(|v| v.text(reading));
        let reset = table.need("reset", reading).and_then(|v| v.text(reading));
        let units = [("ms", Span::from_millis(1)), ("s", Span::from_secs(1))];
        let unit = table.need("unit", reading).and_then(|v| v.one_of(&units, reading));
        let reserve = table.get("reserve").and_then(|v| v.whole(0, 1_000_000_000, reading)).unwrap_or(1);
        table.finish(reading);
        let lower = |text: String| text.to_ascii_lowercase();
        Some(Left { header: lower(header?), reset: lower(reset?), unit: unit?, reserve })
    });
    let cost = table.get("cost").and_then(|v| v.table(reading)).and_then(|mut table| {
        let mut path = |name, table: &mut Table<'_, '_>| table.need(name, reading).and_then(|v| v.path(reading));
        let (available, restore) = (path("available", &mut table), path("restore", &mut table));
        let requested = path("requested", &mut table);
        table.finish(reading);
        Some(Cost { available: available?, restore: restore?, requested: requested? })
    });
    table.finish(reading);
    let concurrency = concurrency.and_then(|n| usize::try_from(n).ok()).unwrap_or(2);
    Limits { windows, concurrency, left, cost }
}
