//! Numbers that no 64 bits hold. Databases have them as ids and amounts, and read as floats they would be others.

use std::borrow::Cow;

/// Digits that every number of so many keeps: 15 for a float, 18 for a whole number.
const SAFE: (usize, usize) = (15, 18);

/// The JSON text with such numbers as texts: an id is found and compared the same way.
pub fn exact(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut exact, mut kept, mut at) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = after_text(bytes, at),
            b'-' | b'0'..=b'9' => {
                let is_of_number = |b: &u8| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
                let length = bytes.iter().skip(at).take_while(|b| is_of_number(b)).count();
                let number = text.get(at..at + length).unwrap_or_default();
                if !fits(number) {
                    exact.push_str(text.get(kept..at).unwrap_or_default());
                    exact.push('"');
                    exact.push_str(number);
                    exact.push('"');
                    kept = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    exact.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(exact)
}

/// The place behind a text in quotes that begins at `at`.
fn after_text(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn fits(number: &str) -> bool {
    let is_whole = !number.contains(['.', 'e', 'E']);
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    if is_whole {
        digits <= SAFE.1 || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
    } else {
        digits <= SAFE.0 || number.parse::<f64>().is_ok_and(|float| float.to_string() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &str) {
        assert_eq!(exact(text), wanted);
    }

    #[test]
    fn numbers_that_fit_stay_numbers() {
        for same in [
            r#"{"a":1,"b":-0.10,"c":18446744073709551615,"d":"123456789012345678901234567890","e":1e5}"#,
            r#"["\"9999999999999999999999",0.1,49.9,-9223372036854775808]"#,
            "",
            "\"",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn others_become_texts() {
        check(r#"{"a":123456789012345678901,"b":2}"#, r#"{"a":"123456789012345678901","b":2}"#);
        check("[0.1234567890123456789, 18446744073709551616]", r#"["0.1234567890123456789", "18446744073709551616"]"#);
    }
}
