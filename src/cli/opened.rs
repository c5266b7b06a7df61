//! The store that the configuration names, opened.

use std::sync::Arc;

use super::Failed;
use crate::model::Timestamp;
use crate::store::Store;
use crate::store::embedded::Embedded;
use crate::store::postgres::Postgres;
use crate::store::settings::{Kind, Settings};

/// Opens it, and makes its folder where that is missing.
pub async fn open(settings: &Settings, now: Timestamp) -> Result<Arc<dyn Store>, Failed> {
    std::fs::create_dir_all(&settings.path)
        .map_err(|e| Failed(format!("the store's folder {}: {e}", settings.path.display())))?;
    match settings.kind {
        Kind::Embedded => {
            let settings = settings.clone();
            let opened = tokio::task::spawn_blocking(move || Embedded::open(&settings, now));
            Ok(Arc::new(opened.await.map_err(Failed::new)?.map_err(Failed::new)?))
        }
        Kind::Postgres => Ok(Arc::new(Postgres::open(settings).await.map_err(Failed::new)?)),
    }
}

/// For commands that read and write the files of the embedded store.
pub fn needs_files(settings: &Settings, instead: &str) -> Result<(), Failed> {
    match settings.kind {
        Kind::Embedded => Ok(()),
        Kind::Postgres => Err(Failed(format!("the store is PostgreSQL, and this is for the embedded one: {instead}"))),
    }
}
