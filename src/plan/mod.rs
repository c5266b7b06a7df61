//! What triggers need of the accounts that they activate, against what those have: compared by `espalier plan`, made by
//! `espalier apply`, and looked at by the daemon when `[plan] at` says so.

mod compare;
mod daily;
mod needs;
#[cfg(test)]
mod tests;

pub use compare::{Account, Compared, Outcome, counted};
pub use daily::{Daily, Drift, Settings};
pub use needs::needs;
