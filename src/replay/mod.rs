//! The same decisions in virtual time, and what people did as distributions. No clock, no store of its own: what it is
//! given is in memory.

mod baseline;
mod rehearse;
mod simulate;

pub use baseline::{AtLeast, Baseline, Distribution, Hit, Metric, QUANTILES};
pub use rehearse::rehearse;
pub use simulate::{Fire, LeafCount, Simulation, leaves, simulate, simulate_with};
