//! What is passed on to destinations without a trigger: consent that is another now.
//!
//! A no is passed on whenever it becomes known, of every address that somebody has. A yes is passed on only while it is
//! fresh, of the address with which it was said: somebody whose old yes is read from a list must not be written to for it.

use crate::model::consent::Act;
use crate::model::passed_on::{self, CONSENT};
use crate::model::{
    Action, Activation, Channel, Decision, Event, Identifier, IdentifierKind, LaneName, OccasionId, PassedOn, Person,
    PersonId, Position, RawJson, Span, Standing, Timestamp, Verdict,
};

use super::step::Step;

/// A yes that was given longer ago is not passed on.
const FRESH: Span = Span::from_days(7);
/// A yes that waited so long in its lane is not told any more.
const YES_HOLDS: Span = Span::from_days(30);
/// A no, and what is owed to whom is forgotten, is told however late.
pub(super) const ALWAYS: Span = Span::from_days(3_650);
/// Names that go with one word.
const MOST_NAMES: usize = 20;

/// What stands in all that one event has passed on.
pub(super) struct Words {
    pub occasion: OccasionId,
    /// In the place of a trigger's name.
    pub name: &'static str,
    pub person: PersonId,
    pub at: Timestamp,
    pub not_before: Option<Timestamp>,
}

/// Where somebody stood before an event, by channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Before([Stood; 3]);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stood {
    is_withdrawn: bool,
    is_suppressed: bool,
    /// They agreed, and may be written to.
    is_open: bool,
    /// By how many addresses.
    reach: usize,
}

impl Before {
    fn of(person: &Person) -> Self {
        Self(Channel::ALL.map(|channel| Stood::of(person, channel)))
    }
}

impl Stood {
    fn of(person: &Person, channel: Channel) -> Self {
        let standing = person.consent.standing(channel);
        let is_suppressed = person.consent.suppressed(channel).is_some();
        Self {
            is_withdrawn: matches!(standing, Standing::Withdrawn(_)),
            is_suppressed,
            is_open: matches!(standing, Standing::Given(_)) && !is_suppressed,
            reach: of_channel(&person.identifiers, channel).count(),
        }
    }
}

/// The names that are an address of the channel.
fn of_channel(names: &[Identifier], channel: Channel) -> impl Iterator<Item = &Identifier> {
    let kind = match channel {
        Channel::Email => Some(IdentifierKind::Email),
        Channel::Sms => Some(IdentifierKind::Phone),
        Channel::Push => None,
    };
    names.iter().filter(move |name| kind.as_ref() == Some(&name.kind))
}

impl<'p> Step<'p> {
    /// Who is told; nobody where it only seems to happen.
    pub(super) fn told(&self) -> Option<&'p PassedOn> {
        let program = self.program;
        (!self.loaded.is_simulated).then(|| &program.settings().passed_on)
    }

    /// Where these people stand; nothing where nobody is told.
    pub(super) fn stood<'i>(&self, ids: impl Iterator<Item = &'i PersonId>) -> Vec<Before> {
        if self.told().is_none_or(|told| told.consent.is_empty()) {
            return Vec::new();
        }
        let people = ids.filter_map(|id| self.loaded.people.get(id));
        people.map(Before::of).collect()
    }

    /// Passes on what this event made another of a person's consent, who was `before` it: several, who are one now.
    pub(super) fn pass_on_consent(
        &mut self,
        id: PersonId,
        before: &[Before],
        (position, event): (Position, &Event),
        at: Timestamp,
    ) {
        let now = self.now;
        let lanes = self.told().map(|told| &*told.consent).unwrap_or_default();
        let Some(person) = self.loaded.people.get(&id).filter(|_| !lanes.is_empty()) else { return };
        // Nearly always nothing of it is another.
        if matches!(before, [one] if *one == Before::of(person)) {
            return;
        }
        let mut said: Vec<(LaneName, Action, Vec<Identifier>)> = Vec::new();
        for lane in lanes {
            for (n, channel) in Channel::ALL.into_iter().enumerate().filter(|(_, one)| lane.channels.contains(one)) {
                let stood: Vec<Stood> = before.iter().filter_map(|before| before.0.get(n).copied()).collect();
                for (action, names) in changed(person, channel, &stood, (position, event), now, &lane.except) {
                    said.push((lane.lane.clone(), action, names));
                }
            }
        }
        if said.is_empty() {
            return;
        }
        let occasion = OccasionId::of_consent(id, position);
        let words = Words { occasion, name: CONSENT, person: id, at, not_before: None };
        let mut lanes: Vec<LaneName> = said.iter().map(|(lane, ..)| lane.clone()).collect();
        lanes.dedup();
        for (lane, action, names) in said {
            let holds = if matches!(action, Action::Subscribe(_)) { YES_HOLDS } else { ALWAYS };
            self.pass_on(&words, &lane, action, names, holds);
        }
        self.note_words(&words, Verdict::Activated(lanes));
    }

    /// Has one word said to one destination.
    pub(super) fn pass_on(
        &mut self,
        words: &Words,
        lane: &LaneName,
        action: Action,
        mut identifiers: Vec<Identifier>,
        holds: Span,
    ) {
        // By an address every vendor knows somebody: of many names those are kept.
        identifiers.sort_by_key(|name| !matches!(name.kind, IdentifierKind::Email | IdentifierKind::Phone));
        identifiers.truncate(MOST_NAMES);
        self.changes.activations.push(Activation {
            occasion: words.occasion,
            lane: lane.clone(),
            trigger: words.name.into(),
            person: words.person,
            identifiers,
            traits: RawJson::empty(),
            key: "".into(),
            at: words.at,
            action,
            priority: passed_on::PRIORITY,
            expires_at: self.now + holds,
            not_before: words.not_before,
            payload: RawJson::empty(),
            broken: None,
        });
    }

    /// Keeps that words were passed on, with the lanes that the verdict names.
    pub(super) fn note_words(&mut self, words: &Words, verdict: Verdict) {
        if verdict.lanes().is_empty() {
            return;
        }
        self.changes.decisions.push(Decision {
            occasion: words.occasion,
            trigger: words.name.into(),
            person: words.person,
            key: "".into(),
            at: words.at,
            decided: self.now,
            verdict,
        });
    }
}

