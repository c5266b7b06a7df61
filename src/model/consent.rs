//! What a person allows, by channel, and why: the statements that count, newest kept.
//!
//! The standing of a channel follows from the newest statement of each sort alone, so that neither the order of arrival
//! nor a merge makes a difference.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Position, Timestamp};

/// Statements kept of one person. The newest of each sort for each channel are always among them.
const MOST: usize = 40;

/// A way to somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Channel {
    /// E-mail.
    #[default]
    Email,
    /// Text messages.
    Sms,
    /// Push notifications.
    Push,
}

/// What a statement does to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Act {
    /// Consent was given, by a dated act of the person's own.
    Given,
    /// Consent was withdrawn, by an act or by what a sync says.
    Withdrawn,
    /// Nothing may be sent, whatever the consent: a hard bounce, a complaint, a decision of the house.
    Suppressed,
    /// That is over.
    Lifted,
}

/// One statement about a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// From when it holds: the act's own time, or the event's.
    pub at: Timestamp,
    /// The event that brought it.
    pub position: Position,
    /// For which channel.
    pub channel: Channel,
    /// What it does.
    pub act: Act,
    /// The source that said so.
    pub source: Arc<str>,
    /// The event's name, or the trait's. No personal data.
    pub because: Box<str>,
}

/// Where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Nobody said anything.
    Unknown,
    /// The person agreed, last by this act.
    Given(&'a Mark),
    /// The person does not want it, last by this statement.
    Withdrawn(&'a Mark),
}

/// All channels of one person: the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// In order of time, then arrival.
    marks: Vec<Mark>,
}

impl Channel {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Email, Self::Sms, Self::Push];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
        }
    }

    /// Reads [`Channel::word`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.word().eq_ignore_ascii_case(text.trim()))
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Act {
    /// One word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Withdrawn => "withdrawn",
            Self::Suppressed => "suppressed",
            Self::Lifted => "lifted",
        }
    }
}

impl Mark {
    fn order(&self) -> (Timestamp, Position, Channel, Act) {
        (self.at, self.position, self.channel, self.act)
    }

    /// The same said once more: nightly syncs do.
    fn repeats(&self, other: &Self) -> bool {
        (self.channel, self.act, &self.source, &self.because)
            == (other.channel, other.act, &other.source, &other.because)
    }
}

impl Consent {
    /// From stored parts, which are in order.
    pub fn from_parts(marks: Vec<Mark>) -> Self {
        Self { marks }
    }

    /// The ledger, oldest first.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Adds a statement, at its place.
    pub fn push(&mut self, mark: Mark) {
        self.marks.push(mark);
        self.tidy();
    }

    /// The union of two ledgers.
    pub fn absorb(&mut self, other: Self) {
        self.marks.extend(other.marks);
        self.tidy();
    }

