//! What a vendor shows of what a lane counts as accepted: its own record, asked for some of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::delivery::Asker;
use crate::destination::inventory::Sight;
use crate::model::{Activation, Span, Timestamp};
use crate::store::{Accepted, WorkId};

/// What the vendor took later than so long before a night is looked for in the next one: vendors show it with a delay.
pub const DELAY: Span = Span::from_minutes(15);
/// No night looks further back.
pub const FURTHEST: Span = Span::from_days(7);
/// Missing ones that are told one by one.
const TOLD: usize = 20;

/// What the vendor shows of what it took in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LookReport {
    /// It took it after this,
    pub since: Timestamp,
    /// and not after this.
    pub until: Timestamp,
    /// Activations that it took then.
    pub accepted: u64,
    /// Those that it was asked for: all, or as many as `[nightly] look` says, drawn by lot.
    pub asked: u64,
    /// It shows them.
    pub found: u64,
    /// It does not.
    pub missing: u64,
    /// The first of those.
    pub told: Vec<Absent>,
    /// Why others could not be told, and how many for each reason.
    pub untold: BTreeMap<String, u64>,
    /// Why nothing could be asked, in words.
    pub failed: Option<String>,
}

/// An activation that the vendor took, and does not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Absent {
    /// For `espalier reconcile resend`.
    pub id: u64,
    /// Which occasion: the vendor's key of it.
    pub occasion: String,
    /// Which trigger.
    pub trigger: String,
    /// What was sent.
    pub event: String,
    /// When it happened.
    pub at: Timestamp,
}

impl LookReport {
    /// Asks the vendor for these.
    pub async fn of(asker: &Asker, span: (Timestamp, Timestamp), accepted: Accepted) -> Option<Self> {
        let (since, until) = span;
        let sent: Vec<Activation> = accepted.sample.iter().map(|(_, activation)| activation.clone()).collect();
        let report = Self { since, until, accepted: accepted.total, ..Self::default() };
        match asker.ask(|destination| destination.inventory(sent.clone())).await {
            Ok(None) => None,
            Ok(Some(sights)) => Some(report.with(&accepted.sample, &sights)),
            Err(halt) => Some(Self { failed: Some(halt.to_string()), ..report }),
        }
    }

    fn with(mut self, sample: &[(WorkId, Activation)], sights: &[Sight]) -> Self {
        for ((id, activation), sight) in sample.iter().zip(sights) {
            self.asked += 1;
            match sight {
                Sight::There => self.found += 1,
                Sight::Untold(why) => *self.untold.entry(why.clone()).or_default() += 1,
                Sight::Missing => {
                    self.missing += 1;
                    if self.told.len() < TOLD {
                        self.told.push(Absent::of(*id, activation));
                    }
                }
            }
        }
        self
    }

    /// What was told of those it was asked for, in words: `290 of 300 looked at, of 41203`.
    pub fn words(&self) -> String {
        let Self { found, missing, accepted, .. } = self;
        match &self.failed {
            Some(why) => format!("not looked at: {why}"),
            None if *accepted == 0 => "nothing to look for".into(),
            None => format!("{found} of {} looked at, of {accepted}", found + missing),
        }
    }

    /// What is wrong, in words.
    pub fn findings(&self, lane: &str) -> Vec<String> {
        let mut findings = Vec::new();
        if let Some(why) = &self.failed {
            findings.push(format!("lane {lane}: what the vendor has could not be asked: {why}"));
        }
        if self.missing > 0 {
            let (n, looked, id) = (self.missing, self.found + self.missing, self.told.first().map_or(0, |one| one.id));
            findings.push(format!(
                "lane {lane}: of {looked} that the vendor took it does not show {n}; `espalier reconcile resend {id}` \
                 sends the first of them again"
            ));
        }
        findings
    }
}

impl Absent {
    fn of(id: WorkId, activation: &Activation) -> Self {
        Self {
            id: id.0,
            occasion: activation.occasion.to_string(),
            trigger: activation.trigger.to_string(),
            event: activation.action.to_string(),
            at: activation.at,
        }
    }
}
