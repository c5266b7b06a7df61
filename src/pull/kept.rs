//! Keeps what was read, however long the store takes to let us: this is what holds a source back.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::model::{CatalogueItem, Event, Span};
use crate::store::{Duty, SetAside, Store};

/// The wait when the store takes nothing.
pub const REFUSED: Span = Span::from_secs(1);
/// Bytes of a record that are kept for inspection.
const ASIDE_BYTES: usize = 32 << 10;

/// What was read, and the place after it.
#[derive(Debug, Default)]
pub struct Kept {
    /// Events, which are appended in one step with the place.
    pub events: Vec<Event>,
    /// Products.
    pub items: Vec<CatalogueItem>,
    /// What could not be read.
    pub aside: Vec<SetAside>,
    /// Under what name a place is kept, and the place.
    pub cursor: Option<(String, Vec<u8>)>,
}

/// The beginning of a record, as long as it may be kept for inspection.
pub fn beginning(body: &str) -> Box<str> {
    let cut = (0..=ASIDE_BYTES.min(body.len())).rev().find(|i| body.is_char_boundary(*i));
    body.get(..cut.unwrap_or(0)).unwrap_or_default().into()
}

impl Kept {
    /// Puts it into the store for this duty: products and what is set aside before the place. False when it was given up
    /// for `stop`.
    /// `told` hears each time why it has to wait.
    pub async fn put(
        mut self,
        (store, duty): (&Arc<dyn Store>, &Duty),
        clock: &SharedClock,
        stop: &CancellationToken,
        mut told: impl FnMut(String) + Send,
    ) -> bool {
        loop {
            let refused = match self.try_put(store, duty).await {
                Ok(()) => return true,
                Err(refused) => refused,
            };
            told(refused);
            tokio::select! {
                () = stop.cancelled() => return false,
                () = clock.until(clock.now() + REFUSED) => {}
            }
        }
    }

    async fn try_put(&mut self, store: &Arc<dyn Store>, duty: &Duty) -> Result<(), String> {
        if !self.aside.is_empty() {
            store.set_aside(self.aside.clone()).await.map_err(|e| e.to_string())?;
            self.aside.clear();
        }
        if !self.items.is_empty() {
            store.put_items(self.items.clone()).await.map_err(|e| e.to_string())?;
            self.items.clear();
        }
        let cursor = self.cursor.as_ref().map(|(name, value)| (name.as_str(), value.as_slice()));
        if !self.events.is_empty() || cursor.is_some() {
            store.append_for(duty, self.events.clone(), cursor).await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}
