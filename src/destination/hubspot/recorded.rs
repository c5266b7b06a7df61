//! Which of our events the account has, read back: contacts by what they are found by, then each contact's events of a name
//! since ours happened (API reference 2026-03, "batch/read" of contacts, "event-occurrences").
//!
//! An event is known by its property `occasion`, which every payload has; `espalier apply` makes it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::Settings;
use super::answer::{self, Verdict, verdict};
use super::body::event_name;
use super::directory;
use crate::destination::Halt;
use crate::destination::account::{Asking, Inquiry};
use crate::destination::inventory::{Seen, Sight, Sights};
use crate::model::http::{Answer, Request, Response};
use crate::model::{Activation, Outcome, Span, Timestamp};

/// Contacts of one call.
const CONTACTS: usize = 100;
/// Pages that are read at most of one contact's events of a name, a hundred each.
const PAGES: usize = 10;
/// Their clock is not ours.
const BEFORE: Span = Span::from_minutes(1);

/// The conversation about some of what was sent.
pub struct Recorded {
    settings: Settings,
    sent: Vec<Activation>,
    sights: Sights,
    /// Numbers of contacts, by every value that finds them.
    contacts: HashMap<String, String>,
    todo: VecDeque<Question>,
    asked: Option<Question>,
}

#[derive(Clone, Debug)]
enum Question {
    /// Whose these are.
    Contacts(Vec<usize>),
    /// A contact's events of a name.
    Events(Box<Of>),
}

#[derive(Clone, Debug)]
struct Of {
    contact: String,
    event: String,
    since: Timestamp,
    places: Vec<usize>,
    after: Option<String>,
    pages: usize,
    seen: Seen,
}

impl Recorded {
    pub(super) fn new(settings: Settings, sent: Vec<Activation>) -> Self {
        let mut sights = Sights::of(&sent);
        let named = sights.named(&sent, &settings.found_by);
        let todo = named.chunks(CONTACTS).map(|some| Question::Contacts(some.to_vec())).collect();
        Self { settings, sent, sights, contacts: HashMap::new(), todo, asked: None }
    }

    fn request(&self, question: &Question) -> Request {
        match question {
            Question::Contacts(places) => {
                let key = &self.settings.found_by;
                let values = key.each_once(places.iter().filter_map(|place| self.sent.get(*place)));
                directory::contacts(&self.settings, key, &values)
            }
            Question::Events(of) => {
                let mut query = vec![
                    ("objectType".into(), "contact".to_owned()),
                    ("objectId".into(), of.contact.clone()),
                    ("eventType".into(), of.event.clone()),
                    ("occurredAfter".into(), of.since.to_string()),
                    ("limit".into(), "100".to_owned()),
                ];
                query.extend(of.after.clone().map(|after| ("after".into(), after)));
                Request { query, ..self.settings.get(self.settings.occurrences()) }
            }
        }
    }

    fn read(&mut self, question: Question, response: &Response) {
        let json = response.json();
        match question {
            Question::Contacts(places) => {
                let key = &self.settings.found_by;
                let asked = key.each_once(places.iter().filter_map(|place| self.sent.get(*place)));
                let asked: HashSet<String> = asked.into_iter().map(|value| key.same(value)).collect();
                // A contact need not tell all that it is found by.
                let mut has_strangers = false;
                for (id, values) in answer::read(response, key) {
                    has_strangers |= !values.iter().any(|value| asked.contains(value));
                    self.contacts.extend(values.into_iter().map(|value| (value, id.clone())));
                }
                self.follow(&places, has_strangers);
            }
            Question::Events(mut of) => {
                let results = json.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                for event in results {
                    of.seen.note(event.pointer("/properties/occasion").and_then(Value::as_str));
                }
                of.pages += 1;
                match json.pointer("/paging/next/after").and_then(Value::as_str) {
                    Some(after) if of.pages < PAGES => {
                        of.after = Some(after.to_owned());
                        self.todo.push_front(Question::Events(of));
                    }
                    next => self.seen(&of, next.is_none()),
                }
            }
        }
    }

    /// One question for each contact and name of an event.
    fn follow(&mut self, places: &[usize], has_strangers: bool) {
        let mut of: BTreeMap<(String, String), (Timestamp, Vec<usize>)> = BTreeMap::new();
        for place in places {
            let Some(activation) = self.sent.get(*place) else { continue };
            let key = &self.settings.found_by;
            match key.of(activation).and_then(|value| self.contacts.get(&key.same(value))) {
                Some(contact) => {
                    let key = (contact.clone(), event_name(&self.settings, activation.action.of()));
                    let (since, of) = of.entry(key).or_insert_with(|| (activation.at, Vec::new()));
                    *since = activation.at.min(*since);
                    of.push(*place);
                }
                None if has_strangers => self.sights.untold(&[*place], "a contact does not tell what it is found by"),
                // Without its contact an event is nobody's.
                None => self.sights.say(&[*place], &Sight::Missing),
            }
        }
        for ((contact, event), (at, places)) in of {
            let since = at - BEFORE;
            let of = Of { contact, event, since, places, after: None, pages: 0, seen: Seen::default() };
            self.todo.push_back(Question::Events(Box::new(of)));
        }
    }

