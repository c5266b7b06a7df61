//! `defer = true` of an `[[activate]]`: it waits for its destination's next night, and leaves with all others that do.
//!
//! It drops nothing. Where the night, or the quiet hours in which it lies, end too late for it, it leaves as others do.

use crate::model::Timestamp;

use super::{Edge, quiet_hours};

/// When each thing that the edge starts leaves, where one of them is deferred; `usual` is when the others do.
pub fn each(edge: &Edge<'_>, usual: Option<Timestamp>) -> Vec<Option<Timestamp>> {
    if !edge.starts.iter().any(|start| start.defer) {
        return Vec::new();
    }
    let night = |lane: &str| {
        let night = edge.program.settings().nights.next(lane, edge.leaves())?;
        // The later holds; and nothing leaves in quiet hours, whatever their end has to do with now.
        let leaves = night.max(usual.unwrap_or(night));
        let leaves = quiet_hours::end(edge, leaves).unwrap_or(leaves);
        (leaves < edge.at + edge.trigger.expires).then_some(leaves)
    };
    let leaves = edge.starts.iter().map(|start| if start.defer { night(&start.lane).or(usual) } else { usual });
    leaves.collect()
}
