//! Who may come in, and who changed what: two files beside the journal, since they must outlive a state that is made
//! again from it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::{durable, poisoned};
use crate::store::StoreError;
use crate::store::audit::{Asked, Audited};

/// The register of who may come in.
const ACCESS: &str = "access";
/// The audit log, and what it was before it grew too long.
const LOG: &str = "audit.log";
const OLDER: &str = "audit.1.log";
/// All of them, for a copy of the store. The log may end in half a line, which is not read.
pub const FILES: [&str; 3] = [ACCESS, LOG, OLDER];
/// The log begins anew when it is as long as this: some 20,000 changes.
const LONGEST: u64 = 4 << 20;

/// The two files of a store.
pub struct Register {
    folder: PathBuf,
    /// Held while a file is read or written; the log's next number, once it is known.
    next: Mutex<Option<u64>>,
}

/// A line of the log.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Asked(Audited),
    Ended { ended: u64, status: u16, note: Box<str> },
}

fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("the register of access: {error}"))
}

impl Register {
    /// In the store's folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), next: Mutex::new(None) }
    }

    /// The value, after eight bytes of version.
    pub fn access(&self) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        let _held = self.next.lock().map_err(|_| poisoned())?;
        self.read_access()
    }

    fn read_access(&self) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        let mut bytes = match std::fs::read(self.folder.join(ACCESS)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, None)),
            Err(error) => return Err(unavailable(error)),
        };
        let Some((version, _)) = bytes.split_first_chunk() else {
            return Err(StoreError::Damaged(format!("{ACCESS} is cut short")));
        };
        let version = u64::from_le_bytes(*version);
        Ok((version, Some(bytes.split_off(8))))
    }

    /// Takes the place of the value, if it is still of this version: a whole new file, renamed once it is on disk.
    pub fn put_access(&self, version: u64, value: &[u8]) -> Result<bool, StoreError> {
        let _held = self.next.lock().map_err(|_| poisoned())?;
        if self.read_access()?.0 != version {
            return Ok(false);
        }
        self.put_file(ACCESS, &[&(version + 1).to_le_bytes(), value].concat())?;
        Ok(true)
    }

    /// What another store's register is, of this version.
    pub fn copy_access(&self, version: u64, value: &[u8]) -> Result<(), StoreError> {
        let _held = self.next.lock().map_err(|_| poisoned())?;
        self.put_file(ACCESS, &[&version.to_le_bytes(), value].concat())
    }

    /// What another store's log is, oldest first.
    pub fn copy_log(&self, all: Vec<Audited>) -> Result<(), StoreError> {
        let mut next = self.next.lock().map_err(|_| poisoned())?;
        let mut lines = Vec::with_capacity(all.len());
        for one in all {
            *next = Some(one.id + 1);
            let mut line = serde_json::to_vec(&Line::Asked(one)).map_err(|e| unavailable(e.into()))?;
            line.push(b'\n');
            lines.push(line);
        }
        // Those that leave room for more lie in the log, and the others in what it was before.
        let mut room = LONGEST as usize / 2;
        let newer = lines.iter().rev().take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        });
        let newer = lines.split_off(lines.len() - newer.count());
        if !lines.is_empty() {
            self.put_file(OLDER, &lines.concat())?;
        }
        self.put_file(LOG, &newer.concat())
    }

    /// A whole new file, renamed once it is on disk.
    fn put_file(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut file = private(OpenOptions::new().write(true).create(true).truncate(true), &path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&path, self.folder.join(name))?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(unavailable)
    }

    /// Writes down what was asked; its number.
    pub fn ask(&self, asked: Asked) -> Result<u64, StoreError> {
        let mut next = self.next.lock().map_err(|_| poisoned())?;
        let id = match *next {
            Some(id) => id,
            None => self.read()?.back().map_or(1, |last| last.id + 1),
        };
        self.write(&Line::Asked(Audited { id, asked, status: None, note: "".into() }))?;
        *next = Some(id + 1);
        Ok(id)
    }

    /// Writes down how it ended.
    pub fn ended(&self, id: u64, status: u16, note: &str) -> Result<(), StoreError> {
        let _held = self.next.lock().map_err(|_| poisoned())?;
        self.write(&Line::Ended { ended: id, status, note: note.into() })
    }

    /// Newest first, those before `before`.
    pub fn list(&self, before: Option<u64>, max: usize) -> Result<Vec<Audited>, StoreError> {
        let _held = self.next.lock().map_err(|_| poisoned())?;
        let all = self.read()?;
        Ok(all.into_iter().rev().filter(|one| before.is_none_or(|before| one.id < before)).take(max).collect())
    }

    /// Everything, oldest first. A line that was torn was never acknowledged.
    fn read(&self) -> Result<VecDeque<Audited>, StoreError> {
        let mut all = BTreeMap::new();
        for name in [OLDER, LOG] {
            let text = match std::fs::read(self.folder.join(name)) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(unavailable(error)),
            };
            for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
                match line {
                    Line::Asked(one) => drop(all.insert(one.id, one)),
                    Line::Ended { ended, status, note } => {
                        if let Some(one) = all.get_mut(&ended) {
                            (one.status, one.note) = (Some(status), note);
                        }
                    }
                }
            }
        }
        Ok(all.into_values().collect())
    }

    fn write(&self, line: &Line) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec(line).map_err(|e| unavailable(e.into()))?;
        text.push(b'\n');
        let mut append = || -> std::io::Result<()> {
            let path = self.folder.join(LOG);
            let mut file = private(OpenOptions::new().read(true).append(true).create(true), &path)?;
            let mut length = file.metadata()?.len();
            if length > LONGEST {
                std::fs::rename(&path, self.folder.join(OLDER))?;
                file = private(OpenOptions::new().read(true).append(true).create(true), &path)?;
                length = 0;
            }
            if length == 0 {
                File::open(&self.folder)?.sync_all()?;
            } else {
                // What was torn must not take this line with it.
                let mut last = [0];
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    text.insert(0, b'\n');
                }
            }
            file.write_all(&text)?;
            durable::synced(&file)
        };
        append().map_err(unavailable)
    }
}

