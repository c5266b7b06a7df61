//! Message keys of the decided events, so that a repetition is known: the newest in memory, older ones in sorted files.
//!
//! All of it follows from the journal and can be made again from it; sled has no part in it. A file ("run") never changes
//! once it has its name. Each brings a filter of 9 bits a key that stays in memory, so that a key never seen, the
//! usual case, costs no read of the disk.

mod sorted;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

use super::frame::Kind;
use super::segments::{self, Limit, Reader, unavailable};
use crate::model::{DedupeKey, Event, Span, Timestamp};
use crate::store::StoreError;
use crate::store::record::{EventBatch, decode, encode};

/// Keys in memory before they become a run.
const FRESH: usize = 1 << 16;
/// Runs of one kind that are put together to one.
const TOGETHER: usize = 16;
const MAGIC: &[u8; 8] = b"ESPSEEN1";
/// Keys read at once around the place where one is expected: they are hashes, and so evenly spread.
const AROUND: u64 = 1_024;
const KEY: u64 = 16;

pub use sorted::Sorted;

/// What a run says of itself.
#[derive(Clone, Serialize, Deserialize)]
struct Head {
    /// Events after this position, up to `to`.
    after: u64,
    to: u64,
    /// Arrival of the newest of them.
    newest: Timestamp,
    keys: u64,
    /// Several runs put together.
    is_large: bool,
    /// The filter, in its own form.
    descriptor: [u8; BinaryFuse8::DESCRIPTOR_LEN],
    fingerprints: Vec<u8>,
}

struct Run {
    head: Head,
    path: PathBuf,
    file: File,
    /// Where the keys begin.
    keys_at: u64,
}

/// The keys of all decided events within the window.
pub struct Seen {
    folder: PathBuf,
    journal: PathBuf,
    window: Span,
    /// What there is was found: a daemon that starts accepts before that.
    is_open: bool,
    /// Oldest first, without a gap.
    runs: Vec<Run>,
    /// Keys of the events after the last run.
    fresh: HashSet<DedupeKey>,
    /// Up to this event.
    reached: u64,
    newest: Timestamp,
}

impl Seen {
    /// Knows nothing yet.
    pub fn new(store: &Path, journal: &Path, window: Span) -> Self {
        Self {
            folder: folder(store),
            journal: journal.to_owned(),
            window,
            is_open: false,
            runs: Vec::new(),
            fresh: HashSet::new(),
            reached: 0,
            newest: Timestamp::MIN,
        }
    }

    /// Forgets what is in memory: the state was taken back.
    pub fn close(&mut self) {
        self.is_open = false;
        self.runs.clear();
        self.fresh.clear();
    }

    /// Finds what there is, as far as events are decided, and reads the rest from the journal; once.
    pub fn open(&mut self, decided: u64) -> Result<(), StoreError> {
        if self.is_open {
            return Ok(());
        }
        self.close();
        fs::create_dir_all(&self.folder).map_err(unavailable)?;
        self.find_runs(decided)?;
        let first = segments::list(&self.journal)?.first().map_or(1, |s| s.position);
        self.reached = self.runs.last().map_or(0, |run| run.head.to).max(first - 1).min(decided);
        let mut reader = Reader::from(&self.journal, (self.reached + 1, u64::MAX, u64::MAX))?;
        while self.reached < decided {
            let Some((head, payload)) = reader.next(Limit::default())? else { break };
            if head.kind != Kind::Events || head.first + u64::from(head.count) <= self.reached + 1 {
                continue;
            }
            let events = decode::<EventBatch<Event>>(&payload)?.events;
            for (position, event) in (head.first..).zip(events) {
                if (self.reached + 1..=decided).contains(&position) {
                    self.add(event.dedupe.iter().map(|key| (*key, event.arrived)), position);
                }
            }
        }
        self.reached = decided;
        self.is_open = true;
        Ok(())
    }

    /// Runs that are whole, follow one another, and lie within what is decided; all others are removed.
    fn find_runs(&mut self, decided: u64) -> Result<(), StoreError> {
        let mut found: Vec<Run> = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(unavailable)? {
            let path = entry.map_err(unavailable)?.path();
            match Run::open(&path) {
                Some(run) if run.head.to <= decided => found.push(run),
                _ => fs::remove_file(&path).map_err(unavailable)?,
            }
        }
        // Of two that begin at one place, the one of several is the whole: a crash left those it was made of.
        found.sort_by_key(|run| (run.head.after, std::cmp::Reverse(run.head.to)));
        for run in found {
            let follows = self.runs.last().is_none_or(|last| last.head.to == run.head.after);
            match follows {
                true => self.runs.push(run),
                false => fs::remove_file(&run.path).map_err(unavailable)?,
            }
        }
        Ok(())
    }

