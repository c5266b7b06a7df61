//! What frequency caps make of edges.

use super::*;

/// Low: each cart that something is put in. High: each product that is viewed.
const LOW: &str = "name = \"low\"\npriority = 10\nper = \"cart_id\"\nexpires = \"13h\"\n\
                   [[when.all]]\ndid = \"Product Added\"\nwithin = \"1m\"";
const HIGH: &str = "name = \"high\"\npriority = 90\nper = \"product_id\"\nexpires = \"13h\"\n\
                    [[when.all]]\ndid = \"Product Viewed\"\nwithin = \"1m\"";

const NIGHT: &str = "quiet_hours = { from = \"20:00\", until = \"08:00\", zone = \"UTC\" }\n";

#[track_caller]
fn check_all(gates: &str, rules: &[&str], timeline: &str, fires: &[&str]) {
    let settings = rules::Settings { gates: toml::from_str(gates).expect("gates"), ..Default::default() };
    assert_eq!(tell(&compile(rules, &settings), timeline, "9d").fires, fires, "{timeline}");
}

#[track_caller]
fn check(gates: &str, timeline: &str, fires: &[&str]) {
    check_all(gates, &[LOW, HIGH], timeline, fires);
}

/// By night.
#[track_caller]
fn check_night(cap: &str, timeline: &str, fires: &[&str]) {
    check(&format!("{NIGHT}{cap}"), timeline, fires);
}

#[test]
fn no_more_leave_than_a_cap_allows() {
    let cap = "cap = { most = 2, within = \"1d\" }";
    check(cap, "0m add c1 | 10m view p1 | 20m add c2", &["0m c1", "10m p1", "20m c2 cap"]);
    // A day after the first there is room again, and what was dropped took no place.
    check(cap, "0m add c1 | 10m add c2 | 20m add c3 | 24h add c4", &["0m c1", "10m c2", "20m c3 cap", "1d c4"]);
    check(cap, "0m add c1 | 10m add c2 | 23h59m add c3", &["0m c1", "10m c2", "23h59m c3 cap"]);
    // At one instant the higher priority has the last place.
    let both = "name = \"both\"\npriority = 20\n[[when.all]]\ndid = \"Product Added\"\nwithin = \"1m\"";
    check_all("cap = { most = 1, within = \"1d\" }", &[LOW, both], "5m add c1", &["5m", "5m c1 cap"]);
}

#[test]
fn every_cap_holds() {
    let caps = "cap = [{ most = 3, within = \"7d\" }, { most = 1, within = \"1h\" }]";
    check(
        caps,
        "0m add c1 | 30m add c2 | 1h add c3 | 3h add c4 | 5h add c5 | 7d add c6",
        &["0m c1", "30m c2 cap", "1h c3", "3h c4", "5h c5 cap", "7d c6"],
    );
}

#[test]
fn a_trigger_may_be_exempt() {
    let exempt = format!("cap = false\n{LOW}");
    let cap = "cap = { most = 1, within = \"1d\" }";
    check_all(
        cap,
        &[&exempt, HIGH],
        "0m add c1 | 1m add c2 | 2m view p1 | 3m add c3 | 4m view p2",
        &["0m c1", "1m c2", "2m p1", "3m c3", "4m p2 cap"],
    );
}

#[test]
fn what_leaves_late_counts_from_when_it_leaves() {
    // Learned of at ten in the morning, so that it leaves then.
    let cap = "cap = { most = 1, within = \"2h\" }";
    check(cap, "7h@10h add c1 | 11h add c2 | 12h add c3", &["7h c1", "11h c2 cap", "12h c3"]);
    check_night(
        cap,
        "21h add c1 | 1d9h30m add c2 | 1d10h add c3",
        &["21h c1 delayed until 1d8h", "1d9h30m c2 cap", "1d10h c3"],
    );
    // All that waits for the morning would leave at once.
    check_night(cap, "21h add c1 | 1d add c2", &["21h c1 delayed until 1d8h", "1d c2 cap"]);
}

