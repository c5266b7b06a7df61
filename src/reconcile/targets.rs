//! What a night is about, and when that was due: pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::model::{Schedule, Span, Timestamp};
use crate::store::LaneTotals;

/// A source that was never compared is read again for so long.
const FIRST: Span = Span::DAY;

/// What is remembered from night to night.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// When a night last was for each target, whatever came of it.
    pub last: BTreeMap<String, Timestamp>,
    /// Up to when each source is known to be whole.
    pub good: BTreeMap<String, Timestamp>,
    /// Each lane's books as they were last added up.
    pub books: BTreeMap<String, (Timestamp, LaneTotals)>,
    /// Up to when each lane's vendor was asked for what it took.
    #[serde(default)]
    pub looked: BTreeMap<String, Timestamp>,
    /// The newest event in the journal at the last night.
    pub journaled: u64,
    /// Reports that were ever written.
    pub reports: u64,
}

/// Everything that may be compared.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Sources with lists that can be read again, or that are programs.
    pub sources: Vec<String>,
    /// Lanes.
    pub lanes: Vec<String>,
}

/// What one night is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Sources, and since when each is read again.
    pub sources: BTreeMap<String, Timestamp>,
    /// Lanes.
    pub lanes: Vec<String>,
}

impl Due {
    /// True for nothing.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.lanes.is_empty()
    }
}

fn key(kind: &str, name: &str) -> String {
    format!("{kind}:{name}")
}

impl Targets {
    fn each<'a>(&'a self, settings: &'a Settings) -> impl Iterator<Item = (String, &'a Schedule)> {
        let sources = self.sources.iter().map(|name| (key("source", name), settings.of_source(name)));
        sources.chain(self.lanes.iter().map(|name| (key("lane", name), settings.of_lane(name))))
    }

    /// Those never heard of before begin now: they miss no night that was before them, and what came just before is
    /// not known to be whole until it was compared.
    pub fn meet(&self, memory: &mut Memory, settings: &Settings, now: Timestamp) {
        for (key, _) in self.each(settings) {
            memory.last.entry(key).or_insert(now);
        }
        for source in &self.sources {
            memory.good.entry(source.clone()).or_insert(now - FIRST);
        }
    }

    /// What is due at `now`, also from while nobody was there. `window`: how long a message is known to be a repetition;
    /// what lies before that cannot be told apart, and is left alone.
    pub fn due(&self, memory: &Memory, settings: &Settings, window: Span, now: Timestamp) -> Due {
        let is_due = |key: &str, schedule: &Schedule| {
            let due = schedule.last(now, &settings.zone);
            due.is_some_and(|due| memory.last.get(key).is_none_or(|last| *last < due))
        };
        let sources = self.sources.iter().filter(|name| is_due(&key("source", name), settings.of_source(name)));
        let sources = sources.map(|name| (name.clone(), Self::since(memory, settings, window, name, now)));
        let lanes = self.lanes.iter().filter(|name| is_due(&key("lane", name), settings.of_lane(name)));
        Due { sources: sources.collect(), lanes: lanes.cloned().collect() }
    }

    /// Since when a source is read again.
    pub fn since(memory: &Memory, settings: &Settings, window: Span, name: &str, now: Timestamp) -> Timestamp {
        let good = memory.good.get(name).copied().unwrap_or(now - FIRST);
        (good - settings.overlap(name)).max(now - window).min(now)
    }

    /// When something is due next.
    pub fn next(&self, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
        self.each(settings).filter_map(|(_, schedule)| schedule.next(now, &settings.zone)).min()
    }
}

impl Memory {
    /// A night of `due` was at `at`.
    pub fn note(&mut self, due: &Due, at: Timestamp) {
        let sources = due.sources.keys().map(|name| key("source", name));
        for key in sources.chain(due.lanes.iter().map(|name| key("lane", name))) {
            self.last.insert(key, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Span = Span::from_days(7);

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("an instant")
    }

    fn targets() -> Targets {
        Targets { sources: vec!["crm".into(), "shop".into()], lanes: vec!["klaviyo".into()] }
    }

    #[test]
    fn each_target_has_its_own_night_and_none_is_missed_twice() {
        let mut settings = Settings::default();
        settings.source.entry("crm".into()).or_default().at = "0 5 * * *".parse().ok();
        let (targets, mut memory) = (targets(), Memory::default());
        targets.meet(&mut memory, &settings, at("2026-11-24T04:00:00Z"));
        let due = |memory: &Memory, now: &str| {
            let due = targets.due(memory, &settings, WEEK, at(now));
            (due.sources.keys().cloned().collect::<Vec<_>>().join(" "), due.lanes.join(" "))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(due(&memory, "2026-11-24T04:59:00Z"), pair("", ""), "it begins now, and missed nothing");
        assert_eq!(due(&memory, "2026-11-24T05:00:00Z"), pair("crm", ""));
        memory.note(&targets.due(&memory, &settings, WEEK, at("2026-11-24T05:00:00Z")), at("2026-11-24T05:00:00Z"));
        assert_eq!(due(&memory, "2026-11-24T05:00:01Z"), pair("", ""));
        assert_eq!(due(&memory, "2026-11-25T03:00:00Z"), pair("shop", "klaviyo"));
        // The daemon was down for three nights: one makes up for all of them.
        assert_eq!(due(&memory, "2026-11-28T09:00:00Z"), pair("crm shop", "klaviyo"));
        memory.note(&targets.due(&memory, &settings, WEEK, at("2026-11-28T09:00:00Z")), at("2026-11-28T09:00:00Z"));
        assert_eq!(due(&memory, "2026-11-28T09:00:01Z"), pair("", ""));
        assert_eq!(targets.next(&settings, at("2026-11-28T09:00:01Z")), Some(at("2026-11-29T03:00:00Z")));
    }

    #[test]
    fn a_source_is_read_since_its_last_good_night_and_no_further_than_repeats_are_known() {
        let (settings, now) = (Settings::default(), at("2026-11-24T03:00:00Z"));
        let since = |memory: &Memory| Targets::since(memory, &settings, WEEK, "shop", now);
        let mut memory = Memory::default();
        assert_eq!(since(&memory), at("2026-11-23T01:00:00Z"), "a day and the overlap");
        memory.good.insert("shop".into(), at("2026-11-21T03:00:00Z"));
        assert_eq!(since(&memory), at("2026-11-21T01:00:00Z"));
        memory.good.insert("shop".into(), at("2026-10-01T03:00:00Z"));
        assert_eq!(since(&memory), now - WEEK);
    }

    #[test]
    fn nothing_is_due_that_is_off() {
        let settings = Settings { at: Schedule::OFF, ..Settings::default() };
        assert!(targets().due(&Memory::default(), &settings, WEEK, at("2026-11-24T03:00:00Z")).is_empty());
        assert_eq!(targets().next(&settings, at("2026-11-24T03:00:00Z")), None);
    }
}
