//! The same decisions in virtual time. No clock, no store of its own: everybody is in memory.

mod simulate;

pub use simulate::{Fire, LeafCount, Simulation, leaves, simulate};
