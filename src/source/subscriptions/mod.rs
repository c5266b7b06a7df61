//! Subscriptions to webhooks at a vendor: what is there against what should be, and the calls that make it so.
//!
//! Values in, values out. A subscription that sends to another address is somebody else's, and is never touched.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::manifest::stream::Call;
use super::manifest::subscriptions::Subscriptions as Declared;
use super::manifest::{Manifest, Topic};
use super::stream::{Account, Stop, Stream};
use crate::manifest::setting::Given;
use crate::manifest::text;
use crate::model::http::{Request, Response};
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};

/// `webhooks` of a source with a connector.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the vendor reaches `/hooks/NAME` of this source from outside: `https://hooks.example/hooks/shop`.
    pub address: String,
    /// The topics that are wanted; all that the connector makes something of, unless some are named.
    #[serde(default)]
    pub topics: Option<Vec<String>>,
    /// How often it is looked whether all subscriptions are there.
    #[serde(default = "quarter")]
    pub every: Span,
}

fn quarter() -> Span {
    Span::from_minutes(15)
}

/// One subscription, as the vendor has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The vendor's.
    pub id: String,
    /// As it is written there.
    pub topic: String,
    /// Where it sends to.
    pub address: String,
    /// False when it is there and sends nothing.
    pub is_active: bool,
}

/// A topic that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// As in the header of a delivery.
    pub topic: String,
    /// As it is written where subscriptions are.
    pub written: String,
}

/// What is to be done to one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none.
    Create(Wanted),
    /// It sends nothing.
    Enable(Wanted, String),
    /// It is one too many, or sends nothing and cannot be put to work.
    Remove(Wanted, String),
}

impl Step {
    /// Of which topic.
    pub fn topic(&self) -> &str {
        match self {
            Self::Create(of) | Self::Enable(of, _) | Self::Remove(of, _) => &of.topic,
        }
    }

    /// In a word, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "created",
            Self::Enable(..) => "enabled",
            Self::Remove(..) => "removed",
        }
    }
}

/// What has to be done so that each wanted topic has one subscription at `address` that is at work; in this order.
pub fn plan(there: &[Subscription], wanted: &BTreeSet<Wanted>, address: &str, can_enable: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for one in wanted {
        // A list that changed between two pages names one twice: it is not a double of itself.
        let mut seen = BTreeSet::new();
        let mut ours: Vec<&Subscription> =
            of(there, one, address).filter(|subscription| seen.insert(subscription.id.as_str())).collect();
        // Of several that which is at work stays, the one that was named first.
        ours.sort_by_key(|subscription| !subscription.is_active);
        let mut ours = ours.into_iter();
        let kept = ours.next();
        let is_kept = kept.is_some_and(|kept| kept.is_active || can_enable);
        match kept {
            Some(kept) if kept.is_active => {}
            Some(kept) if can_enable => steps.push(Step::Enable(one.clone(), kept.id.clone())),
            // Where it is still there a second one would be refused.
            Some(kept) => steps.push(Step::Remove(one.clone(), kept.id.clone())),
            None => {}
        }
        steps.extend(ours.map(|double| Step::Remove(one.clone(), double.id.clone())));
        if !is_kept {
            steps.push(Step::Create(one.clone()));
        }
    }
    steps
}

fn of<'s>(there: &'s [Subscription], one: &Wanted, address: &str) -> impl Iterator<Item = &'s Subscription> {
    there
        .iter()
        .filter(move |subscription| subscription.topic == one.written && is_same(&subscription.address, address))
}

/// Schemes and hosts are compared without case (RFC 3986, 6.2.2.1).
fn is_same(one: &str, other: &str) -> bool {
    let host =
        |text: &str| text.find("://").map_or(0, |at| text[at + 3..].find('/').map_or(text.len(), |n| at + 3 + n));
    let (a, b) = (one.split_at(host(one)), other.split_at(host(other)));
    a.0.eq_ignore_ascii_case(b.0) && a.1 == b.1
}

/// The subscriptions of one account that a configuration wants.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    /// Where they send to.
    pub address: String,
    /// The topics.
    pub wanted: BTreeSet<Wanted>,
    /// All there are, as a list.
    pub list: Stream,
    account: Arc<Account>,
    declared: Declared,
    secrets: Vec<(String, Secret)>,
}

