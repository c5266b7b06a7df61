//! The outbox: what lanes are given and when, and what cannot leave.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::model::{PersonChange, Write};

pub async fn lanes_give_by_priority_and_settle_each(open: Open<'_>) {
    let store = open();
    queue(
        &*store,
        vec![activation(1, "a", 10), activation(2, "a", 90), activation(3, "b", 50), activation(4, "a", 90)],
    )
    .await;
    let work = store.work("a", at(0), 2).await.expect("work");
    assert_eq!(work.iter().map(|w| w.activation.occasion).collect::<Vec<_>>(), [occasion(2), occasion(4)]);
    // Taken: the next caller gets the rest.
    let rest = store.work("a", at(0), 10).await.expect("work");
    assert_eq!(rest.iter().map(|w| w.activation.occasion).collect::<Vec<_>>(), [occasion(1)]);
    settle(&*store, "a", work[0].id, Outcome::Accepted).await;
    settle(&*store, "a", work[1].id, later(8_000)).await;
    store.begin("a", &[rest[0].id]).await.expect("a begin");
    let count = store.lane_count("a");
    assert_eq!((count.queued, count.deferred, count.next), (2, 1, Some(at(8_000))));
    store.close().await.expect("a close");
    drop(store);
    // What a crash leaves in somebody's hands is ready again, and what was begun may have left.
    let store = open();
    let work = store.work("a", at(0), 10).await.expect("work");
    assert_eq!(
        work.iter().map(|w| (w.activation.occasion, w.may_have_left)).collect::<Vec<_>>(),
        [(occasion(1), true)]
    );
    store.release("a", &[work[0].id]).await.expect("a release");
    let work = store.work("a", at(8_000), 10).await.expect("work");
    assert_eq!(
        work.iter().map(|w| (w.activation.occasion, w.tries)).collect::<Vec<_>>(),
        [(occasion(4), 1), (occasion(1), 0)]
    );
    for one in work {
        settle(&*store, "a", one.id, Outcome::Duplicate).await;
    }
    // The same occasion is never queued again.
    queue(&*store, vec![activation(1, "a", 10), activation(2, "a", 90)]).await;
    assert!(store.work("a", at(99_000), 10).await.expect("work").is_empty());
    assert_eq!(store.lane_count("a").queued, 0);
    assert_eq!(store.lane_count("b").queued, 1);
    store.close().await.expect("a close");
}

/// An event and a list at one account are two records of one occasion: each is queued once, has its own end, and is
/// called back with the other.
pub async fn an_occasion_may_do_several_things_in_a_lane(open: Open<'_>) {
    let store = open();
    let event = || activation(91, "s", 50);
    let listed = || Activation { action: Action::AddToList("L1".into()), ..event() };
    let both = || vec![event(), listed()];
    queue(&*store, both()).await;
    queue(&*store, both()).await;
    let work = store.work("s", at(0), 10).await.expect("work");
    assert_eq!(work.iter().map(|w| w.activation.action.clone()).collect::<Vec<_>>(), [event().action, listed().action]);
    settle(&*store, "s", work[0].id, Outcome::Accepted).await;
    store.release("s", &[work[1].id]).await.expect("a release");
    store.close().await.expect("a close");
    drop(store);

    let store = open();
    queue(&*store, both()).await;
    let work = store.work("s", at(0), 10).await.expect("work");
    assert_eq!(work.iter().map(|w| w.activation.action.clone()).collect::<Vec<_>>(), [listed().action]);
    store.release("s", &[work[0].id]).await.expect("a release");
    let void = || Activation { occasion: occasion(92), at: at(92), ..event() };
    queue(&*store, vec![void(), Activation { action: listed().action, ..void() }]).await;
    for of in [event(), void()] {
        let (cancelled, told) = recall(&of, of.person);
        let changes = Changes { cancelled: vec![cancelled], decisions: vec![told], ..Changes::default() };
        store.commit(Loaded::default(), changes).await.expect("a commit");
    }
    assert!(store.work("s", at(0), 10).await.expect("work").is_empty());
    assert_eq!(store.lane_count("s").queued, 0);
    store.close().await.expect("a close");
}

