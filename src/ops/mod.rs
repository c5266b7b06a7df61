//! What people see: health, metrics, the status page, explain. Reads all, changes only dead letters, and those by the
//! store's own steps; hands on the wish to read the trigger files again, and writes into the journal what somebody says of
//! people by hand.

mod access;
mod activations;
mod alerts;
mod api;
mod backtest;
mod demands;
mod events;
mod explain;
mod findings;
mod health;
mod hooks;
pub mod identity;
pub mod letters;
mod metric;
mod night;
mod page;
mod payload;
mod quiet;
mod quota;
mod reload;
mod replays;
mod room;
mod series;
mod server;
pub mod settings;
pub mod store;
mod tls;
pub mod triggers;
mod trouble;
mod wrong;

pub use access::{Access, Area, Change, Refused, Role};
pub use alerts::Wanted as SilenceWanted;
pub use backtest::{Failed as BacktestFailed, Wanted as BacktestWanted, backtest};
pub use demands::{Demand, Shown as Receipt, answered, demands, receipts};
pub use explain::attempt as attempt_words;
pub use explain::{Explained, explain};
pub use health::{Health, Watched};
pub use metric::{Described, METRICS, Metrics, Sort};
pub use payload::{NoPreview, preview};
pub use reload::{Asked, Compiled, Reloaded, Reloads};
pub use server::{NotBegun, Ops, Running, running, write_private};
pub use settings::Settings;
pub use trouble::{Trouble, TroubleKind};
