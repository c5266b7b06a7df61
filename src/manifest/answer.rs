//! Which answers a rule is about, and where an answer has the vendor's own words.

use serde_json::Value as Json;

use super::written::{Reading, Table, Value};
use super::{Path, text};
use crate::model::http::{Response, redacted};

/// Which answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// Of these statuses; of any, where none is named.
    pub status: Vec<u16>,
    /// Where in the body to look; the answer fits when something other than null, false or an empty list is there.
    pub path: Option<Path>,
    /// It must be one of these, where they are named.
    pub is: Vec<String>,
}

/// What an answer means: `A` is what a reader, or a sender, does then.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule<A> {
    /// Of which answers.
    pub when: When,
    /// What to do then.
    pub act: A,
}

/// `[[answer]]`: each with what to `do`, of these words.
pub(crate) fn rules<A: Copy>(
    value: Option<Value<'_, '_>>,
    words: &[(&str, A)],
    reading: &mut Reading<'_>,
) -> Vec<Rule<A>> {
    let list = value.map(|v| v.list(reading)).unwrap_or_default();
    let mut rule = |value: &Value<'_, '_>| {
        let mut table = value.table(reading)?;
        let when = when(&mut table, reading);
        let act = table.need("do", reading).and_then(|v| v.one_of(words, reading));
        table.finish(reading);
        Some(Rule { when: when?, act: act? })
    };
    list.iter().filter_map(&mut rule).collect()
}

/// `status`, `path` and `is` of a table.
pub(crate) fn when(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<When> {
    let status = table.get("status").map(|v| v.each(reading)).unwrap_or_default();
    let status: Vec<u16> = status
        .iter()
        .filter_map(|value| value.whole(100, 599, reading))
        .filter_map(|n| u16::try_from(n).ok())
        .collect();
    let path = table.get("path").and_then(|v| v.path(reading));
    let is = table.get("is").map(|v| v.each(reading)).unwrap_or_default();
    let is: Vec<String> = is.iter().filter_map(|value| value.text(reading)).collect();
    if status.is_empty() && path.is_none() {
        table.wrong(reading, "needs `status`, `path` or both: when it is meant");
        return None;
    }
    Some(When { status, path, is })
}

impl When {
    /// Whether an answer with this status and body is one of them.
    pub fn fits(&self, status: u16, body: &Json) -> bool {
        if !self.status.is_empty() && !self.status.contains(&status) {
            return false;
        }
        let Some(path) = &self.path else { return true };
        let Some(found) = path.get(body) else { return false };
        if self.is.is_empty() {
            return match found {
                Json::Bool(yes) => *yes,
                Json::Array(items) => !items.is_empty(),
                Json::String(text) => !text.is_empty(),
                Json::Object(entries) => !entries.is_empty(),
                _ => true,
            };
        }
        let said = match found {
            Json::Bool(yes) => Some(yes.to_string()),
            other => text(other),
        };
        said.is_some_and(|said| self.is.contains(&said))
    }
}

/// The status and the vendor's words, without anything personal: at one of `paths`, else where they often are.
pub fn words(response: &Response, body: &Json, paths: &[Path]) -> String {
    let known = ["message", "error_description", "error.message", "errors.0.message", "errors.0.detail", "0.message"];
    let said = paths.iter().find_map(|path| text(path.get(body)?));
    let said = said.or_else(|| known.iter().find_map(|path| text(Path::parse(path)?.get(body)?)));
    match said {
        Some(said) => format!("{}: {}", status(response), redacted(&said)),
        None => format!("{}{}", status(response), html(response)),
    }
}

/// `HTTP 400`
pub fn status(response: &Response) -> String {
    format!("HTTP {}", response.status)
}

/// Says so where an answer is a web page.
pub fn html(response: &Response) -> &'static str {
    let is_said = response.header("content-type").is_some_and(|kind| kind.contains("html"));
    let begins = response.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
    if is_said || begins { ", and a web page: of a proxy, or of a sign-in" } else { "" }
}
