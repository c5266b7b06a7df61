//! Triggers that are paused or pause themselves. Between the parts of a timeline somebody orders something.

use super::*;
use crate::model::{Activation, Order, PausePolicy, Release, TriggerId};
use crate::rules::gate;

/// What waits until the trigger is resumed, and what was let go.
struct Shop {
    program: Program,
    story: Story,
    held: Vec<Activation>,
    position: u64,
}

impl Shop {
    fn new(rule: &str, settings: gate::Settings) -> Self {
        let settings = rules::Settings { gates: settings, ..rules::Settings::default() };
        let story = Story { fires: Vec::new(), loaded: Loaded::default(), duplicates: 0 };
        Self { program: compile(&[rule], &settings), story, held: Vec::new(), position: 0 }
    }

    fn note(&mut self, changes: Changes) {
        self.held.extend(changes.activations.iter().filter(|activation| activation.is_held()).cloned());
        let gone = |a: &Activation| {
            changes.cancelled.iter().any(|c| c.occasion == a.occasion)
                || changes.released.iter().any(|r| r.occasion == a.occasion)
        };
        self.held.retain(|activation| !gone(activation));
        self.story.note(changes);
    }

    /// Events, then time up to `until`.
    fn live(&mut self, timeline: &str, until: &str) {
        for text in timeline.split('|').filter(|text| !text.trim().is_empty()) {
            let mut event = event(text.trim(), usize::try_from(self.position).expect("few"));
            event.dedupe = vec![Event::dedupe_key(&["states", &self.position.to_string()])];
            self.position += 1;
            self.time(event.arrived - Span::from_millis(1));
            let (now, batch) = (event.arrived, [(Position(self.position), event)]);
            let names = identity::Settings::default();
            let changes = crate::decide::events(&mut self.story.loaded, &batch, now, &self.program, &names);
            self.note(changes);
        }
        self.time(START + length(until));
    }

    fn time(&mut self, until: Timestamp) {
        loop {
            let next = self.story.loaded.people.values().filter_map(|p| Some((p.wake()?, p.id))).min();
            let Some((at, id)) = next.filter(|(at, _)| *at <= until) else { return };
            let changes = crate::decide::timers(&mut self.story.loaded, &[id], at, at, &self.program);
            self.note(changes);
        }
    }

    /// The order, and what is held goes with it, two at a time.
    fn order(&mut self, at: &str, order: Order) {
        let (now, trigger) = (START + length(at), self.program.triggers()[0].id);
        let changes = crate::decide::order(&mut self.story.loaded, trigger, order, now, &self.program);
        self.note(changes);
        while self.state(trigger).release.is_some() {
            let page: Vec<_> = self.held.iter().take(2).cloned().collect();
            let last = page.len() < 2;
            let changes = crate::decide::release(&mut self.story.loaded, trigger, &page, last, now, &self.program);
            self.note(changes);
        }
    }

    fn state(&self, trigger: TriggerId) -> crate::model::TriggerState {
        self.story.loaded.triggers.get(&trigger).map(|state| (**state).clone()).unwrap_or_default()
    }

    #[track_caller]
    fn said(&mut self, fires: &[&str]) {
        assert_eq!(std::mem::take(&mut self.story.fires), fires);
    }
}

fn pause(policy: PausePolicy) -> Order {
    Order::Pause(policy)
}

#[test]
fn a_paused_trigger_drops_its_edges_and_fires_again_when_resumed() {
    let mut shop = Shop::new(CART, gate::Settings::default());
    shop.order("0m", pause(PausePolicy::Drop));
    shop.live("0m add c1", "1h");
    shop.said(&["30m c1 paused"]);
    shop.order("2h", Order::Resume(None));
    shop.live("2h add c2", "3h");
    // What was dropped cools nothing down.
    shop.said(&["2h30m c2"]);
}

#[test]
fn what_is_kept_leaves_when_it_has_not_expired() {
    let mut shop = Shop::new(CART, gate::Settings::default());
    shop.order("0m", pause(PausePolicy::Keep));
    shop.live("0m add c1 @ines | 3h add c2 @joe | 3h1m add c3 @eva", "4h");
    shop.said(&["30m c1 held", "3h30m c2 held", "3h31m c3 held"]);
    assert_eq!(shop.held.len(), 3);
    // Eva buys meanwhile.
    shop.live("5h buy c3 @eva", "5h");
    shop.said(&["3h31m c3 cancelled"]);
    shop.order("6h", Order::Resume(None));
    shop.said(&["30m c1 recalled", "3h30m c2 released"]);
    assert!(shop.held.is_empty());
}

#[test]
fn catching_up_asks_again_and_minds_no_age() {
    let mut shop = Shop::new(VIEWED_TWICE, gate::Settings::default());
    shop.order("0m", pause(PausePolicy::CatchUp));
    shop.live("0m view p1 @ines | 1m view p1 @ines | 20h view p1 @joe | 20h1m view p1 @joe", "21h");
    shop.said(&["1m p1 held", "20h1m p1 held"]);
    shop.order("30h", Order::Resume(None));
    // A day after her views Ines has two within a day no more.
    shop.said(&["1m p1 recalled", "20h1m p1 released"]);
}

