//! `[[test]]`: the timelines in trigger files, run as `simulate` runs a file of messages.

use serde_json::Value;

use crate::identity;
use crate::model::{Mistake, Span};
use crate::rules::{Expected, Nights, Program, Settings, Timeline, Trigger, gate, since_start};

use super::simulate::{Fire, Sold, simulate_with};

/// Runs every timeline of every trigger; what came out otherwise than it says, with its place.
pub fn rehearse(program: &Program, names: &identity::Settings) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for trigger in program.triggers() {
        for (timeline, fires) in trigger.tests.iter().zip(rehearsed(program, trigger, names)) {
            mistakes.extend(differences(timeline, &fires));
        }
    }
    mistakes
}

/// What a trigger fires in each of its timelines.
pub fn rehearsed(program: &Program, trigger: &Trigger, names: &identity::Settings) -> Vec<Vec<Fire>> {
    // What the configuration says of gates and nights is not the trigger's own matter.
    let (gates, nights) = (gate::Settings::default(), Nights::default());
    let settings = Settings { gates, nights, ..program.settings().clone() };
    let alone = Program::of(vec![trigger.clone()], settings);
    let fires = |timeline: &Timeline| {
        // In so few events an order counts at once.
        let sold = Sold { catalogue: timeline.catalogue.clone(), counted_every: Span::from_millis(1) };
        let simulation = simulate_with(timeline.events.clone(), &alone, names, timeline.until, &sold);
        simulation.fires.into_iter().filter(|fire| !fire.is_dropped()).collect()
    };
    trigger.tests.iter().map(fires).collect()
}

/// The first difference, if there is one.
fn differences(timeline: &Timeline, fires: &[Fire]) -> Option<Mistake> {
    let longest = timeline.fires.len().max(fires.len());
    (0..longest).find_map(|n| {
        let (place, words) = match (timeline.fires.get(n), fires.get(n)) {
            (Some(expected), Some(fire)) => (&expected.place, wrong(expected, fire)?),
            (Some(expected), None) => (&expected.place, "nothing fires then".to_owned()),
            (None, Some(fire)) => (&timeline.place, format!("there is a fire more: {}", told(fire))),
            (None, None) => return None,
        };
        let all = match fires {
            [] => "nothing fires".to_owned(),
            fires => format!("fires: {}", fires.iter().map(told).collect::<Vec<_>>().join(", ")),
        };
        let words = format!("the test `{}` fails: {words}", timeline.name);
        Some(Mistake { words, suggestion: Some(all), ..place.clone() })
    })
}

fn wrong(expected: &Expected, fire: &Fire) -> Option<String> {
    if expected.at != fire.at || expected.key.as_ref().is_some_and(|key| *key != fire.key) {
        let key = expected.key.as_ref().map(|key| format!(" key={key}")).unwrap_or_default();
        return Some(format!("{}{key} is expected, {} happens", since_start(expected.at), told(fire)));
    }
    if let Some(words) = &fire.broken {
        return Some(format!("what fires at {} is a dead letter: {words}", told(fire)));
    }
    let payload = fire.payload.to_value();
    let (name, wanted) = expected.fields.iter().find(|(name, value)| payload.get(*name) != Some(value))?;
    let is = payload.get(name).map_or("missing".to_owned(), Value::to_string);
    Some(format!("`{name}` should be {wanted} in the payload, and is {is}"))
}

fn told(fire: &Fire) -> String {
    let at = since_start(fire.at);
    if fire.key.is_empty() { at } else { format!("{at} key={}", fire.key) }
}
