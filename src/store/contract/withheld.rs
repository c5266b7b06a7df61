//! What is held until it is released, and what is called back.

use std::collections::HashMap;

use super::*;
use crate::model::{Access, Pause, PausePolicy, PersonChange, Released, TriggerState, Write};

pub async fn what_is_held_leaves_when_it_is_released(open: Open<'_>) {
    let store = open();
    let held = |n: u64| Activation { not_before: Some(Activation::HELD), ..activation(n, "h", 50) };
    let trigger = TriggerId::of("ping");
    let pause = Pause { since: at(1), policy: PausePolicy::Keep, by_guard: Some(7), held: 3 };
    let state = Arc::new(TriggerState { pause: Some(pause), ..TriggerState::default() });
    let mut changes = queueing(vec![held(81), held(82), held(83), held(84)]);
    changes.triggers.insert(trigger, state.clone());
    store.commit(Loaded::default(), changes).await.expect("a commit");
    let (cancelled, told) = recall(&held(82), held(82).person);
    let changes = Changes { cancelled: vec![cancelled], decisions: vec![told], ..Changes::default() };
    store.commit(Loaded::default(), changes).await.expect("a commit");
    store.close().await.expect("a close");
    drop(store);

    let store = open();
    assert_eq!(store.triggers().get(&trigger), Some(&state));
    assert!(store.work("h", at(i64::from(u32::MAX)), 10).await.expect("work").is_empty());
    let count = store.lane_count("h");
    assert_eq!((count.queued, count.deferred, count.next), (3, 3, None));
    let listed = store.held(trigger, 10).await.expect("a list");
    assert_eq!(listed.iter().map(|a| a.occasion).collect::<Vec<_>>(), [occasion(81), occasion(83), occasion(84)]);
    assert_eq!(store.held(trigger, 2).await.expect("a list").len(), 2);
    assert!(store.held(TriggerId::of("pong"), 10).await.expect("a list").is_empty());

    let release = |n: u64, not_before: Option<Timestamp>| Released {
        occasion: occasion(n),
        lane: "h".into(),
        person: held(n).person,
        at: held(n).at,
        expires_at: at(2_000_000),
        not_before,
        now: at(3_000),
    };
    let told = |n: u64| Decision { verdict: Verdict::Released(None), ..decision(&held(n)) };
    let changes = Changes {
        // The second was called back: it is not told of.
        released: vec![release(81, None), release(82, None), release(83, Some(at(9_000)))],
        decisions: vec![told(81), told(82), told(83)],
        ..Changes::default()
    };
    store.commit(Loaded::default(), changes).await.expect("a commit");
    let ready = store.work("h", at(8_999), 10).await.expect("work");
    assert_eq!(ready.iter().map(|w| w.activation.occasion).collect::<Vec<_>>(), [occasion(81)]);
    assert_eq!((ready[0].activation.expires_at, ready[0].activation.not_before), (at(2_000_000), None));
    settle(&*store, "h", ready[0].id, Outcome::Accepted).await;
    let count = store.lane_count("h");
    assert_eq!((count.queued, count.deferred, count.next), (2, 2, Some(at(9_000))));
    store.close().await.expect("a close");
    drop(store);

    let store = open();
    let ready = store.work("h", at(9_000), 10).await.expect("work");
    assert_eq!(ready.iter().map(|w| w.activation.occasion).collect::<Vec<_>>(), [occasion(83)]);
    settle(&*store, "h", ready[0].id, Outcome::Accepted).await;
    let listed = store.held(trigger, 10).await.expect("a list");
    assert_eq!(listed.iter().map(|a| a.occasion).collect::<Vec<_>>(), [occasion(84)]);
    store.close().await.expect("a close");
}

