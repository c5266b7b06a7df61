//! What gates make of edges. A word `%name=value` sets a trait.

use super::*;

#[test]
fn who_said_no_gets_nothing_until_a_later_act_says_yes() {
    check(CART, "0m unsubscribe | 1m add c1", &["31m c1 consent"]);
    check(CART, "0m subscribe | 1m add c1", &["31m c1"]);
    check(CART, "0m unsubscribe | 1m subscribe | 2m add c1", &["32m c1"]);
    check(CART, "0m subscribe | 1m unsubscribe | 2m add c1", &["32m c1 consent"]);
    // Another channel's.
    check(CART, "0m unsubscribe channel=sms | 1m add c1", &["31m c1"]);
    check_with(CART, "channel = \"sms\"", "0m unsubscribe channel=sms | 1m add c1", &["31m c1 consent"]);
    check_with(CART, "channel = \"push\"", "0m unsubscribe channel=all | 1m add c1", &["31m c1 consent"]);
    // What gates drop did not fire: it cools nothing down.
    check(FORM, "0m unsubscribe | 1m form | 2h subscribe | 3h form", &["1m consent", "3h"]);
}

#[test]
fn a_sync_lowers_and_never_raises() {
    check(CART, "0m identify %email_consent=unsubscribed | 1m add c1", &["31m c1 consent"]);
    check(CART, "0m unsubscribe | 1m identify %email_consent=subscribed | 2m add c1", &["32m c1 consent"]);
    // With the date of the act it is that act: here before the withdrawal, and after it.
    let dated = |at: &str| {
        format!("10m unsubscribe | 20m identify %email_consent=subscribed %email_consent_at={at} | 21m add c1")
    };
    check(CART, &dated("2026-01-01T00:05:00Z"), &["51m c1 consent"]);
    check(CART, &dated("2026-01-01T00:15:00Z"), &["51m c1"]);
}

#[test]
fn consent_heard_of_late_counts_from_its_own_time() {
    check(CART, "10m subscribe | 5m@12m unsubscribe | 13m add c1", &["43m c1"]);
    check(CART, "10m unsubscribe | 5m@12m subscribe | 13m add c1", &["43m c1 consent"]);
    check(CART, "10m unsubscribe | 10m@12m subscribe | 13m add c1", &["43m c1 consent"]);
}

#[test]
fn the_policy_says_whose_consent_is_asked() {
    check_with(CART, "consent = \"opt_in\"", "0m add c1", &["30m c1 consent"]);
    check_with(CART, "consent = \"opt_in\"", "0m subscribe | 1m add c1", &["31m c1"]);
    check_with(CART, "consent = \"none\"", "0m unsubscribe | 1m add c1", &["31m c1"]);
    check_with(CART, "consent = \"none\"", "0m spam | 1m add c1", &["31m c1 suppression"]);
    let gates = rules::gate::Settings { consent: rules::gate::Policy::OptIn, ..Default::default() };
    let settings = rules::Settings { gates, ..Default::default() };
    assert_eq!(tell(&compile(&[CART], &settings), "0m add c1", "2d").fires, ["30m c1 consent"]);
    let own = format!("consent = \"opt_out\"\n{CART}");
    assert_eq!(tell(&compile(&[&own], &settings), "0m add c1", "2d").fires, ["30m c1"]);
}

#[test]
fn suppression_stops_until_it_is_lifted() {
    check(CART, "0m bounce bounce_type=hard | 1m add c1", &["31m c1 suppression"]);
    check(CART, "0m bounce bounce_type=soft | 1m add c1", &["31m c1"]);
    check(CART, "0m spam | 1m subscribe | 2m add c1", &["32m c1 suppression"]);
    check(CART, "0m spam | 1m lift | 2m add c1", &["32m c1"]);
    // Consent is asked first.
    check(CART, "0m spam | 1m unsubscribe | 2m add c1", &["32m c1 consent"]);
}

