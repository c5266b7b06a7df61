//! What an account has, against what activations need: asked and told apart without I/O.
//!
//! A survey is a conversation like an exchange: it asks, is given the answer, and ends with what differs. What can be
//! made says the calls that make it, in their order; each may be made again, so that whoever begins anew loses nothing.

use std::sync::Arc;

use serde::Serialize;

use super::Halt;
use crate::model::Timestamp;
use crate::model::http::{Answer, Request};

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

impl Inquiry<Vec<Difference>> for Box<dyn Survey> {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking {
        (**self).next(answer, now)
    }
}

/// The conversation about one account. Pure: `next(None)` first, then with each answer.
pub trait Survey: Send {
    /// What to do next. Total, and within a bounded number of calls, but for those that have to be made again.
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking;
}

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
