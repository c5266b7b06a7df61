//! `application/x-www-form-urlencoded` as a JSON object.

use serde_json::{Map, Value};

/// Names to texts; a name that is given several times becomes a list. Nothing is wrong: what is no escape stays.
pub(super) fn parse(text: &str) -> Value {
    let mut entries: Map<String, Value> = Map::new();
    for pair in text.trim().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name), Value::from(decode(value)));
        if name.is_empty() {
            continue;
        }
        match entries.get_mut(&name) {
            None => drop(entries.insert(name, value)),
            Some(Value::Array(all)) => all.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Value::Object(entries)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (other, _) => *other,
        });
    }
    String::from_utf8(bytes).unwrap_or_else(|wrong| String::from_utf8_lossy(wrong.as_bytes()).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        for (form, wanted) in [
            ("a=1&b=x+y%2Bz&c", json!({"a": "1", "b": "x y+z", "c": ""})),
            ("tag=a&tag=b&tag=c", json!({"tag": ["a", "b", "c"]})),
            ("f%5Bemail%5D=ines%40example.com&=x&&", json!({"f[email]": "ines@example.com"})),
            ("a=%&b=%4&c=%zz&d=%C3%A9&e=%ff", json!({"a": "%", "b": "%4", "c": "%zz", "d": "é", "e": "\u{fffd}"})),
            ("", json!({})),
        ] {
            assert_eq!(parse(form), wanted, "{form}");
        }
    }
}
