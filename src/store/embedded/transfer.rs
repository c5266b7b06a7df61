//! A whole store as JSON lines, and back: for another machine, another disk, another program.
//!
//! A line that says what it is; the state, a line for each value as it lies in the tree; the journal, a line for each
//! record, in words where these come to the same bytes; a line with the count and a checksum of all before it. Nothing
//! is held in memory but a line.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::anew::Journal;
use super::backup::{self, refused};
use super::frame::{self, Head, Kind};
use super::migrate;
use super::open::{journal_folder, lock, open_disk, read_state, state_folder};
use super::restore::Making;
use super::segments::{self, Limit, Place, Reader};
use super::snapshot::{self, Writing};
use crate::model::{Event, Timestamp, build};
use crate::store::record::{EventBatch, Noted, StepRecord, decode, encode};
use crate::store::settings::Settings;
use crate::store::{SCHEMA, StoreError};

/// The version of this form.
const FORMAT: u32 = 1;
/// The longest line that is read: a record of the largest size, in the dearest form.
const LONGEST: u64 = 5 * frame::LARGEST as u64;

/// What an export has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Values of the state.
    pub values: u64,
    /// Records of the journal.
    pub records: u64,
    /// Events in them.
    pub events: u64,
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Espalier {
        export: u32,
        version: String,
        /// The layout of the values; none where there is no state.
        schema: Option<u32>,
        at: Timestamp,
        /// Where the journal begins.
        begins: Place,
        /// How far the state follows it.
        reaches: Place,
    },
    /// Key and value, in base64.
    Value(String, String),
    Events {
        first: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<(String, String)>,
        events: Vec<Event>,
    },
    Settled {
        ordinal: u64,
        record: Noted,
    },
    Step {
        ordinal: u64,
        record: StepRecord,
    },
    /// A record whose words would not come to the same bytes.
    Raw {
        kind: Sort,
        first: u64,
        count: u32,
        payload: String,
    },
    End {
        lines: u64,
        blake3: String,
    },
}

/// What a record is.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    Events,
    Settled,
    Step,
}

impl From<Kind> for Sort {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Events => Self::Events,
            Kind::Settled => Self::Settled,
            Kind::Step => Self::Step,
        }
    }
}

impl From<Sort> for Kind {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Events => Self::Events,
            Sort::Settled => Self::Settled,
            Sort::Step => Self::Step,
        }
    }
}

/// Writes a store that nobody has open to a file that is new.
pub fn export(settings: &Settings, file: &Path, now: Timestamp) -> Result<Counted, StoreError> {
    let journal = journal_folder(settings);
    if !journal.exists() {
        return Err(StoreError::Unavailable(format!("there is no store in {}", settings.path.display())));
    }
    super::restore::finished(settings)?;
    let _lock = lock(settings)?;
    if !state_folder(settings).exists() {
        return write(file, &journal, None, (0, 0, 0), now, |_| Ok(()));
    }
    let disk = open_disk(settings)?.map_err(super::tree::refused)?;
    let schema = migrate::found(&disk)?;
    if schema.is_some_and(|schema| schema != SCHEMA) {
        return Err(StoreError::Unavailable(format!(
            "the store has schema {}, and this version writes {SCHEMA}: start the daemon once, which brings it there",
            schema.unwrap_or_default()
        )));
    }
    let state = read_state(&disk)?.unwrap_or_default();
    let reaches = (state.decided.0, state.applied.through(), state.taken.step);
    write(file, &journal, schema, reaches, now, |out| {
        for entry in disk.everything() {
            let (key, value) = entry?;
            out.value(&key, &value)?;
        }
        Ok(())
    })
}

/// Writes what a backup has to a file that is new.
pub fn export_backup(folder: &Path, file: &Path) -> Result<Counted, StoreError> {
    let (manifest, wrong) = backup::check(folder)?;
    if let Some(wrong) = wrong.first() {
        return Err(StoreError::Backup(format!("{}: {wrong}", folder.display())));
    }
    let Some((reaches, snapshot)) = snapshot::listed(&folder.join("snapshots")).into_iter().next() else {
        return Err(StoreError::Backup(format!("{} has no snapshot", folder.display())));
    };
    write(file, &folder.join("journal"), Some(manifest.schema), reaches, manifest.at, |out| {
        snapshot::each(&snapshot, |key, value| out.value(&key, &value)).map(drop)
    })
}

