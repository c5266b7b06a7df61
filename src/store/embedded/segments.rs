//! The journal's files: append-only segments, each with the position, the ordinal and the step it begins at.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::frame::{self, Found, HEAD, Head};
use crate::store::StoreError;

/// First bytes of a segment: what it is, the version of its layout, the first position, the first ordinal, the first
/// step.
pub const START: usize = 32;
const NAME: &[u8; 7] = b"ESPJRNL";
const LAYOUT: u8 = 2;
/// The layout before steps were written down, and how it begins: without one.
const WITHOUT_STEPS: (u8, usize) = (1, 24);

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its file.
    pub path: PathBuf,
    /// The position of the first event that it can hold.
    pub position: u64,
    /// The ordinal of the first settled record that it can hold.
    pub ordinal: u64,
    /// The ordinal of the first step that it can hold.
    pub step: u64,
    /// Where its first record is.
    pub start: usize,
}

/// A segment's place among the others: position, ordinal and step it begins at.
pub type Place = (u64, u64, u64);

impl Segment {
    /// Its place among the others.
    pub fn place(&self) -> Place {
        (self.position, self.ordinal, self.step)
    }
}

/// How far a journal may be read: what lies behind may be cut again, and written otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The segment that is being written.
    pub segment: Place,
    /// Bytes of it that are written for good.
    pub length: u64,
}

impl Default for Limit {
    /// Nobody writes: all there is.
    fn default() -> Self {
        Self { segment: (u64::MAX, u64::MAX, u64::MAX), length: u64::MAX }
    }
}

/// How far a journal reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The last event's position.
    pub position: u64,
    /// The last settled record's ordinal.
    pub ordinal: u64,
    /// The last step's ordinal.
    pub step: u64,
    /// The last sync.
    pub group: u32,
    /// Bytes of the last segment that hold whole records.
    pub length: u64,
}

/// All segments of a folder, oldest first. A file that is no segment is left alone.
pub fn list(folder: &Path) -> Result<Vec<Segment>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unavailable)? {
        let path = entry.map_err(unavailable)?.path();
        if path.extension().is_none_or(|e| e != "seg") {
            continue;
        }
        match begins(&path) {
            Ok(Some(segment)) => found.push(segment),
            // It is being made, or a crash came while it was: it holds nothing.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(unavailable(error)),
            Ok(None) => {
                return Err(StoreError::Damaged(format!("{} does not begin like a journal segment", path.display())));
            }
        }
    }
    found.sort_by_key(Segment::place);
    Ok(found)
}

/// Reads how a segment begins; `None` when it is none.
fn begins(path: &Path) -> std::io::Result<Option<Segment>> {
    let mut file = File::open(path)?;
    let mut name = [0; 8];
    file.read_exact(&mut name)?;
    let mut number = || {
        let mut number = [0; 8];
        file.read_exact(&mut number).map(|()| u64::from_le_bytes(number))
    };
    let layout = name[7];
    if name[..7] != *NAME || (layout != LAYOUT && layout != WITHOUT_STEPS.0) {
        return Ok(None);
    }
    let (position, ordinal) = (number()?, number()?);
    let (step, start) = if layout == LAYOUT { (number()?, START) } else { (1, WITHOUT_STEPS.1) };
    Ok(Some(Segment { path: path.to_owned(), position, ordinal, step, start }))
}

/// Makes the next segment, on disk with its name.
pub fn create(folder: &Path, (position, ordinal, step): Place) -> std::io::Result<(Segment, File)> {
    let path = folder.join(format!("{position:020}-{ordinal:020}-{step:020}.seg"));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let mut start = Vec::with_capacity(START);
    start.extend_from_slice(NAME);
    start.push(LAYOUT);
    start.extend_from_slice(&position.to_le_bytes());
    start.extend_from_slice(&ordinal.to_le_bytes());
    start.extend_from_slice(&step.to_le_bytes());
    file.write_all(&start)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok((Segment { path, position, ordinal, step, start: START }, file))
}

/// Opens a segment to write at `length`; whatever lies behind is cut.
pub fn reopen(segment: &Segment, length: u64) -> std::io::Result<File> {
    let mut file = OpenOptions::new().write(true).open(&segment.path)?;
    file.set_len(length)?;
    file.sync_data()?;
    file.seek(SeekFrom::Start(length))?;
    Ok(file)
}

