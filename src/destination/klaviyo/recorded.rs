//! Which of our events the account has, read back: metrics by name, then the events of each metric around the instants
//! at which ours happened (API reference, revision 2026-07-15, "Get metrics", "Get events"; `events:read`, `metrics:read`).
//!
//! An answer shows no `unique_id`, so an event is known by `occasion` among its properties, which every payload has.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::Settings;
use super::account::{cursor, is_ours, name};
use super::answer::{Verdict, verdict};
use crate::destination::Halt;
use crate::destination::account::{Asking, Inquiry};
use crate::destination::inventory::{Seen, Sight, Sights};
use crate::model::http::{Answer, Method, Request, Response};
use crate::model::{Activation, Span, Timestamp};

/// Pages of metrics that are read at most, 200 each.
const METRICS: usize = 20;
/// Pages of events that are read at most around one instant, and for all of them.
const PAGES: usize = 20;
const ALL_PAGES: usize = 1_000;
/// Events that happened within so long of each other are asked for together.
const TOGETHER: Span = Span::from_minutes(1);
/// The vendor keeps whole seconds.
const SECOND: Span = Span::from_secs(1);
/// Of a page. The parameter says 1,000 where the prose says 200: whoever gives fewer says that there are more.
const PAGE: &str = "1000";

/// The conversation about some of what was sent.
pub struct Recorded {
    settings: Settings,
    sent: Vec<Activation>,
    sights: Sights,
    metrics: Vec<Value>,
    pages: usize,
    todo: VecDeque<Question>,
    asked: Option<Question>,
}

#[derive(Clone, Debug)]
enum Question {
    /// A page of the metrics, from this cursor; and how many came before it.
    Metrics(Option<String>, usize),
    /// A page of events.
    Events(Box<Around>),
}

/// The events of a metric around some of ours.
#[derive(Clone, Debug)]
struct Around {
    metric: String,
    from: Timestamp,
    until: Timestamp,
    places: Vec<usize>,
    cursor: Option<String>,
    pages: usize,
    seen: Seen,
}

impl Recorded {
    pub(super) fn new(settings: Settings, sent: Vec<Activation>) -> Self {
        let sights = Sights::of(&sent);
        let todo = if sights.open().is_empty() { VecDeque::new() } else { [Question::Metrics(None, 0)].into() };
        Self { settings, sent, sights, metrics: Vec::new(), pages: 0, todo, asked: None }
    }

    fn request(&self, question: &Question) -> Request {
        let (path, family, mut query) = match question {
            Question::Metrics(..) => {
                ("/api/metrics", "metrics", vec![("fields[metric]".into(), "name,integration".to_owned())])
            }
            Question::Events(around) => {
                let Around { metric, from, until, .. } = &**around;
                let filter = format!(
                    "and(equals(metric_id,\"{metric}\"),greater-or-equal(datetime,{from}),less-than(datetime,{until}))"
                );
                let query = vec![
                    ("filter".into(), filter),
                    ("fields[event]".into(), "event_properties".to_owned()),
                    ("sort".into(), "datetime".to_owned()),
                    ("page[size]".into(), PAGE.to_owned()),
                ];
                ("/api/events", "read-events", query)
            }
        };
        let cursor = match question {
            Question::Metrics(cursor, _) => cursor.clone(),
            Question::Events(around) => around.cursor.clone(),
        };
        query.extend(cursor.map(|cursor| ("page[cursor]".into(), cursor)));
        Request { query, ..self.settings.call(Method::Get, path, family, Vec::new()) }
    }

