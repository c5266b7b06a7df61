//! What an edge starts: one activation for each thing to do at a destination, as it will be sent.

use serde_json::json;

use super::plain::{identifiers, traits};
use super::said::payload;
use super::scene::Fire;
use crate::model::{Action, Activation, GivenCode, LaneName, Pending, Person, RawJson, Timestamp};
use crate::rules::gate::Passed;
use crate::rules::start::Start;
use crate::rules::{Program, Trigger};

/// The word to a destination that the event of an occasion has lost its reason `at` this instant; none where the trigger
/// does not ask for it.
pub fn void(
    program: &Program,
    trigger: &Trigger,
    person: &Person,
    pending: &Pending,
    (lane, at, now): (&LaneName, Timestamp, Timestamp),
) -> Option<Activation> {
    let event = trigger.activate.iter().find(|start| start.lane == *lane && start.void.is_some())?.void.clone()?;
    let occasion = pending.occasion.voided();
    let mut said = json!({
        "trigger": &*trigger.name, "occasion": occasion.to_string(), "occurred_at": at,
        "voids": pending.occasion.to_string(), "voids_of": pending.at,
    });
    if let Some(said) = said.as_object_mut().filter(|_| !pending.key.is_empty()) {
        said.insert("key".into(), (&*pending.key).into());
    }
    Some(Activation {
        occasion,
        lane: lane.clone(),
        trigger: trigger.name.clone(),
        person: person.id,
        identifiers: identifiers(person),
        traits: traits(program, person, at),
        key: pending.key.clone(),
        at,
        action: Action::Event(event),
        priority: trigger.priority,
        // Late it is better than never: nobody is written to for it.
        expires_at: now + trigger.void_within.unwrap_or(trigger.expires),
        not_before: None,
        payload: RawJson::from_value(&said),
        broken: None,
    })
}

/// The activations, and the code that the occasion has with them: it is to be given.
pub fn activations(fire: &Fire<'_>, starts: &[Start], passed: &Passed) -> (Vec<Activation>, Option<GivenCode>) {
    let Fire { program, trigger, person, key, at, occasion, .. } = *fire;
    let said = payload(fire);
    let each = (identifiers(person), traits(program, person, at), said.payload, said.broken);
    // The last takes them: most often it is the only one.
    let activations = starts.iter().enumerate().zip(std::iter::repeat_n(each, starts.len())).map(
        |((place, Start { lane, action, .. }), (identifiers, traits, payload, broken))| Activation {
            occasion,
            lane: lane.clone(),
            trigger: trigger.name.clone(),
            person: person.id,
            identifiers,
            traits,
            key: key.into(),
            at,
            action: action.clone(),
            priority: trigger.priority,
            expires_at: at + trigger.expires,
            not_before: passed.leaves(place),
            payload,
            broken,
        },
    );
    (activations.collect(), said.code)
}
