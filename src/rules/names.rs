//! Conditions with a name: cohorts and segments. Each is read when it is first asked for, so that the order of files
//! does not matter, and one that goes round to itself is one mistake.

use std::cell::RefCell;
use std::sync::Arc;

use crate::model::mistake::instead;
use crate::model::{Mistake, Span};

use super::answer::Answer;
use super::condition::Condition;
use super::engagement::Levels;
use super::view::View;
use super::written::{Reading, Table, Value};

/// How many may stand on each other.
const DEEPEST: usize = 16;
/// The two that are there where the configuration declares none.
const USUAL: (&str, &str) = (
    "usual cohorts",
    "[cohorts.new]\ndid = \"Order Completed\"\nat_most = 0\n[cohorts.returning]\ndid = \"Order Completed\"\n",
);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Declared in the configuration, for thresholds.
    Cohort,
    /// A file of its own, with members.
    Segment,
    /// Made of `[engagement]`; no file asks for it by name.
    Engagement,
}

/// A condition with a name. It is always asked of the person, whatever the key.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Which sort.
    pub kind: Kind,
    /// Unique among its kind.
    pub name: Box<str>,
    /// What it says.
    pub condition: Condition,
    /// A segment's `for`.
    pub held: Option<Span>,
    /// What `as` says of each leaf, for templates.
    pub leaf_names: Vec<Option<String>>,
}

impl Kind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cohort => "cohort",
            Self::Segment => "segment",
            Self::Engagement => "engagement",
        }
    }
}

impl Definition {
    /// Truth for the person at T, with what is known now.
    pub fn answer(&self, view: &View<'_>) -> Answer {
        let view = view.of_person();
        match self.held {
            None => self.condition.answer(&view),
            Some(held) => self.held_answer(held, &view),
        }
    }

    /// With `for`: goes from change to change since T less `for`, but not to before the person was known.
    fn held_answer(&self, held: Span, view: &View<'_>) -> Answer {
        let mut asked = (view.now - held).max(view.person.first_seen).min(view.now);
        let mut since = None;
        loop {
            let answer = self.condition.answer(&view.at(asked));
            since = if answer.is_true { since.or(Some(asked)) } else { None };
            let entries = view.entries();
            let event = entries.get(entries.partition_point(|e| e.at <= asked)).map(|e| e.at);
            match event.into_iter().chain(answer.next).min() {
                Some(next) if next > asked && next <= view.now => asked = next,
                _ if asked < view.now => asked = view.now,
                _ => return answer.held(held, since, view.now),
            }
        }
    }
}

/// Everything that has a name.
#[derive(Default)]
pub struct Names<'f> {
    /// Cohorts in the order of declaration, then segments.
    declared: Vec<Declared<'f>>,
    found: RefCell<Vec<State>>,
    under_way: RefCell<Vec<usize>>,
    mistakes: RefCell<Vec<Mistake>>,
    levels: Arc<Levels>,
}

struct Declared<'f> {
    kind: Kind,
    name: String,
    /// Empty where it was read before.
    file: &'f str,
    text: &'f str,
}

#[derive(Clone)]
enum State {
    Unread,
    UnderWay,
    /// `None`: it has a mistake, which is told.
    Read(Option<Arc<Definition>>),
}

impl<'f> Names<'f> {
    /// The cohorts of the configuration's text, or the usual ones where it has none, and the segments of these files.
    pub fn new(configuration: Option<(&'f str, &'f str)>, segments: &'f [(String, String)]) -> Self {
        let mut declared = Vec::new();
        let unnamed = Names::default();
        for (file, text) in configuration.into_iter().chain([USUAL]) {
            // What is not TOML at all is told where the settings are read.
            let mut reading = Reading::new(file, text, &unnamed);
            let Some(document) = reading.document() else { continue };
            let Some(cohorts) = Table::top(&document).get("cohorts").filter(Value::is_table) else { continue };
            let Some(table) = cohorts.table(&mut reading) else { continue };
            declared.extend(table.entries().map(|(name, _)| Declared { kind: Kind::Cohort, name, file, text }));
            break;
        }
        for (file, text) in segments {
            let mut reading = Reading::new(file, text, &unnamed);
            let Some(document) = reading.document() else { continue };
            if let Some(name) = Table::top(&document).get("name").and_then(|name| name.text(&mut reading)) {
                declared.push(Declared { kind: Kind::Segment, name, file, text });
            }
        }
        let found = RefCell::new(vec![State::Unread; declared.len()]);
        Self { declared, found, ..Self::default() }
    }

