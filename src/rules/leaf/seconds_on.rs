//! `seconds_on = E`, `within = W`, `over = D`, `under = D`: how long the pages of E were looked at.
//!
//! The seconds come with the views themselves, or with heartbeats that name the view.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Entry, Span, Timestamp};
use crate::rules::amount::Amount;
use crate::rules::answer::{Answer, earlier};
use crate::rules::names::Definition;
use crate::rules::path::key_text;
use crate::rules::predicate::Filter;
use crate::rules::threshold::Bounds;
use crate::rules::view::{Keyless, Reads, View, Within};
use crate::rules::written::{Reading, Table};

use super::Asks;
use super::window::adds_up;

/// Events that tell how long a view has lasted, by its `view_id`.
const BEATS: [&str; 2] = ["Page Left", "Heartbeat"];

/// How long pages were looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct SecondsOn {
    /// Which events are views.
    pub reads: Reads,
    /// The window, by the time of the view.
    pub within: Within,
    /// How long in all.
    pub bounds: Bounds<Span>,
    /// Heartbeats, whatever they carry beside the view's id.
    beats: [Reads; 2],
}

/// What was told of one view.
#[derive(Clone, Copy, Default)]
struct Told {
    /// The largest `dwell_seconds`: how long in all.
    whole: Option<Amount>,
    /// The sum of `seconds`: how long since the last time.
    parts: Amount,
}

impl Told {
    fn hear(&mut self, fields: &Value) {
        let number = |name: &str| fields.get(name).and_then(Amount::of).filter(|amount| *amount > Amount::ZERO);
        self.whole = self.whole.max(number("dwell_seconds"));
        self.parts = [self.parts].into_iter().chain(number("seconds")).sum();
    }

    fn seconds(self) -> Amount {
        self.whole.unwrap_or(self.parts)
    }
}

impl SecondsOn {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let reads = Reads::read("seconds_on", table, reading);
        let within = Within::read(table, reading);
        let bounds =
            Bounds::read(table, reading, "over = \"2m\": at least two minutes", |v, reading| v.length(reading));
        Some(Self { reads: reads?, within: within?, bounds: bounds?, beats: Self::beats() })
    }

    /// Every view E up to T with its seconds, oldest first: what a threshold would be compared with.
    pub fn lifetime(event: &str, view: &View<'_>) -> Vec<(Timestamp, f64)> {
        let views = Self {
            reads: Reads::new(event, Filter::default(), false, false),
            within: Within::Lifetime,
            bounds: Bounds { over: None, under: None },
            beats: Self::beats(),
        };
        views.views(view).into_iter().map(|(at, amount)| (at, amount.as_f64())).collect()
    }

    fn beats() -> [Reads; 2] {
        BEATS.map(|name| Reads::new(name, Filter::default(), true, false))
    }

    /// The views in the window with their seconds, oldest first. A view that is told twice is at its latest time.
    fn views(&self, view: &View<'_>) -> Vec<(Timestamp, Amount)> {
        let mut views: Vec<(Timestamp, Told)> = Vec::new();
        let mut places: HashMap<Box<str>, usize> = HashMap::new();
        for entry in view.counted(&self.reads, self.within) {
            let place = match view_id(entry.fields()) {
                Some(id) => *places.entry(id).or_insert(views.len()),
                None => views.len(),
            };
            match views.get_mut(place) {
                Some((at, _)) => *at = entry.at,
                None => views.push((entry.at, Told::default())),
            }
            if view_id(entry.fields()).is_none()
                && let Some((_, told)) = views.get_mut(place)
            {
                told.hear(entry.fields());
            }
        }
        // Of a view with an id, everything that was ever told counts, also what was told outside of the window.
        let tells = |entry: &&Entry| {
            self.reads.matches(entry, view.key, Keyless::Ignored)
                || self.beats.iter().any(|beat| beat.matches(entry, view.key, Keyless::Ignored))
        };
        if !places.is_empty() {
            for entry in view.entries().iter().filter(tells) {
                let place = view_id(entry.fields()).and_then(|id| places.get(&id));
                if let Some((_, told)) = place.and_then(|place| views.get_mut(*place)) {
                    told.hear(entry.fields());
                }
            }
        }
        let mut views: Vec<_> = views.into_iter().map(|(at, told)| (at, told.seconds())).collect();
        views.sort_by_key(|(at, _)| *at);
        views
    }
}

fn view_id(fields: &Value) -> Option<Box<str>> {
    key_text(fields.get("view_id")?)
}

/// A length of time as seconds.
fn seconds(span: Span) -> Amount {
    Amount::new(span.as_millis() as f64 / 1_000.0).unwrap_or(Amount::ZERO)
}

impl Asks for SecondsOn {
    fn answer(&self, view: &View<'_>) -> Answer {
        let others = self.bounds.next(view);
        let Some((over, under)) = self.bounds.of(view) else { return Answer { is_true: false, next: others } };
        let bounds = (over.map(seconds), under.map(seconds));
        let answer = adds_up(self.views(view), self.within, &bounds);
        Answer { next: earlier(answer.next, others), ..answer }
    }

    fn sources(&self) -> Vec<(&Reads, Keyless)> {
        [&self.reads].into_iter().chain(&self.beats).map(|reads| (reads, Keyless::Ignored)).collect()
    }

    fn window(&self) -> Within {
        self.within
    }

    fn spans(&self) -> Vec<Span> {
        self.within.spans()
    }

    fn on_nothing(&self) -> (bool, bool) {
        // Without a view there are no seconds: less than any length.
        (self.reads.any_key || self.bounds.over.is_none(), true)
    }

    fn evidence<'a>(&self, view: &View<'a>) -> Option<&'a Entry> {
        view.counted(&self.reads, self.within).next_back()
    }

    fn reads_sessions(&self) -> bool {
        self.within == Within::Session
    }

    fn definitions(&self) -> Vec<&Arc<Definition>> {
        self.bounds.cohorts().collect()
    }

    fn words(&self) -> String {
        format!("{} looked at{} for {}", self.reads.words(), self.within.words(), self.bounds.words())
    }

    fn finding(&self, view: &View<'_>) -> String {
        let views = self.views(view);
        let total: Amount = views.iter().map(|(_, amount)| *amount).sum();
        format!("{total} seconds in {} views", views.len())
    }
}
