//! What is an alert, and what is to be told to whom: a state machine of looks and of messages that were taken. It reads no
//! clock and sends nothing; what it knows outlives a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finding::{Finding, Key};
use super::kind::{Kind, Severity};
use super::receiver::Untold;
use super::settings::{Round, Settings, Wants};
use super::silence::Silence;
use crate::model::{Span, Timestamp};
use crate::wire::backoff;

/// Alerts that are known at once; what is found beyond is counted.
pub const MOST_ALERTS: usize = 100;
/// Silences there may be at once.
pub const MOST_SILENCES: usize = 50;
/// The longest words that are kept.
const LONGEST: usize = 300;
/// A receiver that could not be told is tried again after the first of these, doubling up to the second.
const AGAIN: (Span, Span) = (Span::from_secs(10), Span::from_minutes(15));
/// That an alert is over is worth telling for so long.
const STALE: Span = Span::DAY;

/// Something that is wrong, or was until just now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// By what it is known.
    #[serde(flatten)]
    pub key: Key,
    /// What is wrong, as it was last found.
    pub words: String,
    /// What mends it.
    pub remedy: Option<String>,
    /// The figure, where it has one.
    pub value: Option<f64>,
    /// How urgent it is.
    pub severity: Severity,
    /// When it was found first.
    pub since: Timestamp,
    /// When it was found last.
    pub seen: Timestamp,
    /// When it had been so for long enough; none before.
    pub fired: Option<Timestamp>,
    /// When it was over; none while it is not.
    pub over: Option<Timestamp>,
    /// The receivers that take it for firing, and when they were last told.
    pub told: BTreeMap<String, Timestamp>,
    /// The receivers that may have heard of it without our knowing, and how many tries of telling them came to no clear end:
    /// what is on its way, was cut, or was sent by a daemon that was killed. These are told its end, too.
    #[serde(default)]
    pub asked: BTreeMap<String, u32>,
}

impl Alert {
    /// True while it fires.
    pub fn is_firing(&self) -> bool {
        self.fired.is_some() && self.over.is_none()
    }

    /// True where this receiver takes it for firing, or may.
    fn may_be_known_to(&self, name: &str) -> bool {
        self.told.contains_key(name) || self.asked.contains_key(name)
    }

    fn concerns(&self, wants: &Wants<'_>) -> bool {
        self.severity >= wants.least && (wants.kinds.is_empty() || wants.kinds.contains(&self.key.kind))
    }
}

/// What a message says of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It fires, and the receiver does not know yet.
    Fired,
    /// It fires on.
    Still,
    /// It is over.
    Over,
}

/// One alert in a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Which.
    pub key: Key,
    /// What is said of it.
    pub change: Change,
    /// Since when that is so.
    pub at: Timestamp,
}

/// What is to be told to one receiver at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The same for the same content, so that whoever gets it twice can know it.
    pub id: String,
    /// At least one.
    pub items: Vec<Item>,
}

/// A receiver that could not be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertReceiverFailing)]
pub struct Failing {
    /// Since when.
    pub since: Timestamp,
    /// Times in a row.
    pub tries: u32,
    /// Why, in words.
    pub words: String,
    /// Not tried again before.
    pub not_before: Timestamp,
}

/// Everything that is known of alerts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Those that are found, fire, or are over and not yet told to be.
    pub alerts: Vec<Alert>,
    /// What somebody wants to hear nothing of.
    pub silences: Vec<Silence>,
    /// Silences that there ever were.
    pub silenced: u64,
    /// Receivers that could not be told.
    pub failing: BTreeMap<String, Failing>,
    /// What was found at the last look and is not among the alerts for want of room.
    #[serde(skip)]
    pub untracked: usize,
}

impl State {
    /// As it was kept, with these receivers: what was found before is taken to be so until there was time to look.
    pub fn opened(mut self, receivers: &BTreeMap<String, super::settings::Receiver>, now: Timestamp) -> Self {
        for alert in &mut self.alerts {
            alert.told.retain(|name, _| receivers.contains_key(name));
            alert.asked.retain(|name, _| receivers.contains_key(name));
            if alert.over.is_none() {
                alert.seen = alert.seen.max(now);
            }
        }
        self.failing.retain(|name, _| receivers.contains_key(name));
        self.tidy(now);
        self
    }

