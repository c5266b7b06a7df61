//! What a configuration says of a connector's lists.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Span;

/// `pull` of a source with a connector.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which of the connector's lists; all, unless some are named.
    pub streams: Option<Vec<String>>,
    /// How far back the first run goes; the past is read beside what is new, and after it.
    pub start: Span,
    /// How long a list rests when all of it is read; as the connector says, unless told otherwise.
    pub every: Option<Span>,
    /// How much of the vendor's limits may be used; the rest is left to other tools.
    pub share: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { streams: None, start: Span::from_days(30), every: None, share: 1.0 }
    }
}
