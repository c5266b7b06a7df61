//! What a night found, as people and programs read it.

use serde::{Deserialize, Serialize};

use super::lanes::LaneReport;
use super::targets::Memory;
use crate::model::Timestamp;
use crate::pull::{Brought, NightRead};
use crate::store::{Duty, Store, StoreError};

/// Reports that are kept.
const KEPT: u64 = 30;
/// Under what name the memory of nights is kept.
pub const MEMORY: &str = "night:memory";

/// Why a night is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NightWhy)]
pub enum Why {
    /// Its hour has come, or came while the daemon was down.
    Due,
    /// Somebody asked for it.
    ByHand,
}

/// One night.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NightReport)]
pub struct Report {
    /// When it began; its name.
    pub of: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Why it was.
    pub why: Why,
    /// Events that came into the journal since the night before.
    pub accepted: u64,
    /// Events that the journal has and that are not decided.
    pub undecided: u64,
    /// Every list that was read again.
    pub lists: Vec<ListReport>,
    /// Every program that was run once more.
    #[serde(default)]
    pub programs: Vec<ProgramReport>,
    /// Every lane whose books were added up.
    pub lanes: Vec<LaneReport>,
    /// Why the store could not be made small, in words.
    pub not_compacted: Option<String>,
}

/// A list that was read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ListReport {
    /// The source's name in the configuration.
    pub source: String,
    /// The list's name in the connector.
    pub stream: String,
    /// Since when it was read.
    pub from: Timestamp,
    /// What was found.
    pub read: NightRead,
    /// Why it was not read to its end, in words.
    pub held: Option<String>,
}

/// A program that was run once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProgramReport {
    /// The source's name in the configuration.
    pub source: String,
    /// What it brought: what is new by its own word. None where it did not end in time.
    pub brought: Option<Brought>,
}

impl ProgramReport {
    /// How it ended, in words.
    pub fn ended(&self) -> &str {
        match &self.brought {
            None => "not in time",
            Some(Brought { failed: Some(why), .. }) => why,
            Some(_) => "whole",
        }
    }

    /// What is wrong, in words.
    pub fn findings(&self) -> Vec<String> {
        let (source, mut findings) = (&self.source, Vec::new());
        if self.brought.as_ref().is_none_or(|brought| brought.failed.is_some()) {
            findings.push(format!("source {source}: its program did not run to its end: {}", self.ended()));
        }
        let set_aside = self.brought.as_ref().map_or(0, |brought| brought.set_aside);
        if set_aside > 0 {
            findings.push(format!(
                "source {source}: {set_aside} records of its program could not be read; `espalier store set-aside`"
            ));
        }
        findings
    }
}

impl ListReport {
    /// What is wrong, in words.
    pub fn findings(&self) -> Vec<String> {
        let (source, stream, mut findings) = (&self.source, &self.stream, Vec::new());
        if !self.read.is_done {
            let why = self.held.as_deref().unwrap_or("it took too long");
            findings.push(format!("source {source}, {stream}: it could not be read to its end: {why}"));
        }
        if self.read.missing > 0 {
            let n = self.read.missing;
            findings.push(format!("source {source}, {stream}: {n} events were missing, and are in the journal now"));
        }
        if self.read.set_aside > 0 {
            let n = self.read.set_aside;
            findings
                .push(format!("source {source}, {stream}: {n} records could not be read; `espalier store set-aside`"));
        }
        findings
    }
}

impl Report {
    /// What differed, in words; nothing when all is as it should be.
    pub fn findings(&self) -> Vec<String> {
        let mut findings: Vec<String> = self.lists.iter().flat_map(ListReport::findings).collect();
        findings.extend(self.programs.iter().flat_map(ProgramReport::findings));
        findings.extend(self.lanes.iter().flat_map(LaneReport::findings));
        if self.undecided > 0 {
            findings.push(format!("{} events that were accepted are not decided", self.undecided));
        }
        if let Some(words) = &self.not_compacted {
            findings.push(format!("the store could not be made small: {words}"));
        }
        findings
    }

    /// Keeps it as the newest one.
    pub(super) async fn keep(&self, (store, duty): (&dyn Store, &Duty), number: u64) -> Result<(), StoreError> {
        store.keep_for(duty, &name(number), &serde_json::to_vec(self).unwrap_or_default()).await
    }
}

fn name(number: u64) -> String {
    format!("night:report:{}", number % KEPT)
}

/// The reports that are kept, newest first, at most `max`.
///
/// # Errors
/// When the store cannot be read.
pub async fn recent(store: &dyn Store, max: usize) -> Result<Vec<Report>, StoreError> {
    let memory = store.kept(MEMORY).await?.and_then(|bytes| serde_json::from_slice::<Memory>(&bytes).ok());
    let newest = memory.unwrap_or_default().reports;
    let mut reports = Vec::new();
    for number in (newest.saturating_sub(KEPT)..newest).rev().take(max) {
        let kept = store.kept(&name(number)).await?;
        reports.extend(kept.and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok()));
    }
    Ok(reports)
}
