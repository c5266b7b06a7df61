//! sled's one tree with the layers over it: values with an envelope of parts, and reads that see every write at once.

use std::fs::File;
use std::iter::Peekable;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sled::{IVec, Tree};

use super::overlay::{Batch, Overlay};
use super::{durable, keys, poisoned};
use crate::store::StoreError;

/// sled never frees blob files that hold larger values: this is far below their size.
const LARGEST: usize = 56 << 10;
/// Values from this length on are packed: JSON says the same words again and again.
const WORTH_PACKING: usize = 256;
/// The first bytes of a value stay as they are: what ages is looked at without unpacking (`timed`).
const PLAIN: usize = 8;
/// In a value's first byte, beside the number of further parts.
const PACKED: u8 = 0x80;
/// No value is longer than this when it is unpacked.
const LONGEST: usize = 64 << 20;
/// How often, and after what time, a lock that is about to be given back is tried again.
const LOCKED: u32 = 1_000;
const AGAIN: Duration = Duration::from_millis(10);
/// Keys of the layers that a scan looks at in one go.
const PAGE: usize = 256;

/// sled, its tree, and the file that its flush leaves to the kernel.
pub struct Disk {
    db: sled::Db,
    /// One tree: one batch over it is atomic.
    tree: Tree,
    file: PathBuf,
    overlay: Overlay,
    /// Held by whoever writes to sled.
    sinking: Mutex<()>,
    /// sled met an I/O error: it refuses everything from then on.
    failed: AtomicBool,
}

impl Disk {
    /// Opens or makes it. The folder is ours alone: should sled's own lock be held, then by threads of an earlier opening
    /// that are about to end.
    pub fn open(folder: &Path, cache: u64) -> Result<Self, sled::Error> {
        let config = sled::Config::new().path(folder).cache_capacity(cache).flush_every_ms(None);
        let mut tries = 0;
        let db = loop {
            match config.open() {
                Err(sled::Error::Io(error)) if tries < LOCKED && error.to_string().contains("acquire lock") => {
                    tries += 1;
                    std::thread::sleep(AGAIN);
                }
                opened => break opened?,
            }
        };
        let tree = db.open_tree("espalier")?;
        let (overlay, sinking, failed) = Default::default();
        Ok(Self { db, tree, file: folder.join("db"), overlay, sinking, failed })
    }

