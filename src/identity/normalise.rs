//! One way of writing each name, and the values that name nobody.

use crate::model::{Identifier, IdentifierKind};

use super::settings::Settings;

/// Values that libraries, shops and testers send where there is nothing.
const BLOCKED: &[&str] = &[
    "null",
    "undefined",
    "none",
    "nil",
    "nan",
    "n/a",
    "na",
    "unknown",
    "anonymous",
    "guest",
    "true",
    "false",
    "[object object]",
    "test@test.com",
    "test@example.com",
    "email@example.com",
    "noreply@example.com",
    "no@email.com",
    "none@none.com",
    "-1",
];
/// The longest value that is kept, in bytes.
const LONGEST: usize = 255;

/// The identifier that `raw` is, or `None` when it names nobody.
pub fn normalise(kind: IdentifierKind, raw: &str, settings: &Settings) -> Option<Identifier> {
    let text = raw.trim();
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        return None;
    }
    let lower = text.to_lowercase();
    let zeros = lower.chars().all(|c| matches!(c, '0' | '-' | '.'));
    if zeros || BLOCKED.contains(&lower.as_str()) || settings.blocked.contains(&lower) {
        return None;
    }
    let value = match kind {
        IdentifierKind::Email => email(&lower)?,
        IdentifierKind::Phone => phone(text, settings.calling_code.as_deref())?,
        _ => text.to_owned(),
    };
    Some(Identifier::new(kind, value))
}

/// Something, one `@`, and a domain with a dot; no spaces. Already in lower case.
fn email(lower: &str) -> Option<String> {
    let lower = lower.strip_prefix("mailto:").unwrap_or(lower);
    let (local, domain) = lower.rsplit_once('@')?;
    let shaped = !local.is_empty()
        && !local.contains('@')
        && domain.split('.').count() >= 2
        && domain.split('.').all(|label| !label.is_empty())
        && !lower.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>'));
    shaped.then(|| lower.to_owned())
}

/// E.164: `+` and 8 to 15 digits. A number without a calling code gets the configured one, or is none.
fn phone(text: &str, calling_code: Option<&str>) -> Option<String> {
    if text.chars().any(|c| !(c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '.' | '/' | '\u{a0}'))) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let full = if text.trim_start().starts_with('+') {
        digits
    } else if let Some(international) = digits.strip_prefix("00") {
        international.to_owned()
    } else {
        // A national number is dialled with a zero in front that the international form has not.
        let code: String = calling_code?.chars().filter(char::is_ascii_digit).collect();
        format!("{code}{}", digits.trim_start_matches('0'))
    };
    let is_number = (8..=15).contains(&full.len()) && !full.starts_with('0') && full.bytes().skip(1).any(|b| b != b'0');
    is_number.then(|| format!("+{full}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: IdentifierKind, raw: &str, wanted: Option<&str>) {
        let settings = Settings { calling_code: Some("+351".into()), ..Settings::default() };
        let got = normalise(kind, raw, &settings);
        assert_eq!(got.as_ref().map(|i| &*i.value), wanted, "{raw}");
    }

    #[test]
    fn addresses_are_lower_case_and_shaped_like_one() {
        check(IdentifierKind::Email, " Ines@Example.COM ", Some("ines@example.com"));
        for wrong in ["ines", "@example.com", "ines@", "ines@example", "a b@example.com", "a@b@example.com", "a@x..com"]
        {
            check(IdentifierKind::Email, wrong, None);
        }
    }

    #[test]
    fn numbers_are_e164() {
        check(IdentifierKind::Phone, "+351 912 345 678", Some("+351912345678"));
        check(IdentifierKind::Phone, "00351912345678", Some("+351912345678"));
        check(IdentifierKind::Phone, "912-345-678", Some("+351912345678"));
        for wrong in ["12", "+", "call me", "+000000000", "+12345678901234567"] {
            check(IdentifierKind::Phone, wrong, None);
        }
    }

    #[test]
    fn what_names_nobody_is_left_out() {
        for nobody in
            ["", "  ", "null", "undefined", "0", "00000000-0000-0000-0000-000000000000", "a\u{0}b", "Anonymous"]
        {
            check(IdentifierKind::UserId, nobody, None);
        }
        check(IdentifierKind::Email, "test@test.com", None);
        check(IdentifierKind::UserId, " Cust-88121 ", Some("Cust-88121"));
    }
}
