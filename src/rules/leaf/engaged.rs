//! `trait = "engagement.level"`, `engagement.open_rate`, `engagement.click_rate`, with a predicate: computed at T.

use std::sync::Arc;

use serde_json::Value;

use crate::model::Span;
use crate::rules::answer::Answer;
use crate::rules::engagement::{Level, Levels, Rate};
use crate::rules::names::Definition;
use crate::rules::predicate::Predicate;
use crate::rules::view::{Keyless, Reads, View};
use crate::rules::written::{Reading, Table};

use super::Asks;
use super::ratio::Counts;

/// The traits that are computed, by their names.
const TRAITS: [(&str, Computed); 3] = [
    ("engagement.level", Computed::Level),
    ("engagement.open_rate", Computed::Rate(Rate::Open)),
    ("engagement.click_rate", Computed::Rate(Rate::Click)),
];

/// A trait of the person that follows from what they did.
#[derive(Clone, Debug, PartialEq)]
pub struct Engaged {
    /// Which.
    pub computed: Computed,
    /// What must hold of it.
    pub predicate: Predicate,
    /// Where the levels lie.
    pub levels: Arc<Levels>,
}

/// Which trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// `high`, `moderate`, `inactive`.
    Level,
    /// For each e-mail delivered.
    Rate(Rate),
}

impl Engaged {
    /// True for the name of a trait that is computed, or would be.
    pub fn is_meant(name: &str) -> bool {
        name == "engagement" || name.starts_with("engagement.")
    }

    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let value = table.get("trait")?;
        let name = value.text(reading)?;
        let computed = TRAITS.iter().find(|(known, _)| *known == name).map(|(_, computed)| *computed);
        let predicate = Predicate::read_beside(table, reading);
        let Some(computed) = computed else {
            let known = TRAITS.map(|(known, _)| known).join(", ");
            reading.mistake(value.span(), value.path().to_owned(), format!("`{name}` is not computed")).suggestion =
                Some(format!("computed are: {known}"));
            return None;
        };
        let predicate = predicate?;
        let levels = Level::ALL.map(Some).into_iter().chain([None]);
        if computed == Computed::Level && !levels.into_iter().any(|level| holds(&predicate, of_level(level))) {
            let words = format!("no level is so: {}", predicate.words());
            reading.mistake(table.span(), table.path().to_owned(), words).suggestion =
                Some(format!("levels are: {}", Level::ALL.map(Level::word).join(", ")));
            return None;
        }
        Some(Self { computed, predicate, levels: reading.names().levels() })
    }
}

fn of_level(level: Option<Level>) -> Option<Value> {
    level.map(|level| level.word().into())
}

fn holds(predicate: &Predicate, value: Option<Value>) -> bool {
    predicate.holds(&value.iter().collect::<Vec<_>>())
}

impl Asks for Engaged {
    fn answer(&self, view: &View<'_>) -> Answer {
        match self.computed {
            Computed::Level => {
                let (level, next) = self.levels.level(view);
                Answer { is_true: holds(&self.predicate, of_level(level)), next }
            }
            Computed::Rate(rate) => {
                let is_so = |counts: &Counts| holds(&self.predicate, counts.rate().map(Value::from));
                self.levels.of(rate).is_so(&view.of_person(), is_so)
            }
        }
    }

    fn sources(&self) -> Vec<(&Reads, Keyless)> {
        Vec::new()
    }

    fn spans(&self) -> Vec<Span> {
        Vec::new()
    }

    fn on_nothing(&self) -> (bool, bool) {
        (true, true)
    }

    fn definitions(&self) -> Vec<&Arc<Definition>> {
        match self.computed {
            Computed::Level => self.levels.of_level().to_vec(),
            Computed::Rate(_) => vec![self.levels.of_rate()],
        }
    }

    fn words(&self) -> String {
        let name = TRAITS.iter().find(|(_, computed)| *computed == self.computed).map_or("", |(name, _)| name);
        format!("trait {name} {}", self.predicate.words())
    }

    fn finding(&self, view: &View<'_>) -> String {
        match self.computed {
            Computed::Level => self.levels.level(view).0.map_or("no e-mail known", Level::word).into(),
            Computed::Rate(rate) => {
                let counts = self.levels.of(rate).counts(&view.of_person()).1;
                match counts.rate() {
                    Some(rate) => format!("{rate:.3}: {} of {}", counts.above, counts.below),
                    None => "nothing delivered".into(),
                }
            }
        }
    }
}
