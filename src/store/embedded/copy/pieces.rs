//! What lies in the folder, as pieces, a page at a time.

use std::collections::{BTreeMap, HashMap};

use super::{Folder, end_of};
use crate::model::{
    Access, Activation, Attempt, Decision, Erasure, Event, Join, LaneName, OccasionId, PersonId, Position, Timestamp,
};
use crate::store::copy::{Ended, Engine, Kind, Lane, Logged, Page, Piece};
use crate::store::embedded::frame::Kind as Sort;
use crate::store::embedded::segments::Reader;
use crate::store::embedded::shelf::StoredPool;
use crate::store::embedded::{held, keys, people, timed};
use crate::store::forgotten::Hash;
use crate::store::record::{self, Cursor, EventBatch, Row, StepRecord, StoredDecision, decode};
use crate::store::{SetAside, StoreError};

/// Pieces, and bytes of values, that are read at once.
const AT_ONCE: usize = 1_000;
const BYTES: usize = 4 << 20;

pub fn page(of: &mut Folder, kind: Kind, after: Option<&[u8]>) -> Result<Page, StoreError> {
    match kind {
        Kind::Events => events(of, after),
        Kind::Keys => message_keys(of, after),
        Kind::Cursors => scan(of, keys::CURSOR, after, |key, value, found| {
            found.push(Piece::Cursor(name(key)?, decode::<Cursor>(&value)?.value));
            Ok(())
        }),
        Kind::Names => scan(of, keys::NAMES, after, |_, value, found| {
            let bucket: Vec<(Hash, PersonId)> = decode(&value)?;
            found.extend(bucket.into_iter().map(|(hash, person)| Piece::Name(hash, person)));
            Ok(())
        }),
        Kind::People => everybody(of, after),
        Kind::Merged => scan(of, keys::MERGED, after, |key, value, found| {
            found.push(Piece::Merged(PersonId(id(key, 1)?), decode(&value)?));
            Ok(())
        }),
        Kind::Joins => scan(of, keys::JOIN, after, |key, value, found| {
            let (person, n) = keys::read_join(key).ok_or_else(odd)?;
            let (written, entry): (_, Join) = timed::decode(&value)?;
            found.push(Piece::Join(Logged { person, n, written, entry }));
            Ok(())
        }),
        Kind::Decisions => scan(of, keys::DECISION, after, |key, value, found| {
            let (person, n) = keys::read_decision(key).ok_or_else(odd)?;
            let (written, stored): (_, StoredDecision) = timed::decode(&value)?;
            let entry: Decision = stored.decision;
            found.push(Piece::Decision(Logged { person, n: n.into(), written, entry }, stored.places));
            Ok(())
        }),
        Kind::Queued => scan(of, keys::ROW, after, |key, value, found| {
            let (row, activation): (Row, Activation) = decode(&value)?;
            found.push(Piece::Queued(keys::read_seq(key).ok_or_else(odd)?, row, Box::new(activation)));
            Ok(())
        }),
        Kind::Ended => scan(of, keys::ENDED, after, |key, value, found| {
            let (at, (attempts, activation)): (_, record::Ended) = timed::decode(&value)?;
            let seq = keys::read_seq(key).ok_or_else(odd)?;
            let is_dead = of.disk()?.has(&keys::dead(seq))?;
            found.push(Piece::Ended(Ended { seq, at, is_dead, attempts, activation }));
            Ok(())
        }),
        Kind::Lanes => lanes(of),
        Kind::Triggers => {
            let states = held::triggers(of.disk()?)?;
            Ok(Page::all(states.into_iter().map(|(id, state)| Piece::Trigger(id, state))))
        }
        Kind::Items => scan(of, keys::ITEM, after, |_, value, found| {
            found.push(Piece::Item(decode(&value)?));
            Ok(())
        }),
        Kind::Pools => {
            Ok(Page::all(pools(of)?.into_values().map(|pool| Piece::Pool(pool.name, pool.added, pool.next))))
        }
        Kind::Codes => {
            let pools = pools(of)?;
            scan(of, keys::CODES, after, |key, value, found| {
                let pool = keys::read_block(key).and_then(|short| pools.get(&short)).ok_or_else(odd)?;
                let first = keys::read_seq(key).ok_or_else(odd)?;
                let codes: Vec<Box<str>> = decode(&value)?;
                found.extend((first..).zip(codes).map(|(place, code)| Piece::Code(pool.name.clone(), place, code)));
                Ok(())
            })
        }
        Kind::Kept => scan(of, keys::KEPT, after, |key, value, found| {
            found.push(Piece::Kept(name(key)?, value));
            Ok(())
        }),
        Kind::Aside => scan(of, keys::ASIDE, after, |_, value, found| {
            let (_, message): (_, SetAside) = timed::decode(&value)?;
            found.push(Piece::Aside(message));
            Ok(())
        }),
        Kind::Erasures => scan(of, keys::ERASURE, after, |_, value, found| {
            let (_, erasure): (_, Erasure) = timed::decode(&value)?;
            found.push(Piece::Erasure(erasure));
            Ok(())
        }),
        Kind::Erased => scan(of, keys::ERASED, after, |key, value, found| {
            let (at, (lane, last)): (_, (LaneName, Attempt)) = timed::decode(&value)?;
            found.push(Piece::Erased(OccasionId(id(key, 1)?), lane, at, last));
            Ok(())
        }),
        Kind::Forgotten => scan(of, keys::FORGOTTEN, after, |key, value, found| {
            found.push(Piece::Forgotten(id(key, 1)?, decode(&value)?));
            Ok(())
        }),
        Kind::Accesses => accesses(of, after),
        Kind::Register => {
            let (version, value) = of.register.access()?;
            Ok(Page::all(value.into_iter().map(|value| Piece::Register(version, value))))
        }
        Kind::Audit => {
            let log = of.register.list(None, usize::MAX)?;
            Ok(Page::all(log.into_iter().rev().map(Piece::Audit)))
        }
        Kind::Engine => Ok(Page::all([Piece::Engine(Box::new(engine(of)?))])),
    }
}

