//! Guests who turn out to be known, merges, and who is forgotten.

use super::*;

#[test]
fn a_guest_who_registers_at_checkout_gets_no_reminder() {
    check(CART, "0m add c1 ~phone | 10m identify ~phone @ines | 20m buy c1 @ines", &[]);
    check(CART, "0m add c1 ~phone | 20m buy c1 @ines | 25m identify ~phone @ines", &[]);
    check(CART, "0m add c1 ~phone | 20m buy @ines +shop | 25m identify ~phone @ines", &[]);
    check(CART, "0m add c1 ~phone | 10m identify ~phone @ines", &["30m c1"]);
    // It turns out after the edge, and before it left.
    check(CART, "0m add c1 ~phone | 20m buy @ines | 35m identify ~phone @ines", &["30m c1", "30m c1 cancelled"]);
}

#[test]
fn a_merge_fires_only_what_was_false_for_both() {
    let thrice = "name = \"thrice\"\nwhen = { did = \"Product Viewed\", at_least = 3 }";
    check(thrice, "0m view ~phone | 1m view ~phone | 2m view @ines | 5m identify ~phone @ines", &["5m"]);
    check(
        thrice,
        "0m view ~phone | 1m view ~phone | 2m view ~phone | 3m view @ines | 5m identify ~phone @ines | 6m view @ines",
        &["2m"],
    );
}

#[test]
fn once_and_cooldown_survive_a_merge() {
    check(
        LANDING,
        "0m page path=/sale ~phone | 3h identify ~phone @ines | 5h page path=/sale @ines",
        &["0m", "5h already_fired"],
    );
    check(FORM, "0m form ~phone | 3h identify ~phone @ines | 5h form @ines", &["0m", "5h cooling_down"]);
}

#[test]
fn two_accounts_on_one_device_stay_two() {
    check(CART, "0m add c1 @a ~ipad | 10m view @b ~ipad | 20m buy @b ~ipad", &["30m c1"]);
}

#[test]
fn who_is_forgotten_is_reminded_of_nothing() {
    check(CART, "0m add c1 | 10m erase @ines", &[]);
    let program = compile(&[CART], &rules::Settings::default());
    let story = tell(&program, "0m add c1 ~phone @ines | 10m erase @ines", "9d");
    assert!(story.loaded.people.is_empty() && story.loaded.owners.is_empty());
}

#[test]
fn erasure_forgets_those_who_are_named_and_nobody_else() {
    #[track_caller]
    fn check(erase: &str, left: &[&str]) {
        let timeline = format!("0m view @a ~ipad | 1m view @b | 2m view ~tv | {erase}");
        let story = tell(&compile(&[], &rules::Settings::default()), &timeline, "1h");
        let mut names: Vec<&str> = story.loaded.owners.keys().map(|name| &*name.value).collect();
        names.sort_unstable();
        assert_eq!(names, left, "{erase}");
        assert!(story.loaded.owners.values().all(|id| story.loaded.people.contains_key(id)));
    }
    check("9m erase @a", &["b", "tv"]);
    check("9m erase @a @b", &["tv"]);
    check("9m erase @nobody", &["a", "b", "ipad", "tv"]);
    // A device does not say who asks to be forgotten.
    check("9m erase ~ipad", &["a", "b", "ipad", "tv"]);
    // Who comes back is somebody new.
    check("9m erase @a | 10m view @a", &["a", "b", "tv"]);
}
