//! An answer's body that a client reads is ended when it keeps its reader waiting too long, or when the call's deadline passes.
//!
//! ```
//! use std::time::Duration;
//! use mainstay_http::body_timeout::{BodyTimeoutConfig, BodyTimeoutLayer};
//!
//! let config = BodyTimeoutConfig { idle: Some(Duration::from_secs(5)), ..BodyTimeoutConfig::default() };
//! let layer = BodyTimeoutLayer::new(&config)?;
//! # let _ = layer;
//! # Ok::<(), garde::Report>(())
//! ```
//!
//! Innermost around a client, so that whoever accounts for the body's end sees the error. The time until the answer's headers is
//! another layer's. A body that is ended is dropped, which closes an HTTP/1 connection and resets an HTTP/2 stream, and its
//! reader gets [`BodyTimedOut`]. The idle time runs only while the reader waits. Dropping the body drops the inner one.
//!
//! A timer is set, and allocated, only for a body that was pending.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use garde::Validate;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use mainstay_core::ambient;
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

pub use crate::deadline::BodyTimedOut;
use crate::patience::Patience;

type BoxError = Box<dyn Error + Send + Sync>;

/// Settings of [`BodyTimeoutLayer`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BodyTimeoutConfig {
    /// How long the reader may have to wait for the next piece of the body: at least 1 ms, or no limit. 30 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(at_least_a_millisecond)))]
    pub idle: Option<Duration>,
    /// Whether the body must end before the [current](ambient) call's deadline. `true` by default; `false` for streams that outlive it.
    #[garde(skip)]
    pub follow_deadline: bool,
}

/// Ends answers' bodies that keep their readers waiting. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyTimeoutLayer {
    config: BodyTimeoutConfig,
}

/// The service of [`BodyTimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeout<S> {
    inner: S,
    config: BodyTimeoutConfig,
}

pin_project! {
    /// The future of [`BodyTimeout`]. Dropping it drops the inner one.
    #[derive(Debug)]
    pub struct BodyTimeoutFuture<F> {
        #[pin]
        inner: F,
        idle: Option<Duration>,
        end: Option<Instant>,
    }
}

pin_project! {
    /// The body of an answer that passed [`BodyTimeout`]. Forwards everything: frames of any kind, trailers, `size_hint`,
    /// `is_end_stream`.
    #[derive(Debug)]
    pub struct TimedBody<B> {
        // None: it was too slow and is gone.
        #[pin]
        inner: Option<B>,
        // None: nothing limits it, or it has ended.
        patience: Option<Patience>,
        end: Option<Instant>,
    }
}

// === impl BodyTimeoutConfig ===

impl Default for BodyTimeoutConfig {
    fn default() -> Self {
        Self { idle: Some(Duration::from_secs(30)), follow_deadline: true }
    }
}

fn at_least_a_millisecond(idle: &Duration, (): &()) -> garde::Result {
    if *idle >= Duration::from_millis(1) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{idle:?} is too short: expected at least 1ms")))
    }
}

// === impl BodyTimeoutLayer ===

impl BodyTimeoutLayer {
    /// The layer with these settings.
    ///
    /// # Errors
    ///
    /// The idle time is shorter than a millisecond.
    pub fn new(config: &BodyTimeoutConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self { config: *config })
    }
}

impl<S> Layer<S> for BodyTimeoutLayer {
    type Service = BodyTimeout<S>;

    fn layer(&self, inner: S) -> BodyTimeout<S> {
        BodyTimeout { inner, config: self.config }
    }
}

// === impl BodyTimeout ===

impl<S, B, ResB> Service<Request<B>> for BodyTimeout<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    ResB: Body,
{
    type Response = Response<TimedBody<ResB>>;
    type Error = S::Error;
    type Future = BodyTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let deadline = if self.config.follow_deadline { ambient::deadline() } else { None };
        let end = deadline.map(|deadline| deadline.instant().into());
        BodyTimeoutFuture { inner: self.inner.call(request), idle: self.config.idle, end }
    }
}

// === impl BodyTimeoutFuture ===

impl<F, B, E> Future for BodyTimeoutFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<TimedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let is_limited = this.idle.is_some() || this.end.is_some();
        let patience = (is_limited && !response.body().is_end_stream()).then(|| Patience::new(*this.idle));
        Poll::Ready(Ok(response.map(|body| TimedBody { inner: Some(body), patience, end: *this.end })))
    }
}

// === impl TimedBody ===

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let polled = inner.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        let Some(patience) = this.patience else { return polled };
        match &polled {
            // A body that never waits must end too; the instant itself is in time.
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                if this.end.is_none_or(|end| Instant::now() <= end) {
                    patience.moved();
                    return polled;
                }
            }
            Poll::Ready(_) => {
                *this.patience = None;
                return polled;
            }
            Poll::Pending => ready!(patience.poll_end(|| *this.end, cx)),
        }
        this.inner.set(None);
        *this.patience = None;
        Poll::Ready(Some(Err(Box::new(BodyTimedOut(())))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests;
