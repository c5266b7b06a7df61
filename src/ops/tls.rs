//! The certificate that the ops side serves with, read again when its files change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use axum_server::tls_rustls::RustlsConfig;
use tokio_util::sync::CancellationToken;

use super::settings::Tls;
use crate::clock::{Clock, SystemClock};
use crate::model::Span;

/// How often the files are looked at: certificates are renewed weeks before they run out.
const LOOKS: Span = Span::from_minutes(1);

/// The certificate cannot be served with.
#[derive(Debug, thiserror::Error)]
#[error("[ops.tls]: {} and {} are no certificate with its key: {reason}", .files.certificate.display(), .files.key.display())]
pub struct Unread {
    files: Tls,
    reason: std::io::Error,
}

/// The files, and what they held when they were last read.
#[derive(Clone)]
pub struct Files {
    files: Arc<Tls>,
    config: RustlsConfig,
}

impl Files {
    /// Reads them.
    pub async fn read(files: &Tls) -> Result<Self, Unread> {
        let unread = |reason| Unread { files: files.clone(), reason };
        let config = RustlsConfig::from_pem_file(&files.certificate, &files.key).await.map_err(unread)?;
        Ok(Self { files: Arc::new(files.clone()), config })
    }

    /// What the server serves with.
    pub fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Reads them again whenever one changes. What cannot be read leaves the old one in force.
    pub async fn follow(self, stop: CancellationToken) {
        let mut seen = self.changed();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = SystemClock.until(SystemClock.now() + LOOKS) => {}
            }
            let now = self.changed();
            if now == seen {
                continue;
            }
            match self.config.reload_from_pem_file(&self.files.certificate, &self.files.key).await {
                Ok(()) => {
                    seen = now;
                    tracing::info!("the certificate of [ops.tls] was read again");
                }
                Err(error) => {
                    tracing::error!(reason = %error, "the certificate of [ops.tls] cannot be read; the old one stays")
                }
            }
        }
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        let of = |path: &PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        [of(&self.files.certificate), of(&self.files.key)]
    }
}
