//! What an account has, against what activations need: asked and told apart without I/O.
//!
//! A survey is a conversation like an exchange: it asks, is given the answer, and ends with what differs. What can be
//! made says the calls that make it, in their order; each may be made again, so that whoever begins anew loses nothing.

use std::sync::Arc;

use serde::Serialize;

use super::Halt;
use crate::model::http::{Answer, Request};
use crate::model::{Action, ActionKind, Need, Span, Timestamp};

/// The end of a version's life is told from so long before it.
const AHEAD: Span = Span::from_days(182);
/// Characters of a name that the vendor says.
const NAME: usize = 100;

/// What sort of difference it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// It is needed and is not there.
    Missing,
    /// It is there as something else.
    Differs,
    /// Only a person can do it, in the vendor's own pages.
    ByHand,
    /// It is there, and nothing needs it.
    Unused,
    /// Worth knowing; nothing is to be done.
    Note,
}

impl Sort {
    /// True when something is to be done.
    pub fn is_to_be_done(self) -> bool {
        matches!(self, Self::Missing | Self::Differs | Self::ByHand)
    }

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::ByHand => "by hand",
            Self::Unused => "unused",
            Self::Note => "note",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// What sort.
    pub sort: Sort,
    /// Of what: `event pe1_cart_abandoned`.
    pub what: String,
    /// In words: what is so, or what to do.
    pub words: String,
    /// The triggers that need it.
    pub triggers: Vec<Arc<str>>,
    /// The calls that make it, in their order; none where only a person can.
    #[serde(skip)]
    pub steps: Vec<Request>,
}

impl Difference {
    /// Of no sort of call.
    pub(super) fn new(sort: Sort, what: impl Into<String>, words: impl Into<String>) -> Self {
        Self { sort, what: what.into(), words: words.into(), triggers: Vec::new(), steps: Vec::new() }
    }

    /// That these triggers need.
    pub(super) fn of(mut self, triggers: &[Arc<str>]) -> Self {
        self.triggers = triggers.to_vec();
        self
    }

    /// That these calls make.
    pub(super) fn made_by(mut self, steps: Vec<Request>) -> Self {
        self.steps = steps;
        self
    }
}

/// What a conversation that only reads wants next.
#[derive(Debug)]
pub enum Asking<Found = Vec<Difference>> {
    /// Make this call and come back with its answer.
    Ask(Box<Request>),
    /// Make the last call again, not before this.
    Again(Timestamp),
    /// The end.
    Done(Result<Found, Halt>),
}

/// A conversation that only reads. Pure: `next(None)` first, then with each answer.
pub trait Inquiry<Found>: Send {
    /// What to do next. Total, and within a bounded number of calls, but for those that have to be made again.
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking<Found>;
}

impl<Found> Inquiry<Found> for Box<dyn Inquiry<Found>> {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking<Found> {
        (**self).next(answer, now)
    }
}

/// The conversation about one account.
pub type Survey = Box<dyn Inquiry<Vec<Difference>>>;

/// What the answer to a step means.
#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    /// It is made.
    Done,
    /// It was there.
    There,
    /// Make the call again, not before this.
    Again(Timestamp),
    /// It cannot be made; what follows it neither.
    Failed(String),
    /// Nothing more can be made.
    Halt(Halt),
}

/// A list that activations change.
pub(super) struct ListNeed {
    /// The vendor's id.
    pub id: Arc<str>,
    /// People go into it; else they are only taken out.
    pub is_filled: bool,
    /// Which triggers change it.
    pub triggers: Vec<Arc<str>>,
}

impl ListNeed {
    /// As differences speak of it.
    pub fn what(&self) -> String {
        format!("list {}", self.id)
    }

    /// The account has none of this id. It cannot be made under it: ids are the vendor's.
    pub fn missing(&self) -> Difference {
        let words = "is not there: make a list in the vendor's pages, and write its id in the place of this one";
        Difference::new(Sort::ByHand, self.what(), words).of(&self.triggers)
    }

    /// What is so, or what to do about it.
    pub fn told(&self, sort: Sort, words: impl Into<String>) -> Difference {
        Difference::new(sort, self.what(), words).of(&self.triggers)
    }
}

