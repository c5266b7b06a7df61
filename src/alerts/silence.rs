//! What somebody wants to hear nothing of for a while.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kind::Kind;
use crate::model::Timestamp;

/// Nothing new is told of what it covers until it ends. What was told is still told to be over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertSilence)]
pub struct Silence {
    /// Its number.
    pub id: u64,
    /// Only of this kind; of all without it.
    pub kind: Option<Kind>,
    /// Only what is about this; about everything without it.
    pub of: Option<String>,
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who wanted it.
    pub by: String,
}

impl Silence {
    /// True when it covers such an alert now.
    pub fn covers(&self, kind: Kind, of: &str, now: Timestamp) -> bool {
        now < self.until && self.kind.is_none_or(|one| one == kind) && self.of.as_deref().is_none_or(|one| one == of)
    }
}
