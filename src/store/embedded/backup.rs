//! A copy of the store in a folder, made while it is at work: a snapshot, and the journal up to an instant after it.
//!
//! What says that it is whole, and how each file has to be, is written last: a copy that was cut has no such file.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::segments::{self, Limit};
use super::{Inner, register, snapshot};
use crate::model::{Position, Timestamp, build};
use crate::store::{SCHEMA, StoreError};

/// The file that says what is in it.
const MANIFEST: &str = "backup.json";
/// Folders in it: the journal, the snapshot, and who may come in with what they changed.
const PARTS: [&str; 3] = ["journal", "snapshots", "register"];
/// The version of its form.
const FORMAT: u32 = 1;
/// The longest that is read.
const LONGEST: u64 = 16 << 20;
/// Bytes copied at once.
const PIECE: usize = 1 << 20;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form.
    pub format: u32,
    /// The version of Espalier that wrote it.
    pub version: String,
    /// The layout of the store.
    pub schema: u32,
    /// When it was begun.
    pub at: Timestamp,
    /// The newest event in it.
    pub position: Position,
    /// Every file.
    pub files: Vec<Copied>,
    /// BLAKE3 of all of the above, as hexadecimal digits.
    pub checksum: String,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// `journal/...`, `snapshots/...` or `register/...`.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of it, as hexadecimal digits.
    pub checksum: String,
}

impl Manifest {
    fn sum(&self) -> Result<String, StoreError> {
        let bare = Self { checksum: String::new(), ..self.clone() };
        let text = serde_json::to_vec(&bare).map_err(|e| StoreError::Damaged(e.to_string()))?;
        Ok(blake3::hash(&text).to_hex().to_string())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// An I/O error, with the file that it is about.
pub fn refused(path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Unavailable(format!("{}: {error}", path.display()))
}

/// Makes a folder that only its owner may read; one that is there has to be empty. True where it was made.
pub fn make(folder: &Path) -> Result<bool, StoreError> {
    let refused = refused(folder);
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(&refused)?;
            return Ok(true);
        }
        Err(error) => return Err(refused(error)),
    };
    if entries.next().is_some() {
        return Err(StoreError::Unavailable(format!("{} is not empty", folder.display())));
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(&refused)?;
    Ok(false)
}

/// Copies `length` bytes of a file to a new one that only its owner may read; it is as old as the first. Returns its
/// length and checksum.
pub fn copy(from: &Path, to: &Path, length: u64) -> Result<(u64, String), StoreError> {
    let mut source = File::open(from).map_err(refused(from))?;
    let age = source.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut options = OpenOptions::new();
    let target = options.write(true).create_new(true).mode(0o600).open(to);
    let mut target = target.map_err(refused(to))?;
    let (mut sum, mut left, mut piece) = (blake3::Hasher::new(), length, vec![0; PIECE]);
    while left > 0 {
        let room = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
        let read = source.read(&mut piece[..room]).map_err(refused(from))?;
        if read == 0 {
            break;
        }
        sum.update(&piece[..read]);
        target.write_all(&piece[..read]).map_err(refused(to))?;
        left -= read as u64;
    }
    // The journal's segments go by their age.
    target.set_modified(age).and_then(|()| target.sync_all()).map_err(refused(to))?;
    Ok((length - left, sum.finalize().to_hex().to_string()))
}

/// What is in a folder, on disk with its names.
pub fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused(folder))
}

/// Makes one. The store goes on meanwhile; whoever calls holds that it is not compacted.
pub(super) fn take(inner: &Inner, folder: &Path, at: Timestamp) -> Result<Manifest, StoreError> {
    let mut made = Made { folder, is_new: make(folder)?, entries: Vec::new() };
    let copied = copy_all(inner, &mut made, at);
    if copied.is_err() {
        made.remove();
    }
    copied
}

/// What was made of a backup: should it fail, so much is removed, since it would only be taken for one.
struct Made<'a> {
    folder: &'a Path,
    /// The folder itself was not there before.
    is_new: bool,
    /// Files and folders in it. Each was made where nothing was, so none is somebody else's.
    entries: Vec<PathBuf>,
}

