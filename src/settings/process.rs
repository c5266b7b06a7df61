//! `[source.NAME]` with `kind = "singer"` or `"airbyte"`: its files read, and what can be known of it before it is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::layer::Layers;
use super::secret;
use crate::model::mistake::instead;
use crate::model::setting::Secret;
use crate::model::{Mistake, Span};
use crate::source::manifest::records::Mapping;
use crate::source::process::settings::Settings;
use crate::source::process::{Program, Protocol};

/// Ends of names of settings that are secrets.
const SECRETS: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "credential",
    "credentials",
];

/// The program of the source `name`, with its mapping and all that it is given.
///
/// # Errors
/// Everything that is wrong with it.
pub fn program(
    name: &str,
    (protocol, source): (Protocol, &Settings),
    folder: &Path,
    layers: &Layers,
) -> Result<Program, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let at = |key: &str, words: &str| layers.at(&["source", name, key], words);
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        let words = "must be letters, digits, `-` and `_`: a folder has its name";
        mistakes.push(layers.at(&["source", name], words));
    }
    let environment = environment(name, source, layers, &mut mistakes);
    let path = environment.iter().find(|(variable, _)| variable == "PATH").map(|(_, value)| value.expose());
    let mut command = source.command.clone();
    match command.first_mut() {
        None => mistakes.push(at("command", "must not be empty").suggest("the program: [\"tap-csv\"]")),
        Some(first) => match found(first, folder, path) {
            Some(whole) => *first = whole.display().to_string(),
            None => {
                let way = "install it, or say where it is; it is looked for in the PATH that `environment` hands on";
                mistakes.push(at("command", &format!("there is no program `{first}`")).suggest(way));
            }
        },
    }
    for key in ["every", "silence"] {
        let span = if key == "every" { source.every } else { source.silence };
        if span < Span::from_secs(1) {
            mistakes.push(at(key, "must be a second or longer"));
        }
    }
    let settings = ordered(Value::Object(source.settings.json().clone().into_iter().collect()));
    let mut looking = Looking { layers, secrets: Vec::new(), mistakes: Vec::new() };
    looking.look(&settings, &mut vec!["source".into(), name.into(), "settings".into()]);
    let secrets = looking.secrets;
    mistakes.extend(looking.mistakes);

    let file = folder.join(&source.mapping);
    let shown = file.display().to_string();
    let mapping = match std::fs::read_to_string(&file) {
        Err(e) => {
            mistakes.push(at("mapping", &format!("{shown} cannot be read: {e}")).suggest("docs/processes.md has one"));
            None
        }
        Ok(text) => Mapping::read(&shown, &text).map_err(|more| mistakes.extend(more)).ok(),
    };
    let catalog = source.catalog.as_ref().and_then(|catalog| {
        let file = folder.join(catalog);
        let read = std::fs::read_to_string(&file).map_err(|e| e.to_string());
        let read = read.and_then(|text| serde_json::from_str::<Value>(&text).map_err(|e| e.to_string()));
        let wrong = |words: String| at("catalog", &format!("{} cannot be read: {words}", file.display()));
        read.map_err(|words| mistakes.push(wrong(words))).ok()
    });
    if let (Some(catalog), Some(mapping)) = (&catalog, &mapping) {
        let selected = protocol.select(catalog, mapping);
        let known: Vec<&str> = selected.known.iter().map(String::as_str).collect();
        for missing in &selected.missing {
            let words = format!("has no stream `{missing}`, which the mapping speaks of");
            mistakes.push(at("catalog", &words).suggest(instead(missing, &known, "it has")));
        }
    }
    match mapping {
        Some(mapping) if mistakes.is_empty() => Ok(Program {
            protocol,
            command,
            arguments: source.arguments.clone(),
            settings: Secret::new(settings.to_string()),
            secrets,
            catalog,
            mapping,
            environment,
            every: source.every,
            silence: source.silence,
        }),
        _ => Err(mistakes),
    }
}

/// The variables that are handed on, with their values.
fn environment(name: &str, source: &Settings, layers: &Layers, mistakes: &mut Vec<Mistake>) -> Vec<(String, Secret)> {
    let mut environment = Vec::new();
    for (n, variable) in source.environment.iter().enumerate() {
        match secret::variable(variable) {
            Some(value) => environment.push((variable.clone(), Secret::new(value))),
            None => {
                let words = format!("the environment variable {variable} is not set");
                mistakes.push(layers.at(&["source", name, "environment", &n.to_string()], words));
            }
        }
    }
    environment
}

/// With keys in order: layers leave them in any, and settings are known again by their text.
fn ordered(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let ordered: BTreeMap<String, Value> =
                entries.into_iter().map(|(key, inner)| (key, ordered(inner))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(ordered).collect(),
        plain => plain,
    }
}

/// Where a program is: a path as seen from the configuration, or a name that is looked for.
fn found(program: &str, folder: &Path, path: Option<&str>) -> Option<PathBuf> {
    if program.contains('/') {
        let whole = std::path::absolute(folder.join(program)).ok()?;
        return whole.is_file().then_some(whole);
    }
    let folders = std::env::split_paths(path.unwrap_or("/usr/bin:/bin")).collect::<Vec<_>>();
    let whole = folders.into_iter().map(|folder| folder.join(program)).find(|whole| whole.is_file())?;
    std::path::absolute(whole).ok()
}

/// Looks through settings for secrets.
struct Looking<'l> {
    layers: &'l Layers,
    secrets: Vec<Secret>,
    mistakes: Vec<Mistake>,
}

impl Looking<'_> {
    fn look(&mut self, value: &Value, path: &mut Vec<String>) {
        match value {
            Value::Object(entries) => {
                for (key, inner) in entries {
                    path.push(key.clone());
                    self.look(inner, path);
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (n, inner) in items.iter().enumerate() {
                    path.push(n.to_string());
                    self.look(inner, path);
                    path.pop();
                }
            }
            Value::String(text) => {
                let written = self.layers.written(path);
                let key = path.iter().rev().find(|part| part.parse::<usize>().is_err());
                let key = key.map(|key| key.to_ascii_lowercase()).unwrap_or_default();
                let is_named = SECRETS.iter().any(|end| key.ends_with(end));
                let is_bare = written.as_ref().is_some_and(|written| !secret::is_reference(written));
                if is_named && is_bare && !text.is_empty() {
                    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
                    let words = "is a secret and must not stand in a file: write a reference to it";
                    self.mistakes.push(self.layers.at(&parts, words).suggest("\"${env:NAME}\" or \"${file:/path}\""));
                }
                // What does not stand in the file came from a reference, or from the environment itself.
                if is_named || !is_bare {
                    self.secrets.push(Secret::new(text.clone()));
                }
            }
            _ => {}
        }
    }
}
