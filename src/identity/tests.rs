//! Who is who: names already known, an event's names, and what follows.

use super::settings::Limits;
use super::{Plan, Settings, merge, resolve};
use crate::model::{
    Entry, Event, EventKind, Identifier, Loaded, Origin, Person, PersonId, Position, RawJson, Timestamp, Trait,
    TriggerId, Watch,
};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// `user_id:u1 email:a@example.com`
fn names(text: &str) -> Vec<Identifier> {
    text.split_whitespace().map(|name| Identifier::parse(name).expect("kind:value")).collect()
}

fn event(kind: EventKind, text: &str) -> Event {
    Event {
        kind,
        name: "".into(),
        at: START,
        claimed_at: None,
        arrived: START,
        source: "web".into(),
        origin: Origin::Tracking,
        dedupe: vec![],
        identifiers: names(text),
        session: None,
        properties: RawJson::empty(),
        traits: RawJson::empty(),
    }
}

/// People, oldest first; the n-th was made at position n.
fn known(people: &[&str]) -> Loaded {
    let mut loaded = Loaded::default();
    for (n, text) in (1..).zip(people) {
        let mut person = Person::new(PersonId([n; 16]), Position(u64::from(n)), START);
        person.identifiers = names(text);
        loaded.owners.extend(person.identifiers.iter().map(|name| (name.clone(), person.id)));
        loaded.people.insert(person.id, person);
    }
    loaded
}

fn plan(people: &[&str], kind: EventKind, text: &str, limits: Limits) -> Plan {
    let settings = Settings { limits, ..Settings::default() };
    resolve(&known(people), &event(kind, text), Position(100), &settings)
}

/// In words: `2 takes email:a@example.com`, `1 joins 2`, `1 apart 2`; `new` is nobody yet.
fn told(plan: &Plan) -> Vec<String> {
    let number = |id: PersonId| match id.0[0] {
        n if id.0 == [n; 16] => n.to_string(),
        _ => "new".into(),
    };
    let who = plan.person.map_or("new".into(), number);
    let mut told: Vec<String> = plan.absorbed.iter().map(|other| format!("{who} joins {}", number(*other))).collect();
    let refused = plan.joins.iter().filter(|join| join.refused.is_some());
    told.extend(refused.map(|join| format!("{} apart {}", number(join.survivor), number(join.other))));
    told.extend(plan.taken.iter().map(|name| format!("{who} takes {}", name.to_text())));
    if told.is_empty() { vec![who] } else { told }
}

#[track_caller]
fn check(people: &[&str], event: &str, wanted: &[&str]) {
    assert_eq!(told(&plan(people, EventKind::Did, event, Limits::default())), wanted, "{event}");
}

#[track_caller]
fn check_alias(people: &[&str], event: &str, wanted: &[&str]) {
    assert_eq!(told(&plan(people, EventKind::Alias, event, Limits::default())), wanted, "{event}");
}

// === joins ===

#[test]
fn nobody_yet_is_somebody_new() {
    check(&[], "anonymous_id:phone", &["new takes anonymous_id:phone"]);
    check(&[], "anonymous_id:phone user_id:u1", &["new takes user_id:u1", "new takes anonymous_id:phone"]);
}

#[test]
fn a_known_name_is_its_owner() {
    check(&["user_id:u1", "user_id:u2"], "user_id:u2", &["2"]);
    check(&["anonymous_id:phone"], "anonymous_id:phone", &["1"]);
}

#[test]
fn a_guest_who_names_themselves_stays_the_same_person() {
    check(&["anonymous_id:phone"], "anonymous_id:phone user_id:u1", &["1 takes user_id:u1"]);
    check(&["cart:c1"], "cart:c1 email:ines@example.com", &["1 takes email:ines@example.com"]);
}

#[test]
fn a_guest_and_an_account_become_one_and_the_account_stays() {
    check(&["anonymous_id:phone", "user_id:u1"], "anonymous_id:phone user_id:u1", &["2 joins 1"]);
    check(&["user_id:u1", "anonymous_id:phone"], "anonymous_id:phone user_id:u1", &["1 joins 2"]);
    check(
        &["anonymous_id:phone", "user_id:u1", "cart:c1"],
        "cart:c1 anonymous_id:phone user_id:u1",
        &["2 joins 3", "2 joins 1"],
    );
}

