//! `[rules]` in the configuration.

use schemars::JsonSchema;
use serde::Deserialize;

use super::engagement::Engagement;
use crate::model::{PassedOn, Span};

use super::gate;

/// What triggers take for granted, and how much of a person is remembered.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A pause from this length on ends a session.
    pub session_gap: Span,
    /// The most events kept of one person, 10 to 10,000; older ones are folded into counts.
    #[schemars(range(min = 10, max = 10_000))]
    pub history: usize,
    /// Events are kept at least this long, and as long as any trigger looks back.
    pub keep: Span,
    /// The most (trigger, key) pairs remembered of one person, 10 to 100,000.
    #[schemars(range(min = 10, max = 100_000))]
    pub watches: usize,
    /// `[gates]`, which stands beside `[rules]` in the configuration.
    #[serde(skip)]
    #[schemars(skip)]
    pub gates: gate::Settings,
    /// `[engagement]`, which stands beside `[rules]`.
    #[serde(skip)]
    pub engagement: Engagement,
    /// Which destinations are told what no trigger says: the configuration of those says so.
    #[serde(skip)]
    #[schemars(skip)]
    pub passed_on: PassedOn,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_gap: Span::from_minutes(30),
            history: 1_000,
            keep: Span::from_days(90),
            watches: 2_000,
            gates: gate::Settings::default(),
            engagement: Engagement::default(),
            passed_on: PassedOn::default(),
        }
    }
}
