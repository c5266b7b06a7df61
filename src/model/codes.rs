//! Discount codes in pools: each is given to one occasion, once for all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::OccasionId;

/// The longest code, in bytes.
pub const LONGEST_CODE: usize = 128;

/// A code that an occasion has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenCode {
    /// Whose it is.
    pub occasion: OccasionId,
    /// Where it was taken from.
    pub pool: Arc<str>,
    /// Its place in the pool, from 0.
    pub place: u64,
    /// Itself.
    pub code: Box<str>,
}

/// What is left of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodePool {
    /// Codes in the order they are given; those before `next` are gone.
    pub codes: Arc<Vec<Box<str>>>,
    /// Place in the pool of the first of `codes`.
    pub first: u64,
    /// Place in the pool of the next one.
    pub next: u64,
}

/// All pools, as a step finds them and leaves them.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    /// By name.
    pub pools: BTreeMap<Arc<str>, CodePool>,
    /// Codes that occasions have by the journal, though their step is not taken yet: they get the same again.
    pub known: Arc<HashMap<OccasionId, GivenCode>>,
    /// Made-up codes are given where there is no pool: for a simulation.
    pub made_up: Option<u64>,
}

impl CodePool {
    /// The next code and its place.
    fn next(&self) -> Option<(u64, &str)> {
        let at = usize::try_from(self.next.checked_sub(self.first)?).ok()?;
        Some((self.next, self.codes.get(at)?))
    }

    /// How many are left.
    pub fn left(&self) -> u64 {
        (self.first + self.codes.len() as u64).saturating_sub(self.next)
    }
}

impl Codes {
    /// For a simulation: each pool has codes without end, `NAME-1` and so on.
    pub fn made_up() -> Self {
        Self { made_up: Some(0), ..Self::default() }
    }

    /// The code that this occasion would get; `None` when the pool is empty, or there is none.
    pub fn of(&self, pool: &str, occasion: OccasionId) -> Option<GivenCode> {
        if let Some(known) = self.known.get(&occasion).filter(|known| *known.pool == *pool) {
            return Some(known.clone());
        }
        if let Some(n) = self.made_up {
            let code = format!("{}-{}", pool.to_uppercase(), n + 1).into();
            return Some(GivenCode { occasion, pool: pool.into(), place: n, code });
        }
        let (place, code) = self.pools.get(pool)?.next()?;
        Some(GivenCode { occasion, pool: pool.into(), place, code: code.into() })
    }

    /// It is given.
    pub fn give(&mut self, given: &GivenCode) {
        if let Some(n) = &mut self.made_up {
            *n += 1;
        } else if let Some(pool) = self.pools.get_mut(&given.pool) {
            pool.next = pool.next.max(given.place + 1);
        }
    }
}
