//! `ratio = E`, `to = F`, `within = W`, `over = x`, `under = x`, `at_least = n`: how many E for each F.

use std::sync::Arc;

use crate::model::{Entry, Span, Timestamp};
use crate::rules::amount::Amount;
use crate::rules::answer::{Answer, earlier};
use crate::rules::names::Definition;
use crate::rules::threshold::{Bounds, Threshold};
use crate::rules::view::{Keyless, Reads, View, Within};
use crate::rules::written::{Reading, Table};

use super::Asks;
use super::window::turning;

/// How many of one there were for each of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// Which events count above the line.
    pub reads: Reads,
    /// Which count below it: the same `where` and `any_key`.
    pub to: Reads,
    /// The window of both.
    pub within: Within,
    /// The ratio.
    pub bounds: Bounds<Amount>,
    /// So many below the line are needed for a ratio to mean something.
    pub at_least: Threshold<u64>,
}

/// How many there are above and below the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of the part.
    pub above: u64,
    /// Of the whole.
    pub below: u64,
}

impl Ratio {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let reads = Reads::read("ratio", table, reading);
        if !table.has("to") {
            reading
                .mistake(table.span(), table.path().to_owned(), "needs `to`: the events that are the whole")
                .suggestion = Some("to = \"Email Delivered\"".into());
        }
        let to = table.get("to").and_then(|v| v.text(reading));
        let within = Within::read(table, reading);
        let bounds = Bounds::read(table, reading, "under = 0.2: less than one in five", |v, reading| v.amount(reading));
        let at_least = match table.get("at_least") {
            None => Some(Threshold::Same(1)),
            Some(v) => Threshold::read(&v, reading, |v, reading| v.whole_number(reading, 1, u64::from(u32::MAX))),
        };
        let reads = reads?;
        let to = Reads::new(&to?, reads.filter.clone(), reads.any_key, reads.with_machines);
        Some(Self { reads, to, within: within?, bounds: bounds?, at_least: at_least? })
    }

    /// Those in the window, oldest first, each with whether it is above the line; and how many there are in all.
    pub fn counts(&self, view: &View<'_>) -> (Vec<(Timestamp, bool)>, Counts) {
        let above = view.counted(&self.reads, self.within).map(|e| (e.at, true));
        let mut times: Vec<(Timestamp, bool)> =
            above.chain(view.counted(&self.to, self.within).map(|e| (e.at, false))).collect();
        times.sort_by_key(|(at, _)| *at);
        let cut = |reads| match self.within {
            Within::Lifetime => view.folded(reads).map_or(0, |cut| cut.count),
            _ => 0,
        };
        let above = times.iter().filter(|(_, is_above)| *is_above).count() as u64;
        let below = times.len() as u64 - above;
        (times, Counts { above: above + cut(&self.reads), below: below + cut(&self.to) })
    }

    /// Whether the counts are so, and until when time alone leaves it at that.
    pub fn is_so(&self, view: &View<'_>, is_so: impl Fn(&Counts) -> bool) -> Answer {
        let (times, counts) = self.counts(view);
        let is_true = is_so(&counts);
        let next = match self.within {
            Within::Last(window) => turning(window, is_true, times, counts, Counts::take, is_so),
            _ => None,
        };
        Answer { is_true, next }
    }
}

impl Counts {
    /// The one for each of the other; `None` where there is no other.
    pub fn rate(self) -> Option<f64> {
        (self.below > 0).then(|| self.above as f64 / self.below as f64)
    }

    /// One less.
    fn take(&mut self, is_above: bool) {
        let count = if is_above { &mut self.above } else { &mut self.below };
        *count = count.saturating_sub(1);
    }

    fn lies_between(&self, (over, under): (Option<Amount>, Option<Amount>), at_least: u64) -> bool {
        self.below >= at_least
            && over.is_none_or(|over| over.is_reached_by(self.above, self.below))
            && under.is_none_or(|under| !under.is_reached_by(self.above, self.below))
    }
}

impl Asks for Ratio {
    fn answer(&self, view: &View<'_>) -> Answer {
        let others = earlier(self.bounds.next(view), self.at_least.next(view));
        let Some((bounds, at_least)) = self.bounds.of(view).zip(self.at_least.of(view)) else {
            return Answer { is_true: false, next: others };
        };
        let answer = self.is_so(view, |counts| counts.lies_between(bounds, at_least));
        Answer { next: earlier(answer.next, others), ..answer }
    }

    fn sources(&self) -> Vec<(&Reads, Keyless)> {
        vec![(&self.reads, Keyless::Ignored), (&self.to, Keyless::Ignored)]
    }

    fn window(&self) -> Within {
        self.within
    }

    fn spans(&self) -> Vec<Span> {
        self.within.spans()
    }

    fn on_nothing(&self) -> (bool, bool) {
        (self.reads.any_key, true)
    }

    fn evidence<'a>(&self, view: &View<'a>) -> Option<&'a Entry> {
        let below = view.counted(&self.to, self.within).next_back();
        view.counted(&self.reads, self.within).next_back().or(below)
    }

    fn reads_sessions(&self) -> bool {
        self.within == Within::Session
    }

    fn definitions(&self) -> Vec<&Arc<Definition>> {
        self.bounds.cohorts().chain(self.at_least.cohorts()).collect()
    }

    fn words(&self) -> String {
        let (reads, to) = (self.reads.words(), self.to.words());
        let least = match self.at_least {
            Threshold::Same(1) => String::new(),
            ref least => format!(", of at least {least}"),
        };
        format!("{reads} to {to}{} is {}{least}", self.within.words(), self.bounds.words())
    }

    fn finding(&self, view: &View<'_>) -> String {
        let (_, counts) = self.counts(view);
        format!("{} of {}", counts.above, counts.below)
    }
}
