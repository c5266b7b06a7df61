//! `[gates]` in the configuration: what holds for every trigger that does not say otherwise.

use schemars::JsonSchema;
use serde::Deserialize;

use super::cap::Caps;
use super::guard::Guard;
use super::holdout::Share;
use super::quiet_hours::QuietHours;

/// What may hold an activation back.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who may be written to on a trigger's channel.
    pub consent: Policy,
    /// How many people get nothing at all, to compare the others with.
    pub holdout: Share,
    /// When nothing leaves, on each person's own clock.
    pub quiet_hours: Option<QuietHours>,
    /// When a trigger that fires unusually often pauses itself; without it none does, but those that say so.
    pub guard: Option<Guard>,
    /// How many activations one person gets at most, of all triggers together.
    pub cap: Caps,
    /// There is no configuration: consent and suppression are asked only for triggers that say `consent`.
    #[serde(skip)]
    #[schemars(skip)]
    pub is_unconfigured: bool,
}

impl Settings {
    /// Without a configuration: what the triggers' files say, and nothing else.
    pub fn unconfigured() -> Self {
        Self { is_unconfigured: true, ..Self::default() }
    }
}

/// Who may be written to, as far as consent goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Everybody who has not said no.
    #[default]
    OptOut,
    /// Only who agreed, by a dated act that is newer than any no.
    OptIn,
    /// Consent is not asked: for what somebody must be told. Suppression still stops it.
    None,
}

impl Policy {
    /// As they are written, with what each is.
    pub const WORDS: [(&str, Self); 3] = [("opt_out", Self::OptOut), ("opt_in", Self::OptIn), ("none", Self::None)];
}
