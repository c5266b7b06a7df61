//! The one thread that writes the journal: it drains what waits, writes it at once, syncs once, then answers all.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::frame::{self, Head, Kind};
use super::segments::{self, End, Limit, START, Segment};
use crate::model::{Event, Position};

/// One write takes no more than this, so that those who came first are answered soon.
const GROUP: usize = 8 << 20;
/// Decoded events kept for the engine, in bytes of their journal form.
const RECENT: usize = 16 << 20;

/// When the last write took this many, a smaller one waits a little for others to join: each sync costs the processor
/// as much as several messages, and under load there is always somebody about to come.
const BUSY: usize = 4;
/// A write of this many goes at once.
const WORTH_IT: usize = 32;
/// How long it waits.
const GATHER: Duration = Duration::from_micros(100);

/// What waits to be written.
pub struct Append {
    /// Events or outcomes.
    pub kind: Kind,
    /// In its stored form.
    pub payload: Vec<u8>,
    /// How many events.
    pub count: u32,
    /// The events themselves, for the engine.
    pub events: Vec<Event>,
    /// Told the last position (or ordinal), or the reason.
    pub answer: oneshot::Sender<Result<u64, String>>,
}

/// What the journal holds, as others may see it: only what is on disk.
#[derive(Debug, Default)]
pub struct Tail {
    /// How far it reaches.
    pub end: End,
    /// How far it may be read.
    pub limit: Limit,
    /// The newest events, not yet claimed and without a gap; `claimed` says where it begins when it is empty.
    pub recent: VecDeque<(Position, Event)>,
    /// Bytes they came in, since the engine last took them.
    pub recent_bytes: usize,
    /// Handed to the engine, up to here.
    pub claimed: u64,
    /// Arrival of the newest event.
    pub bytes: u64,
}

/// The thread, seen from outside.
pub struct Committer {
    to: Mutex<Option<Sender<Append>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// What is on disk.
    pub tail: Arc<Mutex<Tail>>,
    /// `tail.end.position`, for those who must not wait.
    pub journaled: Arc<AtomicU64>,
}

struct Writer {
    folder: PathBuf,
    largest: u64,
    /// The open segment; `None` after the disk refused, until it lets us again.
    open: Option<(Segment, File)>,
    tail: Arc<Mutex<Tail>>,
    journaled: Arc<AtomicU64>,
    changed: watch::Sender<u64>,
    end: End,
    /// The last write was refused.
    refused: bool,
}

impl Committer {
    /// Goes on at `end` of `last`, or begins the first segment.
    pub fn start(
        folder: PathBuf,
        largest: u64,
        last: Option<(Segment, End)>,
        claimed: u64,
        changed: watch::Sender<u64>,
    ) -> std::io::Result<Self> {
        let (open, end) = match last {
            Some((segment, end)) => {
                let file = segments::reopen(&segment, end.length)?;
                ((segment, file), end)
            }
            None => (segments::create(&folder, 1, 1)?, End { length: START as u64, ..End::default() }),
        };
        let bytes = segments::bytes(&folder);
        let limit = Limit { segment: open.0.id(), length: end.length };
        let tail = Arc::new(Mutex::new(Tail { end, limit, claimed, bytes, ..Tail::default() }));
        let journaled = Arc::new(AtomicU64::new(end.position));
        let mut writer = Writer {
            folder,
            largest,
            open: Some(open),
            tail: tail.clone(),
            journaled: journaled.clone(),
            changed,
            end,
            refused: false,
        };
        let (to, from) = channel();
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run(&from))?;
        Ok(Self { to: Mutex::new(Some(to)), thread: Mutex::new(Some(thread)), tail, journaled })
    }

    /// Hands something to be written. The answer comes when the disk has it.
    pub fn append(&self, append: Append) -> Result<(), String> {
        let to = self.to.lock().map_err(|_| "the journal's writer is gone")?;
        match &*to {
            Some(to) => to.send(append).map_err(|_| "the journal's writer is gone".to_owned()),
            None => Err("the journal is closed".into()),
        }
    }

    /// Writes what waits and ends the thread.
    pub fn close(&self) {
        if let Ok(mut to) = self.to.lock() {
            to.take();
        }
        let thread = self.thread.lock().ok().and_then(|mut t| t.take());
        if let Some(thread) = thread {
            // Nothing can be done about a panicked writer when closing.
            let _ = thread.join();
        }
    }
}

/// Takes what waits, up to the size of a write.
fn take_waiting(from: &Receiver<Append>, group: &mut Vec<Append>, size: &mut usize) {
    while *size < GROUP {
        let Ok(next) = from.try_recv() else { break };
        *size += next.payload.len();
        group.push(next);
    }
}

