//! The past of a list: what was there before the first run, and what a lost subscription left out. It is read beside
//! what is new, and gives way to it.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::behind::Behind;
use super::night::NightRead;
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
    /// The night that compares it with what is known; one stretch of each night is read once.
    pub night: Option<Timestamp>,
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
    /// What a night wants compared: read after the stretches, which are known to be missing.
    #[serde(default)]
    night: Option<Night>,
    /// The place is the night's.
    #[serde(default)]
    is_of_night: bool,
}

/// A night's stretch, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Night {
    from: Timestamp,
    until: Timestamp,
    read: NightRead,
}

impl Past {
    fn add(&mut self, again: &Again) {
        let stretch = (again.from, again.until);
        if let Some(of) = again.night {
            if self.night.as_ref().is_none_or(|night| night.read.of != of) {
                let read = NightRead { of, ..NightRead::default() };
                self.night = Some(Night { from: again.from, until: again.until, read });
                self.place = self.place.take().filter(|_| !self.is_of_night);
            }
            return;
        }
        if self.newest.replace(stretch) == Some(stretch) {
            return;
        }
        let is_full = self.stretches.len() >= STRETCHES;
        match self.stretches.back_mut().filter(|_| is_full) {
            Some(last) => *last = (last.0.min(again.from), last.1.max(again.until)),
            None => self.stretches.push_back(stretch),
        }
    }

    /// What is read now, and whether it is a night's. What a night has begun goes on to its end.
    fn stretch(&self) -> Option<((Timestamp, Timestamp), bool)> {
        let night = self.night.as_ref().filter(|night| !night.read.is_done);
        let night = night.map(|night| ((night.from, night.until), true));
        let known = self.stretches.front().map(|stretch| (*stretch, false));
        if self.is_of_night && self.place.is_some() { night.or(known) } else { known.or(night) }
    }

    /// The stretch is read to its end.
    fn finish(&mut self, is_of_night: bool) {
        match self.night.as_mut().filter(|_| is_of_night) {
            Some(night) => night.read.is_done = true,
            None => drop(self.stretches.pop_front()),
        }
    }

    /// What this night has read so far, as a list of another daemon keeps it.
    pub fn read_of(kept: &[u8], night: Timestamp) -> Option<NightRead> {
        let past: Self = serde_json::from_slice(kept).ok()?;
        past.night.map(|one| one.read).filter(|read| read.of == night)
    }

    fn left(&self) -> Option<Span> {
        let ((from, _), is_of_night) = self.stretch()?;
        let read = self.place.as_ref().map_or(Span::ZERO, |place| place.read.since(from));
        let night = self.night.as_ref().filter(|_| is_of_night).map(|night| (night.from, night.until));
        let all: i64 =
            self.stretches.iter().copied().chain(night).map(|(from, until)| until.since(from).as_millis()).sum();
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
                let night = past.night.as_ref().map(|night| night.read.clone());
                let before =
                    (std::mem::replace(&mut state.past, past.left()), std::mem::replace(&mut state.night, night));
                before != (state.past, state.night.clone())
            });
            let more = match past.stretch() {
                None => tokio::select! {
                    () = stop.cancelled() => break,
                    more = wanted.recv() => more,
                },
                Some(_) => wanted.try_recv().ok(),
            };
            if let Some(again) = more {
                past.add(&again);
                let value = serde_json::to_vec(&past).unwrap_or_default();
                if !behind.done().await || !of.keep(Mapped::default(), (&cursor, &value), &stop).await {
                    break;
                }
                // Who does not wait for it needs no word.
                again.kept.map(|kept| kept.send(()));
                continue;
            }
            let Some(((from, until), is_of_night)) = past.stretch() else { break };
            let begun = past.place.take();
            if begun.is_none() && is_of_night {
                // What was read by day is told apart by the journal, and counted.
                recent = Recent::default();
            }
            if begun.is_none() {
                // It may be of a stretch that was given up.
                ahead = Ahead::default();
            }
            past.is_of_night = is_of_night;
            let mut place = begun.unwrap_or_else(|| Place::at(from));
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
                past.finish(is_of_night);
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
                Ok(Some(mut mapped)) => {
                    failures = Failures::default();
                    if let Some(night) = past.night.as_mut().filter(|_| is_of_night) {
                        let known = of.known(&mapped.read.events).await;
                        night.read.compare(&mut mapped, &known);
                    }
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
