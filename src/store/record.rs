//! Stored forms: twins of what the model means, in versioned envelopes. Never reorder a field: the bytes have no names.
//!
//! Events, activations and log entries are small flat values whose own serde form is pinned by the tests below; a
//! change of theirs needs a new version here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Step, StoreError, Work, WorkId};
use crate::model::consent::Mark;
use crate::model::{
    ActionId, Activation, Attempt, CatalogueItem, Consent, Counted, Decision, Entry, GivenCode, History, Identifier,
    LaneName, Lifetime, OccasionId, Origin, Pending, Person, PersonId, Position, RawJson, Timestamp, Trait, TriggerId,
    Watch,
};

/// Version of every form in this file.
pub const VERSION: u8 = 1;

/// The envelope: one byte of version, then postcard.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Serialising into a growing vector fails only for a value that serde cannot size, and ours all can.
    postcard::to_extend(value, vec![VERSION]).unwrap_or_default()
}

/// The reverse of [`encode`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => {
            postcard::from_bytes(body).map_err(|e| StoreError::Damaged(format!("a stored value: {e}")))
        }
        Some((version, _)) => Err(StoreError::Damaged(format!("a stored value has the unknown version {version}"))),
        None => Err(StoreError::Damaged("a stored value is empty".into())),
    }
}

/// Everything of a person but the older entries of their history.
#[derive(Serialize, Deserialize)]
pub struct Header {
    identifiers: Vec<Identifier>,
    first_seen: Timestamp,
    created: Position,
    traits: Vec<(Box<str>, Timestamp, Box<str>)>,
    watches: Vec<StoredWatch>,
    last_fires: Vec<(TriggerId, Timestamp)>,
    asked: Timestamp,
    pending: Vec<StoredPending>,
    counted: Vec<(Timestamp, OccasionId)>,
    consent: Vec<Mark>,
    apart: Vec<PersonId>,
    folded: Vec<(Arc<str>, u64, Timestamp, Timestamp)>,
    /// The durable timer under which they lie in the wake index.
    pub wake: Option<Timestamp>,
    /// How often entries went to a block beside it, which hold the older ones.
    pub bases: u32,
    /// The newest entries, those of the highest positions.
    pub recent: Vec<StoredEntry>,
}

#[derive(Serialize, Deserialize)]
struct StoredWatch {
    trigger: TriggerId,
    key: Box<str>,
    meaning: u32,
    is_true: bool,
    true_since: Option<Timestamp>,
    fired: Option<Timestamp>,
    next: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct StoredPending {
    occasion: OccasionId,
    trigger: TriggerId,
    key: Box<str>,
    lanes: Vec<LaneName>,
    at: Timestamp,
    expires_at: Timestamp,
    not_before: Option<Timestamp>,
    void_until: Option<Timestamp>,
}

/// One entry of a history.
#[derive(Serialize, Deserialize)]
pub struct StoredEntry {
    at: Timestamp,
    position: Position,
    name: Arc<str>,
    origin: Origin,
    session: Option<Box<str>>,
    /// As they came.
    pub properties: RawJson,
    by: u32,
}

impl Header {
    /// What is written of a person.
    pub fn of(person: &Person, recent: Vec<StoredEntry>, bases: u32) -> Self {
        Self {
            identifiers: person.identifiers.clone(),
            first_seen: person.first_seen,
            created: person.created,
            traits: person.traits.iter().map(|(n, t)| (n.clone(), t.at, t.value.to_string().into())).collect(),
            watches: person
                .watches
                .iter()
                .map(|((trigger, key), w)| StoredWatch {
                    trigger: *trigger,
                    key: key.clone(),
                    meaning: w.meaning,
                    is_true: w.is_true,
                    true_since: w.true_since,
                    fired: w.fired,
                    next: w.next,
                })
                .collect(),
            last_fires: person.last_fires.iter().map(|(t, at)| (*t, *at)).collect(),
            asked: person.asked,
            pending: person
                .pending
                .iter()
                .cloned()
                .map(|Pending { occasion, trigger, key, lanes, at, expires_at, not_before, void_until }| {
                    StoredPending { occasion, trigger, key, lanes, at, expires_at, not_before, void_until }
                })
                .collect(),
            consent: person.consent.marks().to_vec(),
            apart: person.apart.clone(),
            counted: person.counted.iter().map(|c| (c.leaves, c.occasion)).collect(),
            folded: person.history.folded().iter().map(|(n, l)| (n.clone(), l.count, l.first, l.last)).collect(),
            wake: person.wake(),
            bases,
            recent,
        }
    }

