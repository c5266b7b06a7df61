//! `cohort = name`, `segment = name`: the condition of that name, asked of the person at T.

use std::sync::Arc;

use crate::model::Span;
use crate::rules::answer::Answer;
use crate::rules::names::{Definition, Kind};
use crate::rules::view::{Keyless, Reads, View};
use crate::rules::written::{Reading, Table};

use super::Asks;

/// What another place says. Its condition is asked itself, so that no order between conditions matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// What it stands for.
    pub definition: Arc<Definition>,
}

impl Named {
    pub fn read(key: &'static str, kind: Kind, table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let value = table.get(key)?;
        let name = value.text(reading)?;
        let names = reading.names();
        let (_, definition) = names.get(kind, &name, &value, reading)?;
        Some(Self { definition })
    }
}

impl Asks for Named {
    fn answer(&self, view: &View<'_>) -> Answer {
        self.definition.answer(view)
    }

    fn sources(&self) -> Vec<(&Reads, Keyless)> {
        Vec::new()
    }

    fn spans(&self) -> Vec<Span> {
        // History must reach back to the beginning of the windows as they were when `for` began.
        let inner = self.definition.condition.spans().into_iter().max().unwrap_or(Span::ZERO);
        let back = |held: Span| Span::from_millis(held.as_millis().saturating_add(inner.as_millis()));
        self.definition.held.map(back).into_iter().collect()
    }

    fn on_nothing(&self) -> (bool, bool) {
        (true, true)
    }

    fn definitions(&self) -> Vec<&Arc<Definition>> {
        vec![&self.definition]
    }

    fn words(&self) -> String {
        format!("{} {}", self.definition.kind.word(), self.definition.name)
    }

    fn finding(&self, view: &View<'_>) -> String {
        (if self.answer(view).is_true { "in it" } else { "not in it" }).into()
    }
}
