//! A store from what was kept of another: a backup, or an export.
//!
//! Both come to a journal and a snapshot; the state is made of these as it is after any loss of sled. A mark stands in
//! the folder until all of it is there, so that no daemon begins with half a store.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::backup::{self, Manifest, refused};
use super::open;
use crate::model::Timestamp;
use crate::store::StoreError;
use crate::store::settings::Settings;

/// The mark.
pub const UNFINISHED: &str = "unfinished";
/// What stands in it where the store is copied from another, which can go on.
pub const COPIED: &str = "copy";

/// Refuses a store that was not restored to its end.
pub fn finished(settings: &Settings) -> Result<(), StoreError> {
    if !settings.path.join(UNFINISHED).exists() {
        return Ok(());
    }
    if is_copied(settings) {
        return Err(StoreError::Unavailable(format!(
            "a copy to {} was begun and not ended: give the same `espalier store copy` again, which goes on with it; or \
             remove the folder",
            settings.path.display()
        )));
    }
    Err(StoreError::Unavailable(format!(
        "{} was not restored to its end: remove the folder, and restore again",
        settings.path.display()
    )))
}

/// What is there is a copy that was not ended.
pub fn is_copied(settings: &Settings) -> bool {
    fs::read(settings.path.join(UNFINISHED)).is_ok_and(|says| says == COPIED.as_bytes())
}

/// A store that is being made.
pub struct Making {
    path: PathBuf,
    /// Files beside the folders.
    made: RefCell<Vec<PathBuf>>,
    _lock: File,
}

impl Making {
    /// Begins one where none is.
    pub fn begin(settings: &Settings) -> Result<Self, StoreError> {
        let path = settings.path.clone();
        finished(settings)?;
        if let Some(there) = ["journal", "state", "snapshots"].into_iter().find(|part| path.join(part).exists()) {
            return Err(StoreError::Unavailable(format!(
                "there is a store in {} already ({there}): name another folder in [store] path, or move it away",
                path.display()
            )));
        }
        fs::create_dir_all(&path).map_err(refused(&path))?;
        let lock = open::lock(settings)?;
        File::create(path.join(UNFINISHED)).and_then(|file| file.sync_all()).map_err(refused(&path))?;
        for part in ["journal", "snapshots"] {
            backup::make(&path.join(part))?;
        }
        Ok(Self { path, made: RefCell::default(), _lock: lock })
    }

    /// Where its journal comes to lie.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Where its snapshot comes to lie.
    pub fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// Takes away what was made: it is not to be used.
    pub fn give_up(self) {
        for part in ["journal", "snapshots", "state"] {
            let _ = fs::remove_dir_all(self.path.join(part));
        }
        for file in self.made.take() {
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_file(self.path.join(UNFINISHED));
    }

    /// Makes the state of journal and snapshot. What was in doubt when it was copied is in doubt from `now`.
    pub fn finish(self, settings: &Settings, now: Timestamp) -> Result<(), StoreError> {
        for part in [self.journal(), self.snapshots(), self.path.clone()] {
            backup::sync(&part)?;
        }
        drop(open::begin_again(settings, now)?);
        let Self { path, _lock, .. } = self;
        drop(_lock);
        fs::remove_file(path.join(UNFINISHED)).map_err(refused(&path))?;
        backup::sync(&path)?;
        drop(open::open(settings, now)?);
        Ok(())
    }
}

/// Makes an empty store what a backup says.
pub fn restore(settings: &Settings, folder: &Path, now: Timestamp) -> Result<Manifest, StoreError> {
    let manifest = backup::read(folder)?;
    let making = Making::begin(settings)?;
    match copy_back(&manifest, folder, &making) {
        Ok(()) => making.finish(settings, now).map(|()| manifest),
        Err(error) => {
            making.give_up();
            Err(error)
        }
    }
}

fn copy_back(manifest: &Manifest, folder: &Path, making: &Making) -> Result<(), StoreError> {
    for file in &manifest.files {
        // Who may come in, and the log, lie beside the journal in a store; an account that was made before stays.
        let place = making.path.join(file.name.strip_prefix("register/").unwrap_or(&file.name));
        if place.exists() {
            continue;
        }
        let (bytes, checksum) = backup::copy(&folder.join(&file.name), &place, u64::MAX)?;
        if place.parent() == Some(&making.path) {
            making.made.borrow_mut().push(place);
        }
        if bytes != file.bytes || checksum != file.checksum {
            return Err(StoreError::Backup(format!(
                "{} is not as it was written: nothing was restored; `espalier store verify --backup` tells all",
                folder.join(&file.name).display()
            )));
        }
    }
    Ok(())
}
