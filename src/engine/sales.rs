//! What was ordered, counted from the people in the store: when the first trigger asks for it, and now and then.

use std::sync::Arc;

use crate::model::Sales;
use crate::rules::Program;
use crate::store::{Store, StoreError, each_person};

use super::Engine;

/// Counts the orders of everybody.
///
/// # Errors
/// When the store cannot be read.
pub async fn count_sales(store: &dyn Store) -> Result<Sales, StoreError> {
    let mut sales = Sales::default();
    each_person(store, |person| sales.count(&person.history)).await?;
    Ok(sales)
}

impl Engine {
    /// Counts before the first step of a program that asks for it.
    pub(super) async fn count_first(&self, program: &Program) -> Result<(), StoreError> {
        if self.sales.load().is_some() || !program.asks_for_sales() {
            return Ok(());
        }
        let sales = count_sales(&*self.store).await?;
        self.sales.store(Some(Arc::new(sales)));
        Ok(())
    }
}
