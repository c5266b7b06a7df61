//! Keys of the one tree: a prefix byte, then big-endian parts, so that order in the tree is the order we read in.

use crate::model::{ActionId, OccasionId, PersonId, Position, Timestamp, TriggerId};
use crate::store::record::Place;

/// Header of a person.
pub const PERSON: u8 = b'p';
/// Older entries of a person's history.
pub const HISTORY: u8 = b'h';
/// Who names belong to, by their hash.
pub const NAMES: u8 = b'I';
/// A person that was merged away: the survivor.
pub const MERGED: u8 = b'g';
/// Wake index: the earliest timer of each person.
pub const WAKE: u8 = b't';
/// Rows of a lane, in the order they are sent.
pub const ROW: u8 = b'o';
/// Rows that wait for a time.
pub const WAITING: u8 = b'w';
/// Activations that have ended, by their number.
pub const ENDED: u8 = b'b';
/// Ends that the journal knows of activations still to be decided again, by occasion, lane and action.
pub const ORPHAN: u8 = b'f';
/// Dead letters.
pub const DEAD: u8 = b'l';
/// Decisions, by person.
pub const DECISION: u8 = b'x';
/// Joins, by person.
pub const JOIN: u8 = b'j';
/// Cursors given with an append.
pub const CURSOR: u8 = b'c';
/// Where held activations lie, by trigger.
pub const HELD: u8 = b'k';
/// States of triggers.
pub const TRIGGER: u8 = b's';
/// Small values that rooms keep.
pub const KEPT: u8 = b'n';
/// Messages set aside.
pub const ASIDE: u8 = b'z';
/// People who were forgotten, by when.
pub const ERASURE: u8 = b'u';
/// How it ended at each destination, by the erasure.
pub const ERASED: u8 = b'v';
/// Names that are still to be forgotten in the journal, by their hash.
pub const FORGOTTEN: u8 = b'y';
/// Demands of access that are open.
pub const OPEN: u8 = b'A';
/// Demands of access that were answered.
pub const ANSWERED: u8 = b'B';
/// Products for sale.
pub const ITEM: u8 = b'a';
/// Pools of codes.
pub const POOL: u8 = b'd';
/// Codes, by pool and place.
pub const CODES: u8 = b'e';
/// Codes that the journal gave to occasions whose step is not in the tree.
pub const GIVEN: u8 = b'r';
/// Further parts of a value that is too long for one.
pub const PART: u8 = b'q';
/// The state: positions and counts.
pub const STATE: &[u8] = b"m";
/// The last step taken, and what goes with it.
pub const TAKEN: &[u8] = b"ms";
/// The triggers in force.
pub const PROGRAM: &[u8] = b"mp";
/// Which layout all of it has.
pub const SCHEMA: &[u8] = b"mv";
/// How far a copy is that is not ended.
pub const COPY: &[u8] = b"mc";

/// Four bytes that stand for a lane's name.
pub fn lane(name: &str) -> [u8; 4] {
    let mut short = [0; 4];
    short.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..4]);
    short
}

/// Sixteen bytes of a key: an id, or what stands for a name.
pub fn read_id(key: &[u8], from: usize) -> Option<[u8; 16]> {
    key.get(from..from.checked_add(16)?)?.try_into().ok()
}

/// Whose log it is, and which of several entries, by the last byte.
pub fn read_decision(key: &[u8]) -> Option<(PersonId, u8)> {
    Some((PersonId(read_id(key, 1)?), *key.get(31)?))
}

/// The same of a join.
pub fn read_join(key: &[u8]) -> Option<(PersonId, u32)> {
    Some((PersonId(read_id(key, 1)?), u32::from_be_bytes(key.get(25..29)?.try_into().ok()?)))
}

/// The pool of a block of codes, by what stands for its name.
pub fn read_block(key: &[u8]) -> Option<[u8; 8]> {
    key.get(1..9)?.try_into().ok()
}

