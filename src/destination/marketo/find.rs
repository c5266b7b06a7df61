//! Leads looked up by their addresses, which makes none (developer page "Leads", query). The addresses stand in the body:
//! a POST that says `_method=GET`, which the vendor has for addresses that are too long.

use std::collections::HashMap;

use serde_json::Value;

use super::form::{field, form};
use crate::destination::key::Key;
use crate::model::http::Name;

/// Addresses in a call (same page).
pub const ADDRESSES: usize = 300;
/// Pages of one question: of several leads with one address each is shown.
const MOST_PAGES: usize = 10;

/// The field that has them, parted by commas.
const VALUES: &str = "filterValues";

/// One question.
#[derive(Clone, Debug)]
pub struct Find {
    /// Records that want to know.
    pub places: Vec<usize>,
    key: Key,
    token: Option<String>,
    pages: usize,
    /// Leads of each address, as they compare.
    found: HashMap<String, Vec<u64>>,
    /// A lead came that answers to nothing that was asked for, as far as it tells.
    has_strangers: bool,
}

/// What comes after a page.
pub enum Step {
    /// Another page.
    More(Find),
    /// The leads of each address, as they compare; whoever is not among them is no lead, unless leads came of which it
    /// cannot be told whose they are.
    Found(Vec<usize>, HashMap<String, Vec<u64>>, bool),
    /// It has no end, and so tells nobody's absence.
    Unread(Vec<usize>),
}

/// The addresses that a question of this body is about.
pub fn asked(body: &[u8]) -> Vec<String> {
    field(body, VALUES).map(|all| all.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

/// A field may be a number.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| Some(value.as_u64()?.to_string()))
}

impl Find {
    /// About these records.
    pub fn new(places: Vec<usize>, key: Key) -> Self {
        Self { places, key, token: None, pages: 0, found: HashMap::new(), has_strangers: false }
    }

    /// The same of others, from its beginning.
    pub fn about(&self, places: Vec<usize>) -> Self {
        Self::new(places, self.key.clone())
    }

    /// Query and body of the next call; `addresses` are those of the records.
    pub fn call(&self, addresses: &[&str]) -> (Vec<(Name, String)>, Vec<u8>) {
        let field = &self.key.field;
        let mut fields =
            vec![("filterType", field.clone()), (VALUES, addresses.join(",")), ("fields", format!("id,{field}"))];
        fields.extend(self.token.iter().map(|token| ("nextPageToken", token.clone())));
        (vec![("_method".into(), "GET".into())], form(&fields))
    }

    /// Takes a page in; `is_asked` is true of the values that were asked for, as they compare.
    pub fn next(mut self, page: &Value, is_asked: impl Fn(&str) -> bool) -> Step {
        for lead in page.get("result").and_then(Value::as_array).into_iter().flatten() {
            let id = lead.get("id").and_then(Value::as_u64);
            let address = lead.get(&self.key.field).and_then(text).map(|value| self.key.same(&value));
            self.has_strangers |= address.as_deref().is_none_or(|address| !is_asked(address));
            if let (Some(id), Some(address)) = (id, address) {
                let known = self.found.entry(address).or_default();
                if !known.contains(&id) {
                    known.push(id);
                }
            }
        }
        self.token = page.get("nextPageToken").and_then(Value::as_str).map(str::to_owned);
        self.pages += 1;
        match &self.token {
            None => Step::Found(self.places, self.found, self.has_strangers),
            Some(_) if self.pages < MOST_PAGES => Step::More(self),
            Some(_) => Step::Unread(self.places),
        }
    }
}
