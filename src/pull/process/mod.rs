//! Runs a program that reads a vendor on our behalf, again and again: what it prints becomes events, and its state is
//! kept with the records before it, never without them.

mod again;
mod batch;
mod child;
mod folder;
mod lines;
mod once;
mod said;
mod seen;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::again::Wish;
pub use self::again::{Brought, Rerun};
use self::once::Ended;
use self::said::Said;
use self::seen::Seen;
use super::Watching;
use super::kept::REFUSED;
use super::state::{Doing, StreamState};
use crate::clock::SharedClock;
use crate::identity;
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};
use crate::source::process::{Blame, Failed, Fields, Program, Progress};
use crate::store::{Duties, Duty, Store, StoreError};
use crate::wire::backoff;

/// The first wait after a failure, and the longest.
const BACKOFF: (Span, Span) = (Span::from_secs(1), Span::from_minutes(15));
/// The same when only a person can mend it: a vendor locks out who comes too often with a wrong key.
const MENDED: (Span, Span) = (Span::from_minutes(15), Span::from_hours(6));
/// Failures in a row after which a person has to look.
const PATIENCE: u32 = 5;

/// A source that is a program.
pub struct Process {
    name: Arc<str>,
    program: Program,
    names: identity::Settings,
    store: Arc<dyn Store>,
    clock: SharedClock,
    /// Where its private folder is while it runs.
    folder: PathBuf,
    /// By the names of the mapping.
    states: BTreeMap<String, watch::Sender<StreamState>>,
    said: Arc<Said>,
    /// Runs that somebody asks for.
    wishes: (mpsc::Sender<Wish>, mpsc::Receiver<Wish>),
}

/// What is known from run to run.
struct Memory {
    /// By which it is run.
    duty: Duty,
    progress: Progress,
    seen: Seen,
    /// Its settings, as it has changed them where it did.
    settings: Secret,
    /// What it said that it has, and when.
    catalog: Option<(Timestamp, Value)>,
    schemas: BTreeMap<String, Fields>,
}

/// Settings that a program has changed, as they are kept.
#[derive(Serialize, Deserialize)]
struct Changed {
    /// The configured settings that they were made from, hashed: other ones take their place.
    of: String,
    settings: Value,
}

impl Process {
    /// The program of the source `name`; its private folder will lie in `root`.
    pub fn new(
        name: &str,
        program: Program,
        names: &identity::Settings,
        root: &Path,
        store: Arc<dyn Store>,
        clock: SharedClock,
    ) -> Self {
        let name: Arc<str> = name.into();
        let state = StreamState { read: clock.now(), ..StreamState::default() };
        let states = program.mapping.streams.keys().map(|name| (name.clone(), watch::Sender::new(state.clone())));
        // Short words, such as levels of a log, stand in many a line.
        let handed_on = program.environment.iter().filter(|(name, value)| !is_plain(name) && value.expose().len() >= 8);
        let secrets = program.secrets.iter().chain(handed_on.map(|(_, value)| value));
        let said = Arc::new(Said::new(&name, &secrets.cloned().collect::<Vec<_>>(), clock.clone()));
        let (folder, states) = (root.join(&*name), states.collect());
        Self { name, program, names: names.clone(), store, clock, folder, states, said, wishes: mpsc::channel(1) }
    }

    /// Its streams, to be looked at.
    pub fn watching(&self) -> Vec<Watching> {
        let watching = |(stream, state): (&String, &watch::Sender<StreamState>)| Watching {
            source: self.name.clone(),
            stream: stream.as_str().into(),
            every: self.program.every,
            state: state.subscribe(),
            audited: None,
        };
        self.states.iter().map(watching).collect()
    }

    /// To have it run once more.
    pub fn rerun(&self) -> Rerun {
        let states = self.states.values().map(watch::Sender::subscribe).collect();
        Rerun { source: self.name.clone(), wishes: self.wishes.0.clone(), states }
    }

    fn brought(&self) -> Brought {
        let states: Vec<StreamState> = self.states.values().map(|state| state.borrow().clone()).collect();
        Brought::so_far(states.iter())
    }

