//! The tree of a trigger's `when`: leaves joined by all, any, not.

use super::answer::Answer;
use super::leaf::{self, Leaf};
use super::view::View;
use super::written::{Reading, Table, Value};
use crate::model::Span;
use crate::model::mistake::nearest;

/// How deep `all`, `any` and `not` may nest.
const DEEPEST: usize = 16;
/// How many leaves one may come to, with those of the cohorts and segments it asks for.
const LARGEST: usize = 1_000;

/// A condition: a function of (person, key, T).
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Every one is true.
    All(Vec<Condition>),
    /// One is true.
    Any(Vec<Condition>),
    /// It is not true.
    Not(Box<Condition>),
    /// A condition over events.
    Leaf(Box<Leaf>),
}

impl Condition {
    /// Reads all of `when`, of which the rest is a part.
    pub fn read_whole(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let condition = Self::read(value, reading, 0)?;
        if condition.size() > LARGEST {
            let words = format!("comes to more than {LARGEST} conditions with those it asks for");
            reading.mistake(value.span(), value.path().to_owned(), words);
            return None;
        }
        Some(condition)
    }

    /// One element of it.
    fn read(value: &Value<'_, '_>, reading: &mut Reading<'_>, depth: usize) -> Option<Self> {
        let mut table = value.table(reading)?;
        if depth > DEEPEST {
            reading.mistake(value.span(), value.path().to_owned(), format!("nests deeper than {DEEPEST}"));
            return None;
        }
        // Beside a trait `not` is a test, unless it is a condition.
        let is_test = table.has("trait") && table.entries().any(|(key, value)| key == "not" && !value.is_table());
        let kinds = ["all", "any", "not"].iter().chain(leaf::KINDS).copied();
        let kinds: Vec<&'static str> = kinds.filter(|kind| table.has(kind) && !(is_test && *kind == "not")).collect();
        let condition = match kinds.as_slice() {
            ["all"] => Self::list("all", &mut table, reading, depth).map(Self::All),
            ["any"] => Self::list("any", &mut table, reading, depth).map(Self::Any),
            ["not"] => {
                let inner = table.get("not")?;
                Self::read(&inner, reading, depth + 1).map(|c| Self::Not(Box::new(c)))
            }
            [kind] => {
                let leaf = Leaf::read(kind, &mut table, reading);
                Self::read_name(&mut table, leaf.as_ref(), reading);
                leaf.map(|leaf| Self::Leaf(Box::new(leaf)))
            }
            [] => {
                Self::no_kind(&table, reading);
                return None;
            }
            several => {
                let words = format!("says {} at once; each condition says one", several.join(" and "));
                reading.mistake(value.span(), value.path().to_owned(), words).suggestion =
                    Some("put each into its own [[when.all]]".into());
                return None;
            }
        };
        table.finish(reading);
        condition
    }

    /// `as`: what its events are called in templates.
    fn read_name(table: &mut Table<'_, '_>, leaf: Option<&Leaf>, reading: &mut Reading<'_>) {
        // What is not about events, or about events there are none of, has nothing to name.
        let has_none = leaf.is_some_and(|leaf| matches!(leaf, Leaf::DidNot(_)) || leaf.asks().sources().is_empty());
        let Some(value) = (if has_none { None } else { table.get("as") }) else { return reading.name_leaf(None) };
        let name = value.text(reading);
        let is_plain = |name: &String| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if name.as_ref().is_some_and(|name| !is_plain(name)) {
            let words = "must be lower-case letters, digits and underscores, a letter first";
            reading.mistake(value.span(), value.path().to_owned(), words).suggestion = Some("as = \"viewed\"".into());
        } else if name.is_some() && reading.leaf_names().contains(&name) {
            reading.mistake(value.span(), value.path().to_owned(), "is the name of another condition too");
        }
        reading.name_leaf(name);
    }