fn write(
    file: &Path,
    journal: &Path,
    schema: Option<u32>,
    reaches: Place,
    at: Timestamp,
    values: impl FnOnce(&mut Out) -> Result<(), StoreError>,
) -> Result<Counted, StoreError> {
    let unfinished = file.with_extension("unfinished");
    for path in [file, &unfinished] {
        if path.exists() {
            return Err(StoreError::Unavailable(format!("{} is there already", path.display())));
        }
    }
    let to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
    let out = Out {
        to: BufWriter::new(to.map_err(refused(&unfinished))?),
        path: unfinished.clone(),
        sum: blake3::Hasher::new(),
        lines: 0,
        counted: Counted::default(),
    };
    let written = write_all(out, journal, schema, reaches, at, values);
    let named = written.and_then(|counted| {
        std::fs::rename(&unfinished, file).map_err(refused(file))?;
        Ok(counted)
    });
    if named.is_err() {
        // Made by us, and in the way of another try.
        let _ = std::fs::remove_file(&unfinished);
    }
    let counted = named?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    backup::sync(folder.unwrap_or(Path::new(".")))?;
    Ok(counted)
}

fn write_all(
    mut out: Out,
    journal: &Path,
    schema: Option<u32>,
    reaches: Place,
    at: Timestamp,
    values: impl FnOnce(&mut Out) -> Result<(), StoreError>,
) -> Result<Counted, StoreError> {
    let segments = segments::list(journal)?;
    let begins = segments.first().map_or((1, 1, 1), segments::Segment::place);
    let version = build::VERSION.to_owned();
    out.line(&Line::Espalier { export: FORMAT, version, schema, at, begins, reaches })?;
    values(&mut out)?;
    let mut limit = Limit::default();
    if let Some(last) = segments.last() {
        // A write that was cut was never acknowledged.
        limit = Limit { segment: last.place(), length: segments::end_of(last)?.length };
    }
    let mut reader = Reader::from(journal, (0, 0, 0))?;
    while let Some((head, payload)) = reader.next(limit)? {
        out.record(&head, &payload)?;
    }
    let end = Line::End { lines: out.lines, blake3: out.sum.finalize().to_hex().to_string() };
    out.line(&end)?;
    let done = out.to.into_inner().map_err(|e| refused(&out.path)(e.into_error()))?;
    done.sync_all().map_err(refused(&out.path))?;
    Ok(out.counted)
}

/// The file that is written.
struct Out {
    to: BufWriter<File>,
    path: std::path::PathBuf,
    sum: blake3::Hasher,
    lines: u64,
    counted: Counted,
}

impl Out {
    fn line(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec(line).map_err(|e| StoreError::Damaged(e.to_string()))?;
        text.push(b'\n');
        self.sum.update(&text);
        self.lines += 1;
        self.to.write_all(&text).map_err(refused(&self.path))
    }

    fn value(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.counted.values += 1;
        self.line(&Line::Value(STANDARD.encode(key), STANDARD.encode(value)))
    }

    fn record(&mut self, head: &Head, payload: &[u8]) -> Result<(), StoreError> {
        self.counted.records += 1;
        if head.kind == Kind::Events {
            self.counted.events += u64::from(head.count);
        }
        let raw = || Line::Raw {
            kind: head.kind.into(),
            first: head.first,
            count: head.count,
            payload: STANDARD.encode(payload),
        };
        let words = in_words(head, payload).filter(|line| {
            let text = serde_json::to_string(line).ok();
            let back = text.and_then(|text| record_of(serde_json::from_str(&text).ok()?));
            back.is_some_and(|(kind, first, count, bytes)| {
                (kind, first, count) == (head.kind, head.first, head.count) && bytes == payload
            })
        });
        self.line(&words.unwrap_or_else(raw))
    }
}

fn in_words(head: &Head, payload: &[u8]) -> Option<Line> {
    match head.kind {
        Kind::Events => {
            let EventBatch { cursor, events } = decode::<EventBatch<Event>>(payload).ok()?;
            let cursor = cursor.map(|(name, value)| (name, STANDARD.encode(value)));
            Some(Line::Events { first: head.first, cursor, events })
        }
        Kind::Settled => Some(Line::Settled { ordinal: head.first, record: decode(payload).ok()? }),
        Kind::Step => Some(Line::Step { ordinal: head.first, record: decode(payload).ok()? }),
    }
}

/// A line's record: what it is, its first place, how many it counts for, its bytes. `None` of a line that is none.
fn record_of(line: Line) -> Option<(Kind, u64, u32, Vec<u8>)> {
    match line {
        Line::Events { first, cursor, events } => {
            let count = u32::try_from(events.len()).ok()?;
            let cursor = match cursor {
                Some((name, value)) => Some((name, STANDARD.decode(value).ok()?)),
                None => None,
            };
            Some((Kind::Events, first, count, encode(&EventBatch { cursor, events })))
        }
        Line::Settled { ordinal, record } => Some((Kind::Settled, ordinal, 1, encode(&record))),
        Line::Step { ordinal, record } => Some((Kind::Step, ordinal, 1, encode(&record))),
        Line::Raw { kind, first, count, payload } => Some((kind.into(), first, count, STANDARD.decode(payload).ok()?)),
        Line::Espalier { .. } | Line::Value(..) | Line::End { .. } => None,
    }
}

