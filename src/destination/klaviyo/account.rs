//! What the account has against what activations need: metrics and lists, the flows that they start, the scopes of the key
//! that show without sending, and the age of the revision. A metric is made by its first event, and flows and lists are
//! the marketer's: nothing here can be made by a call (API reference, revision 2026-07-15, "Get metrics", "Get IDs for
//! flows triggered by metric", the same of lists, "Get flow", "Get list").

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde_json::Value;

use super::Settings;
use super::answer::{Verdict, verdict};
use crate::destination::Halt;
use crate::destination::account::{self, Asking, Difference, Inquiry, ListNeed, Sort};
use crate::model::http::{Answer, Method, Request, Response};
use crate::model::{ActionKind, Need, Span, Timestamp};

/// Pages of metrics that are read at most, 200 each.
const PAGES: usize = 20;
/// Flows of a metric or list that are looked at.
const FLOWS: usize = 5;
/// A revision lives about two years (a third party's word; the vendor's pages name no date).
const LIFE: Span = Span::from_days(730);

/// A conversation about an account.
pub struct Asked {
    settings: Settings,
    needs: Vec<Need>,
    lists: Vec<ListNeed>,
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
    /// Whether this list is there, by its place.
    List(usize),
    /// Which flows this starts.
    Flows(Start),
    /// How each of these flows is, and those that were looked at: name and status.
    Flow { of: Start, id: String, rest: Vec<String>, seen: Vec<(String, String)> },
    /// Whether the key may read lists at all.
    AnyList,
    /// Whether it may read profiles.
    AnyProfile,
}

/// What can start a flow.
#[derive(Clone, Debug)]
enum Start {
    /// The metric of the need at this place.
    Metric { need: usize, id: String },
    /// The list at this place, with its name.
    List { list: usize, name: String },
}

impl Question {
    /// The scope without which it is refused.
    fn scope(&self) -> &'static str {
        match self {
            Self::Metrics(_) => "metrics:read",
            Self::List(_) | Self::AnyList => "lists:read",
            Self::Flows(_) | Self::Flow { .. } => "flows:read",
            Self::AnyProfile => "profiles:read",
        }
    }
}

impl Asked {
    pub(super) fn new(settings: Settings, needs: Vec<Need>) -> Self {
        let mut lists = account::lists(&needs);
        let consent = settings.consent.as_ref().and_then(|consent| consent.list.as_deref());
        // Whoever subscribes goes into it, without a trigger.
        if let Some(id) = consent.filter(|id| !lists.iter().any(|list| &*list.id == *id)) {
            lists.push(ListNeed { id: id.into(), is_filled: true, triggers: Vec::new() });
        }
        let mut todo = VecDeque::from([Question::Metrics(None)]);
        todo.extend((0..lists.len()).map(Question::List));
        // A job of many profiles is asked how far it is, which takes both scopes.
        if writes_in_bulk(&settings, &needs) {
            todo.push_back(Question::AnyProfile);
            if lists.is_empty() {
                todo.push_back(Question::AnyList);
            }
        }
        Self { settings, needs, lists, pages: 0, metrics: Vec::new(), todo, asked: None, differences: Vec::new() }
    }

    fn request(&self, question: &Question) -> Request {
        let only = |kind: &'static str, fields: &str| vec![(kind.into(), fields.to_owned())];
        let one = || ("page[size]".into(), "1".to_owned());
        let (path, query, family) = match question {
            Question::Metrics(cursor) => {
                let mut query = only("fields[metric]", "name,integration");
                query.extend(cursor.clone().map(|cursor| ("page[cursor]".into(), cursor)));
                ("/api/metrics".to_owned(), query, "metrics")
            }
            Question::List(list) => {
                let id = self.lists.get(*list).map(|list| &*list.id).unwrap_or_default();
                (format!("/api/lists/{id}"), only("fields[list]", "name"), "looks")
            }
            Question::Flows(Start::Metric { id, .. }) => {
                (format!("/api/metrics/{id}/relationships/flow-triggers"), Vec::new(), "metrics")
            }
            Question::Flows(Start::List { list, .. }) => {
                let id = self.lists.get(*list).map(|list| &*list.id).unwrap_or_default();
                (format!("/api/lists/{id}/relationships/flow-triggers"), Vec::new(), "flows")
            }
            Question::Flow { id, .. } => {
                (format!("/api/flows/{id}"), only("fields[flow]", "name,status,archived"), "flows")
            }
            Question::AnyList => {
                let query = only("fields[list]", "name").into_iter().chain([one()]).collect();
                ("/api/lists".to_owned(), query, "looks")
            }
            // Of a person nothing is asked for that says who they are.
            Question::AnyProfile => {
                let query = only("fields[profile]", "created").into_iter().chain([one()]).collect();
                ("/api/profiles".to_owned(), query, "looks")
            }
        };
        Request { query, ..self.settings.call(Method::Get, path, family, Vec::new()) }
    }

