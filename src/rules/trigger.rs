//! One trigger, as its file says it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Account, Entry, Priority, Span, Timestamp, TriggerId};

use super::condition::Condition;
use super::gate::Gating;
use super::leaf::Leaf;
use super::names::Definition;
use super::path::Path;
use super::payload::Payload;
use super::start::Start;
use super::timeline::Timeline;
use super::view::Keyless;
use super::written::{Reading, Table, Value};

/// How long what has left is looked after, unless the file says: and the longest that it may say.
const VOID_WITHIN: Span = Span::from_days(7);
const LONGEST_VOID: Span = Span::from_days(30);
/// Priority of a trigger that names none.
const USUAL_PRIORITY: u64 = 50;
/// Default `expires` where the shortest duration is under a day, and otherwise.
const EXPIRES: (Span, Span) = (Span::from_hours(4), Span::from_hours(48));

/// One trigger: when it fires, and what it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Unique; lower case, digits and dashes. A segment's begins with `segment:`.
    pub name: Arc<str>,
    /// Whether both edges count.
    pub kind: TriggerKind,
    /// Key in the store: a function of `name`.
    pub id: TriggerId,
    /// Hash of what decides when it fires: another meaning starts anew.
    pub meaning: u32,
    /// One line for people.
    pub title: String,
    /// As long as it needs.
    pub description: String,
    /// Splits a person's events by this property.
    pub per: Option<Path>,
    /// When.
    pub condition: Condition,
    /// `for`: it must have been true for so long without a break.
    pub held: Option<Span>,
    /// No second fire for one person within this.
    pub cooldown: Option<Span>,
    /// What has left and loses its reason within this is told to be void: where a destination is told so.
    pub void_within: Option<Span>,
    /// Never a second fire for one (person, key).
    pub once: bool,
    /// An edge learned of later than this is not sent.
    pub expires: Span,
    /// When it is new: it fires for edges since then that have not expired; without it, for none of before.
    pub from: Option<Timestamp>,
    /// Higher goes first.
    pub priority: Priority,
    /// What its file says of consent and other gates.
    pub gating: Gating,
    /// What it starts.
    pub activate: Vec<Start>,
    /// What the other edge starts: a segment's `on = "exit"`.
    pub activate_on_exit: Vec<Start>,
    /// `[payload]` and what goes with it: what the file adds to what every payload says.
    pub payload: Option<Arc<Payload>>,
    /// `[[test]]`: what must come of what somebody does.
    pub tests: Vec<Timeline>,
}

/// What an edge is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerKind {
    /// The rising edge fires.
    Plain,
    /// It has members: the rising edge is an entry, the falling one an exit, and both are recorded.
    Segment,
}

/// The key under which a segment's edges are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// `enter`
    Enter,
    /// `exit`
    Exit,
}

impl Passage {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Exit => "exit",
        }
    }
}

/// What every file begins with.
struct Head {
    name: Option<String>,
    title: String,
    description: String,
    expires: Option<Span>,
    priority: Option<u64>,
    gating: Gating,
}

impl Head {
    fn read(top: &mut Table<'_, '_>, example: &str, reading: &mut Reading<'_>) -> Self {
        let name = match top.get("name") {
            Some(value) => value.text(reading).filter(|name| Self::name_is_good(name, &value, reading)),
            None => {
                reading.mistake(0..0, "name".into(), "is missing").suggestion = Some(format!("name = \"{example}\""));
                None
            }
        };
        Self {
            name,
            title: top.get("title").and_then(|v| v.text(reading)).unwrap_or_default(),
            description: top.get("description").and_then(|v| v.text(reading)).unwrap_or_default(),
            expires: top.get("expires").and_then(|v| v.length(reading)),
            priority: top.get("priority").map_or(Some(USUAL_PRIORITY), |v| v.whole_number(reading, 0, 100)),
            gating: Gating::read(top, reading),
        }
    }

    fn name_is_good(name: &str, value: &Value<'_, '_>, reading: &mut Reading<'_>) -> bool {
        let good = name.len() <= 64 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !good {
            let words = "must be at most 64 lower-case letters, digits and dashes";
            reading.mistake(value.span(), value.path().to_owned(), words);
        }
        good
    }
}

/// Before a segment's name: no trigger can be called so.
const SEGMENT: &str = "segment:";

