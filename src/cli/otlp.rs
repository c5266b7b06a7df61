//! Sends spans to a collector, by OTLP over HTTP (feature `otel`). What cannot be sent is dropped and counted: traces are
//! to look at, and hold nothing up.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, TraceId};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Failed;
use crate::clock::SharedClock;
use crate::model::http::{Answer, Auth, Method, Request};
use crate::model::{Span as Length, Timestamp};
use crate::trace::{self, Fact, Span};
use crate::wire::Wire;

/// Spans that go together.
const BATCH: usize = 512;
/// They wait so long for more.
const LINGER: Length = Length::from_secs(2);
/// A call takes at most so long.
const TIMEOUT: Length = Length::from_secs(10);
/// Where spans are posted, below the collector's address.
const PATH: &str = "/v1/traces";

/// The way to a collector.
pub struct Sending {
    exporter: SpanExporter,
    spans: mpsc::Receiver<Span>,
    clock: SharedClock,
}

/// `wire`, as the library asks for it.
struct Client(Wire);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(
        &self,
        request: opentelemetry_http::Request<Bytes>,
    ) -> Result<opentelemetry_http::Response<Bytes>, HttpError> {
        let request = Request {
            method: Method::Post,
            path: PATH.into(),
            query: Vec::new(),
            headers: Vec::new(),
            content_type: "application/x-protobuf",
            auth: Auth::Open,
            body: request.into_body().to_vec(),
            family: "traces".into(),
            timeout: TIMEOUT,
        };
        match self.0.send(request).await? {
            Answer::Came(came) => {
                let mut response = opentelemetry_http::Response::new(Bytes::from(came.body));
                *response.status_mut() = came.status.try_into()?;
                Ok(response)
            }
            Answer::NotSent(words) | Answer::Unclear(words) => Err(words.into()),
        }
    }
}

impl Sending {
    /// To the collector at this address, of this share of all traces.
    pub fn new(address: &str, share: f64, clock: &SharedClock) -> Result<Self, Failed> {
        let wire = Wire::new(address, None, None, clock.clone()).map_err(Failed::new)?;
        let builder = SpanExporter::builder().with_http().with_http_client(Client(wire));
        let endpoint = format!("{}{PATH}", address.trim_end_matches('/'));
        let mut exporter = builder.with_endpoint(endpoint).build().map_err(Failed::new)?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        exporter.set_resource(&Resource::builder_empty().with_service_name("espalier").with_attribute(version).build());
        Ok(Self { exporter, spans: trace::listen(share), clock: clock.clone() })
    }

    /// Sends until `stop`, and then what still waits.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                n = self.spans.recv_many(&mut batch, BATCH) => if n == 0 { break },
            }
            if batch.len() < BATCH {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.clock.until(self.clock.now() + LINGER) => {}
                }
                while batch.len() < BATCH
                    && let Ok(span) = self.spans.try_recv()
                {
                    batch.push(span);
                }
            }
            self.send(&mut batch).await;
        }
        counted("dropped", trace::silence());
        while let Ok(span) = self.spans.try_recv() {
            batch.push(span);
        }
        self.send(&mut batch).await;
    }

    async fn send(&self, batch: &mut Vec<Span>) {
        let count = batch.len() as u64;
        if count == 0 {
            return;
        }
        let spans = batch.drain(..).map(data).collect();
        match self.exporter.export(spans).await {
            Ok(()) => counted("sent", count),
            Err(error) => {
                tracing::debug!(reason = %error, spans = count, "spans could not be sent");
                counted("failed", count);
            }
        }
        counted("dropped", trace::dropped());
    }
}

fn counted(result: &'static str, n: u64) {
    metrics::counter!("espalier_spans_total", "result" => result).increment(n);
}

fn instant(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0))
}

fn context(trace: trace::TraceId, span: [u8; 8]) -> SpanContext {
    let (trace, span) = (TraceId::from_bytes(trace.bytes()), SpanId::from_bytes(span));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

fn data(span: Span) -> SpanData {
    let root = span.trace.root();
    let (id, parent) = if span.is_root { (root, SpanId::INVALID) } else { (own(), SpanId::from_bytes(root)) };
    let attribute = |(key, fact)| match fact {
        Fact::Text(text) => KeyValue::new(key, text),
        Fact::Number(number) => KeyValue::new(key, number),
    };
    let mut links = SpanLinks::default();
    links.links.extend(span.links.iter().map(|other| Link::with_context(context(*other, other.root()))));
    SpanData {
        span_context: context(span.trace, id),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: match span.name {
            "accept" => SpanKind::Server,
            "call" => SpanKind::Client,
            _ => SpanKind::Internal,
        },
        name: span.name.into(),
        start_time: instant(span.began),
        end_time: instant(span.ended),
        attributes: span.facts.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: if span.is_failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("espalier").build(),
    }
}

/// An id that no other span has.
fn own() -> [u8; 8] {
    fastrand::u64(1..).to_be_bytes()
}
