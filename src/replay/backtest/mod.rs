//! Back-test: what triggers would have done with the stored history. People in, one after the other; counts out.
//!
//! Each person is lived again by [`relive`] under the whole program, so that what other triggers do to a gate is seen
//! too. Counts of different people can be put together, so that they can be taken in parallel.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alone::Alone;
use super::days::{Hours, OfDay};
use super::pairing::{Fires, pair};
use super::relive::relive;
use crate::identity;
use crate::model::{Decision, LaneName, OccasionId, Person, Span, Timestamp, TriggerId, Verdict};
use crate::rules::gate::guard::Tripped;
use crate::rules::{Program, Trigger};

/// What makes a fire needless, and the time within which it does.
const PURCHASE: (&str, Span) = ("Order Completed", Span::from_hours(1));

/// What is asked. Shared by all who count.
pub struct Question {
    program: Arc<Program>,
    names: identity::Settings,
    alone: Alone,
    /// Places in the program of those that are reported.
    wanted: Vec<usize>,
    /// The same program with the former version of the one that is reported.
    against: Option<Arc<Program>>,
    since: Timestamp,
    until: Timestamp,
}

/// Counts of the people so far.
#[derive(Clone, Debug, Default)]
pub struct Backtest {
    people: u64,
    events: u64,
    cut: Cut,
    earliest: Option<Timestamp>,
    triggers: BTreeMap<Arc<str>, Tally>,
    conditions: HashMap<TriggerId, u64>,
}

/// What was forgotten of people, and so is not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BacktestCut)]
pub struct Cut {
    /// People of whom older events were folded into counts.
    pub people: u64,
    /// Those events.
    pub events: u64,
}

/// One trigger's counts.
#[derive(Clone, Debug, Default)]
struct Tally {
    fires: Hours,
    people: u64,
    lanes: BTreeMap<LaneName, Hours>,
    verdicts: BTreeMap<&'static str, u64>,
    bought_after: u64,
    bought_before: u64,
    old: Old,
}

/// The former version's.
#[derive(Clone, Debug, Default)]
struct Old {
    fires: Hours,
    people: u64,
    only_old: (u64, u64),
    only_new: (u64, u64),
    both: (u64, u64),
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BacktestReport)]
pub struct Report {
    /// Fires from here on are counted.
    pub since: Timestamp,
    /// Time ran on to here.
    pub until: Timestamp,
    /// People who were looked at.
    pub people: u64,
    /// Their events.
    pub events: u64,
    /// False when it was stopped before everybody was looked at: then it is true of a sample, chosen by hash.
    pub is_whole: bool,
    /// What was forgotten of them.
    pub cut: Cut,
    /// In the order in which they fire at one instant.
    pub triggers: Vec<Tested>,
}

/// One trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tested {
    /// Its name.
    pub trigger: String,
    /// Its title.
    pub title: String,
    /// Occasions that were activated, and not called back while they waited for quiet hours to end or for a night; for a segment, both
    /// edges.
    pub fires: u64,
    /// People who had one.
    pub people: u64,
    /// Their share of everybody, from 0 to 1.
    pub share_of_people: f64,
    /// Every day of the period, the last ten years of it.
    pub days: Vec<OfDay>,
    /// Each condition by itself, in the order of the file.
    pub conditions: Vec<ConditionCount>,
    /// Fires within an hour of an `Order Completed`.
    pub purchases: Purchases,
    /// Every edge, by what became of it.
    pub verdicts: BTreeMap<String, u64>,
    /// What each destination would have got.
    pub destinations: Vec<Records>,
    /// What its rate guard would have done; `None` where it has none, and of a sample.
    pub guard: Option<Tripped>,
    /// The former version beside it.
    pub against: Option<Compared>,
}

/// Whom one condition alone is true of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConditionCount {
    /// In words.
    pub condition: String,
    /// People of whom it was true at some time of the period.
    pub people: u64,
    /// Their share of everybody, from 0 to 1.
    pub share_of_people: f64,
}

/// Fires near a purchase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Purchases {
    /// The person bought within an hour after it: it may not have been needed.
    pub within_an_hour_after: u64,
    /// The person had bought within an hour before it.
    pub within_an_hour_before: u64,
}

/// Activations for one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BacktestRecords)]
pub struct Records {
    /// The destination's name.
    pub destination: String,
    /// How many.
    pub records: u64,
    /// The most in one hour of the clock.
    pub busiest_hour: u64,
    /// The most on one day.
    pub busiest_day: u64,
    /// Days that have any, and how many.
    pub days: Vec<OfDay>,
}

/// Fires of two versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BacktestCompared)]
pub struct Compared {
    /// Of the former version.
    pub fires: u64,
    /// People who had one.
    pub people: u64,
    /// Every day of the period.
    pub days: Vec<OfDay>,
    /// Fires of the former version alone.
    pub only_old: Share,
    /// Of the present version alone.
    pub only_new: Share,
    /// Of both.
    pub both: Share,
}

/// Fires, and the people who had them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Share {
    /// How many.
    pub fires: u64,
    /// Of how many people.
    pub people: u64,
}

