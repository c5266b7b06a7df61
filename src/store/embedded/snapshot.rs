//! A copy of the whole state in one file, so that the journal before it may go.
//!
//! Magic, then each key and value with their lengths, then the number of entries and a CRC-32C over all of it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::Inner;
use super::overlay::Batch;
use super::segments::{self, Place, unavailable};
use super::tree::Disk;
use crate::model::Timestamp;
use crate::store::StoreError;
use crate::store::settings::Settings;

const MAGIC: &[u8; 8] = b"ESPSNAP1";
/// How the name of one ends that is not whole.
const UNFINISHED: &str = "unfinished";
/// Snapshots kept.
const KEPT: usize = 2;
/// Entries put into the tree at once.
const STEP: usize = 5_000;
/// Bytes written between two syncs: no sync may take so long that it looks like a hung disk.
const SYNCED: u64 = 64 << 20;

/// Where they lie in a store.
pub fn folder(settings: &Settings) -> PathBuf {
    settings.path.join("snapshots")
}

/// Newest first, by the event, the outcome and the step they reach.
fn list(settings: &Settings) -> Vec<(Place, PathBuf)> {
    listed(&folder(settings))
}

/// The same of any folder.
pub fn listed(folder: &Path) -> Vec<(Place, PathBuf)> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<(Place, PathBuf)> = files
        .filter(|path| path.extension().is_some_and(|e| e == "snap"))
        .filter_map(|path| Some((reaches(path.file_stem()?.to_str()?)?, path)))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// How far the oldest one reaches.
pub fn oldest(settings: &Settings) -> Option<Place> {
    list(settings).pop().map(|(reaches, _)| reaches)
}

/// What a snapshot's name says. One from before steps were written down tells its position only.
fn reaches(name: &str) -> Option<Place> {
    let mut numbers = name.split('-').map(str::parse);
    let position = numbers.next()?.ok()?;
    let mut next = || numbers.next().map_or(Some(0), Result::ok);
    Some((position, next()?, next()?))
}

/// The name of one that reaches so far.
pub fn named((position, ordinal, step): Place) -> String {
    format!("{position:020}-{ordinal:020}-{step:020}.snap")
}

/// Writes one. Commits and settles wait meanwhile; intake goes on, since the journal does. Says how far it reaches, and
/// its file.
pub fn write(inner: &Inner) -> Result<(Place, PathBuf), StoreError> {
    let state = inner.state()?;
    let folder = folder(&inner.settings);
    fs::create_dir_all(&folder).map_err(unavailable)?;
    let reaches = (state.decided.0, state.applied.through(), state.taken.step);
    // What a daemon left that was killed while it wrote one.
    for entry in fs::read_dir(&folder).map_err(unavailable)?.flatten() {
        if entry.path().extension().is_some_and(|end| end == UNFINISHED) {
            fs::remove_file(entry.path()).map_err(unavailable)?;
        }
    }
    let path = folder.join(named(reaches));
    write_all(&path, &*inner.disk()?, || {
        inner.upkeep.fetch_add(1, Ordering::Relaxed);
    })?;
    drop(state);
    for (_, old) in list(&inner.settings).into_iter().skip(KEPT) {
        fs::remove_file(old).map_err(unavailable)?;
    }
    Ok((reaches, path))
}

/// Writes everything that is in the tree. `moved_on` is told of each value.
pub fn write_all(path: &Path, disk: &Disk, moved_on: impl Fn()) -> Result<(), StoreError> {
    let mut out = Writing::begin(path)?;
    for entry in disk.everything() {
        let (key, value) = entry?;
        out.put(&key, &value)?;
        moved_on();
    }
    out.finish()
}

/// Removes journal segments that are older than the retention and that every kept snapshot covers.
pub fn prune(inner: &Inner, now: Timestamp) -> Result<usize, StoreError> {
    let Some(((position, applied, step), _)) = list(&inner.settings).pop() else { return Ok(0) };
    let segments = segments::list(&inner.journal_folder)?;
    let mut removed = 0;
    for pair in segments.windows(2) {
        let [this, next] = pair else { break };
        let written = fs::metadata(&this.path).and_then(|m| m.modified()).map_err(unavailable)?;
        let since = written
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        let is_old = Timestamp::from_millis(since) + inner.settings.retention < now;
        let is_covered = next.position <= position + 1 && next.ordinal <= applied + 1 && next.step <= step + 1;
        if !is_old || !is_covered {
            break;
        }
        let size = fs::metadata(&this.path).map_err(unavailable)?.len();
        fs::remove_file(&this.path).map_err(unavailable)?;
        inner.journal.tail()?.bytes -= size;
        removed += 1;
    }
    Ok(removed)
}