pub async fn a_low_priority_is_not_starved(open: Open<'_>) {
    let store = open();
    let flood = |from: u64| (from..from + 100).map(|n| activation(n, "low", 90)).collect::<Vec<_>>();
    let mut low: Vec<_> = (0..20).map(|n| activation(50_000 + n, "low", 10)).collect();
    let held: Vec<_> =
        (0..150).map(|n| Activation { not_before: Some(at(90_000)), ..activation(60_000 + n, "low", 50) }).collect();
    // Behind more than is held in memory, and behind rows whose time has not come.
    for n in 0..210 {
        queue(&*store, flood(100_000 + n * 100)).await;
    }
    queue(&*store, held).await;
    low.push(activation(50_100, "low", 50));
    queue(&*store, low).await;
    let count = store.lane_count("low");
    assert_eq!((count.queued, count.deferred), (21_171, 150));
    assert_eq!(count.triggers.values().sum::<u64>(), count.queued);
    let mut low = 0;
    for round in 0..5 {
        // As much comes as leaves.
        queue(&*store, flood(200_000 + round * 100)).await;
        let work = store.work("low", at(1_000), 100).await.expect("work");
        assert_eq!(work.len(), 100);
        assert!(work.is_sorted_by_key(|one| one.activation.priority != 90), "what is urgent goes first");
        let behind = work.iter().filter(|one| one.activation.priority != 90).count();
        assert!(behind <= 10, "{behind} of 100");
        low += behind;
        let attempt = Attempt { at: at(5_000), status: 202, outcome: Outcome::Accepted };
        let settled = work.iter().map(|one| Settled { id: one.id, attempt: attempt.clone() });
        store.settle("low", settled.collect()).await.expect("a settle");
    }
    assert_eq!(low, 21, "all that waited behind the flood");
    // Without a flood nothing is held back for anybody.
    let work = store.work("low", at(1_000), 100).await.expect("work");
    assert!(work.len() == 100 && work.iter().all(|one| one.activation.priority == 90));
    store.close().await.expect("a close");
}

pub async fn what_waits_for_a_time_does_not_leave_before_it(open: Open<'_>) {
    let store = open();
    let from = |mut activation: Activation, ms: i64| {
        activation.not_before = Some(at(ms));
        activation
    };
    let waits = from(activation(71, "w", 90), 5_000);
    let void = from(activation(72, "w", 90), 5_000);
    queue(&*store, vec![waits, void.clone(), activation(73, "w", 10), from(activation(74, "w", 95), 6_000)]).await;
    let occasions = |work: &[Work]| work.iter().map(|w| w.activation.occasion).collect::<Vec<_>>();
    let ready = store.work("w", at(4_999), 10).await.expect("work");
    assert_eq!(occasions(&ready), [occasion(73)], "a higher priority does not make it earlier");
    settle(&*store, "w", ready[0].id, Outcome::Accepted).await;
    let count = store.lane_count("w");
    assert_eq!((count.queued, count.deferred, count.next), (3, 3, Some(at(5_000))));
    // One of those that wait is called back, by a later step and by its own.
    let own = from(activation(75, "w", 90), 5_000);
    let (cancelled, recalls): (Vec<_>, Vec<_>) = [&void, &own].map(|a| recall(a, a.person)).into_iter().unzip();
    let mut changes = queueing(vec![own]);
    changes.cancelled = cancelled;
    changes.decisions.extend(recalls);
    store.commit(Loaded::default(), changes).await.expect("a commit");
    let count = store.lane_count("w");
    assert_eq!((count.queued, count.deferred, count.next), (2, 2, Some(at(5_000))));
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert!(store.work("w", at(4_999), 10).await.expect("work").is_empty());
    let ready = store.work("w", at(5_000), 10).await.expect("work");
    assert_eq!(
        ready.iter().map(|w| (w.activation.occasion, w.tries, w.may_have_left)).collect::<Vec<_>>(),
        [(occasion(71), 0, false)]
    );
    // Tried, and to wait again.
    settle(&*store, "w", ready[0].id, later(5_500)).await;
    let count = store.lane_count("w");
    assert_eq!((count.queued, count.deferred, count.next), (2, 2, Some(at(5_500))));
    let ready = store.work("w", at(6_000), 10).await.expect("work");
    assert_eq!(occasions(&ready), [occasion(74), occasion(71)]);
    for one in ready {
        settle(&*store, "w", one.id, Outcome::Accepted).await;
    }
    let count = store.lane_count("w");
    assert_eq!((count.queued, count.deferred, count.next), (0, 0, None));
    store.close().await.expect("a close");
}

