//! The suite that every adapter passes: `run` it with a way to open (and open again) the same store.

mod intake;
mod lanes;
mod listing;
mod people;
mod register;
mod shelf;
mod withheld;

use std::sync::Arc;

use super::*;
use crate::model::consent::{Act, Mark};
use crate::model::{
    Action, Changes, Channel, Counted, Decision, Entry, EventKind, IdentifierKind, OccasionId, Origin, Outcome,
    Pending, RawJson, Recall, Verdict, Watch,
};

/// Opens the store, the first time or again.
pub type Open<'a> = &'a dyn Fn() -> Arc<dyn Store>;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + ms)
}

fn identifier(n: u64) -> Identifier {
    Identifier::new(IdentifierKind::UserId, format!("u{n}"))
}

pub fn event(n: u64) -> Event {
    Event {
        kind: EventKind::Did,
        name: "Ping".into(),
        at: at(n as i64),
        claimed_at: None,
        arrived: at(n as i64),
        source: "web".into(),
        origin: Origin::Tracking,
        dedupe: vec![Event::dedupe_key(&["web", &n.to_string()])],
        identifiers: vec![identifier(n % 3)],
        session: None,
        properties: RawJson::trusted(format!("{{\"n\":{n}}}")),
        traits: RawJson::empty(),
    }
}

pub fn activation(n: u64, lane: &str, priority: u8) -> Activation {
    Activation {
        occasion: occasion(n),
        lane: lane.into(),
        trigger: "ping".into(),
        // Each for somebody else: of one person the order would be kept.
        person: PersonId(occasion(n).0),
        identifiers: vec![identifier(1)],
        traits: RawJson::empty(),
        key: "".into(),
        at: at(n as i64),
        action: Action::Event("Pinged".into()),
        priority,
        expires_at: at(1_000_000),
        not_before: None,
        payload: RawJson::trusted("{\"n\":1}"),
        broken: None,
    }
}

fn occasion(n: u64) -> OccasionId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    OccasionId(id)
}

/// A step that queues these, and nothing else.
pub fn queueing(activations: Vec<Activation>) -> Changes {
    Changes { decisions: activations.iter().map(decision).collect(), activations, ..Changes::default() }
}

fn decision(of: &Activation) -> Decision {
    Decision {
        occasion: of.occasion,
        trigger: of.trigger.clone(),
        person: of.person,
        key: of.key.clone(),
        at: of.at,
        decided: at(2),
        verdict: Verdict::Activated(vec![of.lane.clone()]),
    }
}

fn recall(of: &Activation, person: PersonId) -> (Recall, Decision) {
    let recall = Recall { occasion: of.occasion, lane: of.lane.clone(), person, at: of.at, word: None };
    (recall, Decision { person, verdict: Verdict::Cancelled, ..decision(of) })
}

async fn queue(store: &dyn Store, activations: Vec<Activation>) {
    store.commit(Loaded::default(), queueing(activations)).await.expect("a commit");
}

async fn settle(store: &dyn Store, lane: &str, id: WorkId, outcome: Outcome) {
    let status = if outcome.has_effect() { 202 } else { 400 };
    let attempt = Attempt { at: at(5_000), status, outcome };
    store.settle(lane, vec![Settled { id, attempt }]).await.expect("a settle");
}

fn later(ms: i64) -> Outcome {
    Outcome::Later { not_before: at(ms), words: "busy".into(), is_throttled: false, may_have_left: false }
}

fn person(id: u8, n: u64, history: usize) -> Person {
    let mut person = Person::new(PersonId([id; 16]), Position(n), at(0));
    person.identifiers.push(identifier(n));
    for i in 0..history {
        let e = event(i as u64);
        person.history.push(Entry::new(
            e.at,
            Position(100 + i as u64),
            e.name,
            e.origin,
            None,
            RawJson::trusted(format!("{{\"text\":\"{}\"}}", "x".repeat(400))),
        ));
    }
    let watch = Watch { meaning: 1, is_true: true, true_since: None, fired: None, next: Some(at(n as i64 * 100)) };
    person.watches.insert((TriggerId::of("t"), "k".into()), watch);
    for (act, because) in [(Act::Given, "Subscribed"), (Act::Suppressed, "Email Bounced")] {
        person.consent.push(Mark {
            at: at(n as i64),
            position: Position(n),
            channel: Channel::Sms,
            act,
            source: "web".into(),
            because: because.into(),
        });
    }
    person.pending.push(Pending {
        occasion: occasion(n),
        trigger: TriggerId::of("t"),
        key: "k".into(),
        lanes: vec!["a".into()],
        at: at(1),
        expires_at: at(9),
        not_before: Some(at(8)),
        void_until: Some(at(9)),
    });
    person.count([Counted { leaves: at(8), occasion: occasion(n) }], at(0));
    person
}

/// All of it, in one store opened several times.
pub async fn run(open: Open<'_>) {
    intake::events_come_back_in_order_and_once(open).await;
    people::people_links_and_timers_are_kept(open).await;
    people::who_becomes_somebody_who_is_forgotten_is_forgotten_too(open).await;
    lanes::lanes_give_by_priority_and_settle_each(open).await;
    lanes::of_one_person_the_order_is_kept(open).await;
    lanes::a_batch_does_not_contradict_itself(open).await;
    lanes::an_occasion_may_do_several_things_in_a_lane(open).await;
    lanes::what_waits_for_a_time_does_not_leave_before_it(open).await;
    withheld::what_is_held_leaves_when_it_is_released(open).await;
    lanes::dead_letters_are_replayed_or_dropped(open).await;
    listing::what_has_ended_is_found_a_page_at_a_time(open).await;
    listing::what_waits_is_listed_in_its_order(open).await;
    lanes::what_cannot_be_said_is_a_dead_letter_at_once(open).await;
    withheld::what_is_called_back_does_not_leave(open).await;
    withheld::what_has_left_is_told_to_be_void(open).await;
    intake::small_values_are_kept(open).await;
    shelf::the_catalogue_keeps_the_newest_word(open).await;
    shelf::codes_are_given_in_order_and_once(open).await;
    intake::steps_are_found_again_until_they_are_taken(open).await;
    intake::what_came_is_found_a_page_at_a_time(open).await;
    withheld::of_who_was_forgotten_everywhere_only_the_receipt_is_left(open).await;
    withheld::who_wants_to_see_what_is_kept_is_told_until_answered(open).await;
    lanes::a_low_priority_is_not_starved(open).await;
    lanes::what_was_accepted_is_told_of_a_stretch_of_time(open).await;
    register::who_may_come_in_and_who_changed_what_is_kept(open).await;
    lanes::the_books_of_every_lane_add_up(open).await;
    intake::a_duty_is_shown_where_something_is_kept_for_it(open).await;
}
