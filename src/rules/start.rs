//! `[[activate]]`: what an edge starts at a destination, exactly one thing each.

use std::ops::Range;
use std::sync::Arc;

use crate::model::mistake::instead;
use crate::model::{Account, Action, ActionKind, LaneName};

use super::trigger::Passage;
use super::written::{Reading, Table, Value};

/// What an edge starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// At which destination.
    pub lane: LaneName,
    /// What is done there.
    pub action: Action,
    /// The event by which the vendor is told that the event has lost its reason after it left.
    pub void: Option<Arc<str>>,
}

impl Start {
    /// The destinations of several, each once.
    pub fn lanes(starts: &[Self]) -> Vec<LaneName> {
        let mut lanes: Vec<LaneName> = Vec::with_capacity(starts.len());
        for start in starts {
            if !lanes.contains(&start.lane) {
                lanes.push(start.lane.clone());
            }
        }
        lanes
    }

    /// Reads the list; of a segment, each with the edge that it belongs to.
    pub(super) fn read_all(
        value: &Value<'_, '_>,
        reading: &mut Reading<'_>,
        accounts: Option<&[Account]>,
        has_edges: bool,
    ) -> Vec<(Option<Passage>, Self)> {
        let mut starts: Vec<(Option<Passage>, Self)> = Vec::new();
        for item in value.list(reading) {
            let Some(mut table) = item.table(reading) else { continue };
            if has_edges && !table.has("on") {
                reading.mistake(table.span(), format!("{}.on", table.path()), "is missing");
            }
            let on = if has_edges { table.get("on") } else { None };
            let on = on.and_then(|on| read_passage(&on, reading));
            if !table.has("destination") {
                reading.mistake(table.span(), format!("{}.destination", table.path()), "is missing");
            }
            let lane = table.get("destination").and_then(|value| Some((value.text(reading)?, value)));
            let void = if has_edges { None } else { table.get("void") };
            let void = void.and_then(|value| Some((value.text(reading)?, value)));
            let action = read_action(&mut table, reading);
            table.finish(reading);
            let account = lane.as_ref().and_then(|(lane, value)| account(lane, value, reading, accounts));
            let Some(((lane, destination), (action, span, path))) = lane.zip(action) else { continue };
            if let Some(account) = account {
                suits(account, &action, (&span, &path), reading);
            }
            if let Some((event, value)) = &void {
                let wrong = match action.kind() {
                    ActionKind::Event if *event == *action.of() => "is the name of the event itself",
                    ActionKind::Event if event.len() > 127 => "must be shorter than 128 bytes",
                    ActionKind::Event => "",
                    _ => "goes with `event` alone",
                };
                if !wrong.is_empty() {
                    reading.mistake(value.span(), value.path().to_owned(), wrong);
                }
            }
            let void = void.map(|(event, _)| event.into());
            let start = Self { lane: lane.into(), action, void };
            let same = |(edge, known): &&(Option<Passage>, Self)| {
                *edge == on && known.lane == start.lane && known.action.id() == start.action.id()
            };
            if let Some((_, known)) = starts.iter().find(same) {
                // The vendors know an event of an occasion by the occasion.
                let (place, key, words) = match known.action.kind() {
                    ActionKind::Event => (destination.span(), destination.path().to_owned(), "is one event there"),
                    _ => (span, path, "does this once there"),
                };
                reading.mistake(place, key, format!("`{}` is named twice: one occasion {words}", start.lane));
            }
            starts.push((on, start));
        }
        starts
    }
}

