//! The account's metrics and the flows that they start, against the events that are sent. A metric is made by its first
//! event, and flows are the marketer's: nothing here can be made by a call (API reference, revision 2026-07-15, "Get
//! metrics", "Get IDs for flows triggered by metric", "Get flow").

use std::collections::VecDeque;

use serde_json::Value;

use super::Settings;
use super::answer::{Verdict, verdict};
use crate::destination::Halt;
use crate::destination::account::{Asking, Difference, Sort, Survey};
use crate::model::http::{Answer, Auth, Method, Request, Response};
use crate::model::{Need, Timestamp};

/// Pages of metrics that are read at most, 200 each.
const PAGES: usize = 20;
/// Flows of a metric that are looked at.
const FLOWS: usize = 5;

/// A conversation about an account.
pub struct Asked {
    settings: Settings,
    needs: Vec<Need>,
    pages: usize,
    metrics: Vec<Value>,
    /// What is still to be asked.
    todo: VecDeque<Question>,
    asked: Option<Question>,
    differences: Vec<Difference>,
}

#[derive(Clone, Debug)]
enum Question {
    /// A page of the metrics, from this cursor.
    Metrics(Option<String>),
    /// Which flows this metric starts; the place of its need.
    Flows { need: usize, metric: String },
    /// How each of these flows is, and those that were looked at: name and status.
    Flow { need: usize, id: String, rest: Vec<String>, seen: Vec<(String, String)> },
}

impl Asked {
    pub(super) fn new(settings: Settings, needs: Vec<Need>) -> Self {
        let todo = VecDeque::from([Question::Metrics(None)]);
        Self { settings, needs, pages: 0, metrics: Vec::new(), todo, asked: None, differences: Vec::new() }
    }

    fn request(&self, question: &Question) -> Request {
        let (path, query) = match question {
            Question::Metrics(cursor) => {
                let mut query = vec![("fields[metric]".into(), "name,integration".to_owned())];
                query.extend(cursor.clone().map(|cursor| ("page[cursor]".into(), cursor)));
                ("/api/metrics".to_owned(), query)
            }
            Question::Flows { metric, .. } => {
                (format!("/api/metrics/{metric}/relationships/flow-triggers"), Vec::new())
            }
            Question::Flow { id, .. } => {
                (format!("/api/flows/{id}"), vec![("fields[flow]".into(), "name,status,archived".to_owned())])
            }
        };
        Request {
            method: Method::Get,
            path,
            query,
            headers: vec![
                ("revision".into(), self.settings.revision.clone()),
                ("accept".into(), "application/vnd.api+json".into()),
            ],
            content_type: "application/vnd.api+json",
            auth: Auth::Header("Klaviyo-API-Key", self.settings.api_key.clone()),
            body: Vec::new(),
            family: "account".into(),
            timeout: self.settings.timeout,
        }
    }

