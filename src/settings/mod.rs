//! The sum of the rooms' settings: defaults, file, a folder of triggers, `ESPALIER__A__B` in the environment.
//!
//! Later ones win. Secrets stand in files only as references. Every mistake is told at once, with its file, line, key
//! and a way out.

pub mod connector;
mod diagnose;
mod layer;
mod passed_on;
mod process;
mod secret;
mod stamp;
mod webhook;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::intake::settings::SourceSettings;
use crate::model::mistake::instead;
use crate::model::{Account, LaneName, Mistake, Span};
use crate::rules::{Files, Program};
use crate::source::manifest::Connected;
use crate::source::process::{Program as SourceProgram, Protocol};
use crate::{alerts, delivery, destination, engine, identity, intake, ops, plan, reconcile, rules, store};

pub use layer::Layers;
pub use secret::resolve;
pub use stamp::Stamp;

/// `espalier.toml`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder of trigger files, as seen from this file.
    pub triggers: PathBuf,
    /// The folder of segment files; none has to be there.
    pub segments: PathBuf,
    /// Conditions with a name, for thresholds that differ: docs/triggers.md has their grammar. Without any there are `new`
    /// and `returning`.
    pub cohorts: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    /// A folder of connectors that stand beside, or in place of, those that ship.
    pub connectors: Option<PathBuf>,
    /// Logs.
    pub log: Log,
    /// What is kept, and where.
    pub store: store::settings::Settings,
    /// Where messages come in.
    pub intake: intake::settings::Settings,
    /// Where health and the page are.
    pub ops: ops::settings::Settings,
    /// How decisions are batched.
    pub engine: engine::Settings,
    /// What counts as a name.
    pub identity: identity::Settings,
    /// What triggers take for granted.
    pub rules: rules::Settings,
    /// What may hold an activation back.
    pub gates: rules::gate::Settings,
    /// Where the levels of engagement with e-mail lie.
    pub engagement: rules::Engagement,
    /// When accounts are compared with what triggers need.
    pub plan: plan::Settings,
    /// How lanes send.
    pub delivery: delivery::settings::Settings,
    /// When everything is compared, and what was missing is made up for.
    pub nightly: reconcile::Settings,
    /// What is an alert, who is told, and when.
    pub alerts: alerts::Settings,
    /// Where events come from, by a name of yours.
    pub source: BTreeMap<String, SourceSettings>,
    /// Where activations go, by the name that triggers use.
    pub destination: BTreeMap<String, destination::Settings>,
}

/// What is written to standard error.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// A level, or a list of `module=level` as `RUST_LOG` takes it.
    pub level: String,
    /// Where traces go: the address of a collector that takes OTLP over HTTP, `http://127.0.0.1:4318`. For builds with
    /// the feature `otel`.
    pub otlp: Option<String>,
    /// This share of all traces is told, each as a whole.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub otlp_share: f64,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into(), otlp: None, otlp_share: 1.0 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            triggers: "triggers".into(),
            segments: "segments".into(),
            cohorts: BTreeMap::new(),
            connectors: None,
            log: Log::default(),
            store: Default::default(),
            intake: Default::default(),
            ops: Default::default(),
            engine: Default::default(),
            identity: Default::default(),
            rules: Default::default(),
            gates: Default::default(),
            engagement: Default::default(),
            plan: Default::default(),
            delivery: Default::default(),
            nightly: Default::default(),
            alerts: Default::default(),
            source: BTreeMap::new(),
            destination: BTreeMap::new(),
        }
    }
}

/// A configuration that was read whole, with its triggers compiled.
pub struct Configured {
    /// What was written.
    pub settings: Settings,
    /// The triggers.
    pub program: Program,
    /// The connectors of its sources, by the name of the source.
    pub connected: BTreeMap<String, Connected>,
    /// The programs of its sources, by the name of the source.
    pub programs: BTreeMap<String, SourceProgram>,
    /// The file itself.
    pub file: PathBuf,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// The files of the program, as they lay before they were read.
    pub stamp: Stamp,
}

impl Settings {
    /// Reads the file, the environment and the triggers. Every mistake in all of them at once.
    pub fn load(file: &Path) -> Result<Configured, Vec<Mistake>> {
        Self::read(file, None)
    }

    /// The same for a daemon that runs: triggers may name only what is a destination now and in the file too.
    pub fn load_again(file: &Path, running: &[LaneName]) -> Result<Configured, Vec<Mistake>> {
        Self::read(file, Some(running))
    }