    fn no_kind(table: &Table<'_, '_>, reading: &mut Reading<'_>) {
        let kinds = || ["all", "any", "not"].into_iter().chain(leaf::KINDS.iter().copied());
        for (name, value) in table.entries() {
            if let Some(near) = nearest(&name, kinds()) {
                reading.mistake(value.span(), value.path().to_owned(), "is not a condition").suggestion =
                    Some(format!("did you mean `{near}`?"));
                return;
            }
        }
        let known: Vec<&str> = kinds().collect();
        reading.mistake(table.span(), table.path().to_owned(), "is not a condition").suggestion =
            Some(format!("a condition begins with one of: {}", known.join(", ")));
    }

    fn list(
        kind: &'static str,
        table: &mut Table<'_, '_>,
        reading: &mut Reading<'_>,
        depth: usize,
    ) -> Option<Vec<Self>> {
        let value = table.get(kind)?;
        let items = value.list(reading);
        if items.is_empty() {
            reading.mistake(value.span(), value.path().to_owned(), "must name at least one condition");
        }
        let read: Vec<Option<Self>> = items.iter().map(|item| Self::read(item, reading, depth + 1)).collect();
        read.into_iter().collect()
    }

    /// Truth at T, and when time alone can change it.
    pub fn answer(&self, view: &View<'_>) -> Answer {
        match self {
            Self::All(conditions) => Answer::all(conditions.iter().map(|c| c.answer(view))),
            Self::Any(conditions) => Answer::any(conditions.iter().map(|c| c.answer(view))),
            Self::Not(condition) => condition.answer(view).negated(),
            Self::Leaf(leaf) => leaf.asks().answer(view),
        }
    }

    /// Its leaves, in the order they are written.
    pub fn leaves(&self) -> Vec<&Leaf> {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().flat_map(Self::leaves).collect(),
            Self::Not(condition) => condition.leaves(),
            Self::Leaf(leaf) => vec![leaf],
        }
    }

    /// All leaves that its answer depends on, those of the cohorts and segments it asks for too; each with whether it is
    /// asked of the key, or else of the person.
    pub fn every_leaf<'c>(&'c self, is_of_key: bool, see: &mut dyn FnMut(&'c Leaf, bool)) {
        for leaf in self.leaves() {
            see(leaf, is_of_key);
            for definition in leaf.asks().definitions() {
                definition.condition.every_leaf(false, see);
            }
        }
    }

    /// How many leaves that is.
    pub fn size(&self) -> usize {
        let of = |leaf: &Leaf| {
            let named = leaf.asks().definitions().into_iter().map(|definition| definition.condition.size());
            named.fold(1, usize::saturating_add)
        };
        self.leaves().into_iter().map(of).fold(0, usize::saturating_add)
    }

    /// Every length of time in all of them.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        self.every_leaf(true, &mut |leaf, _| spans.extend(leaf.asks().spans()));
        spans
    }

    /// What it can be for a key that no event it reads speaks of: (can be true, can be false).
    pub fn on_nothing(&self) -> (bool, bool) {
        self.possible(&|leaf| leaf.asks().on_nothing())
    }

    /// False when it cannot be true of a key that no event of the latest session speaks of.
    pub fn holds_outside_session(&self) -> bool {
        let leaf = |leaf: &Leaf| if leaf.asks().reads_sessions() { leaf.asks().on_nothing() } else { (true, true) };
        self.possible(&leaf).0
    }

    /// What it can be where its leaves can be so: (can be true, can be false).
    fn possible(&self, of: &dyn Fn(&Leaf) -> (bool, bool)) -> (bool, bool) {
        match self {
            Self::All(conditions) => {
                let each: Vec<_> = conditions.iter().map(|condition| condition.possible(of)).collect();
                (each.iter().all(|c| c.0), each.iter().any(|c| c.1))
            }
            Self::Any(conditions) => {
                let each: Vec<_> = conditions.iter().map(|condition| condition.possible(of)).collect();
                (each.iter().any(|c| c.0), each.iter().all(|c| c.1))
            }
            Self::Not(condition) => {
                let (can_be_true, can_be_false) = condition.possible(of);
                (can_be_false, can_be_true)
            }
            Self::Leaf(leaf) => of(leaf),
        }
    }
}
