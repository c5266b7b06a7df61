//! What a trigger would say of somebody now: for a look at it before it is switched on. Nothing is decided or kept.

use crate::identity;
use crate::model::{Activation, Person, Sales, Timestamp};
use crate::rules::{self, Passage, Program, Trigger, TriggerKind};
use crate::store::{Store, StoreError};

use super::explain::find;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum NoPreview {
    /// Nobody goes by the name.
    #[error("nobody goes by that name")]
    Nobody,
    /// There is no such trigger.
    #[error("there is no trigger `{0}`")]
    NoTrigger(String),
    /// Nothing that the person did has a value for `per`.
    #[error("nothing that this person did has a `{0}`: say one with --key")]
    NoKey(String),
    /// The trigger starts nothing for this edge.
    #[error("the trigger starts nothing")]
    NothingStarted,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The activations that would follow if the trigger fired for the person at `now`; one for each destination. The key is
/// that of the newest event that has one, unless it is said.
///
/// # Errors
/// [`NoPreview`] says why there is none.
pub async fn preview(
    store: &dyn Store,
    program: &Program,
    names: &identity::Settings,
    (trigger, person, key): (&str, &str, Option<&str>),
    sales: &Sales,
    now: Timestamp,
) -> Result<Vec<Activation>, NoPreview> {
    let trigger = program.named(trigger).ok_or_else(|| NoPreview::NoTrigger(trigger.to_owned()))?;
    let id = find(store, person, names).await?.ok_or(NoPreview::Nobody)?;
    let person = store.story(id).await?.ok_or(NoPreview::Nobody)?.person;
    let key = match key {
        Some(key) => key.into(),
        None => newest_key(trigger, &person)?,
    };
    let started = if trigger.is_exit(&key) { &trigger.activate_on_exit } else { &trigger.activate };
    if started.is_empty() {
        return Err(NoPreview::NothingStarted);
    }
    let occasion = rules::occasion(trigger, person.canonical(), &key, now);
    // The next code is shown, and stays where it is.
    let (catalogue, codes) = (store.catalogue(), store.codes());
    let shelf = rules::Shelf { catalogue: &catalogue, sales, codes: &codes };
    let fire = rules::Fire { program, trigger, person: &person, key: &key, at: now, occasion, shelf };
    Ok(rules::activations(&fire, started, &rules::gate::Passed::default()).0)
}

fn newest_key(trigger: &Trigger, person: &Person) -> Result<Box<str>, NoPreview> {
    if trigger.kind == TriggerKind::Segment {
        return Ok(Passage::Enter.word().into());
    }
    let Some(per) = &trigger.per else { return Ok("".into()) };
    let newest = person.history.entries().iter().rev().find_map(|entry| per.keys(entry.fields()).into_iter().next());
    newest.ok_or_else(|| NoPreview::NoKey(per.to_text()))
}