    /// Takes in what is found now. True where something became otherwise that must outlive a restart.
    pub fn look(&mut self, findings: &[Finding], settings: &Settings, now: Timestamp) -> bool {
        let mut is_news = false;
        self.untracked = 0;
        for finding in findings {
            let rule = settings.of(finding.key.kind);
            if !rule.is_on {
                continue;
            }
            let known = self.alerts.iter().position(|alert| alert.key == finding.key);
            let place = match known {
                Some(place) => place,
                None if self.alerts.len() >= MOST_ALERTS => {
                    self.untracked += 1;
                    continue;
                }
                None => {
                    is_news = true;
                    self.alerts.push(Alert {
                        key: finding.key.clone(),
                        words: String::new(),
                        remedy: None,
                        value: None,
                        severity: rule.severity,
                        since: now,
                        seen: now,
                        fired: None,
                        over: None,
                        told: BTreeMap::new(),
                        asked: BTreeMap::new(),
                    });
                    self.alerts.len() - 1
                }
            };
            let alert = &mut self.alerts[place];
            if alert.over.take().is_some() {
                // It comes back before everybody knew that it was over: to those it never ended.
                (alert.since, alert.fired, is_news) = (now, None, true);
                // Who may have heard the end has to hear of it anew, and of its next end in any case.
                for (name, tries) in &mut alert.asked {
                    if alert.told.remove(name).is_some() {
                        *tries = tries.saturating_add(1);
                    }
                }
            }
            (alert.seen, alert.severity, alert.value) = (now, rule.severity, finding.value);
            alert.words = finding.words.chars().take(LONGEST).collect();
            alert.remedy = finding.remedy.as_ref().map(|remedy| remedy.chars().take(LONGEST).collect());
            if alert.fired.is_none() && now.since(alert.since) >= rule.wait {
                (alert.fired, is_news) = (Some(now), true);
            }
        }
        for alert in &mut self.alerts {
            let is_on = settings.of(alert.key.kind).is_on;
            if alert.over.is_none() && alert.seen < now && (!is_on || now.since(alert.seen) >= settings.calm) {
                (alert.over, is_news) = (Some(now), true);
            }
        }
        let silences = self.silences.len();
        self.tidy(now);
        is_news || silences != self.silences.len()
    }

    /// What is to be told to a receiver now, if anything.
    pub fn due(&self, name: &str, wants: &Wants<'_>, round: &Round<'_>) -> Option<Batch> {
        let Round { settings, now, .. } = *round;
        if self.failing.get(name).is_some_and(|failing| now < failing.not_before) {
            return None;
        }
        let item = |alert: &Alert, change, at| Item { key: alert.key.clone(), change, at };
        let (mut news, mut firing, mut is_repeated) = (Vec::new(), Vec::new(), false);
        for alert in &self.alerts {
            let told = alert.told.get(name);
            let is_loud = alert.concerns(wants) && !self.is_silenced(&alert.key, round);
            match (alert.fired, alert.over, told) {
                (_, Some(over), _) if alert.may_be_known_to(name) => news.push(item(alert, Change::Over, over)),
                (Some(fired), None, None) if is_loud => news.push(item(alert, Change::Fired, fired)),
                (Some(fired), None, Some(told)) if is_loud => {
                    is_repeated |= now.since(*told) >= settings.repeat;
                    firing.push(item(alert, Change::Still, fired));
                }
                _ => {}
            }
        }
        let first = news.iter().map(|item| item.at).min();
        let is_waited = first.is_some_and(|first| now.since(first) >= settings.group_wait);
        if !is_waited && !is_repeated {
            return None;
        }
        let mut items = news;
        if is_repeated {
            items.extend(firing);
        }
        items.sort_by_key(|item| (item.change, std::cmp::Reverse(self.severity(&item.key)), item.key.clone()));
        Some(Batch { id: self.id(name, &items), items })
    }

