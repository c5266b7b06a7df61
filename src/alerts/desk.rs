//! The desk of alerts: has everything looked at, keeps what is known, has receivers told beside each other, and answers who
//! asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::finding::Finding;
use super::kind::Kind;
use super::message::Message;
use super::receiver::{NoWay, Receiver, Untold};
use super::settings::{self, Settings};
use super::silence::Silence;
use super::state::{Alert, Batch, Failing, State};
use crate::clock::SharedClock;
use crate::model::{Span, Timestamp};
use crate::store::{Duties, Duty, Store};

/// Under what name it is kept; and the duty of telling, of the daemons that share a store.
const KEPT: &str = "alerts";
/// Under what name the others tell what they find wrong.
const FOUND: &str = "findings";
/// The longest silence.
const LONGEST: Span = Span::from_days(30);
/// Who wants something of what is known waits so long for it to be read, of the machine's time.
const PATIENCE: Duration = Duration::from_secs(5);

/// No way to a receiver can be made.
#[derive(Debug, thiserror::Error)]
#[error("the receiver of alerts `{name}`: {why}")]
pub struct NoDesk {
    name: String,
    why: NoWay,
}

/// Why something asked of the desk was not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such receiver.
    #[error("there is no receiver `{0}`; there are: {1}")]
    Unknown(String, String),
    /// There are too many silences.
    #[error("there are {0} silences; end some with `espalier alerts unsilence`")]
    TooMany(usize),
    /// Another daemon tells alerts, or the store does not say who.
    #[error(
        "another daemon that shares the store tells alerts, or the store does not answer: `espalier status` names who does"
    )]
    Elsewhere,
    /// It would be too long, or no time at all.
    #[error("a silence is longer than nothing, and at most {0}")]
    Length(Span),
    /// What was known before is not read yet, and would be lost.
    #[error("the store does not tell yet what is known of alerts; try again in a moment")]
    NotYet,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertTested)]
pub struct Tested {
    /// The receiver.
    pub receiver: String,
    /// Of what kind it is.
    pub kind: String,
    /// True when it took the message.
    pub is_taken: bool,
    /// What it answered, or why it could not be told.
    pub words: String,
}

/// Everything that is known, for people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertListing)]
pub struct Listing {
    /// When this was looked at.
    pub at: Timestamp,
    /// What fires, waits to fire, or is over and not yet told to be.
    pub alerts: Vec<Listed>,
    /// What was found and has no place among them.
    pub untracked: usize,
    /// What somebody wants to hear nothing of.
    pub silences: Vec<Silence>,
    /// Who is told.
    pub receivers: Vec<Told>,
}

/// One alert of a listing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertListed)]
pub struct Listed {
    /// All that is known of it.
    #[serde(flatten)]
    pub alert: Alert,
    /// `pending`, `firing` or `resolved`.
    pub state: String,
    /// True while nothing new is told of it.
    pub is_silenced: bool,
}

/// One receiver of a listing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertReceiver)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// Of what kind it is.
    pub kind: String,
    /// Why it cannot be told, where it cannot.
    pub failing: Option<Failing>,
}

/// The desk of alerts. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    receivers: BTreeMap<String, Arc<Way>>,
    state: Mutex<State>,
    /// True from when what was kept is read: nothing is kept before, since that would take its place.
    is_known: watch::Sender<bool>,
    /// Held while the state is written, so that an older one never comes after a newer.
    keeping: tokio::sync::Mutex<()>,
    /// By which alerts are told; none while another daemon does.
    duty: Mutex<Option<Duty>>,
    store: Arc<dyn Store>,
    clock: SharedClock,
}

/// One receiver: what is set of it, and the way to it.
struct Way {
    of: settings::Receiver,
    receiver: Receiver,
}

/// Who is being told what.
#[derive(Default)]
struct Telling {
    tasks: JoinSet<Result<String, Untold>>,
    busy: HashMap<Id, (String, Batch)>,
}