#[test]
fn what_waits_is_called_back_when_consent_goes() {
    check(CART, "0m add c1 | 35m unsubscribe", &["30m c1", "30m c1 recalled"]);
    check(CART, "0m add c1 | 35m identify %email_consent=no", &["30m c1", "30m c1 recalled"]);
    check(CART, "0m add c1 | 35m unsubscribe channel=sms", &["30m c1"]);
    // After it expired there is nothing to call back.
    check(CART, "0m add c1 | 5h unsubscribe", &["30m c1"]);
}

#[test]
fn of_two_who_become_one_the_lower_consent_holds() {
    check(CART, "0m unsubscribe ~phone | 1m add c1 @ines | 2m identify ~phone @ines", &["31m c1 consent"]);
    check(CART, "0m unsubscribe ~phone | 1m subscribe @ines | 2m identify ~phone @ines | 3m add c1 @ines", &["33m c1"]);
    check(CART, "0m add c1 @ines | 20m unsubscribe ~phone | 35m identify ~phone @ines", &["30m c1", "30m c1 recalled"]);
}

#[test]
fn who_is_held_out_is_recorded_as_if_it_had_fired() {
    check_with(
        FORM,
        "holdout = \"100%\"",
        "0m form | 2h form | 8d form",
        &["0m holdout", "2h cooling_down", "8d holdout"],
    );
    check_with(
        LANDING,
        "holdout = 100",
        "0m page path=/sale | 8h page path=/sale",
        &["0m holdout", "8h already_fired"],
    );
    check_with(FORM, "holdout = 0", "0m form", &["0m"]);
    // What was not to go in any case tells nothing.
    check_with(FORM, "holdout = 100", "0m unsubscribe | 1m form", &["1m consent"]);
    let gates = rules::gate::Settings { holdout: "100%".parse().expect("a share"), ..Default::default() };
    let settings = rules::Settings { gates, ..Default::default() };
    assert_eq!(tell(&compile(&[FORM], &settings), "0m form", "2d").fires, ["0m holdout"]);
    let spared = format!("holdout = false\n{FORM}");
    assert_eq!(tell(&compile(&[&spared], &settings), "0m form", "2d").fires, ["0m"]);
}

/// Whoever is held out stays so through a merge, and a merge with somebody else changes nobody's group.
#[test]
fn a_merge_leaves_the_one_who_stays_in_their_group() {
    let half = format!("holdout = \"50%\"\nexpires = \"30d\"\n{}", FORM.replace("cooldown = \"7d\"\n", ""));
    let program = compile(&[&half], &rules::Settings::default());
    let mut groups = [0, 0];
    for n in 0..40 {
        let timeline = format!("0m form @u{n} | 2h page ~d{n} | 3h identify ~d{n} @u{n} | 5h form @u{n}");
        let fires = tell(&program, &timeline, "1d").fires;
        let is_held_out = fires[0].ends_with("holdout");
        assert_eq!(fires.len(), 2, "{fires:?}");
        assert_eq!(fires[1].ends_with("holdout"), is_held_out, "{fires:?}");
        groups[usize::from(is_held_out)] += 1;
    }
    assert!(groups[0] > 8 && groups[1] > 8, "{groups:?}");
}

fn cart(expires: &str) -> String {
    CART.replace("expires = \"4h\"", &format!("expires = \"{expires}\""))
}

/// The timelines begin at midnight UTC.
fn quiet(zone: &str) -> rules::Settings {
    let hours = format!("quiet_hours = {{ from = \"20:00\", until = \"08:00\", zone = \"{zone}\" }}");
    rules::Settings { gates: toml::from_str(&hours).expect("gates"), ..Default::default() }
}

#[track_caller]
fn check_quiet(rule: &str, timeline: &str, fires: &[&str]) {
    assert_eq!(tell(&compile(&[rule], &quiet("UTC")), timeline, "9d").fires, fires, "{timeline}");
}

