//! `[[activate]]`: what an edge starts at a destination, exactly one thing each.

use std::ops::Range;

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
            let action = read_action(&mut table, reading);
            table.finish(reading);
            let can = lane.as_ref().and_then(|(lane, value)| can(lane, value, reading, accounts));
            let Some(((lane, destination), (action, span, path))) = lane.zip(action) else { continue };
            if let Some(can) = can
                && !can.contains(&action.kind())
            {
                let words = format!("`{lane}` cannot do this");
                let able: Vec<&str> = can.iter().map(|kind| kind.key()).collect();
                reading.mistake(span.clone(), path.clone(), words).suggestion =
                    Some(format!("what it can do: {}", able.join(", ")));
            }
            let start = Self { lane: lane.into(), action };
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
    let said: Vec<_> = ActionKind::ALL.into_iter().filter_map(|kind| Some((kind, table.get(kind.key())?))).collect();
    let every = ActionKind::ALL.map(ActionKind::key).join(", ");
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

/// What the account can do, where accounts are known. One that is not there is a mistake.
fn can(
    lane: &str,
    value: &Value<'_, '_>,
    reading: &mut Reading<'_>,
    accounts: Option<&[Account]>,
) -> Option<&'static [ActionKind]> {
    let accounts = accounts?;
    if let Some(account) = accounts.iter().find(|account| *account.lane == *lane) {
        return Some(account.can);
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
