//! What of the journal was of somebody who is forgotten, and what is left of it.

use std::collections::HashMap;

use crate::model::{Event, EventKind, Identifier, Position, RawJson};

/// Sixteen bytes that stand for a name.
pub type Hash = [u8; 16];

/// That of a name.
pub fn hash(name: &Identifier) -> Hash {
    hash_of(name.to_text().as_bytes())
}

/// That of the name of this text.
pub fn hash_of(text: &[u8]) -> Hash {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(text).as_bytes()[..16]);
    short
}

/// Names by their hash, each with the position up to which it is forgotten.
pub type Names = HashMap<Hash, Position>;

/// Whose it is says the strongest sort of name in it: a device may have been somebody else's before.
pub fn is_of(event: &Event, position: Position, names: &Names) -> bool {
    let says_who = event.identifiers.iter().any(|name| name.kind.names_a_person());
    let mut telling = event.identifiers.iter().filter(|name| !says_who || name.kind.names_a_person());
    telling.any(|name| names.get(&hash(name)).is_some_and(|until| position <= *until))
}

/// True for what remains of an event whose person is forgotten.
pub fn is_nothing(event: &Event) -> bool {
    event.name.is_empty() && event.identifiers.is_empty()
}

/// What remains: that there was something, when, and that the message is not taken again.
pub fn nothing(of: &Event) -> Event {
    Event {
        kind: EventKind::Did,
        name: "".into(),
        at: of.at,
        claimed_at: None,
        arrived: of.arrived,
        source: of.source.clone(),
        origin: of.origin,
        dedupe: of.dedupe.clone(),
        identifiers: Vec::new(),
        session: None,
        properties: RawJson::empty(),
        traits: RawJson::empty(),
    }
}
