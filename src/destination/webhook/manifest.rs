//! `destination.toml`: a destination that one kind of call serves, as data. What it needs to be told, what is sent, how
//! it is signed, and what answers mean. Read with all mistakes at once; those that ship are part of the program.

use super::names;
use crate::manifest::access::{self, Auth, OF_SETTINGS};
use crate::manifest::answer::{self, Rule, When};
use crate::manifest::setting::{self, Setting, SettingKind};
use crate::manifest::written::{self, Reading, Table, Value, entries, texts};
use crate::manifest::{Body, Expression, Path, Text};
use crate::model::http::Method;
use crate::model::setting::Size;
use crate::model::{Mistake, Span};

/// The destinations that ship, by name.
const SHIPPED: &[(&str, &str)] = &[
    ("braze", include_str!("../../../connectors/braze/destination.toml")),
    ("brevo", include_str!("../../../connectors/brevo/destination.toml")),
    (DEFAULT, include_str!("../../../connectors/webhook/destination.toml")),
];
/// The one that is meant where none is named.
pub const DEFAULT: &str = "webhook";
/// A call takes at most this long, unless the manifest says otherwise.
const TIMEOUT: Span = Span::from_secs(30);
/// The largest body, unless the manifest says otherwise.
const BYTES: usize = 5_000_000;
/// Calls at once, unless the manifest says otherwise.
const CONCURRENCY: u64 = 4;

/// A destination as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// As it is named in a configuration.
    pub name: String,
    /// Which reference its facts are from, and when it was read.
    pub facts: String,
    /// What the user has to say.
    pub settings: Vec<Setting>,
    /// Scheme, host and the beginning of the path.
    pub base_url: Text,
    /// The rest of the path; nothing of a person can stand in it.
    pub path: Text,
    /// How it is called.
    pub method: Method,
    /// How we are let in: the first whose settings are given.
    pub auth: Vec<Auth>,
    /// Headers of every call.
    pub headers: Vec<(String, Text)>,
    /// A call takes at most this long.
    pub timeout: Span,
    /// What is said of one activation.
    pub body: Body,
    /// The largest body, in bytes.
    pub bytes: usize,
    /// What an activation has to have to be sent, each with what is wrong where it has not.
    pub needs: Vec<(Expression, String)>,
    /// The setting with the secrets by which calls are signed.
    pub sign: Option<String>,
    /// How several go in one call, where they do.
    pub batch: Option<Batch>,
    /// Calls in a time.
    pub windows: Vec<(String, u32, Span)>,
    /// Calls at once.
    pub concurrency: usize,
    /// The header that says when to come again beside `Retry-After`, in lower case, and its unit.
    pub again: Option<(String, Span)>,
    /// Which answers are a success; any 2xx, where no status is named.
    pub success: When,
    /// What other answers mean, the first that fits; the status alone decides where none does.
    pub answers: Vec<Rule<Act>>,
    /// Where an answer has the receiver's own words, in turn.
    pub words: Vec<Path>,
}

/// Several activations in one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// At most so many.
    pub most: usize,
    /// What goes around their bodies, which are `records`.
    pub body: Body,
    /// Where an answer that is a success names those that failed.
    pub failed: Option<Failed>,
}

/// Where an answer names records that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// The list.
    pub list: Path,
    /// In an entry of it: the record's place in the call, from 0.
    pub index: Path,
    /// In an entry of it: why.
    pub words: Option<Path>,
}

/// What an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The receiver has it.
    Accepted,
    /// The receiver had it.
    Duplicate,
    /// Nothing is sent before the receiver's time: no failure.
    Wait,
    /// Try these records again after a while that grows.
    Retry,
    /// The same, and the receiver as a whole is failing.
    Down,
    /// Fetch a new token, once.
    Renew,
    /// The credentials are refused: a person has to mend it.
    Credentials,
    /// The address or the account does not fit: a person has to mend it.
    Configuration,
    /// The record is never to be sent as it is: a dead letter.
    Refused,
}

impl Act {
    const WORDS: [(&str, Self); 9] = [
        ("accepted", Self::Accepted),
        ("duplicate", Self::Duplicate),
        ("wait", Self::Wait),
        ("retry", Self::Retry),
        ("down", Self::Down),
        ("renew", Self::Renew),
        ("credentials", Self::Credentials),
        ("configuration", Self::Configuration),
        ("refused", Self::Refused),
    ];
}

/// The JSON Schema of a manifest, for editors.
///
/// # Errors
/// Never for the one that ships; it is a text.
pub fn schema() -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(include_str!("schema.json"))
}

/// The text of a destination that ships.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of the destinations that ship.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

impl Manifest {
    /// Reads `text`, which mistakes call `file`.
    ///
    /// # Errors
    /// All mistakes, in the file's order.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        written::read(file, text, manifest)
    }
}

// === reading ===

