//! `did_not = E`, `within = W` or `since = A`: what was left undone.

use crate::model::{Entry, Span};
use crate::rules::answer::Answer;
use crate::rules::predicate::Filter;
use crate::rules::view::{Keyless, Reads, View, Within};
use crate::rules::written::{Reading, Table};

use super::Asks;

/// What was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct DidNot {
    /// Which events count against it. An event without the key counts against every key.
    pub reads: Reads,
    /// Since when.
    pub against: Against,
}

/// Since when something must not have been done.
#[derive(Clone, Debug, PartialEq)]
pub enum Against {
    /// Not in the window, and the person is known at least as long.
    Within(Within),
    /// Not after the latest of these events, of which there must be one.
    Since(Reads),
}

impl DidNot {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let reads = Reads::read("did_not", table, reading);
        let since = table.get("since");
        if table.has("within") == since.is_some() {
            reading
                .mistake(table.span(), table.path().to_owned(), "needs either `within` or `since`, and not both")
                .suggestion =
                Some("within = \"14d\" for a window, since = \"Product Added\" for what came after an event".into());
            table.get("within");
            return None;
        }
        let against = match since {
            Some(value) => {
                let event = value.text(reading)?;
                if reads.as_ref().is_some_and(|r| *r.event == *event) {
                    let words = "is the event itself: after its latest there is none";
                    reading.mistake(value.span(), value.path().to_owned(), words).suggestion =
                        Some("name another event, or ask `last` with `over`".into());
                    return None;
                }
                // The anchor is an event of the same key, not filtered: `where` speaks of what must not have come.
                let any_key = reads.as_ref().is_some_and(|r| r.any_key);
                let machines = reads.as_ref().is_some_and(|r| r.with_machines);
                Against::Since(Reads::new(&event, Filter::default(), any_key, machines))
            }
            None => Against::Within(Within::read(table, reading)?),
        };
        Some(Self { reads: reads?, against })
    }
}

impl Asks for DidNot {
    fn answer(&self, view: &View<'_>) -> Answer {
        match &self.against {
            Against::Since(anchor) => {
                let Some(since) = view.matching(anchor, Keyless::Ignored).next_back() else {
                    // Both may have been cut; of two at one instant it is not known any more which came first.
                    let since = view.folded(anchor).map(|cut| cut.last);
                    let latest = view.latest(&self.reads, Keyless::Counts);
                    return Answer::settled(since.is_some() && latest.is_none_or(|at| Some(at) < since));
                };
                // What is asked is another event than the anchor, so the anchor itself is none.
                Answer::settled(!view.has_from(&self.reads, Keyless::Counts, since.order()))
            }
            Against::Within(Within::Last(window)) => {
                let latest = view.latest(&self.reads, Keyless::Counts);
                // Known for the whole window, and silent for the whole window: both end at some instant.
                let quiet_from = latest.map_or(view.person.first_seen, |at| at.max(view.person.first_seen));
                let edge = quiet_from + *window;
                if view.now >= edge { Answer::settled(true) } else { Answer::until(false, edge) }
            }
            // Without a session there is none in which it was left undone.
            Against::Within(Within::Session) => {
                let is_quiet = |start: &Entry| !view.has_from(&self.reads, Keyless::Counts, start.order());
                Answer::settled(view.session_start().is_some_and(is_quiet))
            }
            Against::Within(Within::Lifetime) => Answer::settled(view.latest(&self.reads, Keyless::Counts).is_none()),
        }
    }

    fn evidence<'a>(&self, view: &View<'a>) -> Option<&'a Entry> {
        match &self.against {
            Against::Since(anchor) => view.matching(anchor, Keyless::Ignored).next_back(),
            Against::Within(_) => view.matching(&self.reads, Keyless::Counts).next_back(),
        }
    }

    fn sources(&self) -> Vec<(&Reads, Keyless)> {
        let mut sources = vec![(&self.reads, Keyless::Counts)];
        if let Against::Since(anchor) = &self.against {
            sources.push((anchor, Keyless::Ignored));
        }
        sources
    }

    fn on_nothing(&self) -> (bool, bool) {
        match &self.against {
            Against::Within(_) => (true, true),
            Against::Since(anchor) => (anchor.any_key, true),
        }
    }

    /// At the end of the window since the person was first seen.
    fn turns_on_nothing(&self) -> bool {
        matches!(self.against, Against::Within(Within::Last(_)))
    }

    fn reads_sessions(&self) -> bool {
        self.against == Against::Within(Within::Session)
    }

    fn spans(&self) -> Vec<Span> {
        match self.against {
            Against::Within(Within::Last(window)) => vec![window],
            _ => Vec::new(),
        }
    }

    fn words(&self) -> String {
        match &self.against {
            Against::Within(within) => format!("no {}{}", self.reads.words(), within.words()),
            Against::Since(anchor) => format!("no {} since {}", self.reads.words(), anchor.words()),
        }
    }

    fn finding(&self, view: &View<'_>) -> String {
        let latest = view.matching(&self.reads, Keyless::Counts).next_back();
        let latest = latest.map_or("none".to_owned(), |e| format!("last at {}", e.at));
        match &self.against {
            Against::Since(anchor) => match view.matching(anchor, Keyless::Ignored).next_back() {
                Some(e) => format!("{latest}; since {} at {}", anchor.words(), e.at),
                None => format!("{latest}; there is no {}", anchor.words()),
            },
            Against::Within(_) => format!("{latest}; known since {}", view.person.first_seen),
        }
    }
}
