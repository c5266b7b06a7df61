//! What is improbably quiet, as people see it.

use serde::Serialize;

use crate::model::Timestamp;
use crate::pull::Heard;

/// A silence of a source or a list.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct QuietHealth {
    /// Since when.
    pub since: Timestamp,
    /// Events that came since.
    pub came: u64,
    /// Events that usually come in that time.
    pub usual: u64,
}

impl QuietHealth {
    /// Of a source by itself, or of a list of it.
    pub(super) fn of(heard: &[Heard], source: &str, stream: Option<&str>) -> Option<Self> {
        let one = heard.iter().find(|one| &*one.source == source && one.stream.as_deref() == stream)?;
        let quiet = one.quiet.as_ref()?;
        Some(Self { since: quiet.since, came: quiet.came, usual: quiet.expected.round() as u64 })
    }

    /// In words.
    pub fn words(&self) -> String {
        let since = self.since.minute();
        format!("improbably quiet since {since} UTC: {} events came where {} usually do", self.came, self.usual)
    }
}
