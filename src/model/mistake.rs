//! One mistake in a file that a person wrote: where it is, what is wrong, and the way out.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A mistake with its place. Never holds a secret's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Mistake {
    /// The file as the person named it, or `$VARIABLE` for the environment.
    pub file: String,
    /// Line, from 1; 0 when the file has no such place.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key, dotted from the top: `when.all.within`.
    pub key: String,
    /// What is wrong.
    pub words: String,
    /// The way out, where one is known.
    pub suggestion: Option<String>,
    /// Bytes of the file that are meant, for a display that underlines them.
    #[serde(skip)]
    pub span: Option<(usize, usize)>,
}

impl Mistake {
    /// At `span` of `text`.
    pub fn at(file: &str, text: &str, span: Range<usize>, key: impl Into<String>, words: impl Into<String>) -> Self {
        let start = (0..=span.start.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: key.into(),
            words: words.into(),
            suggestion: None,
            span: Some((start, span.end.max(start))),
        }
    }

    /// Of a file as a whole, or of something that is not in a file.
    pub fn nowhere(file: &str, key: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            key: key.into(),
            words: words.into(),
            suggestion: None,
            span: None,
        }
    }

    /// With the way out.
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.words)?;
        match &self.suggestion {
            Some(way) => write!(f, " ({way})"),
            None => Ok(()),
        }
    }
}

/// The one of `known` that `written` was probably meant to be.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The way out of a wrong name: the one that was probably meant, or, after these words, all there are.
pub fn instead(written: &str, known: &[&str], words: &str) -> String {
    match nearest(written, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{words}: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_not_bytes() {
        let text = "a = 1\nü = \"x\" # here\n";
        let at = text.find("\"x\"").expect("the value");
        let mistake = Mistake::at("f.toml", text, at..at + 3, "ü", "is wrong").suggest("write 1");
        assert_eq!(mistake.to_string(), "f.toml:2:5: ü: is wrong (write 1)");
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_near() {
        assert_eq!(nearest("withn", ["within", "where", "did"]), Some("within"));
        assert_eq!(nearest("zebra", ["within", "where", "did"]), None);
        assert_eq!(instead("withn", &["within", "did"], "one of"), "did you mean `within`?");
        assert_eq!(instead("zebra", &["within", "did"], "one of"), "one of: within, did");
    }
}
