//! The one thread that writes the journal: it drains what waits, writes it at once, syncs once, then answers all.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::durable::{probe, synced};
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
    /// Events, outcomes or a step.
    pub kind: Kind,
    /// In its stored form.
    pub payload: Vec<u8>,
    /// How many events.
    pub count: u32,
    /// The events themselves, for the engine.
    pub events: Vec<Event>,
    /// To be on disk when it is answered; else written, and on disk with the next that is.
    pub durable: bool,
    /// Told the last position (or ordinal), or the reason.
    pub answer: oneshot::Sender<Result<u64, String>>,
}

/// What the journal holds, as others may see it: events and outcomes only when they are on disk.
#[derive(Debug, Default)]
pub struct Tail {
    /// How far it reaches.
    pub end: End,
    /// The last step that is on disk: those after it are written, and may be lost with the power.
    pub synced_step: u64,
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
    /// The next write begins a segment.
    another: Arc<AtomicBool>,
}

struct Writer {
    folder: PathBuf,
    largest: u64,
    /// The open segment; `None` after the disk refused, until it lets us again.
    open: Option<(Segment, File)>,
    tail: Arc<Mutex<Tail>>,
    journaled: Arc<AtomicU64>,
    another: Arc<AtomicBool>,
    changed: watch::Sender<u64>,
    /// What is written; its group is that of the last sync.
    end: End,
    /// What was written since then: lost with the page cache, should a sync fail.
    unsynced: Vec<u8>,
    /// The last write was refused.
    refused: bool,
}

