//! How much usually comes of a stream by hour of the week, and whether it is improbably quiet.
//!
//! Values in, values out: it is told what came and which time was watched, and never asks a clock. Time that nobody
//! watched is no silence. What it does not know yet it expects nothing of.
//!
//! The usual number of an hour is the geometric mean of the same hour in the weeks before, each week counting 0.7 of the
//! next, so that one campaign does not become usual. An hour expects no more than the hours beside it: clocks are turned
//! twice a year, and mornings are not sharp. How much hours differ from what was expected is learned of all of them
//! together; a stretch is then judged by a negative binomial distribution as if all its hours went up and down together.

mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Span, Timestamp};

pub use tally::Tally;

/// Hours of a week.
const WEEK: i64 = 168;
/// What a week counts of the one after it.
const FORGOTTEN: f64 = 0.7;
/// Weeks in which an hour must have been seen before anything is expected of it.
const KNOWN: u8 = 2;
/// An hour is learned from when it was watched for so much of it.
const WHOLE: f64 = 0.9;
/// An hour is learned so long after it: what turns out to be a silence is not.
const DELAY: Span = Span::from_hours(48);
/// A silence that lasts longer is what is usual now: all is learned anew.
const USUAL: Span = Span::from_days(14);
/// Fewer expected events than these say nothing.
const LEAST: f64 = 10.0;
/// What comes must be below this part of what was expected: less is a slump, and no silence.
const PART: f64 = 0.2;
/// So improbable it must be.
const IMPROBABLE: f64 = 1e-5;
/// The least and the most that numbers are taken to vary, as the square of their deviation by that of their mean, beside
/// what chance alone makes.
const SPREAD: (f64, f64) = (0.05, 0.5);
/// What is taken of it while nothing is known, and for how many hours that counts.
const PRIOR: (f64, f64) = (0.25, 24.0);
/// Back again: what came of late is at least this part of what was expected, where a minute counts 0.8 of the next.
const BACK: (f64, f64) = (0.25, 0.8);

/// What is known of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// By hour of the week; empty before anything is learned.
    usual: Vec<Usual>,
    /// How far hours were from what was expected, and what was expected: sums of squares.
    spread: (f64, f64),
    /// Hours that are not learned from yet, by their number since 1970.
    recent: BTreeMap<i64, Hour>,
    /// The silence that holds.
    quiet: Option<Quiet>,
    /// What came and what was expected of late, while it is quiet.
    back: (f64, f64),
}

/// One hour of the week: the mean of the logarithms, the weight of what it is of, and in how many weeks it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Usual(f64, f64, u8);

/// One hour: what came, and how much of it was watched, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Hour(u64, i64);

/// A silence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quiet {
    /// Since when.
    pub since: Timestamp,
    /// What came since.
    pub came: u64,
    /// What usually comes in that time.
    pub expected: f64,
}

impl Usual {
    fn mean(self) -> f64 {
        self.0.exp_m1()
    }

    fn learn(&mut self, came: f64) {
        let old = self.1 * FORGOTTEN;
        self.0 = (self.0 * old + came.ln_1p()) / (old + 1.0);
        (self.1, self.2) = (old + 1.0, self.2.saturating_add(1));
    }
}

impl Volume {
    /// What holds now.
    pub fn quiet(&self) -> Option<&Quiet> {
        self.quiet.as_ref()
    }

    /// So much came in these hours, and the time from `from` until `until` was watched: all that came in it is told.
    pub fn tell(&mut self, came: &BTreeMap<i64, u64>, (from, until): (Timestamp, Timestamp)) {
        for (hour, n) in came {
            let one = self.recent.entry(*hour).or_default();
            one.0 = one.0.saturating_add(*n);
        }
        // Of what was caught up with after a long time the newest is enough.
        let from = from.max(until - Span::from_hours(WEEK)).as_millis();
        let (mut at, until_ms, length) = (from, until.as_millis(), Span::HOUR.as_millis());
        while at < until_ms {
            let hour = at.div_euclid(length);
            let end = ((hour + 1) * length).min(until_ms);
            self.recent.entry(hour).or_default().1 += end - at;
            at = end;
        }
        if self.quiet.is_some() {
            let new: u64 = came.values().sum();
            self.hear(new as f64, Span::from_millis(until_ms - from), until);
        } else {
            self.quiet = self.judge(until);
            self.back = (0.0, 0.0);
        }
        self.learn(until);
    }

    /// The number of an hour since 1970.
    pub fn hour(at: Timestamp) -> i64 {
        at.as_millis().div_euclid(Span::HOUR.as_millis())
    }

    /// What is usual in an hour of the week; nothing, while too little is known.
    fn level(&self, hour: i64, overall: f64) -> f64 {
        let place = usize::try_from(hour.rem_euclid(WEEK)).unwrap_or_default();
        match self.usual.get(place) {
            Some(usual) if usual.2 >= KNOWN => {
                // While little is known, a busy hour is believed only in part.
                let (mean, weight) = (usual.mean(), usual.1);
                mean.min((mean * weight + overall) / (weight + 1.0))
            }
            _ => 0.0,
        }
    }