/// Reads the last segment to its end. A record torn by a cut is not counted: it was never acknowledged. A broken
/// record that was once synced is damage.
pub fn end_of(segment: &Segment) -> Result<End, StoreError> {
    let bytes = fs::read(&segment.path).map_err(unavailable)?;
    let mut end = End {
        position: segment.position - 1,
        ordinal: segment.ordinal - 1,
        step: segment.step - 1,
        group: 0,
        length: segment.start as u64,
    };
    let mut at = segment.start;
    loop {
        match frame::read(&bytes, at) {
            Found::Record(head, _, next) => {
                end.note(&head);
                at = next;
                end.length = at as u64;
            }
            Found::End => return Ok(end),
            Found::Broken => {
                let before = (at > segment.start).then_some(end.group);
                if frame::was_synced(&bytes, at, before) {
                    return Err(damaged(segment, at as u64));
                }
                return Ok(end);
            }
        }
    }
}

impl End {
    /// Takes one more record into account.
    pub fn note(&mut self, head: &Head) {
        match head.kind {
            frame::Kind::Events => self.position = head.first + u64::from(head.count) - 1,
            frame::Kind::Settled => self.ordinal = head.first,
            frame::Kind::Step => self.step = head.first,
        }
        self.group = head.group;
    }
}

/// Bytes read from a file at once.
const READ: usize = 1 << 20;

/// Reads records one after another, over segments. It can stand at the journal's end and go on when more was written.
pub struct Reader {
    folder: PathBuf,
    /// Those not yet read to their end; the first is open.
    segments: VecDeque<Segment>,
    file: Option<File>,
    /// Bytes of the open file, read and not yet given.
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins, and where in the file the buffer does.
    at: usize,
    offset: u64,
}

impl Reader {
    /// From the segment that holds all of these on: an event, an outcome, a step. `u64::MAX` is any.
    pub fn from(folder: &Path, (position, ordinal, step): Place) -> Result<Self, StoreError> {
        let mut segments: VecDeque<_> = list(folder)?.into();
        let holds = |s: &Segment| s.position <= position && s.ordinal <= ordinal && s.step <= step;
        let first = segments.iter().rposition(holds).unwrap_or(0);
        segments.drain(..first);
        Ok(Self { folder: folder.to_owned(), segments, file: None, buffer: Vec::new(), at: 0, offset: 0 })
    }

    /// The next record before `limit`; `None` at the journal's end.
    pub fn next(&mut self, limit: Limit) -> Result<Option<(Head, Vec<u8>)>, StoreError> {
        loop {
            let Some(segment) = self.segments.front() else { return Ok(None) };
            let limit = match segment.place().cmp(&limit.segment) {
                Ordering::Less => u64::MAX,
                Ordering::Equal => limit.length,
                Ordering::Greater => 0,
            };
            let file = match &mut self.file {
                Some(file) => file,
                None => {
                    let mut file = File::open(&segment.path).map_err(unavailable)?;
                    let start = segment.start as u64;
                    file.seek(SeekFrom::Start(start)).map_err(unavailable)?;
                    (self.at, self.offset) = (0, start);
                    self.buffer.clear();
                    self.file.insert(file)
                }
            };
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let wanted = if rest.len() < HEAD { HEAD } else { frame::head(rest).map_or(HEAD, |h| HEAD + h.length) };
            if rest.len() < wanted {
                self.offset += self.at as u64;
                self.buffer.drain(..self.at);
                self.at = 0;
                let room = limit.saturating_sub(self.offset + self.buffer.len() as u64);
                let more = room.min(wanted.max(READ) as u64);
                Read::by_ref(file).take(more).read_to_end(&mut self.buffer).map_err(unavailable)?;
            }
            match frame::read(&self.buffer, self.at) {
                Found::Record(head, payload, next) => {
                    let payload = payload.to_vec();
                    self.at = next;
                    return Ok(Some((head, payload)));
                }
                Found::Broken => return Err(damaged(segment, self.offset + self.at as u64)),
                Found::End => {}
            }
            if !self.is_followed()? {
                return Ok(None);
            }
            self.segments.pop_front();
            self.file = None;
        }
    }

    /// True when a segment follows the open one: it was there, or was made since we looked.
    fn is_followed(&mut self) -> Result<bool, StoreError> {
        if self.segments.len() == 1 {
            let Some(open) = self.segments.front().cloned() else { return Ok(false) };
            let later = |s: &Segment| s.place() > open.place();
            self.segments.extend(list(&self.folder)?.into_iter().filter(later));
        }
        Ok(self.segments.len() > 1)
    }
}

/// Bytes of all segments.
pub fn bytes(folder: &Path) -> u64 {
    let sizes = fs::read_dir(folder).into_iter().flatten().flatten();
    sizes
        .filter(|e| e.path().extension().is_some_and(|x| x == "seg"))
        .filter_map(|e| Some(e.metadata().ok()?.len()))
        .sum()
}

/// It is not as it was written.
pub fn damaged(segment: &Segment, at: u64) -> StoreError {
    StoreError::Damaged(format!("the journal segment {} is broken at byte {at}", segment.path.display()))
}

/// An I/O error in our words.
pub fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
