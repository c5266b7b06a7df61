//! `decide` against an oracle that shares no code with it: random rules, random timelines, the same edges at the same
//! instants.

mod oracle;
mod random;

use espalier::identity;
use espalier::model::{Decision, Timestamp};
use espalier::replay::relive;
use espalier::rules::Program;
use oracle::{Guard, Hours, Law, OwnGuard, Quiet};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngAlgorithm;
use random::driving::{compile, decided, foretold};
use random::message::Turn;
use random::rules::{about_mail, about_pages, cap, guard, law, own_guard, rule};
use random::timelines::{Cast, cut, of_days, of_mail, of_pages, punctual, timeline, wishes, with};
use random::{HORIZON, instant};

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

fn compare(law: &Law, turns: &[Turn]) -> Result<(), TestCaseError> {
    compare_with(law, &compile(law), turns)
}

fn compare_with(law: &Law, program: &Program, turns: &[Turn]) -> Result<(), TestCaseError> {
    let (mut decided, mut foretold) = (decided(program, turns).edges(), foretold(law, turns));
    // Two edges of one person at one instant may be one occasion, which is let go once, when somebody resumes a trigger.
    if turns.iter().any(|turn| matches!(turn, Turn::Wish(..))) {
        for edges in [&mut decided, &mut foretold] {
            edges.dedup_by(|a, b| a == b && matches!(a.verdict, "released" | "recalled"));
        }
    }
    prop_assert!(decided == foretold, "decided  {decided:?}\nforetold {foretold:?}\n{}\n{turns:#?}", law.to_text());
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn one_person_gets_what_the_law_says(law in law(), turns in timeline(Cast::One)) {
        compare(&law, &turns)?;
    }

    #[test]
    fn people_who_turn_out_to_be_one_get_what_the_law_says(law in law(), turns in timeline(Cast::Several)) {
        compare(&law, &turns)?;
    }

    #[test]
    fn time_on_pages_is_what_the_law_says(law in law(), when in about_pages(), turns in timeline(Cast::One)) {
        let mut law = law;
        law.rules[0].when = when;
        compare(&law, &of_pages(turns))?;
    }

    #[test]
    fn engagement_is_what_the_law_says(law in law(), when in about_mail(), turns in timeline(Cast::Several)) {
        let mut law = law;
        law.rules[0].when = when;
        compare(&law, &of_mail(turns))?;
    }

    /// Where nothing is late, nobody is two and no trait becomes another, a history that is lived again comes to what was
    /// decided at first.
    #[test]
    fn a_history_lived_again_comes_to_the_same(law in law(), journal in punctual(Cast::One)) {
        let (mut law, mut journal) = (law, journal);
        // What comes into quiet hours or under a cap depends on when it is learned of.
        law.rules.iter_mut().for_each(|rule| (rule.expires, rule.gates.quiet) = (HORIZON, Quiet::Never));
        law.gates.caps.clear();
        for message in journal.iter_mut().flat_map(|(messages, _)| messages) {
            (message.deed.plan, message.deed.level, message.deed.sync) = (None, None, None);
        }
        let program = compile(&law);
        let kept = decided(&program, &cut(&journal, false));
        let told = |decisions: &[Decision]| {
            let gone = decisions.iter().filter(|d| !d.verdict.is_afterwards());
            let mut told: Vec<_> =
                gone.map(|d| (d.at, d.trigger.clone(), d.key.clone(), d.occasion, d.verdict.word())).collect();
            told.sort_by_key(|one| (one.0, one.1.clone(), one.2.clone()));
            told
        };
        for person in kept.people.values() {
            let names = identity::Settings::default();
            let lived = relive(person, &program, &names, Timestamp::MIN, instant(HORIZON));
            prop_assert_eq!(told(&lived.decisions), told(&kept.decisions), "{}", law.to_text());
        }
    }

    #[test]
    fn caps_by_night_hold_as_the_law_says(
        law in law(),
        more in rule("c-three"),
        caps in vec(cap(), 1..3),
        priorities in vec(0..4u8, 5),
        turns in select(&[Cast::One, Cast::Several][..]).prop_flat_map(timeline),
    ) {
        // All of the timeline is one night, at the end of which all may leave that is left.
        let mut law = law;
        law.rules.push(more);
        (law.gates.quiet, law.gates.caps) = (Some((Hours(20 * 60, 8 * 60), "UTC")), caps);
        for (rule, priority) in law.rules.iter_mut().zip(priorities) {
            (rule.priority, rule.expires, rule.cooldown, rule.once) = (priority, HORIZON, None, false);
            (rule.gates.quiet, rule.gates.holdout) = (Quiet::AsAll, None);
        }
        compare(&law, &turns)?;
    }

    #[test]
    fn what_is_paused_goes_as_the_law_says(
        law in law(),
        cast in select(&[Cast::One, Cast::Several][..]),
        wishes in wishes(),
        (one, several) in (timeline(Cast::One), timeline(Cast::Several)),
    ) {
        compare(&law, &with(if cast == Cast::One { one } else { several }, &wishes))?;
    }

    /// Of one person, since it depends on the order in which people fire; over hours, and over days.
    #[test]
    fn guards_hold_as_the_law_says(
        law in law(),
        guards in guards(),
        turns in timeline(Cast::One),
        is_long in any::<bool>(),
        wishes in option::of(wishes()),
    ) {
        let mut law = law;
        guard_by(&mut law, guards);
        let turns = with(turns, &wishes.unwrap_or_default());
        compare(&law, &if is_long { of_days(turns) } else { turns })?;
    }

    #[test]
    fn it_does_not_matter_how_the_journal_is_cut(law in law(), journal in punctual(Cast::Several)) {
        // What expires, comes into quiet hours or under a cap depends on when it is learned of, and so on the batches.
        let mut law = law;
        law.rules.iter_mut().for_each(|rule| (rule.expires, rule.gates.quiet) = (HORIZON, Quiet::Never));
        law.gates.caps.clear();
        let program = compile(&law);
        let told = |is_whole| {
            let kept = decided(&program, &cut(&journal, is_whole));
            let tell = |d: &Decision| {
                (d.at, d.trigger.clone(), d.key.clone(), d.person, d.occasion, d.verdict.word())
            };
            let mut told: Vec<_> = kept.decisions.iter().map(tell).collect();
            told.sort();
            told
        };
        prop_assert_eq!(told(true), told(false), "{}", law.to_text());
    }
}

