//! A whole store copied to the other adapter, a batch at a time; then both are read again, and held against each other.
//!
//! Each batch and how far it brings the copy are written together, so that one that was killed goes on where it was. What
//! the two stores have in common is said in [`Piece`]s: an adapter only reads and writes these.

mod piece;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

pub use piece::{Ended, Engine, Kind, Lane, Logged, Piece, Sum};

use super::StoreError;
use crate::model::Position;

/// A store that nobody else uses while it is read.
#[async_trait]
pub trait Source: Send {
    /// Where its journal begins and how far the engine is with it.
    async fn frame(&mut self) -> Result<Frame, StoreError>;

    /// A text that is another once anything was written to it.
    async fn mark(&mut self) -> Result<String, StoreError>;

    /// Pieces of a kind from a place on, or from the first on; so many as a batch may have.
    async fn page(&mut self, kind: Kind, after: Option<&[u8]>) -> Result<Page, StoreError>;
}

/// A store that is being made. What is there already can be read.
#[async_trait]
pub trait Target: Source {
    /// How far an earlier copy came that was not finished.
    async fn found(&mut self) -> Result<Option<Progress>, StoreError>;

    /// Begins, and takes away what an earlier copy left.
    async fn begin(&mut self, frame: &Frame, first: &Progress) -> Result<(), StoreError>;

    /// Writes a batch, and that the copy is as far as this.
    async fn put(&mut self, pieces: Vec<Piece>, then: &Progress) -> Result<(), StoreError>;

    /// All of it is there, and was compared: from now on it is a store like others.
    async fn finish(&mut self) -> Result<(), StoreError>;
}

/// The ends of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The oldest event that is kept; where none is, the next one to come.
    pub first: Position,
    /// The newest event decided.
    pub decided: Position,
    /// The last step taken.
    pub step: u64,
}

/// What is read at once.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order in which the store has them.
    pub pieces: Vec<Piece>,
    /// Where the next page begins; none after the last.
    pub next: Option<Vec<u8>>,
}

impl Page {
    /// All of them.
    pub fn all(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self { pieces: pieces.into_iter().collect(), next: None }
    }
}

/// How far a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Of what: the source's [`Source::mark`].
    pub of: String,
    /// The kind that comes next; none where all are there.
    pub kind: Option<Kind>,
    /// The place in it.
    pub after: Option<Vec<u8>>,
    /// Batches written.
    pub batch: u64,
}

impl Progress {
    fn begin(of: &str) -> Self {
        Self { of: of.to_owned(), kind: Some(Kind::Events), after: None, batch: 0 }
    }

    fn then(&self, kind: Kind, next: Option<Vec<u8>>) -> Self {
        let kind = if next.is_some() { Some(kind) } else { kind.next() };
        Self { of: self.of.clone(), kind, after: next, batch: self.batch + 1 }
    }
}

/// What there is to say while it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An earlier copy goes on with this kind.
    GoesOn(Kind),
    /// An earlier copy was of something else: it begins anew.
    Anew,
    /// So many pieces of a kind were written so far, since it began or went on.
    Copied(Kind, u64),
    /// All is written; both are read again.
    Comparing(Kind),
}

/// Copies all of it, compares it, and finishes. What of each kind there is.
///
/// # Errors
/// When either store refuses, or what was written does not come back as it was read: then the next copy begins anew.
pub async fn copy(
    source: &mut dyn Source,
    target: &mut dyn Target,
    told: &mut (dyn FnMut(Told) + Send),
) -> Result<Vec<(Kind, u64)>, StoreError> {
    let mark = source.mark().await?;
    let mut at = match target.found().await? {
        Some(found) if found.of == mark => {
            told(Told::GoesOn(found.kind.unwrap_or(Kind::Engine)));
            found
        }
        other => {
            if other.is_some() {
                told(Told::Anew);
            }
            let first = Progress::begin(&mark);
            target.begin(&source.frame().await?, &first).await?;
            first
        }
    };
    let mut copied = 0;
    while let Some(kind) = at.kind {
        let page = source.page(kind, at.after.as_deref()).await?;
        copied += page.pieces.len() as u64;
        at = at.then(kind, page.next);
        target.put(page.pieces, &at).await?;
        told(Told::Copied(kind, copied));
        if at.kind != Some(kind) {
            copied = 0;
        }
    }
    let mut counted = Vec::new();
    for (kind, word) in Kind::ALL {
        told(Told::Comparing(kind));
        let (ours, theirs) = (sum(source, kind).await?, sum(target, kind).await?);
        if ours != theirs {
            // Whatever is wrong with it: another copy must not go on with it.
            target.put(Vec::new(), &Progress { of: String::new(), batch: at.batch + 1, ..at }).await?;
            return Err(StoreError::Backup(format!(
                "the copy is not what was copied: of {word} the one has {} and the other {}, {}; it is not used, and the \
                 same command begins anew",
                ours.count,
                theirs.count,
                if ours.count == theirs.count { "and they differ" } else { "which should be as many" }
            )));
        }
        counted.push((kind, ours.count));
    }
    if source.mark().await? != mark {
        return Err(StoreError::Unavailable(
            "the store that is copied was written to meanwhile: stop whoever does, and give the same command again"
                .into(),
        ));
    }
    target.finish().await?;
    Ok(counted)
}

/// What a store has of a kind.
pub async fn sum<S: Source + ?Sized>(store: &mut S, kind: Kind) -> Result<Sum, StoreError> {
    let mut sum = Sum::default();
    let mut after = None;
    loop {
        let page = store.page(kind, after.as_deref()).await?;
        page.pieces.iter().for_each(|piece| sum.add(piece));
        after = page.next;
        if after.is_none() {
            return Ok(sum);
        }
    }
}
