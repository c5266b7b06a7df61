//! A store that is made of another's pieces. How far it is stands in the tree, and is written with each batch; what lies
//! beside the tree (the journal, message keys, who may come in) is on disk before that, and may be written once more.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Folder, pieces};
use crate::model::{DedupeKey, Event, PersonId, Position, Timestamp};
use crate::store::StoreError;
use crate::store::copy::{Ended, Engine, Frame, Kind, Lane, Page, Piece, Progress, Source, Target};
use crate::store::embedded::anew::Journal;
use crate::store::embedded::backup::{self, refused};
use crate::store::embedded::frame::Kind as Sort;
use crate::store::embedded::migrate::migrate;
use crate::store::embedded::open::{journal_folder, lock, open_disk, state_folder};
use crate::store::embedded::outbox::Queued;
use crate::store::embedded::overlay::Batch;
use crate::store::embedded::people::{self, Shape};
use crate::store::embedded::restore::{self, COPIED, UNFINISHED};
use crate::store::embedded::shelf::StoredPool;
use crate::store::embedded::state::{LaneState, State};
use crate::store::embedded::steps::Taken;
use crate::store::embedded::tree::{Disk, put, refused as refused_by_sled};
use crate::store::embedded::{held, keys, names, register, seen, segments, snapshot, timed};
use crate::store::forgotten::Hash;
use crate::store::record::{Cursor, EventBatch, Place, StoredDecision, decode, encode};
use crate::store::settings::Settings;

/// Folders of a store.
const PARTS: [&str; 4] = ["journal", "snapshots", "state", "seen"];
/// Names that a bucket is filled with: some come in later, and one that is full is halved.
const BUCKET: usize = 12;

/// What the tree says of the copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stands {
    of: String,
    kind: Option<String>,
    after: Option<Vec<u8>>,
    batch: u64,
    first: Position,
    decided: Position,
    step: u64,
    /// The last event of the runs of message keys.
    keys_to: u64,
}

/// A store that is being made.
pub struct Making {
    at: Folder,
    state: State,
    stands: Option<Stands>,
    journal: Option<Journal>,
    /// Message keys that are not yet in a run, and when the newest of them came.
    keys: (Vec<DedupeKey>, Timestamp),
}