impl Subscriptions {
    /// Of a connector whose subscriptions can be managed.
    pub fn of(manifest: &Manifest, given: &Given, account: Arc<Account>, settings: &Settings) -> Option<Self> {
        let declared = manifest.webhook.as_ref()?.subscriptions.clone()?;
        let topics: Vec<&String> = match &settings.topics {
            Some(some) => some.iter().collect(),
            None => {
                let made = manifest.topics.iter().filter(|(_, made)| matches!(made, Topic::Emit(_)));
                made.map(|(topic, _)| topic).filter(|topic| !declared.by_hand.contains(topic)).collect()
            }
        };
        let wanted =
            topics.into_iter().map(|topic| Wanted { topic: topic.clone(), written: declared.written.write(topic) });
        let secrets = declared.secrets.iter();
        let secrets =
            secrets.filter_map(|(field, setting)| Some((field.clone(), given.secret(setting)?.clone()))).collect();
        Some(Self {
            address: settings.address.clone(),
            wanted: wanted.collect(),
            list: Stream::new("subscriptions", account.clone(), declared.list.clone()),
            account,
            declared,
            secrets,
        })
    }

    /// Deliveries that failed so long before a subscription was given up are lost as well.
    pub fn back(&self) -> Span {
        self.declared.back
    }

    /// What a record of the list is.
    ///
    /// # Errors
    /// When it is no subscription: then nothing is known of what is there.
    pub fn read(&self, record: &Value) -> Result<Subscription, Stop> {
        let declared = &self.declared;
        let id = declared.id.get(record).and_then(text).ok_or_else(|| Stop::odd("a subscription has no id"))?;
        let topic =
            declared.topic.get(record).and_then(text).ok_or_else(|| Stop::odd("a subscription has no topic"))?;
        // One that sends to a queue has none.
        let address = declared.address.get(record).and_then(text).unwrap_or_default();
        let is_active = declared.active.as_ref().is_none_or(|(path, is)| {
            let said = match path.get(record) {
                Some(Value::Bool(yes)) => Some(yes.to_string()),
                other => other.and_then(text),
            };
            said.is_some_and(|said| is.contains(&said))
        });
        Ok(Subscription { id, topic, address, is_active })
    }

    /// The topics that have a subscription of ours which is at work.
    pub fn standing(&self, there: &[Subscription]) -> BTreeSet<String> {
        let stands = |one: &&Wanted| of(there, one, &self.address).any(|subscription| subscription.is_active);
        self.wanted.iter().filter(stands).map(|one| one.topic.clone()).collect()
    }

    /// What has to be done; see [`plan`].
    pub fn plan(&self, there: &[Subscription]) -> Vec<Step> {
        plan(there, &self.wanted, &self.address, self.declared.enable.is_some())
    }

    /// The call of one step.
    pub fn ask(&self, step: &Step) -> Request {
        let beside = |one: &Wanted, id: &str| {
            [("topic", json!(one.written)), ("address", json!(self.address)), ("id", json!(id))]
        };
        let call = |call: &Call, one: &Wanted, id: &str| self.account.call(call, &beside(one, id));
        match step {
            Step::Create(one) => self.with_secrets(call(&self.declared.create, one, "")),
            Step::Enable(one, id) => call(self.declared.enable.as_ref().unwrap_or(&self.declared.create), one, id),
            Step::Remove(one, id) => call(&self.declared.remove, one, id),
        }
    }

    /// The answer to a step.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn judge(&self, step: &Step, response: &Response, now: Timestamp) -> Result<(), Stop> {
        // What is to be removed may be gone.
        if matches!(step, Step::Remove(..)) && matches!(response.status, 404 | 410) {
            return Ok(());
        }
        self.account.judge(response, now).map(drop)
    }

    /// Secrets are put into the body here and nowhere before: no template has them, and [`Request`] shows no body.
    fn with_secrets(&self, mut request: Request) -> Request {
        if let (false, Ok(mut body)) = (self.secrets.is_empty(), serde_json::from_slice::<Value>(&request.body)) {
            for (field, secret) in &self.secrets {
                put(&mut body, field, secret.expose().into());
            }
            request.body = body.to_string().into_bytes();
        }
        request
    }
}

/// Writes a value at `a.b`, and makes the objects on the way.
fn put(body: &mut Value, field: &str, value: Value) {
    let (mut place, mut rest) = (body, field);
    loop {
        let Value::Object(entries) = place else { return };
        let Some((first, more)) = rest.split_once('.') else {
            entries.insert(rest.to_owned(), value);
            return;
        };
        place = entries.entry(first).or_insert_with(|| json!({}));
        rest = more;
    }
}
