//! A journal that is written anew, record by record: of an export, or of another store.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::backup::refused;
use super::frame::{self, Head, Kind};
use super::segments::{self, End, Place, START};
use crate::store::StoreError;

/// The journal.
pub struct Journal {
    folder: PathBuf,
    largest: u64,
    end: End,
    open: Option<BufWriter<File>>,
}

impl Journal {
    /// Its next records have these numbers: what there is already lies before them.
    pub fn new(folder: PathBuf, (position, ordinal, step): Place, largest: u64) -> Self {
        let before = |first: u64| first.saturating_sub(1);
        let end = End { position: before(position), ordinal: before(ordinal), step: before(step), group: 0, length: 0 };
        Self { folder, largest, end, open: None }
    }

    /// How far it reaches.
    pub fn end(&self) -> &End {
        &self.end
    }

    /// No segment is open.
    pub fn is_closed(&self) -> bool {
        self.open.is_none()
    }

    /// One more; false where it does not follow what came before it. Steps alone may leave numbers out.
    pub fn put(&mut self, kind: Kind, first: u64, count: u32, payload: &[u8]) -> Result<bool, StoreError> {
        let follows = match kind {
            Kind::Events => first == self.end.position + 1 && count > 0,
            Kind::Settled => first == self.end.ordinal + 1,
            Kind::Step => first > self.end.step,
        };
        if !follows {
            return Ok(false);
        }
        if self.end.length + payload.len() as u64 > self.largest {
            self.finish()?;
        }
        let refused = refused(&self.folder);
        let out = match &mut self.open {
            Some(out) => out,
            None => {
                let place = (self.end.position + 1, self.end.ordinal + 1, self.end.step + 1);
                let (_, file) = segments::create(&self.folder, place).map_err(&refused)?;
                self.end.length = START as u64;
                self.open.insert(BufWriter::new(file))
            }
        };
        let head = Head { kind, version: 1, length: payload.len(), group: 1, first, count };
        let mut bytes = Vec::with_capacity(frame::HEAD + payload.len());
        frame::write(&mut bytes, head, payload);
        out.write_all(&bytes).map_err(&refused)?;
        self.end.length += bytes.len() as u64;
        self.end.note(&head);
        Ok(true)
    }

    /// What was put is on disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        let Some(out) = &mut self.open else { return Ok(()) };
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(refused(&self.folder))
    }

    /// The open segment is on disk.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        self.open = None;
        self.end.length = 0;
        Ok(())
    }
}