    /// Writes a batch: readers see all of it at once. It is on disk after the next [`Disk::sync`]. Returns the bytes
    /// that wait for that.
    pub fn apply(&self, batch: Batch) -> Result<usize, StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("sled met an I/O error".into()));
        }
        self.overlay.apply(batch)
    }

    /// Everything applied so far is on disk when this returns, in one atomic batch: sled's flush ends in
    /// `sync_file_range`, which is no barrier against a power cut, so its file is synced after it.
    pub fn sync(&self) -> Result<(), StoreError> {
        let _alone = self.sinking.lock().map_err(|_| poisoned())?;
        // What an earlier call left half-way, then the rest.
        self.sink()?;
        self.sink()
    }

    fn sink(&self) -> Result<(), StoreError> {
        let layer = self.overlay.sink()?;
        if !layer.is_empty() {
            let mut batch = sled::Batch::default();
            for (key, value) in &*layer {
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            let written = self.tree.apply_batch(batch).and_then(|()| self.db.flush()).map_err(refused);
            let synced = written.and_then(|_| {
                let file = File::options().write(true).open(&self.file);
                let synced = file.and_then(|file| durable::synced(&file));
                synced.map_err(|e| StoreError::Unavailable(e.to_string()))
            });
            if synced.is_err() {
                self.failed.store(true, Ordering::Release);
            }
            synced?;
        }
        self.overlay.sunk()
    }

    /// False once an I/O error was met: sled refuses everything from then on.
    pub fn is_sound(&self) -> bool {
        !self.failed.load(Ordering::Acquire) && self.db.flush().is_ok()
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    /// The first part of what lies there, as it lies there.
    pub fn first(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        match self.overlay.get(key)? {
            Some(known) => Ok(known),
            None => self.tree.get(key).map_err(refused),
        }
    }

    /// True when there is a value.
    pub fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        match self.overlay.get(key)? {
            Some(known) => Ok(known.is_some()),
            None => self.tree.contains_key(key).map_err(refused),
        }
    }

    /// A value, its parts put together.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.first(key)? {
            None => Ok(None),
            Some(first) => self.whole(key, &first).map(Some),
        }
    }

    /// The last key from `from` up to and including `to`, and its value: among keys that are never taken away.
    pub fn floor(&self, from: &[u8], to: &[u8]) -> Result<Option<(IVec, Vec<u8>)>, StoreError> {
        // sled is asked after the layers, so that what sinks meanwhile is seen by one of the two.
        let above = self.overlay.floor(from, to)?;
        let below = self.tree.range(from..=to).next_back().transpose().map_err(refused)?;
        let (key, first) = match (above, below) {
            (Some((above, Some(first))), below) if below.as_ref().is_none_or(|(below, _)| *below <= above) => {
                (above, first)
            }
            (_, Some(below)) => below,
            (_, None) => return Ok(None),
        };
        let value = self.whole(&key, &first)?;
        Ok(Some((key, value)))
    }

    /// The value that begins with `first`.
    pub fn whole(&self, key: &[u8], first: &[u8]) -> Result<Vec<u8>, StoreError> {
        let Some((head, body)) = first.split_first() else { return Err(StoreError::Damaged("an empty value".into())) };
        let parts = u32::from(head & !PACKED);
        if parts == 0 {
            return if head & PACKED == 0 { Ok(body.to_vec()) } else { unpack(body) };
        }
        let mut value = body.to_vec();
        for n in 1..=parts {
            let part = self.first(&keys::part(key, n))?;
            value.extend_from_slice(&part.ok_or_else(|| StoreError::Damaged("a part of a value is missing".into()))?);
        }
        if head & PACKED == 0 { Ok(value) } else { unpack(&value) }
    }

    /// Keys from `from` on and before `to`, with the first part of their values, in order.
    pub fn range(&self, from: Vec<u8>, to: Vec<u8>) -> Scan<'_> {
        Scan::new(self, Bound::Included(from), Bound::Excluded(to), false)
    }

    /// Those whose key begins with `prefix`, in order of key.
    pub fn prefix(&self, prefix: &[u8]) -> Scan<'_> {
        Scan::new(self, Bound::Included(prefix.to_vec()), after(prefix), false)
    }

    /// The same, last first.
    pub fn prefix_back(&self, prefix: &[u8]) -> Scan<'_> {
        Scan::new(self, Bound::Included(prefix.to_vec()), after(prefix), true)
    }

    /// Keys from `from` on and before `to`, last first.
    pub fn range_back(&self, from: Vec<u8>, to: Vec<u8>) -> Scan<'_> {
        Scan::new(self, Bound::Included(from), Bound::Excluded(to), true)
    }

    /// Everything.
    pub fn everything(&self) -> Scan<'_> {
        Scan::new(self, Bound::Unbounded, Bound::Unbounded, false)
    }
}

/// The end of all keys that begin with `prefix`.
fn after(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

type Entries<'a> = Box<dyn Iterator<Item = Result<(IVec, IVec), sled::Error>> + Send + 'a>;

/// Keys in order, as the layers and sled have them together.
pub struct Scan<'a> {
    disk: &'a Disk,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    is_back: bool,
    is_last: bool,
    above: Peekable<std::vec::IntoIter<(IVec, Option<IVec>)>>,
    below: Peekable<Entries<'a>>,
}

impl<'a> Scan<'a> {
    fn new(disk: &'a Disk, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>, is_back: bool) -> Self {
        let nothing: Entries<'a> = Box::new(std::iter::empty());
        Self {
            disk,
            from,
            to,
            is_back,
            is_last: false,
            above: Vec::new().into_iter().peekable(),
            below: nothing.peekable(),
        }
    }