fn manifest(mut top: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Manifest> {
    let name = top.need("name", reading).and_then(|v| v.text(reading));
    let facts = top.need("facts", reading).and_then(|v| v.text(reading));
    let mut settings = Vec::new();
    for (name, value) in entries(top.get("settings"), reading) {
        settings.extend(setting::setting(name, &value, reading));
    }
    let of_address: Vec<String> = names::of_settings(&settings).collect();
    let of_address = known(&of_address);
    let base_url = top.need("base_url", reading).and_then(|v| v.template(&of_address, reading));
    let path = top.get("path").and_then(|v| v.template(&of_address, reading));
    let path = path.or_else(|| Text::compile("", OF_SETTINGS).ok());
    let methods = [("post", Method::Post), ("put", Method::Put), ("patch", Method::Patch)];
    let method = top.get("method").and_then(|v| v.one_of(&methods, reading)).unwrap_or(Method::Post);
    let auth = top.get("auth").map(|v| access::several(v, &settings, reading)).unwrap_or_default();
    let headers = texts(top.get("headers"), &known(&names::of_header(&settings)), reading);
    let timeout = top.get("timeout").and_then(|v| v.span(reading)).unwrap_or(TIMEOUT);
    let of_body = names::of_activation(&settings);
    let of_body = known(&of_body);
    let body = top.need("body", reading).and_then(|v| v.body(&of_body, reading));
    let bytes = top.get("bytes").and_then(|v| size(&v, reading)).unwrap_or(BYTES);
    let needs = top.get("need").map(|v| v.list(reading)).unwrap_or_default();
    let needs = needs.iter().filter_map(|value| need(value.table(reading)?, &of_body, reading)).collect();
    let sign = top.get("sign").and_then(|v| v.table(reading)).and_then(|mut table| {
        let secrets = table.need("secrets", reading);
        let sign = secrets.and_then(|v| v.setting(&settings, &[SettingKind::Secret, SettingKind::Secrets], reading));
        table.finish(reading);
        sign
    });
    let batch = top.get("batch").and_then(|v| v.table(reading)).and_then(|t| batch(t, &settings, reading));
    let limits = top.get("limits").and_then(|v| v.table(reading)).map(|t| limits(t, reading));
    let (windows, concurrency, again) = limits.unwrap_or_else(|| (Vec::new(), CONCURRENCY, None));
    let success = top.get("success").and_then(|v| v.table(reading)).and_then(|mut table| {
        let when = answer::when(&mut table, reading);
        table.finish(reading);
        when
    });
    let answers = answer::rules(top.get("answer"), &Act::WORDS, reading);
    let words = top.get("words").and_then(|v| v.paths(reading)).unwrap_or_default();
    top.finish(reading);
    Some(Manifest {
        name: name?,
        facts: facts?,
        settings,
        base_url: base_url?,
        path: path?,
        method,
        auth,
        headers,
        timeout,
        body: body?,
        bytes,
        needs,
        sign,
        batch,
        windows,
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        again,
        success: success.unwrap_or_default(),
        answers,
        words,
    })
}

fn known(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn size(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<usize> {
    let text = value.text(reading)?;
    let size = Size::parse(&text).and_then(|size| usize::try_from(size.0).ok());
    if size.is_none() {
        value.wrong(reading, "is a size, written like \"500 KB\" or \"4 MB\"");
    }
    size
}

fn need(mut table: Table<'_, '_>, names: &[&str], reading: &mut Reading<'_>) -> Option<(Expression, String)> {
    let that = table.need("that", reading).and_then(|v| v.expression(names, reading));
    let words = table.need("words", reading).and_then(|v| v.text(reading));
    table.finish(reading);
    that.zip(words)
}

fn batch(mut table: Table<'_, '_>, settings: &[Setting], reading: &mut Reading<'_>) -> Option<Batch> {
    let most = table.need("most", reading).and_then(|v| v.whole(1, 1_000, reading));
    let body = table.need("body", reading).and_then(|v| v.body(&known(&names::of_records(settings)), reading));
    let failed = table.get("failed").and_then(|v| v.table(reading)).and_then(|mut table| {
        let list = table.need("list", reading).and_then(|v| v.path(reading));
        let index = table.need("index", reading).and_then(|v| v.path(reading));
        let words = table.get("words").and_then(|v| v.path(reading));
        table.finish(reading);
        Some(Failed { list: list?, index: index?, words })
    });
    table.finish(reading);
    Some(Batch { most: usize::try_from(most?).ok()?, body: body?, failed })
}

type Limits = (Vec<(String, u32, Span)>, u64, Option<(String, Span)>);

fn limits(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Limits {
    let windows = access::windows(table.get("calls"), reading);
    if windows.iter().any(|(family, ..)| !family.is_empty()) {
        table.wrong(reading, "has calls of one sort alone, so no `family`");
    }
    let concurrency = table.get("concurrency").and_then(|v| v.whole(1, 100, reading)).unwrap_or(CONCURRENCY);
    let again = table.get("again").and_then(|v| v.table(reading)).and_then(|mut table| {
        let header = table.need("header", reading).and_then(|v| v.text(reading));
        let units = [("ms", Span::from_millis(1)), ("s", Span::from_secs(1))];
        let unit = table.need("unit", reading).and_then(|v| v.one_of(&units, reading));
        table.finish(reading);
        Some((header?.to_ascii_lowercase(), unit?))
    });
    table.finish(reading);
    (windows, concurrency, again)
}