impl Committer {
    /// Goes on at `end` of `last`, or begins the first segment. `lost` are steps that the journal lost with the power
    /// and the state still knows, up to `step`: they are written again.
    pub fn start(
        folder: PathBuf,
        largest: u64,
        last: Option<(Segment, End)>,
        claimed: u64,
        (step, lost): (u64, Vec<Vec<u8>>),
        changed: watch::Sender<u64>,
    ) -> std::io::Result<Self> {
        let (open, end) = match last {
            Some((segment, end)) => {
                let file = segments::reopen(&segment, end.length)?;
                ((segment, file), end)
            }
            None => (segments::create(&folder, (1, 1, 1))?, End { length: START as u64, ..End::default() }),
        };
        let bytes = segments::bytes(&folder);
        let limit = Limit { segment: open.0.place(), length: end.length };
        let tail = Tail { end, synced_step: end.step, limit, claimed, bytes, ..Tail::default() };
        let tail = Arc::new(Mutex::new(tail));
        let journaled = Arc::new(AtomicU64::new(end.position));
        let another = Arc::new(AtomicBool::new(false));
        let mut writer = Writer {
            folder,
            largest,
            open: Some(open),
            tail: tail.clone(),
            journaled: journaled.clone(),
            another: another.clone(),
            changed,
            end,
            unsynced: Vec::new(),
            refused: false,
        };
        writer.again(step, lost)?;
        let (to, from) = channel();
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run(&from))?;
        Ok(Self { to: Mutex::new(Some(to)), thread: Mutex::new(Some(thread)), tail, journaled, another })
    }

    /// Hands something to be written. The answer comes when the disk has it.
    pub fn append(&self, append: Append) -> Result<(), String> {
        let to = self.to.lock().map_err(|_| "the journal's writer is gone")?;
        match &*to {
            Some(to) => to.send(append).map_err(|_| "the journal's writer is gone".to_owned()),
            None => Err("the journal is closed".into()),
        }
    }

    /// The next write begins a segment, so that the one before it is written for good.
    pub fn begin_another(&self) {
        self.another.store(true, Ordering::Release);
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
        // Nobody waits for it; what is lost with the power is written again by who opens the store.
        let _ = self.sync();
    }

    /// Writes steps again that were lost. An ordinal is never given twice: the state counts by them.
    fn again(&mut self, step: u64, lost: Vec<Vec<u8>>) -> std::io::Result<()> {
        if self.end.step >= step {
            return Ok(());
        }
        let (count, durable) = (lost.len() as u64, true);
        let mut group = Vec::with_capacity(lost.len());
        for payload in lost {
            // Nobody waits for an answer.
            let (answer, _) = oneshot::channel();
            group.push(Append { kind: Kind::Step, payload, count: 1, events: Vec::new(), durable, answer });
        }
        self.end.step = step - count;
        if group.is_empty() {
            self.tail.lock().map_err(|_| std::io::Error::other("no journal"))?.end.step = step;
            return Ok(());
        }
        self.commit(group, &mut Vec::new());
        if self.refused { Err(std::io::Error::other("the journal cannot be written")) } else { Ok(()) }
    }

    fn commit(&mut self, group: Vec<Append>, buffer: &mut Vec<u8>) {
        buffer.clear();
        let mut end = self.end;
        let number = end.group.wrapping_add(1);
        let syncs = group.iter().any(|append| append.durable);
        let mut sizes = Vec::with_capacity(group.len());
        for append in &group {
            let first = match append.kind {
                Kind::Events => end.position + 1,
                Kind::Settled => end.ordinal + 1,
                Kind::Step => end.step + 1,
            };
            let head = Head {
                kind: append.kind,
                version: 1,
                length: append.payload.len(),
                group: number,
                first,
                count: append.count,
            };
            let before = buffer.len();
            frame::write(buffer, head, &append.payload);
            sizes.push(buffer.len() - before);
            end.note(&head);
        }
        match self.write(buffer, syncs) {
            Ok(length) => {
                if std::mem::take(&mut self.refused) {
                    tracing::info!("the journal can be written again");
                }
                end.length = length;
                if !syncs {
                    // Those written next are of the same group: it ends with a sync.
                    end.group = self.end.group;
                }
                self.publish(group, &sizes, end, syncs);
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
    fn write(&mut self, buffer: &[u8], syncs: bool) -> std::io::Result<u64> {
        let is_over = self.end.length + buffer.len() as u64 > self.largest || self.another.load(Ordering::Acquire);
        let full = self.end.length > START as u64 && is_over;
        if self.open.is_none() || full {
            self.open_next(full)?;
        }
        let Some((segment, file)) = &mut self.open else { return Err(std::io::Error::other("no open segment")) };
        let written = file.write_all(buffer).and_then(|()| if syncs { synced(file) } else { Ok(()) });
        if let Err(error) = written {
            // What reached the file was not acknowledged: it is cut, now or when the disk lets us.
            let segment = segment.clone();
            self.open = self.cut(segment).and_then(|open| probe(&self.folder).map(|()| open)).ok();
            return Err(error);
        }
        if syncs {
            self.unsynced.clear();
        } else {
            self.unsynced.extend_from_slice(buffer);
        }
        Ok(self.end.length + buffer.len() as u64)
    }

    /// Opens the segment anew, at the end of what was acknowledged. What no sync has brought to the disk is written
    /// again: after a refused sync the kernel may have dropped it.
    fn cut(&self, segment: Segment) -> std::io::Result<(Segment, File)> {
        let mut file = segments::reopen(&segment, self.end.length - self.unsynced.len() as u64)?;
        file.write_all(&self.unsynced)?;
        Ok((segment, file))
    }

    /// Brings to the disk what was written without a sync.
    fn sync(&mut self) -> std::io::Result<()> {
        if let Some((_, file)) = self.open.as_mut().filter(|_| !self.unsynced.is_empty()) {
            if let Err(error) = synced(file) {
                self.open = None;
                return Err(error);
            }
            self.unsynced.clear();
        }
        Ok(())
    }

    /// The next segment; after a refusal the old one, cut to what was acknowledged.
    fn open_next(&mut self, full: bool) -> std::io::Result<()> {
        let end = self.end;
        if self.open.is_none() {
            let last = segments::list(&self.folder).map_err(std::io::Error::other)?.pop();
            let Some(segment) = last else { return Err(std::io::Error::other("the journal's last segment is gone")) };
            probe(&self.folder)?;
            self.open = Some(self.cut(segment)?);
        }
        if full {
            // Only the last segment may end in something that is not whole.
            self.sync()?;
            let next = segments::create(&self.folder, (end.position + 1, end.ordinal + 1, end.step + 1))?;
            self.open = Some(next);
            self.another.store(false, Ordering::Release);
            self.end.length = START as u64;
        }
        Ok(())
    }

    /// Lets others see what was written, and answers.
    fn publish(&mut self, group: Vec<Append>, sizes: &[usize], end: End, synced: bool) {
        let is_news = group.iter().any(|append| append.kind != Kind::Step);
        let mut answers = Vec::with_capacity(group.len());
        {
            let Ok(mut tail) = self.tail.lock() else { return };
            let End { mut position, mut ordinal, mut step, .. } = self.end;
            for (append, size) in group.into_iter().zip(sizes) {
                tail.bytes += *size as u64;
                let counted = match append.kind {
                    Kind::Events => None,
                    Kind::Settled => Some(&mut ordinal),
                    Kind::Step => Some(&mut step),
                };
                if let Some(counted) = counted {
                    *counted += 1;
                    answers.push((append.answer, *counted));
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
            if synced {
                tail.synced_step = end.step;
            }
            if let Some((segment, _)) = &self.open {
                tail.limit = Limit { segment: segment.place(), length: end.length };
            }
        }
        self.journaled.store(end.position, Ordering::Release);
        self.end = end;
        if is_news {
            self.changed.send_modify(|n| *n += 1);
        }
        for (answer, number) in answers {
            // A caller that went away does not want to know.
            let _ = answer.send(Ok(number));
        }
    }
}
