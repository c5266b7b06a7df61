//! What is kept: of a history that was cut, of occasions, of triggers that are new.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::decide;

#[test]
fn what_was_cut_from_the_history_is_still_known_by_its_time() {
    let settings = rules::Settings { history: 10, ..rules::Settings::default() };
    let many = |from: u32| (0..20).map(|n| format!(" | {}m page", from + n)).collect::<String>();
    #[track_caller]
    fn check(settings: &rules::Settings, rule: &str, timeline: &str, fires: &[&str]) {
        assert_eq!(tell(&compile(&[rule], settings), timeline, "200d").fires, fires);
    }
    check(&settings, LAPSED, &format!("0m buy{}", many(1)), &["90d"]);
    let since = "name = \"since\"\n[[when.all]]\nlast = \"Product Added\"\nover = \"3h\"\n\
                 [[when.all]]\ndid_not = \"Order Completed\"\nsince = \"Product Added\"";
    check(&settings, since, &format!("0m add{}", many(1)), &["3h"]);
    check(&settings, since, &format!("0m add | 1m buy{}", many(2)), &[]);
    check(&settings, since, &format!("0m buy | 1m add{}", many(2)), &["3h1m"]);
    let silent = "name = \"silent\"\nwhen = { did_not = \"Order Completed\", within = \"2h\" }";
    check(&settings, silent, &format!("0m view | 30m buy{}", many(31)), &["2h30m"]);
}

#[test]
fn the_same_journal_gives_the_same_occasions() {
    let program = compile(&[CART, VIEWED, FORM], &rules::Settings::default());
    let occasions = || {
        let mut loaded = Loaded::default();
        let batch: Vec<_> = "0m add c1 | 1m form | 40m view p1 | 41m view p1 | 42m view p1"
            .split('|')
            .enumerate()
            .map(|(n, text)| (Position(n as u64 + 1), event(text.trim(), n)))
            .collect();
        let now = START + length("42m");
        let changes = decide::events(&mut loaded, &batch, now, &program, &identity::Settings::default());
        changes.activations.iter().map(|a| a.occasion).collect::<Vec<_>>()
    };
    let once = occasions();
    assert_eq!(once, occasions());
    assert_eq!(once.iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn a_trigger_that_is_new_notes_what_is_true_without_firing() {
    let mut story = tell(&compile(&[], &rules::Settings::default()), "0m form | 10m add c1", "20m");
    let program = compile(&[FORM, CART], &rules::Settings::default());
    let people: Vec<PersonId> = story.loaded.people.keys().copied().collect();
    let changes = decide::adopt(&mut story.loaded, &people, START + length("20m"), &program);
    assert_eq!((changes.decisions.len(), changes.people.len()), (0, 1));
    run_timers(&mut story, &program, START + length("1d"));
    // The form's edge lies before the trigger's birth; the cart's comes after it.
    assert_eq!(story.fires, ["40m c1"]);
    let watches: HashMap<_, _> = story.loaded.people.values().flat_map(|p| &p.watches).collect();
    assert!(!watches.is_empty());
}
