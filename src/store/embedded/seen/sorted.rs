//! All message keys of a store in their order, each once, whatever files they lie in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{KEY, Seen, unavailable};
use crate::model::{DedupeKey, Timestamp};
use crate::store::StoreError;

/// Keys read at once of each file.
const READ: u64 = 4_096;

/// Goes through them once.
pub struct Sorted {
    files: Vec<Reading>,
    /// The next key of each, the lowest first.
    heads: BinaryHeap<Reverse<(DedupeKey, usize)>>,
}

/// Of one file, or of what is in memory.
struct Reading {
    file: Option<File>,
    /// Where the keys begin, how many there are, and how many of them were read.
    begins: u64,
    keys: u64,
    read: u64,
    some: std::vec::IntoIter<DedupeKey>,
    /// When the newest of them came.
    newest: Timestamp,
}

impl Sorted {
    /// Of what is open.
    pub fn of(seen: &Seen) -> Result<Self, StoreError> {
        let mut files = Vec::with_capacity(seen.runs.len() + 1);
        for run in &seen.runs {
            let file = Some(run.file.try_clone().map_err(unavailable)?);
            let some = Vec::new().into_iter();
            let (keys, newest) = (run.head.keys, run.head.newest);
            files.push(Reading { file, begins: run.keys_at, keys, read: 0, some, newest });
        }
        let mut fresh: Vec<DedupeKey> = seen.fresh.iter().copied().collect();
        fresh.sort_unstable();
        let some = fresh.into_iter();
        files.push(Reading { file: None, begins: 0, keys: 0, read: 0, some, newest: seen.newest });
        let mut sorted = Self { files, heads: BinaryHeap::new() };
        for n in 0..sorted.files.len() {
            sorted.advance(n)?;
        }
        Ok(sorted)
    }

    fn advance(&mut self, n: usize) -> Result<(), StoreError> {
        if let Some(reading) = self.files.get_mut(n)
            && let Some(key) = reading.next()?
        {
            self.heads.push(Reverse((key, n)));
        }
        Ok(())
    }

    /// The next key, with when the newest came of those that it lies among.
    pub fn next(&mut self) -> Result<Option<(DedupeKey, Timestamp)>, StoreError> {
        let Some(Reverse((key, n))) = self.heads.pop() else { return Ok(None) };
        let newest = |sorted: &Self, n: usize| sorted.files.get(n).map_or(Timestamp::MIN, |reading| reading.newest);
        let mut at = newest(self, n);
        self.advance(n)?;
        while let Some(Reverse((_, n))) = self.heads.peek().copied().filter(|Reverse((other, _))| *other == key) {
            self.heads.pop();
            at = at.max(newest(self, n));
            self.advance(n)?;
        }
        Ok(Some((key, at)))
    }
}

impl Reading {
    fn next(&mut self) -> Result<Option<DedupeKey>, StoreError> {
        if let Some(key) = self.some.next() {
            return Ok(Some(key));
        }
        let Some(file) = self.file.as_ref().filter(|_| self.read < self.keys) else { return Ok(None) };
        let n = READ.min(self.keys - self.read);
        let mut bytes = vec![0; usize::try_from(n * KEY).unwrap_or(0)];
        file.read_exact_at(&mut bytes, self.begins + self.read * KEY).map_err(unavailable)?;
        self.read += n;
        self.some = bytes.as_chunks::<16>().0.to_vec().into_iter();
        Ok(self.some.next())
    }
}
