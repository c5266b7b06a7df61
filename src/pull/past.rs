//! The past of a list: what was there before the first run, and what a lost subscription left out. It is read beside
//! what is new, and gives way to it.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::behind::Behind;
use super::page::Ahead;
use super::recent::Recent;
use super::stream::{Failures, Pulling};
use crate::model::{Span, Timestamp};
use crate::source::stream::{Mapped, Place};

/// Stretches that may wait; a further one is put together with the last.
const STRETCHES: usize = 16;

/// A stretch of the past that is to be read.
pub struct Again {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end; not in it, and not before it is over.
    pub until: Timestamp,
    /// Told when the store has it, so that no crash forgets it.
    pub kept: Option<oneshot::Sender<()>>,
}

/// What is still to be read, as it is kept in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Stretches, the first being read.
    stretches: VecDeque<(Timestamp, Timestamp)>,
    /// How far the first is read.
    place: Option<Place>,
    /// The newest that was asked for: who asks again after a crash does not know that it is here.
    #[serde(default)]
    newest: Option<(Timestamp, Timestamp)>,
}

impl Past {
    fn add(&mut self, (from, until): (Timestamp, Timestamp)) {
        if self.newest.replace((from, until)) == Some((from, until)) {
            return;
        }
        let is_full = self.stretches.len() >= STRETCHES;
        match self.stretches.back_mut().filter(|_| is_full) {
            Some(last) => *last = (last.0.min(from), last.1.max(until)),
            None => self.stretches.push_back((from, until)),
        }
    }

    fn left(&self) -> Option<Span> {
        if self.stretches.is_empty() {
            return None;
        }
        let read = self.place.as_ref().map_or(Span::ZERO, |place| match self.stretches.front() {
            Some((from, _)) => place.read.since(*from),
            None => Span::ZERO,
        });
        let all: i64 = self.stretches.iter().map(|(from, until)| until.since(*from).as_millis()).sum();
        Some(Span::from_millis(all - read.as_millis()))
    }

    /// Reads what is asked of the past until `stop`.
    pub async fn run(of: Arc<Pulling>, stop: CancellationToken) {
        let cursor = of.cursor(":past");
        let mut past: Self = of.kept(&cursor).await.unwrap_or_default();
        let mut wanted = of.again.1.lock().await;
        let (mut failures, mut recent) = (Failures::default(), Recent::default());
        let (mut ahead, mut behind) = (Ahead::default(), Behind::default());
        while !stop.is_cancelled() {
            of.state.send_if_modified(|state| {
                let before = std::mem::replace(&mut state.past, past.left());
                before != state.past
            });
            let more = match past.stretches.is_empty() {
                true => tokio::select! {
                    () = stop.cancelled() => break,
                    more = wanted.recv() => more,
                },
                false => wanted.try_recv().ok(),
            };
            if let Some(Again { from, until, kept }) = more {
                past.add((from, until));
                let value = serde_json::to_vec(&past).unwrap_or_default();
                if !behind.done().await || !of.keep(Mapped::default(), (&cursor, &value), &stop).await {
                    break;
                }
                // Who does not wait for it needs no word.
                kept.map(|kept| kept.send(()));
                continue;
            }
            let Some((from, until)) = past.stretches.front().copied() else { break };
            let mut place = past.place.take().unwrap_or_else(|| Place::at(from));
            let now = of.account.clock.now();
            if let Err(rest) = of.stream.open(&mut place, now, Some(until)) {
                if place.read < until {
                    past.place = Some(place);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = of.account.clock.until(rest) => {}
                    }
                    continue;
                }
                past.stretches.pop_front();
                let value = serde_json::to_vec(&past).unwrap_or_default();
                if !behind.done().await || !of.keep(Mapped::default(), (&cursor, &value), &stop).await {
                    break;
                }
                continue;
            }
            let step = tokio::select! {
                () = stop.cancelled() => break,
                step = async {
                    of.account.is_quiet().await;
                    of.page(&mut place, &mut recent, &mut ahead).await
                } => step,
            };
            past.place = Some(place);
            match step {
                Ok(None) => {}
                Ok(Some(mapped)) => {
                    failures = Failures::default();
                    let value = serde_json::to_vec(&past).unwrap_or_default();
                    if !behind.keep(&of, mapped, (&cursor, value), &stop, |_| {}).await {
                        break;
                    }
                }
                Err(stopped) => {
                    if !behind.done().await {
                        break;
                    }
                    let until = of.stopped(&stopped, &mut failures).await;
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = of.account.clock.until(until) => {}
                    }
                }
            }
        }
        behind.done().await;
    }
}
