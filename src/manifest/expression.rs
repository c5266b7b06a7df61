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
    /// Compiles `text`, which may use the names in `known` only.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn compile(text: &str, known: &[&str]) -> Result<Self, String> {
        let compiled =
            LANGUAGE.compile_expression_owned(text.to_owned()).map_err(|e| format!("is not an expression: {e}"))?;
        let mut unknown: Vec<String> =
            compiled.undeclared_variables(false).into_iter().filter(|name| !known.contains(&name.as_str())).collect();
        unknown.sort();
        match unknown.first() {
            Some(name) => Err(format!("uses `{name}`, but only {} can be used here", known.join(", "))),
            None => Ok(Self { text: text.into(), compiled: Arc::new(compiled) }),
        }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value; none when it is undefined, null, no JSON, or could not be worked out.
    pub fn value(&self, seen: &Seen) -> Option<Value> {
        let value = self.compiled.eval(seen.0.clone()).ok()?;
        if value.is_undefined() || value.is_none() {
            return None;
        }
        serde_json::to_value(value).ok()
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// When it could not be worked out.
    pub fn holds(&self, seen: &Seen) -> Result<bool, String> {
        let value = self.compiled.eval(seen.0.clone());
        // Its own words may quote the record.
        value.map(|v| v.is_true()).map_err(|e| format!("`when` could not be worked out: {}", e.kind()))
    }
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
    }
}