    fn read(&mut self, question: Question, response: &Response) {
        let json = response.json();
        let data = json.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let next = json.pointer("/links/next").and_then(Value::as_str).and_then(cursor);
        match question {
            Question::Metrics(_, before) => {
                self.metrics.extend(data.iter().filter(|metric| is_ours(metric)).cloned());
                match next {
                    Some(cursor) if before + 1 < METRICS => {
                        self.todo.push_back(Question::Metrics(Some(cursor), before + 1));
                    }
                    next => self.metrics_are_known(next.is_none()),
                }
            }
            Question::Events(mut around) => {
                for event in data {
                    around.seen.note(event.pointer("/attributes/event_properties/occasion").and_then(Value::as_str));
                }
                around.pages += 1;
                self.pages += 1;
                match next {
                    Some(cursor) if around.pages < PAGES && self.pages < ALL_PAGES => {
                        around.cursor = Some(cursor);
                        self.todo.push_front(Question::Events(around));
                    }
                    next => self.seen(&around, next.is_none()),
                }
            }
        }
    }

    /// What is to be asked for each metric that is there.
    fn metrics_are_known(&mut self, is_whole: bool) {
        let mut by_event: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for place in self.sights.open() {
            if let Some(activation) = self.sent.get(place) {
                by_event.entry(activation.action.of()).or_default().push(place);
            }
        }
        let mut around = Vec::new();
        for (event, places) in by_event {
            let metric = self.metrics.iter().find(|metric| name(metric) == event);
            match metric.and_then(|metric| metric.get("id")?.as_str()) {
                Some(id) => around.extend(self.around(id, places)),
                // A metric is made by its first event.
                None if is_whole => self.sights.say(&places, &Sight::Missing),
                None => self.sights.untold(&places, "the account has more metrics than are read"),
            }
        }
        self.todo.extend(around.into_iter().map(|one| Question::Events(Box::new(one))));
    }

    /// Stretches of time that hold these.
    fn around(&self, metric: &str, mut places: Vec<usize>) -> Vec<Around> {
        let at = |place: &usize| self.sent.get(*place).map(|one| one.at).unwrap_or_default();
        places.sort_by_key(at);
        let mut all: Vec<Around> = Vec::new();
        for place in places {
            let (from, until) = (at(&place) - SECOND, at(&place) + SECOND);
            match all.last_mut().filter(|last| from <= last.until + TOGETHER) {
                Some(last) => {
                    last.until = until.max(last.until);
                    last.places.push(place);
                }
                None => all.push(Around {
                    metric: metric.to_owned(),
                    from,
                    until,
                    places: vec![place],
                    cursor: None,
                    pages: 0,
                    seen: Seen::default(),
                }),
            }
        }
        all
    }

    fn seen(&mut self, around: &Around, is_whole: bool) {
        let unread = (!is_whole).then_some("more events lie around it than are read");
        let nameless = "events around it name no occasion";
        around.seen.tell(&mut self.sights, (&around.places, &self.sent), unread, nameless);
    }

    /// The end of a part of it, or of all.
    fn refused(&mut self, question: Question, words: &str) {
        match question {
            Question::Metrics(..) => self.sights.untold(&self.sights.open(), words),
            Question::Events(around) => self.sights.untold(&around.places, words),
        }
    }
}

