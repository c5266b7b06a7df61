//! A lane's rows as they wait: a window of the next ones in memory, all of them in the tree.
//!
//! The window holds every ready row up to its bound that nobody has taken, so that the usual way of an activation,
//! queued and sent within a moment, never reads the tree.

use std::collections::{BTreeMap, HashMap};

use super::overlay::Batch;
use super::state::State;
use super::tree::{Disk, put};
use super::{held, keys, timed};
use crate::model::{Activation, Attempt, Outcome, Timestamp};
use crate::store::StoreError;
use crate::store::record::{Place, Row, decode, encode};

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

    /// Writes it, as it is now.
    pub fn put(&self, batch: &mut Batch, lane: [u8; 4]) {
        put(batch, self.key(lane), &encode(&(&self.row, &self.activation)));
    }

    /// Takes it out of the tree, and out of the counts.
    pub fn remove(&self, batch: &mut Batch, state: &mut State) {
        let lane = keys::lane(&self.activation.lane);
        batch.remove(self.key(lane));
        let counts = state.lane(&self.activation.lane);
        counts.queued = counts.queued.saturating_sub(1);
        if self.activation.is_held() {
            batch.remove(held::key(self));
        }
        if let Some(at) = self.row.not_before {
            batch.remove(keys::waiting(lane, at, self.activation.priority, self.seq));
            counts.deferred = counts.deferred.saturating_sub(1);
        }
    }
}

/// Writes how an activation ended, and a dead letter when it can never be sent.
pub fn put_end(batch: &mut Batch, state: &mut State, at: Timestamp, seq: u64, attempts: &[Attempt], of: &Activation) {
    put(batch, keys::ended(seq), &timed::encode(at, &(attempts, of)));
    if let Some(last) = attempts.last() {
        state.lane(&of.lane).ended(&last.outcome);
    }
    if attempts.last().is_some_and(|a| matches!(a.outcome, Outcome::Refused { .. })) {
        put(batch, keys::dead(seq), &timed::encode(at, &of.lane));
        state.lane(&of.lane).dead += 1;
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
        let waiting = keys::waiting_until(self.id, now);
        for key in disk.range(waiting.start, waiting.end).keys().take(max + self.taken.len()) {
            let key = key?;
            let Some((_, row)) = keys::read_waiting(&key) else { continue };
            let Some(seq) = keys::read_seq(&row) else { continue };
            if self.taken.contains_key(&seq) || self.window.contains_key(&row) {
                continue;
            }
            if let Some(queued) = read(disk, &row)? {
                self.insert(queued);
            }
        }
        Ok(())
    }

    fn refill(&mut self, disk: &Disk, now: Timestamp) -> Result<(), StoreError> {
        let from = match &self.bound {
            Bound::Key(key) if !key.is_empty() => key.clone(),
            _ => keys::rows(self.id),
        };
        let mut last = None;
        let mut read_rows = 0;
        for entry in disk.range(from.clone(), keys::rows_end(self.id)) {
            let (key, first) = entry?;
            if read_rows >= REFILL {
                self.bound = Bound::Key(last.unwrap_or(from));
                return Ok(());
            }
            last = Some(key.to_vec());
            let Some(seq) = keys::read_seq(&key) else { continue };
            if self.taken.contains_key(&seq) || self.window.contains_key(&*key) {
                continue;
            }
            let (row, activation): (Row, Activation) = decode(&disk.whole(&key, &first)?)?;
            if row.not_before.is_some_and(|at| at > now) {
                continue;
            }
            self.window.insert(key.to_vec(), Queued { seq, activation, row });
            read_rows += 1;
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

    /// Forgets a row that is no more.
    pub fn forget(&mut self, place: &Place) {
        self.window.remove(&keys::place(place));
        self.taken.remove(&place.seq);
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

/// A row of the tree.
pub fn read(disk: &Disk, key: &[u8]) -> Result<Option<Queued>, StoreError> {
    let (Some(bytes), Some(seq)) = (disk.get(key)?, keys::read_seq(key)) else { return Ok(None) };
    let (row, activation): (Row, Activation) = decode(&bytes)?;
    Ok(Some(Queued { seq, activation, row }))
}
