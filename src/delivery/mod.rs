//! Outbox lanes: batch, send, settle; retries, breaker, dead letters.
//!
//! One lane for one destination account; nothing of one lane waits for another. What cannot be sent now waits in the
//! store with a durable time; what can never be sent is a dead letter with the vendor's words.

mod asker;
mod breaker;
mod exchange;
mod lane;
pub mod settings;
mod state;

pub use asker::Asker;
pub use breaker::Breaker;
pub use lane::Lane;
pub use settings::Settings;
pub use state::{Hold, LaneState};

use crate::destination::Halt;
use crate::wire::TokenError;

/// Without a token nothing leaves.
impl From<TokenError> for Halt {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(status) => {
                Self::Credentials(format!("the vendor refuses the client id or secret (HTTP {status})"))
            }
            TokenError::Unavailable(words) => Self::Down(words),
        }
    }
}
