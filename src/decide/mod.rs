//! The pure heart: `decide(people, events, now, program) -> Changes`.
//!
//! It reads as the way of one event: drop repeats, find whose it is, run that person's timers up to its instant,
//! remember it, ask the triggers that read it, see the edges, pass the gates, say it. No I/O, no clock, no randomness,
//! no panic on any input; the same journal gives the same changes, however it is cut into batches.

mod adopt;
mod ask;
mod cancel;
mod consent;
mod demand;
mod fire;
mod link;
mod passed_on;
mod step;
mod trigger_state;
mod unlink;

use std::collections::BTreeSet;

use crate::identity;
use crate::model::{
    Changes, Entry, Event, EventKind, Identifier, Loaded, Person, PersonId, Position, Span, Timestamp, Trait,
};
use crate::rules::Program;

use cancel::News;
use step::Step;

pub use trigger_state::{order, release};

/// The most traits kept of one person.
const MOST_TRAITS: usize = 200;
/// History is cut when it is over its bound by this share or this time, so that not each event rewrites a person.
const SLACK: (usize, Span) = (8, Span::from_days(1));

/// Decides a batch of events, in journal order. `loaded` is complete for their identifiers and message keys.
pub fn events(
    loaded: &mut Loaded,
    events: &[(Position, Event)],
    now: Timestamp,
    program: &Program,
    names: &identity::Settings,
) -> Changes {
    let mut step = Step::new(loaded, program, now);
    for (position, event) in events {
        step.changes.position = Some(*position);
        if step.is_repeat(event) {
            continue;
        }
        step.one(*position, event, names);
    }
    step.finish()
}

/// Asks people whose timer is due, up to and including `until`.
pub fn timers(
    loaded: &mut Loaded,
    people: &[PersonId],
    until: Timestamp,
    now: Timestamp,
    program: &Program,
) -> Changes {
    let mut step = Step::new(loaded, program, now);
    for id in people {
        step.run_timers(*id, Until::Including(until));
    }
    step.finish()
}

/// Asks people for triggers that they were never asked for: truth is noted without a fire, since the edge lies before
/// the trigger's birth, and timers are set. A trigger added later finds its past this way.
pub fn adopt(loaded: &mut Loaded, people: &[PersonId], now: Timestamp, program: &Program) -> Changes {
    let mut step = Step::new(loaded, program, now);
    for id in people {
        step.adopt(*id);
    }
    step.finish()
}

/// How far timers are run: events come before timers at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Before(Timestamp),
    Including(Timestamp),
}

impl Step<'_> {
    /// One event that is not a repetition.
    fn one(&mut self, position: Position, event: &Event, names: &identity::Settings) {
        match event.kind {
            EventKind::Erase => return self.erase(position, event),
            EventKind::Access => return self.access(position, event),
            EventKind::Unlink => return self.unlink(position, event),
            EventKind::Did | EventKind::Identify | EventKind::Alias => {}
        }
        let plan = identity::resolve(self.loaded, event, position, names);
        let is_merge = !plan.absorbed.is_empty();
        let mut moment = event.at;
        if is_merge {
            // An edge needs that the condition was false for both just before: all are brought to the same instant.
            let asked = |id: &PersonId| self.loaded.people.get(id).map(|person| person.asked);
            moment = plan.person.iter().chain(&plan.absorbed).filter_map(asked).fold(moment, Timestamp::max);
        }
        for id in plan.person.iter().chain(&plan.absorbed) {
            self.run_timers(*id, Until::Before(moment));
        }
        let stood = self.stood(plan.person.iter().chain(&plan.absorbed));
        let Some((id, is_new)) = self.link(plan, position, event) else { return };
        let Some(person) = self.loaded.people.get_mut(&id) else { return };

        let seen_earlier = event.at < person.first_seen;
        person.first_seen = person.first_seen.min(event.at);
        let changed = set_traits(person, event);
        let says_consent = consent::note(person, event, position);
        // An event before the latest instant asked changes truth from now on, not in the past.
        let at = event.at.max(person.asked);
        person.asked = at;

        let mut asked = BTreeSet::new();
        if event.kind == EventKind::Did {
            let entry = Entry::new(
                event.at,
                position,
                event.name.clone(),
                event.origin,
                event.session.clone(),
                event.properties.clone(),
            )
            .by(event.strongest().map_or(0, Identifier::tag));
            let place = person.history.push(entry);
            self.changes.did += 1;
            if let Some(entry) = person.history.entries().get(place) {
                asked = self.program.concerned_by(person, entry);
            }
        }
        if !changed.is_empty() {
            asked.extend(self.program.concerned_by_traits(person, &changed));
        }
        if is_merge || seen_earlier || is_new {
            asked = self.program.all(person).into_iter().chain(asked).collect();
        }
        let cut = cut_history(person, at, self.program);
        if is_new || is_merge || cut {
            self.touched_whole(id);
        } else {
            self.touched(id, (event.kind == EventKind::Did).then_some(position));
        }
        for asked in asked {
            self.ask(id, &asked, at);
        }
        self.cancel_what_is_void(id, &News::of(event, position, at, is_merge));
        self.pass_on_consent(id, &stood, (position, event), at);
        if says_consent || is_merge {
            self.call_back_what_is_forbidden(id, at);
        }
    }
}

/// The newest value by event time wins, name by name. Returns the names whose value is another now.
fn set_traits(person: &mut Person, event: &Event) -> Vec<Box<str>> {
    let mut changed = Vec::new();
    if event.traits.is_empty() {
        return changed;
    }
    let serde_json::Value::Object(traits) = event.traits.to_value() else { return changed };
    for (name, value) in traits {
        let newer = person.traits.get(name.as_str()).is_none_or(|old| old.at <= event.at);
        let fits = person.traits.len() < MOST_TRAITS || person.traits.contains_key(name.as_str());
        if newer && fits {
            if person.trait_value(&name) != Some(&value) {
                changed.push(name.as_str().into());
            }
            person.traits.insert(name.into(), Trait { at: event.at, value });
        }
    }
    changed
}

fn cut_history(person: &mut Person, at: Timestamp, program: &Program) -> bool {
    let most = program.settings().history;
    let from = program.keep_from(at);
    let entries = person.history.entries();
    let is_long = entries.len() > most + most / SLACK.0;
    let is_old = entries.first().is_some_and(|e| e.at < from - SLACK.1);
    (is_long || is_old) && person.history.cut(from, most) > 0
}

#[cfg(test)]
mod tests;
