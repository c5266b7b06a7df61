//! The same decisions in virtual time, and what people did as distributions. No clock, no store of its own: what it is
//! given is in memory.

mod alone;
mod backtest;
mod baseline;
mod days;
mod pairing;
mod parts;
mod rehearse;
mod relive;
mod run;
mod simulate;

pub use backtest::{Backtest, Compared, ConditionCount, Cut, Purchases, Question, Records, Report, Share, Tested};
pub use baseline::{AtLeast, Baseline, Distribution, Hit, Metric, QUANTILES};
pub use days::OfDay;
pub use rehearse::{rehearse, rehearsed};
pub use relive::{Lived, relive};
pub use simulate::{Fire, LeafCount, Simulation, Sold, leaves, simulate, simulate_with};
