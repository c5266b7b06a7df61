//! Programs that read a vendor on our behalf: Singer taps and Airbyte connectors. A line of their output in, what it
//! says out. Total, and no I/O: `pull` runs them.
//!
//! Facts: the Singer specification 0.3 with the Meltano SDK 0.52, and the Airbyte protocol as airbyte-cdk 7.39 writes
//! it, read and run in November 2026; `samples` has what they printed.

mod airbyte;
mod map;
mod number;
mod progress;
mod run;
mod schema;
pub mod settings;
mod singer;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use map::map;
pub use progress::Progress;
pub use run::{Blame, Count, Failed, Run};
pub use schema::{Fields, fields, news};

use super::manifest::records::Mapping;
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};

/// What a program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A tap of the Singer specification.
    Singer,
    /// A source connector of Airbyte.
    Airbyte,
}

/// A program, as it is configured.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it speaks.
    pub protocol: Protocol,
    /// The program and what it is given before anything of ours.
    pub command: Vec<String>,
    /// What it is given after all of ours.
    pub arguments: Vec<String>,
    /// Its settings, secrets and all, as JSON: for its file alone.
    pub settings: Secret,
    /// What of them must never be shown.
    pub secrets: Vec<Secret>,
    /// The catalogue of its streams, where one is given.
    pub catalog: Option<Value>,
    /// What its records make.
    pub mapping: Mapping,
    /// Names and values of its environment.
    pub environment: Vec<(String, Secret)>,
    /// How often it is run.
    pub every: Span,
    /// A program that says nothing for so long is ended.
    pub silence: Span,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// What the records of a stream look like from here on.
    Schema {
        /// Of which stream.
        stream: Name,
        /// A JSON Schema.
        schema: Value,
    },
    /// A record.
    Record(Record),
    /// How far it is.
    State(State),
    /// For the log.
    Log(Level, String),
    /// How a stream is doing.
    Status(Name, Status),
    /// Why a run fails.
    Failed(Failed),
    /// The settings to use from now on.
    Settings(Value),
    /// The catalogue of its streams.
    Catalog(Value),
    /// The result of a check.
    Checked(Result<(), String>),
    /// Another message that means nothing to us.
    Other(String),
    /// Something that we cannot take, so that no state that follows may be kept: in words.
    Refused(String),
    /// No message: something in the program printed.
    Noise,
    /// What was a record, and cannot be read. No state that follows may be kept.
    Broken,
}

/// A stream's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Airbyte's, where there is one.
    pub namespace: Option<String>,
    /// Its own.
    pub name: String,
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Of which stream.
    pub stream: Name,
    /// Itself; or why it cannot be read, though it is JSON.
    pub record: Result<Value, String>,
    /// Itself as it came.
    pub text: String,
    /// When it was read.
    pub at: Option<Timestamp>,
}

/// How far a program is. What it holds is the program's own: it is given back as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Which earlier one it takes the place of.
    pub of: Reach,
    /// Its text.
    pub text: String,
    /// How many records of its stream there were since the last one, where it says so.
    pub records: Option<u64>,
}

/// What a state speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All there is.
    Whole,
    /// All there is, in Airbyte's global form.
    Global,
    /// This stream.
    Stream(Name),
}

/// How much a line for the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For who looks for a fault.
    Debug,
    /// What goes on.
    Info,
    /// What somebody should know.
    Warn,
}

/// How a stream is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is being read.
    Running,
    /// The vendor makes it wait, until then where that is known.
    Limited(Option<Timestamp>),
    /// All of it is read.
    Complete,
    /// It was given up.
    Incomplete,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Name {
    /// Without a namespace.
    pub fn plain(name: impl Into<String>) -> Self {
        Self { namespace: None, name: name.into() }
    }
}

impl Protocol {
    /// What a line says.
    pub fn read(self, line: &str) -> Message {
        let line = line.trim();
        let read = match self {
            Self::Singer => singer::read(line),
            Self::Airbyte => airbyte::read(line),
        };
        read.unwrap_or_else(|| unreadable(line))
    }

    /// What it is asked with for its streams; the file of its settings is at `config`.
    pub fn discover(self, config: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Singer => &["--config", config, "--discover"],
            Self::Airbyte => &["discover", "--config", config],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// What it is asked with for records.
    pub fn pull(self, config: &str, catalog: &str, state: Option<&str>) -> Vec<String> {
        let mut words: Vec<&str> = if self == Self::Airbyte { vec!["read"] } else { Vec::new() };
        words.extend(["--config", config, "--catalog", catalog]);
        words.extend(state.iter().flat_map(|state| ["--state", state]));
        words.into_iter().map(str::to_owned).collect()
    }

    /// The catalogue in what it printed when it was asked for its streams.
    pub fn catalog(self, output: &str) -> Option<Value> {
        match self {
            Self::Singer => serde_json::from_str(output).ok(),
            Self::Airbyte => output.lines().find_map(|line| match self.read(line) {
                Message::Catalog(catalog) => Some(catalog),
                _ => None,
            }),
        }
    }

    /// The catalogue to give it, so that it reads what `mapping` maps and nothing else.
    pub fn select(self, catalog: &Value, mapping: &Mapping) -> Selected {
        match self {
            Self::Singer => singer::select(catalog, mapping),
            Self::Airbyte => airbyte::select(catalog, mapping),
        }
    }
}

/// A catalogue with what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selected {
    /// To be given to the program.
    pub catalog: Value,
    /// The streams that it will read, with what their records look like, and how the mapping calls them.
    pub streams: Vec<(Name, Value, String)>,
    /// Streams that are mapped and that the program does not have.
    pub missing: Vec<String>,
    /// All that it has.
    pub known: Vec<String>,
}

/// A line that is no message. Where a record may be lost in it, no state that follows may be kept.
pub fn unreadable(line: &str) -> Message {
    if line.contains("\"RECORD\"") { Message::Broken } else { Message::Noise }
}

/// The same of a line that was too long to be kept: all that begins like a message may be a record.
pub fn too_long(beginning: &str) -> Message {
    if beginning.trim_start().starts_with('{') { Message::Broken } else { unreadable(beginning) }
}

/// A record's JSON; a number that would not be the same afterwards becomes a text.
fn record(text: &str) -> Result<Value, String> {
    let sound = super::raw::sound(text)?;
    serde_json::from_str(&number::exact(&sound)).map_err(|_| "is not JSON".to_owned())
}
