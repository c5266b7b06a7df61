//! Which of those who call a vendor call the same account, and so share a ledger.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use crate::clock::SharedClock;
use crate::model::http::{AccountKey, Window};
use crate::store::Store;

/// The accounts that a daemon calls. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Accounts {
    store: Option<Arc<dyn Store>>,
    clock: SharedClock,
    known: Arc<Mutex<Vec<Known>>>,
}

struct Known {
    key: Option<AccountKey>,
    ledger: Ledger,
}

impl Accounts {
    /// None yet; their days' counts are kept in `store`, where there is one.
    pub fn new(store: Option<Arc<dyn Store>>, clock: SharedClock) -> Self {
        Self { store, clock, known: Arc::default() }
    }

    /// The clock by which they are counted.
    pub fn clock(&self) -> SharedClock {
        self.clock.clone()
    }

    /// The ledger of the account with this key, with these windows too; a new one, called `name`, where nobody has it.
    pub fn ledger(&self, name: &str, key: Option<AccountKey>, windows: &[Window]) -> Ledger {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has no key is alone under its name.
        let is_same = |one: &&Known| one.key == key && (key.is_some() || one.ledger.name() == name);
        let same = known.iter().find(is_same).map(|one| one.ledger.clone());
        let ledger = same.unwrap_or_else(|| {
            let ledger = match &self.store {
                Some(store) => {
                    let id = key.as_ref().map_or_else(|| name.to_owned(), AccountKey::id);
                    Ledger::durable(name, &id, store.clone(), self.clock.clone())
                }
                None => Ledger::new(name, self.clock.clone()),
            };
            known.push(Known { key, ledger: ledger.clone() });
            ledger
        });
        ledger.add(windows);
        ledger
    }

    /// All of them, in the order in which they were first used.
    pub fn all(&self) -> Vec<Ledger> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|one| one.ledger.clone()).collect()
    }

    /// Takes over what an earlier run kept of each. False where another daemon has one of them.
    pub async fn open(&self) -> bool {
        let mut all_ours = true;
        for ledger in self.all() {
            all_ours &= ledger.open().await;
        }
        all_ours
    }

    /// Has each of them while it is ours to call, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut running = JoinSet::new();
        for ledger in self.all() {
            running.spawn(ledger.run(stop.clone()));
        }
        while running.join_next().await.is_some() {}
    }

    /// Keeps what left, for the next run.
    pub async fn close(&self) {
        for ledger in self.all() {
            ledger.close().await;
        }
    }
}