    fn expected(&self, hour: i64, overall: f64) -> f64 {
        (hour - 1..=hour + 1).map(|hour| self.level(hour, overall)).fold(f64::INFINITY, f64::min)
    }

    /// The mean of all hours.
    fn overall(&self) -> f64 {
        let known = self.usual.iter().filter(|usual| usual.2 > 0);
        let (sum, n) = known.fold((0.0, 0.0), |(sum, n), usual| (sum + usual.mean(), n + 1.0));
        sum / f64::max(n, 1.0)
    }

    /// How much numbers vary.
    fn variation(&self) -> f64 {
        let prior = PRIOR.1 * self.overall().powi(2).max(1.0);
        ((self.spread.0 + PRIOR.0 * prior) / (self.spread.1 + prior)).clamp(SPREAD.0, SPREAD.1)
    }

    /// The most improbable of the stretches that end now, where one is improbable enough.
    fn judge(&self, until: Timestamp) -> Option<Quiet> {
        let (overall, variation) = (self.overall(), self.variation());
        let (mut came, mut expected, mut found) = (0_u64, 0.0, None);
        let mut least = IMPROBABLE;
        for (hour, Hour(n, watched)) in self.recent.iter().rev() {
            let part = (*watched as f64 / Span::HOUR.as_millis() as f64).min(1.0);
            came = came.saturating_add(*n);
            expected += part * self.expected(*hour, overall);
            if expected < LEAST || came as f64 > expected * PART {
                continue;
            }
            let probability = at_most(came as f64, expected, variation);
            if probability < least {
                least = probability;
                let since = Timestamp::from_millis(hour * Span::HOUR.as_millis()).min(until);
                found = Some(Quiet { since, came, expected });
            }
        }
        found
    }

    /// While it is quiet: whether it still is.
    fn hear(&mut self, came: f64, span: Span, until: Timestamp) {
        let overall = self.overall();
        let hours = span.as_millis() as f64 / Span::HOUR.as_millis() as f64;
        let expected = hours * self.expected(Self::hour(until), overall);
        let kept = BACK.1.powf(hours * 60.0);
        self.back = (self.back.0 * kept + came, self.back.1 * kept + expected);
        let Some(quiet) = &mut self.quiet else { return };
        quiet.came = quiet.came.saturating_add(came as u64);
        quiet.expected += expected;
        let is_back = self.back.0 > 0.0 && self.back.0 >= self.back.1 * BACK.0;
        if is_back {
            // Nothing is learned from a silence, nor is it looked at again.
            let since = Self::hour(quiet.since);
            self.recent.retain(|hour, _| *hour < since);
            self.quiet = None;
        } else if until.since(quiet.since) >= USUAL {
            *self = Self::default();
        }
    }

    /// Learns from the hours that are long over.
    fn learn(&mut self, until: Timestamp) {
        let last = Self::hour(until - DELAY);
        while let Some(entry) = self.recent.first_entry().filter(|entry| *entry.key() < last) {
            let (hour, Hour(came, watched)) = entry.remove_entry();
            let part = watched as f64 / Span::HOUR.as_millis() as f64;
            let is_silence = self.quiet.is_some_and(|quiet| hour >= Self::hour(quiet.since));
            if part < WHOLE || is_silence {
                continue;
            }
            self.usual.resize(WEEK as usize, Usual::default());
            let place = usize::try_from(hour.rem_euclid(WEEK)).unwrap_or_default();
            let Some(usual) = self.usual.get_mut(place) else { continue };
            let (came, mean) = (came as f64, usual.mean());
            if usual.2 >= KNOWN && mean >= 1.0 {
                // What comes by chance alone is no variation; more than twice as much is a campaign.
                let off = (came.min(2.0 * mean) - mean).powi(2) - mean;
                let kept = FORGOTTEN.powf(1.0 / WEEK as f64);
                self.spread = (self.spread.0 * kept + off, self.spread.1 * kept + mean * mean);
            }
            usual.learn(came);
        }
    }
}

/// How probable it is that at most so much comes where `mean` is expected and it varies so much: a negative binomial
/// distribution.
fn at_most(came: f64, mean: f64, variation: f64) -> f64 {
    // Large numbers say hardly more than smaller ones of the same proportion.
    let scale = (2_000.0 / mean).min(1.0);
    let (came, mean) = ((came * scale).ceil(), mean * scale);
    let shape = 1.0 / variation;
    let odds = mean / (mean + shape);
    let mut term = (shape / (mean + shape)).powf(shape);
    let (mut sum, mut n) = (term, 0.0);
    while n < came {
        term *= odds * (n + shape) / (n + 1.0);
        n += 1.0;
        sum += term;
    }
    sum.min(1.0)
}
