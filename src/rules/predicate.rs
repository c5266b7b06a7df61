//! `where = { path = predicate }`: which of the events a leaf counts.

use serde_json::Value;

use crate::model::Entry;

use super::path::Path;
use super::written::{self, Reading};

/// All of these must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<(Path, Vec<Test>)>);

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
        self.0.iter().all(|(path, tests)| {
            let found = path.values(entry.fields());
            tests.iter().all(|test| test.holds(&found))
        })
    }

    /// Reads `where`'s table.
    pub fn read(value: &written::Value<'_, '_>, reading: &mut Reading<'_>) -> Self {
        let Some(table) = value.table(reading) else { return Self::default() };
        let mut filter = Vec::new();
        for (name, value) in table.entries() {
            filter.push((Path::new(&name), Test::read(&value, reading)));
        }
        Self(filter)
    }
}

impl Test {
    fn read(value: &written::Value<'_, '_>, reading: &mut Reading<'_>) -> Vec<Test> {
        if !value.is_table() {
            return value.scalar(reading).map(Test::Equals).into_iter().collect();
        }
        let Some(mut table) = value.table(reading) else { return Vec::new() };
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
        if tests.is_empty() && !reading.has_mistakes() {
            reading.mistake(value.span(), value.path().to_owned(), "is a predicate without a test").suggestion = Some(
                "write a value, or one of over, under, at_least, at_most, in, not, contains, starts_with, exists"
                    .into(),
            );
        }
        table.finish(reading);
        tests
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
fn as_number(value: &Value) -> Option<f64> {
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