/// Opened for its owner alone.
fn private(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn asked(n: u64) -> Asked {
        Asked { at: Timestamp::from_millis(n as i64), by: "ines".into(), did: "pause a trigger".into(), of: "x".into() }
    }

    #[test]
    fn a_torn_line_takes_no_other_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let ids: Vec<u64> = (1..=3).map(|n| Register::new(folder.path()).ask(asked(n)).expect("a line")).collect();
        assert_eq!(ids, [1, 2, 3], "numbers go on");
        let path = folder.path().join(LOG);
        let whole = std::fs::read(&path).expect("the log");
        std::fs::write(&path, &whole[..whole.len() - 10]).expect("a cut");
        let register = Register::new(folder.path());
        assert_eq!(register.ask(asked(4)).expect("a line"), 3, "the third was never acknowledged");
        register.ended(3, 200, "role admin").expect("a line");
        let all = register.list(None, 10).expect("a list");
        assert_eq!(
            all.iter().map(|one| (one.id, one.asked.at, one.status)).collect::<Vec<_>>(),
            [
                (3, Timestamp::from_millis(4), Some(200)),
                (2, Timestamp::from_millis(2), None),
                (1, Timestamp::from_millis(1), None)
            ]
        );
    }

    #[test]
    fn a_long_log_begins_anew_and_its_numbers_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let register = Register::new(folder.path());
        register.ask(asked(1)).expect("a line");
        let mut file = OpenOptions::new().append(true).open(folder.path().join(LOG)).expect("the log");
        file.write_all(&vec![b' '; LONGEST as usize]).expect("a long line");
        assert_eq!(register.ask(asked(2)).expect("a line"), 2);
        assert!(std::fs::metadata(folder.path().join(LOG)).expect("a log").len() < 1_000);
        assert_eq!(Register::new(folder.path()).ask(asked(3)).expect("a line"), 3);
        assert_eq!(register.list(Some(3), 1).expect("a list")[0].id, 2);
    }
}