impl Desk {
    /// With these settings; what was known before comes with [`Desk::run`].
    ///
    /// # Errors
    /// When no way to a receiver can be made.
    pub fn new(settings: Settings, store: Arc<dyn Store>, clock: SharedClock) -> Result<Self, NoDesk> {
        let mut receivers = BTreeMap::new();
        for (name, of) in &settings.receiver {
            let receiver = Receiver::new(of, &clock).map_err(|why| NoDesk { name: name.clone(), why })?;
            receivers.insert(name.clone(), Arc::new(Way { of: of.clone(), receiver }));
        }
        let (state, is_known, keeping, duty) = Default::default();
        Ok(Self { inner: Arc::new(Inner { settings, receivers, state, is_known, keeping, duty, store, clock }) })
    }

    /// What is set.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Receivers that cannot be told.
    pub fn failing(&self) -> BTreeMap<String, Failing> {
        self.inner.state().failing.clone()
    }

    /// How many alerts fire, by kind; kinds of which none does are not in it.
    pub fn firing(&self) -> BTreeMap<Kind, usize> {
        self.inner.state().firing()
    }

    /// Everything that is known, for people: what fires first.
    pub fn list(&self) -> Listing {
        let Inner { settings, receivers, clock, .. } = &*self.inner;
        let (round, state) = (settings.round(clock.now()), self.inner.state());
        let listed = |alert: &Alert| Listed {
            is_silenced: state.is_silenced(&alert.key, &round),
            state: match (alert.fired, alert.over) {
                (_, Some(_)) => "resolved".into(),
                (Some(_), None) => "firing".into(),
                (None, None) => "pending".into(),
            },
            alert: alert.clone(),
        };
        let mut alerts: Vec<Listed> = state.alerts.iter().map(listed).collect();
        alerts.sort_by_key(|one| {
            (!one.alert.is_firing(), one.alert.fired.is_none(), std::cmp::Reverse(one.alert.severity), one.alert.since)
        });
        let receivers = receivers.iter().map(|(name, way)| Told {
            name: name.clone(),
            kind: way.of.kind().into(),
            failing: state.failing.get(name).cloned(),
        });
        let (untracked, silences) = (state.untracked, state.silences.clone());
        Listing { at: round.now, alerts, untracked, silences, receivers: receivers.collect() }
    }

    /// Begins a silence of this kind (or all), about this (or everything).
    ///
    /// # Errors
    /// When it is too long, or there are too many, or what was known before is not read yet.
    pub async fn silence(
        &self,
        (kind, of): (Option<Kind>, Option<String>),
        length: Span,
        by: &str,
    ) -> Result<Silence, Refused> {
        if length == Span::ZERO || length > LONGEST {
            return Err(Refused::Length(LONGEST));
        }
        self.is_ours().await?;
        self.inner.known().await?;
        let now = self.inner.clock.now();
        let by = by.chars().take(100).collect();
        let of = of.map(|of| of.chars().take(200).collect());
        let silence = Silence { id: 0, kind, of, from: now, until: now + length, by };
        let begun = self.inner.state().silence(silence);
        self.inner.keep().await;
        begun.ok_or(Refused::TooMany(super::state::MOST_SILENCES))
    }

    /// Ends one; false where there is none of this number.
    ///
    /// # Errors
    /// When another daemon tells alerts, or what was known before is not read yet.
    pub async fn unsilence(&self, id: u64) -> Result<bool, Refused> {
        self.is_ours().await?;
        self.inner.known().await?;
        let is_ended = self.inner.state().unsilence(id);
        if is_ended {
            self.inner.keep().await;
        }
        Ok(is_ended)
    }

    async fn is_ours(&self) -> Result<(), Refused> {
        match self.inner.store.duty(KEPT).await {
            Ok(Some(_)) => Ok(()),
            // Where it cannot be told, what another keeps is left alone.
            Ok(None) | Err(_) => Err(Refused::Elsewhere),
        }
    }

