//! `[identity]` in the configuration.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::IdentifierKind;

/// What counts as a name, and how many one person may have.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Values that name nobody, besides the usual ones (`null`, `undefined`, `anonymous`, zeros, `test@test.com` ...).
    /// Compared in lower case.
    pub blocked: BTreeSet<String>,
    /// Calling code for phone numbers written without one, e.g. `"+351"`; without it they are left out.
    pub calling_code: Option<String>,
    /// The most names of one kind that one person may have.
    pub limits: Limits,
}

/// The most names of each kind for one person. A join or a link that would exceed one is not made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Account ids; only an explicit alias gives a person a second one.
    pub user_id: usize,
    /// Customer numbers at one source.
    pub customer: usize,
    /// E-mail addresses.
    pub email: usize,
    /// Telephone numbers.
    pub phone: usize,
    /// Browsers and devices.
    pub anonymous_id: usize,
    /// Carts, checkouts and orders, each.
    pub token: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { user_id: 1, customer: 3, email: 5, phone: 5, anonymous_id: 100, token: 1_000 }
    }
}

impl Limits {
    /// For one kind.
    pub fn of(&self, kind: &IdentifierKind) -> usize {
        match kind {
            IdentifierKind::UserId => self.user_id,
            IdentifierKind::Customer(_) => self.customer,
            IdentifierKind::Email => self.email,
            IdentifierKind::Phone => self.phone,
            IdentifierKind::AnonymousId => self.anonymous_id,
            IdentifierKind::Order | IdentifierKind::Checkout | IdentifierKind::Cart => self.token,
        }
    }
}
