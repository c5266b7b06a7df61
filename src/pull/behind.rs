//! What is being kept while the page after it is read.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::stream::Pulling;
use crate::source::stream::Mapped;

/// The page that is being kept. Never more than one; it is not given up where this is dropped.
#[derive(Default)]
pub struct Behind(Option<JoinHandle<bool>>);

impl Behind {
    /// Waits for the page to be kept; false where it was given up.
    pub async fn done(&mut self) -> bool {
        match self.0.take() {
            // Who panicked has not kept it.
            Some(keeping) => keeping.await.unwrap_or(false),
            None => true,
        }
    }

    /// Begins to keep what a page held with the place after it, once the page before is kept. False, and nothing begun,
    /// where that one was given up. `kept` is called when it is.
    pub async fn keep(
        &mut self,
        of: &Arc<Pulling>,
        mapped: Mapped,
        (cursor, place): (&str, Vec<u8>),
        stop: &CancellationToken,
        kept: impl FnOnce(&Pulling) + Send + 'static,
    ) -> bool {
        if !self.done().await {
            return false;
        }
        let (of, stop, cursor) = (of.clone(), stop.clone(), cursor.to_owned());
        self.0 = Some(tokio::spawn(async move {
            let is_kept = of.keep(mapped, (&cursor, &place), &stop).await;
            if is_kept {
                kept(&of);
            }
            is_kept
        }));
        true
    }
}