#[test]
fn of_two_guests_the_older_stays() {
    check(&["cart:c1", "anonymous_id:phone"], "anonymous_id:phone cart:c1", &["1 joins 2"]);
}

#[test]
fn a_shared_address_joins_two_known_people() {
    check(&["user_id:u1", "email:ines@example.com"], "user_id:u1 email:ines@example.com", &["1 joins 2"]);
    check(
        &["email:ines@example.com phone:+351912345678", "shop_customer:7"],
        "shop_customer:7 phone:+351912345678",
        &["1 joins 2"],
    );
}

#[test]
fn a_join_is_logged_with_what_was_shared_and_carried() {
    let plan = plan(
        &["anonymous_id:phone cart:c1", "user_id:u1"],
        EventKind::Did,
        "anonymous_id:phone user_id:u1",
        Limits::default(),
    );
    let [join] = plan.joins.as_slice() else { panic!("one join") };
    assert_eq!((join.survivor.0[0], join.other.0[0], join.refused.as_deref()), (2, 1, None));
    assert_eq!(join.because, names("anonymous_id:phone"));
    assert_eq!(join.carried, names("anonymous_id:phone cart:c1"));
}

// === protection ===

#[test]
fn a_device_or_cart_never_joins_two_known_people() {
    check(
        &["user_id:u1 anonymous_id:ipad", "user_id:u2"],
        "user_id:u2 anonymous_id:ipad",
        &["2 apart 1", "2 takes anonymous_id:ipad"],
    );
    check(
        &["user_id:u1 cart:c1", "email:rui@example.com"],
        "email:rui@example.com cart:c1",
        &["2 apart 1", "2 takes cart:c1"],
    );
    // Also when neither of the device and the cart's owners is the one who is named.
    check(&["user_id:u1 anonymous_id:ipad", "user_id:u2 cart:c1"], "anonymous_id:ipad cart:c1", &["2 apart 1"]);
}

#[test]
fn a_name_that_is_new_on_a_known_device_is_somebody_new() {
    check(
        &["user_id:u1 anonymous_id:ipad"],
        "user_id:u2 anonymous_id:ipad",
        &["new apart 1", "new takes user_id:u2", "new takes anonymous_id:ipad"],
    );
}

#[test]
fn an_unnamed_event_on_a_known_device_is_its_owners() {
    check(&["user_id:u1 anonymous_id:ipad"], "anonymous_id:ipad cart:c1", &["1 takes cart:c1"]);
}

#[test]
fn two_accounts_stay_two_even_with_one_address() {
    check(&["user_id:u1 email:home@example.com", "user_id:u2"], "user_id:u2 email:home@example.com", &["2 apart 1"]);
}

// === alias ===

#[test]
fn an_alias_joins_two_accounts() {
    check_alias(&["user_id:u1", "user_id:u2"], "user_id:u1 user_id:u2", &["1 joins 2"]);
    check_alias(&["user_id:u1", "user_id:u2 anonymous_id:ipad"], "user_id:u1 anonymous_id:ipad", &["1 joins 2"]);
    check_alias(&["user_id:u1"], "user_id:u1 user_id:u2", &["1 takes user_id:u2"]);
}

// === limits ===

#[test]
fn nobody_has_more_names_of_a_kind_than_the_limit() {
    let limits = Limits { anonymous_id: 2, ..Limits::default() };
    let check = |people: &[&str], event: &str, wanted: &[&str]| {
        assert_eq!(told(&plan(people, EventKind::Did, event, limits.clone())), wanted, "{event}");
    };
    check(&["user_id:u1 anonymous_id:a"], "user_id:u1 anonymous_id:b", &["1 takes anonymous_id:b"]);
    check(&["user_id:u1 anonymous_id:a anonymous_id:b"], "user_id:u1 anonymous_id:c", &["1"]);
    check(&["user_id:u1 anonymous_id:a anonymous_id:b", "anonymous_id:c"], "user_id:u1 anonymous_id:c", &["1 apart 2"]);
    // Neither by several at once.
    check(&["user_id:u1 anonymous_id:a"], "user_id:u1 anonymous_id:b anonymous_id:c", &["1 takes anonymous_id:b"]);
    check(
        &[],
        "anonymous_id:a anonymous_id:b anonymous_id:c",
        &["new takes anonymous_id:a", "new takes anonymous_id:b"],
    );
}

