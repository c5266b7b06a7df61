//! What of a manifest says how a vendor is asked: where, how we are let in, what may be asked how often, and what its
//! answers mean.

use super::mapped::entries;
use super::setting::{Setting, SettingKind};
use super::written::{Reading, Table, Value};
use crate::model::Span;
use crate::model::http::TokenForm;
use crate::source::mapping::Path;
use crate::source::text::Text;

/// Names that an address may use.
const OF_SETTINGS: &[&str] = &["settings"];
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
    pub answers: Vec<Rule>,
    /// Where an answer has the vendor's own words about an error, in turn.
    pub words: Vec<Path>,
}

/// How we are let in.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// `<header>: <secret>`
    Header {
        /// The header.
        header: String,
        /// The setting.
        secret: String,
    },
    /// `Authorization: Bearer <secret>`
    Bearer {
        /// The setting.
        secret: String,
        /// The word before it, where that is another.
        scheme: Option<String>,
    },
    /// `Authorization: Basic ...`
    Basic {
        /// The setting with the name.
        user: String,
        /// The setting with the password.
        password: String,
    },
    /// A token that is fetched (RFC 6749: client credentials, refresh token).
    Token {
        /// Where.
        path: Text,
        /// Fields that are no secret.
        fields: Vec<(String, Text)>,
        /// Fields that are, and their settings.
        secrets: Vec<(String, String)>,
        /// How they are sent.
        form: TokenForm,
        /// The life of a token whose answer does not say it.
        life: Span,
        /// The header that carries it.
        header: Option<String>,
        /// Each answer may bring another refresh token.
        rotates: bool,
    },
}

impl Auth {
    /// The settings that it needs.
    pub fn needs(&self) -> Vec<&str> {
        match self {
            Self::Header { secret, .. } | Self::Bearer { secret, .. } => vec![secret],
            Self::Basic { user, password } => vec![user, password],
            Self::Token { secrets, .. } => secrets.iter().map(|(_, setting)| setting.as_str()).collect(),
        }
    }
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

/// What an answer means.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Of these statuses; of any, where none is named.
    pub status: Vec<u16>,
    /// Where in the body to look; the answer fits when something other than null, false or an empty list is there.
    pub path: Option<Path>,
    /// It must be one of these, where they are named.
    pub is: Vec<String>,
    /// What to do then.
    pub act: Act,
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
    let mut auth = Vec::new();
    if let Some(value) = table.need("auth", reading) {
        let several = if value.is_list() { value.list(reading) } else { vec![value] };
        auth.extend(several.iter().filter_map(|value| self::auth(value.table(reading)?, settings, reading)));
    }
    let headers = texts(table.get("headers"), OF_SETTINGS, reading);
    let timeout = table.get("timeout").and_then(|v| v.span(reading)).unwrap_or(TIMEOUT);
    let limits = table.get("limits").and_then(|v| v.table(reading)).map(|t| limits(t, reading)).unwrap_or_default();
    let answers = table.get("answer").map(|v| v.list(reading)).unwrap_or_default();
    let answers = answers.iter().filter_map(|value| rule(value.table(reading)?, reading)).collect();
    let words = table.get("words").and_then(|v| super::mapped::paths(&v, reading)).unwrap_or_default();
    table.finish(reading);
    Some(Api { base_url: base_url?, auth, headers, timeout, limits, answers, words })
}

/// Named texts.
pub(super) fn texts(value: Option<Value<'_, '_>>, known: &[&str], reading: &mut Reading<'_>) -> Vec<(String, Text)> {
    let entries = entries(value, reading);
    entries.into_iter().filter_map(|(name, value)| Some((name, value.template(known, reading)?))).collect()
}

