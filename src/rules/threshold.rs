//! A threshold: one for everybody, or another for each cohort.

use std::fmt;
use std::sync::Arc;

use crate::model::Timestamp;

use super::names::Definition;
use super::view::View;
use super::written::{Reading, Table, Value};

/// One threshold, or one by cohort.
#[derive(Clone, Debug, PartialEq)]
pub enum Threshold<T> {
    /// For everybody.
    Same(T),
    /// By the first cohort, in the order of declaration, that is true for the person.
    ByCohort {
        /// In the order of declaration.
        rows: Vec<(Arc<Definition>, T)>,
        /// `else`: for whom none is true. Without it the leaf is false for them.
        otherwise: Option<T>,
    },
}

impl<T: Copy> Threshold<T> {
    /// Reads one value with `one`, or a table of them by cohort.
    pub fn read(
        value: &Value<'_, '_>,
        reading: &mut Reading<'_>,
        one: impl Fn(&Value<'_, '_>, &mut Reading<'_>) -> Option<T>,
    ) -> Option<Self> {
        if !value.is_table() {
            return one(value, reading).map(Self::Same);
        }
        let mut rows = Vec::new();
        let mut otherwise = None;
        let mut is_whole = true;
        for (name, value) in value.table(reading)?.entries() {
            let read = one(&value, reading);
            if name == "else" {
                otherwise = read;
                is_whole &= read.is_some();
                continue;
            }
            let names = reading.names();
            match names.cohort(&name, &value, reading).zip(read) {
                Some(((place, cohort), read)) => rows.push((place, cohort, read)),
                None => is_whole = false,
            }
        }
        if is_whole && rows.is_empty() {
            reading.mistake(value.span(), value.path().to_owned(), "names no cohort").suggestion =
                Some("{ new = 5, returning = 3, else = 4 }".into());
            return None;
        }
        rows.sort_by_key(|(place, ..)| *place);
        let rows = rows.into_iter().map(|(_, cohort, read)| (cohort, read)).collect();
        is_whole.then_some(Self::ByCohort { rows, otherwise })
    }

    /// What holds for the person at T.
    pub fn of(&self, view: &View<'_>) -> Option<T> {
        match self {
            Self::Same(value) => Some(*value),
            Self::ByCohort { rows, otherwise } => {
                let mine = rows.iter().find(|(cohort, _)| cohort.answer(view).is_true).map(|(_, value)| *value);
                mine.or(*otherwise)
            }
        }
    }

    /// When time alone can make it another.
    pub fn next(&self, view: &View<'_>) -> Option<Timestamp> {
        self.cohorts().filter_map(|cohort| cohort.answer(view).next).min()
    }

    /// The cohorts it asks for.
    pub fn cohorts(&self) -> impl Iterator<Item = &Arc<Definition>> {
        let rows = match self {
            Self::Same(_) => &[],
            Self::ByCohort { rows, .. } => rows.as_slice(),
        };
        rows.iter().map(|(cohort, _)| cohort)
    }

    /// Every value it can have.
    pub fn values(&self) -> Vec<T> {
        match self {
            Self::Same(value) => vec![*value],
            Self::ByCohort { rows, otherwise } => {
                rows.iter().map(|(_, value)| *value).chain(otherwise.iter().copied()).collect()
            }
        }
    }

    /// What it is where this cohort decides; the one for the others, for `None`.
    fn for_cohort(&self, name: Option<&str>) -> Option<T> {
        match self {
            Self::Same(value) => Some(*value),
            Self::ByCohort { rows, otherwise } => {
                let row = rows.iter().find(|(cohort, _)| Some(&*cohort.name) == name);
                row.map(|(_, value)| *value).or(*otherwise)
            }
        }
    }

    /// Values of the two that hold for the same people and leave nothing between them.
    pub fn clash(&self, other: &Self, leaves_nothing: impl Fn(T, T) -> bool) -> Option<(T, T)> {
        let names = self.cohorts().chain(other.cohorts()).map(|cohort| Some(&*cohort.name)).chain([None]);
        let mut pairs = names.filter_map(|name| self.for_cohort(name).zip(other.for_cohort(name)));
        pairs.find(|(a, b)| leaves_nothing(*a, *b))
    }
}

/// `5`, or `5 for new, 3 for returning`.
impl<T: fmt::Display> fmt::Display for Threshold<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(value) => value.fmt(f),
            Self::ByCohort { rows, otherwise } => {
                let rows = rows.iter().map(|(cohort, value)| format!("{value} for {}", cohort.name));
                let parts: Vec<String> = rows.chain(otherwise.iter().map(|value| format!("{value} else"))).collect();
                f.write_str(&parts.join(", "))
            }
        }
    }
}

