//! Of what sort something wrong is: a closed set, the same on the page, in messages, in settings and in metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Span;
use crate::model::setting::Size;

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AlertSeverity)]
pub enum Severity {
    /// Somebody should look, today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Of what sort something wrong is. In JSON and in files it is written in snake_case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TroubleKind)]
pub enum Kind {
    /// The store refuses the engine's steps: nothing is decided.
    EngineWaits,
    /// The disk of the store has little room.
    DiskLow,
    /// A vendor failed again and again; its lane tries one call now and then.
    BreakerOpen,
    /// A vendor refuses the credentials of a lane, or of a list.
    CredentialsRefused,
    /// A vendor's limit is reached; what waits goes on by itself.
    QuotaSpent,
    /// What waits in a lane will not have left for long.
    QuotaForecast,
    /// A lane waits for another reason: the configuration does not fit the account, or it looks before it sends again.
    LaneHeld,
    /// The oldest of what waits, to be decided or to be sent, is old.
    BacklogAge,
    /// Activations that can never be sent as they are.
    DeadLetters,
    /// A list, or a program, failed when it was read last.
    SyncFailed,
    /// A list is read up to long ago.
    LagOver,
    /// Records of a list could not be read.
    SetAside,
    /// Less comes of a source or a list than could be by chance.
    Silence,
    /// A vendor's clock is off.
    ClockSkew,
    /// It cannot be seen which subscriptions to webhooks there are.
    SubscriptionsUnseen,
    /// A topic has no subscription, and could not be given one.
    SubscriptionMissing,
    /// A subscription to webhooks was lost.
    SubscriptionLost,
    /// Somebody waits to see what is kept of them.
    DemandsOpen,
    /// An account is not as triggers need it.
    AccountDrift,
    /// A trigger fired far more often than usual and paused itself.
    RateGuard,
    /// A pool of codes runs out.
    CodesLow,
    /// A night is due and has not ended.
    NightMissing,
    /// The last night found differences.
    NightDiffers,
    /// The last backup of `[store] backup` could not be made.
    BackupFailed,
    /// A receiver of alerts cannot be told.
    ReceiverFailing,
}

/// From where on a figure is one that somebody should know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It has no figure: it is so, or it is not.
    None,
    /// From so many on.
    Times(u64),
    /// When it is longer.
    Over(Span),
    /// When it is less.
    Below(Size),
}

/// What holds for a kind where the settings say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// Whether it fires at all.
    pub is_on: bool,
    /// How urgent it is.
    pub severity: Severity,
    /// It must have been so for so long.
    pub wait: Span,
    /// From where on.
    pub mark: Mark,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 25] = [
        Self::EngineWaits,
        Self::DiskLow,
        Self::BreakerOpen,
        Self::CredentialsRefused,
        Self::QuotaSpent,
        Self::QuotaForecast,
        Self::LaneHeld,
        Self::BacklogAge,
        Self::DeadLetters,
        Self::SyncFailed,
        Self::LagOver,
        Self::SetAside,
        Self::Silence,
        Self::ClockSkew,
        Self::SubscriptionsUnseen,
        Self::SubscriptionMissing,
        Self::SubscriptionLost,
        Self::DemandsOpen,
        Self::AccountDrift,
        Self::RateGuard,
        Self::CodesLow,
        Self::NightMissing,
        Self::NightDiffers,
        Self::BackupFailed,
        Self::ReceiverFailing,
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::EngineWaits => "engine_waits",
            Self::DiskLow => "disk_low",
            Self::BreakerOpen => "breaker_open",
            Self::CredentialsRefused => "credentials_refused",
            Self::QuotaSpent => "quota_spent",
            Self::QuotaForecast => "quota_forecast",
            Self::LaneHeld => "lane_held",
            Self::BacklogAge => "backlog_age",
            Self::DeadLetters => "dead_letters",
            Self::SyncFailed => "sync_failed",
            Self::LagOver => "lag_over",
            Self::SetAside => "set_aside",
            Self::Silence => "silence",
            Self::ClockSkew => "clock_skew",
            Self::SubscriptionsUnseen => "subscriptions_unseen",
            Self::SubscriptionMissing => "subscription_missing",
            Self::SubscriptionLost => "subscription_lost",
            Self::DemandsOpen => "demands_open",
            Self::AccountDrift => "account_drift",
            Self::RateGuard => "rate_guard",
            Self::CodesLow => "codes_low",
            Self::NightMissing => "night_missing",
            Self::NightDiffers => "night_differs",
            Self::BackupFailed => "backup_failed",
            Self::ReceiverFailing => "receiver_failing",
        }
    }

    /// The one that is written so.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What holds where the settings say nothing.
    pub fn usual(self) -> Usual {
        use Severity::{Critical, Warning};
        let minutes = Span::from_minutes;
        let (severity, wait, mark) = match self {
            Self::EngineWaits => (Critical, minutes(1), Mark::None),
            Self::DiskLow => (Critical, minutes(1), Mark::Below(Size(1 << 30))),
            Self::BreakerOpen => (Critical, minutes(5), Mark::None),
            Self::CredentialsRefused => (Critical, minutes(1), Mark::None),
            Self::RateGuard => (Critical, Span::ZERO, Mark::None),
            Self::QuotaForecast => (Warning, minutes(15), Mark::Over(Span::from_hours(12))),
            Self::BacklogAge => (Warning, minutes(5), Mark::Over(Span::HOUR)),
            Self::LagOver => (Warning, minutes(5), Mark::Over(Span::HOUR)),
            Self::NightMissing => (Warning, Span::ZERO, Mark::Over(Span::from_hours(7))),
            Self::DeadLetters => (Warning, Span::ZERO, Mark::Times(1)),
            Self::SyncFailed => (Warning, Span::ZERO, Mark::Times(3)),
            Self::QuotaSpent | Self::SetAside | Self::ReceiverFailing => (Warning, minutes(5), Mark::None),
            Self::LaneHeld | Self::ClockSkew => (Warning, minutes(15), Mark::None),
            Self::SubscriptionsUnseen | Self::SubscriptionMissing => (Warning, minutes(30), Mark::None),
            Self::Silence
            | Self::SubscriptionLost
            | Self::DemandsOpen
            | Self::AccountDrift
            | Self::CodesLow
            | Self::NightDiffers
            | Self::BackupFailed => (Warning, Span::ZERO, Mark::None),
        };
        // A spent quota is how a full day ends: nobody has to do anything about it.
        Usual { is_on: self != Self::QuotaSpent, severity, wait, mark }
    }

    /// What is wrong, as one sentence: `lane esp: 3 dead letters`, `the engine waits: the disk is full`.
    pub fn sentence(self, of: &str, words: &str) -> String {
        let goes_on = matches!(self, Self::EngineWaits | Self::AccountDrift | Self::RateGuard | Self::NightDiffers);
        format!("{of}{} {words}", if goes_on { "" } else { ":" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_written_as_it_is_read() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.word());
            assert_eq!(Kind::named(kind.word()), Some(kind));
        }
        let mut words = Kind::ALL.map(Kind::word);
        words.sort_unstable();
        assert!(words.windows(2).all(|two| two[0] != two[1]), "one is there twice");
    }
}
