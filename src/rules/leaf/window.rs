//! What time takes out of a window, and when that turns a condition.

use crate::model::{Span, Timestamp};
use crate::rules::amount::Amount;
use crate::rules::answer::Answer;
use crate::rules::threshold::lies_between;
use crate::rules::view::Within;

/// Whether amounts, oldest first, add up to what lies between the bounds, and until when.
pub fn adds_up(amounts: Vec<(Timestamp, Amount)>, within: Within, bounds: &(Option<Amount>, Option<Amount>)) -> Answer {
    let total = amounts.iter().map(|(_, amount)| *amount).sum();
    let is_true = lies_between(&total, bounds);
    let next = match within {
        Within::Last(window) => turning(
            window,
            is_true,
            amounts,
            total,
            |total, amount| *total = *total - amount,
            |total| lies_between(total, bounds),
        ),
        _ => None,
    };
    Answer { is_true, next }
}

/// The instant at which what leaves the window of this length, oldest first, makes `holds` another than `is_true`.
///
/// What leaves at one instant leaves together.
pub fn turning<T, S>(
    window: Span,
    is_true: bool,
    inside: impl IntoIterator<Item = (Timestamp, T)>,
    mut tally: S,
    mut take: impl FnMut(&mut S, T),
    holds: impl Fn(&S) -> bool,
) -> Option<Timestamp> {
    let mut inside = inside.into_iter().peekable();
    while let Some((at, leaving)) = inside.next() {
        take(&mut tally, leaving);
        let is_last_of_instant = inside.peek().is_none_or(|(next, _)| *next != at);
        if is_last_of_instant && holds(&tally) != is_true {
            return Some(at + window);
        }
    }
    None
}
