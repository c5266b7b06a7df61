//! The suite that every adapter passes: `run` it with a way to open (and open again) the same store.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::model::consent::{Act, Mark};
use crate::model::{
    Changes, Channel, Counted, Decision, EventKind, IdentifierKind, OccasionId, Origin, Outcome, Pause, PausePolicy,
    Pending, PersonChange, RawJson, Recall, Released, TriggerState, Verdict, Write,
};

/// Opens the store, the first time or again.
pub type Open<'a> = &'a dyn Fn() -> Arc<dyn Store>;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + ms)
}

fn identifier(n: u64) -> Identifier {
    Identifier::new(IdentifierKind::UserId, format!("u{n}"))
}

pub fn event(n: u64) -> Event {
    Event {
        kind: EventKind::Did,
        name: "Ping".into(),
        at: at(n as i64),
        claimed_at: None,
        arrived: at(n as i64),
        source: "web".into(),
        origin: Origin::Tracking,
        dedupe: vec![Event::dedupe_key(&["web", &n.to_string()])],
        identifiers: vec![identifier(n % 3)],
        session: None,
        properties: RawJson::trusted(format!("{{\"n\":{n}}}")),
        traits: RawJson::empty(),
    }
}

pub fn activation(n: u64, lane: &str, priority: u8) -> Activation {
    Activation {
        occasion: occasion(n),
        lane: lane.into(),
        trigger: "ping".into(),
        person: PersonId([1; 16]),
        identifiers: vec![identifier(1)],
        traits: RawJson::empty(),
        key: "".into(),
        at: at(n as i64),
        event: "Pinged".into(),
        priority,
        expires_at: at(1_000_000),
        not_before: None,
        payload: RawJson::trusted("{\"n\":1}"),
        broken: None,
    }
}

fn occasion(n: u64) -> OccasionId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    OccasionId(id)
}

/// A step that queues these, and nothing else.
pub fn queueing(activations: Vec<Activation>) -> Changes {
    Changes { decisions: activations.iter().map(decision).collect(), activations, ..Changes::default() }
}

fn decision(of: &Activation) -> Decision {
    Decision {
        occasion: of.occasion,
        trigger: of.trigger.clone(),
        person: of.person,
        key: of.key.clone(),
        at: of.at,
        decided: at(2),
        verdict: Verdict::Activated(vec![of.lane.clone()]),
    }
}

fn recall(of: &Activation, person: PersonId) -> (Recall, Decision) {
    let recall = Recall { occasion: of.occasion, lane: of.lane.clone(), person, at: of.at };
    (recall, Decision { person, verdict: Verdict::Cancelled, ..decision(of) })
}

async fn queue(store: &dyn Store, activations: Vec<Activation>) {
    store.commit(Loaded::default(), queueing(activations)).await.expect("a commit");
}

async fn settle(store: &dyn Store, lane: &str, id: WorkId, outcome: Outcome) {
    let status = if outcome.has_effect() { 202 } else { 400 };
    let attempt = Attempt { at: at(5_000), status, outcome };
    store.settle(lane, vec![Settled { id, attempt }]).await.expect("a settle");
}

fn later(ms: i64) -> Outcome {
    Outcome::Later { not_before: at(ms), words: "busy".into(), is_throttled: false, may_have_left: false }
}

/// All of it, in one store opened several times.
pub async fn run(open: Open<'_>) {
    events_come_back_in_order_and_once(open).await;
    people_links_and_timers_are_kept(open).await;
    lanes_give_by_priority_and_settle_each(open).await;
    what_waits_for_a_time_does_not_leave_before_it(open).await;
    what_is_held_leaves_when_it_is_released(open).await;
    dead_letters_are_replayed_or_dropped(open).await;
    what_cannot_be_said_is_a_dead_letter_at_once(open).await;
    what_is_called_back_does_not_leave(open).await;
    small_values_are_kept(open).await;
    the_catalogue_keeps_the_newest_word(open).await;
    codes_are_given_in_order_and_once(open).await;
    steps_are_found_again_until_they_are_taken(open).await;
}