    /// The person it was written of, with all their entries.
    pub fn into_person(self, id: PersonId, entries: Vec<Entry>) -> Person {
        let traits = self.traits.into_iter().map(|(name, at, text)| {
            let value = serde_json::from_str(&text).unwrap_or(serde_json::Value::Null);
            (name, Trait { at, value })
        });
        let folded = self.folded.into_iter().map(|(n, count, first, last)| (n, Lifetime { count, first, last }));
        Person {
            id,
            identifiers: self.identifiers,
            first_seen: self.first_seen,
            created: self.created,
            traits: traits.collect(),
            consent: Consent::from_parts(self.consent),
            history: History::from_parts(entries, folded.collect::<BTreeMap<_, _>>()),
            watches: self
                .watches
                .into_iter()
                .map(|w| {
                    let watch = Watch {
                        meaning: w.meaning,
                        is_true: w.is_true,
                        true_since: w.true_since,
                        fired: w.fired,
                        next: w.next,
                    };
                    ((w.trigger, w.key), watch)
                })
                .collect(),
            last_fires: self.last_fires.into_iter().collect(),
            asked: self.asked,
            pending: self
                .pending
                .into_iter()
                .map(|StoredPending { occasion, trigger, key, lanes, at, expires_at, not_before, void_until }| {
                    Pending { occasion, trigger, key, lanes, at, expires_at, not_before, void_until }
                })
                .collect(),
            counted: self.counted.into_iter().map(|(leaves, occasion)| Counted { leaves, occasion }).collect(),
            apart: self.apart,
        }
    }
}

impl StoredEntry {
    /// What is written of an entry.
    pub fn of(entry: &Entry) -> Self {
        Self {
            at: entry.at,
            position: entry.position,
            name: entry.name.clone(),
            origin: entry.origin,
            session: entry.session.clone(),
            properties: entry.properties.clone(),
            by: entry.by,
        }
    }
    /// The entry it was written of.
    pub fn into_entry(self) -> Entry {
        Entry::new(self.at, self.position, self.name, self.origin, self.session, self.properties).by(self.by)
    }
}

/// A decision, and where its activations lie.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredDecision {
    /// What was decided.
    pub decision: Decision,
    /// One for each action in each lane it was given to.
    pub places: Vec<Place>,
}

/// Where an activation lies while it waits; its end and its dead letter lie under `seq` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The lane.
    pub lane: LaneName,
    /// Which of the occasion's actions there.
    pub action: ActionId,
    /// Its priority there.
    pub priority: u8,
    /// Its number.
    pub seq: u64,
}

/// What a lane's row says before the activation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Tries that counted.
    pub tries: u32,
    /// It may have left.
    pub may_have_left: bool,
    /// Not before this.
    pub not_before: Option<Timestamp>,
    /// The last ten, oldest first.
    pub attempts: Vec<Attempt>,
}

/// The code with which an activation that cannot be said is refused.
pub const BROKEN: &str = "payload";
/// Tries kept of one activation.
const MOST_ATTEMPTS: usize = 10;

impl Row {
    /// The activation of this row, handed to a lane.
    pub fn into_work(self, seq: u64, activation: Activation) -> Work {
        Work { id: WorkId(seq), activation, tries: self.tries, may_have_left: self.may_have_left }
    }

