//! A lane's rows as they wait: a window of the next ones in memory, all of them in the tree.
//!
//! The window holds every ready row up to its bound that nobody has taken, so that the usual way of an activation,
//! queued and sent within a moment, never reads the tree.

use std::collections::{BTreeMap, HashMap};

use super::overlay::Batch;
use super::state::State;
use super::tree::{Disk, put};
use super::turns::{self, Turns};
use super::{held, keys, timed};
use crate::model::{Action, Activation, Attempt, Outcome, Span, Timestamp};
use crate::store::StoreError;
use crate::store::lists::Lists;
use crate::store::record::{Place, Row, decode, encode};

/// Rows kept in memory for one lane.
const WINDOW: usize = 20_000;
/// Rows read at once when the window is empty.
const REFILL: usize = 4_000;
/// Of so many rows that are given out, one goes to whom waits longest behind the highest priority.
const ONE_IN: usize = 10;
/// Rows of one priority that are looked at, at most, to find its first that is ready.
const LOOKED_AT: usize = 100;
/// Rows that were passed by because their time had not come are looked at again after so long at the latest.
const PASSED: Span = Span::HOUR;

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
        counts.take(&self.activation.trigger);
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
    let last = attempts.last().filter(|_| of.action == Action::Erase);
    if let Some(last) = last {
        let key = keys::erased(of.occasion, keys::lane(&of.lane));
        put(batch, key, &timed::encode(at, &(&of.lane, last)));
    }
    // Who is forgotten everywhere is named nowhere any more.
    let nameless = last.filter(|last| last.outcome.has_effect()).map(|_| of.nameless());
    put(batch, keys::ended(seq), &timed::encode(at, &(attempts, nameless.as_ref().unwrap_or(of))));
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
    /// Whose turn it is.
    turns: Turns,
    /// What an earlier process left waiting for another try is known.
    remembered: bool,
    /// Rows given out since one went to whom waits longest.
    credit: usize,
    /// Up to where rows of a priority, by its byte, were passed by: none of them is ready.
    passed: BTreeMap<u8, Vec<u8>>,
    /// When that is forgotten.
    passed_until: Timestamp,
}

/// The byte of a row's key that stands for its priority: lower goes first.
fn class(key: &[u8]) -> Option<u8> {
    key.get(5).copied()
}

/// Where the rows of a priority begin.
fn rows_of(lane: [u8; 4], class: u8) -> Vec<u8> {
    keys::row(lane, u8::MAX - class, 0)
}