const VIEWED_TWICE: &str = r#"
name = "viewed"
per = "product_id"
expires = "1h"
[[when.all]]
did = "Product Viewed"
at_least = 2
within = "24h"
"#;

#[test]
fn who_resumes_says_what_becomes_of_what_is_held() {
    for (held, word) in [(Release::Drop, "recalled"), (Release::Send, "released"), (Release::CatchUp, "released")] {
        let mut shop = Shop::new(CART, gate::Settings::default());
        shop.order("0m", pause(PausePolicy::Keep));
        shop.live("0m add c1", "1h");
        shop.said(&["30m c1 held"]);
        shop.order("1h", Order::Resume(Some(held)));
        shop.said(&[&format!("30m c1 {word}")]);
    }
}

#[test]
fn what_catches_up_can_be_called_back_though_it_had_expired() {
    let rule = VIEWED_TWICE.replace("1h", "12h");
    let rule = format!("quiet_hours = {{ from = \"21:00\", until = \"08:00\" }}\n{}", rule.trim());
    let mut shop = Shop::new(&rule, gate::Settings::default());
    shop.order("0m", pause(PausePolicy::CatchUp));
    // The first has expired when the second is held.
    shop.live("0m view p1 | 1m view p1 | 13h view p2 | 13h1m view p2", "14h");
    shop.said(&["1m p1 held", "13h1m p2 held"]);
    shop.order("22h", Order::Resume(None));
    shop.said(&["1m p1 released", "13h1m p2 released"]);
    shop.live("23h unsubscribe", "24h");
    shop.story.fires.sort();
    shop.said(&["13h1m p2 recalled", "1m p1 recalled"]);
}

#[test]
fn consent_and_quiet_hours_are_asked_again_when_it_is_let_go() {
    let quiet = "quiet_hours = { from = \"21:00\", until = \"08:00\" }";
    let mut shop = Shop::new(&format!("{quiet}\nexpires = \"24h\"\n{}", FORM.trim()), gate::Settings::default());
    shop.order("10h", pause(PausePolicy::Keep));
    shop.live("10h form @ines | 10h form @joe | 11h unsubscribe @joe", "12h");
    shop.said(&["10h held", "10h held", "10h recalled"]);
    shop.order("22h", Order::Resume(None));
    shop.said(&["10h released"]);
    let pending = shop.story.loaded.people.values().flat_map(|person| &person.pending);
    assert_eq!(pending.map(|p| p.not_before).collect::<Vec<_>>(), [Some(START + length("32h"))]);
}

/// One fire an hour for two days, then many at once.
#[test]
fn a_trigger_that_fires_far_more_than_usual_pauses_itself() {
    let guard = gate::Guard { times: 3.0, least: 2, most: None };
    let mut shop = Shop::new(FORM, gate::Settings { guard: Some(guard), ..gate::Settings::default() });
    let usual: Vec<String> = (0..48).map(|hour| format!("{hour}h form @u{hour}")).collect();
    shop.live(&usual.join("|"), "47h30m");
    assert!(std::mem::take(&mut shop.story.fires).iter().all(|line| !line.contains(' ')), "no hour is too much");
    shop.live("48h1m form @a | 48h2m form @b | 48h3m form @c | 48h4m form @d | 48h5m form @e", "49h");
    shop.said(&["2d1m", "2d2m", "2d3m", "2d4m held", "2d5m held"]);
    let trigger = shop.program.triggers()[0].id;
    let paused = shop.state(trigger).pause.expect("a pause");
    assert_eq!((paused.by_guard, paused.held, paused.policy), (Some(3), 2, PausePolicy::Keep));
    // Somebody looked: for an hour it may fire as often as it likes.
    shop.order("49h", Order::Resume(None));
    shop.said(&["2d4m released", "2d5m released"]);
    let many: Vec<String> = (0..6).map(|n| format!("49h{n}m form @v{n}")).collect();
    shop.live(&many.join("|"), "49h10m");
    assert_eq!(shop.story.fires.len(), 6);
    assert!(shop.story.fires.iter().all(|line| !line.contains(' ')), "{:?}", shop.story.fires);
    shop.story.fires.clear();
    let later: Vec<String> = (0..6).map(|n| format!("50h{n}m form @w{n}")).collect();
    shop.live(&later.join("|"), "51h");
    shop.said(&["2d2h", "2d2h1m", "2d2h2m", "2d2h3m", "2d2h4m held", "2d2h5m held"]);
}

#[test]
fn an_absolute_bound_holds_from_the_first_hour_on() {
    let mut shop = Shop::new(&format!("guard = {{ most = 2 }}\n{}", FORM.trim()), gate::Settings::default());
    shop.live("0m form @a | 1m form @b | 2m form @c", "1h");
    shop.said(&["0m", "1m", "2m held"]);
    let mut shop = Shop::new(
        &format!("guard = false\n{}", FORM.trim()),
        gate::Settings { guard: Some(gate::Guard { most: Some(1), ..gate::Guard::default() }), ..Default::default() },
    );
    shop.live("0m form @a | 1m form @b | 2m form @c", "1h");
    shop.said(&["0m", "1m", "2m"]);
}
