//! Which of our activities the instance has, read back: leads by what they are found by, then the activities of these leads of
//! our types (REST API: Leads, Activities), as they are looked for before one is sent again.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::Settings;
use super::answer::{Verdict, verdict};
use super::directory;
use super::find::{Find, Step};
use super::look::{self, Look};
use crate::destination::Halt;
use crate::destination::account::{Asking, Inquiry};
use crate::destination::inventory::{Sight, Sights};
use crate::model::http::{Answer, Request, Response};
use crate::model::{Activation, Timestamp};

/// Addresses of one call: each may have several leads, of which a page shows 300.
const ADDRESSES: usize = 100;

/// The conversation about some of what was sent.
pub struct Recorded {
    settings: Settings,
    sent: Vec<Activation>,
    sights: Sights,
    todo: VecDeque<Question>,
    asked: Option<Question>,
    /// Of each type, place, lead and instant of what is to be looked for.
    found: BTreeMap<u64, Vec<(usize, u64, Timestamp)>>,
}

#[derive(Clone, Debug)]
enum Question {
    /// Whose these are.
    Leads(Find),
    /// What their leads have.
    Activities(Look),
}

impl Recorded {
    pub(super) fn new(settings: Settings, sent: Vec<Activation>) -> Self {
        let mut sights = Sights::of(&sent);
        let key = &settings.found_by;
        let named = sights.named(&sent, key);
        let todo = named.chunks(ADDRESSES).map(|some| Question::Leads(Find::new(some.to_vec(), key.clone()))).collect();
        Self { settings, sent, sights, todo, asked: None, found: BTreeMap::new() }
    }

    fn request(&self, question: &Question) -> Request {
        match question {
            Question::Leads(find) => {
                let asked = find.places.iter().filter_map(|place| self.sent.get(*place));
                directory::page(&self.settings, find, &self.settings.found_by.each_once(asked))
            }
            Question::Activities(look) => look.request(&self.settings),
        }
    }

    fn read(&mut self, question: Question, response: &Response) {
        let json = response.json();
        match question {
            Question::Leads(find) => match self.leads(find, &json) {
                Step::More(find) => self.todo.push_front(Question::Leads(find)),
                Step::Found(places, leads, has_strangers) => self.leads_are_known(&places, &leads, has_strangers),
                Step::Unread(places) => self.sights.untold(&places, "their addresses have more leads than are read"),
            },
            Question::Activities(look) => {
                let (found, places, is_whole) = match look.next(&json, &self.settings.occasion_attribute) {
                    look::Step::More(look) => return self.todo.push_front(Question::Activities(look)),
                    look::Step::Seen(found, places) => (found, places, true),
                    look::Step::Unread(found, places) => (found, places, false),
                };
                for place in places {
                    let Some(activation) = self.sent.get(place) else { continue };
                    if found.contains(&activation.occasion.to_string()) {
                        self.sights.there(place);
                    } else if is_whole {
                        self.sights.say(&[place], &Sight::Missing);
                    } else {
                        self.sights.untold(&[place], "the leads have more such activities than are read");
                    }
                }
            }
        }
    }

    fn leads(&self, find: Find, page: &Value) -> Step {
        let key = &self.settings.found_by;
        let asked = find.places.iter().filter_map(|place| self.sent.get(*place)).filter_map(|one| key.of(one));
        let asked: HashSet<String> = asked.map(|value| key.same(value)).collect();
        find.next(page, |value| asked.contains(value))
    }

    fn leads_are_known(&mut self, places: &[usize], leads: &HashMap<String, Vec<u64>>, has_strangers: bool) {
        for place in places {
            let Some(activation) = self.sent.get(*place) else { continue };
            let (activity_type, _) = self.settings.activity(activation.action.of());
            let key = &self.settings.found_by;
            match key.of(activation).and_then(|value| leads.get(&key.same(value))) {
                Some(leads) => {
                    let of_type = self.found.entry(activity_type).or_default();
                    of_type.extend(leads.iter().map(|lead| (*place, *lead, activation.at)));
                }
                None if has_strangers => {
                    self.sights.untold(&[*place], "a lead came of which it cannot be told whose it is");
                }
                // Its activities went with the lead.
                None => self.sights.say(&[*place], &Sight::Missing),
            }
        }
    }

    /// When all leads are known: those whose activities lie near each other are asked for together.
    fn follow(&mut self) {
        for (activity_type, mut records) in std::mem::take(&mut self.found) {
            records.sort_by_key(|(_, lead, at)| (*at, *lead));
            self.todo.extend(Look::begin(activity_type, &records).into_iter().map(Question::Activities));
        }
    }

