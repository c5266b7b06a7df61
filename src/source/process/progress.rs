//! How far a program is, as it is kept: its own states, word by word, and when each stream was last read whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Protocol, Reach, State};
use crate::model::{Span, Timestamp};

/// How long before the last whole run what is made once for an object counts as new: what the vendor shows late.
const GRACE: Span = Span::from_days(2);

/// How far a program is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last state of each stream; under no name, that of all of them.
    states: BTreeMap<String, String>,
    /// True when that of all of them is in Airbyte's global form.
    is_global: bool,
    /// When the last run began that read a stream whole.
    whole: BTreeMap<String, Timestamp>,
}

impl Progress {
    /// A state takes the place of what it speaks of. True when it says something new.
    pub fn take(&mut self, state: &State) -> bool {
        let before = match &state.of {
            Reach::Stream(name) => {
                // Two forms side by side would be two answers to one question.
                self.states.remove("");
                self.states.insert(name.to_string(), state.text.clone())
            }
            Reach::Whole | Reach::Global => {
                let before = self.states.get("").cloned();
                self.states = BTreeMap::from([(String::new(), state.text.clone())]);
                self.is_global = state.of == Reach::Global;
                before
            }
        };
        before.as_deref() != Some(state.text.as_str())
    }

    /// What is given back to the program; none before its first state.
    pub fn file(&self, protocol: Protocol) -> Option<String> {
        let whole = self.states.get("");
        match (protocol, whole) {
            (_, Some(whole)) if !self.is_global => Some(whole.clone()),
            (Protocol::Singer, _) => None,
            (Protocol::Airbyte, _) if self.states.is_empty() => None,
            (Protocol::Airbyte, _) => {
                Some(format!("[{}]", self.states.values().map(String::as_str).collect::<Vec<_>>().join(",")))
            }
        }
    }

    /// A run that began at `at` read this stream whole.
    pub fn is_whole(&mut self, stream: &str, at: Timestamp) {
        self.whole.insert(stream.to_owned(), at);
    }

    /// Everything of the stream that changed before this is read.
    pub fn whole(&self, stream: &str) -> Option<Timestamp> {
        self.whole.get(stream).copied()
    }

    /// Before this, what is made once for an object was made then.
    pub fn fresh(&self, stream: &str) -> Option<Timestamp> {
        self.whole(stream).map(|at| at - GRACE)
    }
}