impl Inquiry<Vec<Sight>> for Recorded {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking<Vec<Sight>> {
        if let (Some(question), Some(answer)) = (self.asked.take(), answer) {
            match (verdict(&answer, now), &answer) {
                (Verdict::All(_), Answer::Came(response)) => self.read(question, response),
                (Verdict::Halt(Halt::Quota { until, .. }), _) => {
                    self.asked = Some(question);
                    return Asking::Again(until);
                }
                // A refused scope is told as one: the key itself would be 401.
                (Verdict::Halt(Halt::Credentials(_)), Answer::Came(response)) if response.status == 403 => {
                    self.todo.clear();
                    self.sights.untold(&self.sights.open(), "the key lacks `events:read` or `metrics:read`");
                }
                (Verdict::Halt(halt), _) => return Asking::Done(Err(halt)),
                (Verdict::Down(_, words), _) => return Asking::Done(Err(Halt::Down(words))),
                (Verdict::Named(_, code, words), _) => {
                    self.refused(question, &format!("the vendor refuses the question: {code}: {words}"));
                }
                (Verdict::TooLarge | Verdict::All(_), _) => self.refused(question, "the answer cannot be read"),
            }
        }
        self.asked = self.todo.pop_front();
        match &self.asked {
            Some(question) => Asking::Ask(Box::new(self.request(question))),
            None => Asking::Done(Ok(self.sights.end())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::destination::testing::{came, doing, inquire, item, sights};
    use crate::model::Action;

    fn recorded(sent: Vec<Activation>) -> Recorded {
        Recorded::new(serde_json::from_value(json!({ "api_key": "pk" })).expect("settings"), sent)
    }

    fn event(occasion: Value) -> Value {
        json!({ "type": "event", "attributes": { "event_properties": { "occasion": occasion } } })
    }

    fn metric() -> Answer {
        let ours = |id: &str, kind: &str| json!({ "id": id, "attributes": { "name": "Cart Abandoned", "integration": { "category": kind } } });
        came(200, json!({ "data": [ours("SHOP", "Ecommerce"), ours("OURS", "API")], "links": { "next": null } }))
    }

    #[test]
    fn events_are_looked_for_around_their_instants() {
        let mut far = item(3).activation;
        far.at = far.at - Span::from_hours(2);
        let sent =
            vec![item(1).activation, item(2).activation, far, doing(4, Action::Event("Other".into())).activation];
        let there = json!({ "data": [event("01".repeat(16).into())], "links": { "next": null } });
        let nothing = json!({ "data": [], "links": { "next": null } });
        let (asked, found) = inquire(recorded(sent), |n, _| match n {
            0 => metric(),
            1 => came(200, nothing.clone()),
            _ => came(200, there.clone()),
        });
        assert_eq!(sights(found), ["there", "missing", "missing", "missing"]);
        let filters: Vec<&str> = asked.iter().skip(1).map(|request| request.query[0].1.as_str()).collect();
        // NOW is 2027-01-15T08:00:00Z, and all happened a minute before.
        assert_eq!(
            filters,
            [
                "and(equals(metric_id,\"OURS\"),greater-or-equal(datetime,2027-01-15T05:58:59.000Z),less-than(datetime,2027-01-15T05:59:01.000Z))",
                "and(equals(metric_id,\"OURS\"),greater-or-equal(datetime,2027-01-15T07:58:59.000Z),less-than(datetime,2027-01-15T07:59:01.000Z))"
            ]
        );
        assert!(
            asked.iter().all(|request| request.method == Method::Get && !format!("{:?}", request.query).contains('@'))
        );
    }

    #[test]
    fn what_cannot_be_told_is_not_called_missing() {
        let sent = || vec![item(1).activation, doing(2, Action::Profile).activation];
        let only = |words: &str| [words.to_owned(), "only events are looked for".into()];
        let asked = |answer: Answer| inquire(recorded(sent()), |n, _| if n == 0 { metric() } else { answer.clone() }).1;
        let nameless = json!({ "data": [event(Value::Null)], "links": { "next": null } });
        assert_eq!(sights(asked(came(200, nameless))), only("events around it name no occasion"));
        let endless = json!({ "data": [], "links": { "next": "https://k/api/events?page%5Bcursor%5D=a" } });
        assert_eq!(sights(asked(came(200, endless))), only("more events lie around it than are read"));
        let error = |code: &str| json!({ "errors": [{ "code": code, "title": "T" }] });
        let scope = "the key lacks `events:read` or `metrics:read`";
        assert_eq!(sights(asked(came(403, error("permission_denied")))), only(scope));
        assert_eq!(sights(asked(came(400, error("invalid")))), only("the vendor refuses the question: invalid: T"));
        assert!(matches!(asked(came(503, Value::Null)), Err(Halt::Down(_))));
        assert!(matches!(asked(came(401, error("not_authenticated"))), Err(Halt::Credentials(_))));
        // A throttled call is made again.
        let (again, found) = inquire(recorded(sent()), |n, _| match n {
            0 => metric(),
            1 => came(429, error("throttled")),
            _ => came(200, json!({ "data": [event("01".repeat(16).into())] })),
        });
        assert_eq!((again.len(), sights(found)), (3, only("there").to_vec()));
    }
}
