//! Leads looked up by their addresses, which makes none (developer page "Leads", query). The addresses stand in the body:
//! a POST that says `_method=GET`, which the vendor has for addresses that are too long.

use std::collections::HashMap;

use serde_json::Value;

use super::form::{field, form};
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
    token: Option<String>,
    pages: usize,
    /// Leads of each address, in lower case.
    found: HashMap<String, Vec<u64>>,
}

/// What comes after a page.
pub enum Step {
    /// Another page.
    More(Find),
    /// The leads of each address, in lower case; whoever is not among them is no lead.
    Found(Vec<usize>, HashMap<String, Vec<u64>>),
    /// It has no end, and so tells nobody's absence.
    Unread(Vec<usize>),
}

/// The addresses that a question of this body is about.
pub fn asked(body: &[u8]) -> Vec<String> {
    field(body, VALUES).map(|all| all.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

impl Find {
    /// About these records.
    pub fn new(places: Vec<usize>) -> Self {
        Self { places, token: None, pages: 0, found: HashMap::new() }
    }

    /// Query and body of the next call; `addresses` are those of the records.
    pub fn call(&self, addresses: &[&str]) -> (Vec<(Name, String)>, Vec<u8>) {
        let mut fields =
            vec![("filterType", "email".to_owned()), (VALUES, addresses.join(",")), ("fields", "id,email".to_owned())];
        fields.extend(self.token.iter().map(|token| ("nextPageToken", token.clone())));
        (vec![("_method".into(), "GET".into())], form(&fields))
    }

    /// Takes a page in.
    pub fn next(mut self, page: &Value) -> Step {
        for lead in page.get("result").and_then(Value::as_array).into_iter().flatten() {
            let id = lead.get("id").and_then(Value::as_u64);
            let email = lead.get("email").and_then(Value::as_str).map(str::to_lowercase);
            if let (Some(id), Some(email)) = (id, email) {
                let known = self.found.entry(email).or_default();
                if !known.contains(&id) {
                    known.push(id);
                }
            }
        }
        self.token = page.get("nextPageToken").and_then(Value::as_str).map(str::to_owned);
        self.pages += 1;
        match &self.token {
            None => Step::Found(self.places, self.found),
            Some(_) if self.pages < MOST_PAGES => Step::More(self),
            Some(_) => Step::Unread(self.places),
        }
    }
}
