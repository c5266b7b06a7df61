//! What vendors and networks do to a whole daemon, in virtual time: nothing is lost, nothing twice in effect, what is stale
//! is not sent, and one destination's trouble is not another's.

mod support;

use std::collections::BTreeMap;

use espalier::clock::Clock;
use espalier::model::Span;
use espalier::store::settings::Kind;
use serde_json::json;
use support::world::World;

crate::on_both!(
    after_an_outage_of_a_weekend_what_is_urgent_goes_first_and_what_is_stale_not_at_all,
    refused_credentials_hold_the_lane_until_they_are_mended,
    a_storm_of_refusals_for_the_quota_costs_no_try,
    what_is_cut_or_late_is_sent_again_and_has_its_effect_once,
    what_is_bad_in_a_batch_is_a_dead_letter_and_the_rest_has_its_effect,
);

/// A trigger for a destination: it fires once for each form.
fn trigger(name: &str, lane: &str, more: &str) -> String {
    format!(
        "name = \"{name}\"\nper = \"form\"\n{more}\nwhen = {{ did = \"{name}\" }}\n\
         activate = [{{ destination = \"{lane}\", event = \"{name}\" }}]\n"
    )
}

fn at(address: &str, name: &str) -> String {
    format!(
        "[destination.{name}]\nkind = \"klaviyo\"\napi_key = \"${{file:SECRET}}\"\nbase_url = \"{address}\"\n\
         timeout = \"400ms\"\n"
    )
}

/// Klaviyo and HubSpot.
fn both(vendors: &str) -> String {
    let klaviyo = at(&format!("{vendors}/klaviyo"), "esp");
    format!(
        "{klaviyo}[destination.other]\nkind = \"hubspot\"\ntoken = \"${{file:SECRET}}\"\nhub_id = 1234567\n\
         base_url = \"{vendors}/hubspot\"\n"
    )
}

async fn after_an_outage_of_a_weekend_what_is_urgent_goes_first_and_what_is_stale_not_at_all(kind: Kind) {
    let triggers = [
        ("low", trigger("low", "esp", "priority = 10\nexpires = \"7d\"")),
        ("high", trigger("high", "esp", "priority = 90\nexpires = \"7d\"")),
        ("stale", trigger("stale", "esp", "priority = 95\nexpires = \"2h\"")),
        ("well", trigger("well", "other", "expires = \"2h\"")),
    ];
    let mut world = World::on(kind, &triggers, both).await;
    world.fault(json!({ "vendor": "klaviyo", "kind": "status", "status": 503, "times": 1_000_000 })).await;
    for hour in 0..72_u64 {
        if hour % 12 == 0 {
            world.does("low", 100).await;
            world.does("high", 100).await;
            world.does("stale", 10).await;
            world.does("well", 1).await;
            // The other lane is no later for it.
            let taken = usize::try_from(hour / 12 + 1).expect("few");
            world.until("the other's", Span::from_millis(50), |w| w.events("hubspot").len() == taken).await;
        }
        world.turn(Span::from_hours(1), Span::from_minutes(10)).await;
    }
    assert_eq!(world.events("klaviyo"), Vec::<String>::new());
    assert!(world.sandbox.counts("klaviyo").requests < 1_000, "{:?}", world.sandbox.counts("klaviyo"));
    world.heal().await;
    world.until("all of it", Span::from_secs(1), |w| w.is_through("esp")).await;
    let taken = world.events("klaviyo");
    let count = |event: &str| taken.iter().filter(|one| *one == event).count();
    let outcomes = world.outcomes("esp");
    assert_eq!((count("low"), count("high"), count("stale")), (600, 600, 0), "{outcomes:?}");
    assert_eq!(outcomes.get("expired"), Some(&60));
    assert_eq!(outcomes.get("refused"), None, "an outage is nobody's fault: {outcomes:?}");
    // A tenth of each batch is not by priority, and waits after a failure differ by their chance.
    let early = taken.iter().take(500).filter(|one| *one == "high").count();
    assert!(early >= 350, "{early} of the first 500 were urgent");
    world.daemon.stop().await.expect("an end");
}

async fn refused_credentials_hold_the_lane_until_they_are_mended(kind: Kind) {
    let words = "the credentials are refused";
    for status in [401, 403] {
        let mut world = World::on(kind, &[("form", trigger("form", "esp", "expires = \"7d\""))], both).await;
        world.fault(json!({ "vendor": "klaviyo", "kind": "status", "status": status, "times": 100_000 })).await;
        world.does("form", 30).await;
        world.turn(Span::from_hours(5), Span::from_minutes(1)).await;
        assert!(world.sandbox.counts("klaviyo").requests < 1_000, "once a minute is enough");
        let is_told = |w: &World| w.daemon.watched.health().troubles.iter().any(|one| one.to_string().contains(words));
        world.until("the page to say so", Span::from_millis(100), is_told).await;
        world.heal().await;
        world.until("all of it", Span::from_secs(10), |w| w.is_through("esp")).await;
        assert_eq!(world.outcomes("esp"), BTreeMap::from([("accepted", 30)]));
        world.daemon.stop().await.expect("an end");
    }
}

async fn a_storm_of_refusals_for_the_quota_costs_no_try(kind: Kind) {
    let triggers = [("form", trigger("form", "esp", "expires = \"7d\"")), ("well", trigger("well", "other", ""))];
    let mut world = World::on(kind, &triggers, both).await;
    let storm = json!({ "vendor": "klaviyo", "kind": "status", "status": 429, "retry_after": 30, "times": 60 });
    world.fault(storm).await;
    world.does("form", 20).await;
    world.does("well", 1).await;
    world.until("the other's", Span::from_millis(50), |w| w.events("hubspot").len() == 1).await;
    let began = world.clock.now();
    world.until("all of it", Span::from_secs(1), |w| w.is_through("esp")).await;
    // Each refusal is waited for as long as it says.
    let took = world.clock.now().since(began);
    assert!(took >= Span::from_secs(15 * 29), "{took}");
    assert_eq!(world.outcomes("esp"), BTreeMap::from([("accepted", 20)]));
    world.daemon.stop().await.expect("an end");
}

