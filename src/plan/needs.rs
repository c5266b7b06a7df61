//! What the triggers need of each account: events and their fields, lists, campaigns. What sort of value a field has is declared by
//! `[types]` in a trigger's file, else follows from the payloads of its `[[test]]`s, else from what its file says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::identity;
use crate::model::{Action, Field, FieldKind, LaneName, Need};
use crate::replay::rehearsed;
use crate::rules::{Program, Trigger};

/// The needs of each destination that a trigger names, in the order of the triggers.
pub fn needs(program: &Program, names: &identity::Settings) -> BTreeMap<LaneName, Vec<Need>> {
    let mut needs: BTreeMap<LaneName, Vec<Need>> = BTreeMap::new();
    for trigger in program.triggers() {
        let fields = fields(program, trigger, names);
        for start in trigger.activate.iter().chain(&trigger.activate_on_exit) {
            let of_lane = needs.entry(start.lane.clone()).or_default();
            add(of_lane, &start.action, &fields, trigger);
            if let Some(void) = &start.void {
                add(of_lane, &Action::Event(void.clone()), &fields_of_void(trigger), trigger);
            }
        }
    }
    needs
}

fn add(needs: &mut Vec<Need>, action: &Action, fields: &[Field], trigger: &Trigger) {
    match needs.iter_mut().find(|need| need.action == *action) {
        Some(need) => join(need, fields, &trigger.name),
        None => needs.push(Need {
            action: action.clone(),
            fields: fields.to_vec(),
            triggers: vec![trigger.name.clone()],
            repeats: !trigger.once || trigger.per.is_some(),
        }),
    }
}

/// What goes with the word that an event is void.
fn fields_of_void(trigger: &Trigger) -> Vec<Field> {
    let text = ["trigger", "occasion", "voids"].into_iter().chain(trigger.per.is_some().then_some("key"));
    let fields = text.map(|name| (name, FieldKind::Text));
    let instants = ["occurred_at", "voids_of"].map(|name| (name, FieldKind::Datetime));
    fields.chain(instants).map(|(name, kind)| Field { name: name.to_owned(), kind }).collect()
}

/// Several triggers send one event: it has the fields of all. One that is of two sorts is text.
fn join(need: &mut Need, fields: &[Field], trigger: &Arc<str>) {
    if !need.triggers.contains(trigger) {
        need.triggers.push(trigger.clone());
        need.repeats = true;
    }
    for field in fields {
        match need.fields.iter_mut().find(|known| known.name == field.name) {
            Some(known) if known.kind != field.kind => known.kind = FieldKind::Text,
            Some(_) => {}
            None => need.fields.push(field.clone()),
        }
    }
}

/// What goes with a trigger's activations.
fn fields(program: &Program, trigger: &Trigger, names: &identity::Settings) -> Vec<Field> {
    let mut seen: Vec<(String, Vec<Value>)> =
        ["trigger", "occasion", "occurred_at"].map(|name| (name.to_owned(), Vec::new())).into();
    if trigger.per.is_some() {
        seen.push(("key".to_owned(), Vec::new()));
    }
    for fire in rehearsed(program, trigger, names).into_iter().flatten() {
        for (name, value) in fire.payload.to_value().as_object().into_iter().flatten() {
            match seen.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value.clone()),
                None => seen.push((name.clone(), vec![value.clone()])),
            }
        }
    }
    let payload = trigger.payload.as_deref();
    let said: Vec<(&str, Option<FieldKind>)> = payload.map(|p| p.fields().collect()).unwrap_or_default();
    let declared = payload.map(|payload| payload.types()).unwrap_or_default();
    for name in said.iter().map(|(name, _)| *name).chain(declared.iter().map(|field| field.name.as_str())) {
        if !seen.iter().any(|(known, _)| known == name) {
            seen.push((name.to_owned(), Vec::new()));
        }
    }
    let kind = |name: &str, values: &[Value]| {
        let declared = declared.iter().find(|field| field.name == name).map(|field| field.kind);
        let said = || said.iter().find(|(known, _)| *known == name).and_then(|(_, kind)| *kind);
        let fixed = (name == "occurred_at").then_some(FieldKind::Datetime);
        declared.or(fixed).or_else(|| FieldKind::of(values)).or_else(said).unwrap_or(FieldKind::Text)
    };
    seen.into_iter().map(|(name, values)| Field { kind: kind(&name, &values), name }).collect()
}