impl Making {
    /// Begins one where none is, or opens one that was begun and not ended.
    ///
    /// # Errors
    /// When there is a store, or somebody has it open.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        let path = &settings.path;
        if !restore::is_copied(settings) {
            restore::finished(settings)?;
            let mut parts = PARTS.into_iter().chain(register::FILES);
            if let Some(there) = parts.find(|part| path.join(part).exists()) {
                return Err(StoreError::Unavailable(format!(
                    "there is a store in {} already ({there}): name another folder, or move it away",
                    path.display()
                )));
            }
        }
        fs::create_dir_all(path).map_err(refused(path))?;
        let lock = lock(settings)?;
        write_mark(path)?;
        for part in ["journal", "snapshots"].map(|part| path.join(part)).iter().filter(|part| !part.exists()) {
            backup::make(part)?;
        }
        let disk = match open_disk(settings) {
            Ok(Ok(disk)) => disk,
            // Nothing is lost but that it begins anew.
            Ok(Err(sled::Error::Corruption { .. })) | Err(_) => {
                let state = state_folder(settings);
                fs::remove_dir_all(&state).map_err(refused(&state))?;
                open_disk(settings)?.map_err(refused_by_sled)?
            }
            Ok(Err(error)) => return Err(refused_by_sled(error)),
        };
        let stands = disk.get(keys::COPY)?.map(|bytes| decode(&bytes)).transpose()?;
        let at = Folder::of(settings, disk, lock);
        let mut making =
            Self { at, state: State::default(), stands, journal: None, keys: (Vec::new(), Timestamp::MIN) };
        if making.stands.is_some() {
            making.state = making.at.state()?;
        }
        Ok(making)
    }

    fn stands(&self) -> Result<&Stands, StoreError> {
        self.stands.as_ref().ok_or_else(|| StoreError::Unavailable("the copy was not begun".into()))
    }

    fn path(&self, part: &str) -> PathBuf {
        self.at.settings.path.join(part)
    }

    /// The journal's writer, behind what there is of it.
    fn journal(&mut self) -> Result<&mut Journal, StoreError> {
        let folder = journal_folder(&self.at.settings);
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => {
                let stands = self.stands()?;
                let mut begins = (stands.first.0, 1, stands.step + 1);
                if let Some(last) = segments::list(&folder)?.pop() {
                    let end = segments::end_of(&last)?;
                    drop(segments::reopen(&last, end.length).map_err(refused(&folder))?);
                    begins = (end.position + 1, end.ordinal + 1, end.step + 1);
                }
                Journal::new(folder, begins, self.at.settings.segment.0)
            }
        };
        Ok(self.journal.insert(journal))
    }

    /// Events that the journal does not have yet.
    fn put_events(&mut self, events: Vec<(Position, Event)>) -> Result<(), StoreError> {
        let journal = self.journal()?;
        let known = journal.end().position;
        let new: Vec<_> = events.into_iter().filter(|(position, _)| position.0 > known).collect();
        let Some((first, _)) = new.first() else { return Ok(()) };
        let (first, count) = (first.0, u32::try_from(new.len()).unwrap_or(u32::MAX));
        let events = new.iter().map(|(_, event)| event).collect();
        let follows = journal.put(Sort::Events, first, count, &encode(&EventBatch { cursor: None, events }))?;
        if !follows {
            return Err(StoreError::Damaged(format!("the journal goes on at event {first} after {known}")));
        }
        journal.sync()
    }

    /// The keys that are in memory become a run, where they are many, or the last; true where none are left there.
    fn put_keys(&mut self, then: &Progress) -> Result<bool, StoreError> {
        let Some(stands) = self.stands.as_mut().filter(|stands| stands.kind.as_deref() == Some(Kind::Keys.word()))
        else {
            return Ok(true);
        };
        let is_last = then.kind != Some(Kind::Keys);
        if !is_last && self.keys.0.len() < seen::COPIED {
            return Ok(self.keys.0.is_empty());
        }
        let (keys, newest) = std::mem::replace(&mut self.keys, (Vec::new(), Timestamp::MIN));
        let after = stands.keys_to;
        // The last one reaches to what is decided, though it is empty: else the keys of the journal would be taken too.
        let to = if is_last { stands.decided.0 } else { after + 1 };
        if to > after {
            let folder = seen::folder(&self.at.settings.path);
            fs::create_dir_all(&folder).map_err(refused(&folder))?;
            seen::copied(&folder, keys, (after, to), newest)?;
            stands.keys_to = to;
        } else if !keys.is_empty() {
            return Err(StoreError::Damaged("there are message keys of no event".into()));
        }
        Ok(true)
    }

    fn put_engine(&mut self, batch: &mut Batch, engine: Engine) -> Result<(), StoreError> {
        let Engine { journaled: _, decided, step, seq, people, reached, program, adopted, open } = engine;
        let state = &mut self.state;
        (state.decided, state.people, state.reached) = (decided, people, reached);
        state.seq = seq.max(state.aside);
        put(batch, keys::TAKEN.to_vec(), &encode(&Taken { step, adopted, unsynced: Vec::new() }));
        if let Some(program) = program {
            put(batch, keys::PROGRAM.to_vec(), &encode(&program.to_vec()));
        }
        if let Some(open) = open {
            let journal = self.journal()?;
            // False where it lies there already.
            journal.put(Sort::Step, step + 1, 1, &encode(&open))?;
            journal.sync()?;
        }
        Ok(())
    }

    fn put_lane(&mut self, lane: Lane) {
        let Lane { name, queued, deferred, dead, triggers, totals } = lane;
        self.state.lanes.insert(name, LaneState { queued, deferred, dead, triggers, totals });
    }

    /// Puts what lies in the tree; what lies beside it is put before.
    fn put_piece(&mut self, batch: &mut Batch, piece: Piece) -> Result<(), StoreError> {
        match piece {
            Piece::Key(key, at) => {
                self.keys.0.push(key);
                self.keys.1 = self.keys.1.max(at);
            }
            Piece::Cursor(name, value) => {
                let at = Position(self.journal()?.end().position);
                put(batch, keys::named(keys::CURSOR, &name), &encode(&Cursor { at, value }));
            }
            Piece::Person(person) => drop(people::whole(batch, &person, Shape::default())),
            Piece::Merged(person, survivor) => put(batch, keys::merged(person), &encode(&survivor)),
            Piece::Join(one) => {
                put(batch, keys::join(one.person, one.entry.position, one.n), &timed::encode(one.written, &one.entry));
            }
            Piece::Decision(one, places) => {
                let n = u8::try_from(one.n).unwrap_or(u8::MAX);
                let key = keys::decision(one.person, one.entry.at, one.entry.occasion, n);
                let stored = StoredDecision { decision: one.entry, places };
                put(batch, key, &timed::encode(one.written, &stored));
            }
            Piece::Queued(seq, row, activation) => put_queued(batch, Queued { seq, activation: *activation, row }),
            Piece::Ended(Ended { seq, at, is_dead, attempts, activation }) => {
                if is_dead {
                    put(batch, keys::dead(seq), &timed::encode(at, &activation.lane));
                }
                put(batch, keys::ended(seq), &timed::encode(at, &(attempts, activation)));
            }
            Piece::Lane(lane) => self.put_lane(lane),
            Piece::Trigger(id, state) => held::write(batch, &[(id, state)].into()),
            Piece::Item(item) => put(batch, keys::item(&item.id), &encode(&item)),
            Piece::Pool(name, added, next) => {
                put(batch, keys::pool(&name), &encode(&StoredPool { name: name.clone(), added, next }));
            }
            Piece::Kept(name, value) => put(batch, keys::named(keys::KEPT, &name), &value),
            Piece::Aside(message) => {
                self.state.aside += 1;
                put(batch, keys::aside(self.state.aside), &timed::encode(message.at, &message));
            }
            Piece::Erasure(erasure) => {
                put(batch, keys::erasure(erasure.decided, erasure.id), &timed::encode(erasure.decided, &erasure));
            }
            Piece::Erased(id, lane, at, last) => {
                put(batch, keys::erased(id, keys::lane(&lane)), &timed::encode(at, &(&lane, &last)));
            }
            Piece::Forgotten(key, until) => put(batch, keys::forgotten(key), &encode(&until)),
            Piece::Access(written, access) => {
                let prefix = if access.answered.is_some() { keys::ANSWERED } else { keys::OPEN };
                put(batch, keys::access(prefix, access.asked, access.id), &timed::encode(written, &access));
            }
            Piece::Register(version, value) => self.at.register.copy_access(version, &value)?,
            Piece::Engine(engine) => self.put_engine(batch, *engine)?,
            // Put together.
            Piece::Event(..) | Piece::Name(..) | Piece::Code(..) | Piece::Audit(..) => {}
        }
        Ok(())
    }

    /// Puts what comes together: events of one record, names of one bucket, codes of one block.
    fn put_together(&mut self, batch: &mut Batch, pieces: &mut Vec<Piece>) -> Result<(), StoreError> {
        let taken: Vec<Piece> = match pieces.first() {
            Some(Piece::Event(..) | Piece::Name(..) | Piece::Code(..) | Piece::Audit(..)) => std::mem::take(pieces),
            _ => return Ok(()),
        };
        let (mut events, mut all, mut blocks, mut log) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for piece in taken {
            match piece {
                Piece::Event(position, event) => events.push((position, event)),
                Piece::Name(key, person) => all.push((key, person)),
                Piece::Code(pool, place, code) => put_code(&mut blocks, pool, place, code),
                Piece::Audit(entry) => log.push(entry),
                _ => {}
            }
        }
        if !events.is_empty() {
            self.put_events(events)?;
        }
        put_names(self.at.disk()?, batch, &all)?;
        for (pool, first, codes) in blocks {
            put(batch, keys::block(&pool, first), &encode(&codes));
        }
        if log.is_empty() { Ok(()) } else { self.at.register.copy_log(log) }
    }
}