/// One for all, and each rule's own.
fn guards() -> impl Strategy<Value = (Option<Guard>, Vec<OwnGuard>)> {
    (option::of(guard()), vec(own_guard(), 4))
}

fn guard_by(law: &mut Law, (common, guards): (Option<Guard>, Vec<OwnGuard>)) {
    law.gates.guard = common;
    law.rules.iter_mut().zip(guards).for_each(|(rule, guard)| rule.gates.guard = guard);
}

/// Timelines for each rule: what compiles and is drawn once serves for several.
const EACH: u32 = 10;

/// So many pairs of rules and timelines are compared: 2,000 unless told otherwise. `scripts/test` takes 100,000.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration")]
fn pairs() -> u32 {
    std::env::var("ESPALIER_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(2_000)
}

/// Half of all pairs, each rule with several timelines.
fn compare_pairs(cast: Cast) {
    let cases = (pairs() / 2).div_ceil(EACH);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..config() });
    // Over several people a guard depends on the order in which they fire.
    let guards = option::weighted(0.3, guards()).prop_map(move |guards| guards.filter(|_| cast == Cast::One));
    let timelines = vec((timeline(cast), option::weighted(0.3, wishes()), any::<bool>()), EACH as usize);
    let ended = runner.run(&(law(), guards, timelines), |(mut law, guards, timelines)| {
        let is_guarded = guards.is_some();
        guards.into_iter().for_each(|guards| guard_by(&mut law, guards));
        let program = compile(&law);
        timelines.into_iter().try_for_each(|(turns, wishes, is_long)| {
            let turns = with(turns, &wishes.unwrap_or_default());
            compare_with(&law, &program, &if is_guarded && is_long { of_days(turns) } else { turns })
        })
    });
    ended.unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn pairs_of_rules_and_timelines_of_one_person() {
    compare_pairs(Cast::One);
}

#[test]
fn pairs_of_rules_and_timelines_of_several_people() {
    compare_pairs(Cast::Several);
}