/// The one thing that is said, with its place.
fn read_action(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<(Action, Range<usize>, String)> {
    let said: Vec<_> =
        ActionKind::OF_TRIGGERS.into_iter().filter_map(|kind| Some((kind, table.get(kind.key())?))).collect();
    let every = ActionKind::OF_TRIGGERS.map(ActionKind::key).join(", ");
    let (kind, value) = match said.as_slice() {
        [one] => one,
        [] => {
            reading.mistake(table.span(), format!("{}.event", table.path()), "is missing").suggestion =
                Some(format!("or another of {every}"));
            return None;
        }
        [_, (_, second), ..] => {
            let words = "is a second thing to do: each [[activate]] says one";
            reading.mistake(second.span(), second.path().to_owned(), words).suggestion =
                Some("another [[activate]] of the same destination".into());
            return None;
        }
    };
    let action = match kind {
        ActionKind::Profile => match value.yes_or_no(reading)? {
            true => Action::Profile,
            false => {
                reading.mistake(value.span(), value.path().to_owned(), "must be true, or not be there");
                return None;
            }
        },
        ActionKind::Event => Action::Event(value.text(reading)?.into()),
        ActionKind::AddToList => Action::AddToList(id(value, reading)?.into()),
        ActionKind::RemoveFromList => Action::RemoveFromList(id(value, reading)?.into()),
        ActionKind::Campaign => Action::Campaign(id(value, reading)?.into()),
        // No key of a trigger's.
        ActionKind::Subscribe
        | ActionKind::Unsubscribe
        | ActionKind::Suppress
        | ActionKind::Unsuppress
        | ActionKind::Erase => return None,
    };
    if action.of().len() > 127 {
        reading.mistake(value.span(), value.path().to_owned(), "must be shorter than 128 bytes");
    }
    Some((action, value.span(), value.path().to_owned()))
}

/// The vendor's id of a list or campaign: it stands in a path.
fn id(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<String> {
    let id = value.text(reading)?;
    let is_good = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !is_good {
        let words = format!("`{id}` is no id: letters, digits, dashes and underscores");
        reading.mistake(value.span(), value.path().to_owned(), words);
    }
    is_good.then_some(id)
}

/// Tells what the account cannot do, and what is no id there.
fn suits(account: &Account, action: &Action, (span, path): (&Range<usize>, &str), reading: &mut Reading<'_>) {
    let lane = &account.lane;
    let mut mistake = |words: String, way_out: String| {
        reading.mistake(span.clone(), path.to_owned(), words).suggestion = Some(way_out);
    };
    let has_id = !matches!(action.kind(), ActionKind::Event | ActionKind::Profile);
    if !account.can.contains(&action.kind()) {
        let able = ActionKind::OF_TRIGGERS.iter().filter(|kind| account.can.contains(kind));
        let able: Vec<&str> = able.map(|kind| kind.key()).collect();
        mistake(format!("`{lane}` cannot do this"), format!("what it can do: {}", able.join(", ")));
    } else if account.has_numbers && has_id && !action.of().bytes().all(|b| b.is_ascii_digit()) {
        let words = format!("`{}` is no id at `{lane}`, where they are numbers", action.of());
        mistake(words, "the number in the address of its page".into());
    }
}

/// The account, where accounts are known. One that is not there is a mistake.
fn account<'a>(
    lane: &str,
    value: &Value<'_, '_>,
    reading: &mut Reading<'_>,
    accounts: Option<&'a [Account]>,
) -> Option<&'a Account> {
    let accounts = accounts?;
    if let Some(account) = accounts.iter().find(|account| *account.lane == *lane) {
        return Some(account);
    }
    let known: Vec<&str> = accounts.iter().map(|account| &*account.lane).collect();
    let words = format!("`{lane}` is not a destination");
    reading.mistake(value.span(), value.path().to_owned(), words).suggestion =
        Some(instead(lane, &known, "configured"));
    None
}

fn read_passage(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Passage> {
    match value.text(reading)?.as_str() {
        "enter" => Some(Passage::Enter),
        "exit" => Some(Passage::Exit),
        other => {
            let words = format!("`{other}` is no edge of a segment");
            reading.mistake(value.span(), value.path().to_owned(), words).suggestion =
                Some("\"enter\" or \"exit\"".into());
            None
        }
    }
}
