//! The only ledger of an account's budget at a vendor.
