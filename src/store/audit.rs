//! What is kept of who changed what by hand.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// A change that somebody asked for by hand. Written before it is made: one without an [`Audited::status`] was cut short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When.
    pub at: Timestamp,
    /// Whose account or token.
    pub by: Box<str>,
    /// What was asked: `pause a trigger`. No personal data.
    pub did: Box<str>,
    /// Of what: the trigger's name, a person's internal id; empty where it says all.
    pub of: Box<str>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// Its number: they grow with time.
    pub id: u64,
    /// What was asked, and by whom.
    #[serde(flatten)]
    pub asked: Asked,
    /// How it was answered, as an HTTP status.
    pub status: Option<u16>,
    /// What else there is to say of it: the role that was given. No personal data.
    pub note: Box<str>,
}
