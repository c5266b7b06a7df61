//! What a test does with a simulated account beside its HTTP: puts and changes records, and asks what was read.

use serde_json::Value;

use super::made_up;
use super::records::Read;
use super::{Desk, Sandbox};
use crate::model::{Span, Timestamp};

impl Sandbox {
    /// Puts a record into an account, in the vendor's own JSON and in the place of one with the same id.
    ///
    /// An id or a time that it does not have is given by the account, as the vendor would. Returns the id; fails for an
    /// unknown account or kind. The kinds are each vendor's: see its file.
    pub fn put(&self, account: &str, kind: &str, record: Value) -> Result<String, String> {
        let now = self.clock.now().as_millis();
        self.known(account)?.vendor.put(kind, record, now, i64::MIN)
    }

    /// The same, and readers see it only from `visible` on: a late commit, or an index that lags.
    pub fn put_late(&self, account: &str, kind: &str, record: Value, visible: Timestamp) -> Result<String, String> {
        let now = self.clock.now().as_millis();
        self.known(account)?.vendor.put(kind, record, now, visible.as_millis())
    }

    /// Puts `count` made-up records, the first changed at `from` and each next one `each` later. Returns their ids.
    pub fn fill(
        &self,
        account: &str,
        kind: &str,
        count: u64,
        from: Timestamp,
        each: Span,
    ) -> Result<Vec<String>, String> {
        let vendor = self.known(account)?.kind;
        let mut at = from;
        let mut ids = Vec::new();
        for n in 1..=count {
            let record = made_up::record(vendor, kind, n, at);
            ids.push(self.put(account, kind, record.ok_or_else(|| format!("no {kind} are made up for {vendor}"))?)?);
            at = at + each;
        }
        Ok(ids)
    }

    /// Lays `patch` over a record, object by object. It counts as changed now, unless the patch itself says when.
    ///
    /// Marketo's leads and activities are only put in: they can be neither changed, nor removed, nor listed here.
    pub fn change(&self, account: &str, kind: &str, id: &str, patch: Value) -> Result<(), String> {
        self.known(account)?.vendor.records().change(kind, id, patch, self.clock.now().as_millis())
    }

    /// Takes a record away without a trace, as a hard delete does; false when there was none.
    pub fn remove(&self, account: &str, kind: &str, id: &str) -> bool {
        self.desk(account).is_some_and(|d| d.vendor.records().remove(kind, id))
    }

    /// An account's records of a kind by their last change, those not yet visible included.
    pub fn records(&self, account: &str, kind: &str) -> Vec<Value> {
        let rows = self.desk(account).map(|d| d.vendor.records().all(kind, i64::MAX)).unwrap_or_default();
        rows.iter().map(|r| r.body.clone()).collect()
    }

    /// Every page of records that an account gave, oldest first.
    pub fn reads(&self, account: &str) -> Vec<Read> {
        self.desk(account).map(|d| d.vendor.records().reads()).unwrap_or_default()
    }

    /// Orders a fault, as `POST /_sandbox/faults` does; returns how many wait.
    pub fn fault(&self, fault: Value) -> Result<usize, String> {
        let fault: super::Fault = serde_json::from_value(fault).map_err(|e| e.to_string())?;
        let desk = self.known(&fault.vendor)?;
        self.faults.add(fault, desk.kind)
    }

    fn known(&self, account: &str) -> Result<&Desk, String> {
        self.desk(account).ok_or_else(|| {
            let names: Vec<&str> = self.desks.iter().map(|d| d.name.as_str()).collect();
            format!("`{account}` is not a vendor: write one of {}", names.join(", "))
        })
    }
}
