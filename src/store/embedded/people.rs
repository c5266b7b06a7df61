//! People in the tree.

use super::keys;
use super::overlay::Batch;
use super::tree::{Disk, put};
use crate::model::{Entry, Person, PersonId, Position, Timestamp};
use crate::store::StoreError;
use crate::store::record::{Header, StoredEntry, decode, encode};

/// The newest entries lie in the header, up to this many bytes: most people are read and written as one value. Beyond
/// that they go to a block beside it.
const RECENT: usize = 2 << 10;
/// So many blocks become one: an entry is written about three times in all, however long a history is.
const TOGETHER: u32 = 4;

/// How a person lies in the tree: needed to write them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub wake: Option<Timestamp>,
    /// How often entries went to a block: says which blocks there are.
    pub bases: u32,
    /// Entries in the header: those of the highest positions.
    pub recent: usize,
}

/// Reads a person with all their entries.
pub fn load(disk: &Disk, id: PersonId) -> Result<Option<(Person, Shape)>, StoreError> {
    let Some(bytes) = disk.get(&keys::person(id))? else { return Ok(None) };
    let mut header: Header = decode(&bytes)?;
    let recent = std::mem::take(&mut header.recent);
    let shape = Shape { wake: header.wake, bases: header.bases, recent: recent.len() };
    let mut entries: Vec<Entry> = Vec::with_capacity(recent.len());
    for n in blocks(shape.bases) {
        entries.extend(base(disk, id, n)?.into_iter().map(StoredEntry::into_entry));
    }
    entries.extend(recent.into_iter().map(StoredEntry::into_entry));
    Ok(Some((header.into_person(id, entries), shape)))
}

fn base(disk: &Disk, id: PersonId, n: u32) -> Result<Vec<StoredEntry>, StoreError> {
    match disk.get(&keys::base(id, n))? {
        Some(bytes) => decode(&bytes),
        None => Err(StoreError::Damaged("a part of a person's history is missing".into())),
    }
}

/// Writes the header with these new entries; when it grows too large, its entries go to a block.
pub fn append(
    disk: &Disk,
    batch: &mut Batch,
    person: &Person,
    new: &[Position],
    old: Shape,
) -> Result<Shape, StoreError> {
    let recent = newest(person, old.recent + new.len());
    if recent.iter().map(size_of_entry).sum::<usize>() <= RECENT {
        return Ok(header(batch, person, old, recent, old.bases));
    }
    let bases = old.bases + 1;
    let mut first = old.bases;
    let mut values = recent;
    if bases.is_multiple_of(TOGETHER) {
        first = bases - TOGETHER;
        let mut all = Vec::new();
        for n in first..old.bases {
            all.extend(base(disk, person.id, n)?);
            batch.remove(keys::base(person.id, n));
        }
        all.append(&mut values);
        values = all;
    }
    put(batch, keys::base(person.id, first), &encode(&values));
    Ok(header(batch, person, old, Vec::new(), bases))
}

/// Where blocks begin: whole ones of several, then single ones.
fn blocks(bases: u32) -> impl Iterator<Item = u32> {
    let singles = bases - bases % TOGETHER;
    (0..singles).step_by(TOGETHER as usize).chain(singles..bases)
}

/// The `count` entries of the highest positions. They are near the end of the history, but for those that came late.
fn newest(person: &Person, count: usize) -> Vec<StoredEntry> {
    let entries = person.history.entries();
    let mut positions: Vec<Position> = entries.iter().map(|e| e.position).collect();
    let Some(place) = positions.len().checked_sub(count) else { return entries.iter().map(StoredEntry::of).collect() };
    if count == 0 {
        return Vec::new();
    }
    let (_, from, _) = positions.select_nth_unstable(place);
    entries.iter().filter(|e| e.position >= *from).map(StoredEntry::of).collect()
}

/// About what an entry takes on disk.
fn size_of_entry(entry: &StoredEntry) -> usize {
    entry.properties.get().len() + 64
}

/// Writes everything.
pub fn whole(batch: &mut Batch, person: &Person, old: Shape) -> Shape {
    let mut bases = 0;
    let mut one: Vec<StoredEntry> = Vec::new();
    let mut size = 0;
    for n in blocks(old.bases) {
        batch.remove(keys::base(person.id, n));
    }
    for entry in person.history.entries().iter().map(StoredEntry::of) {
        size += size_of_entry(&entry);
        one.push(entry);
        if size >= RECENT * TOGETHER as usize {
            put(batch, keys::base(person.id, bases), &encode(&one));
            (bases, size) = (bases + TOGETHER, 0);
            one.clear();
        }
    }
    // The header's entries are those of the highest positions: what is left here need not be.
    if !one.is_empty() && (bases > 0 || size > RECENT) {
        put(batch, keys::base(person.id, bases), &encode(&one));
        bases += TOGETHER;
        one.clear();
    }
    header(batch, person, old, one, bases)
}

fn header(batch: &mut Batch, person: &Person, old: Shape, recent: Vec<StoredEntry>, bases: u32) -> Shape {
    let header = Header::of(person, recent, bases);
    let shape = Shape { wake: header.wake, bases, recent: header.recent.len() };
    put(batch, keys::person(person.id), &encode(&header));
    if shape.wake != old.wake {
        if let Some(at) = old.wake {
            batch.remove(keys::wake(at, person.id));
        }
        if let Some(at) = shape.wake {
            batch.insert(keys::wake(at, person.id), &[]);
        }
    }
    shape
}

/// Removes all that is kept of a person but the log of decisions: further parts of long values too, also of former ones.
pub fn remove(disk: &Disk, batch: &mut Batch, id: PersonId, old: Shape) -> Result<(), StoreError> {
    for of in [keys::person(id), keys::bases(id)] {
        for key in disk.prefix(&keys::parts(&of)).keys() {
            batch.remove(key?);
        }
    }
    for n in blocks(old.bases) {
        batch.remove(keys::base(id, n));
    }
    batch.remove(keys::person(id));
    if let Some(at) = old.wake {
        batch.remove(keys::wake(at, id));
    }
    Ok(())
}