pub async fn dead_letters_are_replayed_or_dropped(open: Open<'_>) {
    let store = open();
    let of = |n: u64| Activation { person: PersonId([1; 16]), ..activation(n, "d", 10) };
    queue(&*store, vec![of(21), of(22)]).await;
    for one in store.work("d", at(0), 10).await.expect("work") {
        settle(&*store, "d", one.id, Outcome::Refused { code: "1003".into(), words: "no such lead".into() }).await;
    }
    let dead = store.dead_letters(Some("d"), 10).await.expect("dead letters");
    assert_eq!(dead.iter().map(|d| d.activation.occasion).collect::<Vec<_>>(), [occasion(22), occasion(21)]);
    assert_eq!(dead[0].attempts.len(), 1);
    assert_eq!(store.dead_letter(dead[1].id).await.expect("a read").as_ref(), Some(&dead[1]));
    assert_eq!((store.lane_count("d").dead, store.lane_count("d").queued), (2, 0));
    // One is called back: it stays where it is, and the log tells of it.
    let (cancelled, told) = recall(&dead[1].activation, dead[1].activation.person);
    let people = HashMap::from([(told.person, person(1, 1, 0))]);
    let changes = Changes {
        cancelled: vec![cancelled],
        decisions: vec![told.clone()],
        people: vec![PersonChange { id: told.person, write: Write::Whole }],
        ..Changes::default()
    };
    store.commit(Loaded { people, ..Loaded::default() }, changes).await.expect("a commit");
    assert_eq!((store.lane_count("d").dead, store.lane_count("d").queued), (2, 0));
    let story = store.story(told.person).await.expect("a read").expect("somebody");
    assert!(story.decisions.contains(&told), "{:?}", story.decisions);
    assert_eq!(store.replay(dead[0].id, at(9_000_000)).await.expect("a replay"), Raised::Done);
    assert!(store.drop_dead(dead[1].id).await.expect("a drop"));
    assert!(!store.drop_dead(dead[1].id).await.expect("a drop"));
    for gone in &dead {
        assert_eq!(store.dead_letter(gone.id).await.expect("a read"), None);
    }
    assert_eq!((store.lane_count("d").dead, store.lane_count("d").queued), (0, 1));
    let again = store.work("d", at(0), 10).await.expect("work");
    assert_eq!(again[0].activation.expires_at, at(9_000_000));
    settle(&*store, "d", again[0].id, Outcome::Accepted).await;
    store.close().await.expect("a close");
}

pub async fn what_cannot_be_said_is_a_dead_letter_at_once(open: Open<'_>) {
    let store = open();
    let broken = Activation { broken: Some("`payload.a` cannot be said".into()), ..activation(26, "e", 10) };
    queue(&*store, vec![activation(25, "e", 10), broken.clone()]).await;
    assert_eq!((store.lane_count("e").dead, store.lane_count("e").queued), (1, 1));
    let work = store.work("e", at(0), 10).await.expect("work");
    assert_eq!(work.iter().map(|w| w.activation.occasion).collect::<Vec<_>>(), [occasion(25)]);
    settle(&*store, "e", work[0].id, Outcome::Accepted).await;
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    let dead = store.dead_letters(Some("e"), 10).await.expect("dead letters");
    assert_eq!(dead.iter().map(|d| &d.activation).collect::<Vec<_>>(), [&broken]);
    let refused = Outcome::Refused { code: "payload".into(), words: "`payload.a` cannot be said".into() };
    assert_eq!(dead[0].attempts.iter().map(|a| &a.outcome).collect::<Vec<_>>(), [&refused]);
    // There is nothing to send: it is dropped, or stays.
    assert_eq!(store.replay(dead[0].id, at(9_000_000)).await.expect("a replay"), Raised::Broken);
    assert!(store.work("e", at(99_000), 10).await.expect("work").is_empty());
    assert_eq!((store.lane_count("e").dead, store.lane_count("e").queued), (1, 0));
    assert!(store.drop_dead(dead[0].id).await.expect("a drop"));
    assert_eq!(store.replay(dead[0].id, at(9_000_000)).await.expect("a replay"), Raised::Missing);
    assert_eq!(store.lane_count("e").dead, 0);
    store.close().await.expect("a close");
}

