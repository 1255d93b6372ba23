//! One event for every request, exactly once, when its answer's last byte is handed over or dropped.
//!
//! ```
//! use mainstay_http::access_log::{AccessLogConfig, AccessLogLayer};
//!
//! let layer = AccessLogLayer::new(&AccessLogConfig { enabled: true });
//! # let _: AccessLogLayer = layer;
//! ```
//!
//! The event goes through `tracing` (target `mainstay::access`, message `request`), so the subscriber decides how the line
//! looks. Its fields follow OpenTelemetry's conventions for HTTP:
//!
//! | field | |
//! |---|---|
//! | `http.request.method`, `url.path`, `http.route` | the query is not logged: it may hold secrets |
//! | `http.response.status_code`, `rpc.grpc.status_code` | absent if there was none; gRPC's from the headers or the trailers |
//! | `http.response.body.size` | bytes of the body that were really taken |
//! | `network.protocol.version`, `client.address`, `user_agent.original` | |
//! | `request_id`, `correlation_id`, `trace_id`, `span_id`, `tenant` | from the [`RequestContext`] |
//! | `outcome`, `reason` | an [`Outcome`]'s name, and why a layer of ours refused the call |
//! | `time_to_first_byte_ms`, `duration_ms` | to the response's headers, and to the end |
//!
//! A gRPC answer that ends without a status is logged with UNKNOWN, which is what its caller sees; one that is abandoned,
//! with CANCELLED. A method that is none of the known ones is `_OTHER`, its text `http.request.method_original`.
//!
//! The level is warn for calls that a layer of ours refused for want of time or room, since strangers can provoke those;
//! else error for what is our fault (an outcome of failed or panicked, a status of 500 and above, gRPC's UNKNOWN,
//! DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS); else info.
//!
//! The layer refuses nothing, and changes neither the request nor the answer. Where the event's target is switched off it
//! records nothing. It allocates nothing of its own; where a [`RequestContext`] is present it reads the clock once for the
//! headers and once for the end.

mod body;
mod record;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use garde::Validate;
use http::{Request, Response};
use http_body::Body;
#[cfg(doc)]
use mainstay_core::{Outcome, RequestContext};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

pub use body::LoggedBody;
use record::Record;

/// Settings of [`AccessLogLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AccessLogConfig {
    /// Whether requests are logged at all. True by default.
    #[garde(skip)]
    pub enabled: bool,
}

/// Logs every request once. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct AccessLogLayer {
    config: AccessLogConfig,
}

/// The service of [`AccessLogLayer`].
#[derive(Clone, Debug)]
pub struct AccessLog<S> {
    inner: S,
    enabled: bool,
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

// === impl AccessLogConfig ===

impl Default for AccessLogConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}

// === impl AccessLogLayer ===

impl AccessLogLayer {
    /// The layer with these settings.
    pub fn new(config: &AccessLogConfig) -> Self {
        Self { config: config.clone() }
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog { inner, enabled: self.config.enabled }
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
        let record = (self.enabled && Record::is_wanted()).then(|| Record::begin(&mut request));
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
