//! The triggers that are shipped: when each fires, and when not.

use super::*;

#[test]
fn a_cart_left_for_thirty_minutes_fires_once() {
    check(CART, "0m add c1 | 2h view", &["30m c1"]);
    check(CART, "0m add c1 | 20m add c1", &["50m c1"]);
    check(CART, "0m add c1", &["30m c1"]);
}

#[test]
fn buying_before_thirty_minutes_stops_it() {
    check(CART, "0m add c1 | 25m buy c1", &[]);
    check(CART, "0m add c1 | 25m buy c1 +shop", &[]);
    // Something else was put in afterwards.
    check(CART, "0m add c1 | 25m buy c1 | 26m add c1", &["56m c1"]);
}

#[test]
fn an_order_without_a_cart_id_stops_every_cart() {
    check(CART, "0m add c1 | 5m add c2 | 25m buy", &[]);
    check(CART, "0m add c1 | 5m add c2 | 25m buy c1", &["35m c2"]);
}

#[test]
fn an_add_without_a_cart_id_is_no_cart() {
    check(CART, "0m add", &[]);
    check(CART, "0m add c1 | 20m add", &["30m c1"]);
}

#[test]
fn a_second_cart_waits_for_the_cooldown() {
    check(CART, "0m add c1 | 1h add c2", &["30m c1", "1h30m c2 cooling_down"]);
    check(CART, "0m add c1 | 26h add c2", &["30m c1", "1d2h30m c2"]);
    // Exactly a day after the first one: no longer within it. What was dropped is not deferred.
    check(CART, "0m add c1 | 24h add c2", &["30m c1", "1d30m c2"]);
    check(CART, "0m add c1 | 23h add c2 | 25h view", &["30m c1", "23h30m c2 cooling_down"]);
}

#[test]
fn a_product_viewed_three_times_and_not_added_fires() {
    check(VIEWED, "0m view p1 | 5m view p1 | 10m view p1", &["10m p1"]);
    check(VIEWED, "0m view p1 | 5m view p2 | 10m view p1 | 15m view p2", &[]);
    check(VIEWED, "0m view p1 | 5m add p1 | 10m view p1 | 15m view p1", &[]);
    // Another one was put in the cart.
    check(VIEWED, "0m view p1 | 5m add p2 | 10m view p1 | 15m view p1", &["15m p1"]);
    // A list of products is a view of each.
    check(VIEWED, "0m view p1 | 5m view p1 p2 | 10m view p1 p2 | 15m view p2", &["10m p1", "15m p2"]);
}

#[test]
fn a_session_ends_with_a_pause_of_thirty_minutes() {
    check(VIEWED, "0m view p1 | 29m view p1 | 58m view p1", &["58m p1"]);
    check(VIEWED, "0m view p1 | 10m view p1 | 40m view p1 | 45m view p1", &[]);
    check(VIEWED, "0m view p1 | 10m view p1 | 40m view p1 | 45m view p1 | 50m view p1", &["50m p1"]);
    // A new session makes it false, so that the next one can fire again.
    check(
        VIEWED,
        "0m view p1 | 1m view p1 | 2m view p1 | 60m view p1 | 61m view p1 | 62m view p1",
        &["2m p1", "1h2m p1"],
    );
    // Any tracked event holds a session together; a shop's does not.
    check(VIEWED, "0m view p1 | 20m page | 40m view p1 | 60m view p1", &["1h p1"]);
    check(VIEWED, "0m view p1 | 20m buy +shop | 40m view p1 | 60m view p1", &[]);
}

#[test]
fn a_purchase_is_followed_up_after_thirty_days() {
    check(FOLLOW_UP, "0m buy", &["30d"]);
    check(FOLLOW_UP, "0m buy | 10d buy", &["40d"]);
    check(FOLLOW_UP, "0m buy | 60d buy", &["30d", "90d"]);
}

#[test]
fn the_last_purchase_is_ninety_days_ago() {
    check(LAPSED, "0m buy | 89d view", &["90d"]);
    check(LAPSED, "0m buy | 89d buy", &["179d"]);
    check(LAPSED, "0m view", &[]);
}

#[test]
fn a_form_fires_when_it_is_sent() {
    check(FORM, "5m form", &["5m"]);
    check(FORM, "5m form | 2h form | 8d form", &["5m", "2h cooling_down", "8d"]);
    // Still true: no second edge.
    check(FORM, "5m form | 10m form", &["5m"]);
}

#[test]
fn a_landing_page_fires_once_for_each_person() {
    check(LANDING, "5m page path=/sale/shoes | 8h page path=/sale", &["5m", "8h already_fired"]);
    check(LANDING, "5m page path=/about", &[]);
    check(LANDING, "5m page path=/sale @a | 6m page path=/sale @b", &["5m", "6m"]);
}