#[test]
fn three_people_who_are_too_many_together_are_not_all_joined() {
    let limits = Limits { anonymous_id: 2, ..Limits::default() };
    let plan = plan(
        &["user_id:u1 anonymous_id:a", "anonymous_id:b", "anonymous_id:c"],
        EventKind::Did,
        "user_id:u1 anonymous_id:b anonymous_id:c",
        limits,
    );
    assert_eq!(told(&plan), ["1 joins 2", "1 apart 3"]);
}

// === merging ===

fn watch(is_true: bool, fired: Option<i64>) -> Watch {
    let fired = fired.map(Timestamp::from_millis);
    Watch { meaning: 1, is_true, true_since: None, fired, next: None }
}

#[test]
fn a_merge_is_the_union() {
    let loaded = known(&["user_id:u1 email:a@example.com", "anonymous_id:phone email:a@example.com"]);
    let mut people: Vec<Person> = loaded.people.into_values().collect();
    people.sort_by_key(|p| p.created);
    let mut gone = people.pop().expect("two");
    let mut stays = people.pop().expect("two");
    let at = |ms| Timestamp::from_millis(ms);
    let entry =
        |ms, n| Entry::new(at(ms), Position(n), "Product Viewed".into(), Origin::Tracking, None, RawJson::empty());
    let (trigger, other) = (TriggerId(1), TriggerId(2));
    stays.history.push(entry(5, 9));
    gone.history.push(entry(5, 2));
    gone.history.push(entry(1, 3));
    (stays.first_seen, gone.first_seen) = (at(5), at(1));
    (stays.asked, gone.asked) = (at(5), at(7));
    let trait_of = |ms, value: &str| Trait { at: at(ms), value: value.into() };
    stays.traits.insert("city".into(), trait_of(5, "Porto"));
    gone.traits.insert("city".into(), trait_of(4, "Faro"));
    gone.traits.insert("plan".into(), trait_of(1, "gold"));
    stays.watches.insert((trigger, "".into()), watch(false, Some(3)));
    gone.watches.insert((trigger, "".into()), watch(true, Some(2)));
    gone.watches.insert((other, "p1".into()), watch(true, None));
    stays.last_fires.insert(trigger, at(3));
    gone.last_fires.insert(trigger, at(4));

    merge(&mut stays, gone);
    assert_eq!(stays.identifiers, names("user_id:u1 email:a@example.com anonymous_id:phone"));
    assert_eq!(stays.history.entries().iter().map(|e| e.position.0).collect::<Vec<_>>(), [3, 2, 9]);
    assert_eq!((stays.first_seen, stays.asked), (at(1), at(7)));
    assert_eq!(stays.trait_value("city"), Some(&"Porto".into()));
    assert_eq!(stays.trait_value("plan"), Some(&"gold".into()));
    assert_eq!(stays.watches[&(trigger, "".into())], watch(true, Some(3)));
    assert_eq!(stays.watches[&(other, "p1".into())], watch(true, None));
    assert_eq!(stays.last_fires[&trigger], at(4));
}

#[test]
fn once_is_remembered_though_the_trigger_changed_between() {
    let loaded = known(&["user_id:u1", "anonymous_id:phone"]);
    let mut people: Vec<Person> = loaded.people.into_values().collect();
    people.sort_by_key(|p| p.created);
    let (mut gone, mut stays) = (people.pop().expect("two"), people.pop().expect("two"));
    let key = (TriggerId(1), Box::from(""));
    stays.watches.insert(key.clone(), watch(false, None));
    gone.watches.insert(key.clone(), Watch { meaning: 2, ..watch(true, Some(2)) });
    merge(&mut stays, gone);
    assert_eq!(stays.watches[&key], watch(false, Some(2)));
}
