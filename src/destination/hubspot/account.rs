//! What the account has against what activations need: definitions of custom events (API reference 2026-03, guide "Custom
//! event definitions"), lists (specification of lists 2026-03), the token's scopes and the version's age. A missing
//! definition is made; a type that is another cannot be changed, and lists are the marketer's.

mod definitions;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Verdict, verdict};
use super::{Settings, Version};
use crate::destination::Halt;
use crate::destination::account::{self, Asking, Difference, Inquiry, ListNeed, Made, Sort};
use crate::model::http::{Answer, Method, Request, Response};
use crate::model::{ActionKind, Need, Outcome, Span, Timestamp};

/// Pages that are read at most: an account has 500 definitions (guide).
const PAGES: usize = 20;
/// Contacts, as lists name what they hold.
const CONTACTS: &str = "0-1";
/// What a private app's token may do: the vendor's page on private apps, as a public thread of 2022 cites it. It takes no
/// scope. Whatever else it says, of service keys too, is taken for not knowing.
const TOKEN: &str = "/oauth/v2/private-apps/get/access-token-info";
const DEFINITIONS: &str = "behavioral_events.event_definitions.read_write";
const LISTS: &str = "crm.lists.read";

/// A conversation about an account.
pub struct Asked {
    settings: Settings,
    needs: Vec<Need>,
    lists: Vec<ListNeed>,
    /// Pages of definitions that were read, and what they held.
    pages: usize,
    found: Vec<Value>,
    /// What is still to be asked.
    todo: VecDeque<Question>,
    asked: Option<Question>,
    differences: Vec<Difference>,
}

#[derive(Clone, Debug, PartialEq)]
enum Question {
    /// What the token may do.
    Token,
    /// A page of the definitions, after this one.
    Definitions(Option<String>),
    /// How the list at this place is.
    List(usize),
}

impl Asked {
    pub(super) fn new(settings: Settings, needs: Vec<Need>) -> Self {
        let lists = account::lists(&needs);
        let token = (!needs.is_empty()).then_some(Question::Token);
        let lists_asked = (0..lists.len()).map(Question::List);
        let todo = token.into_iter().chain([Question::Definitions(None)]).chain(lists_asked).collect();
        Self { settings, needs, lists, pages: 0, found: Vec::new(), todo, asked: None, differences: Vec::new() }
    }

    fn request(&self, question: &Question) -> Request {
        match question {
            Question::Token => {
                let body = json!({ "tokenKey": self.settings.token.expose() });
                self.settings.call(Method::Post, TOKEN, "crm", body.to_string().into_bytes())
            }
            Question::Definitions(after) => {
                let mut request = self.settings.get(self.settings.definitions());
                request.query = vec![("includeProperties".into(), "true".into()), ("limit".into(), "100".into())];
                request.query.extend(after.clone().map(|after| ("after".into(), after)));
                request
            }
            Question::List(list) => {
                let id = self.lists.get(*list).map(|list| &*list.id).unwrap_or_default();
                self.settings.get(self.settings.list(id))
            }
        }
    }

    fn read(&mut self, question: &Question, response: &Response) {
        let json = response.json();
        match question {
            Question::Token => self.token_is_known(&json),
            Question::Definitions(_) => {
                self.pages += 1;
                self.found.extend(json.get("results").and_then(Value::as_array).cloned().unwrap_or_default());
                match json.pointer("/paging/next/after").and_then(Value::as_str) {
                    Some(after) if self.pages < PAGES => {
                        self.todo.push_front(Question::Definitions(Some(after.to_owned())));
                    }
                    _ => self.differences.extend(definitions::differences(&self.settings, &self.needs, &self.found)),
                }
            }
            Question::List(list) => {
                let found = json.get("list").unwrap_or(&json);
                self.differences.extend(self.lists.get(*list).map(|list| of_list(list, found)));
            }
        }
    }