    fn read(&mut self, question: Question, response: &Response) {
        let json = response.json();
        let data = json.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
        match question {
            Question::Metrics(_) => {
                self.metrics.extend(data);
                self.pages += 1;
                match json.pointer("/links/next").and_then(Value::as_str).and_then(cursor) {
                    Some(cursor) if self.pages < PAGES => self.todo.push_front(Question::Metrics(Some(cursor))),
                    _ => self.metrics_are_known(),
                }
            }
            Question::List(list) => {
                let name = account::cut(text(&json, "/data/attributes/name"));
                match self.lists.get(list) {
                    Some(need) if need.is_filled => {
                        self.todo.push_front(Question::Flows(Start::List { list, name }));
                    }
                    Some(need) => self.differences.push(need.told(Sort::Note, format!("is `{name}`"))),
                    None => {}
                }
            }
            Question::Flows(of) => {
                let ids = data.iter().filter_map(|flow| flow.get("id")?.as_str());
                let rest = ids.take(FLOWS).map(str::to_owned).collect();
                self.look_at(of, rest, Vec::new());
            }
            Question::Flow { of, rest, mut seen, .. } => {
                let text = |name: &str| account::cut(text(&json, &format!("/data/attributes/{name}")));
                if json.pointer("/data/attributes/archived") != Some(&Value::Bool(true)) {
                    if text("status") == "live" {
                        return self.somebody_listens(&of, &text("name"));
                    }
                    seen.push((text("name"), text("status")));
                }
                self.look_at(of, rest, seen);
            }
            Question::AnyList | Question::AnyProfile => {}
        }
    }

    /// The next of these flows, if there is one.
    fn look_at(&mut self, of: Start, mut rest: Vec<String>, seen: Vec<(String, String)>) {
        if rest.is_empty() {
            return self.nobody_listens(&of, &seen);
        }
        let id = rest.remove(0);
        self.todo.push_front(Question::Flow { of, id, rest, seen });
    }

    /// What is missing is only told; of what is there the flows are asked.
    fn metrics_are_known(&mut self) {
        for (place, need) in self.needs.iter().enumerate().filter(|(_, need)| is_event(need)) {
            let metric = self.metrics.iter().find(|metric| is_ours(metric) && name(metric) == need.action.of());
            match metric.and_then(|metric| metric.get("id")?.as_str()) {
                Some(id) => {
                    self.todo.push_back(Question::Flows(Start::Metric { need: place, id: id.to_owned() }));
                }
                None => {
                    let words = "is made by its first event; a flow can listen to it after that";
                    self.differences.push(Difference::new(Sort::Note, metric_of(need), words).of(&need.triggers));
                }
            }
        }
        for metric in self.metrics.iter().filter(|metric| is_ours(metric)) {
            if !self.needs.iter().any(|need| is_event(need) && need.action.of() == name(metric)) {
                let what = format!("metric {}", account::cut(name(metric)));
                self.differences.push(Difference::new(Sort::Unused, what, "no trigger sends it"));
            }
        }
    }

    /// Of a metric that is as it should be; of a list its name is told, by which people see that it is the right one.
    fn somebody_listens(&mut self, of: &Start, flow: &str) {
        if let Start::List { name, .. } = of {
            self.tell(of, Sort::Note, &format!("is `{name}`, and starts `{flow}`"));
        }
    }

    fn nobody_listens(&mut self, of: &Start, flows: &[(String, String)]) {
        let flows: Vec<String> = flows.iter().map(|(name, status)| format!("`{name}` is {status}")).collect();
        let flows = flows.join(", ");
        match of {
            Start::Metric { .. } if flows.is_empty() => {
                self.tell(of, Sort::ByHand, "starts no flow: make one in Klaviyo with this metric as its trigger");
            }
            Start::Metric { .. } => self.tell(of, Sort::ByHand, &format!("starts no live flow: {flows}")),
            // Lists serve for more than flows.
            Start::List { name, .. } if flows.is_empty() => {
                self.tell(of, Sort::Note, &format!("is `{name}`, and starts no flow"));
            }
            Start::List { name, .. } => {
                let words = format!("is `{name}`, and starts no live flow: {flows}; set one live, or archive them");
                self.tell(of, Sort::ByHand, &words);
            }
        }
    }

    fn tell(&mut self, of: &Start, sort: Sort, words: &str) {
        let difference = match of {
            Start::Metric { need, .. } => {
                let need = self.needs.get(*need);
                need.map(|need| Difference::new(sort, metric_of(need), words).of(&need.triggers))
            }
            Start::List { list, .. } => self.lists.get(*list).map(|list| list.told(sort, words)),
        };
        self.differences.extend(difference);
    }

