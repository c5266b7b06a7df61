//! `did = E`, `at_least = n`, `at_most = m`, `within = W`: the count of E in the window is in [n, m].

use crate::model::{Entry, Span, Timestamp};
use crate::rules::answer::Answer;
use crate::rules::view::{Keyless, Reads, View, Within};
use crate::rules::written::{Reading, Table};

/// How often something was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Did {
    /// Which events count.
    pub reads: Reads,
    /// n; 1 unless told otherwise.
    pub at_least: u64,
    /// m.
    pub at_most: Option<u64>,
    /// The window.
    pub within: Within,
}

impl Did {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let reads = Reads::read("did", table, reading);
        let at_most = table.get("at_most").and_then(|v| v.whole_number(reading, 0, u64::from(u32::MAX)));
        // "At most 2" alone means that none is well too.
        let unsaid = if at_most.is_some() { 0 } else { 1 };
        let at_least = table.get("at_least").map_or(Some(unsaid), |v| v.whole_number(reading, 0, u64::from(u32::MAX)));
        let within = Within::read(table, reading);
        if let (Some(n), Some(m)) = (at_least, at_most)
            && n > m
        {
            reading.mistake(
                table.span(),
                table.path().to_owned(),
                format!("can never be: at_least {n} is over at_most {m}"),
            );
        }
        Some(Self { reads: reads?, at_least: at_least?, at_most, within: within? })
    }

    /// Times of the events in the window, oldest first, and how many more there were before.
    fn times(&self, view: &View<'_>) -> (Vec<Timestamp>, u64) {
        let all = view.matching(&self.reads, Keyless::Ignored);
        match self.within {
            Within::Last(window) => {
                let from = view.now - window;
                (all.map(|e| e.at).filter(|at| *at > from).collect(), 0)
            }
            Within::Session => match view.session_start() {
                Some(start) => (all.filter(|e| e.order() >= start.order()).map(|e| e.at).collect(), 0),
                None => (Vec::new(), 0),
            },
            Within::Lifetime => {
                // What was cut is known by name only: it counts where nothing else is asked of it.
                (all.map(|e| e.at).collect(), view.folded(&self.reads).map_or(0, |cut| cut.count))
            }
        }
    }

    pub fn answer(&self, view: &View<'_>) -> Answer {
        let (times, cut) = self.times(view);
        let count = times.len() as u64 + cut;
        let is_true = count >= self.at_least && self.at_most.is_none_or(|most| count <= most);
        let Within::Last(window) = self.within else { return Answer::settled(is_true) };
        // Time alone only takes events out of the window, oldest first. The one whose leaving changes the truth:
        let leaving = match self.at_most {
            Some(most) if count > most => Some(count - most),
            _ if is_true && self.at_least > 0 => Some(count - self.at_least + 1),
            _ => None,
        };
        let next = leaving.and_then(|nth| times.get(usize::try_from(nth).ok()?.checked_sub(1)?)).map(|at| *at + window);
        Answer { is_true, next }
    }

    pub fn evidence<'a>(&self, view: &View<'a>) -> Option<&'a Entry> {
        view.matching(&self.reads, Keyless::Ignored).next_back()
    }

    pub fn spans(&self) -> Vec<Span> {
        match self.within {
            Within::Last(window) => vec![window],
            Within::Lifetime => vec![Span::MAX],
            Within::Session => Vec::new(),
        }
    }

    pub fn words(&self) -> String {
        let often = match (self.at_least, self.at_most) {
            (n, Some(m)) if n == m => format!("exactly {n} times"),
            (0, Some(m)) => format!("at most {m} times"),
            (n, Some(m)) => format!("{n} to {m} times"),
            (1, None) => "at least once".into(),
            (n, None) => format!("at least {n} times"),
        };
        format!("{} {often}{}", self.reads.words(), self.within.words())
    }

    pub fn finding(&self, view: &View<'_>) -> String {
        let (times, cut) = self.times(view);
        match times.last() {
            Some(last) => format!("{} times, last at {last}", times.len() as u64 + cut),
            None => format!("{cut} times"),
        }
    }
}