    /// What the vendor refuses to say, in its words.
    fn is_refused(&mut self, question: &Question, status: u16, words: &str) {
        match question {
            // Another sort of credentials.
            Question::Token => self.scopes_are_unseen(),
            Question::Definitions(_) if status == 403 => self.has_no_scope(DEFINITIONS, words),
            // The version's address for them, perhaps; what is only unused is nobody's need.
            Question::Definitions(_) => {
                let of = account::triggers(account::of_kind(&self.needs, ActionKind::Event));
                let words = format!("cannot be read ({status}: {words}): do `version` and `paths` fit the account?");
                let difference = Difference::new(Sort::ByHand, "event definitions", words).of(&of);
                self.differences.extend((!of.is_empty()).then_some(difference));
            }
            Question::List(list) if status == 404 => {
                self.differences.extend(self.lists.get(*list).map(ListNeed::missing));
            }
            Question::List(_) if status == 403 => self.has_no_scope(LISTS, words),
            Question::List(list) => {
                let words = format!("cannot be looked at: {words}");
                self.differences.extend(self.lists.get(*list).map(|list| list.told(Sort::ByHand, words)));
            }
        }
    }

    /// The scopes that the token has, and the account that it is of.
    fn token_is_known(&mut self, json: &Value) {
        let Some(has) = json.get("scopes").and_then(Value::as_array) else { return self.scopes_are_unseen() };
        for (scope, of) in scopes(&self.needs) {
            if !has.iter().any(|one| one.as_str() == Some(scope)) {
                let words = "the token has it not: the vendor refuses what needs it";
                self.lacks(scope, words, &of);
            }
        }
        let hub = json.get("hubId").and_then(Value::as_u64);
        if let Some(hub) = hub.filter(|hub| *hub != self.settings.hub_id) {
            let words = format!(
                "the token is of account {hub}: write that number, or take a token of {}",
                self.settings.hub_id
            );
            self.differences.push(Difference::new(Sort::ByHand, "hub_id", words));
        }
    }

    fn scopes_are_unseen(&mut self) {
        let scopes: Vec<&str> = scopes(&self.needs).into_iter().map(|(scope, _)| scope).collect();
        let words = "only the token of a private app can be asked for its scopes; one that is missing stops the lane \
                     with its first call, and the lane says so";
        self.differences.push(account::unseen(format!("scopes {}", scopes.join(", ")), words));
    }

    /// A question that the token may not ask: others of the sort are not asked.
    fn has_no_scope(&mut self, scope: &'static str, words: &str) {
        let is_list = scope == LISTS;
        self.todo.retain(|other| matches!(other, Question::List(_)) != is_list);
        let kinds: &[ActionKind] = match is_list {
            true => &[ActionKind::AddToList, ActionKind::RemoveFromList],
            false => &[ActionKind::Event],
        };
        let of: Vec<&Need> = self.needs.iter().filter(|need| kinds.contains(&need.action.kind())).collect();
        // Definitions are looked at for what is unused, too: for that alone nobody needs a scope.
        if !of.is_empty() {
            let what = if is_list { "how lists are" } else { "which events are defined" };
            let edition = if is_list { "" } else { ", or the account is no Enterprise" };
            let of = account::triggers(of);
            self.lacks(scope, &format!("the token has it not{edition}; {what} is not known without it: {words}"), &of);
        }
    }

    /// Told once, whether the token's own word or a refusal says it.
    fn lacks(&mut self, scope: &str, words: &str, triggers: &[Arc<str>]) {
        let what = format!("scope {scope}");
        if !self.differences.iter().any(|one| one.what == what) {
            self.differences.push(Difference::new(Sort::ByHand, what, words).of(triggers));
        }
    }

    fn finish(&mut self, now: Timestamp) -> Vec<Difference> {
        let version = self.settings.version;
        let what = format!("API version {}", version.word());
        let way_out = match version {
            Version::September2026 => "set `version` to a later one when this program knows it",
            _ => "set `version = \"2026-09\"`, which enforces an administrator's rules on what is written",
        };
        let end = Timestamp::parse(&format!("{}T00:00:00Z", version.end()));
        self.differences.extend(end.and_then(|end| account::ends(&what, end, now, Sort::ByHand, way_out)));
        std::mem::take(&mut self.differences)
    }
}

