//! What the instance has against what activations need: custom activity types (documentation "Custom activity types"), static
//! lists, campaigns that can be requested with their tokens (Swagger of the assets, developer pages on smart campaigns and
//! tokens), and the permissions that show without sending.

mod campaigns;
#[cfg(test)]
mod tests;
mod types;

use std::collections::VecDeque;

use serde_json::Value;

use self::types::Type;
use super::Settings;
use super::answer::{Verdict, verdict};
use crate::destination::Halt;
use crate::destination::account::{self, Asking, Difference, Inquiry, ListNeed, Made, Sort};
use crate::model::http::{Answer, Method, Request, Response};
use crate::model::{ActionKind, Need, Timestamp};

/// "Already exists" (table of error codes).
const EXISTS: &str = "1017";
/// Permission, or an address that is not let in (the same).
const DENIED: &str = "603";
/// Nothing of this number: none found, no such object, no such resource (the same).
const ABSENT: [&str; 3] = ["702", "1013", "610"];

/// A conversation about an instance.
pub struct Asked {
    settings: Settings,
    needs: Vec<Need>,
    types: Vec<Type>,
    lists: Vec<ListNeed>,
    /// What is still to be asked.
    todo: VecDeque<Question>,
    asked: Option<Question>,
    differences: Vec<Difference>,
}

#[derive(Clone, Debug)]
enum Question {
    /// Which types there are.
    Types,
    /// What this one is like, which the type at this place is.
    Type(usize, Value),
    /// Whether the list at this place is there.
    List(usize),
    /// How the campaign of the need at this place is.
    Campaign(usize),
    /// Which tokens its program or folder has.
    Tokens(usize, campaigns::Folder),
}

impl Question {
    /// What the role needs to ask it (Swagger).
    fn permission(&self) -> &'static str {
        match self {
            Self::Types | Self::Type(..) => "Read-Only Activity Metadata",
            Self::List(_) => "Read-Only Lead",
            Self::Campaign(_) | Self::Tokens(..) => "Read-Only Assets",
        }
    }
}

impl Asked {
    pub(super) fn new(settings: Settings, needs: Vec<Need>) -> Self {
        let (types, lists) = (types::needed(&settings, &needs), account::lists(&needs));
        let mut todo = VecDeque::new();
        todo.extend((!types.is_empty()).then_some(Question::Types));
        todo.extend((0..lists.len()).map(Question::List));
        let is_campaign = |(_, need): &(usize, &Need)| need.action.kind() == ActionKind::Campaign;
        todo.extend(needs.iter().enumerate().filter(is_campaign).map(|(place, _)| Question::Campaign(place)));
        let differences = types::unused(&settings, &needs);
        Self { settings, needs, types, lists, todo, asked: None, differences }
    }

