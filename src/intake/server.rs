//! Routes, limits, CORS; one task that listens until it is told to stop.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::accept::Accept;
use super::settings::{Settings, SourceSettings};
use super::{endpoint, snippet, tracking, webhook};
use crate::clock::SharedClock;
use crate::identity;
use crate::model::Timestamp;
use crate::model::setting::Secret;
use crate::source::endpoint::Endpoint;
use crate::source::manifest::Connected;
use crate::source::volume::Tally;
use crate::source::webhook::Webhooks;
use crate::source::{Arrival, Limits};
use crate::store::Store;

/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT: HeaderValue = HeaderValue::from_static("86400");

/// Why intake cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The address is taken, or not ours.
    #[error("intake cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// A source's settings do not make a source; `check` says the same.
    #[error("source `{0}`: {1}")]
    Source(String, String),
}

/// What every route is given.
pub type Shared = Arc<Sources>;

/// A tracking source.
pub struct TrackingSource {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The key that libraries are set up with.
    pub write_key: Secret,
}

/// All sources, and the way into the store.
pub struct Sources {
    pub accept: Accept,
    pub clock: SharedClock,
    pub tracking: Vec<TrackingSource>,
    pub webhooks: HashMap<Arc<str>, Webhooks>,
    pub endpoints: HashMap<String, (Arc<str>, Endpoint)>,
    pub permits: Semaphore,
    /// Bytes of a request.
    pub request: usize,
    origins: Vec<String>,
    names: identity::Settings,
    limits: Limits,
}

impl Sources {
    /// What a mapping is told of a message that came now.
    pub fn arrival<'a>(&'a self, source: &'a Arc<str>, now: Timestamp) -> Arrival<'a> {
        Arrival { source, at: now, names: &self.names, limits: &self.limits }
    }
}

/// The listening side, bound and not yet serving.
pub struct Intake {
    listener: TcpListener,
    router: Router,
    tallies: Vec<(Arc<str>, Tally)>,
    retry_after: HeaderValue,
}

impl Intake {
    /// Builds the sources and binds the address.
    pub async fn bind(
        settings: &Settings,
        sources: &std::collections::BTreeMap<String, SourceSettings>,
        connected: &std::collections::BTreeMap<String, Connected>,
        names: identity::Settings,
        store: Arc<dyn Store>,
        clock: SharedClock,
    ) -> Result<Self, NotReady> {
        let comes = |source: &SourceSettings| !matches!(source, SourceSettings::File(_));
        let tallies = sources.iter().filter(|(_, source)| comes(source));
        let tallies: Vec<(Arc<str>, Tally)> =
            tallies.map(|(name, _)| (name.as_str().into(), Tally::default())).collect();
        let accept = Accept::new((store, clock.clone()), settings.retry_after, tallies.iter().cloned().collect());
        let router = router(settings, sources, connected, names, accept, clock)?;
        let listener = TcpListener::bind(settings.listen).await.map_err(|e| NotReady::Listen(settings.listen, e))?;
        let retry_after = HeaderValue::from(settings.retry_after.as_millis().div_euclid(1_000).max(1));
        Ok(Self { listener, router, tallies, retry_after })
    }

    /// How much comes of each source by itself.
    pub fn tallies(&self) -> &[(Arc<str>, Tally)] {
        &self.tallies
    }

    /// Where it listens: the port that the system gave, where the settings say 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// From `stopping` on nothing more is taken: who sends comes again, to the daemon after this one.
    pub fn refusing_from(mut self, stopping: CancellationToken) -> Self {
        let refusal = (stopping, self.retry_after.clone());
        self.router = self.router.layer(from_fn_with_state(refusal, refuse));
        self
    }

    /// Serves until `stop`; requests that were begun are answered.
    pub async fn run(self, stop: CancellationToken) {
        let served = axum::serve(Nodelay(self.listener), self.router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(reason = %error, "intake ended");
        }
    }
}

async fn refuse(
    State((stopping, retry_after)): State<(CancellationToken, HeaderValue)>,
    request: Request,
    next: Next,
) -> Response {
    if !stopping.is_cancelled() {
        return next.run(request).await;
    }
    let headers = [(header::RETRY_AFTER, retry_after), (header::CONNECTION, HeaderValue::from_static("close"))];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "the daemon is being stopped; come again\n").into_response()
}

/// A listener whose connections do not wait to fill a packet.
struct Nodelay(TcpListener);

impl axum::serve::Listener for Nodelay {
    type Io = tokio::net::TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        // Only a matter of speed.
        let _ = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

fn router(
    settings: &Settings,
    sources: &std::collections::BTreeMap<String, SourceSettings>,
    connected: &std::collections::BTreeMap<String, Connected>,
    names: identity::Settings,
    accept: Accept,
    clock: SharedClock,
) -> Result<Router, NotReady> {
    let mut shared = Sources {
        accept,
        clock,
        tracking: Vec::new(),
        webhooks: HashMap::new(),
        endpoints: HashMap::new(),
        permits: Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
        request: usize::try_from(settings.request.0).unwrap_or(usize::MAX),
        origins: settings.origins.clone(),
        names,
        limits: Limits {
            message: usize::try_from(settings.message.0).unwrap_or(usize::MAX),
            messages: settings.messages,
        },
    };
    for (name, source) in sources {
        let wrong = |words: String| NotReady::Source(name.clone(), words);
        match source {
            SourceSettings::Tracking(tracking) => {
                shared
                    .tracking
                    .push(TrackingSource { name: name.as_str().into(), write_key: tracking.write_key.clone() });
            }
            SourceSettings::Connector(_) => {
                let webhooks = connected.get(name).and_then(|one| Webhooks::of(&one.manifest, &one.given));
                shared.webhooks.extend(webhooks.map(|webhooks| (name.as_str().into(), webhooks)));
            }
            SourceSettings::Endpoint(settings) => {
                let endpoint = Endpoint::new((**settings).clone()).map_err(|words| wrong(words.join("; ")))?;
                shared.endpoints.insert(settings.path.clone(), (name.as_str().into(), endpoint));
            }
            SourceSettings::Singer(_) | SourceSettings::Airbyte(_) | SourceSettings::File(_) => {}
        }
    }
    let shared = Arc::new(shared);
    let router = Router::new()
        .route("/v1/{call}", post(tracking::call))
        .route("/beacon/v1/{call}", post(tracking::call))
        .route("/v1/projects/{key}/settings", get(tracking::project_settings))
        .route("/sourceConfig", get(tracking::source_config))
        .route("/sourceConfig/", get(tracking::source_config))
        .route("/hooks/{source}", post(webhook::receive))
        .fallback(endpoint::receive)
        .layer(from_fn_with_state(shared.clone(), cors));
    // Beside CORS: a script is for every page, and its answer does not vary with the origin.
    let router = if settings.snippet { router.route("/espalier.js", get(snippet::serve)) } else { router };
    Ok(router
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, settings.timeout.to_std()))
        .layer(CatchPanicLayer::new())
        .with_state(shared))
}

/// Web pages of the configured origins may send.
async fn cors(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else { return next.run(request).await };
    let allowed = shared.origins.iter().any(|o| o == "*" || o.as_bytes() == origin.as_bytes());
    let is_preflight = request.method() == Method::OPTIONS;
    let mut answer = if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    if allowed {
        permit(answer.headers_mut(), origin, is_preflight);
    }
    answer
}

fn permit(headers: &mut HeaderMap, origin: HeaderValue, is_preflight: bool) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    if is_preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET"));
        let taken = HeaderValue::from_static("content-type, authorization, anonymousid, content-encoding");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, taken);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT);
    }
}
