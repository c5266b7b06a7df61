//! Opening, checking, and making sled again from the journal.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::committer::Committer;
use super::frame::Kind;
use super::migrate::{self, migrate};
use super::seen::Seen;
use super::segments::{self, Limit, Reader, unavailable};
use super::shelf::{self, Shelf};
use super::sinking::{Sinking, Slot, give_way};
use super::state::State;
use super::tree::Disk;
use super::{Inner, Journal, delivery, keys, snapshot, sweep};
use crate::model::{Event, Position, Timestamp};
use crate::store::cache::Cache;
use crate::store::record::{Cursor, EventBatch, Noted, StepRecord, cursor_of, decode, encode};
use crate::store::settings::Settings;
use crate::store::{SCHEMA, StoreError};

/// Names in the store's folder.
pub fn journal_folder(settings: &Settings) -> PathBuf {
    settings.path.join("journal")
}
pub fn state_folder(settings: &Settings) -> PathBuf {
    settings.path.join("state")
}

pub fn open(settings: &Settings, now: Timestamp) -> Result<Inner, StoreError> {
    super::restore::finished(settings)?;
    let journal_folder = journal_folder(settings);
    fs::create_dir_all(&journal_folder).map_err(unavailable)?;
    let lock = lock(settings)?;
    let last = segments::list(&journal_folder)?.pop();
    let last = last.map(|segment| Ok((segments::end_of(&segment)?, segment))).transpose()?;
    let reaches = last.as_ref().map_or(0, |(end, _)| end.position);

    let (disk, state) = or_rebuilt(open_state(settings, reaches), settings, now)?;
    let mut state = state;
    let changed = watch::Sender::new(0);
    let claimed = state.decided.0;
    let last = last.map(|(end, segment)| (segment, end));
    let reached = last.as_ref().map_or(0, |(_, end)| end.step);
    let lost = state.taken.unsynced.iter().filter(|(id, _)| *id > reached).map(|(_, record)| encode(record)).collect();
    let lost = (state.taken.step, lost);
    if reached > state.taken.step {
        // What follows from these steps is made again, and may have left.
        state.doubtful_until = state.doubtful_until.max(now);
    }
    let committer = Committer::start(journal_folder.clone(), settings.segment.0, last, claimed, lost, changed.clone())
        .map_err(unavailable)?;
    let disk: Slot = Arc::new(RwLock::new(Some(Arc::new(disk))));
    let inner = Inner {
        sinking: Sinking::begin(disk.clone()).map_err(unavailable)?,
        cache: Mutex::new(Cache::new(settings.people_cache.0)),
        settings: settings.clone(),
        disk,
        mending: RwLock::default(),
        journal: Journal(committer),
        seen: Mutex::new(Seen::new(&settings.path, &journal_folder, settings.dedupe)),
        register: std::sync::Arc::new(super::register::Register::new(&settings.path)),
        journal_folder,
        decided: AtomicU64::new(state.decided.0),
        told: ArcSwap::from_pointee(state.clone()),
        oldest: Mutex::default(),
        state: Mutex::new(state),
        steps: Mutex::default(),
        next: Mutex::default(),
        read_ahead: Mutex::default(),
        written: Mutex::default(),
        ahead: tokio::sync::Mutex::default(),
        rush: tokio::sync::Mutex::new(super::rush::Rush::new()),
        requests: AtomicU64::new(0),
        lanes: Mutex::default(),
        shapes: Mutex::default(),
        shelf: Mutex::default(),
        noted: tokio::sync::Mutex::default(),
        keeping: Arc::default(),
        upkeep: AtomicU64::new(0),
        round: Mutex::<sweep::Round>::default(),
        changed,
        _lock: lock,
    };
    apply_settled(&inner)?;
    Ok(inner)
}

/// Events that may be decided, and in the tree, while the cursor that came with them is not yet on its way there.
pub const BEHIND: u64 = 100_000;

/// A state that cannot be used is put aside and made again.
fn or_rebuilt(
    opened: Result<(Disk, State), StoreError>,
    settings: &Settings,
    now: Timestamp,
) -> Result<(Disk, State), StoreError> {
    let Err(StoreError::Damaged(words)) = opened else { return opened };
    tracing::error!(reason = %words, "the state cannot be used: it is put aside and made again from the journal");
    metrics::counter!("espalier_store_rebuilds_total").increment(1);
    put_aside(settings)?;
    begin_again(settings, now)
}