fn put_queued(batch: &mut Batch, queued: Queued) {
    let lane = keys::lane(&queued.activation.lane);
    let (priority, seq) = (queued.activation.priority, queued.seq);
    queued.put(batch, lane);
    if queued.activation.is_held() {
        let (name, action) = (queued.activation.lane.clone(), queued.activation.action.id());
        held::note(batch, &queued, &Place { lane: name, action, priority, seq });
    } else if let Some(at) = queued.row.not_before {
        batch.insert(keys::waiting(lane, at, priority, seq), &[]);
    }
}

/// Codes of a pool, from a place on.
type Block = (Arc<str>, u64, Vec<Box<str>>);

fn put_code(blocks: &mut Vec<Block>, pool: Arc<str>, place: u64, code: Box<str>) {
    if let Some((name, first, codes)) = blocks.last_mut()
        && *name == pool
        && *first + codes.len() as u64 == place
    {
        codes.push(code);
    } else {
        blocks.push((pool, place, vec![code]));
    }
}

/// Names come in the order of what stands for them: buckets follow one another.
fn put_names(disk: &Disk, batch: &mut Batch, all: &[(Hash, PersonId)]) -> Result<(), StoreError> {
    let mut is_first = disk.prefix(&[keys::NAMES]).keys().next().transpose()?.is_none();
    for bucket in all.chunks(BUCKET) {
        let lowest = bucket.first().map_or([0; 16], |(lowest, _)| *lowest);
        let lowest = if std::mem::take(&mut is_first) { [0; 16] } else { lowest };
        names::put_bucket(batch, &lowest, bucket);
    }
    Ok(())
}

