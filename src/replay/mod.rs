//! The same decisions in virtual time. No clock, no store of its own: everybody is in memory.

mod rehearse;
mod simulate;

pub use rehearse::rehearse;
pub use simulate::{Fire, LeafCount, Simulation, leaves, simulate};
