//! Names that leave somebody they were taken for.

use super::*;
use crate::model::Person;

/// Who goes by which names, and which events are theirs.
fn people(timeline: &str) -> Vec<String> {
    let story = tell(&compile(&[CART], &rules::Settings::default()), timeline, "1h");
    assert!(story.loaded.owners.iter().all(|(name, id)| story.loaded.people[id].identifiers.contains(name)));
    let of = |person: &Person| {
        let mut names: Vec<&str> = person.identifiers.iter().map(|name| &*name.value).collect();
        names.sort_unstable();
        let at = person.history.entries().iter().map(|entry| since_start(entry.at)).collect::<Vec<_>>();
        format!("{}: {}", names.join(" "), at.join(" "))
    };
    let mut people: Vec<String> = story.loaded.people.values().map(of).collect();
    people.sort_unstable();
    people
}

#[test]
fn both_histories_are_restored() {
    let joined = "0m add c1 @a | 5m add c2 @b ~ipad | 10m alias @a @b | 12m view @b | 13m view ~ipad";
    assert_eq!(people(joined), ["a b ipad: 0m 5m 12m 13m"]);
    assert_eq!(people(&format!("{joined} | 15m unlink @b")), ["a ipad: 0m 13m", "b: 5m 12m"]);
    assert_eq!(people(&format!("{joined} | 15m unlink @b ~ipad")), ["a: 0m", "b ipad: 5m 12m 13m"]);
    // Of two people at once; and nobody is left without a name.
    assert_eq!(people("0m view @a ~x | 1m view @b ~y | 2m unlink ~x ~y"), ["a: 0m", "b: 1m", "x: ", "y: "]);
    assert_eq!(people("0m view @a | 2m unlink @a"), ["a: 0m"]);
    assert_eq!(people("0m view @a | 2m unlink @nobody"), ["a: 0m"]);
}

#[test]
fn timers_are_asked_anew_for_both() {
    check(CART, "0m add c1 @a | 5m add c2 @b | 10m alias @a @b | 15m unlink @b", &["30m c1", "35m c2"]);
    // The order was the other one's.
    check(CART, "0m add c1 @a | 1m alias @a @b | 20m buy @b", &[]);
    check(CART, "0m add c1 @a | 1m alias @a @b | 20m buy @b | 25m unlink @b", &["30m c1"]);
}

/// Behind a backlog the timers before it were not yet run: what was due to the one they were fires all the same.
#[test]
fn what_was_due_before_is_not_lost_in_a_batch() {
    let program = compile(&[CART], &rules::Settings::default());
    let told = |timeline: &str| -> Vec<(Position, Event)> {
        let events = timeline.split('|').enumerate();
        events.map(|(n, text)| (Position(n as u64 + 1), event(text.trim(), n))).collect()
    };
    let mut story = Story { fires: Vec::new(), loaded: Loaded::default(), duplicates: 0 };
    let events = told("0m add c1 @a | 1m alias @a @b | 45m unlink @b");
    let changes = super::super::events(
        &mut story.loaded,
        &events,
        START + length("45m"),
        &program,
        &identity::Settings::default(),
    );
    story.note(changes);
    assert_eq!(story.fires, ["30m c1"]);
}

#[test]
fn nothing_fires_for_it_and_what_has_lost_its_reason_is_called_back() {
    // True of each by themselves, and not seen to become so.
    check(CART, "0m add c1 @a | 1m alias @a @b | 20m buy @b | 45m unlink @b", &[]);
    check(FORM, "0m alias @a @b | 1m form @b | 2m unlink @b", &["1m", "1m cancelled"]);
    check(FORM, "0m alias @a @b | 1m form @a | 2m unlink @b", &["1m"]);
    // Who was written to just now is not written to again under the other name.
    check(FORM, "0m alias @a @b | 1m form @a | 2m unlink @b | 3h form @b", &["1m", "3h cooling_down"]);
}

#[test]
fn they_are_never_joined_again_but_by_an_alias() {
    let parted = "0m view ~tv | 1m identify ~tv @a | 5m unlink ~tv";
    assert_eq!(people(parted), ["a: ", "tv: 0m"]);
    assert_eq!(people(&format!("{parted} | 9m identify ~tv @a | 10m view ~tv")), ["a: ", "tv: 0m 10m"]);
    assert_eq!(people(&format!("{parted} | 9m alias ~tv @a")), ["a tv: 0m"]);
    // Whoever takes one of them in is kept apart from the other, too.
    let taken_in = format!("{parted} | 6m alias ~tv ~phone | 7m identify ~phone @a");
    assert_eq!(people(&taken_in), ["a: ", "phone tv: 0m"]);
}