impl Inquiry<Vec<Difference>> for Asked {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking {
        if let (Some(question), Some(answer)) = (self.asked.take(), answer) {
            let status = answer.status();
            match (verdict(&answer, now), &answer) {
                (Verdict::Done, Answer::Came(response)) => self.read(&question, response),
                (Verdict::Done, _) => {}
                (Verdict::Halt(Halt::Quota { until, .. }), _) => return self.again(question, until),
                (Verdict::Later(_), _) => return self.again(question, now + Span::from_secs(2)),
                (Verdict::Down(_, words), _) => return Asking::Done(Err(Halt::Down(words))),
                (Verdict::Halt(Halt::Configuration(words)), _) => self.is_refused(&question, status, &words),
                // Credentials that it does not know may be good for all else.
                (Verdict::Halt(_), _) if question == Question::Token => self.is_refused(&question, status, ""),
                (Verdict::Halt(halt), _) => return Asking::Done(Err(halt)),
                (Verdict::Refused(Outcome::Refused { words, .. }), _) => self.is_refused(&question, status, &words),
                (Verdict::Refused(_) | Verdict::Exists, _) => self.is_refused(&question, status, ""),
            }
        }
        self.asked = self.todo.pop_front();
        match &self.asked {
            Some(question) => Asking::Ask(Box::new(self.request(question))),
            None => Asking::Done(Ok(self.finish(now))),
        }
    }
}

impl Asked {
    /// The last call once more.
    fn again(&mut self, question: Question, until: Timestamp) -> Asking {
        self.asked = Some(question);
        Asking::Again(until)
    }
}

/// How a list is against what is done with it (specification of lists: members are taken by MANUAL and SNAPSHOT alone).
fn of_list(need: &ListNeed, found: &Value) -> Difference {
    let name = account::cut(text(found, "name"));
    let (kind, holds) = (text(found, "processingType"), text(found, "objectTypeId"));
    if !text(found, "deletedAt").is_empty() {
        return need.told(Sort::ByHand, format!("is `{name}`, and was deleted: restore it, or take another"));
    }
    if !holds.is_empty() && holds != CONTACTS {
        return need
            .told(Sort::Differs, format!("is `{name}`, and holds no contacts (object type {holds}): take another"));
    }
    if kind == "DYNAMIC" {
        let words = format!(
            "is `{name}`, and dynamic: HubSpot fills it by its filters, and takes no members; make a static one"
        );
        return need.told(Sort::Differs, words);
    }
    need.told(Sort::Note, format!("is `{name}`"))
}

/// The scopes that activations take, and the triggers that need them (specifications 2026-03, `security` of each
/// operation).
fn scopes(needs: &[Need]) -> Vec<(&'static str, Vec<Arc<str>>)> {
    let lists = [ActionKind::AddToList, ActionKind::RemoveFromList];
    let written = [ActionKind::Event, ActionKind::AddToList, ActionKind::Profile];
    let known: [(&'static str, &[ActionKind]); 6] = [
        ("crm.objects.contacts.write", &written),
        // Who is taken out of a list is read, and not made.
        ("crm.objects.contacts.read", &[ActionKind::RemoveFromList]),
        ("analytics.behavioral_events.send", &[ActionKind::Event]),
        (DEFINITIONS, &[ActionKind::Event]),
        (LISTS, &lists),
        ("crm.lists.write", &lists),
    ];
    let of = |kinds: &[ActionKind]| account::triggers(needs.iter().filter(|need| kinds.contains(&need.action.kind())));
    known.into_iter().map(|(scope, kinds)| (scope, of(kinds))).filter(|(_, of)| !of.is_empty()).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What an answer to a step means. 409 is "already exists" (guide).
pub(super) fn made(answer: &Answer, now: Timestamp) -> Made {
    match verdict(answer, now) {
        Verdict::Done => Made::Done,
        Verdict::Exists => Made::There,
        Verdict::Halt(Halt::Quota { until, .. }) => Made::Again(until),
        Verdict::Halt(halt) => Made::Halt(halt),
        Verdict::Later(_) => Made::Again(now + Span::from_secs(2)),
        Verdict::Down(_, words) => Made::Halt(Halt::Down(words)),
        Verdict::Refused(Outcome::Refused { code, words }) => Made::Failed(format!("{code}: {words}")),
        Verdict::Refused(_) => Made::Failed("refused".into()),
    }
}
