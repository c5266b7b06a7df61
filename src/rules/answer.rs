//! What a condition answers when it is asked: its truth, and when time alone can change it.

use crate::model::{Span, Timestamp};

/// Truth at the instant asked, and the next instant at which it can change without a new event.
///
/// `next` may be too early (then it is asked once more than needed), never too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// True at the instant asked.
    pub is_true: bool,
    /// Later than the instant asked; `None` when time alone changes nothing.
    pub next: Option<Timestamp>,
}

impl Answer {
    /// As it is, until an event comes.
    pub fn settled(is_true: bool) -> Self {
        Self { is_true, next: None }
    }

    /// As it is, until `at`.
    pub fn until(is_true: bool, at: Timestamp) -> Self {
        Self { is_true, next: Some(at) }
    }

    /// True when all are. Asked again when any can change.
    pub fn all(answers: impl IntoIterator<Item = Answer>) -> Self {
        answers
            .into_iter()
            .fold(Self::settled(true), |a, b| Self { is_true: a.is_true && b.is_true, next: earlier(a.next, b.next) })
    }

    /// True when one is.
    pub fn any(answers: impl IntoIterator<Item = Answer>) -> Self {
        answers
            .into_iter()
            .fold(Self::settled(false), |a, b| Self { is_true: a.is_true || b.is_true, next: earlier(a.next, b.next) })
    }

    /// True when it is not.
    pub fn negated(self) -> Self {
        Self { is_true: !self.is_true, next: self.next }
    }

    /// With `for`: true when the condition has been true since `since` without a break, and that is `held` long.
    pub fn held(self, held: Span, since: Option<Timestamp>, now: Timestamp) -> Self {
        match since.filter(|_| self.is_true).map(|since| since + held) {
            None => Self { is_true: false, next: self.next },
            Some(complete) if complete <= now => self,
            Some(complete) => Self { is_true: false, next: earlier(self.next, Some(complete)) },
        }
    }
}

/// The earlier of two instants, where there are two.
pub fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
