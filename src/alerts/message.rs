//! What one receiver is told at once, and its words for people.

use serde::Serialize;

use super::finding::Key;
use super::kind::Severity;
use super::settings::Settings;
use super::state::{Batch, Change, State};
use crate::model::Timestamp;

/// What is said of one alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Which.
    #[serde(flatten)]
    pub key: Key,
    /// How urgent it is.
    pub severity: Severity,
    /// What is wrong.
    pub words: String,
    /// What mends it.
    pub remedy: Option<String>,
    /// The figure, where it has one: a number, seconds, or bytes.
    pub value: Option<f64>,
    /// When it was found first.
    pub since: Timestamp,
    /// When it was over.
    pub over: Option<Timestamp>,
}

/// What one receiver is told at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// The same for the same content.
    pub id: String,
    /// When it is made.
    pub at: Timestamp,
    /// How this daemon is called.
    pub name: String,
    /// Where its page is.
    pub page: Option<String>,
    /// True when nothing is wrong, and somebody tries whether this comes through.
    pub is_test: bool,
    /// What begins to fire.
    pub firing: Vec<Line>,
    /// What fires on.
    pub still: Vec<Line>,
    /// What is over.
    pub resolved: Vec<Line>,
    /// How many lines one message shows.
    #[serde(skip)]
    pub shown: usize,
}

impl Message {
    /// Of a batch.
    pub fn of(state: &State, batch: &Batch, settings: &Settings, now: Timestamp) -> Self {
        let mut message = Self::empty(batch.id.clone(), settings, now);
        for item in &batch.items {
            let Some(alert) = state.alerts.iter().find(|alert| alert.key == item.key) else { continue };
            let line = Line {
                key: alert.key.clone(),
                severity: alert.severity,
                words: alert.words.clone(),
                remedy: alert.remedy.clone(),
                value: alert.value,
                since: alert.since,
                over: alert.over,
            };
            match item.change {
                Change::Fired => message.firing.push(line),
                Change::Still => message.still.push(line),
                Change::Over => message.resolved.push(line),
            }
        }
        message
    }

    /// That nothing is wrong, and this is a test.
    pub fn test(id: String, settings: &Settings, now: Timestamp) -> Self {
        Self { is_test: true, ..Self::empty(id, settings, now) }
    }

    fn empty(id: String, settings: &Settings, at: Timestamp) -> Self {
        let (name, page, shown) = (settings.name.clone(), settings.page.clone(), settings.lines.max(1));
        let (firing, still, resolved) = Default::default();
        Self { id, at, name, page, is_test: false, firing, still, resolved, shown }
    }

    /// In one line: `espalier: 2 firing, 1 resolved; lane esp: 3 dead letters`.
    pub fn subject(&self) -> String {
        if self.is_test {
            return format!("{}: a test, nothing is wrong", self.name);
        }
        let counts =
            [(self.firing.len(), "firing"), (self.still.len(), "still firing"), (self.resolved.len(), "resolved")];
        let counts = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let first = self.firing.iter().chain(&self.still).chain(&self.resolved).next();
        let first = first.map(|line| format!("; {}", line.sentence())).unwrap_or_default();
        format!("{}: {counts}{first}", self.name)
    }

    /// Every line that is shown, below its head; and how many more there are.
    pub fn sections(&self) -> (Vec<(&'static str, Vec<&Line>)>, usize) {
        let parts = [("Firing", &self.firing), ("Still firing", &self.still), ("Resolved", &self.resolved)];
        let mut room = self.shown;
        let mut sections = Vec::new();
        for (head, lines) in parts {
            let shown: Vec<&Line> = lines.iter().take(room).collect();
            room -= shown.len();
            if !shown.is_empty() {
                sections.push((head, shown));
            }
        }
        let all = self.firing.len() + self.still.len() + self.resolved.len();
        (sections, all - (self.shown - room))
    }

    /// The whole as plain text, for e-mail.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if self.is_test {
            text += &format!("This is a test of {}: nothing is wrong.\n", self.name);
        }
        let (sections, more) = self.sections();
        for (head, lines) in sections {
            text += &format!("{head}\n");
            for line in lines {
                text += &format!("- {}\n", line.told());
            }
            text.push('\n');
        }
        if more > 0 {
            text += &format!("and {more} more: `espalier alerts list`\n");
        }
        text + &self.page.as_ref().map(|page| format!("\n{page}\n")).unwrap_or_default()
    }
}

impl Line {
    /// What is wrong, as one sentence.
    pub fn sentence(&self) -> String {
        self.key.kind.sentence(&self.key.of, &self.words)
    }

    /// With how urgent it is, since when, and what mends it.
    pub fn told(&self) -> String {
        let when = match self.over {
            Some(over) => format!("from {} until {} UTC", self.since.minute(), over.minute()),
            None => format!("since {} UTC", self.since.minute()),
        };
        let remedy = self.remedy.as_ref().filter(|_| self.over.is_none());
        let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
        format!("{}: {} ({when}){remedy}", self.severity.word(), self.sentence())
    }
}
