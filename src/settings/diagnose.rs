//! The configuration against its own JSON Schema, in words for people: every unknown key with the nearest right one,
//! every value of the wrong sort, all at once. (serde would stop at the first, without a place.)

use serde_json::{Map, Value};

use super::layer::Layers;
use super::secret;
use crate::model::mistake::instead;
use crate::model::{Mistake, Schedule, TimeOfDay, Zone};
use crate::rules::gate;

/// Everything that does not fit.
pub fn mistakes(schema: &Value, value: &Value, layers: &Layers) -> Vec<Mistake> {
    let mut check = Check { root: schema, layers, found: Vec::new() };
    check.value(schema, value, &mut Vec::new());
    check.found
}

struct Check<'a> {
    root: &'a Value,
    layers: &'a Layers,
    found: Vec<Mistake>,
}

impl<'a> Check<'a> {
    fn wrong(&mut self, path: &[String], words: impl Into<String>, way: Option<String>) {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut mistake = self.layers.at(&parts, words);
        mistake.suggestion = way;
        self.found.push(mistake);
    }

    fn followed(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        while let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let Some(next) = self.root.pointer(name.trim_start_matches('#')) else { break };
            schema = next;
        }
        schema
    }

    /// The properties of an object's schema, with those of what it refers to.
    fn properties(&self, schema: &'a Value) -> (Map<String, Value>, Vec<String>, bool) {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let mut is_open = false;
        let mut all = vec![schema];
        if schema.get("$ref").is_some() {
            all.push(self.followed(schema));
        }
        all.extend(schema.get("allOf").and_then(Value::as_array).into_iter().flatten().map(|s| self.followed(s)));
        for one in all {
            properties.extend(one.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
            let names = one.get("required").and_then(Value::as_array).into_iter().flatten();
            required.extend(names.filter_map(|n| n.as_str().map(str::to_owned)));
            is_open |= one.get("additionalProperties").is_some_and(|a| a.is_object());
        }
        (properties, required, is_open)
    }

    fn value(&mut self, schema: &'a Value, value: &Value, path: &mut Vec<String>) {
        if let Some(several) = schema.get("oneOf").or(schema.get("anyOf")).and_then(Value::as_array) {
            self.one_of(several, value, path);
            return;
        }
        let is_secret = schema.get("$ref").and_then(Value::as_str) == Some("#/$defs/Secret");
        if is_secret {
            self.secret(path);
            return;
        }
        let plain = self.followed(schema);
        if !std::ptr::eq(plain, schema) && (plain.get("oneOf").is_some() || plain.get("anyOf").is_some()) {
            self.value(plain, value, path);
            return;
        }
        let kinds = kinds(plain);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_kind(kind, value)) {
            let way = plain.get("description").and_then(Value::as_str).map(str::to_owned);
            self.wrong(
                path,
                format!("must be {}", kinds.iter().map(|k| in_words(k)).collect::<Vec<_>>().join(" or ")),
                way,
            );
            return;
        }
        match value {
            Value::Object(entries) => self.object(schema, entries, path),
            Value::Array(items) => {
                if let Some(inner) = plain.get("items") {
                    for (n, item) in items.iter().enumerate() {
                        path.push(n.to_string());
                        self.value(inner, item, path);
                        path.pop();
                    }
                }
            }
            other => self.scalar(plain, other, path),
        }
    }

    fn secret(&mut self, path: &[String]) {
        let written = self.layers.written(path);
        if written.is_some_and(|text| !secret::is_reference(&text)) {
            let way = "\"${env:NAME}\" or \"${file:/path}\"".to_owned();
            self.wrong(path, "is a secret and must not stand in a file: write a reference to it", Some(way));
        }
    }

    fn object(&mut self, schema: &'a Value, entries: &Map<String, Value>, path: &mut Vec<String>) {
        if self.followed(schema).get("additionalProperties") == Some(&Value::Bool(true)) {
            // Whoever reads it says what may stand there.
            return;
        }
        let (properties, required, is_open) = self.properties(schema);
        let open = self.followed(schema).get("additionalProperties").filter(|a| a.is_object());
        for (name, inner) in entries {
            path.push(name.clone());
            // Borrowed again from the root or the schema, so that it lives as long as they do.
            match self.property(schema, name) {
                Some(known) => self.value(known, inner, path),
                None if is_open => {
                    if let Some(open) = open {
                        self.value(open, inner, path);
                    }
                }
                None => {
                    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                    self.wrong(path, "is not a key that is known here", Some(instead(name, &known, "known here")));
                }
            }
            path.pop();
        }
        for name in required.iter().filter(|name| !entries.contains_key(*name)) {
            let way =
                properties.get(name).and_then(|p| p.get("description")).and_then(Value::as_str).map(str::to_owned);
            path.push(name.clone());
            self.wrong(path, "is missing", way);
            path.pop();
        }
    }

    fn property(&self, schema: &'a Value, name: &str) -> Option<&'a Value> {
        let own = |s: &'a Value| s.get("properties").and_then(|p| p.get(name));
        let all = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        own(schema).or_else(|| own(self.followed(schema))).or_else(|| all.map(|s| self.followed(s)).find_map(own))
    }

    /// The variant that the value's `kind` (or its sort) chooses.
    fn one_of(&mut self, several: &'a [Value], value: &Value, path: &mut Vec<String>) {
        let constant =
            |schema: &'a Value| self.property(schema, "kind").and_then(|k| k.get("const")).and_then(Value::as_str);
        let tags: Vec<&str> = several.iter().filter_map(constant).collect();
        if tags.is_empty() {
            let names: Vec<&str> = several.iter().filter_map(|s| s.get("const").and_then(Value::as_str)).collect();
            if names.len() == several.len() {
                self.choice(&names, value, path);
                return;
            }
            // An optional value, or one of several sorts: the one whose sort fits.
            let fits = several.iter().find(|s| kinds(self.followed(s)).iter().any(|k| is_kind(k, value)));
            match fits {
                Some(schema) => self.value(schema, value, path),
                None if several.iter().any(|s| kinds(self.followed(s)).is_empty()) => {}
                None => self.wrong(path, "is of the wrong sort", None),
            }
            return;
        }
        let Some(kind) = value.get("kind").and_then(Value::as_str) else {
            path.push("kind".into());
            self.wrong(path, "is missing", Some(format!("one of: {}", tags.join(", "))));
            path.pop();
            return;
        };
        match several.iter().find(|s| constant(s) == Some(kind)) {
            Some(schema) => self.value(schema, value, path),
            None => {
                path.push("kind".into());
                self.choice(&tags, &Value::from(kind), path);
                path.pop();
            }
        }
    }

    fn choice(&mut self, names: &[&str], value: &Value, path: &[String]) {
        let Some(text) = value.as_str() else {
            self.wrong(path, "must be a text in quotes", Some(format!("one of: {}", names.join(", "))));
            return;
        };
        if !names.contains(&text) {
            let way = instead(text, names, "one of");
            self.wrong(path, format!("`{text}` is not one of its values"), Some(way));
        }
    }

    fn scalar(&mut self, schema: &Value, value: &Value, path: &[String]) {
        if let Some(names) = schema.get("enum").and_then(Value::as_array) {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            self.choice(&names, value, path);
        }
        if let Some(number) = value.as_f64() {
            let least = schema.get("minimum").and_then(Value::as_f64);
            let most = schema.get("maximum").and_then(Value::as_f64);
            if least.is_some_and(|l| number < l) || most.is_some_and(|m| number > m) {
                let bound = |b: Option<f64>| b.map_or("any".into(), |b| b.to_string());
                self.wrong(path, format!("must lie between {} and {}", bound(least), bound(most)), None);
            }
        }
        let description = schema.get("description").and_then(Value::as_str).map(str::to_owned);
        if let Some(text) = value.as_str() {
            let is_span = schema.get("pattern").and_then(Value::as_str).is_some_and(|p| p.contains("ms|s|m|h|d|w"));
            if is_span && let Err(words) = text.parse::<crate::model::Span>() {
                self.wrong(path, words, None);
            } else if schema.get("format").and_then(Value::as_str) == Some("address-and-port")
                && text.parse::<std::net::SocketAddr>().is_err()
            {
                self.wrong(path, "is not an address and port", Some("127.0.0.1:8080".into()));
            } else if let Some(words) = format_mistake(schema, text) {
                self.wrong(path, words, None);
            } else if is_size(schema) && crate::model::setting::Size::parse(text).is_none() {
                self.wrong(path, "is not a size", description);
            }
        }
    }
}

/// What is wrong with a text whose format says more than that it is a text.
fn format_mistake(schema: &Value, text: &str) -> Option<String> {
    match schema.get("format")?.as_str()? {
        "share" => text.parse::<gate::Share>().err(),
        "time-of-day" => text.parse::<TimeOfDay>().err(),
        "time-zone" => text.parse::<Zone>().err(),
        "schedule" => text.parse::<Schedule>().err(),
        _ => None,
    }
}

fn is_size(schema: &Value) -> bool {
    schema.get("description").and_then(Value::as_str).is_some_and(|d| d.starts_with("A number of bytes"))
}

fn kinds(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_kind(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.as_i64().is_some() || value.as_u64().is_some(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn in_words(kind: &str) -> &'static str {
    match kind {
        "string" => "a text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "nothing",
    }
}
