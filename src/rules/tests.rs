//! Mistakes in trigger files, each with its place and words, and what a file that is right comes to.

use crate::model::{
    Account, ActionKind, Entry, History, Lifetime, Origin, Person, PersonId, Position, RawJson, Span, Timestamp,
};

use super::{Files, Program, Settings, Trigger};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

pub(super) const HEAD: &str = "name = \"t\"\nactivate = [{ destination = \"esp\", event = \"Go\" }]\n";

pub(super) fn compile(text: &str) -> Result<Program, Vec<String>> {
    let files = [("t.toml".to_owned(), text.to_owned())];
    let crm = Account {
        lane: "crm".into(),
        can: &[ActionKind::Event, ActionKind::AddToList],
        has_numbers: true,
        night_every: None,
    };
    let program = Program::compile(&files, &Settings::default(), Some(&[Account::any("esp".into()), crm]));
    program.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn trigger(text: &str) -> Trigger {
    let program = compile(&format!("{HEAD}{text}")).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    program.triggers()[0].clone()
}

/// A whole file, and its mistakes.
#[track_caller]
fn check_file(text: &str, mistakes: &[&str]) {
    assert_eq!(compile(text).err().unwrap_or_default(), mistakes, "{text}");
}

/// A file whose third line is `line`, and that line's mistakes, without the file and line.
#[track_caller]
fn check(line: &str, mistakes: &[&str]) {
    let wanted: Vec<String> = mistakes.iter().map(|mistake| format!("t.toml:3:{mistake}")).collect();
    assert_eq!(compile(&format!("{HEAD}{line}")).err().unwrap_or_default(), wanted, "{line}");
}

// === mistakes ===

#[test]
fn a_file_that_is_right_has_none() {
    check("when = { did = \"Form Submitted\" }", &[]);
}

#[test]
fn what_is_not_toml_says_where() {
    let mistakes = compile("name = \"t\"\nwhen = {").err().unwrap_or_default();
    assert!(matches!(mistakes.as_slice(), [one] if one.starts_with("t.toml:2:")), "{mistakes:?}");
}

#[test]
fn an_unknown_key_gets_the_nearest_one_that_is_known() {
    check(
        "when = { did = \"A\", withn = \"7d\" }",
        &["21: when.withn: is not a key that is known here (did you mean `within`?)"],
    );
    check(
        "when = { last = \"A\", over = \"7d\", zebra = 1 }",
        &[
            "35: when.zebra: is not a key that is known here (known here: last, where, any_key, machine, over, under, as)",
        ],
    );
    check(
        "cooldwn = \"1d\"\nwhen = { did = \"A\" }",
        &["1: cooldwn: is not a key that is known here (did you mean `cooldown`?)"],
    );
}

#[test]
fn a_wrong_type_says_what_is_wanted() {
    check("when = { did = 5 }", &["16: when.did: must be a text in quotes"]);
    check("when = { did = \"\" }", &["16: when.did: must not be empty"]);
    check(
        "when = { did = \"A\", at_least = \"3\" }",
        &["32: when.at_least: must be a whole number from 0 to 4294967295"],
    );
    check("when = { did = \"A\", any_key = 1 }", &["31: when.any_key: must be true or false"]);
    check("when = \"A\"", &["8: when: must be a table"]);
    check(
        "when = { all = { did = \"A\" } }",
        &["16: when.all: must be a list", "16: when.all: must name at least one condition"],
    );
    check(
        "when = { did = \"A\", where = { price = { over = \"x\" } } }",
        &["48: when.where.price.over: must be a number"],
    );
}

#[test]
fn a_length_of_time_is_written_with_its_unit() {
    check(
        "when = { last = \"A\", over = 30 }",
        &["29: when.over: a length of time is written in quotes, like \"30m\", \"24h\" or \"14d\""],
    );
    check(
        "when = { last = \"A\", over = \"30\" }",
        &["29: when.over: `30` is not a length of time: write it like \"30m\", \"24h\" or \"14d\""],
    );
    check("when = { last = \"A\", over = \"0m\" }", &["29: when.over: must be longer than nothing"]);
}

#[test]
fn one_condition_says_one_thing() {
    check(
        "when = { did = \"A\", did_not = \"B\", since = \"A\" }",
        &["8: when: says did and did_not at once; each condition says one (put each into its own [[when.all]])"],
    );
    check(
        "when = { all = [{ did = \"A\" }], not = { did = \"B\" } }",
        &["8: when: says all and not at once; each condition says one (put each into its own [[when.all]])"],
    );
    check(
        "when = { trait = \"plan\", not = { did = \"B\" } }",
        &["8: when: says not and trait at once; each condition says one (put each into its own [[when.all]])"],
    );
    // Here it is a test of the trait.
    check("when = { trait = \"plan\", not = \"gold\" }", &[]);
}

#[test]
fn what_is_no_condition_says_which_there_are() {
    check("when = { lsat = \"A\" }", &["17: when.lsat: is not a condition (did you mean `last`?)"]);
    check(
        "when = { within = \"7d\" }",
        &["8: when: is not a condition (a condition begins with one of: all, any, not, did, did_not, last, \
           sum, ratio, seconds_on, trait, cohort, segment)"],
    );
    check("when = { all = [] }", &["16: when.all: must name at least one condition"]);
}

#[test]
fn a_leaf_says_all_that_it_needs() {
    check(
        "when = { last = \"A\" }",
        &["8: when: needs `over`, `under` or both (over = \"30m\": at least half an hour ago)"],
    );
    check("when = { last = \"A\", over = \"2h\", under = \"1h\" }", &["8: when: can never be: over 2h and under 1h"]);
    let either = "8: when: needs either `within` or `since`, and not both \
                  (within = \"14d\" for a window, since = \"Product Added\" for what came after an event)";
    check("when = { did_not = \"A\" }", &[either]);
    check("when = { did_not = \"A\", within = \"1h\", since = \"B\" }", &[either]);
}

#[test]
fn a_condition_that_can_never_be_is_told() {
    check("when = { sum = \"p\", of = \"A\", over = 5, under = 5 }", &["8: when: can never be: over 5 and under 5"]);
    check(
        "when = { ratio = \"A\", to = \"B\", over = 0.5, under = 0.25 }",
        &["8: when: can never be: over 0.5 and under 0.25"],
    );
    check(
        "when = { seconds_on = \"A\", over = \"3m\", under = \"2m\" }",
        &["8: when: can never be: over 3m and under 2m"],
    );
    check(
        "when = { did = \"A\", at_least = 3, at_most = 2 }",
        &["8: when: can never be: at_least 3 is over at_most 2"],
    );
    check(
        "when = { did = \"A\", at_least = { new = 5, else = 1 }, at_most = 3 }",
        &["8: when: can never be: at_least 5 is over at_most 3"],
    );
    check("when = { did = \"A\", at_least = { new = 5, else = 1 }, at_most = { new = 5, returning = 1 } }", &[]);
    let itself = "is the event itself: after its latest there is none (name another event, or ask `last` with `over`)";
    check("when = { did_not = \"A\", since = \"A\" }", &[&format!("33: when.since: {itself}")]);
    let far = "reaches back further than ten years (leave `within` out: then all there is counts)";
    check("when = { did = \"A\", within = \"4000d\" }", &[&format!("30: when.within: {far}")]);
}

#[test]
fn a_leaf_of_amounts_or_traits_says_what_it_needs() {
    let of = "needs `of`: the events whose property is added up (of = \"Order Completed\")";
    check("when = { sum = \"p\", over = 5 }", &[&format!("8: when: {of}")]);
    let to = "needs `to`: the events that are the whole (to = \"Email Delivered\")";
    check("when = { ratio = \"A\", over = 1 }", &[&format!("8: when: {to}")]);
    let either = "needs `over`, `under` or both (over = 100: at least a hundred)";
    check("when = { sum = \"p\", of = \"A\" }", &[&format!("8: when: {either}")]);
    check("when = { sum = \"p\", of = \"A\", over = 1e16 }", &["38: when.over: must be a number up to 1e15"]);
    check(
        "when = { seconds_on = \"A\", over = 120 }",
        &["35: when.over: a length of time is written in quotes, like \"30m\", \"24h\" or \"14d\""],
    );
    let predicate = "needs a predicate (is = \"gold\", or one of over, under, at_least, at_most, in, not, contains, \
                     starts_with, exists)";
    check("when = { trait = \"plan\" }", &[&format!("8: when: {predicate}")]);
    check(
        "when = { trait = \"plan\", iss = \"gold\" }",
        &[&format!("8: when: {predicate}"), "26: when.iss: is not a key that is known here (did you mean `is`?)"],
    );
    check(
        "when = { did = \"A\", within = \"7x\" }",
        &["30: when.within: `7x` is not a length of time: write it like \"30m\", \"24h\" or \"14d\""],
    );
}

#[test]
fn what_is_named_must_be_there() {
    check("when = { cohort = \"newe\" }", &["19: when.cohort: `newe` is not a cohort (did you mean `new`?)"]);
    check("when = { cohort = \"zzz\" }", &["19: when.cohort: `zzz` is not a cohort (there are: new, returning)"]);
    check("when = { segment = \"a\" }", &["20: when.segment: `a` is not a segment (there is no segment yet)"]);
    check(
        "when = { did = \"A\", at_least = { newe = 2 } }",
        &["41: when.at_least.newe: `newe` is not a cohort (did you mean `new`?)"],
    );
    check(
        "when = { did = \"A\", at_least = { else = 2 } }",
        &["32: when.at_least: names no cohort ({ new = 5, returning = 3, else = 4 })"],
    );
}

#[test]
fn a_segment_says_on_which_edge_something_starts() {
    let segment = |activate: &str| {
        let text = format!("name = \"a\"\nwhen = {{ did = \"A\" }}\nactivate = [{activate}]\n");
        let segments = [("a.toml".to_owned(), text)];
        let files = Files { segments: &segments, ..Files::default() };
        let told = Program::compile_all(&files, &Settings::default(), Some(&[Account::any("esp".into())]));
        told.err().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let both = "{ on = \"enter\", destination = \"esp\", event = \"In\" }, { on = \"exit\", destination = \"esp\", event = \"Out\" }";
    assert_eq!(segment(both), Vec::<String>::new());
    assert_eq!(segment("{ destination = \"esp\", event = \"In\" }"), ["a.toml:3:13: activate[0].on: is missing"]);
    assert_eq!(
        segment("{ on = \"leave\", destination = \"esp\", event = \"In\" }"),
        ["a.toml:3:20: activate[0].on: `leave` is no edge of a segment (\"enter\" or \"exit\")"]
    );
}

/// Its conditions' names are known to its templates, though they are read apart.
#[test]
fn a_segment_says_what_the_flow_gets() {
    let segment = |name: &str| {
        let when = "when = { did = \"A\", as = \"seen\" }";
        let text = format!("name = \"a\"\n{when}\npayload = {{ n = \"{{{{ events.{name} | length }}}}\" }}\n");
        let segments = [("a.toml".to_owned(), text)];
        let told = Program::compile_all(&Files { segments: &segments, ..Files::default() }, &Settings::default(), None);
        told.err().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(segment("seen"), Vec::<String>::new());
    assert_eq!(segment("a"), ["a.toml:3:17: payload.n: uses `events.a`, which is not known (known: seen)"]);
}

#[test]
fn words_say_what_a_leaf_asks() {
    #[track_caller]
    fn check(when: &str, words: &str) {
        assert_eq!(trigger(&format!("when = {{ {when} }}")).condition.leaves()[0].words(), words);
    }
    check("last = \"A\", over = \"30m\", under = \"2h\"", "last \"A\" at least 30m and less than 2h ago");
    check(
        "did = \"A\", at_least = { returning = 3, new = 5, else = 4 }",
        "\"A\" at least 5 for new, 3 for returning, 4 else times",
    );
    check(
        "sum = \"price\", of = \"A\", over = 19.90, within = \"7d\"",
        "price of \"A\" within 7d adds up to at least 19.9",
    );
    check("ratio = \"A\", to = \"B\", under = 0.2, at_least = 5", "\"A\" to \"B\" is less than 0.2, of at least 5");
    check("seconds_on = \"A\", over = \"2m\", within = \"session\"", "\"A\" looked at in the session for at least 2m");
    check("trait = \"plan\", is = { in = [\"gold\", \"silver\"] }", "trait plan is one of \"gold\", \"silver\"");
    check("cohort = \"new\"", "cohort new");
    check("trait = \"engagement.level\", is = \"high\"", "trait engagement.level is \"high\"");
    check("trait = \"engagement.open_rate\", under = 0.2", "trait engagement.open_rate is under 0.2");
}

#[test]
fn what_is_not_computed_of_engagement_is_told() {
    let known = "computed are: engagement.level, engagement.open_rate, engagement.click_rate";
    for name in ["engagement", "engagement.levl"] {
        check(
            &format!("when = {{ trait = \"{name}\", is = \"high\" }}"),
            &[&format!("18: when.trait: `{name}` is not computed ({known})")],
        );
    }
    check(
        "when = { trait = \"engagement.level\", is = \"hihg\" }",
        &["8: when: no level is so: is \"hihg\" (levels are: high, moderate, inactive)"],
    );
    check("when = { trait = \"engagement.level\", exists = false }", &[]);
}

#[test]
fn a_trigger_says_its_name_when_it_fires_and_what_it_starts() {
    check_file(
        "",
        &[
            "t.toml:1:1: activate: is missing: a trigger says what it starts ([[activate]]\ndestination = \"klaviyo\"\nevent = \"Cart Abandoned\")",
            "t.toml:1:1: name: is missing (name = \"cart-abandoned\")",
            "t.toml:1:1: when: is missing: a trigger says when it fires ([[when.all]]\ndid = \"Form Submitted\")",
        ],
    );
    check_file(
        "name = \"Cart Left\"\nwhen = { did = \"A\" }\n[[activate]]\ndestination = \"espp\"\n[[activate]]\ndestination = \"esp\"\nevent = \"Go\"\n",
        &[
            "t.toml:1:8: name: must be at most 64 lower-case letters, digits and dashes",
            "t.toml:3:1: activate[0].event: is missing (or another of event, list, remove_from, campaign, profile)",
            "t.toml:4:15: activate[0].destination: `espp` is not a destination (did you mean `esp`?)",
        ],
    );
    check_file(
        "name = \"t\"\nwhen = { did = \"A\" }\nactivate = [{ destination = \"espp\", event = \"Go\" }]",
        &["t.toml:3:29: activate[0].destination: `espp` is not a destination (did you mean `esp`?)"],
    );
}

#[test]
fn an_activation_does_one_thing_that_its_destination_can() {
    let told = |activate: &str| {
        let text = format!("name = \"t\"\nwhen = {{ did = \"A\" }}\nactivate = [{activate}]\n");
        compile(&text).err().unwrap_or_default()
    };
    for (activate, mistake) in [
        ("{ destination = \"esp\", list = \"UwQxX4\" }, { destination = \"esp\", event = \"Go\" }", None),
        ("{ destination = \"esp\", list = \"a\" }, { destination = \"esp\", remove_from = \"b\" }", None),
        ("{ destination = \"esp\", list = \"a\" }, { destination = \"esp\", list = \"b\" }", None),
        ("{ destination = \"crm\", list = \"77\" }", None),
        (
            "{ destination = \"crm\", list = \"UwQxX4\" }",
            Some(
                "3:43: activate[0].list: `UwQxX4` is no id at `crm`, where they are numbers (the number in the address of its page)",
            ),
        ),
        (
            "{ destination = \"crm\", campaign = \"12\" }",
            Some("3:47: activate[0].campaign: `crm` cannot do this (what it can do: event, list)"),
        ),
        (
            "{ destination = \"esp\", event = \"Go\", list = \"a\" }",
            Some(
                "3:57: activate[0].list: is a second thing to do: each [[activate]] says one (another [[activate]] of the same destination)",
            ),
        ),
        (
            "{ destination = \"esp\", profile = false }",
            Some("3:46: activate[0].profile: must be true, or not be there"),
        ),
        (
            "{ destination = \"esp\", list = \"a/b\" }",
            Some("3:43: activate[0].list: `a/b` is no id: letters, digits, dashes and underscores"),
        ),
        (
            "{ destination = \"esp\", list = \"a\" }, { destination = \"esp\", list = \"a\" }",
            Some("3:80: activate[1].list: `esp` is named twice: one occasion does this once there"),
        ),
        (
            "{ destination = \"esp\", event = \"Go\" }, { destination = \"esp\", event = \"Stop\" }",
            Some("3:68: activate[1].destination: `esp` is named twice: one occasion is one event there"),
        ),
        (
            "{ destination = \"esp\", lst = \"a\" }",
            Some("3:13: activate[0].event: is missing (or another of event, list, remove_from, campaign, profile)"),
        ),
    ] {
        let mistakes = told(activate);
        assert_eq!(mistakes.first().map(|m| m.trim_start_matches("t.toml:")), mistake, "{activate}");
    }
}

#[test]
fn two_triggers_have_two_names() {
    let text = format!("{HEAD}when = {{ did = \"A\" }}");
    let files = [("a.toml".to_owned(), text.clone()), ("b.toml".to_owned(), text)];
    let mistakes = Program::compile(&files, &Settings::default(), None).expect_err("a mistake");
    assert_eq!(mistakes[0].to_string(), "b.toml: name: `t` is the name of another trigger too");
}

#[test]
fn every_mistake_is_told_at_once() {
    check_file(
        "name = 1\nonce = \"yes\"\npriority = 101\nwhen = { all = [{ did = 1 }, { last = \"A\" }] }\n",
        &[
            "t.toml:1:1: activate: is missing: a trigger says what it starts ([[activate]]\ndestination = \"klaviyo\"\nevent = \"Cart Abandoned\")",
            "t.toml:1:8: name: must be a text in quotes",
            "t.toml:2:8: once: must be true or false",
            "t.toml:3:12: priority: must be a whole number from 0 to 100",
            "t.toml:4:25: when.all[0].did: must be a text in quotes",
            "t.toml:4:30: when.all[1]: needs `over`, `under` or both (over = \"30m\": at least half an hour ago)",
        ],
    );
}

#[test]
fn gates_are_named_as_they_are() {
    let when = "when = { did = \"A\" }";
    let check = |line: &str, mistakes: &[&str]| check_file(&format!("{HEAD}{line}\n{when}"), mistakes);
    check("channel = \"sms\"\nconsent = \"none\"", &[]);
    check("channel = \"e-mail\"", &["t.toml:3:11: channel: `e-mail` is not one of its values (did you mean `email`?)"]);
    check("channel = \"fax\"", &["t.toml:3:11: channel: `fax` is not one of its values (one of: email, sms, push)"]);
    check(
        "consent = \"opt-in\"",
        &["t.toml:3:11: consent: `opt-in` is not one of its values (did you mean `opt_in`?)"],
    );
    check("holdout = \"2.5%\"", &[]);
    check("holdout = 10", &[]);
    check("holdout = false", &[]);
    let share = "is a share from 0% to 100% with at most two decimals, like \"10%\" (`false`: nobody is held out)";
    check("holdout = 101", &[&format!("t.toml:3:11: holdout: {share}")]);
    check("holdout = true", &[&format!("t.toml:3:11: holdout: {share}")]);
    check("holdout = \"10\"", &[&format!("t.toml:3:11: holdout: `10` {}", share.replacen("is a", "is not a", 1))]);
    check("quiet_hours = false", &[]);
    check("quiet_hours = { from = \"21:00\", until = \"08:00\", zone = \"America/Sao_Paulo\" }", &[]);
    check(
        "quiet_hours = { from = \"21\", untill = \"08:00\", zone = \"Lisbon\" }",
        &[
            "t.toml:3:15: quiet_hours.until: is missing",
            "t.toml:3:24: quiet_hours.from: `21` is not a time of day: write it like \"21:00\" or \"08:30\"",
            "t.toml:3:30: quiet_hours.untill: is not a key that is known here (did you mean `until`?)",
            "t.toml:3:55: quiet_hours.zone: `Lisbon` is not a time zone: write its name, like \"Europe/Lisbon\" or \"UTC\"",
        ],
    );
    check(
        "quiet_hours = { from = \"08:00\", until = \"08:00\" }",
        &["t.toml:3:41: quiet_hours.until: is the same as `from`: that is no time at all, or all of it"],
    );
    let hours = "must be false or a table ({ from = \"21:00\", until = \"08:00\" })";
    check("quiet_hours = true", &[&format!("t.toml:3:15: quiet_hours: {hours}")]);
    check("cap = false", &[]);
    check("cap = 3", &["t.toml:3:7: cap: must be true or false"]);
    check("consent = true", &["t.toml:3:11: consent: must be a text in quotes"]);
}

// === what is taken for granted ===

#[test]
fn expiry_follows_the_shortest_length() {
    #[track_caller]
    fn check(text: &str, wanted: &str) {
        assert_eq!(trigger(text).expires.to_string(), wanted, "{text}");
    }
    check("when = { did = \"A\" }", "4h");
    check("when = { last = \"A\", over = \"30m\" }", "4h");
    check("when = { last = \"A\", over = \"30d\" }", "2d");
    check("when = { all = [{ last = \"A\", over = \"30d\" }, { did = \"B\", within = \"1h\" }] }", "4h");
    check("for = \"1h\"\nwhen = { last = \"A\", over = \"30d\" }", "4h");
    check("expires = \"1w\"\nwhen = { did = \"A\" }", "7d");
}

#[test]
fn only_what_decides_when_it_fires_is_its_meaning() {
    let usual = trigger("when = { did = \"A\" }");
    let same = trigger("title = \"Other\"\npriority = 9\ncooldown = \"1d\"\nwhen = { did = \"A\" }");
    assert_eq!(same.meaning, usual.meaning);
    for other in
        ["when = { did = \"B\" }", "when = { did = \"A\", at_least = 2 }", "per = \"p\"\nwhen = { did = \"A\" }"]
    {
        assert_ne!(trigger(other).meaning, usual.meaning, "{other}");
    }
}

// === what a filter admits ===

#[test]
fn predicates_read_properties() {
    #[track_caller]
    fn check(filter: &str, properties: &str, wanted: bool) {
        let program = compile(&format!("{HEAD}when = {{ did = \"A\", where = {{ {filter} }} }}")).expect("a good file");
        let mut person = Person::new(PersonId([1; 16]), Position(1), START);
        let properties = RawJson::parse(properties).expect("JSON");
        person.history.push(Entry::new(START, Position(1), "A".into(), Origin::Tracking, None, properties));
        assert_eq!(program.answer(&program.triggers()[0], &person, "", START).is_true, wanted, "{filter}");
    }
    let order =
        r#"{"total": "19.90", "code": "01", "gift": false, "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 3}]}"#;
    check("total = 19.9", order, true);
    check("total = { over = 19.9 }", order, false);
    check("total = { at_least = 19.9, under = 20 }", order, true);
    check("code = \"1\"", order, false);
    check("gift = false", order, true);
    check("\"lines.sku\" = \"b\"", order, true);
    check("\"lines.n\" = { over = 2 }", order, true);
    check("\"lines.sku\" = { in = [\"x\", \"a\"] }", order, true);
    check("\"lines.sku\" = { not = \"a\" }", order, false);
    check("colour = { not = \"blue\" }", order, true);
    check("colour = { exists = false }", order, true);
    check("code = { starts_with = \"0\", contains = \"1\" }", order, true);
    check("total = 19.9, code = \"02\"", order, false);
}

// === what is asked ===

#[test]
fn a_new_visit_asks_only_the_keys_that_can_be_true_in_it() {
    #[track_caller]
    fn check(when: &str, wanted: &[&str]) {
        let program = compile(&format!("{HEAD}per = \"p\"\nwhen = {when}")).expect("a good file");
        let mut person = Person::new(PersonId([1; 16]), Position(1), START);
        let seen = |days: i64, key: &str| {
            let properties = RawJson::parse(&format!("{{\"p\": \"{key}\"}}")).expect("JSON");
            let at = START + Span::from_days(days);
            Entry::new(at, Position(days.unsigned_abs()), "Seen".into(), Origin::Tracking, None, properties)
        };
        person.history.push(seen(1, "a"));
        person.history.push(seen(2, "b"));
        let asked = program.concerned_by(&person, &seen(2, "b"));
        assert_eq!(asked.iter().map(|asked| &*asked.key).collect::<Vec<_>>(), wanted, "{when}");
    }
    check("{ did = \"Seen\", within = \"session\" }", &["b"]);
    check("{ any = [{ did = \"Seen\", within = \"session\" }, { did = \"Kept\" }] }", &["a", "b"]);
    // What is not done in the new visit may well be true of a key from the old one.
    check("{ not = { did = \"Seen\", within = \"session\" } }", &["a", "b"]);
}

// === what was cut ===

#[test]
fn the_last_one_cut_is_still_the_last() {
    let program = |when: &str| compile(&format!("{HEAD}{when}")).expect("a good file");
    let folded = Lifetime { count: 3, first: START, last: START + Span::from_days(10) };
    let mut person = Person::new(PersonId([1; 16]), Position(1), START);
    person.history = History::from_parts(Vec::new(), [("A".into(), folded)].into());
    let ask = |when: &str, person: &Person, days: i64| {
        let program = program(when);
        let answer = program.answer(&program.triggers()[0], person, "", START + Span::from_days(days));
        (answer.is_true, answer.next.map(|at| at.since(START).to_string()))
    };
    let lapsed = "when = { last = \"A\", over = \"90d\" }";
    assert_eq!(ask(lapsed, &person, 20), (false, Some("100d".into())));
    assert_eq!(ask(lapsed, &person, 100), (true, None));
    // More than the name is asked: what was cut cannot answer.
    assert_eq!(ask("when = { last = \"A\", over = \"90d\", where = { x = 1 } }", &person, 100), (false, None));
    assert_eq!(ask("when = { did = \"A\", at_least = 3 }", &person, 20), (true, None));
    assert_eq!(ask("when = { did_not = \"A\", within = \"30d\" }", &person, 30), (false, Some("40d".into())));
    assert_eq!(ask("when = { did_not = \"B\", since = \"A\" }", &person, 30), (true, None));
    assert_eq!(ask("when = { did_not = \"A\", since = \"B\" }", &person, 30), (false, None));
    // A later one that was kept is the last.
    let later = START + Span::from_days(15);
    person.history.push(Entry::new(later, Position(9), "A".into(), Origin::System, None, RawJson::empty()));
    assert_eq!(ask(lapsed, &person, 100), (false, Some("105d".into())));
}
