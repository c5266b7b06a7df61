//! The template language, fenced in: minijinja without other templates, with a bound on work and on what is said, and
//! with decimals as text. A name that is not there is an error, never an empty text.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock};

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::reads::Reads;
use super::short::{Kind, Short};
use super::source::{check_code, check_text};
use crate::rules::amount::Amount;

/// Work that one template may do: an instruction costs one, and so do 64 bytes of what is made.
const FUEL: u64 = 50_000;
/// The longest text that one template may say, in bytes.
const LONGEST: usize = 16 << 10;
/// What the language brings along.
const GLOBALS: &[&str] = &["range", "dict", "namespace", "loop"];
/// The only template of an environment.
const NAME: &str = "template";

static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut language = Environment::new();
    language.set_undefined_behavior(UndefinedBehavior::Strict);
    language.set_auto_escape_callback(|_| AutoEscape::None);
    language.set_fuel(Some(FUEL));
    language.add_filter("money", money);
    language.add_filter("number", number);
    language
});

/// `{{ cart.total | money }}`: an amount with two decimals, or as many as are said (at most six); exact, and rounded
/// half up.
fn money(value: &Value, decimals: Option<u32>) -> Result<String, Error> {
    let decimals = decimals.unwrap_or(2);
    if decimals > 6 {
        return Err(Error::new(ErrorKind::InvalidOperation, "at most six decimals"));
    }
    Ok(amount(value)?.to_decimals(decimals))
}

/// `{{ cart.total | number }}`: an amount as a number, to compare and calculate with.
fn number(value: &Value) -> Result<f64, Error> {
    Ok(amount(value)?.as_f64())
}

fn amount(value: &Value) -> Result<Amount, Error> {
    let json = match value.kind() {
        ValueKind::String => value.as_str().map(serde_json::Value::from),
        ValueKind::Number => serde_json::to_value(value).ok(),
        _ => None,
    };
    // The value itself is nobody's business.
    json.as_ref().and_then(Amount::of).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "not an amount"))
}

/// One expression, compiled once. It yields a value with its type.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    short: Option<Arc<Short>>,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

/// A text with expressions in it, compiled once.
#[derive(Clone)]
pub struct Text {
    text: Arc<str>,
    compiled: Arc<Environment<'static>>,
}

impl Expression {
    /// # Errors
    /// What is wrong with it, and with what.
    pub fn compile(text: &str) -> Result<Self, String> {
        let compiled = LANGUAGE.compile_expression_owned(text.to_owned()).map_err(|e| broken("an expression", &e))?;
        check_code(text)?;
        let mut read = Self { text: text.into(), short: None, compiled: Arc::new(compiled) };
        read.short = Short::of(text, &read.names()).map(Arc::new);
        Ok(read)
    }

    /// Every name it uses: `cart.total`.
    pub fn names(&self) -> BTreeSet<String> {
        outer(self.compiled.undeclared_variables(true))
    }

    /// What it is, where it needs no language.
    pub fn short(&self) -> Option<&Short> {
        self.short.as_deref()
    }

    /// Notes what a condition of it reads.
    pub fn note(&self, reads: &mut Reads) {
        reads.note(&self.text, &self.names());
    }

    /// Notes what its value reads.
    pub fn note_value(&self, reads: &mut Reads) {
        match self.short() {
            Some(Short { path, kind: Kind::Name }) => path.iter().take(1).for_each(|top| reads.note_alone(top)),
            _ => self.note(reads),
        }
    }

    /// What is wrong when the name that it is has no value.
    pub fn without_value(&self) -> String {
        words_without(&self.names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>())
    }

    /// Its value as JSON.
    ///
    /// # Errors
    /// Why it has none; no word of it is the person's.
    pub fn value(&self, seen: &Value) -> Result<serde_json::Value, String> {
        serde_json::to_value(self.eval(seen)?).map_err(|_| "is nothing that can be said in JSON".to_owned())
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn holds(&self, seen: &Value) -> Result<bool, String> {
        self.eval(seen).map(|value| value.is_true())
    }

    fn eval(&self, seen: &Value) -> Result<Value, String> {
        let value = self.compiled.eval(seen.clone()).map_err(|e| words(&e, || self.names(), seen))?;
        if value.is_undefined() { Err(not_there(self.names(), seen)) } else { Ok(value) }
    }
}

impl Text {
    /// # Errors
    /// What is wrong with it, and with what.
    pub fn compile(text: &str) -> Result<Self, String> {
        let mut language = LANGUAGE.clone();
        language.add_template_owned(NAME, text.to_owned()).map_err(|e| broken("a template", &e))?;
        check_text(text)?;
        Ok(Self { text: text.into(), compiled: Arc::new(language) })
    }

    /// Every name it uses: `cart.total`.
    pub fn names(&self) -> BTreeSet<String> {
        self.compiled.get_template(NAME).map(|t| outer(t.undeclared_variables(true))).unwrap_or_default()
    }

    /// Notes what it reads.
    pub fn note(&self, reads: &mut Reads) {
        reads.note(&self.text, &self.names());
    }

    /// What it says.
    ///
    /// # Errors
    /// Why it cannot be said; no word of it is the person's.
    pub fn render(&self, seen: &Value) -> Result<String, String> {
        let template = self.compiled.get_template(NAME).map_err(|e| e.kind().to_string())?;
        let mut said = Bounded(Vec::new());
        template.render_captured_to(seen.clone(), &mut said).map_err(|e| match e.kind() {
            ErrorKind::WriteFailure => format!("comes to more than {} KB", LONGEST >> 10),
            _ => words(&e, || self.names(), seen),
        })?;
        String::from_utf8(said.0).map_err(|_| "is no text".to_owned())
    }
}

/// Without what the language brings along.
fn outer(names: std::collections::HashSet<String>) -> BTreeSet<String> {
    names.into_iter().filter(|name| !GLOBALS.contains(&name.split('.').next().unwrap_or_default())).collect()
}

/// A mistake in a file: its own words may be told.
fn broken(what: &str, error: &Error) -> String {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("is not {what}: {}{detail}", error.kind())
}

/// A failure over a person's values, which the error's own words may quote: these are the template's.
fn words(error: &Error, names: impl Fn() -> BTreeSet<String>, seen: &Value) -> String {
    match error.kind() {
        ErrorKind::UndefinedError => not_there(names(), seen),
        ErrorKind::OutOfFuel => "it works without end".to_owned(),
        // What is calculated with a value that is not there is no valid operation.
        other if !missing(&names(), seen).is_empty() => format!("{other}; {}", not_there(names(), seen)),
        other => other.to_string(),
    }
}

/// Which of the names have no value.
fn not_there(names: BTreeSet<String>, seen: &Value) -> String {
    words_without(&missing(&names, seen))
}

fn words_without(missing: &[String]) -> String {
    match missing {
        [] => "a value that it asks for is not there".to_owned(),
        [one] => format!("{one} is not there"),
        several => format!("{} are not there", several.join(", ")),
    }
}

fn missing(names: &BTreeSet<String>, seen: &Value) -> Vec<String> {
    let is_missing = |name: &&String| {
        let mut at = seen.clone();
        name.split('.').any(|part| {
            at = at.get_attr(part).unwrap_or_default();
            at.is_undefined()
        })
    };
    names.iter().filter(is_missing).map(|name| format!("`{name}`")).collect()
}

/// Takes no more than [`LONGEST`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({})", self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
