//! What has ended, what is dead and what waits, a page at a time.

use std::collections::HashSet;

use super::*;

fn refused(code: &str) -> Outcome {
    Outcome::Refused { code: code.into(), words: "no".into() }
}

/// All pages of what is looked for.
async fn all_ends(store: &dyn Store, sought: &Sought, max: usize) -> Vec<End> {
    let (mut sought, mut all) = (sought.clone(), Vec::new());
    loop {
        let page = store.ends(&sought, max).await.expect("a page");
        assert!(page.found.len() <= max);
        all.extend(page.found);
        match page.next {
            Some(next) => sought.before = Some(next),
            None => return all,
        }
    }
}

pub async fn what_has_ended_is_found_a_page_at_a_time(open: Open<'_>) {
    let store = open();
    let lane = |n: u64| if n.is_multiple_of(2) { "even" } else { "odd" };
    let named = |n| Activation { trigger: if n < 310 { "early" } else { "late" }.into(), ..activation(n, lane(n), 50) };
    queue(&*store, (300..320).map(named).collect()).await;
    for lane in ["even", "odd"] {
        for (place, work) in store.work(lane, at(900), 100).await.expect("work").into_iter().enumerate() {
            let outcome = match place % 3 {
                0 => Outcome::Accepted,
                1 => refused("400"),
                _ => refused("invalid"),
            };
            settle(&*store, lane, work.id, outcome).await;
        }
    }
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    let of = |lane: &str| Sought { lane: Some(lane.into()), ..Sought::default() };
    let mut both: Vec<End> = all_ends(&*store, &of("even"), 3).await;
    assert_eq!(both.len(), 10);
    assert!(both.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first, each once");
    both.extend(all_ends(&*store, &of("odd"), 100).await);
    let ids: HashSet<WorkId> = both.iter().map(|end| end.id).collect();
    assert_eq!(ids.len(), 20);
    let count = |sought: Sought| {
        let store = &*store;
        async move { all_ends(store, &sought, 7).await.len() }
    };
    assert_eq!(count(Sought { trigger: Some("early".into()), ..of("odd") }).await, 5);
    assert_eq!(count(Sought { end: Some("accepted".into()), ..of("even") }).await, 4);
    assert_eq!(count(Sought { end: Some("refused".into()), ..of("even") }).await, 6);
    assert_eq!(count(Sought { end: Some("invalid".into()), ..of("even") }).await, 3);
    assert_eq!(count(of("nowhere")).await, 0);
    // The dead among them.
    let sought = Sought { end: Some("invalid".into()), ..of("odd") };
    let first = store.letters(&sought, 2).await.expect("a page");
    let rest = store.letters(&Sought { before: first.next, ..sought }, 10).await.expect("a page");
    assert_eq!((first.found.len(), rest.found.len(), rest.next), (2, 1, None));
    assert!(first.found[1].id > rest.found[0].id);
    assert_eq!(store.dead_letter(rest.found[0].id).await.expect("a read").as_ref(), Some(&rest.found[0]));
    store.close().await.expect("a close");
}

pub async fn what_waits_is_listed_in_its_order(open: Open<'_>) {
    let store = open();
    let not_before = Some(at(77_000));
    queue(
        &*store,
        vec![
            activation(330, "q", 10),
            activation(331, "q", 90),
            Activation { not_before, ..activation(332, "q", 50) },
            activation(333, "q", 90),
            activation(334, "other", 90),
        ],
    )
    .await;
    // In somebody's hands it waits still.
    store.work("q", at(900), 1).await.expect("work");
    let occasions =
        |listed: &[(WorkId, Record)]| listed.iter().map(|(_, one)| one.activation.occasion).collect::<Vec<_>>();
    let all = store.waiting("q", None, 10).await.expect("a list");
    assert_eq!(occasions(&all), [331, 333, 332, 330].map(occasion));
    assert!(all.iter().all(|(_, one)| one.is_queued && one.attempts.is_empty()));
    assert_eq!(all[2].1.activation.not_before, not_before);
    let (id, third) = &all[2];
    let from = store.waiting("q", Some((third.activation.priority, *id)), 10).await.expect("a list");
    assert_eq!(occasions(&from), [332, 330].map(occasion));
    assert_eq!(store.waiting("q", None, 1).await.expect("a list").len(), 1);
    store.close().await.expect("a close");
}
