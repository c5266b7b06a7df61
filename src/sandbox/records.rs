//! What an account keeps and gives to who reads it: records with an id and the instant of their last change, by kind.
//! Tests put them, change them and ask which were read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::{Map, Value};

use super::received::lock;
use super::stamp::Stamp;
use crate::model::Timestamp;

/// Reads remembered; the oldest go first.
const READS: usize = 100_000;

/// Places of one instant in a record, as JSON pointers: the first is the truth, the others repeat it.
pub(super) type Times = &'static [(&'static str, Stamp)];

/// Where a kind of record has its id and its times.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// JSON pointer.
    pub id: &'static str,
    /// The id of the nth record that comes without one.
    pub new_id: fn(u64) -> Value,
    pub created: Times,
    /// Of the last change.
    pub modified: Times,
}

/// One record.
pub(super) struct Row {
    pub id: String,
    /// The digits of the id: what numbers are sorted by.
    pub number: u64,
    pub created: i64,
    pub modified: i64,
    /// Not given to readers before this instant.
    pub visible: i64,
    pub body: Value,
}

/// Place of a record among those of its kind: by last change, then by id.
type Place = (i64, u64, String);

/// The records of one kind.
#[derive(Default)]
struct Shelf {
    by_time: BTreeMap<Place, Arc<Row>>,
    by_id: HashMap<String, Place>,
    count: u64,
}

/// One read: what was asked and which records it was given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Read {
    /// The kind of record, as in `Sandbox::put`.
    pub kind: String,
    /// What chose them: the vendor's own filter.
    pub asked: String,
    /// Ids of the records given, in their order.
    pub ids: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// All records of an account.
pub(super) struct Records {
    shape: fn(&str) -> Option<Shape>,
    shelves: Mutex<HashMap<String, Shelf>>,
    reads: Mutex<VecDeque<Read>>,
}

impl Records {
    /// None yet, of the kinds that have a shape.
    pub fn new(shape: fn(&str) -> Option<Shape>) -> Self {
        Self { shape, shelves: Mutex::default(), reads: Mutex::default() }
    }

