//! Triggers made ready: which of them an event concerns, and for which keys.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{Account, Entry, Mistake, Origin, Person, Span, Timestamp, TriggerId};

use super::answer::Answer;
use super::engagement::Levels;
use super::names::{Definition, Kind, Names};
use super::path::Path;
use super::session;
use super::settings::Settings;
use super::trigger::{Reach, Trigger, TriggerKind};
use super::view::View;
use super::written::Reading;

/// All triggers, indexed by what they read. A thousand triggers that do not read an event cost it nothing.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// In the order in which they fire at one instant: priority (high first), then name.
    triggers: Vec<Trigger>,
    by_id: HashMap<TriggerId, usize>,
    by_event: HashMap<Arc<str>, Vec<(usize, Reach)>>,
    by_trait: HashMap<Arc<str>, Vec<usize>>,
    /// Those that can become true of a key that no event they read speaks of.
    on_nothing: Vec<usize>,
    /// Those that cannot, but have a condition that time alone turns: they are asked of a new key as well, since the
    /// instant of that is one that was asked.
    on_time: Vec<usize>,
    /// Those whose truth a new session can change; with whether that is so of keys which nothing in it speaks of.
    by_session: Vec<(usize, bool)>,
    /// In the order of declaration.
    cohorts: Vec<Arc<Definition>>,
    settings: Settings,
    levels: Arc<Levels>,
    keep: Span,
    /// Of each trigger that came from a file, by its name: the file's name and its text, as it was read.
    files: HashMap<Arc<str>, (Box<str>, Arc<str>)>,
}

/// The files of a program, each with its name and text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'f> {
    /// A trigger each.
    pub triggers: &'f [(String, String)],
    /// A segment each.
    pub segments: &'f [(String, String)],
    /// The configuration, for the cohorts in it. Where it has none there are the usual two.
    pub configuration: Option<(&'f str, &'f str)>,
}

/// One question: this trigger, for this key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Index in [`Program::triggers`]: the order of firing.
    pub trigger: usize,
    /// The key; empty without `per`.
    pub key: Box<str>,
}

impl Program {
    /// From trigger files alone: (file name, text). Every mistake in every file at once.
    ///
    /// With `accounts`, a trigger may only name these, and ask of each what it can do.
    pub fn compile(
        triggers: &[(String, String)],
        settings: &Settings,
        accounts: Option<&[Account]>,
    ) -> Result<Self, Vec<Mistake>> {
        Self::compile_all(&Files { triggers, ..Files::default() }, settings, accounts)
    }

    /// From all files that have a part in it.
    pub fn compile_all(
        files: &Files<'_>,
        settings: &Settings,
        accounts: Option<&[Account]>,
    ) -> Result<Self, Vec<Mistake>> {
        let levels = Arc::new(Levels::new(&settings.engagement));
        let names = Names::new(files.configuration, files.segments).with_levels(levels);
        let mut mistakes = Vec::new();
        let mut triggers: Vec<Trigger> = Vec::new();
        let mut texts = HashMap::new();
        let segments = files.segments.iter().map(|file| (file, TriggerKind::Segment));
        for ((file, text), kind) in segments.chain(files.triggers.iter().map(|file| (file, TriggerKind::Plain))) {
            let mut reading = Reading::new(file, text, &names);
            let read = match kind {
                TriggerKind::Plain => Trigger::read(&mut reading, accounts),
                TriggerKind::Segment => Trigger::read_segment(&mut reading, names.segment(file).as_deref(), accounts),
            };
            mistakes.extend(reading.into_mistakes());
            let Some(trigger) = read else { continue };
            if triggers.iter().any(|other| other.name == trigger.name) {
                let (name, what) = match trigger.segment_name() {
                    Some(name) => (name, "segment"),
                    None => (&*trigger.name, "trigger"),
                };
                mistakes.push(Mistake::nowhere(file, "name", format!("`{name}` is the name of another {what} too")));
            }
            texts.insert(trigger.name.clone(), (Box::from(file.as_str()), Arc::from(text.as_str())));
            triggers.push(trigger);
        }
        let cohorts = names.cohorts();
        mistakes.extend(names.into_mistakes());
        mistakes.sort();
        mistakes.dedup();
        if mistakes.is_empty() {
            Ok(Self { cohorts, files: texts, ..Self::of(triggers, settings.clone()) })
        } else {
            Err(mistakes)
        }
    }

