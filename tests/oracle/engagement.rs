//! The level of engagement and its rates, from docs/triggers.md.

use super::*;

const DELIVERED: &str = "Email Delivered";
const OPENED: &str = "Email Opened";
const CLICKED: &str = "Email Link Clicked";

/// What the level goes by. Shares are hundredths.
#[derive(Clone, Copy, Debug)]
pub struct Engagement {
    pub window: Ms,
    pub opens: i64,
    pub clicks: i64,
    pub inactive: Ms,
}

/// What is asked of the level; `None` is somebody without one.
#[derive(Clone, Copy, Debug)]
pub enum OfLevel {
    Is(&'static str),
    IsNot(&'static str),
    Exists(bool),
}

/// What is asked of a rate, in hundredths.
#[derive(Clone, Copy, Debug)]
pub enum OfRate {
    AtLeast(i64),
    Under(i64),
    Exists(bool),
}

impl Engagement {
    /// Something came, or was opened or clicked; nothing was opened or clicked for long; both rates are reached.
    pub(super) fn conditions(self) -> [Tree; 3] {
        let leaf = |event, ask| Tree::Leaf(Leaf { ask, event, colour: None, any_key: false, machine: false });
        let within = Window::Last(self.window);
        let did = |event| leaf(event, Ask::Did { at_least: Limit::Same(1), at_most: None, within });
        let quiet = |event| leaf(event, Ask::DidNotWithin(Window::Last(self.inactive)));
        let reached = |event, share| {
            let bounds = Bounds { over: Some(Limit::Same(share)), under: None };
            leaf(event, Ask::Ratio { to: DELIVERED, bounds, at_least: Limit::Same(1), within })
        };
        [
            Tree::Any(vec![did(DELIVERED), did(OPENED), did(CLICKED)]),
            Tree::All(vec![quiet(OPENED), quiet(CLICKED)]),
            Tree::All(vec![reached(OPENED, self.opens), reached(CLICKED, self.clicks)]),
        ]
    }

    /// True for the events that the rates are made of.
    pub(super) fn reads(name: Option<&str>) -> bool {
        matches!(name, Some(DELIVERED | OPENED | CLICKED))
    }
}

impl Somebody {
    fn level(&self, law: &Law, now: Ms) -> Option<&'static str> {
        let [known, silent, high] = law.engagement.conditions();
        if !self.truth(law, &known, None, now) {
            None
        } else if self.truth(law, &silent, None, now) {
            Some("inactive")
        } else if self.truth(law, &high, None, now) {
            Some("high")
        } else {
            Some("moderate")
        }
    }

    pub(super) fn is_level(&self, law: &Law, test: OfLevel, now: Ms) -> bool {
        let level = self.level(law, now);
        match test {
            OfLevel::Is(wanted) => level == Some(wanted),
            OfLevel::IsNot(other) => level != Some(other),
            OfLevel::Exists(wanted) => level.is_some() == wanted,
        }
    }

    pub(super) fn is_rate(&self, law: &Law, of_clicks: bool, test: OfRate, now: Ms) -> bool {
        let count = |name: &str| {
            let of_people = |d: &&Deed| d.name == Some(name) && !d.is_machine;
            let from = now - law.engagement.window;
            self.deeds.iter().filter(of_people).filter(|d| from < d.at && d.at <= now).count() as i64
        };
        let (above, below) = (count(if of_clicks { CLICKED } else { OPENED }), count(DELIVERED));
        match test {
            OfRate::Exists(wanted) => (below > 0) == wanted,
            OfRate::AtLeast(share) => below > 0 && 100 * above >= share * below,
            OfRate::Under(share) => below > 0 && 100 * above < share * below,
        }
    }
}

impl OfLevel {
    pub(super) fn to_toml(self) -> String {
        match self {
            Self::Is(level) => format!("is = \"{level}\""),
            Self::IsNot(level) => format!("is = {{ not = \"{level}\" }}"),
            Self::Exists(wanted) => format!("exists = {wanted}"),
        }
    }
}

impl OfRate {
    pub(super) fn to_toml(self) -> String {
        match self {
            Self::AtLeast(share) => format!("at_least = {}", hundredths(share)),
            Self::Under(share) => format!("under = {}", hundredths(share)),
            Self::Exists(wanted) => format!("exists = {wanted}"),
        }
    }
}
