//! The few places of a manifest where paths end: an expression over names that are known, with a bound on work.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

/// Steps that one evaluation may take.
const FUEL: u64 = 10_000;

/// Nothing in it but the language: what is absent may be asked for, and is absent.
static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut language = Environment::new();
    language.set_undefined_behavior(UndefinedBehavior::Chainable);
    language.set_fuel(Some(FUEL));
    language
});

/// An expression, compiled once.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

impl Expression {
    /// Compiles `text`, which may use the names in `known` only. `person.email` there lets `person.email` and `person` be
    /// used; `payload` lets all of it be.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn compile(text: &str, known: &[&str]) -> Result<Self, String> {
        let compiled =
            LANGUAGE.compile_expression_owned(text.to_owned()).map_err(|e| format!("is not an expression: {e}"))?;
        let within = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.'));
        let is_known = |name: &str| known.iter().any(|k| *k == name || within(name, k) || within(k, name));
        let mut unknown: Vec<String> =
            compiled.undeclared_variables(true).into_iter().filter(|name| !is_known(name)).collect();
        unknown.sort();
        match unknown.first() {
            // Below a name of which nothing is known, only the name itself is worth telling.
            Some(name) => Err(format!("uses `{}`, but only {} can be used here", told(name, known), known.join(", "))),
            None => Ok(Self { text: text.into(), compiled: Arc::new(compiled) }),
        }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value; none when it is undefined, null, no JSON, or could not be worked out.
    pub fn value(&self, seen: &Seen) -> Option<Value> {
        self.said(seen).ok().flatten()
    }

    /// Its value; none when it is undefined or null.
    ///
    /// # Errors
    /// Why it has none, without a word of what it was worked out of.
    pub fn said(&self, seen: &Seen) -> Result<Option<Value>, String> {
        let value = self.compiled.eval(seen.0.clone());
        // Its own words may quote what it was given.
        let value = value.map_err(|e| format!("`{}` could not be worked out: {}", self.text, e.kind()))?;
        if value.is_undefined() || value.is_none() {
            return Ok(None);
        }
        serde_json::to_value(value)
            .map(Some)
            .map_err(|_| format!("`{}` is nothing that can be said in JSON", self.text))
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// When it could not be worked out.
    pub fn holds(&self, seen: &Seen) -> Result<bool, String> {
        let value = self.compiled.eval(seen.0.clone());
        // Its own words may quote the record.
        value.map(|v| v.is_true()).map_err(|e| format!("`{}` could not be worked out: {}", self.text, e.kind()))
    }
}

/// A name as far as it is worth telling: `recrod` of `recrod.a`, but `person.emial`, where others of `person` are known.
fn told<'a>(name: &'a str, known: &[&str]) -> &'a str {
    let top = name.split('.').next().unwrap_or(name);
    let has_others = known.iter().any(|k| k.split('.').next() == Some(top));
    if has_others { name } else { top }
}

/// The names of one message, as expressions see them.
pub struct Seen(minijinja::Value);

impl Seen {
    /// The entries of an object, each by its name.
    pub fn of(names: &Value) -> Self {
        Self(minijinja::Value::from(Serde::<&Value>(names)))
    }
}

impl From<minijinja::Value> for Seen {
    fn from(names: minijinja::Value) -> Self {
        Self(names)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(text: &str, wanted: Option<Value>) {
        let record =
            json!({"n": 9_007_199_254_740_993_u64, "list": [{"a": "1.10", "k": "x"}, {"a": "2.05"}], "none": null});
        let seen = Seen::of(&json!({ "record": record, "topic": "orders/create" }));
        assert_eq!(Expression::compile(text, &["record", "topic"]).expect(text).value(&seen), wanted, "{text}");
    }

    #[test]
    fn absent_things_are_absent() {
        check("record.a.b.c", None);
        check("record.none.b", None);
        check("record.list[7].a", None);
        check("record.list and true", Some(json!(true)));
        check("topic == 'orders/create'", Some(json!(true)));
        check("record.n", Some(json!(9_007_199_254_740_993_u64)));
        check("'%.2f' | format(record.list | map(attribute='a') | map('float') | sum)", Some(json!("3.15")));
        check("record.list | selectattr('k', 'equalto', 'x') | list | length", Some(json!(1)));
    }

    #[test]
    fn work_is_bounded() {
        let list: Vec<u32> = (0..200_000).collect();
        let record = json!({ "list": list });
        let expression = Expression::compile("record.list | map('string') | join", &["record"]).expect("an expression");
        let seen = Seen::of(&json!({ "record": record }));
        assert_eq!(expression.value(&seen), None);
        assert!(expression.holds(&seen).is_err());
    }

    #[test]
    fn mistakes_are_found_at_start() {
        assert!(Expression::compile("record.", &["record"]).is_err());
        let wrong = Expression::compile("recrod.a", &["record", "topic"]);
        assert_eq!(wrong.err().as_deref(), Some("uses `recrod`, but only record, topic can be used here"));
        let known = ["person.email", "payload"];
        for right in ["person.email", "person", "payload.a.b", "person['x']"] {
            assert!(Expression::compile(right, &known).is_ok(), "{right}");
        }
        let wrong = Expression::compile("person.emial", &known);
        assert_eq!(
            wrong.err().as_deref(),
            Some("uses `person.emial`, but only person.email, payload can be used here")
        );
    }

    #[test]
    fn what_cannot_be_worked_out_is_told_without_what_it_was_given() {
        let expression = Expression::compile("record.a | round", &["record"]).expect("an expression");
        let said = expression.said(&Seen::of(&json!({ "record": { "a": "ines@example.com" } })));
        assert_eq!(said, Err("`record.a | round` could not be worked out: invalid operation".into()));
    }
}
