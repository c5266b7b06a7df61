//! The one ledger of an account's budget: windows as the vendor counts them, what its headers say, the day's count that
//! outlives a restart, who goes first, and what a queue will cost.
//!
//! Windows are asked from the shortest to the longest, and spent when all of them have room: a governor cannot give back.

mod accounts;
mod ahead;
mod counting;
mod day;
mod drip;
mod family;
mod forecast;
mod kept;
mod ledger;
mod outlook;
mod proven;
mod share;
#[cfg(test)]
mod tests;

pub use accounts::Accounts;
pub use forecast::{Calls, Need, need};
pub use ledger::{Ledger, NotOurs, Pass, WindowUse};
pub use outlook::{Cost, Outlook, Part, outlook};
pub use share::For;
