//! What may hold an edge back, one file each, in the order they are asked: an answer is a verdict with its words.
//!
//! The rate guard, and what somebody paused, are asked after all of these: `guard.rs`.

mod cap;
mod consent;
mod cooldown;
mod defer;
mod expires;
mod gating;
pub mod guard;
pub mod holdout;
mod once;
mod quiet_hours;
pub mod settings;
mod suppression;

pub use cap::{Cap, Caps};
pub use gating::Gating;
pub use guard::Guard;
pub use holdout::{Group, Share};
pub use quiet_hours::{Own as OwnQuietHours, QuietHours, SAME};
pub use settings::{Policy, Settings};

use crate::model::{Activation, Gate, OccasionId, Person, Timestamp, Verdict};

use super::program::Program;
use super::start::Start;
use super::trigger::Trigger;

/// What a gate is asked about: an edge that is about to fire.
pub struct Edge<'a> {
    /// For what holds for all triggers.
    pub program: &'a Program,
    /// Which trigger.
    pub trigger: &'a Trigger,
    /// Whose, as they are at the edge.
    pub person: &'a Person,
    /// The key; empty without `per`.
    pub key: &'a str,
    /// The edge: when the condition became true.
    pub at: Timestamp,
    /// When it is learned of.
    pub now: Timestamp,
    /// What it starts. What a segment only notes about its members goes to nobody.
    pub starts: &'a [Start],
}

/// The gate that drops it, and why.
pub type Dropped = (Gate, Box<str>);

impl Edge<'_> {
    /// When it would leave at the earliest: nothing leaves before it is learned of.
    pub fn leaves(&self) -> Timestamp {
        self.at.max(self.now)
    }
}

/// How an edge passes the gates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// All of it waits until then; `None`: something leaves at once.
    pub not_before: Option<Timestamp>,
    /// When each thing that it starts leaves, where something is deferred; else all of it leaves together.
    pub each: Vec<Option<Timestamp>>,
    /// That all of it waits is because it is deferred.
    pub is_deferred: bool,
    /// What gives it its place under a cap: to be called back.
    pub displaced: Vec<OccasionId>,
}

impl Passed {
    /// It waits until somebody resumes its trigger.
    pub fn held() -> Self {
        Self { not_before: Some(Activation::HELD), ..Self::default() }
    }

    /// When the nth thing that it starts leaves.
    pub fn leaves(&self, place: usize) -> Option<Timestamp> {
        self.each.get(place).copied().unwrap_or(self.not_before)
    }
}

/// Asks one gate after the other; the first that holds the edge back says what becomes of it.
pub fn pass(edge: &Edge<'_>) -> Result<Passed, Verdict> {
    let verdict = once::verdict(edge).or_else(|| cooldown::verdict(edge)).or_else(|| expires::verdict(edge));
    match verdict {
        Some(verdict) => Err(verdict),
        None if !edge.starts.is_empty() => configured(edge).map_err(|(gate, words)| Verdict::Gated(gate, words)),
        None => Ok(Passed::default()),
    }
}

/// Those that `[gates]` can set for all triggers.
fn configured(edge: &Edge<'_>) -> Result<Passed, Dropped> {
    let open = |dropped: Option<Dropped>| dropped.map_or(Ok(()), Err);
    open(forbidden(edge.program, edge.trigger, edge.person))?;
    let usual = quiet_hours::delayed(edge)?;
    let each = defer::each(edge, usual);
    // The earliest of them: `None` is at once.
    let not_before = each.iter().copied().min().unwrap_or(usual);
    let displaced = cap::displaced(edge, not_before.unwrap_or(edge.leaves()))?;
    open(holdout::dropped(edge))?;
    Ok(Passed { not_before, is_deferred: not_before > usual, each, displaced })
}

/// When what was held may leave, now that its trigger is resumed; or why it may not.
pub fn released(edge: &Edge<'_>) -> Result<Option<Timestamp>, Dropped> {
    match forbidden(edge.program, edge.trigger, edge.person) {
        Some(dropped) => Err(dropped),
        None => quiet_hours::delayed(edge),
    }
}

/// What the gates would say of an edge of nobody's key at this instant, in words.
pub fn now(program: &Program, trigger: &Trigger, person: &Person, now: Timestamp) -> Option<String> {
    let starts = if trigger.activate.is_empty() { &trigger.activate_on_exit } else { &trigger.activate };
    if starts.is_empty() {
        return None;
    }
    match configured(&Edge { program, trigger, person, key: "", at: now, now, starts }) {
        Err((_, words)) => Some(words.into()),
        Ok(Passed { not_before: Some(until), is_deferred: true, .. }) => Some(format!("it is deferred until {until}")),
        Ok(Passed { not_before, .. }) => not_before.map(|until| format!("quiet hours last until {until}")),
    }
}

/// Why nothing of the trigger may go to the person, whenever that would be: asked at the edge, and of what still waits
/// when something about consent becomes known.
pub fn forbidden(program: &Program, trigger: &Trigger, person: &Person) -> Option<Dropped> {
    if program.settings().gates.is_unconfigured && trigger.gating.consent.is_none() {
        return None;
    }
    consent::dropped(program, trigger, person).or_else(|| suppression::dropped(trigger, person))
}
