//! What destinations are told without a trigger.

use crate::model::{Activation, Channel, ConsentLane, PassedOn};

use super::*;

/// Consent of e-mail and text messages goes to `esp`, which the source `mailer` reads; `esp` and `crm` forget people.
fn program() -> Program {
    let consent =
        ConsentLane { lane: "esp".into(), channels: vec![Channel::Email, Channel::Sms], except: vec!["mailer".into()] };
    let passed_on = PassedOn { erasure: vec!["esp".into(), "crm".into()], consent: vec![consent] };
    compile(&[], &rules::Settings { passed_on, ..rules::Settings::default() })
}

fn activations(timeline: &str) -> (Vec<Activation>, Vec<crate::model::Erasure>) {
    let program = program();
    let mut loaded = Loaded::default();
    let (mut said, mut erased) = (Vec::new(), Vec::new());
    for (n, text) in timeline.split('|').enumerate() {
        let event = event(text.trim(), n);
        let now = event.arrived;
        let batch = [(Position(n as u64 + 1), event)];
        let changes = super::super::events(&mut loaded, &batch, now, &program, &identity::Settings::default());
        for activation in &changes.activations {
            let lanes = changes.decisions.iter().find(|d| d.occasion == activation.occasion).expect("a decision");
            assert!(lanes.verdict.lanes().contains(&activation.lane));
        }
        said.extend(changes.activations);
        erased.extend(changes.erased.into_iter().map(|(erasure, _)| erasure));
    }
    (said, erased)
}

/// Lines like `10m esp subscribe email: a@x`.
#[track_caller]
fn check(timeline: &str, told: &[&str]) {
    let (said, _) = activations(timeline);
    let line = |one: &Activation| {
        let names: Vec<&str> = one.identifiers.iter().map(|name| &*name.value).collect();
        format!("{} {} {}: {}", since_start(one.at), one.lane, one.action, names.join(" "))
    };
    assert_eq!(said.iter().map(line).collect::<Vec<_>>(), told, "{timeline}");
}

#[test]
fn a_fresh_yes_is_told_of_the_address_it_was_given_with() {
    check("0m subscribe @ines &a@x", &["0m esp subscribe email: a@x"]);
    check("0m identify @ines &a@x | 1m subscribe @ines &b@x", &["1m esp subscribe email: b@x"]);
    check("0m identify @ines &a@x | 1m subscribe @ines", &["1m esp subscribe email: a@x"]);
    check("0m subscribe @ines ^+351 channel=sms", &["0m esp subscribe sms: +351"]);
    // Once, though it is said again.
    check("0m subscribe @ines &a@x | 1d subscribe @ines &a@x", &["0m esp subscribe email: a@x"]);
    // Read from a list a month later.
    check("0m@30d subscribe @ines &a@x", &[]);
    // Without an address nobody can be told.
    check("0m subscribe @ines", &[]);
    check("0m subscribe @ines &a@x channel=push", &[]);
}

#[test]
fn a_no_is_told_however_old_and_of_every_address() {
    check(
        "0m subscribe @ines &a@x | 1m identify @ines &b@x | 2m unsubscribe @ines",
        &["0m esp subscribe email: a@x", "2m esp unsubscribe email: a@x b@x"],
    );
    check("0m@300d unsubscribe @ines &a@x", &["0m esp unsubscribe email: a@x"]);
    check("0m bounce @ines &a@x type=hard", &["0m esp suppress: a@x"]);
    check("0m identify @ines &a@x %sms_suppressed=true | 1m identify @ines ^+351", &["1m esp unsubscribe sms: +351"]);
    // It was said before the address was known.
    check("0m unsubscribe @ines | 1h identify @ines &a@x", &["1h esp unsubscribe email: a@x"]);
    // And again, which changes nothing.
    check("0m unsubscribe @ines &a@x | 1h unsubscribe @ines", &["0m esp unsubscribe email: a@x"]);
}

#[test]
fn what_is_suppressed_is_not_subscribed_until_that_is_lifted() {
    check(
        "0m spam @ines &a@x | 1m subscribe @ines | 2m lift @ines",
        &["0m esp suppress: a@x", "2m esp unsuppress: a@x", "2m esp subscribe email: a@x"],
    );
}

#[test]
fn what_the_account_itself_says_is_not_told_to_it() {
    check("0m unsubscribe /mailer @ines &a@x", &[]);
    check("0m identify @ines &a@x | 1m unsubscribe /mailer @ines", &[]);
    check("0m subscribe /mailer @ines &a@x | 1m unsubscribe @ines", &["1m esp unsubscribe email: a@x"]);
    // Of another address of theirs the account knows nothing.
    check("0m unsubscribe /mailer @ines &a@x | 1m identify @ines &b@x", &["1m esp unsubscribe email: a@x b@x"]);
}

#[test]
fn who_turns_out_to_be_somebody_takes_the_no_along_and_not_the_yes() {
    check(
        "0m identify ~phone &a@x | 1m unsubscribe ~phone | 2m identify @ines &b@x | 3m alias @ines &a@x",
        &["1m esp unsubscribe email: a@x", "3m esp unsubscribe email: a@x b@x"],
    );
    check(
        "0m identify ~phone &a@x | 1m subscribe ~phone | 2m identify @ines &b@x | 3m alias @ines &a@x",
        &["1m esp subscribe email: a@x"],
    );
}

#[test]
fn who_is_forgotten_is_forgotten_at_the_destinations_too() {
    check(
        "0m view @ines &a@x ^+351 ~phone | 10m erase @ines",
        &["10m esp erase: a@x +351 ines", "10m crm erase: a@x +351 ines"],
    );
    // A destination may know whom we do not.
    check("0m erase &a@x", &["0m esp erase: a@x", "0m crm erase: a@x"]);
    // Whether anybody is known there by this is theirs to say.
    check("0m view @ines | 10m erase @ines", &["10m esp erase: ines", "10m crm erase: ines"]);
}

#[test]
fn an_erasure_waits_for_what_is_on_its_way_and_has_a_receipt_without_names() {
    let (said, erased) = activations("0m view @ines &a@x | 5m view @ines | 10m erase @ines &other@x /shop");
    assert!(said.iter().all(|one| one.not_before == Some(one.at + Span::from_hours(1))), "{said:?}");
    assert!(said.iter().all(|one| one.expires_at > one.at + Span::from_days(3_000)));
    let [receipt] = erased.as_slice() else { panic!("{erased:?}") };
    assert_eq!((receipt.names, receipt.events, &*receipt.source), (3, 2, "shop"));
    assert_eq!(receipt.lanes.len(), 2);
    assert_eq!(receipt.id, said[0].occasion);
    let told = format!("{receipt:?}");
    assert!(!told.contains("a@x") && !told.contains("ines"), "{told}");
}

#[test]
fn who_was_joined_just_before_is_forgotten_with_them() {
    let form = "name = \"form\"\nwhen = { did = \"Form Submitted\" }";
    let program = compile(&[form], &rules::Settings::default());
    let mut loaded = Loaded::default();
    let timeline = ["0m form &a@x", "1m view @ines &b@x", "2m alias @ines &a@x", "3m erase @ines"];
    let events: Vec<_> = timeline.iter().zip(1..).map(|(text, n)| (Position(n), event(text, n as usize))).collect();
    let now = events[3].1.arrived;
    let changes = super::super::events(&mut loaded, &events, now, &program, &identity::Settings::default());
    assert_eq!((changes.activations.len(), changes.decisions.len(), changes.joins.len()), (0, 0, 0), "{changes:?}");
    assert!(loaded.people.is_empty() && loaded.owners.is_empty());
}
