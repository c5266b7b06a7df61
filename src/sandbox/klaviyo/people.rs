//! Which identifiers belong to one profile. An event with any known identifier is that profile's; new identifiers join it.

use std::collections::HashMap;

use crate::sandbox::received::key;

/// Identifiers kept. Beyond that, a profile is known by its first identifier alone.
const MOST: usize = 4_000_000;

/// One identifier, hashed with its kind.
pub(super) type Identifier = u128;

/// Hashes an identifier. Addresses are compared without regard to case.
pub(super) fn identifier(kind: &str, value: &str) -> Identifier {
    let lower = if kind == "email" { value.to_lowercase() } else { String::new() };
    let value = if kind == "email" { &lower } else { value };
    key(&[kind.as_bytes(), value.as_bytes()])
}

/// The account's profiles.
#[derive(Default)]
pub(super) struct People(HashMap<Identifier, u128>);

impl People {
    /// The profile that these identifiers point at, the first that is known, else a new one.
    pub fn whose(&self, identifiers: &[Identifier]) -> u128 {
        let known = identifiers.iter().find_map(|i| self.0.get(i).copied());
        known.or_else(|| identifiers.first().copied()).unwrap_or(0)
    }

    /// Joins the identifiers to the profile; identifiers of other profiles stay theirs. True when the profile was known.
    pub fn learn(&mut self, identifiers: &[Identifier], profile: u128) -> bool {
        let is_known = identifiers.iter().any(|i| self.0.get(i) == Some(&profile));
        for one in identifiers {
            if self.0.len() < MOST {
                self.0.entry(*one).or_insert(profile);
            }
        }
        is_known
    }
}
