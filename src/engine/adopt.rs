//! Triggers that are new find the people who were there before them: a page of people at a time, beside the live work.

use crate::decide;
use crate::model::{Loaded, PersonId, Timestamp};
use crate::rules::Program;
use crate::store::StoreError;

use super::Engine;

/// People looked at in one step.
const PAGE: usize = 500;
/// The name under which the store keeps how far it is.
const KEPT: &str = "engine.adopted";

impl Engine {
    /// One page for triggers never adopted before; false when there is nothing to do.
    pub(super) async fn adopt(&self, program: &Program, now: Timestamp) -> Result<bool, StoreError> {
        let wanted = fingerprint(program);
        if *self.adopted.lock().await == Some(wanted) {
            return Ok(false);
        }
        // 16 bytes of the program's fingerprint, then the last person done; no person when all are done.
        let kept = self.store.kept(KEPT).await?.unwrap_or_default();
        let mut after = None;
        if kept.get(..16) == Some(&wanted[..]) {
            let Some(person) = kept.get(16..32).and_then(|id| id.try_into().ok()).map(PersonId) else {
                *self.adopted.lock().await = Some(wanted);
                return Ok(false);
            };
            after = Some(person);
        }
        let page = self.store.people(after, PAGE).await?;
        let ids: Vec<PersonId> = page.iter().map(|person| person.id).collect();
        let mut progress = wanted.to_vec();
        if let Some(last) = ids.last() {
            progress.extend_from_slice(&last.0);
            let mut loaded = Loaded { people: page.into_iter().map(|p| (p.id, p)).collect(), ..Loaded::default() };
            let changes = decide::adopt(&mut loaded, &ids, now, program);
            self.store.commit(loaded, changes).await?;
        }
        self.store.keep(KEPT, &progress).await?;
        Ok(true)
    }
}

/// What all triggers mean, in 16 bytes.
fn fingerprint(program: &Program) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    let mut all: Vec<_> = program.triggers().iter().map(|t| (t.id, t.meaning)).collect();
    all.sort_unstable();
    for (id, meaning) in all {
        hash.update(&id.0.to_be_bytes());
        hash.update(&meaning.to_be_bytes());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    short
}