    /// True if a message with this key was decided.
    pub fn has(&self, key: &DedupeKey) -> Result<bool, StoreError> {
        if self.fresh.contains(key) {
            return Ok(true);
        }
        for run in self.runs.iter().rev() {
            if run.has(key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keys of events that are decided now, up to `position`. Those before the opening are found by it.
    pub fn note(&mut self, keys: impl Iterator<Item = (DedupeKey, Timestamp)>, position: u64) {
        if self.is_open {
            self.add(keys, position);
        }
    }

    fn add(&mut self, keys: impl Iterator<Item = (DedupeKey, Timestamp)>, position: u64) {
        for (key, arrived) in keys {
            self.fresh.insert(key);
            self.newest = self.newest.max(arrived);
        }
        self.reached = self.reached.max(position);
        if self.fresh.len() >= FRESH
            && let Err(refused) = self.settle()
        {
            // They stay in memory, and follow from the journal: the next time will do.
            tracing::warn!(reason = %refused, "message keys cannot be written");
        }
    }

    /// Makes a run of what is fresh, puts small runs together, and forgets what is older than the window.
    fn settle(&mut self) -> Result<(), StoreError> {
        let after = self.runs.last().map_or(0, |run| run.head.to);
        let keys: Vec<DedupeKey> = self.fresh.iter().copied().collect();
        let run = Run::write(&self.folder, keys, after, self.reached, self.newest, false)?;
        self.runs.push(run);
        self.fresh.clear();
        let old = self.runs.iter().take_while(|run| run.head.newest + self.window < self.newest).count();
        for run in self.runs.drain(..old) {
            fs::remove_file(&run.path).map_err(unavailable)?;
        }
        let small = self.runs.iter().rev().take_while(|run| !run.head.is_large).count();
        if small >= TOGETHER {
            self.put_together(self.runs.len() - small)?;
        }
        Ok(())
    }

    fn put_together(&mut self, from: usize) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        for run in &self.runs[from..] {
            keys.extend(run.keys()?);
        }
        let Some((first, last)) = self.runs.get(from).zip(self.runs.last()) else { return Ok(()) };
        let (after, to, newest) = (first.head.after, last.head.to, last.head.newest);
        let large = Run::write(&self.folder, keys, after, to, newest, true)?;
        for run in self.runs.drain(from..) {
            fs::remove_file(&run.path).map_err(unavailable)?;
        }
        self.runs.push(large);
        Ok(())
    }
}

/// Writes keys of another store, which came up to this instant, as a run of these events.
pub fn copied(
    folder: &Path,
    keys: Vec<DedupeKey>,
    (after, to): (u64, u64),
    newest: Timestamp,
) -> Result<(), StoreError> {
    Run::write(folder, keys, after, to, newest, true).map(drop)
}

/// Where the runs of a store lie.
pub fn folder(store: &Path) -> PathBuf {
    store.join("seen")
}

/// Keys that one run of [`copied`] has at most.
pub const COPIED: usize = FRESH * TOGETHER;

impl Run {
    /// Writes one: it has its name when it is whole and on disk.
    fn write(
        folder: &Path,
        mut keys: Vec<DedupeKey>,
        after: u64,
        to: u64,
        newest: Timestamp,
        is_large: bool,
    ) -> Result<Self, StoreError> {
        keys.sort_unstable();
        keys.dedup();
        let mut short: Vec<u64> = keys.iter().map(short).collect();
        short.dedup();
        let filter = BinaryFuse8::try_from(short.as_slice()).map_err(|e| StoreError::Unavailable(e.to_owned()))?;
        let mut descriptor = [0; BinaryFuse8::DESCRIPTOR_LEN];
        filter.dma_copy_descriptor_to(&mut descriptor);
        let fingerprints = filter.dma_fingerprints().to_vec();
        let head = Head { after, to, newest, keys: keys.len() as u64, is_large, descriptor, fingerprints };
        let said = encode(&head);
        let path = folder.join(format!("{after:020}-{to:020}.run"));
        let unfinished = path.with_extension("unfinished");
        let mut bytes = Vec::with_capacity(said.len() + keys.len() * KEY as usize + 32);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(said.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&said).to_le_bytes());
        bytes.extend_from_slice(&said);
        for key in &keys {
            bytes.extend_from_slice(key);
        }
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .read(true)
            .open(&unfinished)
            .map_err(unavailable)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(unavailable)?;
        fs::rename(&unfinished, &path).map_err(unavailable)?;
        File::open(folder).and_then(|f| f.sync_all()).map_err(unavailable)?;
        Ok(Self { head, path, file, keys_at: 16 + said.len() as u64 })
    }

    /// `None` when it is not whole: it is made again.
    fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut start = [0; 16];
        file.read_exact_at(&mut start, 0).ok()?;
        let (magic, rest) = start.split_at(8);
        let (length, crc) = rest.split_at(4);
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let size = file.metadata().ok()?.len();
        if magic != MAGIC || size < 16 + u64::from(length) || path.extension().is_none_or(|e| e != "run") {
            return None;
        }
        let mut said = vec![0; length as usize];
        file.read_exact_at(&mut said, 16).ok()?;
        if crc32c::crc32c(&said).to_le_bytes() != crc {
            return None;
        }
        let head: Head = decode(&said).ok()?;
        let keys_at = 16 + u64::from(length);
        (size == keys_at + head.keys * KEY).then(|| Self { head, path: path.to_owned(), file, keys_at })
    }

