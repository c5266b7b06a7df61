//! What time alone does: timers, windows, spans, `for`, and what is learned of too late.

use super::*;

#[test]
fn at_one_instant_events_come_before_timers() {
    check(CART, "0m add c1 | 30m buy c1", &[]);
    check(CART, "0m add c1 | 30m add c1", &["1h c1"]);
    check(CART, "0m add c1 | 30m view | 30m buy c1", &[]);
}

#[test]
fn a_window_is_left_at_exactly_its_length() {
    let twice = "name = \"twice\"\nwhen = { did = \"Product Viewed\", at_least = 2, within = \"10m\" }";
    check(twice, "0m view | 10m view", &[]);
    check(twice, "0m view | 9m view", &["9m"]);
    check(twice, "0m view | 9m view | 18m view", &["9m", "18m"]);
    let seldom = "name = \"seldom\"\nwhen = { did = \"Product Viewed\", at_most = 1, within = \"10m\" }";
    check(seldom, "0m view | 5m view", &["0m", "10m"]);
}

#[test]
fn silence_is_asked_of_those_who_are_known_long_enough() {
    let silent = "name = \"silent\"\nwhen = { did_not = \"Order Completed\", within = \"60d\" }";
    check(silent, "0m view", &["60d"]);
    check(silent, "0m view | 10d buy", &["70d"]);
    check(silent, "0m view | 10d buy | 80d buy", &["70d", "140d"]);
    // Learned later: they were known earlier.
    check(silent, "10d view | 0m@20d view", &["60d"]);
}

#[test]
fn last_can_be_a_span_with_an_end() {
    let between = "name = \"between\"\nwhen = { last = \"Product Added\", over = \"30m\", under = \"60m\" }";
    check(between, "0m add", &["30m"]);
    check(between, "0m add | 45m add", &["30m", "1h15m"]);
    let not_lately = "name = \"not-lately\"\nwhen = { not = { last = \"Product Added\", under = \"1h\" } }";
    check(not_lately, "0m add", &["1h"]);
    check(not_lately, "0m view", &["0m"]);
}

#[test]
fn held_for_means_without_a_break() {
    let held = "name = \"held\"\nfor = \"20m\"\nwhen = { last = \"Product Viewed\", over = \"10m\" }";
    check(held, "0m view", &["30m"]);
    check(held, "0m view | 25m view", &["55m"]);
    check(held, "0m view | 30m view", &["1h"]);
    check(held, "0m view | 31m view", &["30m", "1h1m"]);
}

#[test]
fn an_edge_learned_of_too_late_is_recorded_and_not_sent() {
    check(FORM, "0m@4h form", &["0m"]);
    check(FORM, "0m@4h1s form", &["0m expired"]);
    check_with(FORM, "expires = \"2d\"", "0m@47h form", &["0m"]);
    // What expired did not fire: it cools nothing down.
    check(FORM, "0m@5h form | 6h form", &["0m expired", "6h"]);
}
