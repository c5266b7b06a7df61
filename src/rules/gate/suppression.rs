//! Suppression of the trigger's channel: after a hard bounce, a complaint or a decision of the house nothing goes there,
//! whatever the consent.

use crate::model::{Gate, Person};
use crate::rules::Trigger;

use super::Dropped;

pub fn dropped(trigger: &Trigger, person: &Person) -> Option<Dropped> {
    let channel = trigger.gating.channel;
    let by = person.consent.suppressed(channel)?;
    let words = format!("{channel} is suppressed since {} by `{}` of `{}`", by.at, by.because, by.source);
    Some((Gate::Suppression, words.into()))
}
