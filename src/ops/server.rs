//! Health, metrics, page and API, on a loopback address or behind TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_server::Handle;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::access::{Access, Routes};
use super::health::Watched;
use super::metric::Metrics;
use super::quota::QuotaHealth;
use super::reload::Reloads;
use super::replays::Replays;
use super::settings::Settings;
use super::{access, activations, alerts, api, page, series, store, tls};
use crate::clock::SystemClock;
use crate::engine::Orders;
use crate::identity;
use crate::model::setting::Secret;

/// Names in the store's folder by which commands find the daemon.
const ADDRESS: &str = "ops.address";
const TOKEN: &str = "admin.token";
/// The largest body that a command sends: 500 products, or 10,000 codes.
const BODY: usize = 8 << 20;
/// Requests under way at the end get so long.
const LAST: Duration = Duration::from_secs(5);

/// What every route is given.
pub type Shared = Arc<Inner>;

/// What the routes read.
pub struct Inner {
    pub watched: Watched,
    pub metrics: Option<Metrics>,
    pub names: identity::Settings,
    pub reloads: Reloads,
    pub orders: Orders,
    /// What charts are drawn from.
    pub series: series::Shared,
    /// Tells open pages that something has changed.
    pub live: page::Live,
    /// Dead letters that are replayed by filter.
    pub replays: Replays,
    /// Who may come in.
    pub access: Access,
    /// True where browsers come by TLS.
    pub is_secure: bool,
    /// Names by which browsers reach us, beside the loopback ones.
    pub hosts: Vec<String>,
    /// What is said of the API.
    pub document: utoipa::openapi::OpenApi,
    /// Held while a back-test runs: there is one at a time.
    pub backtest: tokio::sync::Mutex<()>,
    /// Held while the store is copied or made small by hand: none waits behind another.
    pub upkeep: Arc<tokio::sync::Mutex<()>>,
    address: SocketAddr,
}

impl Inner {
    /// A link that lets whoever opens it in once. The code stands where no server sees it.
    pub fn link(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        let host = self.hosts.first().cloned().unwrap_or_else(|| self.address.to_string());
        format!("{scheme}://{host}/enter#{}", self.access.link())
    }
}

/// The ops side, bound and not yet serving.
pub struct Ops {
    listener: TcpListener,
    tls: Option<tls::Files>,
    shared: Shared,
    routes: Routes,
    recorder: series::Recorder,
    folder: PathBuf,
}