/// A key that none of ours is like.
fn odd() -> StoreError {
    StoreError::Damaged("a value lies under a key that is none".into())
}

fn id(key: &[u8], from: usize) -> Result<[u8; 16], StoreError> {
    keys::read_id(key, from).ok_or_else(odd)
}

fn name(key: &[u8]) -> Result<String, StoreError> {
    let name = key.get(1..).map(|name| String::from_utf8(name.to_vec()));
    name.and_then(Result::ok).ok_or_else(odd)
}

/// Values whose keys begin with this byte, from behind a key on.
fn scan(
    of: &Folder,
    prefix: u8,
    after: Option<&[u8]>,
    mut take: impl FnMut(&[u8], Vec<u8>, &mut Vec<Piece>) -> Result<(), StoreError>,
) -> Result<Page, StoreError> {
    let from = after.map_or_else(|| vec![prefix], |after| [after, &[0]].concat());
    let (mut pieces, mut bytes, mut last) = (Vec::new(), 0, None);
    for entry in of.disk()?.range(from, vec![prefix + 1]).whole() {
        let (key, value) = entry?;
        if pieces.len() >= AT_ONCE || bytes >= BYTES {
            return Ok(Page { pieces, next: last });
        }
        bytes += value.len();
        take(&key, value, &mut pieces)?;
        last = Some(key.to_vec());
    }
    Ok(Page { pieces, next: None })
}

fn events(of: &mut Folder, after: Option<&[u8]>) -> Result<Page, StoreError> {
    let after = after.map(number).transpose()?.unwrap_or(0);
    let (mut at, mut reader, limit) = match of.events.take().filter(|(at, ..)| *at == after && after > 0) {
        Some(open) => open,
        None => {
            let (_, limit) = end_of(&of.journal)?;
            (after, Reader::from(&of.journal, (after + 1, u64::MAX, u64::MAX))?, limit)
        }
    };
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while pieces.len() < AT_ONCE && bytes < BYTES {
        let Some((head, payload)) = reader.next(limit)? else { return Ok(Page { pieces, next: None }) };
        if head.kind != Sort::Events {
            continue;
        }
        bytes += payload.len();
        let batch: EventBatch<Event> = decode(&payload)?;
        for (position, event) in (head.first..).zip(batch.events).filter(|(position, _)| *position > after) {
            if at > 0 && position != at + 1 {
                return Err(StoreError::Damaged(format!("the journal goes on at event {position} after {at}")));
            }
            at = position;
            pieces.push(Piece::Event(Position(position), event));
        }
    }
    of.events = Some((at, reader, limit));
    Ok(Page { pieces, next: Some(at.to_be_bytes().to_vec()) })
}

fn number(bytes: &[u8]) -> Result<u64, StoreError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| odd())
}