impl Question {
    /// Of one trigger, or of all; `None` when none is called so.
    pub fn new(
        program: Arc<Program>,
        names: identity::Settings,
        trigger: Option<&str>,
        since: Timestamp,
        until: Timestamp,
    ) -> Option<Self> {
        let is_wanted = |one: &Trigger| trigger.is_none_or(|name| *one.name == *name);
        let places = program.triggers().iter().enumerate().filter(|(_, one)| is_wanted(one));
        let wanted: Vec<usize> = places.map(|(place, _)| place).collect();
        if wanted.is_empty() {
            return None;
        }
        let alone = Alone::of(&program, is_wanted);
        Some(Self { alone, program, names, wanted, against: None, since, until })
    }

    /// Beside a former version of the one trigger that is asked for; it takes that one's place in the program.
    #[must_use]
    pub fn against(mut self, mut old: Trigger) -> Self {
        if let [place] = self.wanted[..]
            && let Some(new) = self.program.triggers().get(place)
        {
            (old.name, old.id) = (new.name.clone(), new.id);
            self.against = Some(Arc::new(self.program.with(old)));
        }
        self
    }

    /// Time runs on to here.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

impl Backtest {
    /// Takes a person.
    pub fn add(&mut self, question: &Question, person: &Person) {
        let entries = person.history.entries();
        self.people += 1;
        self.events += entries.len() as u64;
        let cut: u64 = person.history.folded().values().map(|cut| cut.count).sum();
        self.cut.people += u64::from(cut > 0);
        self.cut.events += cut;
        self.earliest = self.earliest.into_iter().chain([person.first_seen]).min();

        let new = question.relive(&question.program, person);
        let old = question.against.as_ref().map(|program| question.relive(program, person));
        let orders: Vec<Timestamp> = entries.iter().filter(|e| &*e.name == PURCHASE.0).map(|e| e.at).collect();
        for trigger in question.wanted() {
            let mine = |decision: &&Decision| decision.trigger == trigger.name;
            let tally = self.triggers.entry(trigger.name.clone()).or_default();
            for decision in new.iter().filter(mine) {
                *tally.verdicts.entry(decision.verdict.word()).or_default() += 1;
            }
            let left = left(new.iter().filter(mine));
            left.iter().for_each(|one| tally.count(one, &orders));
            let fires = fires(&left);
            tally.people += u64::from(!fires.is_empty());
            if let Some(old) = &old {
                tally.old.count(&self::fires(&self::left(old.iter().filter(mine))), &fires);
            }
        }
        let Question { alone, names, since, until, .. } = question;
        let lived = relive(person, &alone.program, names, *since, *until);
        let edges = lived.decisions.iter().filter(|decision| decision.at >= *since);
        let mut held: Vec<TriggerId> = edges.map(|decision| TriggerId::of(&decision.trigger)).collect();
        held.extend(lived.true_before);
        held.sort_unstable();
        held.dedup();
        for id in held {
            *self.conditions.entry(id).or_default() += 1;
        }
    }

    /// Takes what was counted of others.
    pub fn absorb(&mut self, other: Self) {
        self.people += other.people;
        self.events += other.events;
        self.cut.people += other.cut.people;
        self.cut.events += other.cut.events;
        self.earliest = self.earliest.into_iter().chain(other.earliest).min();
        for (name, tally) in other.triggers {
            self.triggers.entry(name).or_default().absorb(tally);
        }
        for (id, people) in other.conditions {
            *self.conditions.entry(id).or_default() += people;
        }
    }

    /// What came out. `is_whole` says that everybody was taken.
    pub fn report(mut self, question: &Question, is_whole: bool) -> Report {
        let since = question.since.max(self.earliest.unwrap_or(question.until)).min(question.until);
        let triggers = question.wanted().map(|trigger| {
            let tally = self.triggers.remove(&trigger.name).unwrap_or_default();
            self.tested(question, trigger, tally, since, is_whole)
        });
        let triggers = triggers.collect::<Vec<_>>();
        Report {
            since,
            until: question.until,
            people: self.people,
            events: self.events,
            is_whole,
            cut: self.cut,
            triggers,
        }
    }