#[test]
fn what_would_leave_in_quiet_hours_waits_for_their_end() {
    let cart = cart("13h");
    check_quiet(&cart, "19h add c1", &["19h30m c1"]);
    check_quiet(&cart, "19h30m add c1", &["20h c1 delayed until 1d8h"]);
    check_quiet(&cart, "7h29m add c1", &["7h59m c1 delayed until 8h"]);
    check_quiet(&cart, "7h30m add c1", &["8h c1"]);
    // The edge itself was before them, but it is learned of in them.
    check_quiet(FORM, "10h@12h form", &["10h"]);
    check_with(FORM, "expires = \"2d\"", "10h@21h form", &["10h"]);
    check_quiet(&format!("expires = \"2d\"\n{FORM}"), "10h@21h form", &["10h delayed until 1d8h"]);
}

#[test]
fn who_would_wait_until_it_expires_gets_nothing() {
    check_quiet(CART, "20h30m add c1", &["21h c1 quiet_hours"]);
    // At exactly its expiry it would never be in time.
    check_quiet(&cart("11h"), "20h30m add c1", &["21h c1 quiet_hours"]);
    check_quiet(&cart("39600001ms"), "20h30m add c1", &["21h c1 delayed until 1d8h"]);
    // It is no fire: it cools nothing down.
    check_quiet(CART, "20h30m add c1 | 1d9h add c2", &["21h c1 quiet_hours", "1d9h30m c2"]);
}

#[test]
fn a_trigger_may_have_hours_of_its_own() {
    let cart = cart("13h");
    check_quiet(&format!("quiet_hours = false\n{cart}"), "20h30m add c1", &["21h c1"]);
    let noon = format!("quiet_hours = {{ from = \"12:00\", until = \"14:00\" }}\n{cart}");
    check_quiet(&noon, "20h30m add c1 | 1d11h45m add c2", &["21h c1", "1d12h15m c2 cooling_down"]);
    check(&noon, "12h add c1", &["12h30m c1 delayed until 14h"]);
    let there = format!("quiet_hours = {{ from = \"12:00\", until = \"14:00\", zone = \"Asia/Kolkata\" }}\n{cart}");
    check(&there, "6h30m add c1", &["7h c1 delayed until 8h30m"]);
}

#[test]
fn the_clock_is_the_persons_where_it_is_known() {
    let cart = cart("13h");
    check_quiet(&cart, "0m identify %timezone=America/New_York | 20h30m add c1", &["21h c1"]);
    check_quiet(&cart, "0m identify %time_zone=Asia/Kolkata | 14h add c1", &["14h30m c1 delayed until 1d2h30m"]);
    // Nobody's zone is `Mars`: the configured one stands in.
    check_quiet(&cart, "0m identify %timezone=Mars | 20h30m add c1", &["21h c1 delayed until 1d8h"]);
    check_quiet(&cart, "0m identify %timezone=Mars %time_zone=America/New_York | 20h30m add c1", &["21h c1"]);
}

#[test]
fn what_waits_for_the_morning_is_called_back() {
    let cart = cart("13h");
    let delayed = "20h c1 delayed until 1d8h";
    check_quiet(&cart, "19h30m add c1 | 23h buy c1", &[delayed, "20h c1 cancelled"]);
    check_quiet(&cart, "19h30m add c1 | 23h unsubscribe", &[delayed, "20h c1 recalled"]);
    check_quiet(&cart, "19h30m add c1 | 1d7h view", &[delayed]);
}

#[test]
fn without_a_configuration_only_the_files_ask() {
    let settings = rules::Settings { gates: rules::gate::Settings::unconfigured(), ..Default::default() };
    let fires = |rule: &str, timeline: &str| tell(&compile(&[rule], &settings), timeline, "2d").fires;
    assert_eq!(fires(CART, "0m unsubscribe | 1m spam | 2m add c1"), ["32m c1"]);
    let asks = format!("consent = \"opt_out\"\n{CART}");
    assert_eq!(fires(&asks, "0m unsubscribe | 2m add c1"), ["32m c1 consent"]);
    let must_go = format!("consent = \"none\"\n{CART}");
    assert_eq!(fires(&must_go, "0m unsubscribe | 1m spam | 2m add c1"), ["32m c1 suppression"]);
}
