//! The same turns for both: `decide`, driven as the engine drives it, and the oracle.

use std::collections::BTreeSet;

use espalier::decide;
use espalier::identity;
use espalier::model::{Event, Loaded, Order, PausePolicy, Position, Release, Span, Timestamp};
use espalier::rules::{self, Files, Program};

use super::instant;
use super::kept::Kept;
use super::message::Turn;
use crate::oracle::{Deed, Edge, Engagement, Keeps, Law, Lets, Wish, World};

pub fn compile(law: &Law) -> Program {
    let (triggers, segments, cohorts) = law.to_files();
    let files = Files { triggers: &triggers, segments: &segments, configuration: Some(("espalier.toml", &cohorts)) };
    let gates = toml::from_str(&law.gates.to_toml()).expect("gates");
    let settings = rules::Settings { gates, engagement: engagement(law), ..rules::Settings::default() };
    let program = Program::compile_all(&files, &settings, None);
    program.unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{}", law.to_text()))
}

fn engagement(law: &Law) -> rules::Engagement {
    let Engagement { window, opens, clicks, inactive } = law.engagement;
    rules::Engagement {
        window: Span::from_millis(window),
        opens: opens as f64 / 100.0,
        clicks: clicks as f64 / 100.0,
        inactive: Span::from_millis(inactive),
    }
}

pub fn decided(program: &Program, turns: &[Turn]) -> Kept {
    let mut kept = Kept::default();
    let mut position = 0;
    for turn in turns {
        let (until, now) = match turn {
            Turn::Batch(messages, now) => {
                let batch: Vec<(Position, Event)> = messages
                    .iter()
                    .map(|message| {
                        position += 1;
                        (Position(position), message.event())
                    })
                    .collect();
                let mut loaded = kept.load(&batch);
                let now = instant(*now);
                let changes = decide::events(&mut loaded, &batch, now, program, &identity::Settings::default());
                kept.commit(&loaded, changes);
                let last = &batch.last().expect("no batch is empty").1;
                (last.arrived.min(last.at).min(now), now)
            }
            Turn::Idle(now) => (instant(*now), instant(*now)),
            Turn::Wish(rule, wish, now) => {
                obey(&mut kept, program, rule, *wish, instant(*now));
                continue;
            }
        };
        let due = kept.wake(until);
        let people = due.iter().map(|id| (*id, kept.people[id].clone())).collect();
        let mut loaded = Loaded { people, triggers: kept.triggers.clone(), ..Loaded::default() };
        let changes = decide::timers(&mut loaded, &due, until, now, program);
        kept.commit(&loaded, changes);
    }
    kept
}

/// A wish, as the engine is told of it.
pub fn order(wish: Wish) -> Order {
    let policy = |keeps| match keeps {
        Keeps::Drop => PausePolicy::Drop,
        Keeps::Keep => PausePolicy::Keep,
        Keeps::CatchUp => PausePolicy::CatchUp,
    };
    let release = |lets| match lets {
        Lets::Send => Release::Send,
        Lets::CatchUp => Release::CatchUp,
        Lets::Drop => Release::Drop,
    };
    match wish {
        Wish::Pause(keeps) => Order::Pause(policy(keeps)),
        Wish::Resume(lets) => Order::Resume(lets.map(release)),
    }
}

/// What somebody wants, and then what was held, a few at a time.
fn obey(kept: &mut Kept, program: &Program, rule: &str, wish: Wish, now: Timestamp) {
    let Some(trigger) = program.named(rule).map(|trigger| trigger.id) else { return };
    let mut loaded = Loaded { triggers: kept.triggers.clone(), ..Loaded::default() };
    let changes = decide::order(&mut loaded, trigger, order(wish), now, program);
    kept.commit(&loaded, changes);
    while kept.triggers.get(&trigger).is_some_and(|state| state.release.is_some()) {
        let (held, is_last) = kept.held(trigger, 2);
        let people = held.iter().map(|one| (one.person, kept.people[&one.person].clone())).collect();
        let mut loaded = Loaded { people, triggers: kept.triggers.clone(), ..Loaded::default() };
        let changes = decide::release(&mut loaded, trigger, &held, is_last, now, program);
        kept.commit(&loaded, changes);
    }
}

pub fn foretold(law: &Law, turns: &[Turn]) -> Vec<Edge> {
    let mut world = World::new(law);
    let mut seen = BTreeSet::new();
    let mut order = 0;
    for turn in turns {
        match turn {
            Turn::Batch(messages, now) => {
                for message in messages {
                    order += 1;
                    if seen.insert(message.id) {
                        world.event(&Deed { order, ..message.deed.clone() }, *now);
                    }
                }
                let last = messages.last().expect("no batch is empty");
                world.timers(last.arrived.min(last.deed.at).min(*now), *now);
            }
            Turn::Idle(now) => world.timers(*now, *now),
            Turn::Wish(rule, wish, now) => world.wish(rule, *wish, *now),
        }
    }
    world.edges()
}
