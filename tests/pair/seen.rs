//! All that a store shows, but for what is its own: numbers of rows and bytes on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use espalier::clock::Clock;
use espalier::model::codes::CodePool;
use espalier::model::{Activation, Attempt, Decision, Join, Person, Timestamp};
use espalier::store::{DeadLetter, End, LaneCount, Record, Sought, Store, record};

use super::{Pair, Side, same};

/// More than there is of anything.
const ALL: usize = 10_000;

/// Everybody with all that is told of them.
pub type Told = (Person, Vec<Decision>, Vec<Join>, Vec<Record>);

/// An activation with what became of it.
type Fate = (Activation, Vec<Attempt>, Timestamp);

fn letter(of: DeadLetter) -> Fate {
    (of.activation, of.attempts, of.at)
}

fn end(of: End) -> Fate {
    (of.activation, of.attempts, of.at)
}

impl Side {
    pub async fn told(&self) -> Vec<Told> {
        let mut told = Vec::new();
        for person in self.store().people(None, ALL).await.expect("everybody") {
            let story = self.store().story(person.id).await.expect("a read").expect("a story");
            assert_eq!(story.person, person, "the story is of who was asked for");
            told.push((story.person, story.decisions, story.joins, story.records));
        }
        told
    }
}

/// The codes of each pool that are left, in their order.
fn left(store: &dyn Store) -> BTreeMap<Arc<str>, Vec<Box<str>>> {
    let left = |pool: CodePool| {
        let given = usize::try_from(pool.next - pool.first).expect("few");
        pool.codes[given..].to_vec()
    };
    store.codes().pools.into_iter().map(|(name, pool)| (name, left(pool))).collect()
}

/// What of somebody is the same on both.
fn of_person(told: &Told) -> String {
    let (person, ..) = told;
    person.identifiers.iter().map(|name| name.to_text()).collect::<Vec<_>>().join(", ")
}

async fn ends(store: &dyn Store, lane: &str) -> Vec<Fate> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let sought = Sought { lane: Some(lane.into()), before, ..Sought::default() };
        let page = store.ends(&sought, 7).await.expect("ends");
        all.extend(page.found.into_iter().map(end));
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

impl Pair {
    /// Holds one against the other.
    pub async fn are_alike(&self, lanes: &[&str]) {
        let [one, other] = &self.sides;
        let (mine, theirs) = (one.told().await, other.told().await);
        assert_eq!(mine.len(), theirs.len(), "people");
        for (mine, theirs) in mine.iter().zip(&theirs) {
            let who = of_person(mine);
            assert_eq!(mine.0, theirs.0, "{who}: themselves");
            assert_eq!(mine.1, theirs.1, "{who}: decisions");
            assert_eq!(mine.2, theirs.2, "{who}: joins");
            assert_eq!(mine.3, theirs.3, "{who}: activations");
            let bytes = |told: &Told| record::encode(&(&told.1, &told.2));
            assert_eq!(bytes(mine), bytes(theirs), "{who}: to the byte");
        }
        let (one, other) = (one.store(), other.store());
        assert_eq!(one.triggers(), other.triggers(), "states of triggers");
        assert_eq!(one.progress().expect("a place"), other.progress().expect("a place"), "where the engine is");
        let counts = |store: &dyn Store| {
            let all = store.counts();
            (all.journaled, all.decided, all.people, all.next_timer, all.set_aside, all.step)
        };
        assert_eq!(counts(one), counts(other), "counts");
        assert_eq!(one.pools(), other.pools(), "pools of codes");
        assert_eq!(left(one), left(other), "codes that are left");
        same!(self, "the step that is open", |store| store.recorded());
        let now = self.clock.now();
        for lane in lanes {
            // How old the oldest is the embedded store tells of those that it has in memory. What waited until now, and has
            // no end yet, is nothing to wait for on PostgreSQL.
            let count = |store: &dyn Store| {
                let count = store.lane_count(lane);
                LaneCount { oldest: None, next: count.next.filter(|next| *next > now), ..count }
            };
            assert_eq!(count(one), count(other), "{lane}, counted");
            let waiting = async |store: &dyn Store| -> Vec<Record> {
                let all = store.waiting(lane, None, ALL).await.expect("what waits");
                all.into_iter().map(|(_, record)| record).collect()
            };
            assert_eq!(waiting(one).await, waiting(other).await, "{lane}: what waits");
            assert_eq!(ends(one, lane).await, ends(other, lane).await, "{lane}: what has ended");
            let letters = async |store: &dyn Store| -> Vec<Fate> {
                store.dead_letters(Some(lane), ALL).await.expect("letters").into_iter().map(letter).collect()
            };
            assert_eq!(letters(one).await, letters(other).await, "{lane}: dead letters");
        }
        same!(self, "receipts", |store| store.receipts(ALL));
        same!(self, "demands", |store| store.accesses(ALL));
    }
}