/// Until this is gone nobody takes what is there for a store.
fn write_mark(path: &Path) -> Result<(), StoreError> {
    let mark = path.join(UNFINISHED);
    fs::write(&mark, COPIED).and_then(|()| File::open(&mark)?.sync_all()).map_err(refused(&mark))?;
    backup::sync(path)
}

#[async_trait]
impl Source for Making {
    async fn frame(&mut self) -> Result<Frame, StoreError> {
        self.at.frame()
    }

    async fn mark(&mut self) -> Result<String, StoreError> {
        self.at.mark()
    }

    async fn page(&mut self, kind: Kind, after: Option<&[u8]>) -> Result<Page, StoreError> {
        pieces::page(&mut self.at, kind, after)
    }
}

#[async_trait]
impl Target for Making {
    async fn found(&mut self) -> Result<Option<Progress>, StoreError> {
        let Some(stands) = &self.stands else { return Ok(None) };
        // A run that was written and not noted is written again.
        let runs = fs::read_dir(seen::folder(&self.at.settings.path)).into_iter().flatten().flatten();
        for run in runs.map(|run| run.path()) {
            let to = run.file_stem().and_then(|name| name.to_str()?.split('-').next_back()?.parse::<u64>().ok());
            if to.is_none_or(|to| to > stands.keys_to) {
                fs::remove_file(&run).map_err(refused(&run))?;
            }
        }
        let kind = stands.kind.as_deref().map(Kind::of).transpose()?;
        Ok(Some(Progress { of: stands.of.clone(), kind, after: stands.after.clone(), batch: stands.batch }))
    }

    async fn begin(&mut self, frame: &Frame, first: &Progress) -> Result<(), StoreError> {
        (self.at.disk, self.journal, self.at.events, self.at.keys) = (None, None, None, None);
        for part in PARTS.map(|part| self.path(part)).iter().filter(|part| part.exists()) {
            fs::remove_dir_all(part).map_err(refused(part))?;
        }
        for file in register::FILES.map(|file| self.path(file)).iter().filter(|file| file.exists()) {
            fs::remove_file(file).map_err(refused(file))?;
        }
        for part in ["journal", "snapshots"] {
            backup::make(&self.path(part))?;
        }
        let disk = open_disk(&self.at.settings)?.map_err(refused_by_sled)?;
        migrate(&disk, |_| Ok(()))?;
        self.at.disk = Some(disk);
        self.state = State::default();
        self.keys = (Vec::new(), Timestamp::MIN);
        let Frame { first: position, decided, step } = *frame;
        let (of, after) = (first.of.clone(), None);
        self.stands = Some(Stands { of, kind: None, after, batch: 0, first: position, decided, step, keys_to: 0 });
        self.put(Vec::new(), first).await
    }

    async fn put(&mut self, mut pieces: Vec<Piece>, then: &Progress) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        self.put_together(&mut batch, &mut pieces)?;
        for piece in pieces {
            self.put_piece(&mut batch, piece)?;
        }
        // What is in memory alone is not there.
        if self.put_keys(then)?
            && let Some(stands) = &mut self.stands
        {
            stands.of.clone_from(&then.of);
            stands.kind = then.kind.map(|kind| kind.word().to_owned());
            stands.after.clone_from(&then.after);
            stands.batch = then.batch;
            put(&mut batch, keys::COPY.to_vec(), &encode(&*stands));
        }
        put(&mut batch, keys::STATE.to_vec(), &encode(&self.state));
        let disk = self.at.disk()?;
        disk.apply(batch)?;
        disk.sync()
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        if let Some(mut journal) = self.journal.take() {
            journal.finish()?;
        }
        let folder = journal_folder(&self.at.settings);
        let stands = self.stands()?;
        if segments::list(&folder)?.is_empty() {
            let place = (stands.first.0, 1, stands.step + 1);
            segments::create(&folder, place).map_err(refused(&folder))?;
        }
        let disk = self.at.disk()?;
        let mut batch = Batch::default();
        batch.remove(keys::COPY);
        disk.apply(batch)?;
        disk.sync()?;
        // The journal does not reach back to where people begin: without this a state that is lost could not be made again.
        let state = self.at.state()?;
        let reaches = (state.decided.0, state.applied.through(), state.taken.step);
        snapshot::write_all(&self.path("snapshots").join(snapshot::named(reaches)), disk, || ())?;
        for part in ["journal", "snapshots", "."].map(|part| self.path(part)) {
            backup::sync(&part)?;
        }
        let mark = self.path(UNFINISHED);
        fs::remove_file(&mark).map_err(refused(&mark))?;
        backup::sync(&self.path("."))
    }
}