impl Trigger {
    /// Reads one file. `None` when it has a mistake; all of them are in `reading`.
    pub fn read(reading: &mut Reading<'_>, accounts: Option<&[Account]>) -> Option<Self> {
        let document = reading.document()?;
        let mut top = Table::top(&document);
        let head = Head::read(&mut top, "cart-abandoned", reading);
        let per = top.get("per").and_then(|v| v.text(reading)).map(|text| Path::new(&text));
        let held = top.get("for").and_then(|v| v.length(reading));
        let cooldown = top.get("cooldown").and_then(|v| v.length(reading));
        let once = top.get("once").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
        let from = top.get("from").and_then(|v| Self::read_from(&v, reading));
        let when = top.get("when");
        if when.is_none() {
            reading.mistake(0..0, "when".into(), "is missing: a trigger says when it fires").suggestion =
                Some("[[when.all]]\ndid = \"Form Submitted\"".into());
        }
        let condition = when.and_then(|value| Condition::read_whole(&value, reading));
        let activate = match top.get("activate") {
            Some(value) => {
                let usual = condition.as_ref().map(|condition| usual_expiry(condition, held));
                Start::read_all(&value, reading, (accounts, head.expires.or(usual)), false)
            }
            None => {
                reading.mistake(0..0, "activate".into(), "is missing: a trigger says what it starts").suggestion =
                    Some("[[activate]]\ndestination = \"klaviyo\"\nevent = \"Cart Abandoned\"".into());
                Vec::new()
            }
        };
        let void_within = Self::read_void_within(top.get("void_within"), &activate, reading);
        let names = reading.leaf_names().to_vec();
        let (payload, tests) = Self::read_rest(top, condition.as_ref(), &names, reading);
        if reading.has_mistakes() {
            return None;
        }
        let condition = condition?;
        Some(Self {
            meaning: meaning(&per, &condition, held),
            from,
            per,
            cooldown,
            void_within,
            once,
            activate: activate.into_iter().map(|(_, start)| start).collect(),
            payload,
            tests,
            ..Self::begun(head, "", &condition, held)?
        })
    }

    /// Reads a segment's file; its condition is read with the names.
    pub fn read_segment(
        reading: &mut Reading<'_>,
        definition: Option<&Definition>,
        accounts: Option<&[Account]>,
    ) -> Option<Self> {
        let document = reading.document()?;
        let mut top = Table::top(&document);
        let head = Head::read(&mut top, "repeat-customers", reading);
        top.get("for");
        if top.get("when").is_none() {
            reading.mistake(0..0, "when".into(), "is missing: a segment says who is in it").suggestion =
                Some("[[when.all]]\ndid = \"Order Completed\"\nat_least = 2".into());
        }
        let edges = match top.get("activate") {
            Some(value) => {
                let usual = definition.map(|definition| usual_expiry(&definition.condition, definition.held));
                Start::read_all(&value, reading, (accounts, head.expires.or(usual)), true)
            }
            None => Vec::new(),
        };
        let names = definition.map(|definition| &*definition.leaf_names).unwrap_or_default();
        let condition = definition.map(|definition| &definition.condition);
        let (payload, tests) = Self::read_rest(top, condition, names, reading);
        if reading.has_mistakes() {
            return None;
        }
        let definition = definition?;
        let (exit, enter): (Vec<_>, Vec<_>) = edges.into_iter().partition(|(on, ..)| *on == Some(Passage::Exit));
        let plain = |edges: Vec<(Option<Passage>, Start)>| edges.into_iter().map(|(_, start)| start).collect();
        Some(Self {
            kind: TriggerKind::Segment,
            activate: plain(enter),
            activate_on_exit: plain(exit),
            payload,
            tests,
            ..Self::begun(head, SEGMENT, &definition.condition, definition.held)?
        })
    }

    /// The payload and the tests, which stand last in both sorts of file.
    fn read_rest(
        mut top: Table<'_, '_>,
        condition: Option<&Condition>,
        names: &[Option<String>],
        reading: &mut Reading<'_>,
    ) -> (Option<Arc<Payload>>, Vec<Timeline>) {
        let payload = Payload::read(&mut top, condition, names, reading).map(Arc::new);
        let tests = top.get("test").map(|value| Timeline::read_all(&value, reading)).unwrap_or_default();
        top.finish(reading);
        (payload, tests)
    }

    /// One that starts nothing yet.
    fn begun(head: Head, prefix: &str, condition: &Condition, held: Option<Span>) -> Option<Self> {
        let name = format!("{prefix}{}", head.name?);
        Some(Self {
            id: TriggerId::of(&name),
            name: name.into(),
            kind: TriggerKind::Plain,
            meaning: meaning(&None, condition, held),
            title: head.title,
            description: head.description,
            per: None,
            expires: head.expires.unwrap_or_else(|| usual_expiry(condition, held)),
            from: None,
            condition: condition.clone(),
            held,
            cooldown: None,
            void_within: None,
            once: false,
            priority: u8::try_from(head.priority?).unwrap_or(u8::MAX),
            gating: head.gating,
            activate: Vec::new(),
            activate_on_exit: Vec::new(),
            payload: None,
            tests: Vec::new(),
        })
    }

