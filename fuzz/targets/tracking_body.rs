//! The tracking API: whatever comes, every message of it is an event or is rejected with a reason.
#![no_main]

mod common;

use espalier::source::tracking::{Call, MessageType, read, write_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = write_key(body);
    common::with_arrival(|arrival| {
        for call in [Call::Batch, Call::One(MessageType::Track), Call::One(MessageType::Identify), Call::One(MessageType::Page)] {
            let Ok(read) = read(body, call, arrival) else { continue };
            if call != Call::Batch {
                assert_eq!(read.events.len() + read.rejected.len(), 1);
            }
            for event in &read.events {
                common::is_sound(event);
                assert!(!event.identifiers.is_empty(), "an event names somebody");
            }
            for rejected in &read.rejected {
                assert!(!rejected.reason.is_empty());
            }
        }
    });
});
