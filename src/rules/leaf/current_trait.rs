//! `trait = path`, with a predicate: what is known of the person now, whatever T.

use crate::model::Span;
use crate::rules::answer::Answer;
use crate::rules::path::Path;
use crate::rules::predicate::Predicate;
use crate::rules::view::{Keyless, Reads, View};
use crate::rules::written::{Reading, Table};

use super::Asks;

/// A current trait.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentTrait {
    /// Its name, and what is in it.
    pub path: Path,
    /// What must hold of it.
    pub predicate: Predicate,
}

impl CurrentTrait {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let path = table.get("trait").and_then(|v| v.text(reading)).map(|text| Path::new(&text));
        let predicate = Predicate::read_beside(table, reading);
        Some(Self { path: path?, predicate: predicate? })
    }

    fn values<'a>(&self, view: &View<'a>) -> Vec<&'a serde_json::Value> {
        let (top, rest) = self.path.split();
        view.person.trait_value(top).map(|value| rest.values(value)).unwrap_or_default()
    }
}

impl Asks for CurrentTrait {
    fn answer(&self, view: &View<'_>) -> Answer {
        Answer::settled(self.predicate.holds(&self.values(view)))
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

    fn reads_trait(&self) -> Option<&str> {
        Some(self.path.split().0)
    }

    fn words(&self) -> String {
        format!("trait {} {}", self.path.to_text(), self.predicate.words())
    }

    fn finding(&self, view: &View<'_>) -> String {
        match self.values(view).as_slice() {
            [] => "not known".into(),
            values => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}