    fn refused(&mut self, question: &Question, words: &str) {
        match question {
            Question::Leads(find) => self.sights.untold(&find.places, words),
            Question::Activities(look) => self.sights.untold(&look.places(), words),
        }
    }
}

impl Inquiry<Vec<Sight>> for Recorded {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking<Vec<Sight>> {
        if let (Some(question), Some(answer)) = (self.asked.take(), answer) {
            match (verdict(&answer, now), &answer) {
                (Verdict::Records(_), Answer::Came(response)) => self.read(question, response),
                (Verdict::Halt(Halt::Quota { until, .. }), _) => {
                    self.asked = Some(question);
                    return Asking::Again(until);
                }
                (Verdict::Halt(halt), _) => return Asking::Done(Err(halt)),
                (Verdict::Down { words, .. }, _) => return Asking::Done(Err(Halt::Down(words))),
                (Verdict::Refused(code, words), _) => {
                    // The address was too long: once more, with the fields in the body.
                    if code == "414"
                        && let Question::Activities(look) = &question
                        && let Some(posted) = look.clone().posted()
                    {
                        self.todo.push_front(Question::Activities(posted));
                    } else {
                        self.refused(&question, &format!("the vendor refuses the question: {code}: {words}"));
                    }
                }
                (Verdict::Records(_), _) => self.refused(&question, "the answer cannot be read"),
            }
        }
        if self.todo.is_empty() {
            self.follow();
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
    use crate::destination::marketo::find;
    use crate::destination::testing::{came, inquire, item, of, sights};
    use crate::model::{Identifier, IdentifierKind};

    fn recorded(sent: Vec<Activation>) -> Recorded {
        let settings = json!({ "base_url": "http://m", "client_id": "i", "client_secret": "s", "activity_type": 7 });
        Recorded::new(serde_json::from_value(settings).expect("settings"), sent)
    }

    fn leads() -> Answer {
        let lead = |id: u64, n: u8| json!({ "id": id, "email": format!("P{n}@example.com") });
        came(200, json!({ "success": true, "result": [lead(11, 1), lead(12, 1), lead(21, 2)] }))
    }

    fn page(occasions: &[String]) -> Answer {
        let activity = |occasion: &String| json!({ "attributes": [{ "name": "Activation ID", "value": occasion }] });
        let result: Vec<Value> = occasions.iter().map(activity).collect();
        came(200, json!({ "success": true, "result": result, "nextPageToken": "T", "moreResult": false }))
    }

    #[test]
    fn activities_are_looked_for_by_their_leads() {
        let plus = of(4, vec![Identifier::new(IdentifierKind::Email, "a+b@example.com")]);
        let sent = vec![item(1).activation, item(2).activation, item(3).activation, plus.activation];
        let (asked, found) = inquire(recorded(sent), |n, _| if n == 0 { leads() } else { page(&["01".repeat(16)]) });
        assert_eq!(sights(found), ["there", "missing", "missing", "missing"]);
        assert_eq!((asked[0].path.as_str(), asked[0].query[0].1.as_str()), ("/rest/v1/leads.json", "GET"));
        let addresses = ["a+b@example.com", "p1@example.com", "p2@example.com", "p3@example.com"];
        assert_eq!(find::asked(&asked[0].body), addresses);
        assert_eq!(asked[2].query[2].1, "11,12,21", "all leads of an address");
        assert!(asked.iter().all(|request| !format!("{:?}", request.query).contains('@')));
    }

    #[test]
    fn a_lead_that_hides_its_address_leaves_it_open_who_is_missing() {
        let hidden = json!({ "success": true, "result": [{ "id": 11, "email": "p1@example.com" }, { "id": 12 }] });
        let sent = vec![item(1).activation, item(2).activation];
        let (_, found) = inquire(recorded(sent), |n, _| match n {
            0 => came(200, hidden.clone()),
            _ => page(&["01".repeat(16)]),
        });
        assert_eq!(sights(found), ["there", "a lead came of which it cannot be told whose it is"]);
    }

    #[test]
    fn what_cannot_be_told_is_not_called_missing() {
        let asked = |answer: Answer| {
            inquire(recorded(vec![item(1).activation]), |n, _| if n == 0 { leads() } else { answer.clone() }).1
        };
        let endless = json!({ "success": true, "nextPageToken": "T", "moreResult": true });
        assert_eq!(sights(asked(came(200, endless))), ["the leads have more such activities than are read"]);
        let failed = |code: &str| came(200, json!({ "success": false, "errors": [{ "code": code, "message": "M" }] }));
        assert_eq!(sights(asked(failed("1003"))), ["the vendor refuses the question: 1003: M"]);
        assert!(matches!(asked(failed("611")), Err(Halt::Down(_))));
        assert!(matches!(asked(failed("602")), Err(Halt::Token)), "whoever makes the calls begins anew");
    }
}