/// An instant in an order that bytes keep.
fn instant(at: Timestamp) -> [u8; 8] {
    ((at.as_millis() as u64) ^ (1 << 63)).to_be_bytes()
}

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|p| p.len()).sum::<usize>());
    key.push(prefix);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub fn person(id: PersonId) -> Vec<u8> {
    key(PERSON, &[&id.0])
}
pub fn base(id: PersonId, n: u32) -> Vec<u8> {
    key(HISTORY, &[&id.0, &n.to_be_bytes()])
}
pub fn bases(id: PersonId) -> Vec<u8> {
    key(HISTORY, &[&id.0])
}
/// Of the bucket whose lowest hash this may be.
pub fn names(lowest: &[u8; 16]) -> Vec<u8> {
    key(NAMES, &[lowest])
}
pub fn merged(id: PersonId) -> Vec<u8> {
    key(MERGED, &[&id.0])
}
pub fn wake(at: Timestamp, id: PersonId) -> Vec<u8> {
    key(WAKE, &[&instant(at), &id.0])
}
/// All wakes at or before `until`.
pub fn wakes_until(until: Timestamp) -> std::ops::Range<Vec<u8>> {
    vec![WAKE]..key(WAKE, &[&instant(until + crate::model::Span::from_millis(1))])
}
/// The person and instant of a wake.
pub fn read_wake(key: &[u8]) -> Option<(Timestamp, PersonId)> {
    let at = u64::from_be_bytes(key.get(1..9)?.try_into().ok()?) ^ (1 << 63);
    Some((Timestamp::from_millis(at as i64), PersonId(key.get(9..25)?.try_into().ok()?)))
}
/// Higher priority first, then older.
pub fn row(lane: [u8; 4], priority: u8, seq: u64) -> Vec<u8> {
    key(ROW, &[&lane, &[u8::MAX - priority], &seq.to_be_bytes()])
}
pub fn place(place: &Place) -> Vec<u8> {
    row(lane(&place.lane), place.priority, place.seq)
}
pub fn rows(lane: [u8; 4]) -> Vec<u8> {
    key(ROW, &[&lane])
}
/// After all rows of a lane.
pub fn rows_end(lane: [u8; 4]) -> Vec<u8> {
    key(ROW, &[&lane, &[u8::MAX; 10]])
}
/// The place at the end of a row's key.
pub fn read_seq(key: &[u8]) -> Option<u64> {
    let from = key.len().checked_sub(8)?;
    Some(u64::from_be_bytes(key.get(from..)?.try_into().ok()?))
}
pub fn waiting(lane: [u8; 4], not_before: Timestamp, priority: u8, seq: u64) -> Vec<u8> {
    key(WAITING, &[&lane, &instant(not_before), &[u8::MAX - priority], &seq.to_be_bytes()])
}
pub fn waiting_until(lane: [u8; 4], until: Timestamp) -> std::ops::Range<Vec<u8>> {
    key(WAITING, &[&lane])..key(WAITING, &[&lane, &instant(until + crate::model::Span::from_millis(1))])
}
pub fn all_waiting(lane: [u8; 4]) -> Vec<u8> {
    key(WAITING, &[&lane])
}
/// The instant and the row's own key of a waiting row.
pub fn read_waiting(waiting: &[u8]) -> Option<(Timestamp, Vec<u8>)> {
    let at = u64::from_be_bytes(waiting.get(5..13)?.try_into().ok()?) ^ (1 << 63);
    Some((Timestamp::from_millis(at as i64), key(ROW, &[waiting.get(1..5)?, waiting.get(13..22)?])))
}
pub fn ended(seq: u64) -> Vec<u8> {
    key(ENDED, &[&seq.to_be_bytes()])
}
pub fn held(trigger: TriggerId, seq: u64) -> Vec<u8> {
    key(HELD, &[&trigger.0.to_be_bytes(), &seq.to_be_bytes()])
}
/// Of one trigger.
pub fn all_held(trigger: TriggerId) -> Vec<u8> {
    key(HELD, &[&trigger.0.to_be_bytes()])
}
pub fn trigger(trigger: TriggerId) -> Vec<u8> {
    key(TRIGGER, &[&trigger.0.to_be_bytes()])
}
/// Whose state it is.
pub fn read_trigger(key: &[u8]) -> Option<TriggerId> {
    Some(TriggerId(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?)))
}
pub fn orphan(occasion: OccasionId, lane: [u8; 4], action: ActionId) -> Vec<u8> {
    key(ORPHAN, &[&occasion.0, &lane, &action.0.to_be_bytes()])
}
pub fn dead(seq: u64) -> Vec<u8> {
    key(DEAD, &[&seq.to_be_bytes()])
}
pub fn decision(person: PersonId, at: Timestamp, occasion: OccasionId, n: u8) -> Vec<u8> {
    key(DECISION, &[&person.0, &instant(at), &occasion.0[..6], &[n]])
}
pub fn decisions(person: PersonId) -> Vec<u8> {
    key(DECISION, &[&person.0])
}
pub fn join(person: PersonId, position: Position, n: u32) -> Vec<u8> {
    key(JOIN, &[&person.0, &position.0.to_be_bytes(), &n.to_be_bytes()])
}
pub fn joins(person: PersonId) -> Vec<u8> {
    key(JOIN, &[&person.0])
}
pub fn erasure(at: Timestamp, id: OccasionId) -> Vec<u8> {
    key(ERASURE, &[&instant(at), &id.0])
}
pub fn erased(id: OccasionId, lane: [u8; 4]) -> Vec<u8> {
    key(ERASED, &[&id.0, &lane])
}
/// At all destinations.
pub fn all_erased(id: OccasionId) -> Vec<u8> {
    key(ERASED, &[&id.0])
}
/// A demand of access, by when it was asked for.
pub fn access(prefix: u8, at: Timestamp, id: OccasionId) -> Vec<u8> {
    key(prefix, &[&instant(at), &id.0])
}
pub fn forgotten(hash: [u8; 16]) -> Vec<u8> {
    key(FORGOTTEN, &[&hash])
}
pub fn item(id: &str) -> Vec<u8> {
    key(ITEM, &[id.as_bytes()])
}
pub fn pool(name: &str) -> Vec<u8> {
    key(POOL, &[name.as_bytes()])
}
pub fn codes(pool: &str) -> Vec<u8> {
    key(CODES, &[&short(pool)])
}
pub fn block(pool: &str, first: u64) -> Vec<u8> {
    key(CODES, &[&short(pool), &first.to_be_bytes()])
}
/// Eight bytes that stand for a pool's name.
pub fn short(pool: &str) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&blake3::hash(pool.as_bytes()).as_bytes()[..8]);
    short
}
pub fn given(occasion: OccasionId) -> Vec<u8> {
    key(GIVEN, &[&occasion.0])
}
pub fn named(prefix: u8, name: &str) -> Vec<u8> {
    key(prefix, &[name.as_bytes()])
}
pub fn aside(seq: u64) -> Vec<u8> {
    key(ASIDE, &[&seq.to_be_bytes()])
}
pub fn parts(of: &[u8]) -> Vec<u8> {
    key(PART, &[of])
}
pub fn part(of: &[u8], n: u32) -> Vec<u8> {
    key(PART, &[of, &n.to_be_bytes()])
}
