//! Dead letters as people see them.

use serde::{Deserialize, Serialize};

use super::explain::{attempt, verdict};
use crate::model::{Action, Activation, Channel, Consent, Span, Standing, Timestamp, Verdict};
use crate::rules::{Program, gate};
use crate::store::{DeadLetter, Raised, Store, StoreError, WorkId};

/// Dead letters and messages listed at once.
pub const MOST: usize = 10_000;
/// A dead letter that is replayed has so long to reach the vendor.
const REPLAY: Span = Span::from_hours(24);

/// Why a broken one stays where it is.
const BROKEN: &str = "its payload could not be said, so there is nothing to send; mend the trigger, and drop it";

/// A dead letter for people.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = DeadLetter)]
pub struct Shown {
    /// To replay or drop it by.
    pub id: u64,
    /// Which lane.
    pub lane: String,
    /// What was to be done there: the event's name, `list UwQxX4`, `profile`.
    pub does: String,
    /// Which trigger.
    pub trigger: String,
    /// The occasion.
    pub occasion: String,
    /// The edge.
    pub at: String,
    /// When it was given up.
    pub dead: String,
    /// Why, in the vendor's words.
    pub why: String,
    /// All tries.
    pub attempts: Vec<String>,
    /// What was to be sent.
    pub payload: serde_json::Value,
}

impl Shown {
    /// Of a dead letter.
    pub fn of(letter: &DeadLetter) -> Self {
        let tries: Vec<String> = letter.attempts.iter().map(|a| format!("{}: {}", a.at, attempt(a))).collect();
        Self {
            id: letter.id.0,
            lane: letter.activation.lane.to_string(),
            does: letter.activation.action.to_string(),
            trigger: letter.activation.trigger.to_string(),
            occasion: letter.activation.occasion.to_string(),
            at: letter.activation.at.to_string(),
            dead: letter.at.to_string(),
            why: letter.attempts.last().map(attempt).unwrap_or_default(),
            attempts: tries,
            payload: letter.activation.payload.to_value(),
        }
    }
}

/// What became of the wish to send a dead letter after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It waits in its lane again.
    Done,
    /// There is none of this number.
    Missing,
    /// It stays where it is, in words.
    Refused(String),
}

/// Puts one back into its lane, unless what happened since it was given up forbids to send it.
pub async fn replay(store: &dyn Store, program: &Program, id: u64, now: Timestamp) -> Result<Replayed, StoreError> {
    let Some(letter) = store.dead_letter(WorkId(id)).await? else { return Ok(Replayed::Missing) };
    if let Some(words) = forbidden(store, program, &letter.activation).await? {
        return Ok(Replayed::Refused(words));
    }
    Ok(match store.replay(WorkId(id), now + REPLAY).await? {
        Raised::Done => Replayed::Done,
        Raised::Missing => Replayed::Missing,
        Raised::Broken => Replayed::Refused(BROKEN.into()),
    })
}

/// Puts an event that the vendor took, and does not show, back into its lane, unless what happened since forbids to
/// send it. The vendor's key against repeats, or a look before, keeps it from having its effect twice.
pub async fn resend(store: &dyn Store, program: &Program, id: u64, now: Timestamp) -> Result<Replayed, StoreError> {
    let Some(record) = store.ended(WorkId(id)).await? else { return Ok(Replayed::Missing) };
    if let Some(words) = forbidden(store, program, &record.activation).await? {
        return Ok(Replayed::Refused(words));
    }
    let raised = store.resend(WorkId(id), now + REPLAY).await?;
    Ok(if raised == Raised::Done { Replayed::Done } else { Replayed::Missing })
}

/// Why it may not go to the person any more.
async fn forbidden(
    store: &dyn Store,
    program: &Program,
    activation: &Activation,
) -> Result<Option<String>, StoreError> {
    let Some(story) = store.story(activation.person).await? else { return Ok(None) };
    let called_back = story.decisions.iter().rev().find(|decision| {
        decision.occasion == activation.occasion
            && matches!(decision.verdict, Verdict::Cancelled | Verdict::Recalled(..))
    });
    if let Some(decision) = called_back {
        return Ok(Some(verdict(&decision.verdict)));
    }
    if let Some(words) = is_past(&activation.action, &story.person.consent) {
        return Ok(Some(words.into()));
    }
    let trigger = program.named(&activation.trigger);
    let dropped = trigger.and_then(|trigger| gate::forbidden(program, trigger, &story.person));
    Ok(dropped.map(|(_, words)| format!("it may not go to them any more: {words}")))
}

/// Why what was said of consent then is not what it is now.
fn is_past(action: &Action, consent: &Consent) -> Option<&'static str> {
    let agrees = |channel| matches!(consent.standing(channel), Standing::Given(_));
    let is_suppressed = |channel| consent.suppressed(channel).is_some();
    match action {
        Action::Subscribe(channel) if !agrees(*channel) || is_suppressed(*channel) => {
            Some("they do not want it any more")
        }
        Action::Unsubscribe(channel) if agrees(*channel) && !is_suppressed(*channel) => {
            Some("they have agreed again since")
        }
        Action::Suppress if !is_suppressed(Channel::Email) => Some("the suppression was lifted since"),
        Action::Unsuppress if is_suppressed(Channel::Email) => Some("they are suppressed again since"),
        _ => None,
    }
}
