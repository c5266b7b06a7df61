//! A lane's rows as they wait: a window of the next ones in memory, all of them in the tree.
//!
//! The window holds every ready row up to its bound that nobody has taken, so that the usual way of an activation,
//! queued and sent within a moment, never reads the tree.

use std::collections::{BTreeMap, HashMap};

use super::keys;
use super::tree::{Disk, refused};
use crate::model::{Activation, Timestamp};
use crate::store::StoreError;
use crate::store::record::{Row, StoredActivation, decode};

/// Rows kept in memory for one lane.
const WINDOW: usize = 20_000;
/// Rows read at once when the window is empty.
const REFILL: usize = 4_000;

/// A row with what is to be sent.
#[derive(Clone, Debug)]
pub struct Queued {
    pub seq: u64,
    pub activation: Activation,
    pub row: Row,
}

impl Queued {
    /// Its key in the tree.
    pub fn key(&self, lane: [u8; 4]) -> Vec<u8> {
        keys::row(lane, self.activation.priority, self.seq)
    }
}

/// How far the window reaches.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    /// Up to this key.
    Key(Vec<u8>),
    /// It holds all there are.
    Everything,
}

/// One lane.
#[derive(Debug)]
pub struct Lane {
    pub id: [u8; 4],
    window: BTreeMap<Vec<u8>, Queued>,
    bound: Bound,
    /// In somebody's hands, by place.
    taken: HashMap<u64, Queued>,
}

impl Lane {
    /// Knows nothing yet of what the tree holds.
    pub fn new(name: &str) -> Self {
        Self { id: keys::lane(name), window: BTreeMap::new(), bound: Bound::Key(Vec::new()), taken: HashMap::new() }
    }

    /// A row that was queued, given back, or whose time came.
    pub fn insert(&mut self, queued: Queued) {
        let key = queued.key(self.id);
        if Bound::Key(key.clone()) <= self.bound {
            self.window.insert(key, queued);
            if self.window.len() > WINDOW {
                self.window.pop_last();
                if let Some((last, _)) = self.window.last_key_value() {
                    self.bound = Bound::Key(last.clone());
                }
            }
        }
    }

    /// Takes up to `max` rows ready at `now`, in order.
    pub fn take(&mut self, disk: &Disk, now: Timestamp, max: usize) -> Result<Vec<Queued>, StoreError> {
        self.wake(disk, now, max)?;
        if self.window.is_empty() && self.bound != Bound::Everything {
            self.refill(disk, now)?;
        }
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((_, queued)) = self.window.pop_first() else { break };
            self.taken.insert(queued.seq, queued.clone());
            taken.push(queued);
        }
        Ok(taken)
    }

    /// Rows that waited for a time that has come go into the window, if they lie within its bound; the others are
    /// found when the window is filled up to them.
    fn wake(&mut self, disk: &Disk, now: Timestamp, max: usize) -> Result<(), StoreError> {
        for key in disk.tree.range(keys::waiting_until(self.id, now)).keys().take(max + self.taken.len()) {
            let key = key.map_err(refused)?;
            let Some((_, row)) = keys::read_waiting(&key) else { continue };
            let Some(seq) = keys::read_seq(&row) else { continue };
            if self.taken.contains_key(&seq) || self.window.contains_key(&row) {
                continue;
            }
            if let Some(queued) = read(disk, self.id, &row)? {
                self.insert(queued);
            }
        }
        Ok(())
    }

    fn refill(&mut self, disk: &Disk, now: Timestamp) -> Result<(), StoreError> {
        let prefix = keys::rows(self.id);
        let from = match &self.bound {
            Bound::Key(key) if !key.is_empty() => key.clone(),
            _ => prefix.clone(),
        };
        let mut last = None;
        let mut read_rows = 0;
        for entry in disk.tree.range(from.clone()..) {
            let (key, first) = entry.map_err(refused)?;
            if !key.starts_with(&prefix) {
                break;
            }
            if read_rows >= REFILL {
                self.bound = Bound::Key(last.unwrap_or(from));
                return Ok(());
            }
            last = Some(key.to_vec());
            let Some(seq) = keys::read_seq(&key) else { continue };
            if self.taken.contains_key(&seq) || self.window.contains_key(&*key) {
                continue;
            }
            let row: Row = decode(&disk.whole(&key, &first)?)?;
            if row.not_before.is_some_and(|at| at > now) {
                continue;
            }
            if let Some(queued) = join(disk, self.id, row)? {
                self.window.insert(key.to_vec(), queued);
                read_rows += 1;
            }
        }
        self.bound = Bound::Everything;
        Ok(())
    }

    /// What is in somebody's hands.
    pub fn taken(&self, seq: u64) -> Option<&Queued> {
        self.taken.get(&seq)
    }

    /// It is in nobody's hands any more.
    pub fn put_down(&mut self, seq: u64) -> Option<Queued> {
        self.taken.remove(&seq)
    }

    /// Takes a row out that was called back; false when it is in somebody's hands.
    pub fn call_back(&mut self, seq: u64, priority: u8) -> bool {
        if self.taken.contains_key(&seq) {
            return false;
        }
        self.window.remove(&keys::row(self.id, priority, seq));
        true
    }

    /// Notes that it may have left.
    pub fn began(&mut self, seq: u64) {
        if let Some(queued) = self.taken.get_mut(&seq) {
            queued.row.may_have_left = true;
        }
    }

    /// The edge of the oldest row in memory: exact while fewer rows wait than the window holds.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.window.values().chain(self.taken.values()).map(|q| q.activation.at).min()
    }
}

/// A row of the tree with its activation.
pub fn read(disk: &Disk, lane: [u8; 4], key: &[u8]) -> Result<Option<Queued>, StoreError> {
    match disk.get(key)? {
        Some(bytes) => join(disk, lane, decode(&bytes)?),
        None => Ok(None),
    }
}

fn join(disk: &Disk, lane: [u8; 4], row: Row) -> Result<Option<Queued>, StoreError> {
    let Some(bytes) = disk.get(&keys::activation(row.occasion, lane))? else { return Ok(None) };
    let StoredActivation { seq, activation } = super::timed::decode(&bytes)?.1;
    Ok(Some(Queued { seq, activation, row }))
}