    /// Of triggers that were read before; it has no cohorts of its own.
    pub fn of(mut triggers: Vec<Trigger>, settings: Settings) -> Self {
        triggers.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        let reach = triggers.iter().map(Trigger::reach).max().unwrap_or(Span::ZERO);
        let levels = Arc::new(Levels::new(&settings.engagement));
        let mut program = Self { keep: reach.max(settings.keep), levels, settings, ..Self::default() };
        for (n, trigger) in triggers.iter().enumerate() {
            program.by_id.insert(trigger.id, n);
            for (event, reach) in trigger.events() {
                program.by_event.entry(event.into()).or_default().push((n, reach));
            }
            for name in trigger.traits() {
                program.by_trait.entry(name.into()).or_default().push(n);
            }
            if trigger.condition.on_nothing().0 {
                program.on_nothing.push(n);
            } else if trigger.per.is_some() && trigger.turns_on_nothing() {
                program.on_time.push(n);
            }
            if trigger.reads_sessions() {
                program.by_session.push((n, trigger.condition.holds_outside_session()));
            }
        }
        program.triggers = triggers;
        program
    }

    /// The file that a trigger was read from: its name, and its text as it was then. None of one that has none.
    pub fn file(&self, trigger: &str) -> Option<(&str, &str)> {
        self.files.get(trigger).map(|(name, text)| (&**name, &**text))
    }

    /// What all triggers mean, in order of their ids.
    pub fn meanings(&self) -> Vec<(TriggerId, u32)> {
        let mut all: Vec<_> = self.triggers.iter().map(|trigger| (trigger.id, trigger.meaning)).collect();
        all.sort_unstable();
        all
    }

    /// Only those triggers that are among `meanings`: what was asked when a program of these was in force.
    pub fn restricted(&self, meanings: &[(TriggerId, u32)]) -> Self {
        let known: HashSet<_> = meanings.iter().collect();
        let triggers = self.triggers.iter().filter(|trigger| known.contains(&(trigger.id, trigger.meaning)));
        Self::of(triggers.cloned().collect(), self.settings.clone())
    }

    /// The same with this trigger in the place of the one with its id.
    #[must_use]
    pub fn with(&self, trigger: Trigger) -> Self {
        let others = self.triggers.iter().filter(|other| other.id != trigger.id).cloned();
        let triggers = others.chain([trigger.clone()]).collect();
        Self { cohorts: self.cohorts.clone(), ..Self::of(triggers, self.settings.clone()) }
    }

    /// Reads one trigger, which may ask for this program's cohorts and segments. Every mistake at once.
    pub fn read_trigger(&self, file: &str, text: &str) -> Result<Trigger, Vec<Mistake>> {
        let segments = self.triggers.iter().filter_map(|trigger| {
            let (name, condition) = (trigger.segment_name()?.into(), trigger.condition.clone());
            Some(Arc::new(Definition {
                kind: Kind::Segment,
                name,
                condition,
                held: trigger.held,
                leaf_names: Vec::new(),
            }))
        });
        let names = Names::known(self.cohorts.iter().cloned().chain(segments)).with_levels(self.levels.clone());
        let mut reading = Reading::new(file, text, &names);
        let read = Trigger::read(&mut reading, None);
        let mistakes = reading.into_mistakes();
        read.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }

    /// In the order in which they fire at one instant.
    pub fn triggers(&self) -> &[Trigger] {
        &self.triggers
    }

    /// The trigger of this id and its place.
    pub fn by_id(&self, id: TriggerId) -> Option<(usize, &Trigger)> {
        let n = *self.by_id.get(&id)?;
        Some((n, self.triggers.get(n)?))
    }