    /// Whether the person agreed. Of two acts at one instant the one that lowers holds.
    pub fn standing(&self, channel: Channel) -> Standing<'_> {
        match (self.newest(channel, Act::Given), self.newest(channel, Act::Withdrawn)) {
            (Some(given), Some(withdrawn)) if given.at > withdrawn.at => Standing::Given(given),
            (_, Some(withdrawn)) => Standing::Withdrawn(withdrawn),
            (Some(given), None) => Standing::Given(given),
            (None, None) => Standing::Unknown,
        }
    }

    /// Why nothing may be sent, whatever the consent.
    pub fn suppressed(&self, channel: Channel) -> Option<&Mark> {
        let suppressed = self.newest(channel, Act::Suppressed)?;
        let is_lifted = self.newest(channel, Act::Lifted).is_some_and(|lifted| lifted.at > suppressed.at);
        (!is_lifted).then_some(suppressed)
    }

    /// The newest statement of its sort.
    pub fn newest(&self, channel: Channel, act: Act) -> Option<&Mark> {
        self.marks.iter().rev().find(|mark| mark.channel == channel && mark.act == act)
    }

    /// Brings it into order and within its bound.
    fn tidy(&mut self) {
        self.marks.sort_by_key(Mark::order);
        // Of what is said again and again without anything else in between, the newest is kept.
        let mut kept: Vec<Mark> = Vec::with_capacity(self.marks.len());
        for mark in self.marks.drain(..) {
            let before = kept.iter().rposition(|before| before.channel == mark.channel);
            if let Some(place) = before.filter(|place| kept.get(*place).is_some_and(|known| known.repeats(&mark))) {
                kept.remove(place);
            }
            kept.push(mark);
        }
        self.marks = kept;
        while self.marks.len() > MOST {
            // At most twelve are the newest of their sort, so there is one that is not.
            let spare = self.marks.iter().position(|mark| {
                self.newest(mark.channel, mark.act).is_some_and(|newest| newest.order() != mark.order())
            });
            self.marks.remove(spare.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(at: i64, position: u64, channel: Channel, act: Act, source: &str) -> Mark {
        let at = Timestamp::from_millis(at);
        Mark { at, position: Position(position), channel, act, source: source.into(), because: act.word().into() }
    }

    /// Each row is acts in order of time, one a minute, and where the channel stands then.
    #[test]
    fn a_sync_lowers_and_only_a_later_act_raises() {
        use Act::{Given, Lifted, Suppressed, Withdrawn};
        for (acts, is_given, is_suppressed) in [
            (&[][..], None, false),
            (&[Given], Some(true), false),
            (&[Given, Withdrawn], Some(false), false),
            (&[Withdrawn, Given], Some(true), false),
            (&[Withdrawn, Given, Withdrawn], Some(false), false),
            (&[Given, Suppressed], Some(true), true),
            (&[Suppressed, Given], Some(true), true),
            (&[Suppressed, Lifted], None, false),
            (&[Lifted, Suppressed], None, true),
        ] {
            let mut consent = Consent::default();
            for (n, act) in acts.iter().enumerate() {
                consent.push(mark(n as i64, n as u64, Channel::Sms, *act, "web"));
            }
            let stands = match consent.standing(Channel::Sms) {
                Standing::Unknown => None,
                Standing::Given(_) => Some(true),
                Standing::Withdrawn(_) => Some(false),
            };
            assert_eq!((stands, consent.suppressed(Channel::Sms).is_some()), (is_given, is_suppressed), "{acts:?}");
            assert_eq!(consent.standing(Channel::Email), Standing::Unknown, "another channel");
        }
    }

    #[test]
    fn at_one_instant_the_lower_one_holds() {
        let mut consent = Consent::default();
        consent.push(mark(5, 1, Channel::Email, Act::Withdrawn, "web"));
        consent.push(mark(5, 2, Channel::Email, Act::Given, "web"));
        assert!(matches!(consent.standing(Channel::Email), Standing::Withdrawn(_)));
    }

    #[test]
    fn what_is_said_every_night_is_one_entry() {
        let mut consent = Consent::default();
        for night in 0..100 {
            consent.push(mark(night, night as u64, Channel::Email, Act::Withdrawn, "crm"));
        }
        assert_eq!(consent.marks().iter().map(|m| m.position.0).collect::<Vec<_>>(), [99]);
    }

    fn marks() -> impl Strategy<Value = Vec<Mark>> {
        let act = prop_oneof![Just(Act::Given), Just(Act::Withdrawn), Just(Act::Suppressed), Just(Act::Lifted)];
        let one = (0..30i64, prop_oneof![Just(Channel::Email), Just(Channel::Push)], act, "[ab]");
        proptest::collection::vec(one, 0..120).prop_map(|all| {
            let all = all.into_iter().zip(1..);
            all.map(|((at, channel, act, source), n)| mark(at, n, channel, act, &source)).collect()
        })
    }

    /// By brute force: the newest given against the newest withdrawn.
    fn stands(marks: &[Mark], channel: Channel, up: Act, down: Act) -> Option<bool> {
        let newest = |act| marks.iter().filter(|m| m.channel == channel && m.act == act).map(|m| m.at).max();
        (newest(up).is_some() || newest(down).is_some()).then(|| newest(up) > newest(down))
    }

    proptest! {
        #[test]
        fn late_arrival_and_merges_make_no_difference(
            marks in marks(),
            (order, is_theirs) in (proptest::collection::vec(any::<u32>(), 120), proptest::collection::vec(any::<bool>(), 120)),
        ) {
            let mut shuffled: Vec<(u32, bool, Mark)> =
                order.into_iter().zip(is_theirs).zip(marks.iter().cloned()).map(|((n, t), m)| (n, t, m)).collect();
            shuffled.sort_by_key(|(n, ..)| *n);
            let (mut ours, mut theirs) = (Consent::default(), Consent::default());
            for (_, is_theirs, mark) in shuffled {
                if is_theirs { theirs.push(mark) } else { ours.push(mark) }
            }
            ours.absorb(theirs);
            prop_assert!(ours.marks().len() <= MOST);
            for channel in Channel::ALL {
                let standing = match ours.standing(channel) {
                    Standing::Unknown => None,
                    Standing::Given(_) => Some(true),
                    Standing::Withdrawn(_) => Some(false),
                };
                prop_assert_eq!(standing, stands(&marks, channel, Act::Given, Act::Withdrawn));
                let suppressed = stands(&marks, channel, Act::Lifted, Act::Suppressed) == Some(false);
                prop_assert_eq!(ours.suppressed(channel).is_some(), suppressed);
            }
        }
    }
}
