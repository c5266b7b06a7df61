//! What became of each record of a batch, as far as it is known.

use crate::model::Outcome;

/// One slot for each record, in the batch's order: the HTTP status of the last answer that mattered, and the outcome.
#[derive(Debug, Default)]
pub struct Outcomes(Vec<Option<(u16, Outcome)>>);

impl Outcomes {
    /// Of so many, nothing known.
    pub fn new(records: usize) -> Self {
        Self(vec![None; records])
    }

    /// The same of these.
    pub fn set(&mut self, places: &[usize], status: u16, outcome: &Outcome) {
        for place in places {
            if let Some(slot) = self.0.get_mut(*place) {
                *slot = Some((status, outcome.clone()));
            }
        }
    }

    /// These are refused.
    pub fn refuse(&mut self, places: &[usize], status: u16, code: &str, words: &str) {
        self.set(places, status, &Outcome::Refused { code: code.into(), words: words.into() });
    }

    /// True while nothing is known of it.
    pub fn is_open(&self, place: usize) -> bool {
        self.0.get(place).is_some_and(Option::is_none)
    }

    /// What [`super::Next::Done`] tells: nothing is left here.
    pub fn take(&mut self) -> Vec<Option<(u16, Outcome)>> {
        std::mem::take(&mut self.0)
    }
}
