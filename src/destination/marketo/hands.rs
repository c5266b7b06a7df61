//! Whose leads the exchanges of one account have in hand. Two upserts of one address at once can make two leads
//! (developer page "Leads"), so no second exchange begins with an address before the first is through with it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Imports that an account has at work at once: the vendor works on two of everybody's (developer page "Bulk import").
/// One place of the lane is left to all else.
pub const IMPORTS: usize = 2;

/// Of one account; all clones are one.
#[derive(Clone, Default)]
pub struct Hands(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// As they compare.
    addresses: HashSet<Box<str>>,
    /// Exchanges that import.
    importing: usize,
}

/// What one exchange has in hand, until it is dropped.
pub struct Held {
    hands: Hands,
    addresses: HashSet<Box<str>>,
    is_importing: bool,
}

impl Hands {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For an exchange that begins.
    pub fn begin(&self) -> Held {
        Held { hands: self.clone(), addresses: HashSet::new(), is_importing: false }
    }
}

impl Held {
    /// Takes addresses, all or none of them; false while another exchange has one.
    pub fn take(&mut self, addresses: impl Iterator<Item = String>) -> bool {
        let mine = |address: String| Some(Box::from(address)).filter(|one| !self.addresses.contains(one));
        let wanted: Vec<Box<str>> = addresses.filter_map(mine).collect();
        let mut inner = self.hands.lock();
        let is_free = wanted.iter().all(|address| !inner.addresses.contains(address));
        if is_free {
            inner.addresses.extend(wanted.iter().cloned());
            self.addresses.extend(wanted);
        }
        is_free
    }

    /// Takes leave to import; false while as many do as may.
    pub fn may_import(&mut self) -> bool {
        if !self.is_importing {
            let mut inner = self.hands.lock();
            self.is_importing = inner.importing < IMPORTS;
            inner.importing += usize::from(self.is_importing);
        }
        self.is_importing
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut inner = self.hands.lock();
        for address in &self.addresses {
            inner.addresses.remove(address);
        }
        inner.importing -= usize::from(self.is_importing);
    }
}