    fn read(&mut self, question: Question, response: &Response) {
        let json = response.json();
        let data = json.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
        match question {
            Question::Metrics(_) => {
                self.metrics.extend(data);
                self.pages += 1;
                match json.pointer("/links/next").and_then(Value::as_str).and_then(cursor) {
                    Some(cursor) if self.pages < PAGES => self.todo.push_back(Question::Metrics(Some(cursor))),
                    _ => self.metrics_are_known(),
                }
            }
            Question::Flows { need, .. } => {
                let mut ids: Vec<String> =
                    data.iter().filter_map(|flow| flow.get("id")?.as_str()).take(FLOWS).map(str::to_owned).collect();
                match ids.is_empty() {
                    true => self.nobody_listens(need, &[]),
                    false => {
                        let id = ids.remove(0);
                        self.todo.push_front(Question::Flow { need, id, rest: ids, seen: Vec::new() });
                    }
                }
            }
            Question::Flow { need, mut rest, mut seen, .. } => {
                let of = |name: &str| json.pointer(&format!("/data/attributes/{name}"));
                let text = |name: &str| of(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                if of("archived") != Some(&Value::Bool(true)) {
                    if text("status") == "live" {
                        return;
                    }
                    seen.push((text("name"), text("status")));
                }
                match rest.is_empty() {
                    true => self.nobody_listens(need, &seen),
                    false => {
                        let id = rest.remove(0);
                        self.todo.push_front(Question::Flow { need, id, rest, seen });
                    }
                }
            }
        }
    }

    /// What is missing is only told; of what is there the flows are asked.
    fn metrics_are_known(&mut self) {
        for (place, need) in self.needs.iter().enumerate() {
            let metric = self.metrics.iter().find(|metric| is_ours(metric) && *name(metric) == *need.event);
            let what = format!("metric {}", need.event);
            match metric.and_then(|metric| metric.get("id")?.as_str()) {
                Some(id) => self.todo.push_back(Question::Flows { need: place, metric: id.to_owned() }),
                None => {
                    let words = "is made by its first event; a flow can listen to it after that";
                    self.differences.push(Difference::new(Sort::Note, what, words).of(&need.triggers));
                }
            }
        }
        for metric in self.metrics.iter().filter(|metric| is_ours(metric)) {
            if !self.needs.iter().any(|need| *need.event == *name(metric)) {
                let what = format!("metric {}", name(metric));
                self.differences.push(Difference::new(Sort::Unused, what, "no trigger sends it"));
            }
        }
    }

    fn nobody_listens(&mut self, need: usize, flows: &[(String, String)]) {
        let Some(need) = self.needs.get(need) else { return };
        let words = match flows {
            [] => "starts no flow: make one in Klaviyo with this metric as its trigger".to_owned(),
            flows => {
                let flows: Vec<String> = flows.iter().map(|(name, status)| format!("`{name}` is {status}")).collect();
                format!("starts no live flow: {}", flows.join(", "))
            }
        };
        let what = format!("metric {}", need.event);
        self.differences.push(Difference::new(Sort::ByHand, what, words).of(&need.triggers));
    }

    /// A key without this scope: nothing more of the sort can be asked.
    fn has_no_scope(&mut self, question: &Question) {
        let (scope, words) = match question {
            Question::Metrics(_) => ("metrics:read", "which metrics there are is not known without it"),
            Question::Flows { .. } | Question::Flow { .. } => {
                ("flows:read", "whether flows listen is not known without it")
            }
        };
        self.differences.push(Difference::new(
            Sort::ByHand,
            format!("scope {scope}"),
            format!("the key has it not: {words}"),
        ));
        self.todo.clear();
    }
}

impl Survey for Asked {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking {
        if let (Some(question), Some(answer)) = (self.asked.clone(), answer) {
            match (verdict(&answer, now), &answer) {
                (Verdict::All(_), Answer::Came(response)) => self.read(question, response),
                (Verdict::Halt(Halt::Quota { until, .. }), _) => return Asking::Again(until),
                // A refused scope is told as one: the key itself would be 401.
                (Verdict::Halt(Halt::Credentials(_)), Answer::Came(response)) if response.status == 403 => {
                    self.has_no_scope(&question);
                }
                (Verdict::Halt(halt), _) => return Asking::Done(Err(halt)),
                (Verdict::Down(_, words), _) => return Asking::Done(Err(Halt::Down(words))),
                (Verdict::Named(_, code, words), _) => {
                    return Asking::Done(Err(Halt::Configuration(format!("{code}: {words}"))));
                }
                (Verdict::TooLarge | Verdict::All(_), _) => {
                    return Asking::Done(Err(Halt::Configuration("the answer cannot be read".into())));
                }
            }
        }
        self.asked = self.todo.pop_front();
        match &self.asked {
            Some(question) => Asking::Ask(Box::new(self.request(question))),
            None => Asking::Done(Ok(std::mem::take(&mut self.differences))),
        }
    }
}

pub(super) fn name(metric: &Value) -> &str {
    text(metric, "/attributes/name")
}

/// Sent by the API, and not by a shop's own integration, which can have a metric of the same name.
pub(super) fn is_ours(metric: &Value) -> bool {
    let places = ["/attributes/integration/category", "/attributes/integration/name"];
    places.iter().any(|place| text(metric, place).eq_ignore_ascii_case("api"))
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The cursor of a link to the next page.
pub(super) fn cursor(link: &str) -> Option<String> {
    let (_, query) = link.split_once('?')?;
    let encoded = query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        matches!(name, "page[cursor]" | "page%5Bcursor%5D" | "page%5bcursor%5d").then_some(value)
    })?;
    // Cursors are letters, digits and a few signs; what is encoded in them is decoded once.
    let mut decoded = Vec::new();
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_gives_its_cursor_decoded() {
        let link = "https://a.klaviyo.com/api/metrics?fields%5Bmetric%5D=name&page%5Bcursor%5D=bmV4dDo6aWQ%3D%2B";
        assert_eq!(cursor(link).as_deref(), Some("bmV4dDo6aWQ=+"));
        assert_eq!(cursor("https://a.klaviyo.com/api/metrics?page[cursor]=abc").as_deref(), Some("abc"));
        for none in ["https://a.klaviyo.com/api/metrics", "?page[size]=1", "?page[cursor]=%zz", "?page[cursor]=%2"] {
            assert_eq!(cursor(none), None, "{none}");
        }
    }
}
