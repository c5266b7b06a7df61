//! What comes in and what is made of it: events and steps come back until they are taken; what is set aside stays.

use super::*;

pub async fn events_come_back_in_order_and_once(open: Open<'_>) {
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
    let keys = [event(6), event(77)].iter().flat_map(|event| event.dedupe.clone()).collect();
    assert_eq!(store.known(keys).await.expect("a read"), event(6).dedupe.into_iter().collect(), "decided, and not");
    store.append(vec![event(6)], None).await.expect("an append");
    let claim = store.claim(100).await.expect("a claim");
    assert_eq!(claim.loaded.seen.len(), 1, "a message key that was committed is known");
    store.commit(claim.loaded, Changes { position: Some(Position(7)), ..Changes::default() }).await.expect("a commit");
    store.close().await.expect("a close");
}

/// All pages of what came from a source, or from all.
async fn all_that_came(store: &dyn Store, source: Option<&str>, max: usize) -> Vec<(Position, Event)> {
    let (mut before, mut all) = (None, Vec::new());
    loop {
        let page = store.came(source, before, max).await.expect("a page");
        assert!(page.found.len() <= max);
        all.extend(page.found);
        match page.next {
            Some(next) => {
                assert!(before.is_none_or(|before| next < before), "each page begins before the one before it");
                before = Some(next);
            }
            None => return all,
        }
    }
}

pub async fn what_came_is_found_a_page_at_a_time(open: Open<'_>) {
    let store = open();
    let begins = store.counts().journaled.0;
    let from = |n: u64, source: &str| Event { source: source.into(), ..event(n) };
    let sent: Vec<Event> = (600..640).map(|n| from(n, if n % 4 == 0 { "shop" } else { "site" })).collect();
    for some in sent.chunks(7) {
        store.append(some.to_vec(), None).await.expect("an append");
    }
    let newest =
        || (begins + 1..=begins + 40).rev().zip(sent.iter().rev()).map(|(n, event)| (Position(n), event.clone()));
    let of_shop: Vec<_> = newest().filter(|(_, event)| &*event.source == "shop").collect();
    assert_eq!(all_that_came(&*store, Some("shop"), 3).await, of_shop, "newest first, each once");
    let all = all_that_came(&*store, None, 9).await;
    assert_eq!(all[..sent.len()], newest().collect::<Vec<_>>());
    assert!(all.iter().all(|(_, event)| !event.name.is_empty()), "nobody who is forgotten");
    let page = store.came(None, Some(Position(begins + 3)), 1).await.expect("a page");
    assert_eq!(page.found, [(Position(begins + 2), sent[1].clone())]);
    // Decided, so that nothing waits for what follows.
    let claim = store.claim(1_000).await.expect("a claim");
    let until = claim.events.last().map(|(position, _)| *position);
    store.commit(claim.loaded, Changes { position: until, ..Changes::default() }).await.expect("a commit");
    store.close().await.expect("a close");
}

pub async fn steps_are_found_again_until_they_are_taken(open: Open<'_>) {
    let store = open();
    assert_eq!(store.recorded().await.expect("a read"), None);
    assert_eq!(store.progress().expect("a read"), Progress::default());
    let before = store.append(vec![event(100)], None).await.expect("an append");
    let dedupe = event(100).dedupe.iter().map(|key| (*key, at(100))).collect();
    let changes = Changes { position: Some(before), dedupe, ..Changes::default() };
    store.commit(Loaded::default(), changes).await.expect("a commit");
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    let after = store.counts().decided;
    // The first of them is a repetition.
    store.append([100, 102, 103, 104, 105].map(event).to_vec(), None).await.expect("an append");
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
    // What is taken again knows the repetitions that it knew the first time.
    assert_eq!(claim.loaded.seen, HashSet::from_iter(event(100).dedupe));
    let changes = |id| Changes { step: Some(id), position: Some(until), ..Changes::default() };
    assert!(store.commit(Loaded::default(), changes(StepId(id.0 + 1))).await.is_err(), "no other step is taken");
    assert_eq!(store.recorded().await.expect("a read"), Some(recorded));
    assert_eq!(store.counts().decided, after);
    store.commit(claim.loaded, changes(id)).await.expect("a commit");
    assert_eq!(store.recorded().await.expect("a read"), None);
    assert!(store.commit(Loaded::default(), changes(id)).await.is_err(), "nor one twice");
    let triggers = vec![(TriggerId::of("t"), 1)];
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

pub async fn small_values_are_kept(open: Open<'_>) {
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

pub async fn a_duty_is_shown_where_something_is_kept_for_it(open: Open<'_>) {
    let store = open();
    let duty = store.duty("night").await.expect("an answer").expect("nobody else has it");
    assert!(duty.is_ours());
    assert_eq!(store.duty("night").await.expect("an answer").map(|again| again.term()), Some(duty.term()));
    let before = store.counts().journaled;
    let position = store.append_for(&duty, vec![event(900)], Some(("list", b"9"))).await.expect("an append");
    assert_eq!(position.0, before.0 + 1);
    store.append_for(&duty, Vec::new(), Some(("list", b"10"))).await.expect("an append");
    store.keep_for(&duty, "night:open", b"now").await.expect("a write");
    assert_eq!(store.cursor("list").await.expect("a read"), Some(b"10".to_vec()));
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(store.kept("night:open").await.expect("a read"), Some(b"now".to_vec()));
    let later = store.duty("night").await.expect("an answer").expect("it was given back");
    assert!(later.term() >= duty.term());
    store.close().await.expect("a close");
}