pub async fn what_is_called_back_does_not_leave(open: Open<'_>) {
    let store = open();
    let whose = |mut activation: Activation, id: u8| {
        activation.person = PersonId([id; 16]);
        activation
    };
    let [first, second, third] = [31, 32, 33].map(|n| whose(activation(n, "c", 10), 77));
    queue(&*store, vec![first.clone(), second.clone()]).await;
    let taken = store.work("c", at(0), 1).await.expect("work");
    let someone = person(77, 77, 0);
    let other = person(78, 78, 0);
    // 31 is in somebody's hands, 32 waits, 33 is of this very step.
    let (cancelled, recalls): (Vec<_>, Vec<_>) =
        [&first, &second, &third].map(|a| recall(a, someone.id)).into_iter().unzip();
    let mut changes = queueing(vec![third]);
    changes.cancelled = cancelled;
    changes.decisions.extend(recalls);
    changes.people = [&someone, &other].map(|p| PersonChange { id: p.id, write: Write::Whole }).to_vec();
    let people = HashMap::from([(someone.id, someone.clone()), (other.id, other.clone())]);
    store.commit(Loaded { people, ..Loaded::default() }, changes).await.expect("a commit");
    assert!(store.work("c", at(0), 10).await.expect("work").is_empty(), "what waited was called back");
    assert_eq!(store.lane_count("c").queued, 1, "what is in somebody's hands stays theirs");
    let story = store.story(someone.id).await.expect("a read").expect("somebody");
    let told: Vec<_> = story.decisions.iter().map(|d| (d.occasion, d.verdict.word())).collect();
    assert_eq!(
        told,
        [
            (occasion(31), "activated"),
            (occasion(32), "activated"),
            (occasion(32), "cancelled"),
            (occasion(33), "activated"),
            (occasion(33), "cancelled")
        ],
        "a recall that recalled nothing is not told"
    );
    let ends: Vec<_> = story.records.iter().map(|r| (r.is_queued, r.attempts.len())).collect();
    assert_eq!(ends, [(true, 0), (false, 1), (false, 1)]);
    settle(&*store, "c", taken[0].id, Outcome::Accepted).await;
    // Merged into another, and called back in the name of the one who stays.
    let fourth = whose(activation(34, "c", 10), 77);
    queue(&*store, vec![fourth.clone()]).await;
    let (cancelled, decision) = recall(&fourth, other.id);
    let changes = Changes {
        cancelled: vec![cancelled],
        decisions: vec![decision],
        people: vec![
            PersonChange { id: someone.id, write: Write::MergedInto(other.id) },
            PersonChange { id: other.id, write: Write::Whole },
        ],
        ..Changes::default()
    };
    let people = HashMap::from([(other.id, other.clone())]);
    store.commit(Loaded { people, ..Loaded::default() }, changes).await.expect("a commit");
    assert_eq!(store.lane_count("c").queued, 0);
    // The same occasion of the one who is no more is known under the one who stays.
    queue(&*store, vec![whose(fourth, 78)]).await;
    assert_eq!(store.lane_count("c").queued, 0);
    assert_eq!(store.story(other.id).await.expect("a read").expect("the other").records.len(), 4);
    store.close().await.expect("a close");
}

/// Whoever has heard of it is told, and nobody else: once, also when the step is taken again.
pub async fn what_has_left_is_told_to_be_void(open: Open<'_>) {
    let store = open();
    let all = || (81..=84).map(|n| activation(n, "v", 50)).collect::<Vec<_>>();
    queue(&*store, all()).await;
    let taken = store.work("v", at(0), 3).await.expect("work");
    settle(&*store, "v", taken[0].id, Outcome::Accepted).await;
    settle(&*store, "v", taken[1].id, Outcome::Refused { code: "400".into(), words: "no".into() }).await;
    let void = || {
        let word =
            |of: Activation| Activation { occasion: of.occasion.voided(), action: Action::Event("Void".into()), ..of };
        let recalls =
            all().into_iter().map(|of| Recall { word: Some(Box::new(word(of.clone()))), ..recall(&of, of.person).0 });
        Changes { cancelled: recalls.collect(), ..Changes::default() }
    };
    for _ in 0..2 {
        store.commit(Loaded::default(), void()).await.expect("a commit");
    }
    let word = async |of: u64| {
        let words = store.work("v", at(0), 10).await.expect("work");
        assert_eq!(words.iter().map(|one| one.activation.occasion).collect::<Vec<_>>(), [occasion(of).voided()]);
        settle(&*store, "v", words[0].id, Outcome::Accepted).await;
    };
    // What was accepted. Not the dead letter, nor what waited; what is in somebody's hands comes first.
    word(81).await;
    assert!(store.work("v", at(0), 10).await.expect("work").is_empty());
    settle(&*store, "v", taken[2].id, Outcome::Accepted).await;
    word(83).await;
    store.commit(Loaded::default(), void()).await.expect("a commit");
    assert!(store.work("v", at(0), 10).await.expect("work").is_empty());
    store.close().await.expect("a close");
}