    /// A receiver is about to be told a batch: kept before it is, its end is told whatever becomes of this try.
    pub fn asked(&mut self, name: &str, batch: &Batch) {
        for (alert, _) in self.of_batch(batch) {
            let tries = alert.asked.entry(name.to_owned()).or_default();
            *tries = tries.saturating_add(1);
        }
    }

    /// A receiver took a batch.
    pub fn taken(&mut self, name: &str, batch: &Batch, now: Timestamp) {
        self.failing.remove(name);
        for (alert, item) in self.of_batch(batch) {
            alert.asked.remove(name);
            match item.change {
                Change::Fired | Change::Still => drop(alert.told.insert(name.to_owned(), now)),
                Change::Over => drop(alert.told.remove(name)),
            }
        }
        self.tidy(now);
    }

    /// The alerts of a batch that are still known, each with what the batch says of it.
    fn of_batch<'a>(&'a mut self, batch: &'a Batch) -> impl Iterator<Item = (&'a mut Alert, &'a Item)> {
        self.alerts.iter_mut().filter_map(|alert| {
            let item = batch.items.iter().find(|item| item.key == alert.key)?;
            Some((alert, item))
        })
    }

    /// A receiver could not be told a batch.
    pub fn failed(&mut self, name: &str, batch: &Batch, untold: &Untold, now: Timestamp) {
        if !untold.may_know {
            for (alert, _) in self.of_batch(batch) {
                let Some(tries) = alert.asked.get_mut(name) else { continue };
                *tries = tries.saturating_sub(1);
                if *tries == 0 {
                    alert.asked.remove(name);
                }
            }
        }
        self.tidy(now);
        let failing = self.failing.entry(name.to_owned()).or_insert_with(|| Failing {
            since: now,
            tries: 0,
            words: String::new(),
            not_before: now,
        });
        failing.tries = failing.tries.saturating_add(1);
        failing.words = untold.words.chars().take(LONGEST).collect();
        let latest = now + Span::HOUR;
        failing.not_before = (now + backoff::wait(AGAIN, failing.tries)).max(untold.again.unwrap_or(now).min(latest));
    }

    /// Begins a silence; none where there are too many.
    pub fn silence(&mut self, mut silence: Silence) -> Option<Silence> {
        if self.silences.len() >= MOST_SILENCES {
            return None;
        }
        self.silenced += 1;
        silence.id = self.silenced;
        self.silences.push(silence.clone());
        Some(silence)
    }

    /// Ends one; false where there is none of this number.
    pub fn unsilence(&mut self, id: u64) -> bool {
        let before = self.silences.len();
        self.silences.retain(|silence| silence.id != id);
        before != self.silences.len()
    }

    /// True while nothing new is told of it.
    pub fn is_silenced(&self, key: &Key, round: &Round<'_>) -> bool {
        self.silences.iter().any(|silence| silence.covers(key.kind, &key.of, round.now)) || round.holds_back(key.kind)
    }

    /// How many fire, by kind.
    pub fn firing(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for alert in self.alerts.iter().filter(|alert| alert.is_firing()) {
            *counts.entry(alert.key.kind).or_default() += 1;
        }
        counts
    }

    fn severity(&self, key: &Key) -> Severity {
        let known = self.alerts.iter().find(|alert| alert.key == *key);
        known.map_or(Severity::Warning, |alert| alert.severity)
    }

    fn id(&self, name: &str, items: &[Item]) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(name.as_bytes());
        for Item { key, change, at } in items {
            let told = self.alerts.iter().find(|alert| alert.key == *key).and_then(|alert| alert.told.get(name));
            let told = told.map_or(0, |told| told.as_millis());
            hash.update(format!("|{}|{}|{change:?}|{}|{told}", key.kind.word(), key.of, at.as_millis()).as_bytes());
        }
        hash.finalize().to_hex().chars().take(32).collect()
    }

    /// Forgets what nobody has to be told of any more.
    fn tidy(&mut self, now: Timestamp) {
        self.alerts.retain(|alert| match alert.over {
            Some(over) => !(alert.told.is_empty() && alert.asked.is_empty()) && now.since(over) < STALE,
            None => true,
        });
        self.silences.retain(|silence| now < silence.until);
    }
}
