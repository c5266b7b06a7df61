//! JSON text as the internet sends it: checked in one pass for what would make it unreadable later.
//!
//! Serde keeps a raw value without looking into its escapes, numbers and depth. All three are looked at here, once, so
//! that what goes into the journal can always be read again.

use std::borrow::Cow;

use serde_json::Value;

/// Objects and arrays within one another. serde_json stops at 128, and what is kept is put inside other documents.
const DEEPEST: usize = 100;
/// Digits in a row that may be more than a number can hold.
const MANY_DIGITS: usize = 300;

/// What one pass over a text found.
#[derive(Clone, Copy, Default)]
struct Survey {
    depth: usize,
    /// There are escapes `\ud800` to `\udfff`: pairs, or halves of one that a client has cut.
    surrogates: bool,
    /// There are numbers with an exponent or very many digits.
    wild_numbers: bool,
}

/// The text with what can be mended mended, or what is wrong with it. Does not check the JSON itself.
pub fn sound(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let survey = survey(text);
    if survey.depth > DEEPEST {
        return Err("is nested deeper than 100 levels");
    }
    let text = if survey.surrogates { mend(text) } else { Cow::Borrowed(text) };
    if survey.wild_numbers && serde_json::from_str::<Value>(&text).is_err_and(|e| e.is_syntax()) {
        return Err("has a number that is too large, or is not JSON");
    }
    Ok(text)
}

/// The JSON value that `body` is, or why it is none. No personal data in the words.
pub fn value(body: &[u8]) -> Result<Value, &'static str> {
    let text = utf8(body)?;
    serde_json::from_str(&sound(text)?).map_err(|_| "is not JSON")
}

/// The text that `body` is; a byte order mark is left out.
pub fn utf8(body: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "is not UTF-8")?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn survey(text: &str) -> Survey {
    let mut found = Survey::default();
    let mut depth = 0_usize;
    let mut digits = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                found.wild_numbers |= digits >= MANY_DIGITS;
                continue;
            }
            b'e' | b'E' if digits > 0 => found.wild_numbers = true,
            b'"' => found.surrogates |= skip_text(&mut bytes),
            b'{' | b'[' => {
                depth += 1;
                found.depth = found.depth.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        digits = 0;
    }
    found
}

/// To the end of a text in quotes; true when it has surrogate escapes.
fn skip_text(bytes: &mut std::str::Bytes<'_>) -> bool {
    let mut surrogates = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' if bytes.next() == Some(b'u') => {
                let mut ahead = bytes.clone();
                surrogates |= matches!(ahead.next(), Some(b'd' | b'D')) && !matches!(ahead.next(), Some(b'0'..=b'7'));
            }
            _ => {}
        }
    }
    surrogates
}

/// Half a surrogate pair becomes U+FFFD, as browsers show it: an emoji cut in two must not cost the event.
fn mend(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut kept = 0;
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find('\\')) {
        let at = from + found;
        from = match escape(text, at) {
            // Any other escape: the backslash and the character after it.
            None => at + 1 + text.get(at + 1..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8),
            Some(0xd800..=0xdbff) if matches!(escape(text, at + 6), Some(0xdc00..=0xdfff)) => at + 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(text.get(kept..at).unwrap_or_default());
                mended.push_str("\\ufffd");
                kept = at + 6;
                kept
            }
            Some(_) => at + 6,
        };
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(mended)
}

/// The code of the `\uXXXX` that begins at `at`.
fn escape(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at.checked_add(6)?)?.strip_prefix("\\u")?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: Result<&str, &str>) {
        assert_eq!(sound(text).as_deref().map_err(|e| *e), wanted, "{text}");
    }

    #[test]
    fn sound_text_is_left_alone() {
        for text in [r#"{"a":"é \u00e9 \"}{[ \\","b":[1,2.5,true,false,null]}"#, r#"["\ud83d\ude00","\ud7ff"]"#, ""] {
            check(text, Ok(text));
        }
    }

    #[test]
    fn half_an_emoji_is_mended() {
        check(r#"{"t":"a\ud83d"}"#, Ok(r#"{"t":"a\ufffd"}"#));
        check(r#"{"t":"\ude00\ud83d\ude00\ud83dx\\ud83d"}"#, Ok(r#"{"t":"\ufffd\ud83d\ude00\ufffdx\\ud83d"}"#));
        check(r#"{"t":"\ud83d\ud83d\ude00é"}"#, Ok(r#"{"t":"\ufffd\ud83d\ude00é"}"#));
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        check(&"[".repeat(101), Err("is nested deeper than 100 levels"));
        check("[1e999]", Err("has a number that is too large, or is not JSON"));
        check(&format!("[{}]", "9".repeat(400)), Err("has a number that is too large, or is not JSON"));
        check("[1e9]", Ok("[1e9]"));
        assert_eq!(value(b"\xff"), Err("is not UTF-8"));
        assert_eq!(value("\u{feff}[1]".as_bytes()), Ok(serde_json::json!([1])));
    }
}