    /// The keys only.
    pub fn keys(self) -> impl Iterator<Item = Result<IVec, StoreError>> + 'a {
        self.map(|entry| entry.map(|(key, _)| key))
    }

    /// The values put together.
    pub fn whole(self) -> impl Iterator<Item = Result<(IVec, Vec<u8>), StoreError>> + 'a {
        let disk = self.disk;
        self.map(|entry| {
            let (key, first) = entry?;
            let value = disk.whole(&key, &first)?;
            Ok((key, value))
        })
    }

    /// The next stretch: sled is asked after the layers, so that what sinks meanwhile is seen by one of the two.
    fn stretch(&mut self) -> Result<(), StoreError> {
        let (from, to) = (self.from.as_ref().map(Vec::as_slice), self.to.as_ref().map(Vec::as_slice));
        let page = self.disk.overlay.page(from, to, self.is_back, PAGE)?;
        let (mut from, mut to) = (self.from.clone(), self.to.clone());
        self.is_last = page.len() < PAGE;
        let end = if self.is_back { page.first_key_value() } else { page.last_key_value() };
        if let Some((end, _)) = end.filter(|_| !self.is_last) {
            let (this, next) = (Bound::Included(end.to_vec()), Bound::Excluded(end.to_vec()));
            if self.is_back {
                (from, self.to) = (this, next);
            } else {
                (to, self.from) = (this, next);
            }
        }
        let page: Vec<_> = if self.is_back { page.into_iter().rev().collect() } else { page.into_iter().collect() };
        self.above = page.into_iter().peekable();
        let below = self.disk.tree.range::<Vec<u8>, _>((from, to));
        let below: Entries<'a> = if self.is_back { Box::new(below.rev()) } else { Box::new(below) };
        self.below = below.peekable();
        Ok(())
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(IVec, IVec), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.above.peek().is_none() && self.below.peek().is_none() {
                if self.is_last {
                    return None;
                }
                if let Err(error) = self.stretch() {
                    self.is_last = true;
                    return Some(Err(error));
                }
                continue;
            }
            let order = match (self.above.peek(), self.below.peek()) {
                (Some((above, _)), Some(Ok((below, _)))) if self.is_back => below.cmp(above),
                (Some((above, _)), Some(Ok((below, _)))) => above.cmp(below),
                (Some(_), None) => std::cmp::Ordering::Less,
                _ => std::cmp::Ordering::Greater,
            };
            if order.is_gt() {
                return self.below.next().map(|entry| entry.map_err(refused));
            }
            if order.is_eq() {
                self.below.next();
            }
            if let Some((key, Some(value))) = self.above.next() {
                return Some(Ok((key, value)));
            }
        }
    }
}

/// Puts a value, packed where that makes it smaller, and in parts where it is long. At most 127 of them: 7 MB.
pub fn put(batch: &mut Batch, key: Vec<u8>, value: &[u8]) {
    if value.len() >= WORTH_PACKING {
        let (plain, rest) = value.split_at(PLAIN);
        let packed = [plain, &lz4_flex::compress_prepend_size(rest)].concat();
        if packed.len() < value.len() - value.len() / 8 {
            return put_parts(batch, key, &packed, PACKED);
        }
    }
    put_parts(batch, key, value, 0);
}

fn put_parts(batch: &mut Batch, key: Vec<u8>, value: &[u8], flag: u8) {
    let parts = (value.len().saturating_sub(1) / LARGEST).min(usize::from(!PACKED));
    let cut = value.len().min(LARGEST);
    let mut first = Vec::with_capacity(1 + cut);
    first.push(parts as u8 | flag);
    first.extend_from_slice(&value[..cut]);
    for n in 1..=parts {
        let from = n * LARGEST;
        batch.insert(keys::part(&key, n as u32), &value[from..value.len().min(from + LARGEST)]);
    }
    batch.insert(key, first);
}