    /// Puts a record in, in the place of one with the same id. Times that it does not have are `now`. Gives its id.
    pub fn put(&self, kind: &str, mut body: Value, now: i64, visible: i64) -> Result<String, String> {
        let shape = (self.shape)(kind).ok_or_else(|| format!("no records of the kind `{kind}` are kept here"))?;
        if !body.is_object() {
            return Err("a record is a JSON object".to_owned());
        }
        let mut shelves = lock(&self.shelves);
        let shelf = shelves.entry(kind.to_owned()).or_default();
        shelf.count += 1;
        let id = match body.pointer(shape.id).and_then(text) {
            Some(id) => id,
            None => {
                let new = (shape.new_id)(shelf.count);
                set(&mut body, shape.id, new.clone());
                text(&new).unwrap_or_default()
            }
        };
        let modified = settle(&mut body, shape.modified, now);
        let created = settle(&mut body, shape.created, modified);
        let number = id
            .bytes()
            .filter(u8::is_ascii_digit)
            .fold(0_u64, |n, digit| n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        shelf.remove(&id);
        let place = (modified, number, id.clone());
        shelf.by_id.insert(id.clone(), place.clone());
        shelf.by_time.insert(place, Arc::new(Row { id: id.clone(), number, created, modified, visible, body }));
        Ok(id)
    }

    /// Lays `patch` over a record; its last change is the patch's own, else `now`.
    pub fn change(&self, kind: &str, id: &str, patch: Value, now: i64) -> Result<(), String> {
        let shape = (self.shape)(kind).ok_or_else(|| format!("no records of the kind `{kind}` are kept here"))?;
        let old = self.find(kind, id).ok_or_else(|| format!("there is no {kind} {id}"))?;
        let mut body = old.body.clone();
        let is_dated = shape.modified.first().is_some_and(|(pointer, _)| patch.pointer(pointer).is_some());
        merge(&mut body, patch);
        if !is_dated && let Some((pointer, stamp)) = shape.modified.first() {
            set(&mut body, pointer, stamp.write(now));
        }
        self.put(kind, body, now, old.visible).map(drop)
    }

    /// Takes a record away without a trace; false when there was none.
    pub fn remove(&self, kind: &str, id: &str) -> bool {
        lock(&self.shelves).get_mut(kind).is_some_and(|shelf| shelf.remove(id))
    }

    /// The record with this id, whoever may see it.
    pub fn find(&self, kind: &str, id: &str) -> Option<Arc<Row>> {
        let shelves = lock(&self.shelves);
        let shelf = shelves.get(kind)?;
        shelf.by_time.get(shelf.by_id.get(id)?).cloned()
    }

    /// Those last changed from `from` until before `until` that can be seen at `now`, by last change and id.
    pub fn between(&self, kind: &str, from: i64, until: i64, now: i64) -> Vec<Arc<Row>> {
        let shelves = lock(&self.shelves);
        let Some(shelf) = shelves.get(kind).filter(|_| from < until) else { return Vec::new() };
        let (first, last) = ((from, 0, String::new()), (until, 0, String::new()));
        shelf.by_time.range(first..last).map(|(_, row)| row).filter(|r| r.visible <= now).cloned().collect()
    }

    /// All that can be seen at `now`.
    pub fn all(&self, kind: &str, now: i64) -> Vec<Arc<Row>> {
        self.between(kind, i64::MIN, i64::MAX, now)
    }

    /// Notes what was given to a reader.
    pub fn note(&self, kind: &str, asked: &str, rows: &[Arc<Row>], now: i64) {
        self.note_ids(kind, asked, rows.iter().map(|r| r.id.clone()).collect(), now);
    }

    /// The same, of records that lie elsewhere.
    pub fn note_ids(&self, kind: &str, asked: &str, ids: Vec<String>, now: i64) {
        let mut reads = lock(&self.reads);
        if reads.len() >= READS {
            reads.pop_front();
        }
        reads.push_back(Read { kind: kind.to_owned(), asked: asked.to_owned(), ids, at: Timestamp::from_millis(now) });
    }

    /// What was noted, oldest first.
    pub fn reads(&self) -> Vec<Read> {
        lock(&self.reads).iter().cloned().collect()
    }

    /// Forgets what was noted.
    pub fn forget_reads(&self) {
        lock(&self.reads).clear();
    }
}

impl Shelf {
    fn remove(&mut self, id: &str) -> bool {
        self.by_id.remove(id).is_some_and(|place| self.by_time.remove(&place).is_some())
    }
}

/// The instant at the first of these places, else `default`; all of them then say it.
fn settle(body: &mut Value, places: &[(&str, Stamp)], default: i64) -> i64 {
    let Some((first, stamp)) = places.first() else { return default };
    let given = body.pointer(first).and_then(|v| stamp.read(v));
    // What is written in whole seconds is kept in whole seconds.
    let at = given.or_else(|| stamp.read(&stamp.write(default))).unwrap_or(default);
    for (n, (pointer, stamp)) in places.iter().enumerate() {
        if n > 0 || given.is_none() {
            set(body, pointer, stamp.write(at));
        }
    }
    at
}

/// An id's text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Writes a value at a pointer and makes the objects on the way; leaves alone what is not an object.
pub(super) fn set(body: &mut Value, pointer: &str, value: Value) {
    let mut names = pointer.split('/').skip(1).peekable();
    let mut place = body;
    while let Some(name) = names.next() {
        let Value::Object(map) = place else { return };
        if names.peek().is_none() {
            map.insert(name.to_owned(), value);
            return;
        }
        place = map.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    }
}

/// Lays one value over another: objects name by name, all else as a whole.
fn merge(body: &mut Value, patch: Value) {
    match (body, patch) {
        (Value::Object(body), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(body.entry(name).or_insert(Value::Null), value);
            }
        }
        (body, patch) => *body = patch,
    }
}
