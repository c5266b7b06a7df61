//! Watches how much comes of each source and of each list, and says which is improbably quiet.
//!
//! What is learned is kept each hour and at the end. Of a list that time counts as watched which it has read, so that
//! neither a list that is held nor a daemon that was down is taken for a silence.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::state::StreamState;
use crate::clock::SharedClock;
use crate::model::{Span, Timestamp};
use crate::source::volume::{Quiet, Tally, Volume};
use crate::store::Store;

/// It is looked so often.
const EVERY: Span = Span::from_minutes(1);
/// Time in which nobody looked for longer was watched by nobody.
const LAPSE: Span = Span::from_minutes(5);
/// What is learned is kept so often.
const KEPT: Span = Span::HOUR;

/// What is listened to.
pub struct Ear {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    /// A list of it, and how far it is read; none, where all is meant that comes to the source by itself.
    pub stream: Option<(Arc<str>, watch::Receiver<StreamState>)>,
    /// What comes.
    pub tally: Tally,
}

/// How quiet a source, or a list of it, is.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    /// The list's name in the connector.
    pub stream: Option<Arc<str>>,
    /// The silence that holds.
    pub quiet: Option<Quiet>,
}

/// The task that listens.
pub struct Listening {
    ears: Vec<(Ear, Volume, Option<Timestamp>)>,
    store: Arc<dyn Store>,
    clock: SharedClock,
    heard: watch::Sender<Vec<Heard>>,
}

impl Ear {
    /// Under what name it is kept what was learned.
    fn name(&self) -> String {
        match &self.stream {
            Some((stream, _)) => format!("volume:{}:{stream}", self.source),
            None => format!("volume:{}", self.source),
        }
    }

    /// Until when all that came is counted; none, while that is not known.
    fn watched(&self, now: Timestamp) -> Option<Timestamp> {
        let Some((_, state)) = &self.stream else { return Some(now) };
        let read = state.borrow().read;
        (read > Timestamp::from_millis(0)).then_some(read.min(now))
    }
}

impl Listening {
    pub fn new(ears: Vec<Ear>, store: Arc<dyn Store>, clock: SharedClock) -> Self {
        let ears = ears.into_iter().map(|ear| (ear, Volume::default(), None)).collect();
        Self { ears, store, clock, heard: watch::Sender::default() }
    }

    /// What is heard, to be looked at.
    pub fn heard(&self) -> watch::Receiver<Vec<Heard>> {
        self.heard.subscribe()
    }

    /// Listens until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        for (ear, volume, _) in &mut self.ears {
            match self.store.kept(&ear.name()).await {
                Ok(bytes) => {
                    *volume = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
                }
                Err(refused) => {
                    tracing::warn!(source = %ear.source, reason = %refused, "how much usually comes is not known, and learned anew");
                }
            }
        }
        let mut kept = self.clock.now();
        while !stop.is_cancelled() {
            self.listen(self.clock.now());
            if self.clock.now() >= kept + KEPT {
                kept = self.clock.now();
                self.keep().await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.clock.until(self.clock.now() + EVERY) => {}
            }
        }
        self.listen(self.clock.now());
        self.keep().await;
    }

    fn listen(&mut self, now: Timestamp) {
        let mut heard = Vec::with_capacity(self.ears.len());
        for (ear, volume, before) in &mut self.ears {
            // Before what came: a list that reads on meanwhile has then told of more than was watched, not of less.
            let until = ear.watched(now);
            let came = ear.tally.take(now);
            let was_quiet = volume.quiet().is_some();
            if let Some(until) = until {
                let lapsed = ear.stream.is_none() && before.is_some_and(|before| until.since(before) > LAPSE);
                let from = before.filter(|_| !lapsed).unwrap_or(until);
                volume.tell(&came, (from, until));
                *before = Some(until);
            }
            let stream = ear.stream.as_ref().map(|(stream, _)| stream.clone());
            let quiet = volume.quiet().copied();
            let (source, list) = (&ear.source, stream.as_deref().unwrap_or("all that comes by itself"));
            match &quiet {
                Some(quiet) if !was_quiet => {
                    let (since, came, usual) = (quiet.since, quiet.came, quiet.expected.round());
                    tracing::warn!(%source, %list, %since, came, usual, "improbably little comes");
                }
                None if was_quiet => tracing::info!(%source, %list, "it is not improbably quiet any more"),
                _ => {}
            }
            heard.push(Heard { source: ear.source.clone(), stream, quiet });
        }
        self.heard.send_if_modified(|known| {
            let is_news = *known != heard;
            *known = heard;
            is_news
        });
    }

    async fn keep(&self) {
        for (ear, volume, _) in &self.ears {
            let value = serde_json::to_vec(volume).unwrap_or_default();
            if let Err(refused) = self.store.keep(&ear.name(), &value).await {
                tracing::warn!(source = %ear.source, reason = %refused, "how much usually comes could not be kept");
            }
        }
    }
}
