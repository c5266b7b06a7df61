//! The journal's files: append-only segments, each with the position and ordinal it begins at.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::frame::{self, Found, Head};
use crate::store::StoreError;

/// First bytes of a segment: what it is, the version of its layout, the first position, the first ordinal.
pub const START: usize = 24;
const NAME: &[u8; 7] = b"ESPJRNL";
const LAYOUT: u8 = 1;

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its file.
    pub path: PathBuf,
    /// The position of the first event that it can hold.
    pub position: u64,
    /// The ordinal of the first settled record that it can hold.
    pub ordinal: u64,
}

/// How far a journal reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The last event's position.
    pub position: u64,
    /// The last settled record's ordinal.
    pub ordinal: u64,
    /// The last write.
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
        let mut start = [0; START];
        let whole = File::open(&path).and_then(|mut file| file.read_exact(&mut start));
        match whole {
            Ok(()) if start[..7] == *NAME && start[7] == LAYOUT => found.push(Segment {
                position: u64::from_le_bytes(start[8..16].try_into().unwrap_or_default()),
                ordinal: u64::from_le_bytes(start[16..24].try_into().unwrap_or_default()),
                path,
            }),
            // A crash while it was being made: it never held anything.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                fs::remove_file(&path).map_err(unavailable)?
            }
            Err(error) => return Err(unavailable(error)),
            Ok(()) => {
                return Err(StoreError::Damaged(format!("{} does not begin like a journal segment", path.display())));
            }
        }
    }
    found.sort_by_key(|s| (s.position, s.ordinal));
    Ok(found)
}

/// Makes the next segment, on disk with its name.
pub fn create(folder: &Path, position: u64, ordinal: u64) -> std::io::Result<(Segment, File)> {
    let path = folder.join(format!("{position:020}-{ordinal:020}.seg"));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let mut start = Vec::with_capacity(START);
    start.extend_from_slice(NAME);
    start.push(LAYOUT);
    start.extend_from_slice(&position.to_le_bytes());
    start.extend_from_slice(&ordinal.to_le_bytes());
    file.write_all(&start)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok((Segment { path, position, ordinal }, file))
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
    let mut end = End { position: segment.position - 1, ordinal: segment.ordinal - 1, group: 0, length: START as u64 };
    let mut at = START;
    loop {
        match frame::read(&bytes, at) {
            Found::Record(head, _, next) => {
                end.note(&head);
                at = next;
                end.length = at as u64;
            }
            Found::End => return Ok(end),
            Found::Broken => {
                let later = frame::whole_record_after(&bytes, at).is_some_and(|head| head.group > end.group + 1);
                if later {
                    return Err(damaged(segment, at));
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
        }
        self.group = head.group;
    }
}

/// Reads records one after another, over segments.
pub struct Reader {
    segments: Vec<Segment>,
    /// Which segment, its bytes so far read, and where in them.
    place: Option<(usize, Vec<u8>, usize)>,
}

impl Reader {
    /// From the segment that holds `position` (or, for settled records, `ordinal`) on.
    pub fn from(folder: &Path, position: u64, ordinal: u64) -> Result<Self, StoreError> {
        let segments = list(folder)?;
        let first = segments.iter().rposition(|s| s.position <= position && s.ordinal <= ordinal).unwrap_or(0);
        Ok(Self { segments: segments[first..].to_vec(), place: None })
    }

    /// The next record that ends at or before `limit` of the last segment; `None` at the journal's end.
    pub fn next(&mut self, limit: Option<u64>) -> Result<Option<(Head, Vec<u8>)>, StoreError> {
        loop {
            let (n, bytes, at) = match self.place.take() {
                Some(place) => place,
                None => match self.segments.first() {
                    None => return Ok(None),
                    Some(first) => (0, self.load(first, 0, limit)?, START),
                },
            };
            let Some(segment) = self.segments.get(n) else { return Ok(None) };
            match frame::read(&bytes, at) {
                Found::Record(head, payload, next) => {
                    let payload = payload.to_vec();
                    self.place = Some((n, bytes, next));
                    return Ok(Some((head, payload)));
                }
                Found::End if n + 1 < self.segments.len() => {
                    let bytes = self.load(&self.segments[n + 1], n + 1, limit)?;
                    self.place = Some((n + 1, bytes, START));
                }
                Found::End => {
                    self.place = Some((n, bytes, at));
                    return Ok(None);
                }
                Found::Broken => return Err(damaged(segment, at)),
            }
        }
    }

    fn load(&self, segment: &Segment, n: usize, limit: Option<u64>) -> Result<Vec<u8>, StoreError> {
        let mut bytes = fs::read(&segment.path).map_err(unavailable)?;
        if let Some(limit) = limit.filter(|_| n + 1 == self.segments.len()) {
            bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(bytes)
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

fn damaged(segment: &Segment, at: usize) -> StoreError {
    StoreError::Damaged(format!("the journal segment {} is broken at byte {at}", segment.path.display()))
}

/// An I/O error in our words.
pub fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