/// The demand outlives the person, and has no name any more when the destination has taken it.
pub async fn of_who_was_forgotten_everywhere_only_the_receipt_is_left(open: Open<'_>) {
    let store = open();
    let mut demands: Vec<Activation> = ["e", "f"].map(|lane| activation(91, lane, 100)).into();
    demands.iter_mut().for_each(|demand| demand.action = Action::Erase);
    let erasure = Erasure {
        id: occasion(91),
        person: demands[0].person,
        asked: demands[0].at,
        decided: at(2),
        source: "shop".into(),
        position: Position(1),
        names: 1,
        events: 7,
        journal: None,
        lanes: vec!["e".into(), "f".into()],
    };
    let told = async |store: &dyn Store| store.came(None, Some(Position(2)), 9).await.expect("a page").found.len();
    assert_eq!(told(&*store).await, 1);
    let mut changes = queueing(demands.clone());
    changes.decisions.truncate(1);
    changes.erased.push((erasure.clone(), vec![identifier(1)]));
    changes.people.push(PersonChange { id: erasure.person, write: Write::Erased });
    store.commit(Loaded::default(), changes).await.expect("a commit");
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    let states = async |store: &dyn Store| {
        let [receipt] = &*store.receipts(9).await.expect("receipts") else { panic!("one receipt") };
        assert_eq!(receipt.erasure, erasure);
        let word = |last: &Option<Attempt>| last.as_ref().map(|last| last.outcome.word());
        receipt.lanes.iter().map(|(lane, last)| (lane.to_string(), word(last))).collect::<Vec<_>>()
    };
    assert_eq!(states(&*store).await, [("e".to_owned(), None), ("f".to_owned(), None)]);
    assert_eq!(told(&*store).await, 0, "of whom is forgotten nothing is told");
    for (lane, outcome) in
        [("e", Outcome::Accepted), ("f", Outcome::Refused { code: "403".into(), words: "the key may not".into() })]
    {
        let work = store.work(lane, at(0), 1).await.expect("work");
        assert_eq!(work[0].activation.identifiers, [identifier(1)]);
        settle(&*store, lane, work[0].id, outcome).await;
    }
    assert_eq!(states(&*store).await, [("e".to_owned(), Some("accepted")), ("f".to_owned(), Some("refused"))]);
    // A dead letter still has to say who it is.
    let [letter] = &*store.dead_letters(Some("f"), 9).await.expect("letters") else { panic!("one letter") };
    assert_eq!(letter.activation.identifiers, [identifier(1)]);
    assert!(store.drop_dead(letter.id).await.expect("a drop"));
    let left = store.ended(letter.id).await.expect("a read").expect("an end");
    assert_eq!(left.activation.identifiers, []);
    store.close().await.expect("a close");
}

/// Until somebody answers it, also over a restart; and a replay does not open it again.
pub async fn who_wants_to_see_what_is_kept_is_told_until_answered(open: Open<'_>) {
    let store = open();
    let demand = |n: u64, person: Option<PersonId>| Access {
        id: occasion(n),
        person,
        asked: at(n as i64),
        source: "shop".into(),
        position: Position(n),
        answered: None,
    };
    let both =
        || Changes { accesses: vec![demand(92, None), demand(91, Some(PersonId([7; 16])))], ..Changes::default() };
    store.commit(Loaded::default(), both()).await.expect("a commit");
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(store.open_demands(), 2);
    assert_eq!(store.accesses(9).await.expect("a read"), [demand(91, Some(PersonId([7; 16]))), demand(92, None)]);
    assert!(store.answer(occasion(91), at(500)).await.expect("an answer"));
    assert!(!store.answer(occasion(91), at(501)).await.expect("an answer"));
    store.commit(Loaded::default(), both()).await.expect("the step, taken again");
    let answered = Access { answered: Some(at(500)), ..demand(91, Some(PersonId([7; 16]))) };
    assert_eq!(store.accesses(9).await.expect("a read"), [demand(92, None), answered]);
    assert_eq!(store.open_demands(), 1);
    store.close().await.expect("a close");
}