/// Makes an empty store what an export says. Nothing of it is used unless all of it is as it was written.
pub fn import(settings: &Settings, file: &Path, now: Timestamp) -> Result<Counted, StoreError> {
    let from = File::open(file).map_err(refused(file))?;
    let mut lines = Lines::new(from, file);
    let Line::Espalier { export, schema, begins, reaches, .. } = lines.next()? else {
        return Err(lines.broken("it does not begin like an export"));
    };
    if export != FORMAT {
        return Err(lines.broken(&format!("it has the form {export}, and this version knows {FORMAT}")));
    }
    if let Some(found) = schema.filter(|schema| *schema > SCHEMA) {
        return Err(StoreError::Newer { found, known: SCHEMA });
    }
    let making = Making::begin(settings)?;
    match take(&mut lines, &making, settings, (begins, reaches, schema.is_some())) {
        Ok(counted) => making.finish(settings, now).map(|()| counted),
        Err(error) => {
            making.give_up();
            Err(error)
        }
    }
}

fn take(
    lines: &mut Lines<'_>,
    making: &Making,
    settings: &Settings,
    (begins, reaches, has_state): (Place, Place, bool),
) -> Result<Counted, StoreError> {
    let mut counted = Counted::default();
    let mut state =
        if has_state { Some(Writing::begin(&making.snapshots().join(snapshot::named(reaches)))?) } else { None };
    let folder = making.journal();
    let mut journal = Journal::new(folder, begins, settings.segment.0);
    loop {
        let before = lines.read;
        match lines.next()? {
            Line::Value(key, value) if journal.is_closed() => {
                let decoded = STANDARD.decode(key).ok().zip(STANDARD.decode(value).ok());
                let Some(((key, value), state)) = decoded.zip(state.as_mut()) else {
                    return Err(lines.broken("a value cannot be read"));
                };
                state.put(&key, &value)?;
                counted.values += 1;
            }
            Line::End { lines: said, blake3 } => {
                if said != before || blake3 != lines.sum.finalize().to_hex().as_str() {
                    return Err(lines.broken("it is not as it was written"));
                }
                if lines.rest()? {
                    return Err(lines.broken("it goes on behind its end"));
                }
                if let Some(state) = state.take() {
                    state.finish()?;
                }
                journal.finish()?;
                return Ok(counted);
            }
            line => {
                let Some((kind, first, count, payload)) = record_of(line) else {
                    return Err(lines.broken("a line is out of its place"));
                };
                if payload.len() > frame::LARGEST {
                    return Err(lines.broken("a record is larger than the journal takes"));
                }
                counted.records += 1;
                if kind == Kind::Events {
                    counted.events += u64::from(count);
                }
                if !journal.put(kind, first, count, &payload)? {
                    return Err(lines.broken("a record is missing before it"));
                }
            }
        }
    }
}

/// The file that is read.
struct Lines<'a> {
    from: BufReader<File>,
    path: &'a Path,
    /// Of all before the line that was read last, which may say what it has to be.
    sum: blake3::Hasher,
    last: Vec<u8>,
    read: u64,
}

impl<'a> Lines<'a> {
    fn new(from: File, path: &'a Path) -> Self {
        Self { from: BufReader::new(from), path, sum: blake3::Hasher::new(), last: Vec::new(), read: 0 }
    }

    fn next(&mut self) -> Result<Line, StoreError> {
        self.sum.update(&self.last);
        self.last.clear();
        Read::by_ref(&mut self.from).take(LONGEST).read_until(b'\n', &mut self.last).map_err(refused(self.path))?;
        self.read += 1;
        let Some(text) = self.last.strip_suffix(b"\n") else {
            return Err(self.broken("it is cut, or a line is too long"));
        };
        // What is wrong is not shown: the line has people in it.
        serde_json::from_slice(text).map_err(|_| self.broken("it is no line of an export"))
    }

    /// True where something follows.
    fn rest(&mut self) -> Result<bool, StoreError> {
        self.from.fill_buf().map(|rest| !rest.is_empty()).map_err(refused(self.path))
    }

    fn broken(&self, words: &str) -> StoreError {
        StoreError::Backup(format!("{}, line {}: {words}; nothing was imported", self.path.display(), self.read))
    }
}
