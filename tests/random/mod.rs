//! Random rules and timelines, and what drives `decide` and the oracle through them.

pub mod driving;
pub mod kept;
pub mod message;
pub mod rules;
pub mod timelines;

use espalier::model::Timestamp;

use crate::oracle::{MINUTE, Ms};

/// 2028-02-28T21:00:00Z: timelines reach into a leap day.
pub const START: Ms = 1_835_384_400_000;
/// Long after the last event, so that every timer has had its turn.
pub const HORIZON: Ms = 30 * 24 * 60 * MINUTE;

/// What is asked for, and what happens most.
const EVENTS: &[&str] = &["Product Viewed", "Product Added", "Order Completed", "Email Opened"];
/// Zones of people and of the configuration; the last one is none.
const PLACES: &[&str] = &["UTC", "Europe/Lisbon", "America/New_York", "Asia/Kolkata", "Mars/Base"];

pub fn instant(ms: Ms) -> Timestamp {
    Timestamp::from_millis(START + ms)
}