    fn seen(&mut self, of: &Of, is_whole: bool) {
        let unread = (!is_whole).then_some("the contact has more such events than are read");
        let nameless = "the contact's events have no property `occasion`; `espalier apply` makes it";
        of.seen.tell(&mut self.sights, (&of.places, &self.sent), unread, nameless);
    }

    fn refused(&mut self, question: &Question, words: &str) {
        match question {
            Question::Contacts(places) => self.sights.untold(places, words),
            Question::Events(of) => self.sights.untold(&of.places, words),
        }
    }
}

impl Inquiry<Vec<Sight>> for Recorded {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking<Vec<Sight>> {
        if let (Some(question), Some(answer)) = (self.asked.take(), answer) {
            match (verdict(&answer, now), &answer) {
                (Verdict::Done, Answer::Came(response)) => self.read(question, response),
                (Verdict::Halt(Halt::Quota { until, .. }), _) => {
                    self.asked = Some(question);
                    return Asking::Again(until);
                }
                (Verdict::Later(_), _) => {
                    self.asked = Some(question);
                    return Asking::Again(now + Span::from_secs(2));
                }
                // A scope, or the edition of the account: the same for all.
                (Verdict::Halt(Halt::Configuration(words)), _) => {
                    self.todo.clear();
                    self.sights.untold(&self.sights.open(), &words);
                }
                (Verdict::Halt(halt), _) => return Asking::Done(Err(halt)),
                (Verdict::Down(_, words), _) => return Asking::Done(Err(Halt::Down(words))),
                (Verdict::Refused(Outcome::Refused { code, words }), _) => {
                    self.refused(&question, &format!("the vendor refuses the question: {code}: {words}"));
                }
                (Verdict::Refused(_) | Verdict::Exists | Verdict::Done, _) => {
                    self.refused(&question, "the answer cannot be read");
                }
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
    use crate::destination::testing::{came, inquire, item, of, sights};

    fn recorded(sent: Vec<Activation>) -> Recorded {
        let settings = json!({ "token": "t", "hub_id": 7 });
        Recorded::new(serde_json::from_value(settings).expect("settings"), sent)
    }

    fn contacts() -> Answer {
        let other = json!({ "email": "main@example.com", "hs_additional_emails": "x@example.com;P2@example.com" });
        let results =
            json!([{ "id": "51", "properties": { "email": "p1@example.com" } }, { "id": "52", "properties": other }]);
        came(200, json!({ "results": results }))
    }

    fn occurrences(occasions: &[Value]) -> Answer {
        let results: Vec<Value> = occasions.iter().map(|one| json!({ "properties": { "occasion": one } })).collect();
        came(200, json!({ "results": results }))
    }

    #[test]
    fn events_are_looked_for_by_their_contacts() {
        let sent = vec![item(1).activation, item(2).activation, item(3).activation, of(4, Vec::new()).activation];
        let (asked, found) = inquire(recorded(sent), |n, _| match n {
            0 => contacts(),
            1 => occurrences(&["aa".into(), "01".repeat(16).into()]),
            _ => occurrences(&[]),
        });
        assert_eq!(sights(found), ["there", "missing", "missing", "the person has no email"]);
        let of = |n: usize| (asked[n].path.as_str(), asked[n].query.get(1).map(|(_, contact)| contact.as_str()));
        assert_eq!(of(0), ("/crm/objects/2026-03/contacts/batch/read", None));
        assert_eq!(of(1), ("/events/event-occurrences/2026-03", Some("51")));
        assert_eq!(of(2), ("/events/event-occurrences/2026-03", Some("52")), "by another of its addresses");
        assert_eq!(asked[1].query[2].1, "pe7_cart_abandoned");
        assert!(asked.iter().all(|request| !format!("{:?}", request.query).contains('@')));
    }

    #[test]
    fn what_cannot_be_told_is_not_called_missing() {
        let asked = |answer: Answer| {
            let sent = vec![item(1).activation];
            inquire(recorded(sent), |n, _| if n == 0 { contacts() } else { answer.clone() }).1
        };
        let words = "the contact's events have no property `occasion`; `espalier apply` makes it";
        assert_eq!(sights(asked(occurrences(&[Value::Null]))), [words]);
        let endless = json!({ "results": [], "paging": { "next": { "after": "x" } } });
        assert_eq!(sights(asked(came(200, endless))), ["the contact has more such events than are read"]);
        let error = json!({ "category": "VALIDATION_ERROR", "message": "no" });
        let words = "the vendor refuses the question: VALIDATION_ERROR: no";
        assert_eq!(sights(asked(came(400, error))), [words]);
        let words = "a scope or the subscription is missing: M";
        assert_eq!(sights(asked(came(403, json!({ "message": "M" })))), [words]);
        assert!(matches!(asked(came(502, json!({}))), Err(Halt::Down(_))));
    }
}