    /// What triggers take for granted.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The one called so.
    pub fn named(&self, name: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| *trigger.name == *name)
    }

    /// The pools of codes that payloads take from, each with its highest mark at which it is low.
    pub fn pools(&self) -> BTreeMap<&str, u64> {
        let mut pools = BTreeMap::new();
        for (name, low) in self.triggers.iter().filter_map(|trigger| trigger.payload.as_ref()?.pool()) {
            let mark = pools.entry(name).or_insert(low);
            *mark = low.max(*mark);
        }
        pools
    }

    /// True when a payload asks what was ordered.
    pub fn asks_for_sales(&self) -> bool {
        self.triggers.iter().any(|trigger| trigger.payload.as_ref().is_some_and(|payload| payload.asks_for_sales()))
    }

    /// The names of the cohorts, in the order of declaration.
    pub fn cohorts(&self) -> impl Iterator<Item = &str> {
        self.cohorts.iter().map(|cohort| &*cohort.name)
    }

    /// The place among [`Program::cohorts`] of the first that is true for the person at T.
    pub fn cohort_of(&self, person: &Person, now: Timestamp) -> Option<usize> {
        let view = View { person, key: None, now, session_gap: self.settings.session_gap };
        self.cohorts.iter().position(|cohort| cohort.answer(&view).is_true)
    }

    /// What follows from what the person did with e-mail: the traits that are computed, as far as there are any.
    pub fn computed_traits(&self, person: &Person, now: Timestamp) -> serde_json::Map<String, serde_json::Value> {
        self.levels.traits(&View { person, key: None, now, session_gap: self.settings.session_gap })
    }

    /// Events before this are folded into counts at `now`.
    pub fn keep_from(&self, now: Timestamp) -> Timestamp {
        now - self.keep
    }

    /// The trigger's condition for one key of a person at T, without `for`.
    pub fn answer(&self, trigger: &Trigger, person: &Person, key: &str, now: Timestamp) -> Answer {
        trigger.condition.answer(&self.view(trigger, person, key, now))
    }

    /// Whether, with what is known now, the edge at `at` is one: true then, and with `for` without a break before it.
    /// A segment's exit is one when it is false then.
    pub fn is_borne_out(&self, trigger: &Trigger, person: &Person, key: &str, at: Timestamp) -> bool {
        if trigger.is_exit(key) {
            return !self.answer(trigger, person, key, at).is_true;
        }
        let mut asked = trigger.held.map_or(at, |held| at - held);
        loop {
            let answer = self.answer(trigger, person, key, asked);
            if !answer.is_true {
                return false;
            }
            let entries = person.history.entries();
            let event = entries.get(entries.partition_point(|e| e.at <= asked)).map(|e| e.at);
            match event.into_iter().chain(answer.next).min() {
                Some(next) if next > asked && next <= at => asked = next,
                _ => return true,
            }
        }
    }

    /// A person as the trigger sees them for one key at T.
    pub(super) fn view<'a>(&self, trigger: &'a Trigger, person: &'a Person, key: &'a str, now: Timestamp) -> View<'a> {
        View { person, key: trigger.per.as_ref().map(|per| (per, key)), now, session_gap: self.settings.session_gap }
    }

    /// True when the trigger at this place can be true of a key that no event it reads speaks of.
    pub fn holds_on_nothing(&self, place: usize) -> bool {
        self.on_nothing.binary_search(&place).is_ok()
    }

    /// What has to be asked after `entry` was put into the person's history, in the order of firing.
    pub fn concerned_by(&self, person: &Person, entry: &Entry) -> BTreeSet<Asked> {
        let mut asked = BTreeSet::new();
        let mut carried_ever = Carried::by_all(person);
        for &(n, reach) in self.by_event.get(&entry.name).into_iter().flatten() {
            let Some(trigger) = self.triggers.get(n) else { continue };
            let Some(per) = &trigger.per else {
                asked.insert(Asked { trigger: n, key: "".into() });
                continue;
            };
            let carried = keys(per, entry);
            if if carried.is_empty() { reach.keyless } else { reach.keyed } {
                asked.extend(Self::all_keys(n, trigger, person, &mut carried_ever));
            }
            asked.extend(carried.into_iter().map(|key| Asked { trigger: n, key }));
        }
        for &n in self.on_nothing.iter().chain(&self.on_time) {
            let Some(trigger) = self.triggers.get(n) else { continue };
            let carried = match &trigger.per {
                None => vec!["".into()],
                Some(per) => keys(per, entry),
            };
            // A key exists from the first event that carries it, whatever its name.
            let new = carried.into_iter().filter(|key| !is_watched(person, trigger, key));
            asked.extend(new.map(|key| Asked { trigger: n, key }));
        }
        if !self.by_session.is_empty() && self.moves_session(person, entry) {
            let entries = session::latest(person.history.entries(), self.settings.session_gap);
            let mut carried_in_it = Carried { entries, found: Vec::new() };
            for &(n, holds_outside) in &self.by_session {
                let Some(trigger) = self.triggers.get(n) else { continue };
                // A key that is at rest was false, and stays so where nothing in the session speaks of it.
                let carried = if holds_outside { &mut carried_ever } else { &mut carried_in_it };
                asked.extend(Self::all_keys(n, trigger, person, carried));
            }
        }
        asked
    }

    /// What has to be asked after the person's traits of these names changed.
    pub fn concerned_by_traits(&self, person: &Person, names: &[Box<str>]) -> BTreeSet<Asked> {
        let mut carried = Carried::by_all(person);
        let read = names.iter().filter_map(|name| self.by_trait.get(&**name)).flatten();
        read.filter_map(|n| Some((*n, self.triggers.get(*n)?)))
            .flat_map(|(n, trigger)| Self::all_keys(n, trigger, person, &mut carried))
            .collect()
    }

    /// Everything there is to ask of a person: after a merge, and for triggers that are new.
    pub fn all(&self, person: &Person) -> BTreeSet<Asked> {
        let mut carried = Carried::by_all(person);
        let keys = |(n, trigger)| Self::all_keys(n, trigger, person, &mut carried);
        self.triggers.iter().enumerate().flat_map(keys).collect()
    }

    /// Every key of the trigger that is watched or carried.
    fn all_keys<'p>(n: usize, trigger: &'p Trigger, person: &Person, carried: &mut Carried<'p>) -> Vec<Asked> {
        let Some(per) = &trigger.per else { return vec![Asked { trigger: n, key: "".into() }] };
        let range = (trigger.id, Box::from(""))..;
        let watched = person.watches.range(range).map(|(key, _)| key).take_while(|(id, _)| *id == trigger.id);
        let mut keys: BTreeSet<&str> = watched.map(|(_, key)| &**key).collect();
        keys.extend(carried.by(per).iter().map(|key| &**key));
        keys.into_iter().map(Box::from).map(|key| Asked { trigger: n, key }).collect()
    }

    /// True when the event may have begun another session, or changed where one begins.
    fn moves_session(&self, person: &Person, entry: &Entry) -> bool {
        if entry.origin != Origin::Tracking {
            return false;
        }
        let entries = person.history.entries();
        let is_last = entries.last().is_some_and(|last| last.order() == entry.order());
        // A late event may join two runs into one.
        !is_last
            || session::latest_start(entries, self.settings.session_gap).is_some_and(|s| s.order() == entry.order())
    }
}

/// The keys that events carry: each path is looked for once, however many triggers split by it.
struct Carried<'p> {
    entries: &'p [Entry],
    found: Vec<(&'p Path, BTreeSet<Box<str>>)>,
}

impl<'p> Carried<'p> {
    /// By everything in the history.
    fn by_all(person: &'p Person) -> Self {
        Self { entries: person.history.entries(), found: Vec::new() }
    }

    fn by(&mut self, per: &'p Path) -> &BTreeSet<Box<str>> {
        let place = self.found.iter().position(|(known, _)| *known == per).unwrap_or_else(|| {
            let keys = self.entries.iter().flat_map(|entry| keys(per, entry)).collect();
            self.found.push((per, keys));
            self.found.len() - 1
        });
        &self.found[place].1
    }
}

/// The keys that one event carries.
fn keys(per: &Path, entry: &Entry) -> Vec<Box<str>> {
    if per.may_lead(entry.properties.get()) { per.keys(entry.fields()) } else { Vec::new() }
}

fn is_watched(person: &Person, trigger: &Trigger, key: &str) -> bool {
    person.watches.get(&(trigger.id, key.into())).is_some_and(|watch| watch.meaning == trigger.meaning)
}