impl Writer {
    fn run(&mut self, from: &Receiver<Append>) {
        let mut buffer = Vec::new();
        let mut last = 0;
        while let Ok(first) = from.recv() {
            let mut size = first.payload.len();
            let mut group = vec![first];
            take_waiting(from, &mut group, &mut size);
            if last >= BUSY && group.len() < WORTH_IT {
                std::thread::sleep(GATHER);
                take_waiting(from, &mut group, &mut size);
            }
            last = group.len();
            self.commit(group, &mut buffer);
        }
    }

    fn commit(&mut self, group: Vec<Append>, buffer: &mut Vec<u8>) {
        buffer.clear();
        let mut end = self.end;
        end.group = end.group.wrapping_add(1);
        let mut sizes = Vec::with_capacity(group.len());
        for append in &group {
            let first = match append.kind {
                Kind::Events => end.position + 1,
                Kind::Settled => end.ordinal + 1,
            };
            let head = Head {
                kind: append.kind,
                version: 1,
                length: append.payload.len(),
                group: end.group,
                first,
                count: append.count,
            };
            let before = buffer.len();
            frame::write(buffer, head, &append.payload);
            sizes.push(buffer.len() - before);
            end.note(&head);
        }
        match self.write(buffer) {
            Ok(length) => {
                if std::mem::take(&mut self.refused) {
                    tracing::info!("the journal can be written again");
                }
                end.length = length;
                self.publish(group, &sizes, end);
            }
            Err(error) => {
                // Said once, however many are refused.
                if !std::mem::replace(&mut self.refused, true) {
                    tracing::error!(reason = %error, "the journal cannot be written; intake answers 503");
                }
                metrics::counter!("espalier_journal_refused_total").increment(1);
                for append in group {
                    let _ = append.answer.send(Err(error.to_string()));
                }
            }
        }
    }

    /// Writes and syncs, or leaves the file as it was. Returns the segment's new length.
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<u64> {
        let full = self.end.length > START as u64 && self.end.length + buffer.len() as u64 > self.largest;
        if self.open.is_none() || full {
            self.open_next(full)?;
        }
        let Some((segment, file)) = &mut self.open else { return Err(std::io::Error::other("no open segment")) };
        let written = file.write_all(buffer).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What reached the file was not acknowledged: it is cut, now or when the disk lets us.
            let cut = segments::reopen(segment, self.end.length);
            self.open = cut.ok().map(|file| (segment.clone(), file));
            return Err(error);
        }
        Ok(self.end.length + buffer.len() as u64)
    }

    /// The next segment; after a refusal the old one, cut to what was acknowledged.
    fn open_next(&mut self, full: bool) -> std::io::Result<()> {
        if self.open.is_none() {
            let last = segments::list(&self.folder).map_err(std::io::Error::other)?.pop();
            let Some(segment) = last else { return Err(std::io::Error::other("the journal's last segment is gone")) };
            let file = segments::reopen(&segment, self.end.length)?;
            self.open = Some((segment, file));
        }
        if full {
            let next = segments::create(&self.folder, self.end.position + 1, self.end.ordinal + 1)?;
            self.open = Some(next);
            self.end.length = START as u64;
        }
        Ok(())
    }

    /// Lets others see what is on disk, and answers.
    fn publish(&mut self, group: Vec<Append>, sizes: &[usize], end: End) {
        let mut answers = Vec::with_capacity(group.len());
        {
            let Ok(mut tail) = self.tail.lock() else { return };
            let (mut position, mut ordinal) = (self.end.position, self.end.ordinal);
            for (append, size) in group.into_iter().zip(sizes) {
                tail.bytes += *size as u64;
                if append.kind == Kind::Settled {
                    ordinal += 1;
                    answers.push((append.answer, ordinal));
                    continue;
                }
                let each = *size / append.events.len().max(1);
                for event in append.events {
                    position += 1;
                    let follows = tail.recent.back().map_or(tail.claimed, |(last, _)| last.0) + 1;
                    if follows == position && tail.recent_bytes < RECENT {
                        tail.recent_bytes += each;
                        tail.recent.push_back((Position(position), event));
                    }
                }
                answers.push((append.answer, position));
            }
            tail.end = end;
            if let Some((segment, _)) = &self.open {
                tail.limit = Limit { segment: segment.id(), length: end.length };
            }
        }
        self.journaled.store(end.position, Ordering::Release);
        self.end = end;
        self.changed.send_modify(|n| *n += 1);
        for (answer, number) in answers {
            // A caller that went away does not want to know.
            let _ = answer.send(Ok(number));
        }
    }
}
