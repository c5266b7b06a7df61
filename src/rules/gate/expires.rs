//! `expires = D`: an edge learned of more than D after its instant is recorded and not sent.

use super::Edge;
use crate::model::Verdict;

pub fn verdict(edge: &Edge<'_>) -> Option<Verdict> {
    (edge.now > edge.at + edge.trigger.expires).then_some(Verdict::Expired)
}
