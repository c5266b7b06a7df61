//! What is told of a step where somebody listens: each event that was decided, each occasion, and how they belong together.

use crate::model::Event;
use crate::model::{Changes, Loaded, Position, Timestamp};
use crate::trace::{self, Span, TraceId};

/// Events that an occasion is said to come from, at most: the newest up to its edge.
const MOST: usize = 8;

/// Spans of one step, made before its commit, and told after it.
#[derive(Default)]
pub(super) struct Traced {
    spans: Vec<Span>,
}

impl Traced {
    /// Of what was decided of `events` from `began` to `ended`; nothing where nobody listens.
    pub(super) fn of(
        changes: &Changes,
        loaded: &Loaded,
        events: &[(Position, Event)],
        (began, ended): (Timestamp, Timestamp),
    ) -> Self {
        if !trace::is_on() {
            return Self::default();
        }
        let mut traced = Self::default();
        let mut leads: Vec<(TraceId, TraceId)> = Vec::new();
        for decision in &changes.decisions {
            let trace = TraceId::of_occasion(&decision.occasion);
            let links: Vec<TraceId> = match loaded.people.get(&decision.person) {
                Some(person) => {
                    let before = person.history.entries().iter().rev().filter(|entry| entry.at <= decision.at);
                    before.take(MOST).map(|entry| TraceId::of_event(entry.position, entry.at)).collect()
                }
                None => Vec::new(),
            };
            leads.extend(links.iter().map(|event| (*event, trace)));
            let span = Span::new(trace, "decide", (began, ended)).root().with("trigger", &*decision.trigger);
            traced.spans.push(span.with("verdict", decision.verdict.word()).linked(links));
        }
        for (position, event) in events {
            let trace = TraceId::of_event(*position, event.at);
            let links = leads.iter().filter(|(from, _)| *from == trace).map(|(_, to)| *to).take(MOST).collect();
            traced.spans.push(Span::new(trace, "decide", (began, ended)).linked(links));
        }
        traced
    }

    /// Tells of them, and of the commit that they had in common.
    pub(super) fn tell(self, committed: (Timestamp, Timestamp)) {
        for span in self.spans {
            let commit = Span::new(span.trace, "commit", committed);
            trace::tell(span);
            trace::tell(commit);
        }
    }
}
