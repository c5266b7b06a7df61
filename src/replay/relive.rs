//! One person's stored history, lived again: each event at its own time, each timer at its own instant, decided by the
//! same code as in the daemon. Only this one person is in memory.
//!
//! What the store does not have cannot be seen: when an event arrived (nothing is late), former values of traits
//! (today's hold throughout), and who somebody was before a merge (they are one from the beginning).

use std::collections::VecDeque;

use crate::decide;
use crate::identity;
use crate::model::consent::Mark;
use crate::model::{
    Changes, Decision, Entry, Event, EventKind, History, Identifier, IdentifierKind, Loaded, Origin, Person, PersonId,
    Position, RawJson, Span, Timestamp, TriggerId,
};
use crate::rules::Program;

/// What came of it.
#[derive(Debug, Default)]
pub struct Lived {
    /// Every edge and what became of it, in order of time.
    pub decisions: Vec<Decision>,
    /// The triggers that were true for some key just before `since`.
    pub true_before: Vec<TriggerId>,
}

/// Lives the history again under `program`, until `end`.
///
/// A person of whom older events were cut is taken up just before the oldest event that is left: what is true of them
/// by then is noted without a fire, as for a trigger that is new.
pub fn relive(
    person: &Person,
    program: &Program,
    names: &identity::Settings,
    since: Timestamp,
    end: Timestamp,
) -> Lived {
    let entries = person.history.entries();
    let mut life = Life::new(person, program, names);
    let first = entries.first().map_or((end, Position(u64::MAX)), Entry::order);
    if !person.history.folded().is_empty() {
        life.take_up(person.first_seen, first.0 - Span::from_millis(1));
    } else if (person.first_seen, person.created) < first {
        // They were known before they did anything that is remembered, if only by a message of the same instant.
        life.event(person.created, life.met(person.first_seen));
    }
    let mut since = Some(since);
    for entry in entries.iter().take_while(|entry| entry.at <= end) {
        if let Some(begin) = since.take_if(|since| *since <= entry.at) {
            life.begin(begin);
        }
        life.hear(entry.at);
        life.timers(|at| at < entry.at);
        life.event(entry.position, life.did(entry));
    }
    if let Some(begin) = since.filter(|since| *since <= end) {
        life.begin(begin);
    }
    life.hear(end + Span::from_millis(1));
    life.timers(|at| at <= end);
    life.lived
}

struct Life<'p> {
    id: PersonId,
    /// Stands for all their names: whose an event is was found when it came.
    name: Identifier,
    loaded: Loaded,
    program: &'p Program,
    names: &'p identity::Settings,
    /// What was said of consent and is still to come, oldest first.
    marks: VecDeque<Mark>,
    lived: Lived,
}

impl<'p> Life<'p> {
    fn new(person: &Person, program: &'p Program, names: &'p identity::Settings) -> Self {
        let name = Identifier::new(IdentifierKind::UserId, person.id.to_string());
        let mut loaded = Loaded { is_simulated: true, is_mute: true, ..Loaded::default() };
        loaded.owners.insert(name.clone(), person.id);
        let begun = Person {
            identifiers: person.identifiers.clone(),
            traits: person.traits.clone(),
            history: History::from_parts(Vec::new(), person.history.folded().clone()),
            // Whatever comes first is earlier: then everything is asked, as of somebody new.
            ..Person::new(person.id, person.created, Timestamp::MAX)
        };
        loaded.people.insert(person.id, begun);
        let marks = person.consent.marks().iter().cloned().collect();
        Self { id: person.id, name, loaded, program, names, marks, lived: Lived::default() }
    }

    /// The first time they were seen.
    fn met(&self, at: Timestamp) -> Event {
        Event {
            kind: EventKind::Identify,
            name: "".into(),
            at,
            claimed_at: None,
            arrived: at,
            source: "history".into(),
            origin: Origin::System,
            // Repeats were dropped before it became history.
            dedupe: Vec::new(),
            identifiers: vec![self.name.clone()],
            session: None,
            properties: RawJson::empty(),
            traits: RawJson::empty(),
        }
    }

    fn did(&self, entry: &Entry) -> Event {
        Event {
            kind: EventKind::Did,
            name: entry.name.clone(),
            origin: entry.origin,
            session: entry.session.clone(),
            properties: entry.properties.clone(),
            ..self.met(entry.at)
        }
    }

    fn take_up(&mut self, first_seen: Timestamp, at: Timestamp) {
        if let Some(person) = self.loaded.people.get_mut(&self.id) {
            person.first_seen = first_seen;
        }
        let changes = decide::adopt(&mut self.loaded, &[self.id], at, self.program);
        self.take(changes);
    }

    fn event(&mut self, position: Position, event: Event) {
        let now = event.at;
        let changes = decide::events(&mut self.loaded, &[(position, event)], now, self.program, self.names);
        self.take(changes);
    }

    /// What was said of consent before `until`, each at its own time: not all of it was said by an event of the history.
    fn hear(&mut self, until: Timestamp) {
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.at < until) {
            self.timers(|at| at < mark.at);
            if let Some(person) = self.loaded.people.get_mut(&self.id) {
                person.consent.push(mark);
            }
        }
    }

    /// Every timer as far as `is_due`, each learned of at its instant: nothing has expired.
    fn timers(&mut self, is_due: impl Fn(Timestamp) -> bool) {
        while let Some(at) = self.person().and_then(Person::wake).filter(|at| is_due(*at)) {
            let now = self.person().map_or(at, |person| at.max(person.asked));
            let changes = decide::timers(&mut self.loaded, &[self.id], at, now, self.program);
            self.take(changes);
        }
    }

    fn begin(&mut self, since: Timestamp) {
        self.timers(|at| at < since);
        let Some(person) = self.person() else { return };
        let mut known: Vec<TriggerId> =
            person.watches.iter().filter(|(_, watch)| watch.is_true).map(|((id, _), _)| *id).collect();
        known.dedup();
        self.lived.true_before = known;
    }

    fn take(&mut self, changes: Changes) {
        self.lived.decisions.extend(changes.decisions);
        // What fires leaves at once, unless it waits for quiet hours to end, or for a night: only that can be called back.
        if let Some(person) = self.loaded.people.get_mut(&self.id) {
            let asked = person.asked;
            person.pending.retain(|pending| pending.not_before.is_some_and(|until| until > asked));
        }
    }

    fn person(&self) -> Option<&Person> {
        self.loaded.people.get(&self.id)
    }
}