/// sled once more, in a store that is open. A disk that still refuses is no damage.
pub fn open_again(settings: &Settings, reaches: u64, now: Timestamp) -> Result<(Disk, State), StoreError> {
    let opened = match open_disk(settings) {
        Ok(Ok(disk)) => state_of(disk, settings, reaches),
        Ok(Err(sled::Error::Io(error))) => return Err(unavailable(error)),
        Ok(Err(error)) => Err(StoreError::Damaged(format!("sled does not open: {error}"))),
        Err(damaged) => Err(damaged),
    };
    or_rebuilt(opened, settings, now)
}

/// A program that is being started holds the lock of whoever starts it until it is on its own feet: so long it is waited
/// for, in as many looks.
const LOCKED: (Duration, u32) = (Duration::from_millis(500), 50);

/// One process at a time.
pub fn lock(settings: &Settings) -> Result<File, StoreError> {
    let file = File::create(settings.path.join("lock")).map_err(unavailable)?;
    let (longest, looks) = LOCKED;
    for _ in 0..looks {
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        std::thread::sleep(longest / looks);
    }
    Err(StoreError::Unavailable(format!(
        "{} is in use by another process; is a daemon running?",
        settings.path.display()
    )))
}

/// sled and what it says of itself; [`StoreError::Damaged`] when it cannot be used.
fn open_state(settings: &Settings, reaches: u64) -> Result<(Disk, State), StoreError> {
    let folder = state_folder(settings);
    let is_new = !folder.exists();
    if is_new && reaches > 0 {
        return Err(StoreError::Damaged("there is a journal, but no state".into()));
    }
    let disk = match open_disk(settings) {
        Ok(Ok(disk)) => disk,
        Ok(Err(error)) => return Err(StoreError::Damaged(format!("sled does not open: {error}"))),
        Err(damaged) => return Err(damaged),
    };
    migrate(&disk, |was| keep_aside(settings, was, &disk))?;
    state_of(disk, settings, reaches)
}

/// Keeps a state of an earlier layout as it was, in a file that is never removed by us, nor written over. A migration that
/// a crash cut has it there already, and what is in the tree since then is of both layouts.
pub fn keep_aside(settings: &Settings, was: u32, disk: &Disk) -> Result<(), StoreError> {
    let folder = settings.path.join("earlier");
    fs::create_dir_all(&folder).map_err(unavailable)?;
    // No migration changes what a state says of itself.
    let says = disk.first(keys::STATE)?;
    for n in 1..10_000 {
        let number = if n == 1 { String::new() } else { format!("-{n}") };
        let path = folder.join(format!("schema-{was}{number}.snap"));
        if !path.exists() {
            return snapshot::write_all(&path, disk, || ());
        }
        if snapshot::first_of(&path, keys::STATE)?.as_deref() == says.as_deref() {
            return Ok(());
        }
    }
    Err(StoreError::Unavailable(format!("{} has too many earlier states; remove some", folder.display())))
}

/// A broken sled may panic when it is opened.
pub fn open_disk(settings: &Settings) -> Result<Result<Disk, sled::Error>, StoreError> {
    let (folder, cache) = (state_folder(settings), settings.cache.0);
    // On a thread of lesser importance: those that sled begins are like it.
    let opening = std::thread::spawn(move || {
        give_way();
        Disk::open(&folder, cache)
    });
    opening.join().map_err(|_| StoreError::Damaged("sled panics when it is opened".into()))
}

/// The state, if sled has one.
pub fn read_state(disk: &Disk) -> Result<Option<State>, StoreError> {
    let Some(bytes) = disk.get(keys::STATE)? else { return Ok(None) };
    let mut state = decode::<State>(&bytes)?;
    state.read_steps(disk)?;
    state.triggers = super::held::triggers(disk)?;
    Ok(Some(state))
}

/// What sled says of itself, held against where the journal begins and how far it reaches.
pub fn state_of(disk: Disk, settings: &Settings, reaches: u64) -> Result<(Disk, State), StoreError> {
    let state = match read_state(&disk)? {
        Some(state) => state,
        // A state is written when a store is made: sled opened, and lost what it held.
        None if reaches > 0 => return Err(StoreError::Damaged("the state says nothing of itself".into())),
        None => {
            write_state(&disk, &State::default())?;
            State::default()
        }
    };
    if state.decided.0 > reaches {
        // It was written after the journal's end: the journal lost what was acknowledged.
        return Err(StoreError::Damaged(format!(
            "the state knows event {} and the journal ends at {reaches}",
            state.decided.0
        )));
    }
    match gap(settings, &state)? {
        Some(words) => Err(StoreError::Damaged(format!("the state is older than the journal: {words}"))),
        None => Ok((disk, state)),
    }
}

