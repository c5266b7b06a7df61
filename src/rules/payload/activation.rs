//! What an edge starts: one activation for each thing to do at a destination, as it will be sent.

use super::plain::{identifiers, traits};
use super::said::payload;
use super::scene::Fire;
use crate::model::{Activation, GivenCode, Timestamp};
use crate::rules::start::Start;

/// The activations, and the code that the occasion has with them: it is to be given.
pub fn activations(
    fire: &Fire<'_>,
    starts: &[Start],
    not_before: Option<Timestamp>,
) -> (Vec<Activation>, Option<GivenCode>) {
    let Fire { program, trigger, person, key, at, occasion, .. } = *fire;
    let said = payload(fire);
    let each = (identifiers(person), traits(program, person, at), said.payload, said.broken);
    // The last takes them: most often it is the only one.
    let activations = starts.iter().zip(std::iter::repeat_n(each, starts.len())).map(
        |(Start { lane, action }, (identifiers, traits, payload, broken))| Activation {
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
            not_before,
            payload,
            broken,
        },
    );
    (activations.collect(), said.code)
}