impl Made<'_> {
    fn part(&mut self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(name);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(refused(&path))?;
        self.entries.push(path.clone());
        Ok(path)
    }

    /// What it says of itself: it has its name when it is whole.
    fn manifest(&mut self, text: &[u8]) -> Result<(), StoreError> {
        let (unfinished, path) = (self.folder.join("backup.unfinished"), self.folder.join(MANIFEST));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
        let mut file = file.map_err(refused(&unfinished))?;
        self.entries.push(unfinished.clone());
        file.write_all(text).and_then(|()| file.sync_all()).map_err(refused(&unfinished))?;
        fs::rename(&unfinished, &path).map_err(refused(&path))?;
        self.entries.push(path);
        sync(self.folder)
    }

    fn remove(self) {
        for path in self.entries.into_iter().rev() {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        if self.is_new {
            // Where somebody has put something beside it, it stays.
            let _ = fs::remove_dir(self.folder);
        }
    }
}

fn copy_all(inner: &Inner, made: &mut Made<'_>, at: Timestamp) -> Result<Manifest, StoreError> {
    let ((decided, ..), snapshot) = {
        // Not while it is copied: who has to open sled again must not wait for that.
        let _pass = inner.mending.read().map_err(|_| super::poisoned())?;
        snapshot::write(inner)?
    };
    // Later than the snapshot, so that nothing it knows is missing from the journal.
    let (limit, position) = {
        let tail = inner.journal.tail()?;
        (tail.limit, tail.end.position)
    };
    let mut files = Vec::new();
    let journal = up_to(&inner.journal_folder, limit)?;
    let beside = register::FILES.map(|name| inner.settings.path.join(name)).into_iter().filter(|path| path.exists());
    let whole = |path| Limited { path, length: u64::MAX };
    let parts = [journal, vec![whole(snapshot)], beside.map(whole).collect()];
    for (part, of) in PARTS.into_iter().zip(parts) {
        let folder = made.part(part)?;
        for Limited { path, length } in of {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let (bytes, checksum) = copy(&path, &folder.join(&name), length)?;
            files.push(Copied { name: format!("{part}/{name}"), bytes, checksum });
        }
        sync(&folder)?;
    }
    let version = build::VERSION.to_owned();
    let position = Position(position.max(decided));
    let mut manifest =
        Manifest { format: FORMAT, version, schema: SCHEMA, at, position, files, checksum: String::new() };
    manifest.checksum = manifest.sum()?;
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| StoreError::Damaged(e.to_string()))?;
    made.manifest(&text)?;
    Ok(manifest)
}

/// A segment, as far as it may be read.
struct Limited {
    path: PathBuf,
    length: u64,
}

fn up_to(journal: &Path, limit: Limit) -> Result<Vec<Limited>, StoreError> {
    let all = segments::list(journal)?.into_iter().filter(|segment| segment.place() <= limit.segment);
    let length = |segment: &segments::Segment| if segment.place() == limit.segment { limit.length } else { u64::MAX };
    Ok(all.map(|segment| Limited { length: length(&segment), path: segment.path }).collect())
}

/// True where a backup was made to its end. Nothing of it is read.
pub fn is_whole(folder: &Path) -> bool {
    folder.join(MANIFEST).exists()
}

/// Reads what a backup says of itself.
pub fn read(folder: &Path) -> Result<Manifest, StoreError> {
    let path = folder.join(MANIFEST);
    let damaged = |words: String| StoreError::Backup(format!("{}: {words}", path.display()));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(StoreError::Backup(format!(
                "{} is no whole backup: there is no {MANIFEST}, which is written last",
                folder.display()
            )));
        }
        Err(error) => return Err(refused(&path)(error)),
    };
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(refused(&path))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
    if manifest.format != FORMAT {
        return Err(damaged(format!("it has the form {}, and this version knows {FORMAT}", manifest.format)));
    }
    if manifest.schema > SCHEMA {
        return Err(StoreError::Newer { found: manifest.schema, known: SCHEMA });
    }
    if manifest.sum()? != manifest.checksum {
        return Err(damaged("it was changed since it was written".into()));
    }
    // Nothing that it names may lie elsewhere.
    let is_plain = |name: &str| {
        let parts: Vec<Component<'_>> = Path::new(name).components().collect();
        let [Component::Normal(part), Component::Normal(_)] = parts[..] else { return false };
        PARTS.iter().any(|known| part == *known)
    };
    match manifest.files.iter().find(|file| !is_plain(&file.name)) {
        Some(file) => Err(damaged(format!("it names `{}`", file.name))),
        None => Ok(manifest),
    }
}

