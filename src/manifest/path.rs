//! Where in a message a value lies.

use serde_json::Value;

/// `customer.email`, `discount_codes.0.code`: names and places, separated by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Box<str>);

impl Path {
    /// From its text; none when a part of it is empty.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        text.split('.').all(|part| !part.trim().is_empty()).then(|| Self(text.into()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value there; none when it is absent or null. A key that is written with dots is found too.
    pub fn get<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.find(root).filter(|value| !value.is_null())
    }

    /// The same value, to be changed.
    pub fn get_mut<'v>(&self, root: &'v mut Value) -> Option<&'v mut Value> {
        if root.get(&*self.0).is_some() {
            return root.get_mut(&*self.0);
        }
        self.0.split('.').try_fold(root, |value, part| match value {
            Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
            other => other.get_mut(part),
        })
    }

    /// True when `null` is there.
    pub fn is_null(&self, root: &Value) -> bool {
        self.find(root).is_some_and(Value::is_null)
    }

    fn find<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        root.get(&*self.0).or_else(|| {
            self.0.split('.').try_fold(root, |value, part| match value {
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                other => other.get(part),
            })
        })
    }

    /// Takes the value out.
    pub fn remove(&self, root: &mut Value) {
        if let Value::Object(entries) = root
            && entries.shift_remove(&*self.0).is_some()
        {
            return;
        }
        let Some((parent, last)) = self.0.rsplit_once('.') else { return };
        let parent = parent.split('.').try_fold(root, |value, part| value.get_mut(part));
        if let Some(Value::Object(entries)) = parent {
            entries.shift_remove(last);
        }
    }
}

/// Places that are tried in turn.
pub type Paths = Vec<Path>;

/// A text or a number as text, trimmed; none when it is empty or neither.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(path: &str, wanted: Option<Value>) {
        let root = json!({"a": {"b": [1, {"c": 2}], "n": null}, "x.y": 3});
        assert_eq!(Path::parse(path).and_then(|p| p.get(&root).cloned()), wanted, "{path}");
    }

    #[test]
    fn paths_lead_through_objects_and_lists() {
        check("a.b.0", Some(json!(1)));
        check("a.b.1.c", Some(json!(2)));
        check("x.y", Some(json!(3)));
        let mut root = json!({"a": [{"b": 1}], "x.y": 3});
        for path in ["a.0.b", "x.y", "a.1.b", "z"] {
            let path = Path::parse(path).expect("a path");
            let wanted = path.get(&root).cloned();
            assert_eq!(path.get_mut(&mut root).cloned(), wanted);
        }
        for nothing in ["a.n", "a.b.7", "a.b.c", "a.b.0.c", "z", "", ".", "a..b"] {
            check(nothing, None);
        }
    }

    #[test]
    fn what_is_removed_is_gone() {
        let mut root = json!({"a": {"b": 1, "c": 2}, "d": 3});
        for path in ["a.b", "d", "z.z"] {
            Path::parse(path).expect("a path").remove(&mut root);
        }
        assert_eq!(root, json!({"a": {"c": 2}}));
    }
}