    fn has(&self, key: &DedupeKey) -> Result<bool, StoreError> {
        let filter = BinaryFuse8Ref::from_dma(&self.head.descriptor, &self.head.fingerprints);
        if !filter.contains(&short(key)) {
            return Ok(false);
        }
        let expected = (u128::from(short(key)) * u128::from(self.head.keys)) >> 64;
        let expected = u64::try_from(expected).unwrap_or(0);
        let (mut from, mut to) = (expected.saturating_sub(AROUND), (expected + AROUND).min(self.head.keys));
        loop {
            let keys = self.read(from, to)?;
            match keys.binary_search(key) {
                Ok(_) => return Ok(true),
                // It would lie outside of what was read.
                Err(0) if from > 0 => from = from.saturating_sub(8 * AROUND),
                Err(place) if place == keys.len() && to < self.head.keys => {
                    to = (to + 8 * AROUND).min(self.head.keys);
                }
                Err(_) => return Ok(false),
            }
        }
    }

    fn read(&self, from: u64, to: u64) -> Result<Vec<DedupeKey>, StoreError> {
        let mut bytes = vec![0; usize::try_from(to.saturating_sub(from) * KEY).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, self.keys_at + from * KEY).map_err(unavailable)?;
        Ok(bytes.as_chunks::<16>().0.to_vec())
    }

    fn keys(&self) -> Result<Vec<DedupeKey>, StoreError> {
        self.read(0, self.head.keys)
    }
}

/// What the filter knows of a key.
fn short(key: &DedupeKey) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> DedupeKey {
        Event::dedupe_key(&["web", &n.to_string()])
    }

    fn seen(folder: &Path, decided: u64) -> Seen {
        let journal = folder.join("journal");
        fs::create_dir_all(&journal).expect("a folder");
        let mut seen = Seen::new(folder, &journal, Span::from_days(7));
        seen.open(decided).expect("whole runs");
        seen
    }

    fn note(seen: &mut Seen, numbers: std::ops::RangeInclusive<u64>) {
        for n in numbers {
            seen.note([(key(n), Timestamp::from_millis(i64::try_from(n).expect("small")))].into_iter(), n);
        }
    }

    #[test]
    fn keys_are_known_from_memory_and_from_runs_of_both_kinds() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut all = seen(folder.path(), 0);
        let most = (TOGETHER * FRESH + 2 * FRESH + 10) as u64;
        note(&mut all, 1..=most);
        assert_eq!(all.runs.iter().map(|r| r.head.is_large).collect::<Vec<_>>(), [true, false, false]);
        for n in (1..=most).step_by(997).chain([1, most]) {
            assert!(all.has(&key(n)).expect("a read"), "{n}");
        }
        let strangers = (most + 1..most + 50_000).filter(|n| all.has(&key(*n)).expect("a read")).count();
        assert_eq!(strangers, 0);
        // What lies beyond the decided events is gone, with the runs that reach beyond them.
        let part = seen(folder.path(), most - 11 - FRESH as u64);
        assert_eq!(part.runs.len(), 1);
        assert!(part.has(&key(5)).expect("a read"));
        assert!(!part.has(&key(most - 20)).expect("a read"));
    }

    #[test]
    fn a_run_that_is_not_whole_is_removed_and_what_follows_it_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut all = seen(folder.path(), 0);
        note(&mut all, 1..=3 * FRESH as u64);
        let second = all.runs[1].path.clone();
        let bytes = fs::read(&second).expect("a run");
        for cut in [0, 5, 20, bytes.len() - 1] {
            fs::write(&second, &bytes[..cut]).expect("a torn run");
            assert!(Run::open(&second).is_none(), "cut at {cut}");
        }
        let left = seen(folder.path(), u64::MAX);
        assert_eq!(left.runs.len(), 1);
        assert_eq!(fs::read_dir(folder.path().join("seen")).expect("the runs").count(), 1);
    }

    #[test]
    fn runs_older_than_the_window_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut all = seen(folder.path(), 0);
        note(&mut all, 1..=FRESH as u64);
        let late = Timestamp::from_millis(0) + Span::from_days(40);
        let more = (1..=FRESH as u64).map(|n| (key(n + FRESH as u64), late));
        all.note(more, 2 * FRESH as u64);
        assert_eq!(all.runs.len(), 1);
        assert!(!all.has(&key(1)).expect("a read"));
    }
}
