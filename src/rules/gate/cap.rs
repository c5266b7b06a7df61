//! Frequency caps: no more than so many activations of all triggers leave for one person within so long.
//!
//! One of a higher priority takes the place of one that still waits for quiet hours to end, or for a night.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::model::{Gate, OccasionId, Pending, Span, Timestamp};

use super::{Dropped, Edge};

/// One cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// So many, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub most: u32,
    /// Within so long, a minute to 90 days: "7d".
    pub within: Span,
}

/// All caps, each of which holds. Written as one table or as several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps(pub Vec<Cap>);

impl Cap {
    /// The shortest and the longest that one may reach.
    pub const REACH: (Span, Span) = (Span::from_minutes(1), Span::from_days(90));

    /// True when something that leaves at `other` counts for what leaves at `leaves`: what still waits does, too.
    fn counts(&self, other: Timestamp, leaves: Timestamp) -> bool {
        other + self.within > leaves
    }
}

impl Caps {
    /// How far back the longest reaches; `None` when there are none.
    pub fn reach(&self) -> Option<Span> {
        self.0.iter().map(|cap| cap.within).max()
    }
}

impl<'de> Deserialize<'de> for Caps {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(Cap),
            Several(Vec<Cap>),
        }
        Ok(Self(match Written::deserialize(d)? {
            Written::One(cap) => vec![cap],
            Written::Several(caps) => caps,
        }))
    }
}

impl JsonSchema for Caps {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Caps".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let cap = generator.subschema_for::<Cap>();
        schemars::json_schema!({ "anyOf": [cap, { "type": "array", "items": cap }] })
    }
}

/// What gives its place to an edge that leaves at this instant; why the edge is dropped when nothing can.
pub fn displaced(edge: &Edge<'_>, leaves: Timestamp) -> Result<Vec<OccasionId>, Dropped> {
    let mut displaced = Vec::new();
    if edge.trigger.gating.is_exempt_from_caps {
        return Ok(displaced);
    }
    for cap in &edge.program.settings().gates.cap.0 {
        loop {
            let counted = edge.person.counted.iter();
            let counted: Vec<_> =
                counted.filter(|c| cap.counts(c.leaves, leaves) && !displaced.contains(&c.occasion)).collect();
            if (counted.len() as u64) < u64::from(cap.most) {
                break;
            }
            let is_counted = |pending: &&Pending| counted.iter().any(|c| c.occasion == pending.occasion);
            match weakest(edge, edge.person.pending.iter().filter(is_counted)) {
                Some(pending) => displaced.push(pending.occasion),
                None => {
                    let Cap { most, within } = cap;
                    let words = format!("{most} within {within} have left or wait to leave");
                    return Err((Gate::Cap, words.into()));
                }
            }
        }
    }
    Ok(displaced)
}

/// Of those that still wait and have a lower priority: the lowest, then the one that leaves last, then the one that
/// fired last.
fn weakest<'p>(edge: &Edge<'_>, pending: impl Iterator<Item = &'p Pending>) -> Option<&'p Pending> {
    let waits = pending.filter(|pending| pending.waits_at(edge.leaves()));
    let lower = waits.filter_map(|pending| {
        let (place, trigger) = edge.program.by_id(pending.trigger)?;
        (trigger.priority < edge.trigger.priority).then_some((pending, place, trigger.priority))
    });
    let strength = |(pending, place, priority): &(&'p Pending, usize, u8)| {
        (std::cmp::Reverse(*priority), pending.not_before, pending.at, *place, pending.key.clone())
    };
    lower.max_by_key(strength).map(|(pending, ..)| pending)
}