fn auth(mut table: Table<'_, '_>, settings: &[Setting], reading: &mut Reading<'_>) -> Option<Auth> {
    #[derive(Clone, Copy)]
    enum Kind {
        Header,
        Bearer,
        Basic,
        Token,
    }
    let kinds = [("header", Kind::Header), ("bearer", Kind::Bearer), ("basic", Kind::Basic), ("oauth2", Kind::Token)];
    let kind = table.need("kind", reading).and_then(|v| v.one_of(&kinds, reading))?;
    let secret =
        |value: Value<'_, '_>, reading: &mut Reading<'_>| value.setting(settings, &[SettingKind::Secret], reading);
    let any = |value: Value<'_, '_>, reading: &mut Reading<'_>| {
        value.setting(settings, &[SettingKind::Secret, SettingKind::Text, SettingKind::Word], reading)
    };
    let auth = match kind {
        Kind::Header => {
            let header = table.need("header", reading).and_then(|v| v.text(reading));
            let secret = table.need("secret", reading).and_then(|v| secret(v, reading));
            header.zip(secret).map(|(header, secret)| Auth::Header { header, secret })
        }
        Kind::Bearer => {
            let scheme = table.get("scheme").and_then(|v| v.text(reading));
            table.need("secret", reading).and_then(|v| secret(v, reading)).map(|secret| Auth::Bearer { secret, scheme })
        }
        Kind::Basic => {
            let user = table.need("user", reading).and_then(|v| any(v, reading));
            let password = table.need("password", reading).and_then(|v| secret(v, reading));
            user.zip(password).map(|(user, password)| Auth::Basic { user, password })
        }
        Kind::Token => {
            let path = table.need("path", reading).and_then(|v| v.template(OF_SETTINGS, reading));
            let fields = texts(table.get("fields"), OF_SETTINGS, reading);
            let mut secrets = Vec::new();
            for (name, value) in entries(table.need("secrets", reading), reading) {
                secrets.extend(any(value, reading).map(|setting| (name, setting)));
            }
            let forms = [("query", TokenForm::Query), ("form", TokenForm::Form), ("json", TokenForm::Json)];
            let form = table.get("send").and_then(|v| v.one_of(&forms, reading)).unwrap_or(TokenForm::Form);
            let life = table.get("life").and_then(|v| v.span(reading)).unwrap_or(Span::HOUR);
            let header = table.get("header").and_then(|v| v.text(reading));
            let rotates = table.get("rotates").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
            path.map(|path| Auth::Token { path, fields, secrets, form, life, header, rotates })
        }
    };
    table.finish(reading);
    auth
}

fn limits(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Limits {
    let mut windows = Vec::new();
    for value in table.get("calls").map(|v| v.list(reading)).unwrap_or_default() {
        let Some(mut window) = value.table(reading) else { continue };
        let most = window.need("most", reading).and_then(|v| v.whole(1, 1_000_000_000, reading));
        let within = window.need("within", reading).and_then(|v| v.span(reading));
        let family = window.get("family").and_then(|v| v.text(reading)).unwrap_or_default();
        window.finish(reading);
        windows
            .extend(most.zip(within).map(|(most, within)| (family, u32::try_from(most).unwrap_or(u32::MAX), within)));
    }
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
        let mut path =
            |name, table: &mut Table<'_, '_>| table.need(name, reading).and_then(|v| super::mapped::path(&v, reading));
        let (available, restore) = (path("available", &mut table), path("restore", &mut table));
        let requested = path("requested", &mut table);
        table.finish(reading);
        Some(Cost { available: available?, restore: restore?, requested: requested? })
    });
    table.finish(reading);
    let concurrency = concurrency.and_then(|n| usize::try_from(n).ok()).unwrap_or(2);
    Limits { windows, concurrency, left, cost }
}

fn rule(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Rule> {
    let status = table.get("status").map(|v| if v.is_list() { v.list(reading) } else { vec![v] }).unwrap_or_default();
    let status: Vec<u16> = status
        .iter()
        .filter_map(|value| value.whole(100, 599, reading))
        .filter_map(|n| u16::try_from(n).ok())
        .collect();
    let path = table.get("path").and_then(|v| super::mapped::path(&v, reading));
    let is = table.get("is").map(|v| if v.is_list() { v.list(reading) } else { vec![v] }).unwrap_or_default();
    let is: Vec<String> = is.iter().filter_map(|value| value.text(reading)).collect();
    let act = table.need("do", reading).and_then(|v| v.one_of(&Act::WORDS, reading));
    if status.is_empty() && path.is_none() {
        table.wrong(reading, "needs `status`, `path` or both: when it is meant");
    }
    table.finish(reading);
    Some(Rule { status, path, is, act: act? })
}
