//! `last = E`, `over = D`, `under = D`: E exists, and its latest is so long ago.

use std::sync::Arc;

use crate::model::{Entry, Span, Timestamp};
use crate::rules::answer::{Answer, earlier};
use crate::rules::names::Definition;
use crate::rules::threshold::Bounds;
use crate::rules::view::{Keyless, Reads, View};
use crate::rules::written::{Reading, Table};

use super::Asks;

/// How long ago something was last done.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    /// Which events count.
    pub reads: Reads,
    /// How long ago.
    pub bounds: Bounds<Span>,
}

impl Last {
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let reads = Reads::read("last", table, reading);
        let bounds =
            Bounds::read(table, reading, "over = \"30m\": at least half an hour ago", |v, reading| v.length(reading));
        Some(Self { reads: reads?, bounds: bounds? })
    }

    fn latest(&self, view: &View<'_>) -> Option<Timestamp> {
        view.latest(&self.reads, Keyless::Ignored)
    }
}

impl Asks for Last {
    fn answer(&self, view: &View<'_>) -> Answer {
        let others = self.bounds.next(view);
        let until = |is_true, at| Answer { is_true, next: earlier(at, others) };
        let Some(((over, under), latest)) = self.bounds.of(view).zip(self.latest(view)) else {
            return until(false, None);
        };
        let begins = over.map_or(Timestamp::MIN, |over| latest + over);
        let ends = under.map(|under| latest + under);
        if view.now < begins {
            return until(false, Some(begins));
        }
        match ends {
            Some(ends) if view.now < ends => until(true, Some(ends)),
            Some(_) => until(false, None),
            None => until(true, None),
        }
    }

    fn sources(&self) -> Vec<(&Reads, Keyless)> {
        vec![(&self.reads, Keyless::Ignored)]
    }

    fn evidence<'a>(&self, view: &View<'a>) -> Option<&'a Entry> {
        view.matching(&self.reads, Keyless::Ignored).next_back()
    }

    fn spans(&self) -> Vec<Span> {
        self.bounds.values().collect()
    }

    fn on_nothing(&self) -> (bool, bool) {
        (self.reads.any_key, true)
    }

    fn definitions(&self) -> Vec<&Arc<Definition>> {
        self.bounds.cohorts().collect()
    }

    fn words(&self) -> String {
        format!("last {} {} ago", self.reads.words(), self.bounds.words())
    }

    fn finding(&self, view: &View<'_>) -> String {
        self.latest(view).map_or("never".into(), |at| format!("last at {at}"))
    }
}
