//! What time takes out of a window, and when that turns a condition.

use crate::model::{Span, Timestamp};

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