    /// Sends a message that says that it is a test, to this receiver or to all.
    ///
    /// # Errors
    /// When there is no such receiver.
    pub async fn test(&self, receiver: Option<&str>) -> Result<Vec<Tested>, Refused> {
        let Inner { settings, receivers, clock, .. } = &*self.inner;
        if let Some(name) = receiver.filter(|name| !receivers.contains_key(*name)) {
            let known = receivers.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(Refused::Unknown(name.to_owned(), known));
        }
        let wanted = receivers.iter().filter(|(name, _)| receiver.is_none_or(|one| one == name.as_str()));
        let tested = wanted.map(|(name, way)| async move {
            let now = clock.now();
            let message = Message::test(uuid::Uuid::new_v4().simple().to_string(), settings, now);
            let (is_taken, words) = match way.receiver.tell(&message, now).await {
                Ok(words) => (true, words),
                Err(untold) => (false, untold.words),
            };
            Tested { receiver: name.clone(), kind: way.of.kind().into(), is_taken, words }
        });
        Ok(futures_util::future::join_all(tested).await)
    }

    /// Looks and tells until `stop`, where that is ours to do; where it is another's, looks and has that one tell. What is
    /// being told then is given up, and told at the next start.
    pub async fn run(self, look: impl Fn() -> Vec<Finding> + Send + Sync, stop: CancellationToken) {
        let mut duties = Duties::new(self.inner.store.clone(), [KEPT.to_owned()]);
        while let Some(on) = duties.next_or_help(&stop, self.inner.help(&look)).await {
            *self.inner.duty.lock().unwrap_or_else(PoisonError::into_inner) = Some(on.duty());
            // What is wrong here is heard from ourselves.
            self.inner.tell(&[]).await;
            self.tell(&look, on.stop()).await;
            *self.inner.duty.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    async fn tell(&self, look: &(impl Fn() -> Vec<Finding> + Send + Sync), stop: &CancellationToken) {
        if !self.inner.remember(stop).await {
            return;
        }
        let mut telling = Telling::default();
        let mut next = self.inner.clock.now();
        loop {
            let now = self.inner.clock.now();
            if now >= next {
                next = now + self.inner.settings.every;
                let mut findings = look();
                self.inner.hear(&mut findings).await;
                let is_news = self.inner.state().look(&findings, &self.inner.settings, now);
                let due = self.inner.due(&telling, now);
                if is_news || !due.is_empty() {
                    // Before anybody is told: whatever becomes of that, its end is told.
                    self.inner.keep().await;
                }
                for (way, name, batch, message) in due {
                    let task = telling.tasks.spawn(async move { way.receiver.tell(&message, now).await });
                    telling.busy.insert(task.id(), (name, batch));
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.inner.clock.until(next) => {}
                Some(ended) = telling.tasks.join_next_with_id() => {
                    let (id, result) = ended.unwrap_or_else(|lost| {
                        let words = "telling it came to no end".to_owned();
                        (lost.id(), Err(Untold { words, again: None, may_know: true }))
                    });
                    if let Some((name, batch)) = telling.busy.remove(&id) {
                        self.inner.ended(&name, &batch, result);
                        self.inner.keep().await;
                    }
                }
            }
        }
    }
}

impl Inner {
    /// Whoever panicked while holding it left a state that is as good as before.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be told now to whoever is not being told, noted as on its way.
    fn due(&self, telling: &Telling, now: Timestamp) -> Vec<(Arc<Way>, String, Batch, Message)> {
        let (round, mut state, mut due) = (self.settings.round(now), self.state(), Vec::new());
        for (name, way) in &self.receivers {
            if telling.busy.values().any(|(busy, _)| busy == name) {
                continue;
            }
            let Some(batch) = state.due(name, &way.of.wants(), &round) else { continue };
            let message = Message::of(&state, &batch, &self.settings, now);
            state.asked(name, &batch);
            due.push((way.clone(), name.clone(), batch, message));
        }
        due
    }

    fn ended(&self, name: &str, batch: &Batch, result: Result<String, Untold>) {
        let now = self.clock.now();
        let word = if result.is_ok() { "taken" } else { "failed" };
        metrics::counter!("espalier_alert_messages_total", "receiver" => name.to_owned(), "result" => word)
            .increment(1);
        match result {
            Ok(_) => {
                tracing::info!(receiver = name, alerts = batch.items.len(), "alerts are told");
                self.state().taken(name, batch, now);
            }
            Err(untold) => {
                tracing::warn!(receiver = name, reason = %untold.words, "alerts could not be told");
                self.state().failed(name, batch, &untold, now);
            }
        }
    }

    /// Waits a moment until what was kept is read.
    async fn known(&self) -> Result<(), Refused> {
        let mut is_known = self.is_known.subscribe();
        match tokio::time::timeout(PATIENCE, is_known.wait_for(|is_known| *is_known)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Refused::NotYet),
        }
    }

    /// Looks for whoever tells, for as long as that is another daemon; and what that one knows is known here.
    async fn help(&self, look: &(impl Fn() -> Vec<Finding> + Send + Sync)) {
        let (mut told, never) = (Vec::new(), CancellationToken::new());
        loop {
            self.clock.until(self.clock.now() + self.settings.every).await;
            let findings = look();
            if findings != told && self.tell(&findings).await {
                told = findings;
            }
            self.remember(&never).await;
        }
    }

    /// False where it could not be told.
    async fn tell(&self, findings: &[Finding]) -> bool {
        let told = self.store.say(FOUND, &serde_json::to_vec(findings).unwrap_or_default()).await;
        told.inspect_err(|refused| tracing::warn!(reason = %refused, "what is wrong could not be told")).is_ok()
    }

    /// With what the others find wrong, as far as it is not found here.
    async fn hear(&self, findings: &mut Vec<Finding>) {
        let said = match self.store.heard(FOUND).await {
            Ok(said) => said,
            Err(refused) => return tracing::warn!(reason = %refused, "what others find wrong is not known"),
        };
        for one in said.into_iter().filter(|one| one.is_alive) {
            let theirs: Vec<Finding> = serde_json::from_slice(&one.value).unwrap_or_default();
            for finding in theirs {
                if findings.iter().all(|known| known.key != finding.key) {
                    findings.push(finding);
                }
            }
        }
    }

    /// Takes in what was known before; false when it is given up for `stop`.
    async fn remember(&self, stop: &CancellationToken) -> bool {
        let kept = loop {
            match self.store.kept(KEPT).await {
                Ok(kept) => break kept,
                Err(refused) => {
                    tracing::error!(reason = %refused, "alerts wait for the store");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = self.clock.until(self.clock.now() + self.settings.every) => {}
            }
        };
        let read = |bytes: Vec<u8>| serde_json::from_slice::<State>(&bytes);
        let known = kept.map(read).transpose().unwrap_or_else(|error| {
            tracing::error!(reason = %error, "what was kept of alerts cannot be read: it begins anew");
            None
        });
        *self.state() = known.unwrap_or_default().opened(&self.settings.receiver, self.clock.now());
        self.is_known.send_replace(true);
        true
    }

    /// Only what was read is kept: see `is_known`.
    async fn keep(&self) {
        let _one = self.keeping.lock().await;
        let written = serde_json::to_vec(&*self.state()).map_err(|error| error.to_string());
        let duty = self.duty.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kept = match (written, &duty) {
            (Ok(bytes), Some(duty)) => self.store.keep_for(duty, KEPT, &bytes).await.map_err(|e| e.to_string()),
            // Before the first look.
            (Ok(bytes), None) => self.store.keep(KEPT, &bytes).await.map_err(|e| e.to_string()),
            (Err(words), _) => Err(words),
        };
        if let Err(reason) = kept {
            tracing::warn!(%reason, "what is known of alerts could not be kept");
        }
    }
}
