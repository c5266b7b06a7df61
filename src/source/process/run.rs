//! What one run has said so far, and whether it was a whole one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Message, Name, Protocol, Reach, State, Status};

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Who can mend it.
    pub blame: Blame,
    /// In words.
    pub words: String,
}

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Nobody has to: it passes.
    Passing,
    /// The program is at fault; it may pass.
    Program,
    /// Only a person.
    Person,
}

impl Failed {
    /// That passes.
    pub fn passing(words: impl Into<String>) -> Self {
        Self { blame: Blame::Passing, words: words.into() }
    }

    /// For which the program is at fault.
    pub fn program(words: impl Into<String>) -> Self {
        Self { blame: Blame::Program, words: words.into() }
    }

    /// That only a person can mend.
    pub fn person(words: impl Into<String>) -> Self {
        Self { blame: Blame::Person, words: words.into() }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    protocol: Protocol,
    /// What it is to read.
    streams: Vec<Name>,
    complete: BTreeSet<Name>,
    /// Records of each stream since its last state.
    since: BTreeMap<Name, u64>,
    failed: Option<Failed>,
    /// Lines that were no message, since the last state.
    noise: u64,
}

/// What to do with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// As many records came as it says, or it does not say.
    Right,
    /// It says another number, though every line was read: the program cannot count.
    Other,
    /// Records are missing, and there were lines that could not be read.
    Lost,
}

impl Run {
    /// That is to read these streams.
    pub fn new(protocol: Protocol, streams: Vec<Name>) -> Self {
        let (complete, since) = (BTreeSet::new(), BTreeMap::new());
        Self { protocol, streams, complete, since, failed: None, noise: 0 }
    }

    /// Hears what it says.
    pub fn hear(&mut self, message: &Message) {
        match message {
            Message::Record(record) => *self.since.entry(record.stream.clone()).or_default() += 1,
            Message::Status(name, Status::Complete) => drop(self.complete.insert(name.clone())),
            Message::Status(name, Status::Incomplete) => drop(self.complete.remove(name)),
            // The first is the cause; what a person has to mend is told rather than anything else.
            Message::Failed(failed) => match &self.failed {
                Some(before) if before.blame == Blame::Person || failed.blame != Blame::Person => {}
                _ => self.failed = Some(failed.clone()),
            },
            Message::Noise => self.noise += 1,
            _ => {}
        }
    }

    /// Whether as many records came as a state says there were.
    pub fn count(&mut self, state: &State) -> Count {
        let noise = std::mem::take(&mut self.noise);
        let (Reach::Stream(name), Some(said)) = (&state.of, state.records) else { return Count::Right };
        let came = self.since.remove(name).unwrap_or_default();
        match came.cmp(&said) {
            std::cmp::Ordering::Equal => Count::Right,
            std::cmp::Ordering::Less if noise > 0 => Count::Lost,
            _ => Count::Other,
        }
    }

    /// The streams that it read whole, when it ended with this exit code; none for a signal.
    pub fn complete(&self, code: Option<i32>) -> Vec<Name> {
        let of = |name: &&Name| match self.protocol {
            Protocol::Singer => code == Some(0),
            Protocol::Airbyte => self.complete.contains(*name),
        };
        self.streams.iter().filter(of).cloned().collect()
    }

    /// How it ended, with this exit code; none for a signal.
    ///
    /// # Errors
    /// Why it is not whole.
    pub fn end(&self, code: Option<i32>) -> Result<(), Failed> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        match code {
            Some(0) => {}
            // Both protocols' programs read their arguments with argparse.
            Some(2) => return Err(Failed::person("it does not understand how it is called (exit code 2)")),
            Some(code) => return Err(Failed::program(format!("it ended with exit code {code}"))),
            None => return Err(Failed::passing("it was ended by a signal")),
        }
        let complete = self.complete(code);
        let left: Vec<String> =
            self.streams.iter().filter(|name| !complete.contains(name)).map(ToString::to_string).collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(Failed::program(format!("it ended without having read all of {}", left.join(", "))))
    }
}
