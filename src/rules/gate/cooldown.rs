//! `cooldown = D`: no second fire of the trigger for the person within D, whatever the key. Dropped, not deferred.

use super::Edge;
use crate::model::Verdict;

pub fn verdict(edge: &Edge<'_>) -> Option<Verdict> {
    let cooldown = edge.trigger.cooldown?;
    let last = *edge.person.last_fires.get(&edge.trigger.id)?;
    (edge.at < last + cooldown).then_some(Verdict::CoolingDown(last))
}