/// What a vendor took in a time is found again, all of it counted and the lowest occasions named.
pub async fn what_was_accepted_is_told_of_a_stretch_of_time(open: Open<'_>) {
    let store = open();
    let waits = |mut one: Activation| {
        one.not_before = (one.occasion == occasion(504)).then_some(at(-60_000));
        one
    };
    let all = (501..=506).map(|n| waits(activation(n, "x", 50)));
    queue(&*store, all.chain([activation(507, "y", 50)]).collect()).await;
    let taken = store.work("x", at(0), 10).await.expect("work");
    let outcomes = [Outcome::Accepted, Outcome::Duplicate, Outcome::Expired, Outcome::Accepted, Outcome::Accepted];
    for ((one, outcome), ms) in taken.iter().zip(outcomes).zip([100, 200, 250, 300, 400]) {
        let attempt = Attempt { at: at(ms), status: 202, outcome };
        store.settle("x", vec![Settled { id: one.id, attempt }]).await.expect("a settle");
    }
    settle(&*store, "x", taken[5].id, later(8_000)).await;
    let other = store.work("y", at(0), 10).await.expect("work");
    settle(&*store, "y", other[0].id, Outcome::Accepted).await;
    let told = |of: &Accepted| of.sample.iter().map(|(id, one)| (*id, one.occasion)).collect::<Vec<_>>();
    let all = store.accepted("x", (at(0), at(9_000)), 10).await.expect("a read");
    assert_eq!(all.waited, BTreeMap::from([(at(-60_000), 1)]));
    let named = [0, 1, 3, 4].map(|n| (taken[n].id, taken[n].activation.occasion));
    assert_eq!((all.total, told(&all)), (4, named.to_vec()));
    let some = store.accepted("x", (at(100), at(300)), 1).await.expect("a read");
    assert_eq!((some.total, told(&some)), (2, vec![named[1]]), "after the first instant, and with the second");
    assert_eq!(store.accepted("z", (at(0), at(9_000)), 10).await.expect("a read"), Accepted::default());
    let rest = store.work("x", at(8_000), 10).await.expect("work");
    settle(&*store, "x", rest[0].id, Outcome::Accepted).await;
    // One that the vendor took goes once more, as one that may have left.
    let id = taken[1].id;
    let ended = store.ended(id).await.expect("a read").expect("an end");
    assert_eq!((ended.activation.occasion, ended.attempts.len(), ended.is_queued), (occasion(502), 1, false));
    assert_eq!(store.resend(taken[2].id, at(9_000_000)).await.expect("a resend"), Raised::Missing, "not taken");
    assert_eq!(store.resend(id, at(9_000_000)).await.expect("a resend"), Raised::Done);
    assert_eq!(store.resend(id, at(9_000_000)).await.expect("a resend"), Raised::Missing, "it waits already");
    let again = store.work("x", at(8_000), 10).await.expect("work");
    let told: Vec<_> = again.iter().map(|one| (one.id, one.may_have_left, one.activation.expires_at)).collect();
    assert_eq!(told, [(id, true, at(9_000_000))]);
    settle(&*store, "x", id, Outcome::Duplicate).await;
    assert_eq!(store.ended(id).await.expect("a read").map(|one| one.attempts.len()), Some(2));
    store.close().await.expect("a close");
}

