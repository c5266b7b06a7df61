//! The same turns for both: `decide`, driven as the engine drives it, and the oracle.

use std::collections::BTreeSet;

use espalier::decide;
use espalier::identity;
use espalier::model::{Event, Loaded, Position, Span};
use espalier::rules::{self, Files, Program};

use super::instant;
use super::kept::Kept;
use super::message::Turn;
use crate::oracle::{Deed, Edge, Engagement, Law, World};

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
        };
        let due = kept.wake(until);
        let people = due.iter().map(|id| (*id, kept.people[id].clone())).collect();
        let mut loaded = Loaded { people, ..Loaded::default() };
        let changes = decide::timers(&mut loaded, &due, until, now, program);
        kept.commit(&loaded, changes);
    }
    kept
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
        }
    }
    world.edges()
}