    /// Where this file has the store, whatever else is wrong in it: the way to the daemon.
    pub fn store_path(file: &Path) -> Result<PathBuf, Vec<Mistake>> {
        let (settings, _) = Layers::read(file)?.settings();
        Ok(folder_of(file).join(settings.store.path))
    }

    fn read(file: &Path, running: Option<&[LaneName]>) -> Result<Configured, Vec<Mistake>> {
        let folder = folder_of(file);
        let layers = Layers::read(file)?;
        let (mut settings, mut mistakes) = layers.settings();
        settings.rules.engagement = settings.engagement.clone();
        let nights = settings.destination.keys();
        let nights = nights.map(|name| (name.as_str().into(), settings.nightly.of_lane(name).clone()));
        settings.rules.nights = rules::Nights::new(settings.nightly.zone.clone(), nights);
        let mut accounts: Vec<Account> =
            layers.names("destination").iter().map(|name| settings.account(name)).collect();
        accounts.retain(|account| running.is_none_or(|running| running.contains(&account.lane)));
        let places = vec![file.to_owned(), folder.join(&settings.triggers), folder.join(&settings.segments)];
        let stamp = Stamp::of(places);
        mistakes.extend(settings.cross_check(&layers));
        let mut connected = BTreeMap::new();
        let connectors = settings.connectors.as_ref().map(|connectors| folder.join(connectors));
        let mut programs = BTreeMap::new();
        for (name, source) in &settings.source {
            let program = match source {
                SourceSettings::Connector(source) => {
                    match connector::connect(name, source, connectors.as_deref(), &layers) {
                        Ok(one) => drop(connected.insert(name.clone(), one)),
                        Err(more) => mistakes.extend(more),
                    }
                    continue;
                }
                SourceSettings::Singer(source) => (Protocol::Singer, &**source),
                SourceSettings::Airbyte(source) => (Protocol::Airbyte, &**source),
                SourceSettings::Tracking(_) | SourceSettings::Endpoint(_) | SourceSettings::File(_) => continue,
            };
            match process::program(name, program, &folder, &layers) {
                Ok(one) => drop(programs.insert(name.clone(), one)),
                Err(more) => mistakes.extend(more),
            }
        }
        for (name, destination) in &mut settings.destination {
            if let destination::Settings::Webhook(webhook) = destination {
                mistakes.extend(webhook::resolve(name, webhook, connectors.as_deref(), &layers));
            }
        }
        let mut files = |key, folder: &Path| match toml_files(folder, key) {
            Ok(files) => Some(files),
            Err(mistake) => {
                mistakes.push(*mistake);
                None
            }
        };
        let triggers = files("triggers", &folder.join(&settings.triggers));
        let segments = folder.join(&settings.segments);
        let has_segments = segments.exists() || settings.segments != Settings::default().segments;
        let segments = if has_segments { files("segments", &segments) } else { Some(Vec::new()) };
        settings.rules.gates = settings.gates.clone();
        settings.rules.passed_on = passed_on::of(&settings.destination, &connected, running);
        let program = triggers.zip(segments).and_then(|(triggers, segments)| {
            let files = Files { triggers: &triggers, segments: &segments, configuration: Some(layers.text()) };
            Program::compile_all(&files, &settings.rules, Some(&accounts)).map_err(|more| mistakes.extend(more)).ok()
        });
        match program {
            Some(program) if mistakes.is_empty() => {
                settings.store.path = folder.join(&settings.store.path);
                if let Some(tls) = &mut settings.ops.tls {
                    (tls.certificate, tls.key) = (folder.join(&tls.certificate), folder.join(&tls.key));
                }
                if let Some(backup) = &mut settings.store.backup {
                    backup.path = folder.join(&backup.path);
                }
                Ok(Configured { settings, program, connected, programs, file: file.to_owned(), folder, stamp })
            }
            _ => {
                mistakes.sort();
                mistakes.dedup();
                Err(mistakes)
            }
        }
    }

    /// A destination as triggers may ask things of it. What is written wrong is not held against them.
    fn account(&self, name: &str) -> Account {
        match self.destination.get(name) {
            Some(destination) => Account {
                lane: name.into(),
                can: destination.can(),
                has_numbers: destination.has_numbers(),
                night_every: self.rules.nights.apart(name),
            },
            None => Account::any(name.into()),
        }
    }

