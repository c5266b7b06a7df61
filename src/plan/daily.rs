//! The comparison by the clock: what differs is an alert, and nothing is made.

use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Account, counted, needs};
use crate::clock::SharedClock;
use crate::identity;
use crate::model::{Schedule, Timestamp, Zone};
use crate::rules::Program;

/// `[plan]` in the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// When accounts are compared with what triggers need, as cron writes it: minute, hour, day of month, month, day of
    /// week. `"off"`: never.
    pub at: Schedule,
    /// On whose clock.
    pub zone: Zone,
}

impl Default for Settings {
    fn default() -> Self {
        Self { at: Schedule::OFF, zone: Zone::UTC }
    }
}

/// What the last comparison of an account found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
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

/// The comparison by the clock.
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

    /// Runs until `stop`, or until it is never due again.
    pub async fn run(self, stop: CancellationToken) {
        while let Some(next) = self.settings.at.next(self.clock.now(), &self.settings.zone) {
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
            // Another daemon calls it, and compares it.
            if !account.is_ours() {
                continue;
            }
            let compared = account.compare(&needs.remove(&account.name).unwrap_or_default()).await;
            if !account.is_ours() {
                continue;
            }
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
            found.push(drift);
        }
        self.found.send_replace(found);
    }
}