/// Reads every file of a backup against its checksum. Says what is wrong; nothing where it is whole.
pub fn check(folder: &Path) -> Result<(Manifest, Vec<String>), StoreError> {
    let manifest = read(folder)?;
    let mut wrong = Vec::new();
    for file in &manifest.files {
        match sum_of(&folder.join(&file.name)) {
            Ok((bytes, checksum)) if bytes == file.bytes && checksum == file.checksum => {}
            Ok((bytes, _)) if bytes != file.bytes => {
                wrong.push(format!("{} has {bytes} bytes in place of {}", file.name, file.bytes));
            }
            Ok(_) => wrong.push(format!("{} is not as it was written", file.name)),
            Err(error) => wrong.push(format!("{}: {error}", file.name)),
        }
    }
    Ok((manifest, wrong))
}

fn sum_of(path: &Path) -> std::io::Result<(u64, String)> {
    let (mut file, mut sum, mut piece, mut bytes) = (File::open(path)?, blake3::Hasher::new(), vec![0; PIECE], 0);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, sum.finalize().to_hex().to_string()));
        }
        sum.update(&piece[..read]);
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Embedded;
    use super::*;
    use crate::store::Store;
    use crate::store::contract::event;
    use crate::store::settings::Settings;

    async fn store(folder: &Path) -> Embedded {
        let settings = Settings { path: folder.join("store"), ..Settings::default() };
        fs::create_dir(&settings.path).expect("a folder");
        let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
        store.append(vec![event(1)], None).await.expect("an append");
        store
    }

    #[tokio::test]
    async fn one_that_fails_removes_what_it_made_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path()).await;
        // It is copied last, and cannot be.
        fs::create_dir(folder.path().join("store/access")).expect("a folder");
        let (new, old) = (folder.path().join("new/copy"), folder.path().join("old"));
        fs::create_dir(&old).expect("a folder");
        for copy in [&new, &old] {
            store.back_up(copy, Timestamp::MIN).await.expect_err("a folder is no file");
        }
        assert!(!new.exists() && fs::read_dir(&old).expect("a folder").next().is_none());
        // What another process makes in the same folder at the same time is its own.
        let mut made = Made { folder: &old, is_new: false, entries: Vec::new() };
        fs::create_dir(old.join("journal")).expect("a folder");
        made.part("snapshots").expect("a part");
        made.part("journal").expect_err("it is somebody else's");
        made.remove();
        assert!(old.join("journal").exists() && !old.join("snapshots").exists());
        // A file is no folder to make one in, and stays.
        fs::write(new.with_file_name("file"), "mine").expect("a file");
        store.back_up(&new.with_file_name("file"), Timestamp::MIN).await.expect_err("a file");
        assert_eq!(fs::read(new.with_file_name("file")).expect("a file"), b"mine");
        store.close().await.expect("an end");
    }

    /// The snapshot waits for a step, and with it whoever asked for the backup, who then goes away.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_nobody_waits_for_ends_alone_and_intake_goes_on_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path()).await;
        let copy = folder.path().join("copy");
        let (go_on, told) = std::sync::mpsc::channel::<()>();
        let (holds, held) = tokio::sync::oneshot::channel();
        let inner = store.inner.clone();
        let step = tokio::task::spawn_blocking(move || {
            let _state = inner.state().expect("a state");
            holds.send(()).expect("a test");
            told.recv().expect("a word");
        });
        held.await.expect("a step");
        let asked = {
            let (store, copy) = (store.clone(), copy.clone());
            tokio::spawn(async move { store.back_up(&copy, Timestamp::MIN).await })
        };
        let begun = async {
            while !copy.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), begun).await.expect("it has begun");
        asked.abort();
        assert!(asked.await.expect_err("nobody waits").is_cancelled());
        assert!(store.inner.keeping.try_lock().is_err(), "it is under way");
        let more = tokio::time::timeout(Duration::from_secs(60), store.append(vec![event(2)], None)).await;
        assert_eq!(more.expect("intake waits for no backup").expect("an append"), Position(2));
        assert!(!is_whole(&copy));
        go_on.send(()).expect("a step");
        step.await.expect("a step");
        let _alone = store.inner.keeping.lock().await;
        let (manifest, wrong) = check(&copy).expect("a whole backup");
        assert_eq!((manifest.position, wrong.len()), (Position(2), 0));
        store.close().await.expect("an end");
    }
}