/// Fills an empty state from the newest snapshot that is whole; none is no error.
pub fn load_newest(settings: &Settings, disk: &Disk) -> Result<(), StoreError> {
    for ((position, ..), path) in list(settings) {
        match load(&path, None) {
            Ok(()) => {
                load(&path, Some(disk))?;
                return disk.sync();
            }
            Err(error) => tracing::error!(position, reason = %error, "a snapshot is not whole; an older one is tried"),
        }
    }
    Ok(())
}

/// Reads one to its end; puts it into `disk` if there is one.
fn load(path: &Path, disk: Option<&Disk>) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    let mut entries = 0_u64;
    each(path, |key, value| {
        let Some(disk) = disk else { return Ok(()) };
        batch.insert(key, value);
        entries += 1;
        if entries.is_multiple_of(STEP as u64) {
            disk.apply(std::mem::take(&mut batch))?;
            disk.sync()?;
        }
        Ok(())
    })?;
    match disk {
        Some(disk) => disk.apply(batch).map(drop),
        None => Ok(()),
    }
}

/// Reads one to its end: each key with its value, as they lie in the tree. Returns how many there are.
pub fn each(path: &Path, mut take: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), StoreError>) -> Result<u64, StoreError> {
    let broken = || StoreError::Damaged(format!("the snapshot {} is not whole", path.display()));
    let mut from = CheckedIn { from: BufReader::new(File::open(path).map_err(unavailable)?), crc: 0 };
    if from.read(8).ok_or_else(broken)? != MAGIC {
        return Err(broken());
    }
    let mut entries = 0_u64;
    loop {
        let key_length = from.number().ok_or_else(broken)?;
        if key_length == u32::MAX {
            break;
        }
        let value_length = from.number().ok_or_else(broken)?;
        if key_length > 1 << 16 || value_length > 1 << 20 {
            return Err(broken());
        }
        let key = from.read(key_length as usize).ok_or_else(broken)?;
        let value = from.read(value_length as usize).ok_or_else(broken)?;
        entries += 1;
        take(key, value)?;
    }
    let counted = from.read(8).ok_or_else(broken)?;
    let crc = from.crc;
    let said = from.read(4).ok_or_else(broken)?;
    if counted != entries.to_le_bytes() || said != crc.to_le_bytes() {
        return Err(broken());
    }
    Ok(entries)
}

/// What lies under a key, as it lies in the tree; `None` where nothing does, or the snapshot is not whole.
pub fn first_of(path: &Path, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found = None;
    let read = each(path, |at, value| {
        if at == key {
            found = Some(value);
        }
        Ok(())
    });
    match read {
        Ok(_) => Ok(found),
        Err(StoreError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One that is being written: it has its name when it is whole, and nothing is left of it where it does not get there.
pub struct Writing {
    out: Checked,
    entries: u64,
    path: PathBuf,
    /// Removed when this goes; once it is whole it has another name.
    unfinished: PathBuf,
}

impl Drop for Writing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}

impl Writing {
    /// Begins it.
    pub fn begin(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let unfinished = path.with_extension(UNFINISHED);
        let file = options.open(&unfinished).map_err(unavailable)?;
        let mut out = Checked { to: BufWriter::new(file), crc: 0, unsynced: 0 };
        let path = path.to_owned();
        out.write(MAGIC)?;
        Ok(Self { out, entries: 0, path, unfinished })
    }

    /// One more.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.out.write(&(key.len() as u32).to_le_bytes())?;
        self.out.write(&(value.len() as u32).to_le_bytes())?;
        self.out.write(key)?;
        self.out.write(value)?;
        self.entries += 1;
        if self.out.unsynced >= SYNCED { self.out.sync() } else { Ok(()) }
    }

    /// That was all: it is on disk.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.out.write(&u32::MAX.to_le_bytes())?;
        self.out.write(&self.entries.to_le_bytes())?;
        let crc = self.out.crc;
        self.out.write(&crc.to_le_bytes())?;
        self.out.sync()?;
        fs::rename(&self.unfinished, &self.path).map_err(unavailable)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(unavailable)
    }
}

struct Checked {
    to: BufWriter<File>,
    crc: u32,
    /// Bytes since the last sync.
    unsynced: u64,
}

impl Checked {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.unsynced += bytes.len() as u64;
        self.to.write_all(bytes).map_err(unavailable)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.unsynced = 0;
        self.to.flush().and_then(|()| self.to.get_ref().sync_all()).map_err(unavailable)
    }
}

struct CheckedIn {
    from: BufReader<File>,
    crc: u32,
}

impl CheckedIn {
    fn read(&mut self, n: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; n];
        self.from.read_exact(&mut bytes).ok()?;
        self.crc = crc32c::crc32c_append(self.crc, &bytes);
        Some(bytes)
    }
    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.read(4)?.try_into().ok()?))
    }
}
