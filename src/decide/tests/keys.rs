//! Keys: from when on there is one, and which comes first.

use super::*;
use crate::decide;

#[test]
fn a_key_exists_from_the_first_event_that_carries_it() {
    let any = "name = \"any\"\nper = \"product_id\"\nwhen = { did = \"Order Completed\", any_key = true }";
    check(any, "0m buy | 5m view p1", &["5m p1"]);
    check(any, "0m view p1 | 1m view p2 | 5m buy", &["5m p1", "5m p2"]);
    let never = "name = \"never\"\nper = \"product_id\"\nwhen = { not = { did = \"Product Added\" } }";
    check(never, "0m view p1 | 1m add p2", &["0m p1"]);
}

#[test]
fn first_seen_is_the_persons_and_not_the_keys() {
    let silent = "name = \"silent\"\nper = \"product_id\"\nwhen = { did_not = \"Product Added\", within = \"1h\" }";
    check(silent, "0m page | 2h view p1", &["2h p1"]);
    check(silent, "0m page | 30m view p1", &["1h p1"]);
}

#[test]
fn with_equal_time_priority_then_name_then_key_decide() {
    let rule = |name: &str, priority: u8| {
        format!(
            "name = \"{name}\"\npriority = {priority}\nper = \"product_id\"\n\
             when = {{ last = \"Product Viewed\", over = \"10m\" }}"
        )
    };
    let texts = [rule("b", 50), rule("c", 90), rule("a", 50)];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let program = compile(&texts, &rules::Settings::default());
    let mut loaded = Loaded::default();
    let batch = [(Position(1), event("0m view p2 p1", 1))];
    decide::events(&mut loaded, &batch, START, &program, &identity::Settings::default());
    let people: Vec<PersonId> = loaded.people.keys().copied().collect();
    let later = START + length("10m");
    let decisions = decide::timers(&mut loaded, &people, later, later, &program).decisions;
    let order: Vec<String> = decisions.iter().map(|d| format!("{}{}", d.trigger, d.key)).collect();
    assert_eq!(order, ["cp1", "cp2", "ap1", "ap2", "bp1", "bp2"]);
}
