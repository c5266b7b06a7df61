//! What `ops` found wrong at one look.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kind::Kind;

/// By what an alert is known from look to look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertKey)]
pub struct Key {
    /// Of what sort.
    pub kind: Kind,
    /// What it is about, by its name in the configuration: `lane klaviyo`.
    pub of: String,
}

/// One thing that is wrong now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// By what it is known again.
    pub key: Key,
    /// What is wrong with it, in words.
    pub words: String,
    /// What mends it, with commands in backticks.
    pub remedy: Option<String>,
    /// The figure, where it has one: a number, seconds, or bytes.
    pub value: Option<f64>,
}

impl Finding {
    /// Without a remedy or a figure.
    pub fn new(kind: Kind, of: impl Into<String>, words: impl Into<String>) -> Self {
        Self { key: Key { kind, of: of.into() }, words: words.into(), remedy: None, value: None }
    }

    /// With its figure.
    #[must_use]
    pub fn valued(self, value: f64) -> Self {
        Self { value: Some(value), ..self }
    }
}
