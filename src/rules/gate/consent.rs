//! Consent for the trigger's channel: what was withdrawn stops it; with `opt_in`, so does what was never given.

use crate::model::{Gate, Person, Standing};
use crate::rules::{Program, Trigger};

use super::Dropped;
use super::settings::Policy;

pub fn dropped(program: &Program, trigger: &Trigger, person: &Person) -> Option<Dropped> {
    let policy = trigger.gating.consent.unwrap_or(program.settings().gates.consent);
    let channel = trigger.gating.channel;
    let words = match (policy, person.consent.standing(channel)) {
        (Policy::None, _) | (_, Standing::Given(_)) | (Policy::OptOut, Standing::Unknown) => return None,
        (_, Standing::Withdrawn(by)) => {
            format!("no consent to {channel}: withdrawn at {} by `{}` of `{}`", by.at, by.because, by.source)
        }
        (Policy::OptIn, Standing::Unknown) => format!("no consent to {channel}: it was never given"),
    };
    Some((Gate::Consent, words.into()))
}
