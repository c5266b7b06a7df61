//! `[engagement]`: how much somebody does with the e-mail they get, as traits that are computed: a level and two rates.
//!
//! They are made of the ordinary conditions, so that they are functions of (person, T) with a next change, like these.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::{Span, Timestamp};

use super::amount::Amount;
use super::answer::{Answer, earlier};
use super::condition::Condition;
use super::leaf::{Against, Did, DidNot, Leaf, Ratio};
use super::names::{Definition, Kind};
use super::predicate::Filter;
use super::threshold::{Bounds, Threshold};
use super::view::{Reads, View, Within};

/// What the levels go by.
const DELIVERED: &str = "Email Delivered";
const OPENED: &str = "Email Opened";
const CLICKED: &str = "Email Link Clicked";

/// Where the levels of engagement lie.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Engagement {
    /// Rates are those of this time; ten years at most.
    pub window: Span,
    /// Opens for each e-mail delivered, from which on somebody can be `high`: 0.2 is one in five.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub opens: f64,
    /// Clicks for each e-mail delivered, the same.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub clicks: f64,
    /// Who neither opened nor clicked for so long is `inactive`; ten years at most.
    pub inactive: Span,
}

impl Default for Engagement {
    fn default() -> Self {
        Self { window: Span::from_days(90), opens: 0.2, clicks: 0.05, inactive: Span::from_days(14) }
    }
}

/// How engaged somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Both rates are reached.
    High,
    /// Neither high nor inactive.
    Moderate,
    /// Nothing opened or clicked for long.
    Inactive,
}

/// A rate for each e-mail delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Opens.
    Open,
    /// Clicks.
    Click,
}

/// The settings as conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    opens: Ratio,
    clicks: Ratio,
    /// Something was delivered, opened or clicked in the window.
    known: Arc<Definition>,
    /// Nothing was opened or clicked for long.
    silent: Arc<Definition>,
    /// Both rates are reached.
    high: Arc<Definition>,
}

impl Level {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::High, Self::Moderate, Self::Inactive];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Moderate => "moderate",
            Self::Inactive => "inactive",
        }
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self::new(&Engagement::default())
    }
}

impl Levels {
    /// Those of these settings.
    pub fn new(settings: &Engagement) -> Self {
        let within = Within::Last(settings.window);
        let did = |event| {
            let at_least = Threshold::Same(1);
            Leaf::Did(Did { reads: reads(event), at_least, at_most: None, within })
        };
        let quiet = |event| {
            let against = Against::Within(Within::Last(settings.inactive));
            Leaf::DidNot(DidNot { reads: reads(event), against })
        };
        let reached = |event, share: f64| {
            let over = Amount::new(share).unwrap_or(Amount::ZERO);
            let bounds = Bounds { over: Some(Threshold::Same(over)), under: None };
            Ratio { reads: reads(event), to: reads(DELIVERED), within, bounds, at_least: Threshold::Same(1) }
        };
        let (opens, clicks) = (reached(OPENED, settings.opens), reached(CLICKED, settings.clicks));
        let leaf = |leaf| Condition::Leaf(Box::new(leaf));
        let named = |name: &str, condition| {
            Arc::new(Definition {
                kind: Kind::Engagement,
                name: name.into(),
                condition,
                held: None,
                leaf_names: Vec::new(),
            })
        };
        let known = Condition::Any([DELIVERED, OPENED, CLICKED].map(did).map(leaf).into());
        let silent = Condition::All([OPENED, CLICKED].map(quiet).map(leaf).into());
        let high = [&opens, &clicks].map(|ratio| leaf(Leaf::Ratio(ratio.clone())));
        Self {
            opens,
            clicks,
            known: named("known", known),
            silent: named("silent", silent),
            high: named("high", Condition::All(high.into())),
        }
    }

    /// What the level depends on.
    pub fn of_level(&self) -> [&Arc<Definition>; 3] {
        [&self.known, &self.silent, &self.high]
    }

    /// What a rate depends on, and more: it reads the same events in the same window.
    pub fn of_rate(&self) -> &Arc<Definition> {
        &self.known
    }

    /// The level at T, and when it can change by time alone. `None`: there was no e-mail.
    pub fn level(&self, view: &View<'_>) -> (Option<Level>, Option<Timestamp>) {
        let [known, silent, high] = self.of_level().map(|definition| definition.answer(view));
        let level = match (known, silent, high) {
            (Answer { is_true: false, .. }, ..) => None,
            (_, Answer { is_true: true, .. }, _) => Some(Level::Inactive),
            (_, _, Answer { is_true: true, .. }) => Some(Level::High),
            _ => Some(Level::Moderate),
        };
        (level, [silent, high].into_iter().fold(known.next, |next, answer| earlier(next, answer.next)))
    }

    /// The events that a rate is made of: those in the window, of the person at large.
    pub fn of(&self, rate: Rate) -> &Ratio {
        match rate {
            Rate::Open => &self.opens,
            Rate::Click => &self.clicks,
        }
    }

    /// The person's traits at T, as far as there are any: what goes to the vendors.
    pub fn traits(&self, view: &View<'_>) -> Map<String, Value> {
        // Without e-mail in the window there is no rate either.
        if !self.known.answer(view).is_true {
            return Map::new();
        }
        let rate = |rate| {
            self.of(rate).counts(&view.of_person()).1.rate().map(|rate| ((rate * 1_000.0).round() / 1_000.0).into())
        };
        let traits = [
            ("engagement_level", self.level(view).0.map(|level| level.word().into())),
            ("engagement_open_rate", rate(Rate::Open)),
            ("engagement_click_rate", rate(Rate::Click)),
        ];
        traits.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// Events of this name that no machine made.
fn reads(event: &str) -> Reads {
    Reads::new(event, Filter::default(), false, false)
}