async fn events_come_back_in_order_and_once(open: Open<'_>) {
    let store = open();
    let first = store.append((1..=5).map(event).collect(), Some(("file", b"5"))).await.expect("an append");
    assert_eq!(first, Position(5));
    assert_eq!(store.append(vec![event(6)], None).await.expect("an append"), Position(6));
    assert_eq!(store.cursor("file").await.expect("a read"), Some(b"5".to_vec()));
    let claim = store.claim(4).await.expect("a claim");
    assert_eq!(claim.events.iter().map(|(p, _)| p.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(claim.events[3].1, event(4));
    // Not committed: the same come again, also from another opening.
    assert_eq!(store.claim(2).await.expect("a claim").events[0].0, Position(1));
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    let claim = store.claim(100).await.expect("a claim");
    assert_eq!(claim.events.len(), 6);
    assert!(claim.loaded.seen.is_empty() && claim.loaded.owners.is_empty());
    let dedupe = claim.events.iter().flat_map(|(_, e)| e.dedupe.iter().map(|k| (*k, e.arrived))).collect();
    let changes = Changes { position: Some(Position(6)), dedupe, ..Changes::default() };
    store.commit(claim.loaded, changes).await.expect("a commit");
    assert!(store.claim(100).await.expect("a claim").events.is_empty());
    assert_eq!(store.counts().decided, Position(6));
    store.append(vec![event(6)], None).await.expect("an append");
    let claim = store.claim(100).await.expect("a claim");
    assert_eq!(claim.loaded.seen.len(), 1, "a message key that was committed is known");
    store.commit(claim.loaded, Changes { position: Some(Position(7)), ..Changes::default() }).await.expect("a commit");
    store.close().await.expect("a close");
}

fn person(id: u8, n: u64, history: usize) -> Person {
    let mut person = Person::new(PersonId([id; 16]), Position(n), at(0));
    person.identifiers.push(identifier(n));
    for i in 0..history {
        let e = event(i as u64);
        person.history.push(crate::model::Entry::new(
            e.at,
            Position(100 + i as u64),
            e.name,
            e.origin,
            None,
            RawJson::trusted(format!("{{\"text\":\"{}\"}}", "x".repeat(400))),
        ));
    }
    let watch = crate::model::Watch {
        meaning: 1,
        is_true: true,
        true_since: None,
        fired: None,
        next: Some(at(n as i64 * 100)),
    };
    person.watches.insert((crate::model::TriggerId::of("t"), "k".into()), watch);
    for (act, because) in [(Act::Given, "Subscribed"), (Act::Suppressed, "Email Bounced")] {
        person.consent.push(Mark {
            at: at(n as i64),
            position: Position(n),
            channel: Channel::Sms,
            act,
            source: "web".into(),
            because: because.into(),
        });
    }
    person.pending.push(Pending {
        occasion: occasion(n),
        trigger: crate::model::TriggerId::of("t"),
        key: "k".into(),
        lanes: vec!["a".into()],
        at: at(1),
        expires_at: at(9),
        not_before: Some(at(8)),
    });
    person.count([Counted { leaves: at(8), occasion: occasion(n) }], at(0));
    person
}

async fn save(
    store: &dyn Store,
    people: Vec<Person>,
    write: impl Fn(&Person) -> Write,
    links: Vec<(Identifier, Option<PersonId>)>,
) {
    let changes = Changes {
        people: people.iter().map(|p| PersonChange { id: p.id, write: write(p) }).collect(),
        links,
        ..Changes::default()
    };
    let loaded =
        Loaded { people: people.into_iter().map(|p| (p.id, p)).collect::<HashMap<_, _>>(), ..Loaded::default() };
    store.commit(loaded, changes).await.expect("a commit");
}

async fn people_links_and_timers_are_kept(open: Open<'_>) {
    let store = open();
    let (a, b) = (person(11, 21, 3), person(12, 22, 300));
    let links = [&a, &b].map(|p| (p.identifiers[0].clone(), Some(p.id))).to_vec();
    save(&*store, vec![a.clone(), b.clone()], |_| Write::Whole, links).await;
    assert_eq!(store.counts().people, 2);
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(store.find(&identifier(21)).await.expect("a read"), Some(a.id));
    assert_eq!(store.story(b.id).await.expect("a read").expect("b").person, b);
    assert_eq!(store.counts().next_timer, Some(at(2_100)));
    let due = store.due(at(2_150), 10).await.expect("due");
    assert_eq!(due.people, [a.id]);
    assert_eq!(due.loaded.people[&a.id], a);
    // One more entry, another timer: only the change is written, all is read.
    let mut a2 = due.loaded.people[&a.id].clone();
    let e = event(9);
    a2.history.push(crate::model::Entry::new(e.at, Position(900), e.name, e.origin, None, e.properties));
    a2.watches.values_mut().for_each(|w| w.next = Some(at(9_000)));
    save(&*store, vec![a2.clone()], |_| Write::Appended(vec![Position(900)]), Vec::new()).await;
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(store.story(a.id).await.expect("a read").expect("a").person, a2);
    assert_eq!(store.due(at(9_000), 10).await.expect("due").people, [b.id, a.id]);
    // A page of everybody.
    let page = store.people(Some(a.id), 10).await.expect("a page");
    assert_eq!(page.iter().map(|p| p.id).collect::<Vec<_>>(), [b.id]);
    // b becomes a.
    let merged = Changes {
        people: vec![
            PersonChange { id: b.id, write: Write::MergedInto(a.id) },
            PersonChange { id: a.id, write: Write::Whole },
        ],
        links: vec![(identifier(22), Some(a.id))],
        ..Changes::default()
    };
    let loaded = Loaded { people: HashMap::from([(a.id, a2.clone())]), ..Loaded::default() };
    store.commit(loaded, merged).await.expect("a commit");
    assert_eq!(store.counts().people, 1);
    assert_eq!(store.story(b.id).await.expect("a read").expect("the survivor").person.id, a.id);
    // And is forgotten.
    let erased = Changes {
        people: vec![PersonChange { id: a.id, write: Write::Erased }],
        links: vec![(identifier(21), None), (identifier(22), None)],
        ..Changes::default()
    };
    store.commit(Loaded::default(), erased).await.expect("a commit");
    assert!(store.story(a.id).await.expect("a read").is_none());
    assert_eq!(store.find(&identifier(22)).await.expect("a read"), None);
    assert_eq!((store.counts().people, store.counts().next_timer), (0, None));
    store.close().await.expect("a close");
}

async fn lanes_give_by_priority_and_settle_each(open: Open<'_>) {
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

async fn what_waits_for_a_time_does_not_leave_before_it(open: Open<'_>) {
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

async fn what_is_held_leaves_when_it_is_released(open: Open<'_>) {
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

async fn dead_letters_are_replayed_or_dropped(open: Open<'_>) {
    let store = open();
    queue(&*store, vec![activation(21, "d", 10), activation(22, "d", 10)]).await;
    for one in store.work("d", at(0), 10).await.expect("work") {
        settle(&*store, "d", one.id, Outcome::Refused { code: "1003".into(), words: "no such lead".into() }).await;
    }
    let dead = store.dead_letters(Some("d"), 10).await.expect("dead letters");
    assert_eq!(dead.iter().map(|d| d.activation.occasion).collect::<Vec<_>>(), [occasion(22), occasion(21)]);
    assert_eq!(dead[0].attempts.len(), 1);
    assert_eq!((store.lane_count("d").dead, store.lane_count("d").queued), (2, 0));
    assert_eq!(store.replay(dead[0].id, at(9_000_000)).await.expect("a replay"), Raised::Done);
    assert!(store.drop_dead(dead[1].id).await.expect("a drop"));
    assert!(!store.drop_dead(dead[1].id).await.expect("a drop"));
    assert_eq!((store.lane_count("d").dead, store.lane_count("d").queued), (0, 1));
    let again = store.work("d", at(0), 10).await.expect("work");
    assert_eq!(again[0].activation.expires_at, at(9_000_000));
    settle(&*store, "d", again[0].id, Outcome::Accepted).await;
    store.close().await.expect("a close");
}

async fn what_cannot_be_said_is_a_dead_letter_at_once(open: Open<'_>) {
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

async fn what_is_called_back_does_not_leave(open: Open<'_>) {
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

fn for_sale(id: &str, name: &str, updated: i64) -> CatalogueItem {
    CatalogueItem {
        id: id.into(),
        name: Some(name.into()),
        url: None,
        image_url: None,
        price: None,
        currency: None,
        category: Some("Lamps".into()),
        stock: Some(3),
        updated: at(updated),
    }
}

async fn the_catalogue_keeps_the_newest_word(open: Open<'_>) {
    let store = open();
    let before = store.catalogue();
    let put = store.put_items(vec![for_sale("p1", "Lamp", 5), for_sale("p2", "Oar", 5), for_sale("p1", "Older", 4)]);
    let stocked = put.await.expect("a put");
    assert_eq!(stocked, Stocked { new: 2, known: 1, ..Stocked::default() });
    let put =
        store.put_items(vec![for_sale("p1", "Older", 4), for_sale("p2", "Better oar", 6), for_sale("p1", "Lamp", 5)]);
    assert_eq!(put.await.expect("a put"), Stocked { changed: 1, known: 2, ..Stocked::default() });
    assert!(before.is_empty(), "what was lent is as it was");
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    let catalogue = store.catalogue();
    assert_eq!((catalogue.len(), catalogue.get("p1")), (2, Some(&for_sale("p1", "Lamp", 5))));
    assert_eq!(catalogue.get("p2"), Some(&for_sale("p2", "Better oar", 6)));
    assert_eq!(catalogue.of_category("Lamps").collect::<Vec<_>>(), ["p1", "p2"]);
    assert_eq!(*store.claim(1).await.expect("a claim").loaded.catalogue, *catalogue, "a step is lent it");
    store.close().await.expect("a close");
}

/// A step that gives these occasions the next code of the pool.
async fn give(store: &dyn Store, pool: &str, occasions: &[u64]) -> Vec<Option<String>> {
    let mut codes = store.claim(1).await.expect("a claim").loaded.codes;
    let mut changes = Changes::default();
    let mut got = Vec::new();
    for n in occasions {
        let given = codes.of(pool, occasion(*n));
        got.push(given.as_ref().map(|given| given.code.to_string()));
        if let Some(given) = given {
            codes.give(&given);
            changes.codes.push(given);
        }
    }
    store.commit(Loaded::default(), changes).await.expect("a commit");
    got
}

async fn codes_are_given_in_order_and_once(open: Open<'_>) {
    let store = open();
    let add = |codes: &[&str]| codes.iter().map(|code| Box::from(*code)).collect::<Vec<Box<str>>>();
    let added = store.add_codes("a", add(&["A1", "A2", "A1", "A3"])).await.expect("an import");
    assert_eq!(added, Added { new: 3, known: 1, too_many: 0 });
    // Also what another pool has is known, and what was given.
    let some = |codes: &[&str]| codes.iter().map(|code| Some((*code).to_owned())).collect::<Vec<_>>();
    assert_eq!(give(&*store, "a", &[501, 502]).await, some(&["A1", "A2"]));
    assert_eq!(store.add_codes("b", add(&["A1", "A3", "B1"])).await.expect("an import").new, 1);
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(give(&*store, "a", &[503, 504]).await, [Some("A3".to_owned()), None]);
    assert_eq!(give(&*store, "none", &[505]).await, [None]);
    assert_eq!(store.add_codes("a", add(&["A2", "A4"])).await.expect("an import").new, 1);
    assert_eq!(give(&*store, "a", &[506, 507]).await, [Some("A4".to_owned()), None]);
    let count = |name: &str, added, left| PoolCount { name: name.into(), added, left };
    assert_eq!(store.pools(), [count("a", 4, 0), count("b", 1, 1)]);
    store.close().await.expect("a close");
}

async fn steps_are_found_again_until_they_are_taken(open: Open<'_>) {
    let store = open();
    assert_eq!(store.recorded().await.expect("a read"), None);
    assert_eq!(store.progress().expect("a read"), Progress::default());
    let after = store.counts().decided;
    store.append((101..=105).map(event).collect(), None).await.expect("an append");
    let until = Position(after.0 + 2);
    let step = Step::Events { until, now: at(7) };
    let id = store.record(step.clone()).await.expect("a step");
    assert!(store.record(step.clone()).await.is_err(), "one is taken before another is made");
    drop(store);
    // The process ended before its commit.
    let store = open();
    let recorded = Recorded { id, after, step };
    assert_eq!(store.recorded().await.expect("a read"), Some(recorded.clone()));
    let claim = store.claim_until(until).await.expect("a claim");
    assert_eq!(claim.events.iter().map(|(p, _)| p.0).collect::<Vec<_>>(), [after.0 + 1, after.0 + 2]);
    let changes = |id| Changes { step: Some(id), position: Some(until), ..Changes::default() };
    assert!(store.commit(Loaded::default(), changes(StepId(id.0 + 1))).await.is_err(), "no other step is taken");
    assert_eq!(store.recorded().await.expect("a read"), Some(recorded));
    assert_eq!(store.counts().decided, after);
    store.commit(claim.loaded, changes(id)).await.expect("a commit");
    assert_eq!(store.recorded().await.expect("a read"), None);
    assert!(store.commit(Loaded::default(), changes(id)).await.is_err(), "nor one twice");
    let triggers = vec![(crate::model::TriggerId::of("t"), 1)];
    let steps = [
        Step::Program(triggers.clone()),
        Step::Timers { until: at(8), max: 5, now: at(9) },
        Step::Adopt { after: None, until: Some(PersonId([4; 16])), now: at(10) },
    ];
    for step in &steps {
        let step = Some(store.record(step.clone()).await.expect("a step"));
        store.commit(Loaded::default(), Changes { step, ..Changes::default() }).await.expect("a commit");
    }
    let progress = store.progress().expect("a read");
    assert_eq!(progress.program.as_deref(), Some(&triggers[..]));
    assert_eq!(progress.adopted, Adopted::UpTo(Some(PersonId([4; 16]))));
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(store.recorded().await.expect("a read"), None);
    assert_eq!(store.progress().expect("a read"), progress);
    let everybody = Step::Adopt { after: None, until: None, now: at(11) };
    let step = Some(store.record(everybody).await.expect("a step"));
    assert_eq!(step, Some(StepId(id.0 + 4)), "steps are counted on");
    store.commit(Loaded::default(), Changes { step, ..Changes::default() }).await.expect("a commit");
    assert_eq!(store.progress().expect("a read").adopted, Adopted::Everybody);
    store.close().await.expect("a close");
}

async fn small_values_are_kept(open: Open<'_>) {
    let store = open();
    store.keep("quota", &vec![7; 200_000]).await.expect("a keep");
    let aside = SetAside { at: at(1), source: "web".into(), reason: "no name".into(), body: "{}".into() };
    store.set_aside(vec![aside.clone(), SetAside { at: at(2), ..aside.clone() }]).await.expect("set aside");
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(store.kept("quota").await.expect("a read"), Some(vec![7; 200_000]));
    assert_eq!(store.kept("other").await.expect("a read"), None);
    assert_eq!(store.set_aside_list(1).await.expect("a read")[0].at, at(2));
    assert_eq!(store.counts().set_aside, 2);
    store.close().await.expect("a close");
}