    /// There is nothing at the question's address.
    fn is_not_there(&mut self, question: Question) -> Result<(), Halt> {
        match question {
            Question::List(list) => self.differences.extend(self.lists.get(list).map(ListNeed::missing)),
            // Taken away since it was named.
            Question::Flow { of, rest, seen, .. } => self.look_at(of, rest, seen),
            Question::Flows(of) => {
                let words = format!("whether a flow starts with it cannot be asked by revision {}", self.revision());
                self.tell(&of, Sort::Note, &words);
            }
            Question::Metrics(_) | Question::AnyList | Question::AnyProfile => {
                let words = format!("revision {} has no {}", self.revision(), self.request(&question).path);
                return Err(Halt::Configuration(words));
            }
        }
        Ok(())
    }

    fn revision(&self) -> &str {
        &self.settings.revision
    }

    /// A key without the question's scope: nothing more of the sort can be asked.
    fn has_no_scope(&mut self, question: &Question) {
        let scope = question.scope();
        self.todo.retain(|other| other.scope() != scope);
        let (words, kinds): (_, &[ActionKind]) = match scope {
            "metrics:read" => ("which metrics there are is not known without it", &[ActionKind::Event]),
            "lists:read" => (
                "whether lists are there is not known without it, and many profiles at once cannot be written",
                &[ActionKind::AddToList, ActionKind::RemoveFromList, ActionKind::Profile],
            ),
            "flows:read" => {
                ("whether flows listen is not known without it", &[ActionKind::Event, ActionKind::AddToList])
            }
            _ => (
                "many profiles at once (`bulk_from`) cannot be written without it",
                &[ActionKind::AddToList, ActionKind::Profile],
            ),
        };
        let of: Vec<&Need> = self.needs.iter().filter(|need| kinds.contains(&need.action.kind())).collect();
        // Metrics are looked at for what is unused, too: for that alone nobody needs a scope.
        if !of.is_empty() || scope != "metrics:read" {
            let words = format!("the key has it not: {words}");
            let difference = Difference::new(Sort::ByHand, format!("scope {scope}"), words);
            self.differences.push(difference.of(&account::triggers(of)));
        }
    }

    /// What follows from the settings alone, and what no question tells.
    fn finish(&mut self, now: Timestamp) -> Vec<Difference> {
        let scopes = scopes_to_write(&self.settings, &self.needs);
        let words = "a key that lacks one stops the lane with its first call that needs it; for consent, and to have people \
                     forgotten, it makes dead letters";
        self.differences.push(account::unseen(format!("scopes {}", scopes.join(", ")), words));
        let released = Timestamp::parse(&format!("{}T00:00:00Z", self.revision()));
        let way_out = "set a later `revision`, and read what it changes";
        let what = format!("revision {}", self.revision());
        let end = released.map(|released| released + LIFE);
        self.differences.extend(end.and_then(|end| account::ends(&what, end, now, Sort::Note, way_out)));
        std::mem::take(&mut self.differences)
    }
}

impl Inquiry<Vec<Difference>> for Asked {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking {
        if let (Some(question), Some(answer)) = (self.asked.clone(), answer) {
            match (verdict(&answer, now), &answer) {
                (Verdict::All(_), Answer::Came(response)) => self.read(question, response),
                (Verdict::Halt(Halt::Quota { until, .. }), _) => return Asking::Again(until),
                // A refused scope is told as one: the key itself would be 401.
                (Verdict::Halt(Halt::Credentials(_)), Answer::Came(response)) if response.status == 403 => {
                    self.has_no_scope(&question);
                }
                (Verdict::Halt(_), Answer::Came(response)) if response.status == 404 => {
                    if let Err(halt) = self.is_not_there(question) {
                        return Asking::Done(Err(halt));
                    }
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
            None => Asking::Done(Ok(self.finish(now))),
        }
    }
}

/// Many profiles, into a list or none, go as a job.
fn writes_in_bulk(settings: &Settings, needs: &[Need]) -> bool {
    let kinds = [ActionKind::AddToList, ActionKind::Profile];
    settings.bulk_from > 0 && needs.iter().any(|need| kinds.contains(&need.action.kind()))
}

/// What the key needs to send (API reference, scopes of each operation).
fn scopes_to_write(settings: &Settings, needs: &[Need]) -> Vec<&'static str> {
    let has = |kinds: &[ActionKind]| needs.iter().any(|need| kinds.contains(&need.action.kind()));
    let has_lists = has(&[ActionKind::AddToList, ActionKind::RemoveFromList]);
    let has_consent = settings.consent.is_some();
    let scopes = [
        ("events:write", has(&[ActionKind::Event])),
        ("profiles:write", has_lists || has_consent || has(&[ActionKind::Profile])),
        ("lists:write", has_lists || has_consent || writes_in_bulk(settings, needs)),
        ("subscriptions:write", has_consent),
        // Whoever is to be forgotten is passed on without a trigger.
        ("data-privacy:write", true),
    ];
    scopes.into_iter().filter_map(|(scope, is_needed)| is_needed.then_some(scope)).collect()
}

fn is_event(need: &Need) -> bool {
    need.action.kind() == ActionKind::Event
}

fn metric_of(need: &Need) -> String {
    format!("metric {}", need.action.of())
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
