//! What is passed on to destinations without a trigger: what somebody said of consent, and that they are to be forgotten.

use std::sync::Arc;

use super::LaneName;
use super::consent::Channel;

/// The name that stands in the place of a trigger's for what is said of consent.
pub const CONSENT: &str = "(consent)";
/// The name that stands in the place of a trigger's for erasures.
pub const ERASURE: &str = "(erasure)";

/// They go before all that triggers say, whose highest priority is 100.
pub const PRIORITY: super::Priority = 101;

/// Which destinations are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOn {
    /// Those that can forget somebody.
    pub erasure: Vec<LaneName>,
    /// Those to which consent is written.
    pub consent: Vec<ConsentLane>,
}

/// A destination to which consent is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentLane {
    /// Its name.
    pub lane: LaneName,
    /// Of these channels.
    pub channels: Vec<Channel>,
    /// Unless one of these sources said so: they read the same account.
    pub except: Vec<Arc<str>>,
}
