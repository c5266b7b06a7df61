//! `did = E`, `at_least = n`, `at_most = m`, `within = W`: the count of E in the window is in [n, m].

use std::sync::Arc;

use crate::model::{Entry, Span, Timestamp};
use crate::rules::answer::{Answer, earlier};
use crate::rules::names::Definition;
use crate::rules::threshold::Threshold;
use crate::rules::view::{Keyless, Reads, View, Within};
use crate::rules::written::{Reading, Table, Value};

use super::Asks;

/// How often something was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Did {
    /// Which events count.
    pub reads: Reads,
    /// n; 1 unless told otherwise.
    pub at_least: Threshold<u64>,
    /// m.
    pub at_most: Option<Threshold<u64>>,
    /// The window.
    pub within: Within,
}

impl Did {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let reads = Reads::read("did", table, reading);
        let count = |v: &Value<'_, '_>, reading: &mut Reading<'_>| v.whole_number(reading, 0, u64::from(u32::MAX));
        let at_most = table.get("at_most").map(|v| Threshold::read(&v, reading, count));
        // "At most 2" alone means that none is well too.
        let unsaid = Threshold::Same(if at_most.is_some() { 0 } else { 1 });
        let at_least = table.get("at_least").map_or(Some(unsaid), |v| Threshold::read(&v, reading, count));
        let within = Within::read(table, reading);
        if let (Some(least), Some(Some(most))) = (&at_least, &at_most)
            && let Some((n, m)) = least.clash(most, |n, m| n > m)
        {
            let words = format!("can never be: at_least {n} is over at_most {m}");
            reading.mistake(table.span(), table.path().to_owned(), words);
        }
        // One that could not be read was reported already.
        let at_most = match at_most {
            Some(read) => Some(read?),
            None => None,
        };
        Some(Self { reads: reads?, at_least: at_least?, at_most, within: within? })
    }

    /// Times of the events in the window, oldest first, and how many more there were before.
    fn times(&self, view: &View<'_>) -> (Vec<Timestamp>, u64) {
        let times = view.counted(&self.reads, self.within).map(|e| e.at).collect();
        match self.within {
            // What was cut is known by name only: it counts where nothing else is asked of it.
            Within::Lifetime => (times, view.folded(&self.reads).map_or(0, |cut| cut.count)),
            _ => (times, 0),
        }
    }

    /// Both limits for the person at T; `None` where no cohort says one.
    fn limits(&self, view: &View<'_>) -> Option<(u64, Option<u64>)> {
        let at_most = match &self.at_most {
            Some(most) => Some(most.of(view)?),
            None => None,
        };
        Some((self.at_least.of(view)?, at_most))
    }

    fn thresholds(&self) -> impl Iterator<Item = &Threshold<u64>> {
        [&self.at_least].into_iter().chain(&self.at_most)
    }
}

impl Asks for Did {
    fn answer(&self, view: &View<'_>) -> Answer {
        let others = self.thresholds().filter_map(|threshold| threshold.next(view)).min();
        let Some((at_least, at_most)) = self.limits(view) else { return Answer { is_true: false, next: others } };
        let (times, cut) = self.times(view);
        let count = times.len() as u64 + cut;
        let is_true = count >= at_least && at_most.is_none_or(|most| count <= most);
        let Within::Last(window) = self.within else { return Answer { is_true, next: others } };
        // Time alone only takes events out of the window, oldest first. The one whose leaving changes the truth:
        let leaving = match at_most {
            Some(most) if count > most => Some(count - most),
            _ if is_true && at_least > 0 => Some(count - at_least + 1),
            _ => None,
        };
        let next = leaving.and_then(|nth| times.get(usize::try_from(nth).ok()?.checked_sub(1)?)).map(|at| *at + window);
        Answer { is_true, next: earlier(next, others) }
    }

    fn sources(&self) -> Vec<(&Reads, Keyless)> {
        vec![(&self.reads, Keyless::Ignored)]
    }

    fn evidence<'a>(&self, view: &View<'a>) -> Option<&'a Entry> {
        view.matching(&self.reads, Keyless::Ignored).next_back()
    }

    fn window(&self) -> Within {
        self.within
    }

    fn spans(&self) -> Vec<Span> {
        self.within.spans()
    }

    fn on_nothing(&self) -> (bool, bool) {
        if self.reads.any_key {
            // What was done for other keys counts for this one too, from the moment it exists.
            return (true, true);
        }
        let least = self.at_least.values();
        (least.contains(&0), least.iter().any(|n| *n > 0) || !self.definitions().is_empty())
    }

    fn reads_sessions(&self) -> bool {
        self.within == Within::Session
    }

    fn definitions(&self) -> Vec<&Arc<Definition>> {
        self.thresholds().flat_map(Threshold::cohorts).collect()
    }

    fn words(&self) -> String {
        use Threshold::Same;
        let often = match (&self.at_least, &self.at_most) {
            (Same(n), Some(Same(m))) if n == m => format!("exactly {n} times"),
            (Same(0), Some(m)) => format!("at most {m} times"),
            (Same(n), Some(Same(m))) => format!("{n} to {m} times"),
            (n, Some(m)) => format!("at least ({n}) and at most ({m}) times"),
            (Same(1), None) => "at least once".into(),
            (n, None) => format!("at least {n} times"),
        };
        format!("{} {often}{}", self.reads.words(), self.within.words())
    }

    fn finding(&self, view: &View<'_>) -> String {
        let (times, cut) = self.times(view);
        match times.last() {
            Some(last) => format!("{} times, last at {last}", times.len() as u64 + cut),
            None => format!("{cut} times"),
        }
    }
}