fn message_keys(of: &mut Folder, after: Option<&[u8]>) -> Result<Page, StoreError> {
    let after: Option<[u8; 16]> = after.map(|after| id(after, 0)).transpose()?;
    let mut sorted = match (of.keys.take(), after) {
        (Some((at, sorted)), Some(after)) if at == after => sorted,
        _ => of.sorted()?,
    };
    let mut pieces = Vec::new();
    while let Some((key, at)) = sorted.next()? {
        if after.is_some_and(|after| key <= after) {
            continue;
        }
        pieces.push(Piece::Key(key, at));
        if pieces.len() >= AT_ONCE * 5 {
            of.keys = Some((key, sorted));
            return Ok(Page { pieces, next: Some(key.to_vec()) });
        }
    }
    Ok(Page { pieces, next: None })
}

fn everybody(of: &Folder, after: Option<&[u8]>) -> Result<Page, StoreError> {
    let from = after.map_or_else(|| vec![keys::PERSON], |after| [after, &[0]].concat());
    let disk = of.disk()?;
    let (mut pieces, mut weight, mut last) = (Vec::new(), 0, None);
    for key in disk.range(from, vec![keys::PERSON + 1]).keys() {
        let key = key?;
        if pieces.len() >= AT_ONCE / 2 || weight >= BYTES {
            return Ok(Page { pieces, next: last });
        }
        let Some((person, _)) = people::load(disk, PersonId(id(&key, 1)?))? else { continue };
        weight += person.history.weight();
        pieces.push(Piece::Person(Box::new(person)));
        last = Some(key.to_vec());
    }
    Ok(Page { pieces, next: None })
}

/// A dead letter whose end is gone goes too, a little later: it is counted no more.
fn lanes(of: &Folder) -> Result<Page, StoreError> {
    let disk = of.disk()?;
    let mut dead: HashMap<LaneName, u64> = HashMap::new();
    for entry in disk.prefix(&[keys::DEAD]).whole() {
        let (key, value) = entry?;
        if disk.has(&keys::ended(keys::read_seq(&key).ok_or_else(odd)?))? {
            *dead.entry(timed::decode::<LaneName>(&value)?.1).or_default() += 1;
        }
    }
    let lanes = of.state()?.lanes.into_iter().map(|(name, lane)| Lane {
        dead: dead.get(&name).copied().unwrap_or_default(),
        queued: lane.queued,
        deferred: lane.deferred,
        triggers: lane.triggers,
        totals: lane.totals,
        name,
    });
    Ok(Page::all(lanes.filter(|lane| !lane.is_empty()).map(Piece::Lane)))
}

/// By what stands for their names.
fn pools(of: &Folder) -> Result<BTreeMap<[u8; 8], StoredPool>, StoreError> {
    let mut pools = BTreeMap::new();
    for entry in of.disk()?.prefix(&[keys::POOL]).whole() {
        let pool: StoredPool = decode(&entry?.1)?;
        pools.insert(keys::short(&pool.name), pool);
    }
    Ok(pools)
}

/// Those that are open, then those that were answered.
fn accesses(of: &Folder, after: Option<&[u8]>) -> Result<Page, StoreError> {
    let take = |_: &[u8], value: Vec<u8>, found: &mut Vec<Piece>| -> Result<(), StoreError> {
        let (written, access): (Timestamp, Access) = timed::decode(&value)?;
        found.push(Piece::Access(written, access));
        Ok(())
    };
    if after.is_none_or(|after| after.first() == Some(&keys::OPEN)) {
        let page = scan(of, keys::OPEN, after, take)?;
        // The second half is begun by its own first byte.
        return Ok(Page { next: page.next.or_else(|| Some(vec![keys::ANSWERED])), ..page });
    }
    scan(of, keys::ANSWERED, after, take)
}

fn engine(of: &Folder) -> Result<Engine, StoreError> {
    let state = of.state()?;
    let (end, limit) = end_of(&of.journal)?;
    let mut open = None;
    if end.step > state.taken.step {
        let mut reader = Reader::from(&of.journal, (u64::MAX, u64::MAX, state.taken.step + 1))?;
        while let Some((head, payload)) = reader.next(limit)? {
            if head.kind == Sort::Step && head.first > state.taken.step {
                open = Some(decode::<StepRecord>(&payload)?);
                break;
            }
        }
    }
    Ok(Engine {
        journaled: Position(end.position),
        decided: state.decided,
        step: state.taken.step,
        seq: state.seq,
        people: state.people,
        reached: state.reached,
        program: state.program,
        adopted: state.taken.adopted,
        open,
    })
}
