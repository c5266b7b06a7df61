//! The imports of a batch: which of its leads they are for, what their answers mean, and what becomes of those that nobody
//! waits for any more.

use std::collections::BTreeMap;

use super::{AT_WORK, Call, PATIENCE, Sending};
use crate::destination::Halt;
use crate::destination::marketo::answer::{self, Verdict};
use crate::destination::marketo::import::{self, Import};
use crate::model::http::Answer;
use crate::model::{Outcome, Timestamp};

impl Sending {
    /// Imports, for each list and what is known of leads, where there are enough who need no number; gives back the others.
    pub(super) fn import(&mut self, people: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
        let bulk_from = self.settings.bulk_from;
        if bulk_from == 0 || people.len() < bulk_from {
            return people;
        }
        let mut files: BTreeMap<import::Kind, Vec<Vec<usize>>> = BTreeMap::new();
        let mut others = Vec::new();
        for places in people {
            let records: Vec<_> = places.iter().filter_map(|n| self.activation(*n)).collect();
            match import::kind(&self.settings, &records) {
                Some(kind) => files.entry(kind).or_default().push(places),
                None => others.push(places),
            }
        }
        for (kind, people) in files {
            if people.len() >= bulk_from && self.held.may_import() {
                self.todo.push_back(Call::Import(Box::new(Import::new(kind, people))));
            } else {
                others.extend(people);
            }
        }
        others
    }

    /// An import goes on, or is through.
    pub(super) fn imported(&mut self, import: Import, status: u16, answer: &Answer, now: Timestamp) -> Option<Halt> {
        let verdict = answer::verdict(answer, now);
        let step = match (answer, verdict) {
            (Answer::Came(response), verdict) if import.is_file(response) || matches!(verdict, Verdict::Records(_)) => {
                let (batch, key) = (&self.batch, &self.settings.found_by);
                import.read(response, now, |place| Some(key.same(key.of(&batch.get(place)?.activation)?)))
            }
            (_, Verdict::Refused(code, words)) => {
                self.import_refused(import, status, &code, &words);
                return None;
            }
            // What the vendor works on is asked for again; it may not be made a second time meanwhile.
            (_, Verdict::Down { .. }) if !import.is_new() => import.again(now, now),
            (_, Verdict::Halt(Halt::Quota { until, .. })) if !import.is_new() && until <= now + PATIENCE => {
                import.again(until, now)
            }
            (_, Verdict::Down { words, is_unclear }) => {
                let not_before = if is_unclear { now + AT_WORK } else { now };
                let later = Outcome::Later {
                    not_before,
                    words: words.as_str().into(),
                    is_throttled: false,
                    may_have_left: false,
                };
                self.outcomes.set(&import.places(), status, &later);
                return Some(Halt::Down(words));
            }
            // An instance, or a role, without imports has calls.
            (_, Verdict::Halt(Halt::Configuration(_))) if import.is_new() => import::Step::Nothing(import),
            (_, Verdict::Halt(halt)) => {
                self.waiting.push((now, import));
                return Some(halt);
            }
            (_, Verdict::Records(_)) => import::Step::Lost(import, "the answer tells nothing of the import"),
        };
        self.step(step, status, now);
        None
    }

    pub(super) fn import_refused(&mut self, import: Import, status: u16, code: &str, words: &str) {
        let now = self.now;
        let step = match code {
            _ if !import.is_new() => import::Step::Lost(import, "the import is not known any more"),
            // Ten are queued, or the list is at work in another import.
            "1016" | "1019" | "1029" => import.wait_for_queue(now),
            "413" | "too_large" if import.people.len() > 1 => {
                for half in import.halves() {
                    self.todo.push_front(Call::Import(Box::new(half)));
                }
                return;
            }
            // A list that is not there is one trigger's matter.
            "1013" if import.list.is_some() => {
                return self.outcomes.refuse(&import.places(), status, code, words);
            }
            // What else is wrong with it, calls find out record by record.
            _ => import::Step::Nothing(import),
        };
        self.step(step, status, now);
    }

    fn step(&mut self, step: import::Step, status: u16, now: Timestamp) {
        match step {
            import::Step::Ask(import) => self.todo.push_front(Call::Import(Box::new(import))),
            import::Step::Wait(import, until) => self.waiting.push((until, import)),
            import::Step::Through(import, failed) => {
                self.outcomes.set(&import.places(), status, &Outcome::Accepted);
                self.fail(&import, status, &failed);
            }
            // Once more by calls, whoever it was: writing a lead twice is writing it once.
            import::Step::Unsure(import, failed) => {
                self.fail(&import, status, &failed);
                let is_known = |n: usize| failed.binary_search_by_key(&n, |(place, _)| *place).is_ok();
                let rest = import.people.into_iter().enumerate().filter(|(n, _)| !is_known(*n));
                let rest = rest.map(|(_, places)| places).collect();
                self.sync(rest);
            }
            import::Step::Nothing(import) => self.sync(import.people),
            import::Step::Lost(import, words) => {
                let not_before = now + AT_WORK;
                let later =
                    Outcome::Later { not_before, words: words.into(), is_throttled: false, may_have_left: false };
                self.outcomes.set(&import.places(), status, &later);
            }
        }
    }

    fn fail(&mut self, import: &Import, status: u16, failed: &[(usize, String)]) {
        for (place, words) in failed {
            let words = if words.is_empty() { "the import failed for this lead" } else { words };
            let places = import.people.get(*place).map_or(&[][..], Vec::as_slice);
            self.outcomes.refuse(places, status, "import_failed", words);
        }
    }

    /// Whoever stands in an import that is left to itself is not written before it can be through.
    pub(super) fn leave_imports(&mut self) {
        let asked = match self.asked.take() {
            Some(Call::Import(import)) => Some(*import),
            _ => None,
        };
        let not_before = self.now + AT_WORK;
        for import in self.waiting.drain(..).map(|(_, import)| import).chain(asked).collect::<Vec<_>>() {
            if import.is_new() {
                continue;
            }
            let words = "the vendor works on an import that nobody waits for any more".into();
            let later = Outcome::Later { not_before, words, is_throttled: true, may_have_left: false };
            self.outcomes.set(&import.places(), 0, &later);
        }
    }
}
