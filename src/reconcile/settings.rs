//! `[nightly]` in the configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Schedule, Span, Zone};

/// When the night is, and how far it looks back.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// When, as cron writes it: minute, hour, day of month, month, day of week. `"off"`: never.
    pub at: Schedule,
    /// On whose clock.
    pub zone: Zone,
    /// Lists are read again from so long before their last good night.
    pub overlap: Span,
    /// A night ends after so long; what is not through by then is said in its report.
    pub longest: Span,
    /// So many of the activations that a vendor took since are looked for in its own record, drawn by lot where it took
    /// more. 0: none.
    #[schemars(range(min = 0, max = 5_000))]
    pub look: usize,
    /// What is different for a source, by its name.
    pub source: BTreeMap<String, Source>,
    /// What is different for a destination, by its name.
    pub destination: BTreeMap<String, Lane>,
}

/// What is different for a source.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// When its lists are read again.
    pub at: Option<Schedule>,
    /// From so long before their last good night.
    pub overlap: Option<Span>,
}

/// What is different for a destination.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lane {
    /// When its books are added up.
    pub at: Option<Schedule>,
    /// So many of what it took are looked for in its own record.
    #[schemars(range(min = 0, max = 5_000))]
    pub look: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            at: "0 3 * * *".parse().unwrap_or(Schedule::OFF),
            zone: Zone::UTC,
            overlap: Span::from_hours(2),
            longest: Span::from_hours(6),
            look: 300,
            source: BTreeMap::new(),
            destination: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// When a source's lists are read again.
    pub fn of_source(&self, name: &str) -> &Schedule {
        self.source.get(name).and_then(|one| one.at.as_ref()).unwrap_or(&self.at)
    }

    /// When a lane's books are added up.
    pub fn of_lane(&self, name: &str) -> &Schedule {
        self.destination.get(name).and_then(|one| one.at.as_ref()).unwrap_or(&self.at)
    }

    /// How many of what a lane's vendor took are looked for.
    pub fn look(&self, lane: &str) -> usize {
        self.destination.get(lane).and_then(|one| one.look).unwrap_or(self.look)
    }

    /// How far before its last good night a source is read again.
    pub fn overlap(&self, source: &str) -> Span {
        self.source.get(source).and_then(|one| one.overlap).unwrap_or(self.overlap)
    }
}