/// `over` and `under`: at least the one, less than the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds<T> {
    /// At least this.
    pub over: Option<Threshold<T>>,
    /// Less than this.
    pub under: Option<Threshold<T>>,
}

impl<T: Copy + PartialOrd + fmt::Display> Bounds<T> {
    /// Reads both, of which there must be one.
    pub fn read(
        table: &mut Table<'_, '_>,
        reading: &mut Reading<'_>,
        example: &str,
        one: impl Fn(&Value<'_, '_>, &mut Reading<'_>) -> Option<T>,
    ) -> Option<Self> {
        let (over, under) = (table.get("over"), table.get("under"));
        if over.is_none() && under.is_none() {
            reading.mistake(table.span(), table.path().to_owned(), "needs `over`, `under` or both").suggestion =
                Some(example.to_owned());
            return None;
        }
        let over = over.map(|v| Threshold::read(&v, reading, &one));
        let under = under.map(|v| Threshold::read(&v, reading, &one));
        if let (Some(Some(over)), Some(Some(under))) = (&over, &under)
            && let Some((o, u)) = over.clash(under, |o, u| o >= u)
        {
            reading.mistake(table.span(), table.path().to_owned(), format!("can never be: over {o} and under {u}"));
        }
        // One that could not be read was reported already.
        if matches!(over, Some(None)) || matches!(under, Some(None)) {
            return None;
        }
        Some(Self { over: over.flatten(), under: under.flatten() })
    }

    /// Both as they are for the person at T; `None` where no cohort says one.
    pub fn of(&self, view: &View<'_>) -> Option<(Option<T>, Option<T>)> {
        let of = |threshold: &Option<Threshold<T>>| match threshold {
            None => Some(None),
            Some(threshold) => threshold.of(view).map(Some),
        };
        of(&self.over).zip(of(&self.under))
    }

    /// When time alone can make them others.
    pub fn next(&self, view: &View<'_>) -> Option<Timestamp> {
        self.thresholds().filter_map(|threshold| threshold.next(view)).min()
    }

    /// The cohorts they ask for.
    pub fn cohorts(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.thresholds().flat_map(Threshold::cohorts)
    }

    /// Every value they can have.
    pub fn values(&self) -> impl Iterator<Item = T> {
        self.thresholds().flat_map(Threshold::values)
    }

    fn thresholds(&self) -> impl Iterator<Item = &Threshold<T>> {
        self.over.iter().chain(&self.under)
    }

    /// `at least 5 and less than 9`.
    pub fn words(&self) -> String {
        let over = self.over.as_ref().map(|over| format!("at least {over}"));
        let under = self.under.as_ref().map(|under| format!("less than {under}"));
        over.into_iter().chain(under).collect::<Vec<_>>().join(" and ")
    }
}

/// True when `value` is at least the one and less than the other.
pub fn lies_between<T: PartialOrd>(value: &T, (over, under): &(Option<T>, Option<T>)) -> bool {
    over.as_ref().is_none_or(|over| value >= over) && under.as_ref().is_none_or(|under| value < under)
}
