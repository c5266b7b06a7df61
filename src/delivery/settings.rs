//! `[delivery]` in the configuration.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Span;

/// How lanes send, wait and give up.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A lane waits so long for a batch to fill. `"0ms"`: it sends what there is.
    pub linger: Span,
    /// After so many failed tries an activation is a dead letter. Waiting for quota, for credentials or for a vendor
    /// that is down as a whole is no try.
    #[schemars(range(min = 1, max = 1_000))]
    pub tries: u32,
    /// The first wait after a failure; it doubles with each.
    pub backoff: Span,
    /// The longest wait after a failure.
    pub longest: Span,
    /// Failed calls in a row that open a lane's breaker.
    #[schemars(range(min = 1, max = 1_000))]
    pub breaker: u32,
    /// A lane whose breaker is open tries one call after so long.
    pub probe: Span,
    /// Credentials or a configuration that were refused are tried again after so long.
    pub mended: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            linger: Span::from_millis(50),
            tries: 20,
            backoff: Span::from_secs(1),
            longest: Span::from_minutes(15),
            breaker: 5,
            probe: Span::from_secs(30),
            mended: Span::from_minutes(1),
        }
    }
}
