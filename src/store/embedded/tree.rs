//! The one tree: values with an envelope of parts, and the write that is atomic and on disk when it returns.

use std::fs::File;
use std::path::{Path, PathBuf};

use sled::{Batch, Tree};

use super::keys;
use crate::store::StoreError;

/// sled never frees blob files that hold larger values: this is far below their size.
const LARGEST: usize = 56 << 10;

/// sled, its tree, and the file that its flush leaves to the kernel.
pub struct Disk {
    db: sled::Db,
    /// One tree: one batch over it is atomic.
    pub tree: Tree,
    file: PathBuf,
}

impl Disk {
    /// Opens or makes it.
    pub fn open(folder: &Path, cache: u64) -> Result<Self, sled::Error> {
        let db = sled::Config::new().path(folder).cache_capacity(cache).flush_every_ms(None).open()?;
        let tree = db.open_tree("espalier")?;
        Ok(Self { db, tree, file: folder.join("db") })
    }

    /// Everything applied so far is on disk when this returns: sled's flush ends in `sync_file_range`, which is no
    /// barrier against a power cut, so its file is synced after it.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(refused)?;
        File::open(&self.file).and_then(|file| file.sync_data()).map_err(|e| StoreError::Unavailable(e.to_string()))
    }

    /// False once an I/O error was met: sled refuses everything from then on.
    pub fn is_sound(&self) -> bool {
        self.db.flush().is_ok()
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    /// A value, its parts put together.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.tree.get(key).map_err(refused)? {
            None => Ok(None),
            Some(first) => self.whole(key, &first).map(Some),
        }
    }

    /// The value that begins with `first`.
    pub fn whole(&self, key: &[u8], first: &[u8]) -> Result<Vec<u8>, StoreError> {
        let Some((parts, body)) = first.split_first() else { return Err(StoreError::Damaged("an empty value".into())) };
        let mut value = body.to_vec();
        for n in 1..=u32::from(*parts) {
            let part = self.tree.get(keys::part(key, n)).map_err(refused)?;
            value.extend_from_slice(&part.ok_or_else(|| StoreError::Damaged("a part of a value is missing".into()))?);
        }
        Ok(value)
    }

    /// All values whose key begins with `prefix`, in order of key.
    pub fn all(&self, prefix: &[u8]) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + '_ {
        self.tree.scan_prefix(prefix).map(|entry| {
            let (key, first) = entry.map_err(refused)?;
            Ok((key.to_vec(), self.whole(&key, &first)?))
        })
    }
}

/// Puts a value, in parts where it is long. At most 255 of them: 14 MB.
pub fn put(batch: &mut Batch, key: Vec<u8>, value: &[u8]) {
    let parts = value.len().saturating_sub(1) / LARGEST;
    let cut = value.len().min(LARGEST);
    let mut first = Vec::with_capacity(1 + cut);
    first.push(parts.min(255) as u8);
    first.extend_from_slice(&value[..cut]);
    for n in 1..=parts.min(255) {
        let from = n * LARGEST;
        batch.insert(keys::part(&key, n as u32), &value[from..value.len().min(from + LARGEST)]);
    }
    batch.insert(key, first);
}

/// sled's errors in ours.
pub fn refused(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => StoreError::Damaged("sled reports corruption".into()),
        other => StoreError::Unavailable(other.to_string()),
    }
}
