//! How subscriptions to webhooks are, as people see it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::trouble::{Trouble, TroubleKind};
use super::wrong::TOLD;
use crate::model::Timestamp;
use crate::pull::WatchingHooks;

/// A source's subscriptions to webhooks.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct HooksHealth {
    /// The source's name in the configuration.
    pub source: String,
    /// Where they send to.
    pub address: String,
    /// `complete`, `incomplete`, or why it cannot be seen.
    pub state: String,
    /// True when it cannot be seen.
    pub is_held: bool,
    /// Topics that should have one.
    pub wanted: usize,
    /// Those that have one which is at work.
    pub standing: usize,
    /// When it was last seen which there are.
    pub looked: Option<Timestamp>,
    /// Topics that have none and could not be given one, and why.
    pub missing: BTreeMap<String, String>,
    /// Topics whose subscription was lost, and when that was last seen.
    pub lost: BTreeMap<String, Timestamp>,
}

impl HooksHealth {
    pub(super) fn of(watching: &WatchingHooks) -> Self {
        let state = watching.state.borrow().clone();
        let is_held = state.held.is_some();
        let words = match (state.held, state.looked) {
            (Some(held), _) => held,
            (None, _) if state.is_elsewhere => "another daemon sees to them".into(),
            (None, None) => "not yet looked at".into(),
            (None, Some(_)) if state.standing < state.wanted => "incomplete".into(),
            (None, Some(_)) => "complete".into(),
        };
        Self {
            source: watching.source.to_string(),
            address: state.address,
            state: words,
            is_held,
            wanted: state.wanted,
            standing: state.standing,
            looked: state.looked,
            missing: state.missing,
            lost: state.lost,
        }
    }

    /// What is wrong.
    pub(super) fn troubles(&self, now: Timestamp) -> Vec<Trouble> {
        let of = format!("source {}", self.source);
        let mut troubles = Vec::new();
        if self.is_held {
            troubles.push(Trouble::new(TroubleKind::SubscriptionsUnseen, format!("{of}, webhooks"), &self.state));
        }
        for (topic, why) in &self.missing {
            let words = format!("nothing is subscribed to {topic}: {why}");
            troubles.push(Trouble::new(TroubleKind::SubscriptionMissing, &of, words));
        }
        let lost: Vec<(&String, &Timestamp)> = self.lost.iter().filter(|(_, at)| now.since(**at) < TOLD).collect();
        if let Some(at) = lost.iter().map(|(_, at)| **at).max() {
            let topics: Vec<&str> = lost.iter().map(|(topic, _)| topic.as_str()).collect();
            let topics = topics.join(", ");
            let words = format!("the subscription to {topics} was lost, which was seen at {at}");
            troubles.push(
                Trouble::new(TroubleKind::SubscriptionLost, &of, words)
                    .mended_by("what came meanwhile is pulled")
                    .since(at),
            );
        }
        troubles
    }
}
