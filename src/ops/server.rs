//! Health, metrics, page and the local API, on a loopback address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::health::Watched;
use super::metric::Metrics;
use super::quota::QuotaHealth;
use super::reload::Reloads;
use super::settings::Settings;
use super::{access, alerts, api, page};
use crate::engine::Orders;
use crate::identity;
use crate::model::setting::Secret;

/// Names in the store's folder by which commands find the daemon.
const ADDRESS: &str = "ops.address";
const TOKEN: &str = "admin.token";
/// The largest body that a command sends: 500 products, or 10,000 codes.
const BODY: usize = 8 << 20;

/// What every route is given.
pub type Shared = Arc<Inner>;

/// What the routes read.
pub struct Inner {
    pub watched: Watched,
    pub metrics: Option<Metrics>,
    pub names: identity::Settings,
    pub reloads: Reloads,
    pub orders: Orders,
    /// Held while a back-test runs: there is one at a time.
    pub backtest: tokio::sync::Mutex<()>,
    token: Secret,
}

impl Inner {
    /// True for the token that commands find in the store's folder.
    pub fn is_token(&self, given: &str) -> bool {
        use subtle::ConstantTimeEq;
        bool::from(self.token.expose().as_bytes().ct_eq(given.as_bytes()))
    }
}

/// The ops side, bound and not yet serving.
pub struct Ops {
    listener: TcpListener,
    shared: Shared,
    folder: PathBuf,
}

impl Ops {
    /// Binds the address, and leaves it with a token for commands in the store's folder, readable by its owner only.
    pub async fn bind(
        settings: &Settings,
        watched: Watched,
        metrics: Option<Metrics>,
        names: identity::Settings,
        (reloads, orders): (Reloads, Orders),
        folder: &Path,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        write_private(&folder.join(TOKEN), &token)?;
        write_private(&folder.join(ADDRESS), &listener.local_addr()?.to_string())?;
        let shared = Arc::new(Inner {
            watched,
            metrics,
            names,
            reloads,
            orders,
            backtest: Default::default(),
            token: Secret::new(token),
        });
        Ok(Self { listener, shared, folder: folder.to_owned() })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let router = Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/style.css", get(page::style))
            .merge(api::routes().guarded().layer(DefaultBodyLimit::max(BODY)))
            .merge(alerts::routes().guarded().layer(DefaultBodyLimit::max(BODY)))
            .merge(page::routes().guarded())
            .layer(from_fn_with_state(self.shared.clone(), access::known))
            .layer(axum::middleware::from_fn(harden))
            .layer(CatchPanicLayer::new())
            .with_state(self.shared.clone());
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(reason = %error, "ops ended");
        }
        // A command that finds no address opens the store itself.
        let _ = std::fs::remove_file(self.folder.join(ADDRESS));
        let _ = std::fs::remove_file(self.folder.join(TOKEN));
    }
}

/// Where a running daemon is, and the token it asks for; `None` when none runs on this store.
pub fn admin_token(folder: &Path) -> Option<(SocketAddr, Secret)> {
    let address = std::fs::read_to_string(folder.join(ADDRESS)).ok()?.trim().parse().ok()?;
    let token = std::fs::read_to_string(folder.join(TOKEN)).ok()?;
    Some((address, Secret::new(token.trim())))
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// Nothing from elsewhere, nothing framed, nothing guessed.
async fn harden(request: Request, next: Next) -> Response {
    // A page of another site that a browser was tricked to send here by name: only loopback names are ours.
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default().to_owned();
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    if !matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return (StatusCode::FORBIDDEN, "this page is asked for by a loopback name only\n").into_response();
    }
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    let policy = "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

async fn ready(State(shared): State<Shared>) -> Response {
    let health = shared.watched.health();
    match health.is_ready {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: the engine is {}\n", health.engine.doing))
            .into_response(),
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match &shared.metrics {
        Some(metrics) => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            (
                [(header::CONTENT_TYPE, kind)],
                metrics.render(&shared.watched.health(), &QuotaHealth::of(&shared.watched)),
            )
                .into_response()
        }
        None => (StatusCode::NOT_FOUND, "no recorder is installed\n").into_response(),
    }
}