/// The lists that are needed, each once.
pub(super) fn lists(needs: &[Need]) -> Vec<ListNeed> {
    let mut lists: Vec<ListNeed> = Vec::new();
    for need in needs {
        let (id, is_filled) = match &need.action {
            Action::AddToList(id) => (id, true),
            Action::RemoveFromList(id) => (id, false),
            _ => continue,
        };
        match lists.iter_mut().find(|list| list.id == *id) {
            Some(list) => {
                list.is_filled |= is_filled;
                list.triggers.extend(need.triggers.iter().cloned());
                in_order(&mut list.triggers);
            }
            None => lists.push(ListNeed { id: id.clone(), is_filled, triggers: need.triggers.clone() }),
        }
    }
    lists
}

/// The needs of this sort.
pub(super) fn of_kind(needs: &[Need], kind: ActionKind) -> impl Iterator<Item = &Need> {
    needs.iter().filter(move |need| need.action.kind() == kind)
}

/// The triggers of all of these, each once.
pub(super) fn triggers<'n>(needs: impl IntoIterator<Item = &'n Need>) -> Vec<Arc<str>> {
    let mut triggers: Vec<_> = needs.into_iter().flat_map(|need| need.triggers.iter().cloned()).collect();
    in_order(&mut triggers);
    triggers
}

fn in_order(triggers: &mut Vec<Arc<str>>) {
    triggers.sort();
    triggers.dedup();
}

/// What is to be said of a version that the vendor supports until about `end`: nothing while that is half a year off,
/// a note from then on, and `after` when it is past. `way_out` says what to do.
pub(super) fn ends(what: &str, end: Timestamp, now: Timestamp, after: Sort, way_out: &str) -> Option<Difference> {
    if now + AHEAD < end {
        return None;
    }
    let date: String = end.to_string().chars().take(10).collect();
    let (sort, so) = match now < end {
        true => (Sort::Note, "is supported until about"),
        false => (after, "has been supported until about"),
    };
    Some(Difference::new(sort, what, format!("{so} {date}: {way_out}")))
}

/// What may go with sending and cannot be seen without it, told once.
pub(super) fn unseen(what: String, words: &str) -> Difference {
    Difference::new(Sort::Note, what, format!("cannot be seen without sending: {words}"))
}

/// A name that the vendor says, cut.
pub(super) fn cut(name: &str) -> String {
    name.chars().take(NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_from_half_a_year_before_its_end() {
        let end = Timestamp::parse("2027-09-30T00:00:00Z").expect("an instant");
        let told = |now: &str| {
            let now = Timestamp::parse(now).expect("an instant");
            ends("API version x", end, now, Sort::ByHand, "take another").map(|one| (one.sort, one.words))
        };
        assert_eq!(told("2027-03-31T23:59:59Z"), None);
        let words = "is supported until about 2027-09-30: take another".to_owned();
        assert_eq!(told("2027-04-01T00:00:00Z"), Some((Sort::Note, words)));
        let words = "has been supported until about 2027-09-30: take another".to_owned();
        assert_eq!(told("2027-09-30T00:00:00Z"), Some((Sort::ByHand, words)));
    }

    #[test]
    fn a_list_of_several_triggers_is_one() {
        let need = |action: Action, trigger: &str| Need {
            action,
            fields: Vec::new(),
            triggers: vec![trigger.into()],
            repeats: true,
        };
        let needs = [
            need(Action::RemoveFromList("7".into()), "b"),
            need(Action::AddToList("7".into()), "a"),
            need(Action::RemoveFromList("8".into()), "b"),
            need(Action::Profile, "c"),
        ];
        let lists: Vec<_> =
            lists(&needs).iter().map(|list| (list.what(), list.is_filled, list.triggers.join(" "))).collect();
        assert_eq!(
            lists,
            [("list 7".to_owned(), true, "a b".to_owned()), ("list 8".to_owned(), false, "b".to_owned())]
        );
        assert_eq!(triggers(&needs).join(" "), "a b c");
    }
}
