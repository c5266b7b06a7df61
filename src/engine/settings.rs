//! `[engine]` in the configuration.

use schemars::JsonSchema;
use serde::Deserialize;

/// How the engine works through the journal.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The most events decided in one atomic commit, 1 to 10,000. Larger is faster; smaller is heard of sooner.
    #[schemars(range(min = 1, max = 10_000))]
    pub batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { batch: 1_000 }
    }
}
