//! An event of the tracking source `web`, for tests that drive the engine themselves.

use espalier::model::{Event, EventKind, Identifier, Origin, RawJson, Timestamp};

/// Somebody of these names did this, and it arrives at once.
pub fn did(message: &str, name: &str, at: Timestamp, identifiers: Vec<Identifier>) -> Event {
    Event {
        kind: EventKind::Did,
        name: name.into(),
        at,
        claimed_at: None,
        arrived: at,
        source: "web".into(),
        origin: Origin::Tracking,
        dedupe: vec![Event::dedupe_key(&[message])],
        identifiers,
        session: None,
        properties: RawJson::empty(),
        traits: RawJson::empty(),
    }
}