    /// One more try; the oldest of too many is forgotten.
    pub fn tried(&mut self, attempt: &Attempt) {
        self.attempts.push(attempt.clone());
        let surplus = self.attempts.len().saturating_sub(MOST_ATTEMPTS);
        self.attempts.drain(..surplus);
    }
}

/// An activation that has ended: the tries kept, oldest first, and what was to be sent.
pub type Ended = (Vec<Attempt>, Activation);

/// A journal record of outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettledBatch {
    /// Which lane.
    pub lane: LaneName,
    /// Each record's occasion, place and outcome.
    pub items: Vec<SettledItem>,
}

/// A journal record beside events and steps: what came from outside of the engine, and codes that were given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Noted {
    /// Outcomes settled at a vendor.
    Settled(SettledBatch),
    /// Products as they are for sale now.
    Catalogue(Vec<CatalogueItem>),
    /// Codes that came into a pool; `first` is the place of the first of them.
    CodesAdded {
        /// The pool.
        pool: Arc<str>,
        /// Place of the first.
        first: u64,
        /// In the order they are given.
        codes: Vec<Box<str>>,
    },
    /// Codes that occasions have.
    CodesGiven(Vec<GivenCode>),
}

/// One record's outcome in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettledItem {
    /// Which occasion.
    pub occasion: OccasionId,
    /// Which of its actions there.
    pub action: ActionId,
    /// Its place in the lane.
    pub priority: u8,
    /// Its number.
    pub seq: u64,
    /// How the try ended.
    pub attempt: Attempt,
}

/// A journal record of events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventBatch<E> {
    /// The caller's own position, by name.
    pub cursor: Option<(String, Vec<u8>)>,
    /// In journal order.
    pub events: Vec<E>,
}

/// The caller's own position in the tree, with the journal's at which it was given: of two the later counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The newest event then.
    pub at: Position,
    /// As it was given.
    pub value: Vec<u8>,
}

/// The cursor of a journal record of events, without the events.
pub fn cursor_of(batch: &[u8]) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let damaged = |e: postcard::Error| StoreError::Damaged(format!("a record of events: {e}"));
    match batch.split_first() {
        Some((&VERSION, body)) => postcard::take_from_bytes(body).map(|(cursor, _)| cursor).map_err(damaged),
        _ => Err(StoreError::Damaged("a record of events has an unknown version".into())),
    }
}