    /// With these levels of engagement.
    pub fn with_levels(self, levels: Arc<Levels>) -> Self {
        Self { levels, ..self }
    }

    /// Where the levels of engagement lie.
    pub fn levels(&self) -> Arc<Levels> {
        self.levels.clone()
    }

    /// What was read before: cohorts in the order of declaration, then segments.
    pub fn known(definitions: impl IntoIterator<Item = Arc<Definition>>) -> Self {
        let definitions: Vec<Arc<Definition>> = definitions.into_iter().collect();
        let declared =
            definitions.iter().map(|d| Declared { kind: d.kind, name: d.name.to_string(), file: "", text: "" });
        let declared = declared.collect();
        let found = definitions.into_iter().map(|definition| State::Read(Some(definition))).collect();
        Self { declared, found: RefCell::new(found), ..Self::default() }
    }

    /// The cohort called so, with its place in the order of declaration.
    pub fn cohort(
        &self,
        name: &str,
        value: &Value<'_, '_>,
        reading: &mut Reading<'_>,
    ) -> Option<(usize, Arc<Definition>)> {
        self.get(Kind::Cohort, name, value, reading)
    }

    /// What is called so. `value` is where it is asked for.
    pub fn get(
        &self,
        kind: Kind,
        name: &str,
        value: &Value<'_, '_>,
        reading: &mut Reading<'_>,
    ) -> Option<(usize, Arc<Definition>)> {
        let Some(place) = self.declared.iter().position(|d| d.kind == kind && d.name == name) else {
            let known: Vec<&str> = self.declared.iter().filter(|d| d.kind == kind).map(|d| &*d.name).collect();
            let way = match known.as_slice() {
                [] => format!("there is no {} yet", kind.word()),
                known => instead(name, known, "there are"),
            };
            let words = format!("`{name}` is not a {}", kind.word());
            reading.mistake(value.span(), value.path().to_owned(), words).suggestion = Some(way);
            return None;
        };
        let state = self.found.borrow().get(place).cloned()?;
        match state {
            State::Read(definition) => return Some((place, definition?)),
            State::UnderWay => {
                let words = format!("goes round in a circle: {}", self.circle(place));
                reading.mistake(value.span(), value.path().to_owned(), words);
                return None;
            }
            State::Unread if self.under_way.borrow().len() >= DEEPEST => {
                let words = format!("stands on more than {DEEPEST} others");
                reading.mistake(value.span(), value.path().to_owned(), words);
                return None;
            }
            State::Unread => {}
        }
        Some((place, self.read(place)?))
    }

    /// The cohorts that could be read, in the order of declaration.
    pub fn cohorts(&self) -> Vec<Arc<Definition>> {
        let places = (0..self.declared.len()).filter(|n| self.declared.get(*n).is_some_and(|d| d.kind == Kind::Cohort));
        places
            .filter_map(|place| {
                let state = self.found.borrow().get(place).cloned()?;
                match state {
                    State::Read(definition) => definition,
                    _ => self.read(place),
                }
            })
            .collect()
    }

    /// Reads them all; what is wrong in them.
    pub fn into_mistakes(self) -> Vec<Mistake> {
        for place in 0..self.declared.len() {
            if matches!(self.found.borrow().get(place), Some(State::Unread)) {
                self.read(place);
            }
        }
        self.mistakes.into_inner()
    }

    /// The segment of this file, if it could be read.
    pub fn segment(&self, file: &str) -> Option<Arc<Definition>> {
        let place = self.declared.iter().position(|d| d.kind == Kind::Segment && d.file == file)?;
        let state = self.found.borrow().get(place).cloned()?;
        match state {
            State::Read(definition) => definition,
            _ => self.read(place),
        }
    }

    fn read(&self, place: usize) -> Option<Arc<Definition>> {
        let declared = self.declared.get(place)?;
        self.note(place, State::UnderWay);
        self.under_way.borrow_mut().push(place);
        let mut reading = Reading::new(declared.file, declared.text, self);
        let read = declared.read(&mut reading);
        self.mistakes.borrow_mut().extend(reading.into_mistakes());
        self.under_way.borrow_mut().pop();
        let definition = read.map(Arc::new);
        self.note(place, State::Read(definition.clone()));
        definition
    }

