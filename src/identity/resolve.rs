//! Whose an event is, and who turns out to be the same.

use std::cmp::Reverse;

use crate::model::{Event, Identifier, Join, Loaded, Person, PersonId, Position};

use super::protect;
use super::settings::Settings;

/// What an event means for identity. Nothing is changed yet: the caller runs timers first, then joins.
#[derive(Debug, Default)]
pub struct Plan {
    /// Whose the event is; `None` when nobody has any of its names yet.
    pub person: Option<PersonId>,
    /// Who become one with `person`, which is the survivor.
    pub absorbed: Vec<PersonId>,
    /// Names that the person takes, from nobody or from a known one who keeps the rest.
    pub taken: Vec<Identifier>,
    /// The log: joins made and refused.
    pub joins: Vec<Join>,
}

/// Reads the people that `event` names and plans what follows. All owners are in `loaded`.
pub fn resolve(loaded: &Loaded, event: &Event, position: Position, settings: &Settings) -> Plan {
    // Strongest names first: an account says more than a device.
    let mut names: Vec<&Identifier> = event.identifiers.iter().collect();
    names.sort_by(|a, b| a.kind.cmp(&b.kind).then_with(|| a.value.cmp(&b.value)));
    names.dedup();
    let is_named = names.iter().any(|i| i.kind.names_a_person());
    let owner = |name: &Identifier| loaded.owners.get(name).and_then(|id| loaded.people.get(id));

    let mut plan = Plan::default();
    // Whose it is: the owner of its strongest name. A device's known owner is not taken for somebody newly named.
    let main = names.iter().find_map(|name| {
        owner(name).filter(|p| {
            !is_named || name.kind.names_a_person() || !p.is_known() || event.kind == crate::model::EventKind::Alias
        })
    });
    let Some(main) = main else {
        for name in names {
            if protect::may_take(plan.taken.iter(), &name.kind, &event.kind, &settings.limits) {
                plan.taken.push(name.clone());
            }
        }
        for name in &plan.taken {
            if let Some(other) = owner(name) {
                plan.joins.push(refused(PersonId::of(name, position), other, name, event, position, KNOWN_DEVICE));
            }
        }
        let id = plan.taken.first().map(|first| PersonId::of(first, position));
        for join in &mut plan.joins {
            join.survivor = id.unwrap_or(join.survivor);
        }
        return plan;
    };

    // Everybody else that it names: joined, or kept apart with the reason.
    let mut group: Vec<&Person> = vec![main];
    let mut asked: Vec<PersonId> = vec![main.id];
    for name in &names {
        let Some(other) = owner(name).filter(|other| !asked.contains(&other.id)) else { continue };
        asked.push(other.id);
        let because: Vec<&Identifier> =
            names.iter().copied().filter(|n| owner(n).is_some_and(|o| o.id == other.id)).collect();
        let strong: Vec<&Identifier> = because.iter().copied().filter(|n| n.kind.names_a_person()).collect();
        let shared = if strong.is_empty() { &because } else { &strong };
        let apart = protect::kept_apart(&group, other, shared, &event.kind, &settings.limits);
        // A person named by this very event is known, though their history may not say so yet.
        let apart = apart.or((is_named
            && strong.is_empty()
            && other.is_known()
            && event.kind != crate::model::EventKind::Alias)
            .then_some(KNOWN_DEVICE));
        match apart {
            None => group.push(other),
            Some(words) => plan.joins.push(refused(main.id, other, name, event, position, words)),
        }
    }

    let survivor = group.iter().min_by_key(|p| (Reverse(p.is_known()), p.created, p.id)).map_or(main.id, |p| p.id);
    for other in group.iter().filter(|p| p.id != survivor) {
        plan.joins.push(Join {
            survivor,
            other: other.id,
            carried: other.identifiers.clone(),
            position,
            source: event.source.clone(),
            at: event.at,
            because: names.iter().copied().filter(|n| owner(n).is_some_and(|o| o.id == other.id)).cloned().collect(),
            refused: None,
        });
        plan.absorbed.push(other.id);
    }
    for join in plan.joins.iter_mut().filter(|j| j.refused.is_some()) {
        join.survivor = survivor;
    }
    plan.person = Some(survivor);

    // Names nobody in the group has: new ones, and devices whose known owner is somebody else.
    let in_group = |id: PersonId| group.iter().any(|p| p.id == id);
    for name in names {
        match owner(name) {
            Some(other) if in_group(other.id) => {}
            Some(other) if protect::taken_apart(&group, other) => {}
            Some(_) if name.kind.names_a_person() => {}
            // A device, cart or order follows the latest known person; its history stays where it is.
            Some(other) if other.is_known() && !is_named => {}
            _ => {
                let held = group.iter().flat_map(|p| &p.identifiers).chain(&plan.taken);
                if protect::may_take(held, &name.kind, &event.kind, &settings.limits) {
                    plan.taken.push(name.clone());
                }
            }
        }
    }
    plan
}

const KNOWN_DEVICE: &str = "both are known, and a device, cart or order never joins two known people";

fn refused(
    survivor: PersonId,
    other: &Person,
    name: &Identifier,
    event: &Event,
    position: Position,
    words: &str,
) -> Join {
    Join {
        survivor,
        other: other.id,
        carried: Vec::new(),
        position,
        source: event.source.clone(),
        at: event.at,
        because: vec![name.clone()],
        refused: Some(words.into()),
    }
}
