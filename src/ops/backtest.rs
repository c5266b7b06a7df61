//! A back-test over everybody in a store: pages of people, in threads of their own that give way to everything else.
//!
//! The people are parted by the first byte of their ids, which are hashes. So no thread waits for another, and what a
//! stopped run has seen is a fair sample.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use super::server::Shared;
use crate::identity;
use crate::model::{Mistake, Person, PersonId, Span, Timestamp};
use crate::replay::{Backtest, Question, Report};
use crate::rules::Program;
use crate::store::{Store, StoreError, give_way};

/// So many people are read at once: what a thread has in memory.
const PAGE: usize = 16;
/// Parts of all people: several for each thread, so that they end together, and each part begun is a small one.
const PARTS: u16 = 64;

/// What is asked for.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BacktestWanted)]
pub struct Wanted {
    /// One trigger, or a segment as `segment:NAME`; without it, all.
    pub trigger: Option<String>,
    /// Fires so long before the end are counted.
    pub since: Option<Span>,
    /// A former version of the trigger to be compared with: the file's name and its text.
    pub against: Option<(String, String)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No trigger is called so.
    #[error("there is no trigger `{0}`")]
    Unknown(String),
    /// Only one trigger can be compared with another.
    #[error("a former version is compared with one trigger: name it")]
    Unnamed,
    /// The former version has mistakes.
    #[error("the former version has mistakes")]
    Mistakes(Vec<Mistake>),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs it until everybody was looked at, or `stop` is true. Time runs on to `until`; to the newest event unless told.
pub async fn backtest(
    store: Arc<dyn Store>,
    program: Arc<Program>,
    names: identity::Settings,
    wanted: Wanted,
    until: Option<Timestamp>,
    threads: usize,
    stop: Arc<AtomicBool>,
) -> Result<Report, Failed> {
    let work = tokio::task::spawn_blocking(move || {
        let scan = Scan { store: &*store, runtime: &Handle::current(), threads, stop: &stop };
        let until = match until {
            Some(until) => until,
            None => scan.newest()?,
        };
        let since = wanted.since.map_or(Timestamp::MIN, |since| until - since);
        let question = Question::new(program.clone(), names, wanted.trigger.as_deref(), since, until);
        let Some(mut question) = question else { return Err(Failed::Unknown(wanted.trigger.unwrap_or_default())) };
        if let Some((file, text)) = &wanted.against {
            if wanted.trigger.is_none() {
                return Err(Failed::Unnamed);
            }
            question = question.against(program.read_trigger(file, text).map_err(Failed::Mistakes)?);
        }
        let (counted, is_whole) = scan.run(Backtest::default, |mine, person| mine.add(&question, person))?;
        let mut all = Backtest::default();
        counted.into_iter().for_each(|one| all.absorb(one));
        Ok(all.report(&question, is_whole))
    });
    work.await.unwrap_or_else(|ended| Err(Failed::Store(StoreError::Unavailable(ended.to_string()))))
}

/// One for the running daemon, on a single thread, of at most `longest`: then it is stopped, and true of a sample.
/// `None` when another one runs.
pub async fn bounded(shared: &Shared, wanted: Wanted, longest: Duration) -> Option<Result<Report, Failed>> {
    let _alone = shared.backtest.try_lock().ok()?;
    let watched = &shared.watched;
    let stop = StopAtEnd::default();
    let (program, now) = (watched.program.load_full(), watched.clock.now());
    let (store, names) = (watched.store.clone(), shared.names.clone());
    let running = backtest(store, program, names, wanted, Some(now), 1, stop.0.clone());
    tokio::pin!(running);
    let ended = match tokio::time::timeout(longest, &mut running).await {
        Ok(ended) => ended,
        Err(_) => {
            stop.0.store(true, Ordering::Relaxed);
            running.await
        }
    };
    Some(ended)
}

/// Whoever asked may go away: then nothing is left to be done.
#[derive(Default)]
struct StopAtEnd(Arc<AtomicBool>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Everybody, in parallel.
struct Scan<'s> {
    store: &'s dyn Store,
    runtime: &'s Handle,
    threads: usize,
    stop: &'s AtomicBool,
}

impl Scan<'_> {
    /// Shows every person to one of several collections; false when it was stopped before the end.
    fn run<T: Send>(
        &self,
        begin: impl Fn() -> T + Sync,
        see: impl Fn(&mut T, &Person) + Sync,
    ) -> Result<(Vec<T>, bool), StoreError> {
        let next = std::sync::atomic::AtomicU16::new(0);
        let work = || {
            give_way();
            let mut mine = begin();
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                if part >= PARTS {
                    return Ok((mine, true));
                }
                if !self.part(part, &mut |person| see(&mut mine, person))? {
                    return Ok((mine, false));
                }
            }
        };
        let ended: Vec<Result<(T, bool), StoreError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(work)).collect();
            let broken = || Err(StoreError::Unavailable("a thread of the back-test ended early".into()));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| broken())).collect()
        });
        let mut all = Vec::new();
        let mut is_whole = true;
        for one in ended {
            let (mine, to_the_end) = one?;
            all.push(mine);
            is_whole &= to_the_end;
        }
        Ok((all, is_whole))
    }

    /// People whose ids begin with the bytes of this part.
    fn part(&self, part: u16, see: &mut dyn FnMut(&Person)) -> Result<bool, StoreError> {
        let (from, to) = (256 / PARTS * part, 256 / PARTS * (part + 1));
        // The last id before the part; none before the first.
        let before = u8::try_from(from).unwrap_or(u8::MAX).checked_sub(1);
        let mut after = before.map(|byte| {
            let mut id = [u8::MAX; 16];
            id[0] = byte;
            PersonId(id)
        });
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let page = self.runtime.block_on(self.store.people(after, PAGE))?;
            let Some(last) = page.last() else { return Ok(true) };
            after = Some(last.id);
            for person in &page {
                if u16::from(person.id.0[0]) >= to {
                    return Ok(true);
                }
                see(person);
            }
        }
    }

    /// The time of the newest event of all.
    fn newest(&self) -> Result<Timestamp, StoreError> {
        let see = |newest: &mut Timestamp, person: &Person| {
            *newest = person.history.entries().last().map_or(*newest, |last| last.at.max(*newest));
        };
        let (newest, _) = self.run(|| Timestamp::MIN, see)?;
        Ok(newest.into_iter().max().unwrap_or(Timestamp::MIN))
    }
}
