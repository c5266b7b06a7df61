//! The comparison once a day: what differs is an alert, and nothing is made.

use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Account, counted, needs};
use crate::clock::SharedClock;
use crate::identity;
use crate::model::zone::DAY;
use crate::model::{Span, TimeOfDay, Timestamp, Zone};
use crate::rules::Program;

/// `[plan]` in the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The time of day at which accounts are compared with what triggers need: "04:30". Without one they are not.
    pub at: Option<TimeOfDay>,
    /// Whose time of day it is.
    pub zone: Zone,
}

impl Default for Settings {
    fn default() -> Self {
        Self { at: None, zone: Zone::UTC }
    }
}

/// What the last comparison of an account found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Its name in the configuration.
    pub account: String,
    /// When it was compared.
    pub at: Timestamp,
    /// How many differences somebody has to do something about; none where they could not be told.
    pub to_do: Option<usize>,
    /// In words: how many of each sort, or why they could not be told.
    pub words: String,
}

impl Drift {
    /// True when there is something to do, or nothing could be told.
    pub fn is_trouble(&self) -> bool {
        self.to_do != Some(0)
    }
}

/// The daily comparison.
pub struct Daily {
    settings: Settings,
    accounts: Vec<Account>,
    program: Arc<ArcSwap<Program>>,
    names: identity::Settings,
    clock: SharedClock,
    found: watch::Sender<Vec<Drift>>,
}

impl Daily {
    /// Of these accounts, with the triggers that are in force when it runs.
    pub fn new(
        settings: Settings,
        accounts: Vec<Account>,
        program: Arc<ArcSwap<Program>>,
        names: identity::Settings,
        clock: SharedClock,
    ) -> Self {
        Self { settings, accounts, program, names, clock, found: watch::Sender::new(Vec::new()) }
    }

    /// What the last comparison found, whenever that changes.
    pub fn found(&self) -> watch::Receiver<Vec<Drift>> {
        self.found.subscribe()
    }

    /// Runs until `stop`: compares at the time of day that is set.
    pub async fn run(self, stop: CancellationToken) {
        let Some(at) = self.settings.at else { return };
        loop {
            let next = next(&self.settings.zone, at, self.clock.now());
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.until(next) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.compare() => {}
            }
        }
    }

    /// One comparison of all accounts.
    pub async fn compare(&self) {
        let mut needs = needs(&self.program.load(), &self.names);
        let mut found = Vec::new();
        for account in &self.accounts {
            let compared = account.compare(&needs.remove(&account.name).unwrap_or_default()).await;
            let at = self.clock.now();
            let drift = match compared {
                Ok(compared) => {
                    let Some(differences) = &compared.differences else { continue };
                    let (to_do, words) = (Some(compared.to_do()), counted(differences));
                    Drift { account: account.name.to_string(), at, to_do, words }
                }
                Err(halt) => Drift {
                    account: account.name.to_string(),
                    at,
                    to_do: None,
                    words: format!("cannot be told: {halt}"),
                },
            };
            if drift.is_trouble() {
                tracing::warn!(account = %drift.account, found = %drift.words, "the account is not as triggers need it; `espalier plan` tells more");
            }
            metrics::gauge!("espalier_drift", "account" => drift.account.clone())
                .set(drift.to_do.map_or(-1.0, |n| n as f64));
            found.push(drift);
        }
        self.found.send_replace(found);
    }
}

/// The next instant after `now` at which the clock of the zone shows this time; where it is put forward over it, a little
/// later.
fn next(zone: &Zone, at: TimeOfDay, now: Timestamp) -> Timestamp {
    let until = (at.as_millis() - zone.clock(now)).rem_euclid(DAY);
    let guess = now + Span::from_millis(if until == 0 { DAY } else { until });
    // The clock may be turned between now and then.
    let off = (at.as_millis() - zone.clock(guess) + DAY / 2).rem_euclid(DAY) - DAY / 2;
    let turned = Timestamp::from_millis(guess.as_millis() + off);
    if turned > now { turned } else { guess }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_met_each_day_and_when_clocks_are_turned() {
        let zone = Zone::named("Europe/Lisbon").expect("a zone");
        let at: TimeOfDay = "04:30".parse().expect("a time");
        for (now, wanted) in [
            ("2026-11-25T04:29:00Z", "2026-11-25T04:30:00.000Z"),
            ("2026-11-25T04:30:00Z", "2026-11-26T04:30:00.000Z"),
            ("2026-07-25T12:00:00Z", "2026-07-26T03:30:00.000Z"),
            // Summer time begins at 01:00 on 29 March 2026, and ends at 01:00 UTC on 25 October.
            ("2026-03-28T12:00:00Z", "2026-03-29T03:30:00.000Z"),
            ("2026-10-24T12:00:00Z", "2026-10-25T04:30:00.000Z"),
        ] {
            let now = Timestamp::parse(now).expect("an instant");
            assert_eq!(next(&zone, at, now).to_string(), wanted);
        }
    }
}