    fn tested(&self, question: &Question, trigger: &Trigger, tally: Tally, since: Timestamp, is_whole: bool) -> Tested {
        let share = |people: u64| people as f64 / self.people.max(1) as f64;
        let mine = question.alone.conditions.iter().filter(|one| one.trigger == trigger.name);
        let conditions = mine.map(|one| {
            let people = self.conditions.get(&one.id).copied().unwrap_or(0);
            ConditionCount { condition: one.words.clone(), people, share_of_people: share(people) }
        });
        let destinations = tally.lanes.into_iter().map(|(lane, hours)| {
            let days = hours.by_day();
            Records {
                destination: lane.to_string(),
                records: hours.total(),
                busiest_hour: hours.busiest(),
                busiest_day: days.values().copied().max().unwrap_or(0),
                days: days.into_iter().map(|(day, fires)| OfDay { day: day.to_text(), fires }).collect(),
            }
        });
        let guard = trigger.gating.guard.guard(question.program.settings().gates.guard);
        // A sample has too few.
        let guard = guard.filter(|_| is_whole).map(|guard| guard.tripped(tally.fires.iter()));
        let old = tally.old;
        let compared = question.against.as_ref().map(|_| Compared {
            fires: old.fires.total(),
            people: old.people,
            days: old.fires.series(since, question.until),
            only_old: Share::of(old.only_old),
            only_new: Share::of(old.only_new),
            both: Share::of(old.both),
        });
        Tested {
            trigger: trigger.name.to_string(),
            title: trigger.title.clone(),
            fires: tally.fires.total(),
            people: tally.people,
            share_of_people: share(tally.people),
            days: tally.fires.series(since, question.until),
            conditions: conditions.collect(),
            purchases: Purchases {
                within_an_hour_after: tally.bought_after,
                within_an_hour_before: tally.bought_before,
            },
            verdicts: tally.verdicts.into_iter().map(|(word, n)| (word.to_owned(), n)).collect(),
            destinations: destinations.collect(),
            guard,
            against: compared,
        }
    }
}

impl Question {
    fn wanted(&self) -> impl Iterator<Item = &Trigger> {
        self.wanted.iter().filter_map(|place| self.program.triggers().get(*place))
    }

    /// The edges of the period.
    fn relive(&self, program: &Program, person: &Person) -> Vec<Decision> {
        let mut decisions = relive(person, program, &self.names, self.since, self.until).decisions;
        decisions.retain(|decision| decision.at >= self.since);
        decisions
    }
}

impl Tally {
    fn count(&mut self, one: &Left<'_>, orders: &[Timestamp]) {
        let edge = one.decision.at;
        self.fires.count(edge);
        for lane in one.lanes {
            self.lanes.entry(lane.clone()).or_default().count(one.at);
        }
        // At one instant events come before timers: an order at the edge itself was before it.
        let after = orders.partition_point(|at| *at <= edge);
        let next = orders.get(after).filter(|at| **at <= edge + PURCHASE.1);
        let last = after.checked_sub(1).and_then(|n| orders.get(n)).filter(|at| **at + PURCHASE.1 >= edge);
        self.bought_after += u64::from(next.is_some());
        self.bought_before += u64::from(last.is_some());
    }

    fn absorb(&mut self, other: Self) {
        self.fires.absorb(other.fires);
        self.people += other.people;
        for (lane, hours) in other.lanes {
            self.lanes.entry(lane).or_default().absorb(hours);
        }
        for (word, n) in other.verdicts {
            *self.verdicts.entry(word).or_default() += n;
        }
        self.bought_after += other.bought_after;
        self.bought_before += other.bought_before;
        self.old.fires.absorb(other.old.fires);
        self.old.people += other.old.people;
        let pairs = [
            (&mut self.old.only_old, other.old.only_old),
            (&mut self.old.only_new, other.old.only_new),
            (&mut self.old.both, other.old.both),
        ];
        for (mine, theirs) in pairs {
            *mine = (mine.0 + theirs.0, mine.1 + theirs.1);
        }
    }
}

impl Old {
    fn count(&mut self, old: &Fires<'_>, new: &Fires<'_>) {
        old.iter().for_each(|(_, at)| self.fires.count(*at));
        self.people += u64::from(!old.is_empty());
        let paired = pair(old, new);
        for (sum, fires) in [
            (&mut self.only_old, paired.only_old),
            (&mut self.only_new, paired.only_new),
            (&mut self.both, paired.both),
        ] {
            *sum = (sum.0 + fires, sum.1 + u64::from(fires > 0));
        }
    }
}

impl Share {
    fn of((fires, people): (u64, u64)) -> Self {
        Self { fires, people }
    }
}

/// An edge that came to something.
struct Left<'d> {
    decision: &'d Decision,
    lanes: &'d [LaneName],
    /// When it left: at the edge, after quiet hours, or with a night.
    at: Timestamp,
}

/// Those that left: what waited for quiet hours to end, or for a night, may have been called back meanwhile.
fn left<'d>(decisions: impl Iterator<Item = &'d Decision> + Clone) -> Vec<Left<'d>> {
    let called_back = decisions.clone().filter(|d| matches!(d.verdict, Verdict::Cancelled | Verdict::Recalled(..)));
    let called_back: HashSet<OccasionId> = called_back.map(|decision| decision.occasion).collect();
    let left = decisions.filter_map(|decision| match &decision.verdict {
        Verdict::Activated(lanes) => Some(Left { decision, lanes, at: decision.at }),
        Verdict::Delayed(lanes, until) | Verdict::Deferred(lanes, until)
            if !called_back.contains(&decision.occasion) =>
        {
            Some(Left { decision, lanes, at: *until })
        }
        _ => None,
    });
    left.collect()
}

fn fires<'d>(left: &[Left<'d>]) -> Fires<'d> {
    left.iter().map(|one| (&*one.decision.key, one.decision.at)).collect()
}

#[cfg(test)]
mod tests;