impl Lane {
    /// Knows nothing yet of what the tree holds.
    pub fn new(name: &str) -> Self {
        Self {
            id: keys::lane(name),
            window: BTreeMap::new(),
            bound: Bound::Key(Vec::new()),
            taken: HashMap::new(),
            turns: Turns::default(),
            remembered: false,
            credit: 0,
            passed: BTreeMap::new(),
            passed_until: Timestamp::MIN,
        }
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
        } else if let Some(passed) = class(&key).and_then(|class| self.passed.get_mut(&class))
            && key < *passed
        {
            *passed = key;
        }
    }

    /// Takes up to `max` rows ready at `now`, in order; of one person nothing that is behind what somebody has, or what
    /// is tried again. Behind more than that, those that wait longest have a bounded part of it, at its end.
    pub fn take(&mut self, disk: &Disk, now: Timestamp, max: usize) -> Result<Vec<Queued>, StoreError> {
        self.remember(disk)?;
        self.wake(disk, now, max)?;
        if self.window.is_empty() && self.bound != Bound::Everything {
            self.refill(disk, now)?;
        }
        let mut longest = Vec::new();
        if self.window.len() > max || self.bound != Bound::Everything {
            self.credit += max;
            longest = self.longest(disk, now, self.credit / ONE_IN)?;
            self.credit %= ONE_IN;
        }
        let (mut taken, mut behind, mut lists) = (Vec::new(), Vec::new(), Lists::default());
        while taken.len() + longest.len() < max {
            let Some((_, queued)) = self.window.pop_first() else { break };
            if self.turns.may_leave(&queued) && lists.agree(&queued.activation) {
                taken.push(queued)
            } else {
                behind.push(queued)
            }
        }
        for queued in longest {
            if self.turns.may_leave(&queued) && lists.agree(&queued.activation) {
                taken.push(queued)
            } else {
                behind.push(queued)
            }
        }
        for queued in behind {
            self.insert(queued);
        }
        for queued in &taken {
            self.turns.take(queued);
            self.taken.insert(queued.seq, queued.clone());
        }
        Ok(taken)
    }

    /// Once: what waits for another try since before this process, so that nothing passes it by.
    fn remember(&mut self, disk: &Disk) -> Result<(), StoreError> {
        if self.remembered {
            return Ok(());
        }
        for key in disk.prefix(&keys::all_waiting(self.id)).keys().take(turns::REMEMBERED) {
            let Some((_, row)) = keys::read_waiting(&key?) else { continue };
            if let Some(queued) = read(disk, &row)?.filter(|queued| !queued.row.attempts.is_empty()) {
                self.turns.wait(&queued);
            }
        }
        self.remembered = true;
        Ok(())
    }

    /// Takes up to `most` rows of the priority whose first ready row waits longest, the highest one aside.
    fn longest(&mut self, disk: &Disk, now: Timestamp, most: usize) -> Result<Vec<Queued>, StoreError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        if now >= self.passed_until {
            self.passed_until = now + PASSED;
            self.passed.clear();
        }
        // The first of each priority: in the window, and behind it in the tree.
        let mut firsts: Vec<Vec<u8>> = Vec::new();
        let mut from = keys::rows(self.id);
        while let Some((key, _)) = self.window.range(from..).next() {
            firsts.push(key.clone());
            let Some(next) = class(key).and_then(|class| class.checked_add(1)) else { break };
            from = rows_of(self.id, next);
        }
        let mut behind = match &self.bound {
            Bound::Key(key) => match firsts.last() {
                Some(last) => class(last).and_then(|class| class.checked_add(1)),
                None => class(key),
            },
            Bound::Everything => None,
        };
        while let Some(next) = behind {
            let Some(entry) = disk.range(rows_of(self.id, next), keys::rows_end(self.id)).next() else { break };
            let (key, _) = entry?;
            let Some(found) = class(&key) else { break };
            firsts.extend(self.ready(disk, now, found, 1)?.pop().map(|queued| queued.key(self.id)));
            behind = found.checked_add(1);
        }
        // The highest priority is served in any case.
        let Some(first) = firsts.into_iter().skip(1).min_by_key(|key| keys::read_seq(key)) else {
            return Ok(Vec::new());
        };
        let Some(of) = class(&first) else { return Ok(Vec::new()) };
        if !self.window.contains_key(&first) {
            return self.ready(disk, now, of, most);
        }
        let rows = self.window.range(first..).take_while(|(key, _)| class(key) == Some(of)).take(most);
        let rows: Vec<Vec<u8>> = rows.map(|(key, _)| key.clone()).collect();
        Ok(rows.iter().filter_map(|key| self.window.remove(key)).collect())
    }

    /// The first rows of a priority in the tree that are ready and that nobody has.
    fn ready(&mut self, disk: &Disk, now: Timestamp, of: u8, most: usize) -> Result<Vec<Queued>, StoreError> {
        let begin = self.passed.get(&of).cloned().unwrap_or_else(|| rows_of(self.id, of));
        let end = of.checked_add(1).map_or_else(|| keys::rows_end(self.id), |next| rows_of(self.id, next));
        let mut found = Vec::new();
        for entry in disk.range(begin, end).take(most.max(LOOKED_AT)) {
            let (key, first) = entry?;
            let Some(seq) = keys::read_seq(&key) else { continue };
            let is_free = !self.taken.contains_key(&seq) && !self.window.contains_key(&*key);
            let (row, activation): (Row, Activation) = decode(&disk.whole(&key, &first)?)?;
            if is_free && row.not_before.is_none_or(|at| at <= now) {
                found.push(Queued { seq, activation, row });
                if found.len() >= most {
                    break;
                }
            } else if found.is_empty() && row.not_before.is_some_and(|at| at > now) {
                self.passed.insert(of, key.to_vec());
            }
        }
        Ok(found)
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
        let queued = self.taken.remove(&seq)?;
        self.turns.put_down(&queued);
        Some(queued)
    }

    /// It waits for another try: what is behind it waits too.
    pub fn wait(&mut self, queued: &Queued) {
        self.turns.wait(queued);
    }

    /// It has ended.
    pub fn end(&mut self, seq: u64) {
        self.turns.end(seq);
    }

    /// Forgets a row that is no more.
    pub fn forget(&mut self, place: &Place) {
        self.window.remove(&keys::place(place));
        self.put_down(place.seq);
        self.end(place.seq);
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

/// Rows put into one batch.
const STEP: usize = 1_000;

/// Notes of every row that could have left by `now` that it may have: what was begun, or settled, since a snapshot was
/// written is not known to it.
pub fn doubt(disk: &Disk, now: Timestamp) -> Result<(), StoreError> {
    let mut after = vec![keys::ROW];
    loop {
        let page: Vec<_> = disk.range(after, vec![keys::ROW + 1]).whole().take(STEP).collect::<Result<_, _>>()?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        // The next key that there can be.
        after = [&last[..], &[0]].concat();
        let mut batch = Batch::default();
        for (key, bytes) in &page {
            let (mut row, activation): (Row, Activation) = decode(bytes)?;
            if !row.may_have_left && activation.leaves_from() <= now {
                row.may_have_left = true;
                put(&mut batch, key.to_vec(), &encode(&(&row, &activation)));
            }
        }
        disk.apply(batch)?;
    }
}
