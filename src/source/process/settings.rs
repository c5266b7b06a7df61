//! `[source.NAME]` with `kind = "singer"` or `"airbyte"`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::setting::Written;
use crate::model::Span;

/// A program that reads a vendor on our behalf: docs/processes.md.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program and its first arguments, without a shell: `["tap-csv"]`. In an argument `{folder}` stands for the
    /// private folder with its files.
    pub command: Vec<String>,
    /// What it is given after all that we give it.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// What is written to its file of settings; secrets as references.
    #[serde(default)]
    pub settings: Written,
    /// A file with its catalogue, as seen from this file; it is asked for it, unless one is named.
    #[serde(default)]
    pub catalog: Option<PathBuf>,
    /// The file that says what its records make, as seen from this file. What is not in it is not read.
    pub mapping: PathBuf,
    /// How often it is run.
    #[serde(default = "hour")]
    pub every: Span,
    /// A run that says nothing for so long is ended.
    #[serde(default = "hour")]
    pub silence: Span,
    /// Names of the environment variables that it is given.
    #[serde(default = "path")]
    pub environment: Vec<String>,
}

fn hour() -> Span {
    Span::HOUR
}

fn path() -> Vec<String> {
    vec!["PATH".into()]
}
