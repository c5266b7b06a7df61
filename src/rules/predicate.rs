//! Predicates over values, and `where = { path = predicate }`: which of the events a leaf counts.

use serde_json::Value;

use crate::model::Entry;

use super::path::Path;
use super::written::{self, Reading, Table};

/// All of these must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<(Path, Predicate)>);

/// All of these must hold of the values that a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate(Vec<Test>);

/// One test of one value.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    Equals(Value),
    Over(f64),
    Under(f64),
    AtLeast(f64),
    AtMost(f64),
    In(Vec<Value>),
    Not(Box<Test>),
    Contains(String),
    StartsWith(String),
    Exists(bool),
}

impl Filter {
    /// True when nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when the event passes every test. A path that crosses an array matches if any element does.
    pub fn admits(&self, entry: &Entry) -> bool {
        self.0.iter().all(|(path, predicate)| predicate.holds(&path.values(entry.fields())))
    }

    /// Reads `where`'s table.
    pub fn read(value: &written::Value<'_, '_>, reading: &mut Reading<'_>) -> Self {
        let Some(table) = value.table(reading) else { return Self::default() };
        let mut filter = Vec::new();
        for (name, value) in table.entries() {
            filter.push((Path::new(&name), Predicate(Test::read(&value, reading))));
        }
        Self(filter)
    }
}

impl Predicate {
    /// Reads the tests that stand beside a leaf's other keys, and `is`, which is a value or a predicate.
    pub fn read_beside(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let mut tests: Vec<Test> = table.get("is").map(|v| Test::read(&v, reading)).unwrap_or_default();
        tests.extend(Test::read_table(table, reading));
        if tests.is_empty() && !reading.has_mistakes() {
            reading.mistake(table.span(), table.path().to_owned(), "needs a predicate").suggestion =
                Some(format!("is = \"gold\", or one of {}", Test::KEYS));
        }
        (!tests.is_empty()).then_some(Self(tests))
    }

    /// True when every test holds.
    pub fn holds(&self, found: &[&Value]) -> bool {
        self.0.iter().all(|test| test.holds(found))
    }

    /// `is "gold" and over 5`.
    pub fn words(&self) -> String {
        self.0.iter().map(Test::words).collect::<Vec<_>>().join(" and ")
    }
}

impl Test {
    const KEYS: &str = "over, under, at_least, at_most, in, not, contains, starts_with, exists";

    fn read(value: &written::Value<'_, '_>, reading: &mut Reading<'_>) -> Vec<Test> {
        if !value.is_table() {
            return value.scalar(reading).map(Test::Equals).into_iter().collect();
        }
        let Some(mut table) = value.table(reading) else { return Vec::new() };
        let tests = Self::read_table(&mut table, reading);
        if tests.is_empty() && !reading.has_mistakes() {
            reading.mistake(value.span(), value.path().to_owned(), "is a predicate without a test").suggestion =
                Some(format!("write a value, or one of {}", Self::KEYS));
        }
        table.finish(reading);
        tests
    }

    fn read_table(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Vec<Test> {
        let mut tests = Vec::new();
        for (key, make) in [
            ("over", Test::Over as fn(f64) -> Test),
            ("under", Test::Under),
            ("at_least", Test::AtLeast),
            ("at_most", Test::AtMost),
        ] {
            tests.extend(table.get(key).and_then(|v| v.number(reading)).map(make));
        }
        tests.extend(table.get("contains").and_then(|v| v.text(reading)).map(Test::Contains));
        tests.extend(table.get("starts_with").and_then(|v| v.text(reading)).map(Test::StartsWith));
        tests.extend(table.get("exists").and_then(|v| v.yes_or_no(reading)).map(Test::Exists));
        tests.extend(table.get("not").and_then(|v| v.scalar(reading)).map(|v| Test::Not(Box::new(Test::Equals(v)))));
        if let Some(list) = table.get("in") {
            let values: Vec<Value> = list.list(reading).iter().filter_map(|v| v.scalar(reading)).collect();
            tests.push(Test::In(values));
        }
        tests
    }

    fn words(&self) -> String {
        match self {
            Self::Equals(value) => format!("is {value}"),
            Self::Over(x) => format!("is over {x}"),
            Self::Under(x) => format!("is under {x}"),
            Self::AtLeast(x) => format!("is at least {x}"),
            Self::AtMost(x) => format!("is at most {x}"),
            Self::In(values) => {
                format!("is one of {}", values.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
            }
            Self::Not(test) => format!("not ({})", test.words()),
            Self::Contains(part) => format!("contains \"{part}\""),
            Self::StartsWith(start) => format!("starts with \"{start}\""),
            Self::Exists(true) => "is known".into(),
            Self::Exists(false) => "is not known".into(),
        }
    }

    fn holds(&self, found: &[&Value]) -> bool {
        match self {
            Test::Exists(wanted) => found.iter().any(|v| !v.is_null()) == *wanted,
            // "Not blue" is said of what has a colour and of what has none.
            Test::Not(test) => !test.holds(found),
            _ => found.iter().any(|value| self.holds_for(value)),
        }
    }

    fn holds_for(&self, value: &Value) -> bool {
        let number = |compare: fn(f64, f64) -> bool, than: f64| as_number(value).is_some_and(|n| compare(n, than));
        match self {
            Test::Equals(wanted) => same(value, wanted),
            Test::In(wanted) => wanted.iter().any(|w| same(value, w)),
            Test::Over(x) => number(|n, x| n > x, *x),
            Test::Under(x) => number(|n, x| n < x, *x),
            Test::AtLeast(x) => number(|n, x| n >= x, *x),
            Test::AtMost(x) => number(|n, x| n <= x, *x),
            Test::Contains(part) => value.as_str().is_some_and(|text| text.contains(part.as_str())),
            Test::StartsWith(start) => value.as_str().is_some_and(|text| text.starts_with(start.as_str())),
            Test::Exists(_) | Test::Not(_) => false,
        }
    }
}

/// A number, or a text that is one.
pub fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

/// Equality in which `"19.9"` is 19.9, but `"01"` is not `"1"`.
fn same(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(_), _) | (_, Value::Number(_)) => {
            matches!((as_number(value), as_number(wanted)), (Some(a), Some(b)) if a == b)
        }
        _ => false,
    }
}