/// Why the ops side does not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    #[error("ops cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    #[error("ops cannot read who may come in: {0}")]
    Store(#[from] crate::store::StoreError),
    #[error(transparent)]
    Tls(#[from] tls::Unread),
    #[error(
        "ops is to listen on {0}, which is no loopback address, and nobody could sign in; make an account first: \
         `espalier account add NAME --role admin`"
    )]
    Nobody(SocketAddr),
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
    ) -> Result<Self, NotBegun> {
        let token = Secret::new(uuid::Uuid::new_v4().simple().to_string());
        let clock = Arc::new(SystemClock);
        let access = Access::open(watched.store.clone(), clock, Some(token.clone()), settings.session).await?;
        if !settings.listen.ip().is_loopback() && !access.has_accounts() {
            return Err(NotBegun::Nobody(settings.listen));
        }
        let tls = match &settings.tls {
            Some(files) => Some(tls::Files::read(files).await?),
            None => None,
        };
        let listener = TcpListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        write_private(&folder.join(TOKEN), token.expose())?;
        let near = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
            IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
            _ => address,
        };
        write_private(&folder.join(ADDRESS), &format!("{} {near}", if tls.is_some() { "https" } else { "http" }))?;
        let (routes, mut document) = api::routes()
            .with(store::routes())
            .with(access::api_routes())
            .with(alerts::routes())
            .with(activations::routes())
            .split();
        api::introduce(&mut document);
        let (recorder, series) = series::begin(watched.clone());
        let shared = Arc::new(Inner {
            watched,
            series,
            live: Default::default(),
            replays: Default::default(),
            metrics,
            names,
            reloads,
            orders,
            access,
            is_secure: settings.is_secure(),
            hosts: settings.hosts.clone(),
            document,
            backtest: Default::default(),
            upkeep: Default::default(),
            address,
        });
        Ok(Self { listener, tls, shared, routes, recorder, folder: folder.to_owned() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// A link that lets whoever opens it in once.
    pub fn link(&self) -> String {
        self.shared.link()
    }

    /// True where somebody can sign in with a password.
    pub fn has_accounts(&self) -> bool {
        self.shared.access.has_accounts()
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, tls, shared, routes, recorder, folder } = self;
        // Figures name nobody: on the machine itself they are open, as scrapers expect.
        let scrape = Router::new().route("/metrics", get(metrics));
        let scrape = match shared.address.ip().is_loopback() && !shared.is_secure {
            true => scrape,
            false => Routes { viewer: scrape, ..Routes::default() }.guarded(&shared),
        };
        let router = Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/assets/{name}", get(page::asset))
            .merge(access::open_pages())
            .merge(routes.guarded(&shared).layer(DefaultBodyLimit::max(BODY)))
            .merge(page::routes().and(access::pages()).guarded(&shared))
            .merge(scrape)
            .layer(from_fn_with_state(shared.clone(), access::known))
            .layer(from_fn_with_state(shared.clone(), access::same_origin))
            .layer(from_fn_with_state(shared.clone(), harden))
            .layer(CatchPanicLayer::new())
            .with_state(shared.clone())
            .into_make_service();
        let handle = Handle::new();
        let ending = handle.clone();
        let (stopped, ended) = (stop.clone(), shared.clone());
        tokio::spawn(async move {
            stopped.cancelled().await;
            // Open streams would be waited for.
            ended.live.end();
            ended.replays.end();
            ending.graceful_shutdown(Some(LAST));
        });
        let recorded = recorder.run(stop.clone());
        let served = async {
            match tls {
                Some(tls) => {
                    tokio::spawn(tls.clone().follow(stop));
                    match axum_server::from_tcp_rustls(listener, tls.config()) {
                        Ok(server) => server.handle(handle).serve(router).await,
                        Err(error) => Err(error),
                    }
                }
                None => match axum_server::from_tcp(listener) {
                    Ok(server) => server.handle(handle).serve(router).await,
                    Err(error) => Err(error),
                },
            }
        };
        let (served, (), ()) = tokio::join!(served, recorded, shared.live.look(&shared.watched, &shared.replays));
        if let Err(error) = served {
            tracing::error!(reason = %error, "ops ended");
        }
        // A command that finds no address opens the store itself.
        let _ = std::fs::remove_file(folder.join(ADDRESS));
        let _ = std::fs::remove_file(folder.join(TOKEN));
    }
}

/// Where a running daemon is.
pub struct Running {
    /// `http` or `https`.
    pub scheme: String,
    /// The address.
    pub address: SocketAddr,
    /// What it asks commands for.
    pub token: Secret,
}

/// The daemon on this store; `None` when none runs.
pub fn running(folder: &Path) -> Option<Running> {
    let text = std::fs::read_to_string(folder.join(ADDRESS)).ok()?;
    let (scheme, address) = text.trim().split_once(' ')?;
    let token = std::fs::read_to_string(folder.join(TOKEN)).ok()?;
    Some(Running { scheme: scheme.to_owned(), address: address.parse().ok()?, token: Secret::new(token.trim()) })
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
async fn harden(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    // A page of another site that a browser was tricked to send here by name: only our names are ours.
    let host = access::host(&request).unwrap_or_default().to_owned();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host.as_str(),
    };
    let is_ours = matches!(name, "localhost" | "127.0.0.1" | "[::1]")
        || shared.hosts.iter().any(|ours| ours == name || *ours == host);
    // Who asks whether it lives asks by the machine's address, as orchestrators do.
    if !is_ours && !matches!(request.uri().path(), "/healthz" | "/readyz") {
        return (StatusCode::FORBIDDEN, "`hosts` of [ops] does not have this name\n").into_response();
    }
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    let policy = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // What is named by its content may be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if shared.is_secure {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    answer
}

async fn ready(State(shared): State<Shared>) -> Response {
    if shared.watched.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: the daemon is being stopped\n").into_response();
    }
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
                metrics.render(
                    &shared.watched.health(),
                    &QuotaHealth::of(&shared.watched),
                    &shared.watched.alerts.firing(),
                ),
            )
                .into_response()
        }
        None => (StatusCode::NOT_FOUND, "no recorder is installed\n").into_response(),
    }
}
