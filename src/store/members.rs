//! The daemons that share a store, and what went from one to another.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// A daemon that shares the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Member {
    /// Nobody else is called so; another one after each start.
    pub id: String,
    /// Its name in the configuration, or its machine's.
    pub name: String,
    /// Its build.
    pub version: String,
    /// The newest layout of the tables that it knows.
    pub schema: u32,
    /// Where its page is, as it listens.
    pub address: Option<String>,
    /// When it began, by the database's clock.
    pub since: Timestamp,
    /// When it was last heard of, by the database's clock.
    pub seen: Timestamp,
    /// It has been heard of just now, and was not stopped.
    pub is_alive: bool,
    /// It is the one that says this.
    pub is_me: bool,
    /// What it alone does now: `engine`, `lane:klaviyo`, `night`.
    pub holds: Vec<String>,
}

/// What one daemon did is done by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Takeover {
    /// What: as in [`Member::holds`].
    pub of: String,
    /// When, by the database's clock.
    pub at: Timestamp,
    /// Who did it before.
    pub from: String,
    /// Who does it.
    pub to: String,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Members {
    /// Those of the last day, the oldest first.
    pub members: Vec<Member>,
    /// The last twenty, the newest first.
    pub takeovers: Vec<Takeover>,
}

impl Members {
    /// This daemon.
    pub fn me(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.is_me)
    }

    /// Who alone does this now.
    pub fn holder(&self, of: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.holds.iter().any(|one| one == of))
    }
}

/// What another daemon said last under some name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its [`Member::id`].
    pub by: String,
    /// As [`Member::is_alive`].
    pub is_alive: bool,
    /// What it said.
    pub value: Vec<u8>,
}
