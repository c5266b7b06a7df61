//! A person's sessions one by one, and what was looked at in each. What a marketer measures before there is a trigger.

use crate::model::{Entry, Person, Span};

use super::leaf::SecondsOn;
use super::session;
use super::view::View;

/// One session of a person.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// From its first event to the next session's, as `within = "session"` has it. Never empty.
    pub entries: &'a [Entry],
    /// How long the pages asked about were looked at, as `seconds_on` counts. A view that is told in two sessions is in
    /// the later one.
    pub seconds: f64,
}

/// Every session of the person, oldest first, with the seconds on pages of `event`.
pub fn visits<'a>(person: &'a Person, event: &str, session_gap: Span) -> Vec<Visit<'a>> {
    let entries = person.history.entries();
    let Some(last) = entries.last() else { return Vec::new() };
    let view = View { person, key: None, now: last.at, session_gap };
    let looked_at = SecondsOn::lifetime(event, &view);
    let starts = session::starts(entries, session_gap);
    let ends = starts.iter().skip(1).copied().chain([entries.len()]);
    let mut visits: Vec<Visit<'a>> = starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| entries.get(*start..end))
        .map(|entries| Visit { entries, seconds: 0.0 })
        .collect();
    for (at, seconds) in looked_at {
        let begun = visits.partition_point(|visit| visit.entries.first().is_some_and(|first| first.at <= at));
        if let Some(visit) = begun.checked_sub(1).and_then(|place| visits.get_mut(place)) {
            visit.seconds += seconds;
        }
    }
    visits
}
