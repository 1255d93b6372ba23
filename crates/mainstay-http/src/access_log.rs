//! One event for every request, exactly once, when its answer's last byte is handed over or dropped.
//!
//! ```
//! use mainstay_http::access_log::{AccessLogConfig, AccessLogLayer};
//!
//! let layer = AccessLogLayer::new(&AccessLogConfig { sample: 0.1, ..AccessLogConfig::default() });
//! # let _: AccessLogLayer = layer;
//! ```
//!
//! The event goes through `tracing` (target `mainstay::access`, message `request`), so the subscriber decides how the line
//! looks. Its fields follow OpenTelemetry's conventions for HTTP:
//!
//! | field | |
//! |---|---|
//! | `http.request.method`, `url.path`, `http.route` | a route only where axum matched one |
//! | `url.query` | where [asked for](AccessLogConfig::query), without the values of secret parameters |
//! | `rpc.service`, `rpc.method` | gRPC's, where a service answered and did not say UNIMPLEMENTED: the path alone is the caller's invention |
//! | `http.response.status_code`, `rpc.grpc.status_code` | absent if there was none; gRPC's from the headers or the trailers |
//! | `http.request.body.size`, `http.response.body.size` | bytes of the bodies that were really taken; the request's where [`ReceivedLayer`] stands further in |
//! | `http.request.headers`, `http.response.headers` | those that are listed, as a JSON object of lists, `http.request.header.<name>` by `http.request.header.<name>`; credentials as `[redacted]` even if listed |
//! | `fields` | what the handler [added](RequestContext::add_field), as a JSON object |
//! | `slow` | true from [`AccessLogConfig::slow`] on |
//! | `sampling.weight` | where only a part is logged: how many calls this one stands for |
//! | `network.protocol.version`, `client.address`, `user_agent.original` | |
//! | `request_id`, `correlation_id`, `trace_id`, `span_id`, `tenant` | from the [`RequestContext`] |
//! | `outcome`, `reason` | an [`Outcome`]'s name, and why a layer of ours refused the call |
//! | `time_to_first_byte_ms`, `duration_ms` | to the response's headers, and to the end |
//!
//! A gRPC answer that ends without a status is logged with UNKNOWN, which is what its caller sees; one that is abandoned,
//! with CANCELLED. A method that is none of the known ones is `_OTHER`, its text `http.request.method_original`.
//!
//! Names that only the settings or a handler know cannot be fields of `tracing`, which are fixed when it is compiled: hence the
//! JSON objects. The subscriber of `mainstay-telemetry` writes the headers of such an object as fields of the line itself, by their
//! OpenTelemetry names, and `fields` as an object. With a [`LineFormat`] the event has no fields, and the line is its message. One request is one line, unless
//! it is [skipped](SkipConfig) or [not sampled](AccessLogConfig::sample); what was our fault is always logged, and what was
//! slow, refused, timed out or abandoned is never sampled away. The sample is decided by the trace's id, so that all hops of
//! one trace decide alike; with no [`RequestContext`] every call is logged.
//!
//! The level is warn for calls that were slow or that a layer of ours refused for want of time or room, since strangers can
//! provoke those;
//! else error for what is our fault (an outcome of failed or panicked, a status of 500 and above, gRPC's UNKNOWN,
//! DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS); else info.
//!
//! The layer refuses nothing, and changes neither the request nor the answer. Where the event's target is switched off it
//! records nothing. Dropped at any time, it logs the call as it stands then. It allocates nothing of its own unless headers, a query with secrets, a
//! handler's fields or a line are to be written; where a [`RequestContext`] is present it reads the clock once for the
//! headers and once for the end.

mod body;
mod config;
mod morgan;
mod plan;
mod received;
mod record;
mod redact;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
#[cfg(doc)]
use mainstay_core::{Outcome, RequestContext};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub use body::LoggedBody;
pub use config::{AccessLogConfig, InvalidHeaderName, LoggedHeader, QueryLog, SkipConfig};
pub use morgan::{InvalidFormat, LineFormat, LogFormat};
use plan::Plan;
pub use plan::Seen;
pub use received::{Received, ReceivedBody, ReceivedLayer};
use record::Record;

/// Logs every request once. See the [module](self).
#[derive(Clone, Debug)]
pub struct AccessLogLayer {
    plan: Arc<Plan>,
}

/// The service of [`AccessLogLayer`].
#[derive(Clone, Debug)]
pub struct AccessLog<S> {
    inner: S,
    plan: Arc<Plan>,
}

pin_project! {
    /// The future of [`AccessLog`]. Dropped before its response, it logs the request as abandoned.
    #[derive(Debug)]
    pub struct AccessLogFuture<F> {
        #[pin]
        inner: F,
        record: Option<Record>,
    }
}

// === impl AccessLogLayer ===

impl AccessLogLayer {
    /// The layer with these settings.
    pub fn new(config: &AccessLogConfig) -> Self {
        Self { plan: Arc::new(Plan::new(config)) }
    }

    /// Leaves out, besides what [`SkipConfig`] says, the calls for which this is true; never those that are our fault.
    #[must_use]
    pub fn skip_if(mut self, skip: impl Fn(&Seen<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.plan = Arc::new(self.plan.skipping(skip));
        self
    }
}

impl Default for AccessLogLayer {
    fn default() -> Self {
        Self::new(&AccessLogConfig::default())
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog { inner, plan: Arc::clone(&self.plan) }
    }
}

// === impl AccessLog ===

impl<S, B, ResB> Service<Request<B>> for AccessLog<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    ResB: Body,
{
    type Response = Response<LoggedBody<ResB>>;
    type Error = S::Error;
    type Future = AccessLogFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let record = (self.plan.config.enabled && Record::is_wanted())
            .then(|| Record::begin(&self.plan, &mut request));
        AccessLogFuture { inner: self.inner.call(request), record }
    }
}

// === impl AccessLogFuture ===

impl<F, ResB, E> Future for AccessLogFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
    ResB: Body,
{
    type Output = Result<Response<LoggedBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let mut record = this.record.take();
        if let Some(record) = &mut record {
            match &result {
                Ok(response) => record.answered(response),
                Err(_) => record.failed(),
            }
        }
        Poll::Ready(result.map(|response| response.map(|body| LoggedBody::new(body, record))))
    }
}

#[cfg(test)]
mod tests;
