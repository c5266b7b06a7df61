//! What a program says for people: to our log, without the secrets that it was given, and not more than can be read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::SharedClock;
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};
use crate::source::process::Level;

/// Lines for the log within [`WINDOW`]; more are left out and counted.
const MOST: u32 = 100;
const WINDOW: Span = Span::from_minutes(1);
/// Lines remembered for when a run fails.
const LAST: usize = 50;
/// Characters of a line.
const LONGEST: usize = 1_000;
/// Secrets that are shorter would make other words unreadable, and hide nothing.
const SHORTEST: usize = 4;

/// What a program says for people.
pub struct Said {
    source: Arc<str>,
    clock: SharedClock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    secrets: Vec<String>,
    since: Timestamp,
    lines: u32,
    left_out: u64,
    /// The last lines, and whether they are in the log.
    last: VecDeque<(String, bool)>,
}

impl Said {
    /// By the program of this source, which was given these secrets.
    pub fn new(source: &Arc<str>, secrets: &[Secret], clock: SharedClock) -> Self {
        let said = Self { source: source.clone(), clock, inner: Mutex::default() };
        said.hide(secrets.iter().map(|secret| secret.expose().to_owned()));
        said
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are secrets too.
    pub fn hide(&self, secrets: impl Iterator<Item = String>) {
        let mut inner = self.inner();
        for secret in secrets {
            // A key of several lines is shown line by line, and in JSON with escapes.
            let escaped = serde_json::to_string(&secret).unwrap_or_default();
            let forms = secret.lines().map(str::trim).chain([escaped.trim_matches('"')]);
            let forms = forms.filter(|form| form.len() >= SHORTEST).map(str::to_owned).collect::<Vec<_>>();
            inner.secrets.extend(forms);
        }
        inner.secrets.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        inner.secrets.dedup();
    }

    /// The text without secrets, on one line, and not too long.
    pub fn clean(&self, text: &str) -> String {
        self.inner().clean(text)
    }

    /// A line for the log.
    pub fn line(&self, level: Level, text: &str) {
        let now = self.clock.now();
        let mut inner = self.inner();
        let text = inner.clean(text);
        if text.is_empty() {
            return;
        }
        if now.since(inner.since) >= WINDOW {
            if inner.left_out > 0 {
                tracing::info!(source = %self.source, lines = inner.left_out, "a program said more than is written here");
            }
            (inner.since, inner.lines, inner.left_out) = (now, 0, 0);
        }
        let is_written = level == Level::Debug || inner.lines < MOST;
        match level {
            _ if !is_written => inner.left_out += 1,
            Level::Debug => tracing::debug!(source = %self.source, "{text}"),
            Level::Info => tracing::info!(source = %self.source, "{text}"),
            Level::Warn => tracing::warn!(source = %self.source, "{text}"),
        }
        inner.lines += u32::from(is_written && level != Level::Debug);
        if level != Level::Debug {
            inner.last.push_back((text, is_written));
            if inner.last.len() > LAST {
                inner.last.pop_front();
            }
        }
    }

    /// A line that it wrote to its standard error.
    pub fn error_line(&self, text: &str) {
        let is_bad = ["ERROR", "CRITICAL", "FATAL", "Traceback"].iter().any(|word| text.contains(word));
        self.line(if is_bad { Level::Warn } else { Level::Info }, text);
    }

    /// A run begins.
    pub fn begin(&self) {
        self.inner().last.clear();
    }

    /// A run failed: its last lines are in the log, also those that were left out. The last one of all.
    pub fn failed(&self) -> Option<String> {
        let mut inner = self.inner();
        for (text, is_written) in &mut inner.last {
            if !std::mem::replace(is_written, true) {
                tracing::warn!(source = %self.source, "{text}");
            }
        }
        inner.last.back().map(|(text, _)| text.clone())
    }
}

impl Inner {
    fn clean(&self, text: &str) -> String {
        let mut text = text.trim().to_owned();
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "****");
            }
        }
        let plain = text.chars().map(|c| if c == '\n' { '\u{21b5}' } else { c });
        plain.filter(|c| !c.is_control()).take(LONGEST).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;

    fn said(secrets: &[&str]) -> Said {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        Said::new(&"crm".into(), &secrets, Arc::new(VirtualClock::new(Timestamp::from_millis(0))))
    }

    #[test]
    fn no_secret_is_said() {
        let said = said(&["hush-hush", "hush-hush-longer", "k", "-----BEGIN\nMIIE+x/\"y\n"]);
        for (text, wanted) in [
            ("key=hush-hush&k=1", "key=****&k=1"),
            ("hush-hush-longer", "****"),
            ("a MIIE+x/\"y b", "a **** b"),
            ("{\"key\": \"-----BEGIN\\nMIIE+x/\\\"y\\n\"}", "{\"key\": \"****\"}"),
            ("  two\nlines\u{1b}[0m ", "two\u{21b5}lines[0m"),
        ] {
            assert_eq!(said.clean(text), wanted);
        }
        said.hide(["rotated".to_owned()].into_iter());
        assert_eq!(said.clean("is rotated"), "is ****");
        assert_eq!(said.clean(&"ä".repeat(2_000)).chars().count(), LONGEST);
    }

    #[test]
    fn what_is_left_out_is_told_when_it_is_needed() {
        let said = said(&[]);
        for n in 0..300 {
            said.error_line(&n.to_string());
        }
        assert_eq!(said.inner().left_out, 200);
        assert_eq!(said.failed().as_deref(), Some("299"));
        assert_eq!(said.inner().last.len(), LAST);
        said.begin();
        assert_eq!(said.failed(), None);
    }
}
