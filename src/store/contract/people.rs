//! People with their names and timers, until they become somebody else or are forgotten.

use std::collections::HashMap;

use super::*;
use crate::model::{PersonChange, Write};

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

pub async fn people_links_and_timers_are_kept(open: Open<'_>) {
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
    a2.history.push(Entry::new(e.at, Position(900), e.name, e.origin, None, e.properties));
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

/// Nothing of somebody is left who became, in the same step, a person who is forgotten; nor in what others' logs say.
pub async fn who_becomes_somebody_who_is_forgotten_is_forgotten_too(open: Open<'_>) {
    let store = open();
    let (mine, other) = (PersonId([81; 16]), PersonId([82; 16]));
    let stays = Person::new(PersonId([83; 16]), Position(1), at(1));
    save(&*store, vec![stays.clone()], |_| Write::Whole, Vec::new()).await;
    let join = Join {
        survivor: other,
        other: stays.id,
        carried: vec![identifier(81)],
        position: Position(1),
        source: "web".into(),
        at: at(1),
        because: vec![identifier(81)],
        refused: Some("two people".into()),
    };
    let waits = Activation { person: other, ..activation(181, "g", 5) };
    let queued = Changes { joins: vec![join], ..queueing(vec![waits]) };
    store.commit(Loaded::default(), queued).await.expect("a commit");
    assert_eq!(store.refused_joins(99).await.expect("a read").iter().filter(|j| j.other == stays.id).count(), 1);
    let people = vec![
        PersonChange { id: other, write: Write::MergedInto(mine) },
        PersonChange { id: mine, write: Write::Erased },
    ];
    store.commit(Loaded::default(), Changes { people, ..Changes::default() }).await.expect("a commit");
    assert!(store.work("g", at(0), 9).await.expect("work").is_empty());
    assert_eq!((store.lane_count("g").queued, store.lane_count("g").totals.forgotten), (0, 1));
    assert!(store.story(other).await.expect("a read").is_none());
    assert_eq!(store.story(stays.id).await.expect("a read").expect("who stays").joins, []);
    store.close().await.expect("a close");
}