    fn note(&self, place: usize, state: State) {
        if let Some(kept) = self.found.borrow_mut().get_mut(place) {
            *kept = state;
        }
    }

    /// `segment a asks cohort b asks segment a`
    fn circle(&self, place: usize) -> String {
        let under_way = self.under_way.borrow();
        let round = under_way.iter().skip_while(|other| **other != place).chain([&place]);
        let words = round.filter_map(|n| self.declared.get(*n)).map(|d| format!("{} `{}`", d.kind.word(), d.name));
        words.collect::<Vec<_>>().join(" asks ")
    }
}

impl Declared<'_> {
    fn read(&self, reading: &mut Reading<'_>) -> Option<Definition> {
        let document = reading.document()?;
        let mut top = Table::top(&document);
        let (written, held) = match self.kind {
            Kind::Cohort => {
                let cohorts = top.get("cohorts")?.table(reading)?;
                // What is no table is told with the settings.
                let mine = cohorts.entries().find(|(name, value)| *name == self.name && value.is_table());
                (mine.map(|(_, value)| value), None)
            }
            Kind::Engagement => (None, None),
            Kind::Segment => (top.get("when"), top.get("for").and_then(|v| v.length(reading))),
        };
        // Where a segment says no `when`, that is told with the rest of its file.
        let written = written?;
        let condition = Condition::read_whole(&written, reading)?;
        (!reading.has_mistakes()).then(|| Definition {
            kind: self.kind,
            name: self.name.as_str().into(),
            condition,
            held,
            leaf_names: reading.leaf_names().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::{Files, Program, Settings};

    /// Segments by name and `when`, and a configuration's cohorts.
    #[track_caller]
    fn check_names(segments: &[(&str, &str)], cohorts: &str, mistakes: &[&str]) {
        let segments: Vec<_> = segments
            .iter()
            .map(|(name, when)| (format!("{name}.toml"), format!("name = \"{name}\"\nwhen = {when}\n")))
            .collect();
        let files = Files { segments: &segments, configuration: Some(("e.toml", cohorts)), ..Files::default() };
        let told = Program::compile_all(&files, &Settings::default(), None).err().unwrap_or_default();
        assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), mistakes);
    }

    #[test]
    fn names_that_go_round_in_a_circle_are_one_mistake() {
        check_names(
            &[("a", "{ segment = \"a\" }")],
            "",
            &["a.toml:2:20: when.segment: goes round in a circle: segment `a` asks segment `a`"],
        );
        check_names(
            &[("a", "{ cohort = \"c\" }"), ("b", "{ segment = \"a\" }")],
            "[cohorts.c]\ndid = \"A\"\nat_least = { d = 2 }\n[cohorts.d]\nsegment = \"b\"\n",
            &["b.toml:2:20: when.segment: goes round in a circle: segment `a` asks cohort `c` asks cohort `d` asks \
           segment `b` asks segment `a`"],
        );
        check_names(&[("a", "{ segment = \"b\" }"), ("b", "{ cohort = \"new\" }")], "", &[]);
    }

    #[test]
    fn names_may_not_pile_up() {
        let names: Vec<String> = (10..30).map(|n| format!("s{n}")).collect();
        let whens: Vec<String> = (11..31).map(|n| format!("{{ segment = \"s{n}\" }}")).collect();
        let mut chain: Vec<(&str, &str)> = names.iter().zip(&whens).map(|(n, w)| (n.as_str(), w.as_str())).collect();
        chain.push(("s30", "{ did = \"A\" }"));
        check_names(&chain, "", &["s25.toml:2:20: when.segment: stands on more than 16 others"]);

        let twice = |name: &str| format!("{{ all = [{{ segment = \"{name}\" }}, {{ segment = \"{name}\" }}] }}");
        let doubled: Vec<String> = (11..31).map(|n| twice(&format!("s{n}"))).collect();
        let mut doubles: Vec<(&str, &str)> =
            names.iter().zip(&doubled).map(|(n, w)| (n.as_str(), w.as_str())).collect();
        doubles.push(("s30", "{ did = \"A\" }"));
        doubles.reverse();
        let too_many = "comes to more than 1000 conditions with those it asks for";
        check_names(&doubles, "", &[&format!("s21.toml:2:8: when: {too_many}")]);
    }
}
