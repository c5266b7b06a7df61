//! `sum = P`, `of = E`, `within = W`, `over = x`, `under = x`: what a property of the events adds up to.

use std::sync::Arc;

use crate::model::{Entry, Span, Timestamp};
use crate::rules::amount::Amount;
use crate::rules::answer::{Answer, earlier};
use crate::rules::names::Definition;
use crate::rules::path::Path;
use crate::rules::threshold::{Bounds, lies_between};
use crate::rules::view::{Keyless, Reads, View, Within};
use crate::rules::written::{Reading, Table};

use super::Asks;
use super::window::adds_up;

/// How much of something there was.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// Every number it leads to is added.
    pub property: Path,
    /// Which events count.
    pub reads: Reads,
    /// The window.
    pub within: Within,
    /// How much.
    pub bounds: Bounds<Amount>,
}

impl Sum {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let property = table.get("sum").and_then(|v| v.text(reading)).map(|text| Path::new(&text));
        if !table.has("of") {
            reading
                .mistake(table.span(), table.path().to_owned(), "needs `of`: the events whose property is added up")
                .suggestion = Some("of = \"Order Completed\"".into());
        }
        let reads = Reads::read("of", table, reading);
        let within = Within::read(table, reading);
        let bounds = Bounds::read(table, reading, "over = 100: at least a hundred", |v, reading| v.amount(reading));
        Some(Self { property: property?, reads: reads?, within: within?, bounds: bounds? })
    }

    /// The amounts in the window with their times, oldest first.
    fn amounts(&self, view: &View<'_>) -> Vec<(Timestamp, Amount)> {
        let of = |entry: &Entry| self.property.values(entry.fields()).into_iter().filter_map(Amount::of).sum();
        view.counted(&self.reads, self.within).map(|entry| (entry.at, of(entry))).collect()
    }
}

impl Asks for Sum {
    fn answer(&self, view: &View<'_>) -> Answer {
        let others = self.bounds.next(view);
        let Some(bounds) = self.bounds.of(view) else { return Answer { is_true: false, next: others } };
        let answer = adds_up(self.amounts(view), self.within, &bounds);
        Answer { next: earlier(answer.next, others), ..answer }
    }

    fn sources(&self) -> Vec<(&Reads, Keyless)> {
        vec![(&self.reads, Keyless::Ignored)]
    }

    fn window(&self) -> Within {
        self.within
    }

    fn spans(&self) -> Vec<Span> {
        self.within.spans()
    }

    fn on_nothing(&self) -> (bool, bool) {
        if self.reads.any_key {
            return (true, true);
        }
        // Nothing adds up to zero.
        let least_of_over = self.bounds.over.iter().flat_map(|over| over.values()).min();
        let most_of_under = self.bounds.under.iter().flat_map(|under| under.values()).max();
        let can_be_zero = lies_between(&Amount::ZERO, &(least_of_over, most_of_under));
        (can_be_zero, true)
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
        let (property, reads) = (self.property.to_text(), self.reads.words());
        format!("{property} of {reads}{} adds up to {}", self.within.words(), self.bounds.words())
    }

    fn finding(&self, view: &View<'_>) -> String {
        let amounts = self.amounts(view);
        let total: Amount = amounts.iter().map(|(_, amount)| *amount).sum();
        format!("{total} in {} events", amounts.len())
    }
}
