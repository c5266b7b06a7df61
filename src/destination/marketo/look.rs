//! Looking before a resend: which of our activities are there already? A paging token for an instant, then pages of
//! activities of one type for up to 30 leads (REST API: Activities).

use std::collections::HashSet;

use serde_json::Value;

use super::Settings;
use super::form::{TYPE, form};
use crate::model::http::{Method, Request};
use crate::model::{Span, Timestamp};

/// Leads in one question.
const LEADS: usize = 30;
/// Pages read of one question.
const MOST_PAGES: usize = 50;
/// We look so far before the edge: their clock is not ours.
const BEFORE: Span = Span::from_hours(1);

/// One question about up to 30 leads.
#[derive(Clone, Debug)]
pub struct Look {
    /// Records, their leads.
    records: Vec<(usize, u64)>,
    activity_type: u64,
    since: Timestamp,
    token: Option<String>,
    pages: usize,
    found: HashSet<String>,
    /// The address was too long once: the fields go in the body.
    is_posted: bool,
}

/// What comes after a page.
pub enum Step {
    /// Another page.
    More(Look),
    /// Occasions that are there, and the records that were asked about.
    Seen(HashSet<String>, Vec<usize>),
    /// Not all of it could be read: nothing is known of these records but what was found.
    Unread(HashSet<String>, Vec<usize>),
}

impl Look {
    /// Questions about these records, whose activities are of one type: place, lead, edge.
    pub fn begin(activity_type: u64, records: &[(usize, u64, Timestamp)]) -> Vec<Self> {
        records
            .chunks(LEADS)
            .map(|some| Self {
                records: some.iter().map(|(place, lead, _)| (*place, *lead)).collect(),
                activity_type,
                since: some.iter().map(|(.., at)| *at).min().unwrap_or_default() - BEFORE,
                token: None,
                pages: 0,
                found: HashSet::new(),
                is_posted: false,
            })
            .collect()
    }

    /// The records asked about.
    pub fn places(&self) -> Vec<usize> {
        self.records.iter().map(|(place, _)| *place).collect()
    }

    /// The same question with its fields in the body, which has no length (developer page "Leads", HTTP 414); none where
    /// they are there already.
    pub fn posted(self) -> Option<Self> {
        (!self.is_posted).then_some(Self { is_posted: true, ..self })
    }

    /// The next call.
    pub fn request(&self, settings: &Settings) -> Request {
        let (path, fields) = match &self.token {
            None => ("/rest/v1/activities/pagingtoken.json", vec![("sinceDatetime", self.since.to_string())]),
            Some(token) => {
                let leads: Vec<String> = self.records.iter().map(|(_, lead)| lead.to_string()).collect();
                let fields = vec![
                    ("nextPageToken", token.clone()),
                    ("activityTypeIds", self.activity_type.to_string()),
                    ("leadIds", leads.join(",")),
                ];
                ("/rest/v1/activities.json", fields)
            }
        };
        if self.is_posted {
            let query = vec![("_method".into(), "GET".into())];
            return Request { query, content_type: TYPE, ..settings.call(Method::Post, path, form(&fields)) };
        }
        let query = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Request { query, ..settings.call(Method::Get, path, Vec::new()) }
    }

    /// Takes a page in.
    pub fn next(mut self, page: &Value, attribute: &str) -> Step {
        for activity in page.get("result").and_then(Value::as_array).into_iter().flatten() {
            for one in activity.get("attributes").and_then(Value::as_array).into_iter().flatten() {
                let name = one.get("apiName").or(one.get("name")).and_then(Value::as_str).unwrap_or_default();
                // The answer may use the attribute's display name: "Activation ID" for activationId.
                let same = |a: &str| a.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
                if same(name) == same(attribute) {
                    self.found.extend(one.get("value").and_then(Value::as_str).map(str::to_owned));
                }
            }
        }
        let was_first = self.token.is_none();
        let more = was_first || page.get("moreResult").and_then(Value::as_bool) == Some(true);
        self.token = page.get("nextPageToken").and_then(Value::as_str).map(str::to_owned);
        self.pages += 1;
        if more && self.token.is_some() && self.pages <= MOST_PAGES {
            return Step::More(self);
        }
        let places = self.places();
        if more { Step::Unread(self.found, places) } else { Step::Seen(self.found, places) }
    }
}
