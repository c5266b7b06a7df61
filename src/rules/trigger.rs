//! One trigger, as its file says it.

use std::sync::Arc;

use crate::model::{Entry, LaneName, Priority, RawJson, Span, TriggerId};

use super::condition::Condition;
use super::leaf::{Against, Leaf};
use super::path::Path;
use super::view::Keyless;
use super::written::{Reading, Table, Value};

/// Priority of a trigger that names none.
const USUAL_PRIORITY: u64 = 50;
/// Default `expires` where the shortest duration is under a day, and otherwise.
const EXPIRES: (Span, Span) = (Span::from_hours(4), Span::from_hours(48));

/// One trigger: when it fires, and what it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Unique; lower case, digits and dashes.
    pub name: Arc<str>,
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
    /// Never a second fire for one (person, key).
    pub once: bool,
    /// An edge learned of later than this is not sent.
    pub expires: Span,
    /// Higher goes first.
    pub priority: Priority,
    /// What it starts: a destination's name and the event's name there.
    pub activate: Vec<(LaneName, Arc<str>)>,
    /// `[[test]]` timelines as written.
    pub tests: RawJson,
}

impl Trigger {
    /// Reads one file. `None` when it has a mistake; all of them are in `reading`.
    pub fn read(reading: &mut Reading<'_>, lanes: Option<&[LaneName]>) -> Option<Self> {
        let document = reading.document()?;
        let mut top = Table::top(&document);
        let name = match top.get("name") {
            Some(value) => value.text(reading).filter(|name| Self::name_is_good(name, &value, reading)),
            None => {
                reading.mistake(0..0, "name".into(), "is missing").suggestion =
                    Some("name = \"cart-abandoned\"".into());
                None
            }
        };
        let title = top.get("title").and_then(|v| v.text(reading)).unwrap_or_default();
        let description = top.get("description").and_then(|v| v.text(reading)).unwrap_or_default();
        let per = top.get("per").and_then(|v| v.text(reading)).map(|text| Path::new(&text));
        let held = top.get("for").and_then(|v| v.length(reading));
        let cooldown = top.get("cooldown").and_then(|v| v.length(reading));
        let once = top.get("once").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
        let expires = top.get("expires").and_then(|v| v.length(reading));
        let priority = top.get("priority").map_or(Some(USUAL_PRIORITY), |v| v.whole_number(reading, 0, 100));
        let when = top.get("when");
        if when.is_none() {
            reading.mistake(0..0, "when".into(), "is missing: a trigger says when it fires").suggestion =
                Some("[[when.all]]\ndid = \"Form Submitted\"".into());
        }
        let condition = when.and_then(|value| Condition::read(&value, reading, 0));
        let activate = Self::read_activate(&mut top, reading, lanes);
        let tests = top.get("test").map(|value| value.json()).unwrap_or(RawJson::trusted("[]"));
        top.finish(reading);
        if reading.has_mistakes() {
            return None;
        }
        let (name, condition) = (name?, condition?);
        let meaning = meaning(&per, &condition, held);
        Some(Self {
            id: TriggerId::of(&name),
            name: name.into(),
            meaning,
            title,
            description,
            expires: expires.unwrap_or_else(|| usual_expiry(&condition, held)),
            per,
            condition,
            held,
            cooldown,
            once,
            priority: u8::try_from(priority?).unwrap_or(u8::MAX),
            activate,
            tests,
        })
    }

    fn name_is_good(name: &str, value: &Value<'_, '_>, reading: &mut Reading<'_>) -> bool {
        let good = name.len() <= 64 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !good {
            let words = "must be at most 64 lower-case letters, digits and dashes";
            reading.mistake(value.span(), value.path().to_owned(), words);
        }
        good
    }

    fn read_activate(
        top: &mut Table<'_, '_>,
        reading: &mut Reading<'_>,
        lanes: Option<&[LaneName]>,
    ) -> Vec<(LaneName, Arc<str>)> {
        let mut activate: Vec<(LaneName, Arc<str>)> = Vec::new();
        let Some(value) = top.get("activate") else {
            reading.mistake(0..0, "activate".into(), "is missing: a trigger says what it starts").suggestion =
                Some("[[activate]]\ndestination = \"klaviyo\"\nevent = \"Cart Abandoned\"".into());
            return activate;
        };
        for item in value.list(reading) {
            let Some(mut table) = item.table(reading) else { continue };
            let destination = table.get("destination");
            let event = table.get("event");
            for (key, missing) in [("destination", destination.is_none()), ("event", event.is_none())] {
                if missing {
                    reading.mistake(table.span(), format!("{}.{key}", table.path()), "is missing");
                }
            }
            table.finish(reading);
            let (Some(destination), Some(event)) = (destination, event) else { continue };
            let (Some(lane), Some(name)) = (destination.text(reading), event.text(reading)) else { continue };
            if let Some(lanes) = lanes
                && !lanes.iter().any(|known| **known == *lane)
            {
                let known: Vec<&str> = lanes.iter().map(|l| &**l).collect();
                reading
                    .mistake(
                        destination.span(),
                        destination.path().to_owned(),
                        format!("`{lane}` is not a destination"),
                    )
                    .suggestion = Some(format!("configured: {}", known.join(", ")));
            }
            if name.len() > 127 {
                reading.mistake(event.span(), event.path().to_owned(), "must be shorter than 128 bytes");
            }
            if activate.iter().any(|(known, _)| **known == *lane) {
                let words = format!("`{lane}` is named twice: one occasion is one activation there");
                reading.mistake(destination.span(), destination.path().to_owned(), words);
            }
            activate.push((lane.into(), name.into()));
        }
        activate
    }

    /// The names of all events it reads.
    pub fn events(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.condition.leaves().iter().flat_map(|leaf| leaf.events()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The longest it looks back; [`Span::MAX`] for the whole lifetime.
    pub fn reach(&self) -> Span {
        let spans = self.condition.leaves().into_iter().flat_map(Leaf::spans);
        spans.chain(self.held).chain(Some(self.expires)).max().unwrap_or(Span::ZERO)
    }

    /// True when the event speaks against it for this key: what cancels an activation that has not left.
    pub fn is_stopped_by(&self, entry: &Entry, key: &str) -> bool {
        let key = self.per.as_ref().map(|per| (per, key));
        let mut leaves = self.condition.leaves().into_iter();
        leaves.any(|leaf| matches!(leaf, Leaf::DidNot(_)) && leaf.reads().matches(entry, key, Keyless::Counts))
    }

    /// True when it counts an event without a key against every key, or reads events of all keys.
    pub fn reads_across_keys(&self, event: &str) -> Reach {
        let mut reach = Reach { keyless: false, keyed: false };
        for leaf in self.condition.leaves() {
            if *leaf.reads().event == *event {
                reach.keyed |= leaf.reads().any_key;
                reach.keyless |= leaf.reads().any_key || matches!(leaf, Leaf::DidNot(_));
            }
            if let Leaf::DidNot(did_not) = leaf
                && let Against::Since(anchor) = &did_not.against
                && *anchor.event == *event
            {
                reach.keyed |= anchor.any_key;
                reach.keyless |= anchor.any_key;
            }
        }
        reach
    }
}

/// Whether an event concerns more keys than it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    let spans = condition.leaves().into_iter().flat_map(Leaf::spans).chain(held).filter(|s| *s != Span::MAX);
    match spans.min() {
        Some(shortest) if shortest >= Span::from_days(1) => EXPIRES.1,
        _ => EXPIRES.0,
    }
}
