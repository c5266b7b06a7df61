//! `once = true`: never a second fire for (person, key).

use super::Edge;
use crate::model::Verdict;

pub fn verdict(edge: &Edge<'_>) -> Option<Verdict> {
    if !edge.trigger.once {
        return None;
    }
    let watch = edge.person.watches.get(&(edge.trigger.id, edge.key.into()))?;
    watch.fired.map(Verdict::AlreadyFired)
}
