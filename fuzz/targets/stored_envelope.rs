//! Bytes from the disk: read, or told to be damaged; and what was read is written as it was.
#![no_main]

use espalier::model::{Activation, Event, Join};
use espalier::store::record::{
    Ended, EventBatch, Header, Noted, Row, StepRecord, StoredDecision, StoredEntry, decode, encode,
};
use libfuzzer_sys::fuzz_target;

/// Numbers may be written longer than needed, so it is the second form that must stay.
macro_rules! stays {
    ($data:expr, $($form:ty),+) => {$(
        if let Ok(value) = decode::<$form>($data) {
            let written = encode(&value);
            let again = decode::<$form>(&written).expect("what was written is read again");
            assert_eq!(encode(&again), written);
        }
    )+};
}

fuzz_target!(|data: &[u8]| {
    stays!(data, Event, EventBatch<Event>, Header, StoredEntry, (Row, Activation), Ended, Noted, StepRecord);
    stays!(data, StoredDecision, Join);
});