/// What follows this state and lies in the journal no more.
fn gap(settings: &Settings, state: &State) -> Result<Option<String>, StoreError> {
    let Some(first) = segments::list(&journal_folder(settings))?.into_iter().next() else { return Ok(None) };
    let ways = [
        ("event", first.position, state.decided.0),
        ("outcome", first.ordinal, state.applied.through()),
        ("step", first.step, state.taken.step),
    ];
    let gap = ways.into_iter().find(|(_, first, known)| *first > known + 1);
    Ok(gap.map(|(what, first, known)| format!("it begins at {what} {first}, and {what} {} is gone", known + 1)))
}

fn write_state(disk: &Disk, state: &State) -> Result<(), StoreError> {
    let mut batch = super::overlay::Batch::default();
    super::tree::put(&mut batch, keys::STATE.to_vec(), &encode(state));
    disk.apply(batch)?;
    disk.sync()
}

/// Renames sled's folder; it is never removed by us.
fn put_aside(settings: &Settings) -> Result<(), StoreError> {
    let folder = state_folder(settings);
    if !folder.exists() {
        return Ok(());
    }
    let free = (1..10_000).map(|n| settings.path.join(format!("state.broken-{n}"))).find(|p| !p.exists());
    let aside = free.ok_or_else(|| StoreError::Unavailable("there are too many broken states; remove some".into()))?;
    fs::rename(&folder, aside).map_err(unavailable)
}

/// A new sled, from the newest whole snapshot or from nothing. The engine takes the journal's later steps again.
pub fn begin_again(settings: &Settings, now: Timestamp) -> Result<(Disk, State), StoreError> {
    let disk = open_disk(settings)?.map_err(super::tree::refused)?;
    snapshot::load_newest(settings, &disk)?;
    // The snapshot stays as it is.
    migrate(&disk, |_| Ok(()))?;
    let mut state = read_state(&disk)?.unwrap_or_default();
    state.doubtful_until = now;
    super::outbox::doubt(&disk, now)?;
    write_state(&disk, &state)?;
    match gap(settings, &state)? {
        Some(words) => Err(StoreError::Damaged(format!("no snapshot reaches the journal: {words}"))),
        None => Ok((disk, state)),
    }
}

/// Brings outcomes, products, codes and cursors that the journal has, and the tree has not, into the tree.
pub fn apply_settled(inner: &Inner) -> Result<(), StoreError> {
    let (applied, decided) = {
        let state = inner.state()?;
        (state.applied.clone(), state.decided.0)
    };
    *inner.shelf()? = Shelf::load(&*inner.disk()?)?;
    let from = decided.saturating_sub(BEHIND).max(1);
    let mut reader = Reader::from(&inner.journal_folder, (from, applied.through() + 1, u64::MAX))?;
    while let Some((head, payload)) = reader.next(Limit::default())? {
        if head.kind == Kind::Events
            && head.first >= from
            && let Some((name, value)) = cursor_of(&payload)?
        {
            let key = keys::named(keys::CURSOR, &name);
            let known: Option<Cursor> = inner.disk()?.get(&key)?.map(|bytes| decode(&bytes)).transpose()?;
            if known.is_none_or(|known| known.at.0 < head.first) {
                let cursor = Cursor { at: Position(head.first), value };
                super::scan::keep(inner, keys::CURSOR, &name, &encode(&cursor), false)?;
            }
        }
        if head.kind != Kind::Settled || applied.has(head.first) {
            continue;
        }
        match decode(&payload)? {
            Noted::Settled(batch) => delivery::apply(inner, head.first, &batch)?,
            other => shelf::apply(inner, head.first, &other)?,
        }
    }
    Ok(())
}

/// Puts the state aside and makes it again from snapshot and journal: when `store verify` finds it damaged. What
/// follows from the journal's events is decided anew when the daemon runs.
pub fn rebuild(settings: &Settings, now: Timestamp) -> Result<(), StoreError> {
    fs::create_dir_all(journal_folder(settings)).map_err(unavailable)?;
    let lock = lock(settings)?;
    put_aside(settings)?;
    drop(begin_again(settings, now)?);
    drop(lock);
    drop(open(settings, now)?);
    Ok(())
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments read to their end.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Settled records in them.
    pub settled: u64,
    /// The engine's steps in them.
    pub steps: u64,
    /// Bytes behind the last whole record: a write that was cut, and never acknowledged.
    pub torn_bytes: u64,
    /// Values of the state that could be read.
    pub values: u64,
    /// People among them.
    pub people: u64,
    /// The newest event decided.
    pub decided: Position,
    /// The layout of the state; none of one that cannot be opened.
    pub schema: Option<u32>,
    /// What is wrong, in words.
    pub damage: Vec<String>,
}