#[test]
fn a_higher_priority_takes_the_place_of_what_waits() {
    let one = "cap = { most = 1, within = \"1d\" }";
    check_night(
        one,
        "21h add c1 | 22h view p1",
        &["21h c1 delayed until 1d8h", "22h p1 delayed until 1d8h", "21h c1 recalled"],
    );
    // Not of the same or a higher one, nor of what has left.
    check_night(one, "21h view p1 | 22h view p2", &["21h p1 delayed until 1d8h", "22h p2 cap"]);
    check_night(one, "21h view p1 | 22h add c1", &["21h p1 delayed until 1d8h", "22h c1 cap"]);
    check_night(one, "12h add c1 | 22h view p1", &["12h c1", "22h p1 cap"]);
    // What leaves within a minute may be on its way.
    let at_any_time = format!("quiet_hours = false\n{HIGH}");
    let rules = [LOW, &*at_any_time];
    let gates = format!("{NIGHT}{one}");
    check_all(&gates, &rules, "21h add c1 | 1d7h59m view p1", &["21h c1 delayed until 1d8h", "1d7h59m p1 cap"]);
    let taken = ["21h c1 delayed until 1d8h", "1d7h58m p1", "21h c1 recalled"];
    check_all(&gates, &rules, "21h add c1 | 1d7h58m view p1", &taken);
}

#[test]
fn the_weakest_gives_its_place_and_no_more_than_needed() {
    let two = "cap = { most = 2, within = \"1d\" }";
    check_night(
        two,
        "21h add c1 | 22h add c2 | 23h view p1",
        &["21h c1 delayed until 1d8h", "22h c2 delayed until 1d8h", "23h p1 delayed until 1d8h", "22h c2 recalled"],
    );
    // One that has left holds one place of the narrower cap: the wider one alone would have room to make.
    let both = "cap = [{ most = 1, within = \"13h\" }, { most = 3, within = \"7d\" }]";
    check_night(both, "19h30m view p1 | 21h add c1 | 22h view p2", &["19h30m p1", "21h c1 cap", "22h p2 cap"]);
}

#[test]
fn what_is_called_back_while_it_waits_gives_its_place_back() {
    let one = "cap = { most = 1, within = \"1d\" }\n";
    let held = LOW.replace(
        "did = \"Product Added\"\nwithin = \"1m\"",
        "last = \"Product Added\"\nover = \"1m\"\n\
                            [[when.all]]\ndid_not = \"Order Completed\"\nsince = \"Product Added\"",
    );
    let rules = [&*held, HIGH];
    check_all(
        &format!("{NIGHT}{one}"),
        &rules,
        "21h add c1 | 22h buy c1 | 23h view p1",
        &["21h1m c1 delayed until 1d8h", "21h1m c1 cancelled", "23h p1 delayed until 1d8h"],
    );
    // By the time that the order is heard of, the reminder may have left.
    check_all(
        &format!("{NIGHT}{one}"),
        &rules,
        "21h add c1 | 1d7h@1d9h buy c1 | 1d9h30m view p1",
        &["21h1m c1 delayed until 1d8h", "21h1m c1 cancelled", "1d9h30m p1 cap"],
    );
    let consent = format!("channel = \"sms\"\n{LOW}");
    check_all(
        &format!("{NIGHT}{one}"),
        &[&consent, HIGH],
        "21h add c1 | 22h unsubscribe channel=sms | 23h view p1",
        &["21h c1 delayed until 1d8h", "21h c1 recalled", "23h p1 delayed until 1d8h"],
    );
    // What was not delayed may have left.
    check_all(one, &rules, "0m add c1 | 2m buy c1 | 3m view p1", &["1m c1", "1m c1 cancelled", "3m p1 cap"]);
}

#[test]
fn who_is_held_out_displaces_nothing_and_takes_no_place() {
    let held_out = format!("holdout = 100\n{HIGH}");
    let one = format!("{NIGHT}cap = {{ most = 1, within = \"1d\" }}");
    check_all(&one, &[LOW, &held_out], "21h add c1 | 22h view p1", &["21h c1 delayed until 1d8h", "22h p1 holdout"]);
    check_all(&one, &[LOW, &held_out], "12h view p1 | 13h add c1", &["12h p1 holdout", "13h c1"]);
}

#[test]
fn two_who_become_one_have_had_what_both_had() {
    let cap = "cap = { most = 2, within = \"1d\" }";
    check(
        cap,
        "0m add c1 ~phone | 1m add c2 @ines | 2m identify ~phone @ines | 3m add c3 @ines",
        &["0m c1", "1m c2", "3m c3 cap"],
    );
    // What waited for either can give its place.
    check_night(
        cap,
        "21h add c1 ~phone | 21h30m add c2 @ines | 22h identify ~phone @ines | 23h view p1 @ines",
        &[
            "21h c1 delayed until 1d8h",
            "21h30m c2 delayed until 1d8h",
            "23h p1 delayed until 1d8h",
            "21h30m c2 recalled",
        ],
    );
}