    /// How long what has left is looked after, where a destination is to be told.
    fn read_void_within(
        value: Option<Value<'_, '_>>,
        activate: &[(Option<Passage>, Start)],
        reading: &mut Reading<'_>,
    ) -> Option<Span> {
        let is_told = activate.iter().any(|(_, start)| start.void.is_some());
        let Some(value) = value else { return is_told.then_some(VOID_WITHIN) };
        let within = value.length(reading)?;
        if !is_told {
            reading
                .mistake(value.span(), value.path().to_owned(), "is for nothing: no [[activate]] says `void`")
                .suggestion = Some("void = \"Cart Recovered\" beside `event`".into());
        } else if within > LONGEST_VOID {
            let words = format!("must be at most {LONGEST_VOID}: what became of activations is known for so long");
            reading.mistake(value.span(), value.path().to_owned(), words);
        }
        Some(within)
    }

    /// An instant, or a day in UTC.
    fn read_from(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Timestamp> {
        let text = value.text(reading)?;
        let at = Timestamp::parse(&text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")));
        if at.is_none() {
            reading
                .mistake(value.span(), value.path().to_owned(), format!("`{text}` is neither a day nor an instant"))
                .suggestion = Some("\"2026-11-01\", \"2026-11-01T09:00:00Z\"".into());
        }
        at
    }

    /// When it is true, in plain words: a line for each condition.
    pub fn words(&self) -> Vec<String> {
        self.condition.leaves().iter().map(|leaf| leaf.words()).collect()
    }

    /// The segment's own name, without what tells it from triggers.
    pub fn segment_name(&self) -> Option<&str> {
        self.name.strip_prefix(SEGMENT)
    }

    /// True for the key under which a segment's exits are recorded.
    pub fn is_exit(&self, key: &str) -> bool {
        self.kind == TriggerKind::Segment && key == Passage::Exit.word()
    }

    /// The events it reads, each with the keys it concerns beside those it carries.
    pub fn events(&self) -> BTreeMap<&str, Reach> {
        let mut events: BTreeMap<&str, Reach> = BTreeMap::new();
        self.condition.every_leaf(true, &mut |leaf, is_of_key| {
            for (reads, keyless) in leaf.asks().sources() {
                let reach = events.entry(&reads.event).or_default();
                let is_of_all = !is_of_key || reads.any_key;
                reach.keyed |= is_of_all;
                reach.keyless |= is_of_all || keyless == Keyless::Counts;
            }
        });
        events
    }

    /// The top names of the traits it reads.
    pub fn traits(&self) -> BTreeSet<&str> {
        let mut traits = BTreeSet::new();
        self.condition.every_leaf(true, &mut |leaf, _| traits.extend(leaf.asks().reads_trait()));
        traits
    }

    /// True when time alone can turn a condition of it though no event it reads has come.
    pub fn turns_on_nothing(&self) -> bool {
        self.condition.leaves().into_iter().any(|leaf| leaf.asks().turns_on_nothing())
    }

    /// True when a session's start can change its truth.
    pub fn reads_sessions(&self) -> bool {
        let mut reads = false;
        self.condition.every_leaf(true, &mut |leaf, _| reads |= leaf.asks().reads_sessions());
        reads
    }

    /// The longest it looks back; [`Span::MAX`] for the whole lifetime.
    pub fn reach(&self) -> Span {
        self.condition.spans().into_iter().chain(self.held).chain([self.expires]).max().unwrap_or(Span::ZERO)
    }

    /// True when the event speaks against it for this key: what cancels an activation that has not left.
    pub fn is_stopped_by(&self, entry: &Entry, key: &str) -> bool {
        let key = self.per.as_ref().map(|per| (per, key));
        let mut is_stopped = false;
        self.condition.every_leaf(true, &mut |leaf, is_of_key| {
            if let Leaf::DidNot(did_not) = leaf {
                is_stopped |= did_not.reads.matches(entry, key.filter(|_| is_of_key), Keyless::Counts);
            }
        });
        is_stopped
    }
}

/// Whether an event concerns more keys than it carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// When it carries none.
    pub keyless: bool,
    /// When it carries one.
    pub keyed: bool,
}

/// What decides when it fires, hashed. `Debug` of the tree is its meaning in full.
fn meaning(per: &Option<Path>, condition: &Condition, held: Option<Span>) -> u32 {
    let text = format!("{per:?} {condition:?} {held:?}");
    let mut four = [0; 4];
    four.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..4]);
    u32::from_be_bytes(four)
}

fn usual_expiry(condition: &Condition, held: Option<Span>) -> Span {
    let spans = condition.spans().into_iter().chain(held).filter(|s| *s != Span::MAX);
    match spans.min() {
        Some(shortest) if shortest >= Span::from_days(1) => EXPIRES.1,
        _ => EXPIRES.0,
    }
}
