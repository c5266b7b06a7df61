//! What is hidden when an activation is shown: who it is for, and what lets us in at the vendor.

use serde_json::Value;

use crate::model::http::Request;
use crate::model::{Activation, IdentifierKind, RawJson};

/// What stands instead.
const HIDDEN: &str = "•••";
/// Values that are shorter are hidden only where they are the whole: they would be found everywhere.
const SHORT: usize = 4;
/// Headers whose values let somebody in, by a part of their names.
const SECRET: [&str; 6] = ["auth", "key", "token", "secret", "signature", "cookie"];

/// What is hidden of one activation.
pub struct Redaction {
    values: Vec<String>,
}

impl Redaction {
    /// Names and traits of its person.
    pub fn of(activation: &Activation) -> Self {
        // A cart or an order is what happened, and not whom it happened to.
        let names = activation
            .identifiers
            .iter()
            .filter(|name| name.kind.names_a_person() || name.kind == IdentifierKind::AnonymousId);
        let mut values: Vec<String> = names.map(|name| name.value.to_string()).collect();
        texts(&activation.traits.to_value(), &mut values);
        // The longest first: a name may be a part of an address.
        values.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        values.dedup();
        Self { values }
    }

    /// A text without them.
    pub fn text(&self, text: &str) -> String {
        if self.values.iter().any(|value| value.to_lowercase() == text.to_lowercase()) {
            return HIDDEN.into();
        }
        let long = self.values.iter().filter(|value| value.len() >= SHORT);
        long.fold(without_addresses(text), |text, value| without(&text, value))
    }

    /// JSON without them.
    pub fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Number(number) if self.values.contains(&number.to_string()) => Value::String(HIDDEN.into()),
            Value::Array(all) => all.iter().map(|one| self.json(one)).collect(),
            Value::Object(all) => all.iter().map(|(name, one)| (self.text(name), self.json(one))).collect(),
            other => other.clone(),
        }
    }

    /// A payload without them.
    pub fn payload(&self, payload: &RawJson) -> Value {
        self.json(&payload.to_value())
    }

    /// A call as it would leave, without them and without what lets us in.
    pub fn call(&self, request: &Request) -> Call {
        let query: Vec<String> =
            request.query.iter().map(|(name, value)| format!("{name}={}", self.text(value))).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let headers = request.headers.iter().map(|(name, value)| {
            let is_secret = SECRET.iter().any(|part| name.to_ascii_lowercase().contains(part));
            (name.to_string(), if is_secret { HIDDEN.into() } else { self.text(value) })
        });
        let body = match serde_json::from_slice::<Value>(&request.body) {
            Ok(body) => format!("{:#}", self.json(&body)),
            Err(_) => self.text(&String::from_utf8_lossy(&request.body)),
        };
        Call {
            line: format!("{} {}{query}", request.method.word(), self.text(&request.path)),
            headers: headers.collect(),
            body,
        }
    }
}

/// A call for people.
pub struct Call {
    /// Method, path and query.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A text without this, however it is written.
fn without(text: &str, value: &str) -> String {
    let wanted: Vec<char> = value.chars().flat_map(char::to_lowercase).collect();
    let (mut rest, mut left) = (text, String::with_capacity(text.len()));
    'next: while let Some(first) = rest.chars().next() {
        let (mut of, mut at) = (wanted.iter(), 0);
        for c in rest.chars() {
            for lower in c.to_lowercase() {
                if of.next() != Some(&lower) {
                    left.push(first);
                    rest = &rest[first.len_utf8()..];
                    continue 'next;
                }
            }
            at += c.len_utf8();
            if of.len() == 0 {
                left.push_str(HIDDEN);
                rest = &rest[at..];
                continue 'next;
            }
        }
        // It ends before the value does.
        left.push(first);
        rest = &rest[first.len_utf8()..];
    }
    left
}

/// A text without e-mail addresses, whosever they are.
fn without_addresses(text: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "@.!#$%&*+-/=?^_`{|}~'".contains(c);
    let mut left = String::with_capacity(text.len());
    let mut word = String::new();
    let end = |word: &mut String, left: &mut String| {
        left.push_str(if is_address(word) { HIDDEN } else { word });
        word.clear();
    };
    for c in text.chars() {
        if is_part(c) {
            word.push(c);
        } else {
            end(&mut word, &mut left);
            left.push(c);
        }
    }
    end(&mut word, &mut left);
    left
}

/// An e-mail address, whoever's.
fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain.trim_end_matches('.').contains('.'))
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Array(all) => all.iter().for_each(|one| texts(one, found)),
        Value::Object(all) => all.values().for_each(|one| texts(one, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::http::{Auth, Method};
    use crate::model::{Action, Identifier, OccasionId, PersonId, Span, Timestamp};

    fn activation() -> Activation {
        Activation {
            occasion: OccasionId([1; 16]),
            lane: "esp".into(),
            trigger: "cart".into(),
            person: PersonId([1; 16]),
            identifiers: ["email:ines@example.com", "user_id:u77"].into_iter().filter_map(Identifier::parse).collect(),
            traits: RawJson::from_value(&json!({ "first_name": "Ines", "city": "Lisboa", "age": 41 })),
            key: "".into(),
            at: Timestamp::MIN,
            action: Action::Profile,
            priority: 50,
            expires_at: Timestamp::MAX,
            not_before: None,
            payload: RawJson::empty(),
            broken: None,
        }
    }

    #[test]
    fn nobody_is_in_what_is_shown() {
        let redaction = Redaction::of(&activation());
        let shown = redaction.json(&json!({
            "greeting": "Dear INES, how is Lisboa?", "id": "u77", "age": 41, "total": 19.9, "also": "paul@example.com",
            "ines@example.com": ["INES@example.com", "a cart of u777 things"],
            "words": "Contact <paul+1@example.com> exists, lisb is no town; meet @ noon.",
        }));
        let wanted = json!({
            "greeting": "Dear •••, how is •••?", "id": "•••", "age": "•••", "total": 19.9, "also": "•••",
            "•••": ["•••", "a cart of u777 things"],
            "words": "Contact <•••> exists, lisb is no town; meet @ noon.",
        });
        assert_eq!(shown, wanted);
    }

    #[test]
    fn what_lets_us_in_is_not_shown() {
        let request = Request {
            method: Method::Post,
            path: "/api/events".into(),
            query: vec![("find".into(), "ines@example.com".into())],
            headers: vec![("revision".into(), "2026-07-15".into()), ("X-Signature".into(), "abc".into())],
            content_type: "application/json",
            auth: Auth::Open,
            body: br#"{"email":"ines@example.com","event":"Cart Abandoned"}"#.to_vec(),
            family: "events".into(),
            timeout: Span::from_secs(1),
        };
        let call = Redaction::of(&activation()).call(&request);
        assert_eq!(call.line, "POST /api/events?find=•••");
        let headers: Vec<_> = call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, [("revision", "2026-07-15"), ("X-Signature", "•••")]);
        assert!(call.body.contains("Cart Abandoned") && !call.body.contains("ines"));
    }
}