/// Reads every record of the journal and every value of the state. Changes nothing.
pub fn verify(settings: &Settings) -> Result<Verified, StoreError> {
    let folder = journal_folder(settings);
    if !folder.exists() {
        return Err(StoreError::Unavailable(format!("there is no store in {}", settings.path.display())));
    }
    let _lock = lock(settings)?;
    let mut found = Verified::default();
    let reaches = verify_journal(&folder, &mut found)?;
    if let Err(error) = verify_disk(settings, reaches, &mut found) {
        found.damage.push(error.to_string());
    }
    Ok(found)
}

/// Reads every record of a backup's journal; that its files are as they were written is for [`super::backup::check`].
pub fn verify_backup(folder: &Path) -> Result<Verified, StoreError> {
    let mut found = Verified::default();
    verify_journal(&folder.join("journal"), &mut found)?;
    Ok(found)
}

fn verify_disk(settings: &Settings, reaches: u64, found: &mut Verified) -> Result<(), StoreError> {
    if !state_folder(settings).exists() {
        return if reaches > 0 { Err(StoreError::Damaged("there is a journal, but no state".into())) } else { Ok(()) };
    }
    let disk = open_disk(settings)?.map_err(|e| StoreError::Damaged(format!("sled does not open: {e}")))?;
    found.schema = migrate::found(&disk)?;
    match found.schema {
        Some(newer) if newer > SCHEMA => return Err(StoreError::Newer { found: newer, known: SCHEMA }),
        // Their types are of then: only the step that brings them to today's layout knows those that it changes.
        Some(older) if older < SCHEMA => return Ok(()),
        _ => {}
    }
    if reaches == 0 && !disk.has(keys::STATE)? {
        // Opening it would write its first state.
        return Ok(());
    }
    let (disk, state) = state_of(disk, settings, reaches)?;
    found.decided = state.decided;
    verify_state(&disk, found);
    Ok(())
}

fn verify_journal(folder: &Path, found: &mut Verified) -> Result<u64, StoreError> {
    let segments = segments::list(folder)?;
    found.segments = segments.len() as u64;
    let mut limit = Limit::default();
    if let Some(last) = segments.last() {
        match segments::end_of(last) {
            Ok(end) => {
                let size = fs::metadata(&last.path).map_err(unavailable)?.len();
                found.torn_bytes = size - end.length;
                limit = Limit { segment: last.place(), length: end.length };
            }
            Err(error) => found.damage.push(error.to_string()),
        }
    }
    let mut reader = Reader::from(folder, (0, 0, 0))?;
    let mut next = segments.first().map_or(1, |s| s.position);
    loop {
        match reader.next(limit) {
            Ok(None) => return Ok(next - 1),
            Ok(Some((head, payload))) if head.kind == Kind::Events => {
                if head.first != next {
                    found.damage.push(format!("event {next} is missing: the journal goes on at {}", head.first));
                }
                match decode::<EventBatch<Event>>(&payload) {
                    Ok(batch) if batch.events.len() == head.count as usize => {}
                    Ok(_) => {
                        found.damage.push(format!("the record of event {} says another number of events", head.first))
                    }
                    Err(error) => found.damage.push(format!("the record of event {}: {error}", head.first)),
                }
                next = head.first + u64::from(head.count);
                found.events += u64::from(head.count);
            }
            Ok(Some((head, payload))) if head.kind == Kind::Step => {
                if let Err(error) = decode::<StepRecord>(&payload) {
                    found.damage.push(format!("the step {}: {error}", head.first));
                }
                found.steps += 1;
            }
            Ok(Some((head, payload))) => {
                if let Err(error) = decode::<Noted>(&payload) {
                    found.damage.push(format!("the settled record {}: {error}", head.first));
                }
                found.settled += 1;
            }
            Err(error) => {
                found.damage.push(error.to_string());
                return Ok(next - 1);
            }
        }
    }
}

fn verify_state(disk: &Disk, found: &mut Verified) {
    for entry in disk.everything() {
        let Ok((key, first)) = entry else {
            found.damage.push("sled cannot read its own tree".into());
            return;
        };
        found.values += 1;
        let is_read = match key.first() {
            Some(&keys::PERSON) => {
                found.people += 1;
                let id = key.get(1..17).and_then(|id| id.try_into().ok()).map(crate::model::PersonId);
                id.is_some_and(|id| matches!(super::people::load(disk, id), Ok(Some(_))))
            }
            Some(&(keys::WAKE | keys::WAITING | keys::PART)) => true,
            _ => disk.whole(&key, &first).is_ok(),
        };
        if !is_read {
            found
                .damage
                .push(format!("a value of kind `{}` cannot be read", char::from(key.first().copied().unwrap_or(b'?'))));
        }
    }
}