    /// What no single key can know: paths that clash, an open ops page.
    fn cross_check(&self, layers: &Layers) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (key, words, way) in self.store.clashes() {
            mistakes.push(layers.at(&["store", key], words).suggest(way));
        }
        for (key, words, way) in self.ops.clashes() {
            mistakes.push(layers.at(&["ops", key], words).suggest(way));
        }
        for (key, length) in [("window", self.engagement.window), ("inactive", self.engagement.inactive)] {
            if length == Span::ZERO || length > rules::LONGEST {
                let words = "must be longer than nothing, and at most ten years";
                mistakes.push(layers.at(&["engagement", key], words).suggest("14d, 90d"));
            }
        }
        if let Some(variable) = secret::begins_with(&layers.variable(&["cohorts", ""])) {
            let words = "cohorts are declared in the file: their order counts";
            mistakes.push(Mistake::nowhere(&format!("${variable}"), "cohorts", words));
        }
        if self.gates.quiet_hours.as_ref().is_some_and(|hours| hours.from == hours.until) {
            mistakes.push(layers.at(&["gates", "quiet_hours", "until"], rules::gate::SAME));
        }
        let reach = rules::gate::Cap::REACH;
        for (n, cap) in self.gates.cap.0.iter().enumerate() {
            if cap.within < reach.0 || cap.within > reach.1 {
                let place = n.to_string();
                let key = match self.gates.cap.0.len() {
                    1 if layers.is_table(&["gates", "cap"]) => vec!["gates", "cap", "within"],
                    _ => vec!["gates", "cap", &place, "within"],
                };
                mistakes.push(layers.at(&key, format!("must lie between {} and {}", reach.0, reach.1)));
            }
        }
        let sources: Vec<&str> = self.source.keys().map(String::as_str).collect();
        let lanes: Vec<&str> = self.destination.keys().map(String::as_str).collect();
        let of_sources = self.nightly.source.keys().map(|name| ("source", name, &sources));
        let of_lanes = self.nightly.destination.keys().map(|name| ("destination", name, &lanes));
        for (kind, name, known) in of_sources.chain(of_lanes) {
            if !known.contains(&&**name) {
                let mistake = layers.at(&["nightly", kind, name], format!("is no {kind} of this configuration"));
                mistakes.push(mistake.suggest(instead(name, known, "configured")));
            }
        }
        for (name, destination) in &self.destination {
            for (key, words) in destination.clashes() {
                let path: Vec<&str> = ["destination", name].into_iter().chain(key.iter().map(String::as_str)).collect();
                mistakes.push(layers.at(&path, words));
            }
        }
        if let Some(address) = &self.log.otlp {
            if !cfg!(feature = "otel") {
                let mistake = layers.at(&["log", "otlp"], "needs a build with the feature `otel`");
                mistakes.push(mistake.suggest("cargo build --release --features otel"));
            } else if !(address.starts_with("http://") || address.starts_with("https://")) {
                mistakes.push(layers.at(&["log", "otlp"], "must begin with http:// or https://"));
            }
        }
        for (key, words) in self.alerts.clashes() {
            let path: Vec<&str> = ["alerts"].into_iter().chain(key.iter().map(String::as_str)).collect();
            mistakes.push(layers.at(&path, words));
        }
        let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, source) in &self.source {
            if let SourceSettings::Endpoint(endpoint) = source {
                if let Err(wrong) = crate::source::endpoint::Endpoint::new((**endpoint).clone()) {
                    mistakes.extend(wrong.into_iter().map(|words| layers.at(&["source", name], words)));
                }
                if let Some(other) = paths.insert(&endpoint.path, name) {
                    mistakes.push(layers.at(&["source", name, "path"], format!("is the path of `{other}` too")));
                }
            }
        }
        let writes: Vec<(&String, &str)> = self
            .source
            .iter()
            .filter_map(|(name, source)| match source {
                SourceSettings::Tracking(tracking) => Some((name, tracking.write_key.expose())),
                _ => None,
            })
            .collect();
        for (n, (name, key)) in writes.iter().enumerate() {
            if writes[..n].iter().any(|(_, other)| other == key) {
                mistakes.push(layers.at(&["source", name, "write_key"], "is the key of another source too"));
            }
        }
        mistakes
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Every `*.toml` of the folder that `key` names, in order of name.
pub fn toml_files(folder: &Path, key: &str) -> Result<Vec<(String, String)>, Box<Mistake>> {
    let shown = folder.display().to_string();
    let unreadable = |e: std::io::Error| {
        Mistake::nowhere(&shown, key, format!("cannot be read: {e}"))
            .suggest(format!("make the folder, or set `{key}`"))
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| stamp::is_toml(path))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).map_err(unreadable)?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

/// The JSON Schema of the configuration, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Settings).to_value()
}