/// What is to be said of one channel, and of which addresses.
fn changed(
    person: &Person,
    channel: Channel,
    before: &[Stood],
    (position, event): (Position, &Event),
    now: Timestamp,
    except: &[std::sync::Arc<str>],
) -> Vec<(Action, Vec<Identifier>)> {
    let after = Stood::of(person, channel);
    let all: Vec<Identifier> = of_channel(&person.identifiers, channel).cloned().collect();
    if all.is_empty() {
        return Vec::new();
    }
    let consent = &person.consent;
    let has_more = after.reach > before.iter().map(|stood| stood.reach).sum::<usize>();
    // What the account itself said need not be told to it, but of an address that somebody has beside the one it knows.
    let has_another = has_more && !before.is_empty();
    let says = |act: Act| consent.newest(channel, act).filter(|mark| mark.position == position);
    let is_theirs = |act| says(act).is_some_and(|mark| except.contains(&mark.source));
    let is_news = |was: fn(&Stood) -> bool, act| {
        (has_more || before.iter().any(|stood| !was(stood))) && (has_another || !is_theirs(act))
    };
    let mut said = Vec::new();
    let mut unsubscribes = after.is_withdrawn && is_news(|stood| stood.is_withdrawn, Act::Withdrawn);
    if channel == Channel::Email {
        if after.is_suppressed && is_news(|stood| stood.is_suppressed, Act::Suppressed) {
            said.push((Action::Suppress, all.clone()));
        }
        let is_lifted = !after.is_suppressed && says(Act::Lifted).is_some() && !is_theirs(Act::Lifted);
        if is_lifted && before.iter().any(|stood| stood.is_suppressed) {
            said.push((Action::Unsuppress, all.clone()));
        }
    } else {
        unsubscribes |= after.is_suppressed && is_news(|stood| stood.is_suppressed, Act::Suppressed);
    }
    if unsubscribes {
        said.push((Action::Unsubscribe(channel), all.clone()));
    }
    // A yes counts for the one who says it now, not for whom they turn out to be.
    let was_open = before.iter().any(|stood| stood.is_open);
    if after.is_open
        && !was_open
        && (says(Act::Given).is_some() && !is_theirs(Act::Given) || says(Act::Lifted).is_some())
        && consent.newest(channel, Act::Given).is_some_and(|given| given.at + FRESH >= now)
    {
        let mut by: Vec<Identifier> = of_channel(&event.identifiers, channel).take(1).cloned().collect();
        if by.is_empty() {
            by.extend(all.into_iter().take(1));
        }
        said.push((Action::Subscribe(channel), by));
    }
    said
}
