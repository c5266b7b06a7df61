//! Levels and rates of engagement, which time alone changes too.

use super::*;

fn level(is: &str) -> String {
    format!("name = \"level\"\nwhen = {{ trait = \"engagement.level\", is = \"{is}\" }}\n")
}

#[test]
fn time_alone_makes_somebody_inactive() {
    check(&level("inactive"), "0m mail", &["14d"]);
    check(&level("inactive"), "0m mail | 10d open | 12d mail", &["24d"]);
    check(&level("inactive"), "0m mail | 10d open is_machine=true", &["14d"]);
    // Without an e-mail in the window there is no level; with the next there is one again.
    check(&level("inactive"), "0m page", &[]);
    check(&level("inactive"), "0m mail | 100d mail", &["14d", "100d"]);
}

#[test]
fn both_rates_make_somebody_high_until_time_takes_them_away() {
    check(&level("high"), "0m mail | 1h open | 2h click", &["2h"]);
    check(&level("high"), "0m mail | 1h open", &[]);
    // An open or a click takes the reason from what has not left.
    check(&level("moderate"), "0m mail | 1h open | 2h click", &["0m", "0m cancelled"]);
    // One open of six is too few; when the mails of the first day have left the window it is one of one.
    let mails = "0m mail | 1m mail | 2m mail | 3m mail | 4m mail | 80d mail | 80d1h open | 80d2h click";
    check(&level("high"), mails, &["90d"]);
}

#[test]
fn a_rate_is_asked_when_what_it_counts_leaves() {
    let rate = "name = \"rate\"\nwhen = { trait = \"engagement.open_rate\", at_least = 0.5 }\n";
    check(rate, "0m mail | 1h mail | 2h mail | 3h open", &["90d"]);
    let none = "name = \"none\"\nwhen = { trait = \"engagement.click_rate\", exists = false }\n";
    check(none, "0m mail | 1h click", &["90d"]);
}
