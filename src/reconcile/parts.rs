//! A night over several daemons that share a store: one has it, and each does the part of it that is about what it alone
//! calls or reads. What is to be done is in the store with the night; what came of a part is kept there.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::night::{Nightly, OPEN, Open};
use super::report::{MEMORY, recent};
use crate::model::{Span, Timestamp};
use crate::pull::{NightRead, Reread};

/// It is looked so often whether there is something to do, or whether another has done it.
const LOOKED: Span = Span::from_secs(5);

/// What came of a part.
#[derive(Serialize, Deserialize)]
struct Part<T> {
    /// Of which night.
    of: Timestamp,
    came: T,
}

fn name(part: &str) -> String {
    format!("night:part:{part}")
}

impl Nightly {
    /// Does parts of the nights of another daemon, for as long as they are another's.
    pub(super) async fn help(&mut self) {
        loop {
            self.clock.until(self.clock.now() + LOOKED).await;
            let last = recent(&*self.store, 1).await.ok().and_then(|reports| reports.into_iter().next());
            self.state.send_if_modified(|state| {
                let is_news = !state.is_elsewhere || state.last != last;
                (state.running, state.next, state.is_elsewhere, state.last) = (None, None, true, last);
                is_news
            });
            if let Some(open) = self.kept::<Option<Open>>(OPEN).await.flatten() {
                self.help_with(&open).await;
            }
        }
    }

    async fn help_with(&mut self, open: &Open) {
        let deadline = open.of + self.settings.longest;
        if self.clock.now() >= deadline {
            return;
        }
        for list in self.lists.iter().filter(|list| list.is_here() && list.read(open.of).is_none()) {
            let Some(from) = open.due.sources.get(&*list.source) else { continue };
            tokio::select! {
                _ = list.ask(open.of, (*from, open.of)) => {}
                () = self.clock.until(self.clock.now() + LOOKED) => {}
            }
        }
        for program in self.programs.clone() {
            let part = format!("program:{}", program.source);
            let is_due = open.due.sources.contains_key(&*program.source) && program.is_here();
            if !is_due || self.has(&part, open.of).await {
                continue;
            }
            let brought = tokio::select! {
                brought = program.run() => brought,
                () = self.clock.until(deadline) => None,
            };
            self.keep_part(&part, open.of, &brought).await;
        }
        for lane in &open.due.lanes {
            let part = format!("look:{lane}");
            let is_ours = self.askers.iter().any(|asker| *asker.name == **lane && asker.is_ours());
            if !is_ours || self.has(&part, open.of).await {
                continue;
            }
            // Since when, whoever has the nights has kept.
            self.memory = self.kept(MEMORY).await.unwrap_or_default();
            let looked = self.look(open, lane, deadline).await;
            self.keep_part(&part, open.of, &looked).await;
        }
    }

    /// What another daemon found, where a part is another's; none where it is, or becomes, ours to do.
    pub(super) async fn part<T: DeserializeOwned + Default>(
        &self,
        of: Timestamp,
        part: &str,
        is_here: impl Fn() -> bool,
        deadline: Timestamp,
    ) -> Option<T> {
        while self.duty.is_shared() && !is_here() {
            if let Some(part) = self.kept::<Part<T>>(&name(part)).await.filter(|part| part.of == of) {
                return Some(part.came);
            }
            if self.clock.now() >= deadline {
                return Some(T::default());
            }
            self.clock.until(self.clock.now() + LOOKED).await;
        }
        None
    }

    async fn has(&self, part: &str, of: Timestamp) -> bool {
        self.kept::<Part<serde_json::Value>>(&name(part)).await.is_some_and(|part| part.of == of)
    }

    async fn keep_part<T: Serialize>(&self, part: &str, of: Timestamp, came: &T) {
        let value = serde_json::to_vec(&Part { of, came }).unwrap_or_default();
        if let Err(refused) = self.store.keep(&name(part), &value).await {
            tracing::warn!(reason = %refused, part, "a part of the night could not be kept, and is done anew");
        }
    }

    async fn kept<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let kept = self.store.kept(name).await.ok()??;
        serde_json::from_slice(&kept).ok()
    }

    /// Waits until a list is read to its end, whichever daemon reads it.
    pub(super) async fn read_whole(&self, open: &Open, list: &Reread, deadline: Timestamp) {
        if !self.duty.is_shared() {
            tokio::select! {
                () = list.done(open.of) => {}
                () = self.clock.until(deadline) => {}
            }
            return;
        }
        while self.clock.now() < deadline {
            match self.read_so_far(list, open.of).await {
                Some(read) if read.is_done => return,
                // It came here after it was asked for.
                None if list.is_here() => {
                    let from = open.due.sources.get(&*list.source).copied().unwrap_or(open.of);
                    tokio::select! {
                        _ = list.ask(open.of, (from, open.of)) => {}
                        () = self.clock.until(self.clock.now() + LOOKED) => {}
                    }
                }
                _ => {}
            }
            self.clock.until((self.clock.now() + LOOKED).min(deadline)).await;
        }
    }

    /// What this night has read of a list.
    pub(super) async fn read_so_far(&self, list: &Reread, of: Timestamp) -> Option<NightRead> {
        loop {
            match list.read_anywhere(&*self.store, of).await {
                Ok(read) => return read,
                Err(refused) => self.rest(&refused).await,
            }
        }
    }
}
