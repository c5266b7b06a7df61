//! Tries as they stand in their column: JSON that people read there, and no stored form's bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::text::shown;
use crate::model::{Attempt, Outcome, Timestamp};
use crate::store::StoreError;

/// One of them. The outcome is its word.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    at: i64,
    status: u16,
    outcome: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    may_have_left: Option<bool>,
}

/// For the column. The database reads no NUL out of JSON: what has one in its words loses it.
pub fn to_text(attempts: &[Attempt]) -> String {
    let written: Vec<Written<'_>> = attempts.iter().map(Written::of).collect();
    // Numbers and texts alone: nothing in it can fail.
    serde_json::to_string(&written).unwrap_or_else(|_| "[]".into())
}

/// The reverse of [`to_text`].
///
/// # Errors
/// When somebody else wrote it.
pub fn of_text(text: &str) -> Result<Vec<Attempt>, StoreError> {
    let damaged = || StoreError::Damaged("the tries of an activation cannot be read".into());
    let written: Vec<Written<'_>> = serde_json::from_str(text).map_err(|_| damaged())?;
    written.into_iter().map(|one| one.into_attempt().ok_or_else(damaged)).collect()
}

impl<'a> Written<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let outcome = attempt.outcome.word().into();
        let plain = Self {
            at: attempt.at.as_millis(),
            status: attempt.status,
            outcome,
            not_before: None,
            code: None,
            words: None,
            may_have_left: None,
        };
        match &attempt.outcome {
            Outcome::Later { not_before, words, may_have_left, is_throttled: _ } => Self {
                not_before: Some(not_before.as_millis()),
                words: Some(shown(words)),
                may_have_left: Some(*may_have_left),
                ..plain
            },
            Outcome::Refused { code, words } => Self { code: Some(shown(code)), words: Some(shown(words)), ..plain },
            Outcome::Accepted | Outcome::Duplicate | Outcome::Expired | Outcome::Cancelled => plain,
        }
    }

    /// None where it has no such outcome.
    fn into_attempt(self) -> Option<Attempt> {
        let words = |words: Option<Cow<'_, str>>| words.map(|words| Box::<str>::from(words.into_owned()));
        let outcome = match &*self.outcome {
            "accepted" => Outcome::Accepted,
            "duplicate" => Outcome::Duplicate,
            "expired" => Outcome::Expired,
            "cancelled" => Outcome::Cancelled,
            "refused" => Outcome::Refused { code: words(self.code)?, words: words(self.words)? },
            word @ ("later" | "throttled") => Outcome::Later {
                not_before: Timestamp::from_millis(self.not_before?),
                words: words(self.words)?,
                is_throttled: word == "throttled",
                may_have_left: self.may_have_left?,
            },
            _ => return None,
        };
        Some(Attempt { at: Timestamp::from_millis(self.at), status: self.status, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(status: u16, outcome: Outcome) -> Attempt {
        Attempt { at: Timestamp::from_millis(1_800_000_000_000), status, outcome }
    }

    fn later(is_throttled: bool, may_have_left: bool) -> Outcome {
        let not_before = Timestamp::from_millis(1_800_000_000_500);
        Outcome::Later { not_before, words: "\"slow\" \\u0000\n".into(), is_throttled, may_have_left }
    }

    #[test]
    fn every_try_is_read_as_it_was_written() {
        let attempts = vec![
            one(202, Outcome::Accepted),
            one(409, Outcome::Duplicate),
            one(0, Outcome::Expired),
            one(0, Outcome::Cancelled),
            one(429, later(true, false)),
            one(500, later(false, true)),
            one(400, Outcome::Refused { code: "".into(), words: "e-mail is no address: \u{1f980}".into() }),
        ];
        assert_eq!(of_text(&to_text(&attempts)).expect("what was written"), attempts);
        assert_eq!(to_text(&[]), "[]");
        assert_eq!(to_text(&attempts[..1]), r#"[{"at":1800000000000,"status":202,"outcome":"accepted"}]"#);
    }

    #[test]
    fn what_nobody_wrote_is_damaged() {
        for text in [
            "",
            "{}",
            r#"[{"at":1,"status":202,"outcome":"lost"}]"#,
            r#"[{"at":1,"status":400,"outcome":"refused","code":"x"}]"#,
            r#"[{"at":1,"status":70000,"outcome":"accepted"}]"#,
        ] {
            assert!(matches!(of_text(text), Err(StoreError::Damaged(_))), "{text}");
        }
    }

    #[test]
    fn what_the_database_takes_for_no_text_is_left_out() {
        let refused = |words: &str| one(400, Outcome::Refused { code: "x".into(), words: words.into() });
        assert_eq!(to_text(&[refused("a\0b")]), to_text(&[refused("ab")]));
    }
}
