//! Events that come late, and those that come twice.

use super::*;

#[test]
fn a_purchase_heard_of_late_cancels_what_waits() {
    check(CART, "0m add c1 | 25m@35m buy c1", &["30m c1", "30m c1 cancelled"]);
    check(CART, "0m add c1 | 32m buy c1", &["30m c1", "30m c1 cancelled"]);
    check(CART, "0m add c1 | 25m@35m buy", &["30m c1", "30m c1 cancelled"]);
    // Another cart's order is no reason.
    check(CART, "0m add c1 | 25m@35m buy c2", &["30m c1"]);
    check(CART, "0m add c1 | 25m@35m view", &["30m c1"]);
}

#[test]
fn time_alone_cancels_nothing() {
    let between = "name = \"between\"\nwhen = { all = [{ last = \"Product Added\", over = \"30m\", under = \"60m\" }, \
                   { did_not = \"Order Completed\", since = \"Product Added\", where = { shop = \"a\" } }] }";
    check(between, "0m add | 70m buy shop=b", &["30m"]);
    check(between, "0m add ~phone | 70m identify ~phone @ines", &["30m"]);
    check(between, "0m add ~phone | 1m view @ines | 70m identify ~phone @ines", &["30m"]);
    check(between, "0m add | 70m buy shop=a", &["30m", "30m cancelled"]);
}

#[test]
fn a_break_heard_of_late_cancels_what_was_held() {
    let held = "name = \"held\"\nfor = \"20m\"\nwhen = { last = \"Product Viewed\", over = \"10m\" }";
    check(held, "0m view | 15m@35m view", &["30m", "30m cancelled"]);
}

#[test]
fn a_late_event_changes_truth_from_now_on() {
    let twice = "name = \"twice\"\nwhen = { did = \"Product Viewed\", at_least = 2 }";
    check(twice, "0m view | 30m page | 10m@40m view", &["30m"]);
    check(LAPSED, "10d buy | 0m@20d buy", &["100d"]);
}

#[test]
fn a_message_sent_twice_counts_once() {
    check(VIEWED, "0m view p1 #a | 1m view p1 #b | 2m view p1 #b | 2m view p1 #a", &[]);
    let program = compile(&[FORM], &rules::Settings::default());
    let story = tell(&program, "0m form #a | 8d form #a", "9d");
    assert_eq!((story.fires, story.duplicates), (vec!["0m".to_owned()], 1));
}