async fn what_is_cut_or_late_is_sent_again_and_has_its_effect_once(kind: Kind) {
    for fault in [
        json!({ "vendor": "klaviyo", "kind": "close", "times": 3 }),
        json!({ "vendor": "klaviyo", "kind": "close_after_accept", "times": 3 }),
        json!({ "vendor": "klaviyo", "kind": "timeout", "times": 3, "delay_ms": 100_000_000 }),
        json!({ "vendor": "klaviyo", "kind": "slow", "times": 3, "delay_ms": 100 }),
        json!({ "vendor": "klaviyo", "kind": "truncated", "times": 3 }),
        json!({ "vendor": "klaviyo", "kind": "html", "status": 502, "times": 3 }),
    ] {
        let mut world = World::on(kind, &[("form", trigger("form", "esp", ""))], both).await;
        world.fault(fault.clone()).await;
        // One by one, then in bulk.
        world.does("form", 20).await;
        world.until("the first", Span::from_millis(200), |w| w.is_through("esp")).await;
        world.does("form", 200).await;
        world.until("all of it", Span::from_millis(200), |w| w.is_through("esp")).await;
        let effects = world.sandbox.effects("klaviyo");
        let ids: std::collections::BTreeSet<&str> = effects.iter().map(|effect| effect.id.as_str()).collect();
        assert_eq!((effects.len(), ids.len()), (220, 220), "{fault}: {:?}", world.outcomes("esp"));
        world.daemon.stop().await.expect("an end");
    }
}

/// All three vendors: `esp`, `other` and `third`.
fn three(vendors: &str) -> String {
    let both = both(vendors);
    format!(
        "{both}[destination.third]\nkind = \"marketo\"\nclient_id = \"${{file:SECRET}}\"\n\
         client_secret = \"${{file:SECRET}}\"\nbase_url = \"{vendors}/marketo\"\nactivity_type = 100001\n"
    )
}

async fn what_is_bad_in_a_batch_is_a_dead_letter_and_the_rest_has_its_effect(kind: Kind) {
    for (lane, vendor) in [("esp", "klaviyo"), ("other", "hubspot"), ("third", "marketo")] {
        let triggers = [
            ("form", trigger("form", lane, "expires = \"7d\"")),
            ("well", trigger("well", if lane == "esp" { "other" } else { "esp" }, "")),
        ];
        let mut world = World::on(kind, &triggers, three).await;
        world.fault(json!({ "vendor": vendor, "kind": "bad_record", "times": 4 })).await;
        world.does("form", 300).await;
        world.does("well", 1).await;
        let others = if lane == "esp" { "hubspot" } else { "klaviyo" };
        let through = |w: &World| w.is_through(lane) && !w.sandbox.effects(others).is_empty();
        world.until("all of it", Span::from_millis(200), through).await;
        let outcomes = world.outcomes(lane);
        let count = |word: &str| outcomes.get(word).copied().unwrap_or_default();
        let effects = world.sandbox.effects(vendor);
        let ids: std::collections::BTreeSet<&str> = effects.iter().map(|effect| effect.id.as_str()).collect();
        assert_eq!((effects.len() as u64, ids.len()), (count("accepted"), effects.len()), "{vendor}: {outcomes:?}");
        assert_eq!(count("accepted") + count("refused"), 300, "{vendor}: {outcomes:?}");
        assert!((1..=4).contains(&count("refused")), "{vendor}: only what was bad: {outcomes:?}");
        let letters = world.daemon.watched.store.dead_letters(Some(lane), 10).await.expect("letters");
        assert_eq!(letters.len() as u64, count("refused"));
        assert_eq!(world.sandbox.effects(others).len(), 1, "{vendor}: the other's");
        world.daemon.stop().await.expect("an end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_not_found_and_doors_that_do_not_speak_tls_hold_only_their_own_lane() {
    let triggers = [
        ("form", trigger("form", "esp", "expires = \"7d\"")),
        ("tls", trigger("tls", "tls", "expires = \"7d\"")),
        ("well", trigger("well", "other", "")),
    ];
    let mut world = World::begin(&triggers, |vendors| {
        let klaviyo = at("https://does-not-exist.invalid", "esp");
        let tls = at(&format!("{}/klaviyo", vendors.replace("http:", "https:")), "tls");
        let other = both(vendors);
        let other = other.split_once("[destination.other]").expect("the other").1.to_owned();
        format!("{klaviyo}{tls}[destination.other]{other}")
    })
    .await;
    world.does("form", 5).await;
    world.does("tls", 5).await;
    world.does("well", 5).await;
    world.until("the other's", Span::from_millis(50), |w| w.events("hubspot").len() == 5).await;
    world.turn(Span::from_hours(12), Span::from_minutes(2)).await;
    for lane in ["esp", "tls"] {
        assert_eq!(world.queued(lane), 5, "nothing is given up: {:?}", world.outcomes(lane));
    }
    for lane in ["esp", "tls"] {
        let told = format!("lane {lane}: the breaker is open");
        let is_told =
            |w: &World| w.daemon.watched.health().troubles.iter().any(|one| one.to_string().starts_with(&told));
        world.until("the page to say so", Span::from_millis(100), is_told).await;
    }
    world.daemon.stop().await.expect("an end");
}