    fn request(&self, question: &Question) -> Request {
        let get = |path: String| self.settings.call(Method::Get, path, Vec::new());
        let with = |path: String, name: &'static str, value: &str| {
            let mut request = get(path);
            request.query.push((name.into(), value.to_owned()));
            request
        };
        match question {
            Question::Types => get("/rest/v1/activities/external/types.json".into()),
            Question::Type(_, found) => {
                let path = format!("/rest/v1/activities/external/type/{}/describe.json", text(found, "apiName"));
                if text(found, "status") == "approved" { get(path) } else { with(path, "draft", "true") }
            }
            Question::List(list) => {
                let id = self.lists.get(*list).map(|list| &*list.id).unwrap_or_default();
                get(format!("/rest/v1/lists/{id}.json"))
            }
            Question::Campaign(need) => {
                let id = self.needs.get(*need).map(|need| need.action.of()).unwrap_or_default();
                get(format!("/rest/asset/v1/smartCampaign/{id}.json"))
            }
            Question::Tokens(_, folder) => {
                with(format!("/rest/asset/v1/folder/{}/tokens.json", folder.id), "folderType", folder.kind)
            }
        }
    }

    fn read(&mut self, question: Question, response: &Response) {
        let results = response.json().get("result").and_then(Value::as_array).cloned().unwrap_or_default();
        let first = results.first();
        match question {
            Question::Types => self.types_are_known(&results),
            Question::Type(place, found) => {
                let described = first.cloned().unwrap_or_default();
                let status = text(&found, "status");
                let of = self.types.get(place);
                self.differences
                    .extend(of.into_iter().flat_map(|of| types::differences(&self.settings, of, &described, status)));
            }
            Question::List(list) => {
                let Some(need) = self.lists.get(list) else { return };
                self.differences.push(match first {
                    Some(found) => need.told(Sort::Note, format!("is `{}`", account::cut(text(found, "name")))),
                    None => need.missing(),
                });
            }
            Question::Campaign(place) => {
                let Some(need) = self.needs.get(place) else { return };
                let Some(found) = first else { return self.differences.push(campaigns::missing(need)) };
                self.differences.push(campaigns::told(need, found));
                if self.settings.campaigns.get(need.action.of()).is_some_and(|tokens| !tokens.is_empty())
                    && let Some(folder) = campaigns::Folder::of(found)
                {
                    self.todo.push_front(Question::Tokens(place, folder));
                }
            }
            Question::Tokens(place, folder) => {
                let Some(need) = self.needs.get(place) else { return };
                self.differences.extend(campaigns::tokens(&self.settings, need, &folder, &results));
            }
        }
    }

    /// Each type that is needed: as it is under its number, else what would be made.
    fn types_are_known(&mut self, found: &[Value]) {
        for (place, of) in self.types.iter().enumerate().rev() {
            match types::look(&self.settings, of, found) {
                types::Look::Describe(one) => self.todo.push_front(Question::Type(place, one)),
                types::Look::Told(difference) => self.differences.push(*difference),
            }
        }
    }

    /// There is nothing at the question's address.
    fn is_not_there(&mut self, question: &Question, code: &str) {
        match question {
            Question::List(list) => self.differences.extend(self.lists.get(*list).map(ListNeed::missing)),
            Question::Campaign(need) => self.differences.extend(self.needs.get(*need).map(campaigns::missing)),
            Question::Tokens(need, _) => {
                self.differences.extend(self.needs.get(*need).map(|need| campaigns::unseen_tokens(need, code)));
            }
            Question::Types | Question::Type(..) => {}
        }
    }

    /// A role without the question's permission: nothing more of the sort can be asked.
    fn is_denied(&mut self, question: &Question) {
        let permission = question.permission();
        self.todo.retain(|other| other.permission() != permission);
        let (kinds, words): (&[ActionKind], _) = match question {
            Question::Types | Question::Type(..) => (
                &[ActionKind::Event],
                "which types there are is not known without it, and `apply` needs Read-Write Activity Metadata",
            ),
            Question::List(_) => (
                &[ActionKind::AddToList, ActionKind::RemoveFromList],
                "whether lists are there is not known without it, and sending needs Read-Write Lead",
            ),
            Question::Campaign(_) | Question::Tokens(..) => {
                (&[ActionKind::Campaign], "how campaigns are is not known without it")
            }
        };
        let of = self.needs.iter().filter(|need| kinds.contains(&need.action.kind()));
        let words = format!("the role of the API user has it not, or our address is not let in ({DENIED}): {words}");
        let difference = Difference::new(Sort::ByHand, format!("permission {permission}"), words);
        self.differences.push(difference.of(&account::triggers(of)));
    }

    /// What no question tells.
    fn finish(&mut self) -> Vec<Difference> {
        let has = |kind: ActionKind| self.needs.iter().any(|need| need.action.kind() == kind);
        let permissions = [
            ("Read-Write Lead", !self.needs.is_empty()),
            ("Read-Write Activity", has(ActionKind::Event)),
            ("Execute Campaign", has(ActionKind::Campaign)),
        ];
        let needed: Vec<&str> =
            permissions.into_iter().filter_map(|(one, is_needed)| is_needed.then_some(one)).collect();
        if !needed.is_empty() {
            let words = "a role that lacks one stops the lane with its first call, and the lane says so";
            self.differences.push(account::unseen(format!("permissions {}", needed.join(", ")), words));
        }
        std::mem::take(&mut self.differences)
    }
}

impl Inquiry<Vec<Difference>> for Asked {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking {
        if let (Some(question), Some(answer)) = (self.asked.clone(), answer) {
            match (verdict(&answer, now), code(&answer).as_str(), &answer) {
                (Verdict::Records(_), _, Answer::Came(response)) => self.read(question, response),
                (Verdict::Halt(Halt::Quota { until, .. }), ..) => return Asking::Again(until),
                (Verdict::Halt(Halt::Configuration(_)), DENIED, _) => self.is_denied(&question),
                (Verdict::Halt(_) | Verdict::Refused(..), code, _)
                    if ABSENT.contains(&code) && question.has_number() =>
                {
                    self.is_not_there(&question, code);
                }
                (Verdict::Halt(halt), ..) => return Asking::Done(Err(halt)),
                (Verdict::Down { words, .. }, ..) => return Asking::Done(Err(Halt::Down(words))),
                (Verdict::Refused(code, words), ..) => {
                    return Asking::Done(Err(Halt::Configuration(format!("{code}: {words}"))));
                }
                (Verdict::Records(_), ..) => {
                    return Asking::Done(Err(Halt::Configuration("the answer cannot be read".into())));
                }
            }
        }
        self.asked = self.todo.pop_front();
        match &self.asked {
            Some(question) => Asking::Ask(Box::new(self.request(question))),
            None => Asking::Done(Ok(self.finish())),
        }
    }
}

impl Question {
    /// It is about one thing, which may not be there.
    fn has_number(&self) -> bool {
        !matches!(self, Self::Types | Self::Type(..))
    }
}

/// The code of an answer that refuses; empty for another.
fn code(answer: &Answer) -> String {
    let Answer::Came(response) = answer else { return String::new() };
    match response.json().pointer("/errors/0/code") {
        Some(Value::String(code)) => code.clone(),
        Some(Value::Number(code)) => code.to_string(),
        _ => String::new(),
    }
}

/// What an answer to a step means. What was made by a run before is there.
pub(super) fn made(answer: &Answer, now: Timestamp) -> Made {
    match verdict(answer, now) {
        Verdict::Records(_) => Made::Done,
        Verdict::Refused(code, _) if code == EXISTS => Made::There,
        Verdict::Refused(code, words) => Made::Failed(format!("{code}: {words}")),
        Verdict::Halt(Halt::Quota { until, .. }) => Made::Again(until),
        Verdict::Halt(halt) => Made::Halt(halt),
        Verdict::Down { words, .. } => Made::Halt(Halt::Down(words)),
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
