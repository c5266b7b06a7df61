//! Watches how much comes of each source and of each list, and says which is improbably quiet.
//!
//! What is learned is kept each hour and at the end. Of a list that time counts as watched which it has read, so that
//! neither a list that is held nor a daemon that was down is taken for a silence.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::state::{Doing, StreamState};
use crate::clock::SharedClock;
use crate::model::{Span, Timestamp};
use crate::source::volume::{Quiet, Tally, Volume};
use crate::store::{Duties, Duty, Store};

/// It is looked so often.
const EVERY: Span = Span::from_minutes(1);
/// Time in which nobody looked for longer was watched by nobody.
const LAPSE: Span = Span::from_minutes(5);
/// What is learned is kept so often.
const KEPT: Span = Span::HOUR;

/// The duty of judging what came, and under what name others tell what came to them.
const DUTY: &str = "volume";
/// Under what name it is kept what was taken of that.
const TAKEN: &str = "volume:taken";
/// Hours of which it is told.
const HOURS: i64 = 48;

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

/// What came to each ear in each hour since a daemon began, as it tells those that share its store.
type Came = BTreeMap<String, BTreeMap<i64, u64>>;

/// The task that listens: on each daemon, and one of them judges what came to all.
pub struct Listening {
    ears: Vec<(Ear, Volume, Option<Timestamp>)>,
    /// Others share the store.
    is_shared: bool,
    /// What came here, where they do.
    came: Came,
    /// What was taken of what each of them told.
    taken: BTreeMap<String, Came>,
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
        let (read, is_elsewhere) = (state.borrow().read, state.borrow().doing == Doing::Elsewhere);
        (!is_elsewhere && read > Timestamp::from_millis(0)).then_some(read.min(now))
    }
}

fn add(all: &mut Came, ear: &str, came: &BTreeMap<i64, u64>, now: Timestamp) {
    let hours = all.entry(ear.to_owned()).or_default();
    for (hour, n) in came {
        *hours.entry(*hour).or_default() += n;
    }
    let oldest = Volume::hour(now) - HOURS;
    hours.retain(|hour, _| *hour >= oldest);
}

impl Listening {
    pub fn new(ears: Vec<Ear>, store: Arc<dyn Store>, clock: SharedClock) -> Self {
        let ears = ears.into_iter().map(|ear| (ear, Volume::default(), None)).collect();
        let (came, taken) = (Came::new(), BTreeMap::new());
        Self { ears, is_shared: false, came, taken, store, clock, heard: watch::Sender::default() }
    }

    /// What is heard, to be looked at.
    pub fn heard(&self) -> watch::Receiver<Vec<Heard>> {
        self.heard.subscribe()
    }

    /// Listens until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut duties = Duties::new(self.store.clone(), [DUTY.to_owned()]);
        while let Some(on) = duties.next_or_help(&stop, self.help()).await {
            self.judge(&on.duty(), on.stop()).await;
            self.heard.send_replace(Vec::new());
        }
    }

    /// Counts for whoever judges, for as long as that is another daemon.
    async fn help(&mut self) {
        loop {
            self.clock.until(self.clock.now() + EVERY).await;
            let now = self.clock.now();
            let mut is_news = false;
            for (ear, _, before) in &mut self.ears {
                *before = None;
                let came = ear.tally.take(now);
                is_news |= !came.is_empty();
                add(&mut self.came, &ear.name(), &came, now);
            }
            if is_news {
                self.say().await;
            }
        }
    }

    async fn say(&self) {
        let value = serde_json::to_vec(&self.came).unwrap_or_default();
        if let Err(refused) = self.store.say(DUTY, &value).await {
            tracing::warn!(reason = %refused, "what came could not be told to who judges it");
        }
    }

    /// What came to the others since it was last asked, by ear.
    async fn theirs(&mut self) -> Came {
        let mut new = Came::new();
        let said = match self.store.heard(DUTY).await {
            Ok(said) => said,
            Err(refused) => {
                tracing::warn!(reason = %refused, "what came to other daemons is not known");
                return new;
            }
        };
        let theirs: BTreeMap<String, Came> =
            said.into_iter().filter_map(|said| Some((said.by, serde_json::from_slice(&said.value).ok()?))).collect();
        for (by, came) in &theirs {
            let taken = self.taken.get(by);
            for (ear, hours) in came {
                let known = taken.and_then(|taken| taken.get(ear));
                let more = hours.iter().filter_map(|(hour, n)| {
                    let before = known.and_then(|known| known.get(hour)).copied().unwrap_or(0);
                    (*n > before).then(|| (*hour, n - before))
                });
                for (hour, n) in more {
                    *new.entry(ear.clone()).or_default().entry(hour).or_default() += n;
                }
            }
        }
        self.taken = theirs;
        new
    }

    async fn judge(&mut self, duty: &Duty, stop: &CancellationToken) {
        self.is_shared = duty.is_shared();
        if self.is_shared {
            self.taken = match self.store.kept(TAKEN).await {
                Ok(bytes) => bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default(),
                Err(_) => BTreeMap::new(),
            };
        }
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
            let theirs = if duty.is_shared() { self.theirs().await } else { Came::new() };
            self.listen(&theirs, self.clock.now());
            if duty.is_shared() {
                // Whoever judges after us has it from there.
                self.say().await;
            }
            if self.clock.now() >= kept + KEPT {
                kept = self.clock.now();
                self.keep(duty).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.clock.until(self.clock.now() + EVERY) => {}
            }
        }
        self.listen(&Came::new(), self.clock.now());
        self.keep(duty).await;
    }

    fn listen(&mut self, theirs: &Came, now: Timestamp) {
        let mut heard = Vec::with_capacity(self.ears.len());
        for (ear, volume, before) in &mut self.ears {
            // Before what came: a list that reads on meanwhile has then told of more than was watched, not of less.
            let until = ear.watched(now);
            let mut came = ear.tally.take(now);
            if self.is_shared {
                add(&mut self.came, &ear.name(), &came, now);
            }
            for (hour, n) in theirs.get(&ear.name()).into_iter().flatten() {
                *came.entry(*hour).or_default() += n;
            }
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

    async fn keep(&self, duty: &Duty) {
        if duty.is_shared() {
            // Ours, too: to whoever judges after us we are one of the others.
            let mut taken = self.taken.clone();
            let members = self.store.members();
            let me = members.as_ref().and_then(|all| all.members.iter().find(|member| member.is_me));
            taken.extend(me.map(|me| (me.id.clone(), self.came.clone())));
            let value = serde_json::to_vec(&taken).unwrap_or_default();
            if let Err(refused) = self.store.keep_for(duty, TAKEN, &value).await {
                tracing::warn!(reason = %refused, "what was taken of others' counts could not be kept");
            }
        }
        for (ear, volume, _) in &self.ears {
            let value = serde_json::to_vec(volume).unwrap_or_default();
            if let Err(refused) = self.store.keep_for(duty, &ear.name(), &value).await {
                tracing::warn!(source = %ear.source, reason = %refused, "how much usually comes could not be kept");
            }
        }
    }
}
