//! Fields as `application/x-www-form-urlencoded`: what a question has in its body where its address would be too long, or
//! would tell of people.

/// Media type of such a body.
pub const TYPE: &str = "application/x-www-form-urlencoded";

/// Fields as a body.
pub fn form(fields: &[(&str, String)]) -> Vec<u8> {
    let mut form = String::new();
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => form.push(char::from(byte)),
                _ => form.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    form.into_bytes()
}

/// A field of such a body.
pub fn field(form: &[u8], name: &str) -> Option<String> {
    let mut pairs = form.split(|byte| *byte == b'&');
    let mut rest = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    let mut value = Vec::new();
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                value.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                value.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for value in ["a+b@example.com,ç&=%41", "", "100 %"] {
            let body = form(&[("x", "1".into()), ("y", value.into())]);
            assert!(body.is_ascii() && !body.contains(&b'+') && !body.contains(&b' '));
            assert_eq!(field(&body, "y").as_deref(), Some(value));
        }
        assert_eq!(field(b"xy=1", "y"), None);
    }
}
