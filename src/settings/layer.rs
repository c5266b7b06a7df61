//! Layers: the file, then the environment; and where in them a key was written.

use std::ops::Range;
use std::path::Path;

use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::{Settings, diagnose, secret};
use crate::model::Mistake;

/// Prefix of variables: `ESPALIER__INTAKE__LISTEN` is `intake.listen`.
const PREFIX: &str = "ESPALIER";

/// All layers, put together, with the text they came from.
pub struct Layers {
    file: String,
    text: String,
    /// What is set, by whichever layer won.
    value: Value,
    /// Mistakes in references to secrets.
    secrets: Vec<Mistake>,
}

impl Layers {
    /// Reads the file and the environment.
    pub fn read(path: &Path) -> Result<Self, Vec<Mistake>> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| {
            let way = "name the file with --config, or begin with config/espalier.toml of the project";
            vec![Mistake::nowhere(&file, "", format!("cannot be read: {e}")).suggest(way)]
        })?;
        if let Err(broken) = DeTable::parse(&text) {
            return Err(vec![Mistake::at(&file, &text, broken.span().unwrap_or(0..0), "", broken.message())]);
        }
        let environment = Environment::with_prefix(PREFIX).prefix_separator("__").separator("__").try_parsing(true);
        let built = Config::builder()
            .add_source(File::from_str(&text, FileFormat::Toml))
            .add_source(environment)
            .build()
            .and_then(Config::try_deserialize::<Value>);
        let value = built.map_err(|e| vec![Mistake::nowhere(&file, "", e.to_string())])?;
        let mut layers = Self { file, text, value, secrets: Vec::new() };
        layers.resolve();
        Ok(layers)
    }

    /// The settings as far as they can be read, and every mistake.
    pub fn settings(&self) -> (Settings, Vec<Mistake>) {
        let mut mistakes = self.secrets.clone();
        mistakes.extend(diagnose::mistakes(&super::schema(), &self.value, self));
        match serde_path_to_error::deserialize(&self.value) {
            Ok(settings) => (settings, mistakes),
            Err(error) => {
                if mistakes.is_empty() {
                    let path = error.path().to_string();
                    let parts: Vec<&str> = path.split('.').collect();
                    mistakes.push(self.at(&parts, error.inner().to_string()));
                }
                (self.readable(), mistakes)
            }
        }
    }

    /// What can be read beside the mistakes, section by section, and of sources and destinations one by one: so that
    /// what no single key can know is told together with them.
    fn readable(&self) -> Settings {
        let can_be_read = |part: &Value| Settings::deserialize(part).is_ok();
        let mut readable = Map::new();
        for (name, section) in self.value.as_object().into_iter().flatten() {
            let alone = |inner: Value| Value::Object(Map::from_iter([(name.clone(), inner)]));
            let kept = match section.as_object().filter(|_| matches!(name.as_str(), "source" | "destination")) {
                Some(entries) => {
                    let mut entries = entries.clone();
                    entries.retain(|name, entry| {
                        can_be_read(&alone(Value::Object(Map::from_iter([(name.clone(), entry.clone())]))))
                    });
                    Value::Object(entries)
                }
                None => section.clone(),
            };
            if can_be_read(&alone(kept.clone())) {
                readable.insert(name.clone(), kept);
            }
        }
        Settings::deserialize(&Value::Object(readable)).unwrap_or_default()
    }

    /// The file and its text.
    pub fn text(&self) -> (&str, &str) {
        (&self.file, &self.text)
    }

    /// The variable that would set this key.
    pub fn variable(&self, path: &[&str]) -> String {
        format!("{PREFIX}__{}", path.join("__").to_uppercase())
    }

    /// True when what is set at this path is one table.
    pub fn is_table(&self, path: &[&str]) -> bool {
        path.iter().try_fold(&self.value, |value, part| value.get(part)).is_some_and(Value::is_object)
    }

    /// The names of a table's entries, whatever is in them.
    pub fn names(&self, table: &str) -> Vec<String> {
        let entries = self.value.get(table).and_then(Value::as_object);
        entries.map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
    }

    /// A mistake at a key: in the environment where that sets it, else at its place in the file.
    pub fn at(&self, path: &[&str], words: impl Into<String>) -> Mistake {
        let key = path.join(".");
        let variable = self.variable(path);
        if secret::is_set(&variable) {
            return Mistake::nowhere(&format!("${variable}"), key, words);
        }
        match self.span(path) {
            Some(span) => Mistake::at(&self.file, &self.text, span, key, words),
            None => Mistake::nowhere(&self.file, key, words),
        }
    }

    /// The place of the key itself, or of the nearest table around it.
    fn span(&self, path: &[&str]) -> Option<Range<usize>> {
        let document = DeTable::parse(&self.text).ok()?;
        let mut table = Some(document.get_ref());
        let mut items: Option<&toml::de::DeArray<'_>> = None;
        let mut found = None;
        for part in path {
            if let Some(list) = items.take() {
                let Some(item) = part.parse::<usize>().ok().and_then(|n| list.get(n)) else { break };
                found = Some(item.span());
                table = item.get_ref().as_table();
                continue;
            }
            let Some((key, value)) = table.and_then(|t| t.iter().find(|(key, _)| key.get_ref() == part)) else { break };
            found = Some(key.span());
            table = None;
            match value.get_ref() {
                DeValue::Table(inner) => table = Some(inner),
                DeValue::Array(list) => items = Some(list),
                _ => {}
            }
        }
        found
    }

    /// Puts secrets in the place of their references.
    fn resolve(&mut self) {
        let mut value = std::mem::take(&mut self.value);
        let mut wrong = Vec::new();
        walk(&mut value, &mut Vec::new(), &mut |path, text| match secret::resolve(text) {
            None => None,
            Some(Ok(resolved)) => Some(resolved),
            Some(Err(words)) => {
                wrong.push((path.to_vec(), words));
                None
            }
        });
        self.value = value;
        for (path, words) in wrong {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            self.secrets.push(self.at(&parts, words));
        }
    }

    /// The text at `path` as the file has it, before secrets were resolved.
    pub fn written(&self, path: &[String]) -> Option<String> {
        let document: toml::Table = toml::from_str(&self.text).ok()?;
        let mut value = toml::Value::Table(document);
        for part in path {
            value = match &value {
                toml::Value::Array(list) => list.get(part.parse::<usize>().ok()?)?.clone(),
                other => other.get(part)?.clone(),
            };
        }
        value.as_str().map(str::to_owned)
    }
}

fn walk(value: &mut Value, path: &mut Vec<String>, see: &mut dyn FnMut(&[String], &str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = see(path, text) {
                *text = new;
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                path.push(n.to_string());
                walk(item, path, see);
                path.pop();
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                path.push(key.clone());
                walk(item, path, see);
                path.pop();
            }
        }
        _ => {}
    }
}