    fn cursor(&self, of: &str) -> String {
        format!("pull:{}:{of}", self.name)
    }

    /// Runs it until `stop`, while that is ours to do.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut duties = Duties::new(self.store.clone(), [format!("pull:{}", self.name)]);
        let states: Vec<watch::Sender<StreamState>> = self.states.values().cloned().collect();
        let elsewhere = || states.iter().for_each(|state| state.send_modify(StreamState::is_elsewhere));
        while let Some(on) = duties.next(&stop, elsewhere).await {
            self.work(on.duty(), on.stop()).await;
        }
    }

    async fn work(&mut self, duty: Duty, stop: &CancellationToken) {
        let Some(mut memory) = self.remember(&duty, stop).await else { return };
        for (stream, state) in &self.states {
            let whole = memory.progress.whole(stream);
            state.send_modify(|state| {
                state.free(Doing::Starting);
                state.read = whole.unwrap_or(state.read);
            });
        }
        let (mut tries, mut wish): (_, Option<Wish>) = (0, None);
        while !stop.is_cancelled() {
            let began = self.clock.now();
            let before = self.brought();
            let ended = self.once(&mut memory, stop).await;
            let result = match &ended {
                Ended::Whole => "whole",
                Ended::Failed(_) => "failed",
                Ended::Stopped => break,
            };
            metrics::counter!("espalier_process_runs_total", "source" => self.name.to_string(), "result" => result)
                .increment(1);
            if let Some(wish) = wish.take() {
                let failed = match &ended {
                    Ended::Failed(failed) => Some(self.said.clean(&failed.words)),
                    Ended::Whole | Ended::Stopped => None,
                };
                // Who asked may have gone.
                let _ = wish.send(self.brought().since(&before, failed));
            }
            let next = match ended {
                Ended::Failed(failed) => {
                    // One that worked for long is not one of a row.
                    tries = if self.clock.now().since(began) < BACKOFF.1 { tries + 1 } else { 1 };
                    memory.catalog = None;
                    self.failed(&failed, tries)
                }
                _ => {
                    tries = 0;
                    let every = self.program.every;
                    let jitter = Span::from_millis(fastrand::i64(0..=every.as_millis() / 10));
                    (began + every + jitter).max(self.clock.now())
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.clock.until(next) => {}
                // The sender is ours, too: there is always one.
                asked = self.wishes.1.recv() => wish = asked,
            }
        }
    }

    /// Says why a run failed, and when the next one is.
    fn failed(&self, failed: &Failed, tries: u32) -> Timestamp {
        let needs_a_person = failed.blame == Blame::Person || tries >= PATIENCE;
        let bounds = if failed.blame == Blame::Person { MENDED } else { BACKOFF };
        let now = self.clock.now();
        let until = now + backoff::wait(bounds, tries);
        let words = self.said.clean(&failed.words);
        if needs_a_person {
            tracing::error!(source = %self.name, reason = %words, tries, "a program is held until this is mended");
        } else {
            tracing::warn!(source = %self.name, reason = %words, tries, "a program failed, and is run again");
        }
        for state in self.states.values() {
            state.send_modify(|state| {
                // What a failed run has read whole rests.
                if state.doing != Doing::Resting {
                    state.hold(words.clone(), (now, until));
                    state.failures = tries;
                    (state.needs_a_person, state.last_error) = (needs_a_person, Some(words.clone()));
                }
            });
        }
        until
    }

    /// What is kept of earlier runs; none when it is given up for `stop`.
    async fn remember(&self, duty: &Duty, stop: &CancellationToken) -> Option<Memory> {
        loop {
            match self.kept(duty).await {
                Ok(memory) => return Some(memory),
                Err(refused) => {
                    tracing::error!(source = %self.name, reason = %refused, "the state of a program waits for the store");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = self.clock.until(self.clock.now() + REFUSED) => {}
            }
        }
    }

    async fn kept(&self, duty: &Duty) -> Result<Memory, StoreError> {
        let progress = self.store.cursor(&self.cursor("state")).await?;
        let schemas = self.store.kept(&self.cursor("schemas")).await?;
        let changed = self.store.kept(&self.cursor("settings")).await?;
        let changed = changed.and_then(|bytes| serde_json::from_slice::<Changed>(&bytes).ok());
        let changed = changed.filter(|changed| changed.of == self.fingerprint());
        let settings = match changed {
            Some(changed) => {
                self.hide_news(&changed.settings);
                Secret::new(changed.settings.to_string())
            }
            None => self.program.settings.clone(),
        };
        // Where daemons share a store, the next one has to know it, too.
        let seen = match duty.is_shared() {
            true => self.store.kept(&self.cursor("seen")).await?,
            false => std::fs::read(self.seen_path()).ok(),
        };
        let read = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Memory {
            duty: duty.clone(),
            progress: progress.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default(),
            seen: Seen::of(seen),
            settings,
            catalog: None,
            schemas: read(schemas).unwrap_or_default(),
        })
    }

    fn seen_path(&self) -> PathBuf {
        self.folder.with_extension("seen")
    }

    /// A run has read everything: what that was is kept.
    async fn keep_seen(&self, memory: &mut Memory) {
        let Some(bytes) = memory.seen.whole() else { return };
        let kept = match memory.duty.is_shared() {
            true => self.store.keep_for(&memory.duty, &self.cursor("seen"), &bytes).await.map_err(|e| e.to_string()),
            false => seen::write(&self.seen_path(), &bytes).map_err(|e| e.to_string()),
        };
        if let Err(refused) = kept {
            tracing::warn!(source = %self.name, reason = %refused, "what a program read could not be written down");
        }
    }

    /// By which the settings of the configuration are known again.
    fn fingerprint(&self) -> String {
        blake3::hash(self.program.settings.expose().as_bytes()).to_hex().to_string()
    }

    /// The program changed its settings: that is kept before anything else, for the old ones may be worth nothing now.
    async fn keep_settings(&self, settings: Value, memory: &mut Memory) {
        self.hide_news(&settings);
        let changed = Changed { of: self.fingerprint(), settings };
        let value = serde_json::to_vec(&changed).unwrap_or_default();
        memory.settings = Secret::new(changed.settings.to_string());
        // Not given up at the end, nor when it is another daemon's duty by now: another may not be had.
        while let Err(refused) = self.store.keep(&self.cursor("settings"), &value).await {
            tracing::error!(source = %self.name, reason = %refused, "the changed settings of a program wait for the store");
            self.clock.until(self.clock.now() + REFUSED).await;
        }
        tracing::info!(source = %self.name, "a program changed its settings; they are kept");
    }

    /// Every text in changed settings that the configuration does not have is a secret.
    fn hide_news(&self, settings: &Value) {
        let configured: Value = serde_json::from_str(self.program.settings.expose()).unwrap_or_default();
        let (mut known, mut new) = (Vec::new(), Vec::new());
        texts(&configured, &mut known);
        texts(settings, &mut new);
        self.said.hide(new.into_iter().filter(|text| !known.contains(text)).map(str::to_owned));
    }

    /// Tells when the records of a stream look otherwise than before.
    async fn look_at(&self, stream: &str, fields: Fields, memory: &mut Memory) {
        if fields.is_empty() || memory.schemas.get(stream) == Some(&fields) {
            return;
        }
        if let Some(news) = memory.schemas.get(stream).and_then(|before| crate::source::process::news(before, &fields))
        {
            tracing::warn!(source = %self.name, stream, "the records of a stream look otherwise than before: {news}");
            let source = self.name.to_string();
            metrics::counter!("espalier_process_schema_changes_total", "source" => source).increment(1);
        }
        memory.schemas.insert(stream.to_owned(), fields);
        let value = serde_json::to_vec(&memory.schemas).unwrap_or_default();
        if let Err(refused) = self.store.keep_for(&memory.duty, &self.cursor("schemas"), &value).await {
            tracing::warn!(source = %self.name, reason = %refused, "what records look like could not be kept");
        }
    }
}

/// Variables whose values stand in many a line, and are no secrets.
fn is_plain(variable: &str) -> bool {
    matches!(variable, "PATH" | "HOME" | "LANG" | "USER" | "TZ" | "TMPDIR") || variable.starts_with("LC_")
}

fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(entries) => entries.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}