/// What was packed says how long it was: never believed beyond what a value can be.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let damaged = || StoreError::Damaged("a packed value cannot be read".into());
    let (plain, rest) = packed.split_at_checked(PLAIN).ok_or_else(damaged)?;
    let (length, _) = lz4_flex::block::uncompressed_size(rest).map_err(|_| damaged())?;
    if length > LONGEST {
        return Err(damaged());
    }
    let rest = lz4_flex::decompress_size_prepended(rest).map_err(|_| damaged())?;
    Ok([plain, &rest].concat())
}

/// sled's errors in ours.
pub fn refused(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => StoreError::Damaged("sled reports corruption".into()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is in sled, on its way to it, or above: scans and reads see the newest of each key.
    #[test]
    fn scans_see_all_layers_as_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(folder.path(), 8 << 20).expect("sled");
        let mut random = fastrand::Rng::with_seed(7);
        let mut naive = std::collections::BTreeMap::new();
        for round in 0..60 {
            let mut batch = Batch::default();
            for _ in 0..random.usize(0..400) {
                let key = vec![random.u8(97..100), random.u8(..), random.u8(0..8)];
                if random.u8(0..4) == 0 {
                    naive.remove(&key);
                    batch.remove(key);
                } else {
                    let value = vec![0, random.u8(..)];
                    naive.insert(key.clone(), value.clone());
                    batch.insert(key, value);
                }
            }
            disk.apply(batch).expect("a batch");
            match round % 5 {
                0 => disk.sync().expect("a sync"),
                // Half-way: the lower layer stays where it is.
                2 => drop(disk.overlay.sink().expect("a layer")),
                _ => {}
            }
            let seen = |scan: Scan<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
                scan.map(|e| e.expect("an entry")).map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
            };
            let all: Vec<_> = naive.clone().into_iter().collect();
            assert_eq!(seen(disk.everything()), all);
            let of_b: Vec<_> = all.iter().filter(|(k, _)| k[0] == b'b').cloned().collect();
            assert_eq!(seen(disk.prefix(b"b")), of_b);
            assert_eq!(seen(disk.prefix_back(b"b")), of_b.iter().rev().cloned().collect::<Vec<_>>());
            let (from, to) = (vec![b'a', 40], vec![b'b', 200]);
            let between: Vec<_> = naive.range(from.clone()..to.clone()).map(|(k, v)| (k.clone(), v.clone())).collect();
            assert_eq!(seen(disk.range(from, to)), between);
            for (key, value) in all.iter().step_by(50) {
                assert_eq!(disk.get(key).expect("a read").as_deref(), Some(&value[1..]));
                assert!(disk.has(key).expect("a read"));
            }
        }
        drop(disk);
        let disk = Disk::open(folder.path(), 8 << 20).expect("sled");
        assert!(disk.everything().count() <= naive.len() + 400, "what was synced is there");
    }

    #[test]
    fn values_of_any_size_come_back_and_damage_is_no_panic() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(folder.path(), 8 << 20).expect("sled");
        let mut random = fastrand::Rng::with_seed(3);
        let noise = |random: &mut fastrand::Rng, n: usize| -> Vec<u8> { (0..n).map(|_| random.u8(..)).collect() };
        for size in [0, 1, 8, 255, 256, 300, 5_000, LARGEST, LARGEST + 1, 3 * LARGEST + 7, 1 << 20] {
            for value in [vec![7; size], noise(&mut random, size)] {
                let mut batch = Batch::default();
                put(&mut batch, b"k".to_vec(), &value);
                disk.apply(batch).expect("a batch");
                disk.sync().expect("a sync");
                assert!(disk.get(b"k").expect("a read") == Some(value), "of {size} bytes");
            }
        }
        for size in 0..40 {
            let mut broken = noise(&mut random, size);
            broken.insert(0, PACKED);
            assert!(disk.whole(b"k", &broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        assert_eq!(after(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(after(&[1, 255]), Bound::Excluded(vec![2]));
        assert_eq!(after(&[255, 255]), Bound::Unbounded);
    }
}
