//! What is wrong, one thing at a time: of what sort, about what, in words, and what mends it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Of what sort a trouble is: what is wrong on the page is what alerts are about.
pub use crate::alerts::Kind as TroubleKind;
use crate::model::Timestamp;

/// One thing that is wrong. Displayed, it is a sentence with its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Trouble {
    /// Of what sort.
    pub kind: TroubleKind,
    /// What it is about, by its name in the configuration: `lane klaviyo`.
    pub of: String,
    /// What is wrong with it, in words.
    pub words: String,
    /// What mends it, with commands in backticks; none where it passes by itself, or its words say it.
    pub remedy: Option<String>,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
}

impl Trouble {
    /// Without a remedy, and of unknown age.
    pub(super) fn new(kind: TroubleKind, of: impl Into<String>, words: impl Into<String>) -> Self {
        Self { kind, of: of.into(), words: words.into(), remedy: None, since: None }
    }

    /// With what mends it.
    #[must_use]
    pub(super) fn mended_by(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Since then.
    #[must_use]
    pub(super) fn since(self, since: impl Into<Option<Timestamp>>) -> Self {
        Self { since: since.into(), ..self }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.sentence(&self.of, &self.words))?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_a_sentence_with_its_way_out() {
        let dead = Trouble::new(TroubleKind::DeadLetters, "lane esp", "3 dead letters");
        assert_eq!(dead.to_string(), "lane esp: 3 dead letters");
        let dead = dead.mended_by("`espalier dead-letters list`");
        assert_eq!(dead.to_string(), "lane esp: 3 dead letters; `espalier dead-letters list`");
        let waits = Trouble::new(TroubleKind::EngineWaits, "the engine", "waits: the disk is full");
        assert_eq!(waits.to_string(), "the engine waits: the disk is full");
    }

    #[test]
    fn programs_read_its_parts() {
        let since = Timestamp::parse("2026-11-29T12:00:00Z");
        let trouble = Trouble::new(TroubleKind::BreakerOpen, "lane esp", "the breaker is open").since(since);
        let json = serde_json::to_value(&trouble).expect("JSON");
        let parts = serde_json::json!({
            "kind": "breaker_open", "of": "lane esp", "words": "the breaker is open", "remedy": null,
            "since": "2026-11-29T12:00:00.000Z",
        });
        assert_eq!(json, parts);
        assert_eq!(serde_json::from_value::<Trouble>(json).expect("a trouble"), trouble);
    }
}
