//! Triggers that are new, and the people who were there before them.

use crate::model::{PersonId, Timestamp};
use crate::rules::{Asked, Trigger};

use super::cancel::News;
use super::step::Step;

impl Step<'_> {
    /// Notes what new triggers make of a person. None fires for what lies before it, unless its file says from when on.
    pub(super) fn adopt(&mut self, id: PersonId) {
        let Some(person) = self.loaded.people.get(&id) else { return };
        let at = self.now.max(person.asked);
        let program = self.program;
        let mut is_touched = false;
        for asked in program.all(person) {
            let Some(trigger) = program.triggers().get(asked.trigger) else { continue };
            let watch = self.loaded.people.get(&id).and_then(|p| p.watches.get(&(trigger.id, asked.key.clone())));
            if watch.is_some_and(|watch| watch.meaning == trigger.meaning) {
                continue;
            }
            match trigger.from.filter(|from| *from < at) {
                Some(from) => self.live_again(id, trigger, &asked, from, at),
                None => {
                    self.note(id, program, trigger, &asked.key, at);
                    self.put_to_rest(id, trigger, &asked);
                }
            }
            is_touched = true;
        }
        if is_touched {
            self.touched(id, None);
        }
    }

    /// Asks as it would have been asked since `from`, once for each instant; what would have expired by now is left out,
    /// and what is void by now is called back.
    fn live_again(&mut self, id: PersonId, trigger: &Trigger, asked: &Asked, from: Timestamp, until: Timestamp) {
        let mut at = from.max(self.now - trigger.expires);
        self.note(id, self.program, trigger, &asked.key, at);
        while let Some(next) = self.next_instant(id, trigger, &asked.key, at).filter(|next| *next <= until) {
            at = next;
            self.ask(id, asked, at);
        }
        if at < until {
            // Its timer lies ahead: nothing is an edge until then.
            self.ask(id, asked, until);
        }
        self.cancel_what_is_void(id, &News::past(trigger.id, until));
    }

    /// When its truth may change after `at`: by an event or by time.
    fn next_instant(&self, id: PersonId, trigger: &Trigger, key: &str, at: Timestamp) -> Option<Timestamp> {
        let person = self.loaded.people.get(&id)?;
        let entries = person.history.entries();
        let event = entries.get(entries.partition_point(|entry| entry.at <= at)).map(|entry| entry.at);
        let timer =
            person.watches.get(&(trigger.id, key.into())).and_then(|watch| watch.next).filter(|next| *next > at);
        event.into_iter().chain(timer).min()
    }
}