/// Whatever happened to the others: each that was made waits, or has one end.
pub async fn the_books_of_every_lane_add_up(open: Open<'_>) {
    let store = open();
    let mut made = 0;
    for lane in ["a", "b", "c", "d", "e", "t", "u", "v", "w", "x", "y"] {
        let LaneCount { queued, totals, .. } = store.lane_count(lane);
        assert_eq!(totals.made, totals.ended() + queued, "{lane}: {totals:?}");
        made += totals.made;
    }
    assert!(made >= 14, "{made}");
    let totals = store.lane_count("a").totals;
    assert_eq!((totals.made, totals.accepted), (3, 3), "taken, and known to the vendor already");
    store.close().await.expect("a close");
}

/// Of one person what was decided first leaves first: it waits for what somebody has, and for what is tried again.
pub async fn of_one_person_the_order_is_kept(open: Open<'_>) {
    let store = open();
    let of = |n: u64, person: u8| Activation { person: PersonId([person; 16]), ..activation(n, "t", 50) };
    queue(&*store, vec![of(301, 1), of(302, 1), of(303, 2), of(304, 1), Activation { priority: 90, ..of(305, 3) }])
        .await;
    let occasions = |work: &[Work]| work.iter().map(|w| w.activation.occasion).collect::<Vec<_>>();
    let first = store.work("t", at(0), 2).await.expect("work");
    assert_eq!(occasions(&first), [occasion(305), occasion(301)]);
    let second = store.work("t", at(0), 10).await.expect("work");
    assert_eq!(occasions(&second), [occasion(303)], "the others are behind one that somebody has");
    settle(&*store, "t", first[1].id, later(5_000)).await;
    assert!(
        store.work("t", at(4_999), 10).await.expect("work").is_empty(),
        "nor do they pass by one that is tried again"
    );
    // Nor after a restart.
    settle(&*store, "t", second[0].id, Outcome::Accepted).await;
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    let left = store.work("t", at(4_999), 10).await.expect("work");
    assert_eq!(occasions(&left), [occasion(305)], "which was given to nobody who ended it");
    // What is urgent does not wait for it.
    queue(&*store, vec![Activation { priority: 95, ..of(306, 1) }]).await;
    let urgent = store.work("t", at(4_999), 10).await.expect("work");
    assert_eq!(occasions(&urgent), [occasion(306)]);
    settle(&*store, "t", urgent[0].id, Outcome::Accepted).await;
    let again = store.work("t", at(5_000), 10).await.expect("work");
    assert_eq!(occasions(&again), [occasion(301)], "alone: it may fail once more");
    assert!(store.work("t", at(5_000), 10).await.expect("work").is_empty());
    settle(&*store, "t", again[0].id, Outcome::Refused { code: "400".into(), words: "no".into() }).await;
    let rest = store.work("t", at(5_000), 10).await.expect("work");
    assert_eq!(occasions(&rest), [occasion(302), occasion(304)], "in one batch, in their order");
    for work in left.iter().chain(&rest) {
        settle(&*store, "t", work.id, Outcome::Accepted).await;
    }
    assert_eq!(store.lane_count("t").queued, 0);
    store.close().await.expect("a close");
}

/// Who is put into a list and taken out of it is so in two batches: within one there is no order.
pub async fn a_batch_does_not_contradict_itself(open: Open<'_>) {
    let store = open();
    let of = |n: u64, action: Action| Activation { person: PersonId([7; 16]), action, ..activation(n, "u", 50) };
    let (add, remove) = (|| Action::AddToList("L1".into()), || Action::RemoveFromList("L1".into()));
    let other = Action::RemoveFromList("L2".into());
    queue(&*store, vec![of(401, add()), of(402, other), of(403, remove()), of(404, add())]).await;
    for wanted in [&[401, 402][..], &[403], &[404]] {
        let work = store.work("u", at(0), 10).await.expect("work");
        let wanted: Vec<_> = wanted.iter().map(|n| occasion(*n)).collect();
        assert_eq!(work.iter().map(|w| w.activation.occasion).collect::<Vec<_>>(), wanted);
        for one in work {
            settle(&*store, "u", one.id, Outcome::Accepted).await;
        }
    }
    store.close().await.expect("a close");
}