/// A journal record of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The newest event decided before it.
    pub after: Position,
    /// What the engine did.
    pub step: Step,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Channel, Event, EventKind, IdentifierKind};

    /// A change of these bytes is a change of what older stores hold: it needs a new version, not a new test.
    #[test]
    fn the_stored_form_of_an_event_is_pinned() {
        let event = Event {
            kind: EventKind::Did,
            name: "Product Added".into(),
            at: Timestamp::from_millis(1_000),
            claimed_at: None,
            arrived: Timestamp::from_millis(2_000),
            source: "web".into(),
            origin: Origin::Tracking,
            dedupe: vec![[7; 16]],
            identifiers: vec![Identifier::new(IdentifierKind::Customer("shop".into()), "9")],
            session: None,
            properties: RawJson::trusted("{\"a\":1}"),
            traits: RawJson::empty(),
        };
        let bytes = encode(&event);
        assert_eq!(
            hex::encode(&bytes),
            "01000d50726f64756374204164646564d00f00a01f03776562000107070707070707070707070707070707010104\
             73686f700139007b2261223a317d"
                .replace("007b22", "00077b22")
                + "027b7d"
        );
        assert_eq!(decode::<Event>(&bytes).expect("its own bytes"), event);
    }

    /// A change of these bytes is a change of what older outboxes hold.
    #[test]
    fn the_stored_form_of_an_activation_is_pinned() {
        for (action, bytes) in [
            (Action::Event("Go".into()), "0002476f"),
            (Action::AddToList("L1".into()), "01024c31"),
            (Action::RemoveFromList("L1".into()), "02024c31"),
            (Action::Campaign("12".into()), "03023132"),
            (Action::Profile, "04"),
            (Action::Subscribe(Channel::Email), "0500"),
            (Action::Unsubscribe(Channel::Sms), "0601"),
            (Action::Suppress, "07"),
            (Action::Unsuppress, "08"),
            (Action::Erase, "09"),
        ] {
            let activation = Activation {
                occasion: OccasionId([7; 16]),
                lane: "esp".into(),
                trigger: "t".into(),
                person: PersonId([9; 16]),
                identifiers: vec![Identifier::new(IdentifierKind::Email, "a@b.c")],
                traits: RawJson::empty(),
                key: "".into(),
                at: Timestamp::from_millis(1_000),
                action,
                priority: 50,
                expires_at: Timestamp::from_millis(2_000),
                not_before: None,
                payload: RawJson::empty(),
                broken: None,
            };
            let wanted = format!(
                "01 {} 03657370 0174 {} 01 02 05 6140622e63 027b7d 00 d00f {bytes} 32 a01f 00 027b7d 00",
                "07".repeat(16),
                "09".repeat(16)
            );
            assert_eq!(hex::encode(encode(&activation)), wanted.replace(' ', ""));
            assert_eq!(decode::<Activation>(&encode(&activation)).expect("its own bytes"), activation);
        }
    }

    /// Replay reads what older versions wrote.
    #[test]
    fn the_stored_form_of_a_step_is_pinned() {
        let now = Timestamp::from_millis(1_000);
        let person = PersonId([7; 16]);
        for (step, bytes) in [
            (Step::Program(vec![(TriggerId(9), 300)]), "0105000109ac02"),
            (Step::Events { until: Position(6), now }, "01050106d00f"),
            (Step::Timers { until: Timestamp::from_millis(999), max: 10, now }, "010502ce0f0ad00f"),
            (Step::Adopt { after: None, until: Some(person), now }, "010503000107070707070707070707070707070707d00f"),
        ] {
            let record = StepRecord { after: Position(5), step };
            assert_eq!(hex::encode(encode(&record)), bytes);
            assert_eq!(decode::<StepRecord>(&encode(&record)).expect("its own bytes"), record);
        }
    }

    /// What was given, and what is for sale, is made again from these.
    #[test]
    fn the_stored_forms_beside_events_and_steps_are_pinned() {
        let item = CatalogueItem {
            id: "p1".into(),
            name: Some("Lamp".into()),
            url: None,
            image_url: None,
            price: Some("9.5".into()),
            currency: None,
            category: None,
            stock: Some(-1),
            updated: Timestamp::from_millis(1_000),
        };
        let given = GivenCode { occasion: OccasionId([7; 16]), pool: "a".into(), place: 3, code: "A1".into() };
        let settled = SettledBatch { lane: "esp".into(), items: Vec::new() };
        for (noted, bytes) in [
            (Noted::Settled(settled), "01000365737000"),
            (Noted::Catalogue(vec![item]), "0101010270310104 4c616d70 0000 0103392e35 0000 0101 d00f"),
            (Noted::CodesAdded { pool: "a".into(), first: 300, codes: vec!["A1".into()] }, "01020161ac0201024131"),
            (Noted::CodesGiven(vec![given]), "010301 07070707070707070707070707070707 016103024131"),
        ] {
            assert_eq!(hex::encode(encode(&noted)), bytes.replace(' ', ""));
            assert_eq!(decode::<Noted>(&encode(&noted)).expect("its own bytes"), noted);
        }
    }

    #[test]
    fn broken_bytes_are_damage_and_no_panic() {
        for bytes in [&[][..], &[9, 1, 2], &[VERSION], &[VERSION, 255, 255, 255, 255, 255]] {
            assert!(decode::<Event>(bytes).is_err());
            assert!(decode::<Header>(bytes).is_err());
        }
    }
}
