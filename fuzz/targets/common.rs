//! What the targets share.

use std::sync::Arc;

use espalier::identity;
use espalier::model::{Event, Timestamp};
use espalier::source::{Arrival, Limits};
use espalier::store::record;

/// An arrival in November 2026, with the daemon's own bounds.
pub fn with_arrival<T>(take: impl FnOnce(&Arrival<'_>) -> T) -> T {
    let source: Arc<str> = "web".into();
    let names = identity::Settings::default();
    let limits = Limits { message: 32 << 10, messages: 100 };
    take(&Arrival { source: &source, at: Timestamp::from_millis(1_795_000_000_000), names: &names, limits: &limits })
}

/// Whatever is accepted can be kept, read again, and read as JSON.
pub fn is_sound(event: &Event) {
    let again: Event = record::decode(&record::encode(event)).expect("what was stored is read again");
    assert_eq!(&again, event);
    for json in [&event.properties, &event.traits] {
        let value: serde_json::Value = serde_json::from_str(json.get()).expect("kept text is JSON");
        assert!(value.is_object());
    }
    assert!(event.at <= event.arrived + espalier::model::Span::from_minutes(10), "no event is far in the future");
}
