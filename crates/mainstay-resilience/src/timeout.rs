//! So long a call, or an attempt, may take until its answer.
//!
//! ```
//! use std::time::Duration;
//! use mainstay_core::call::{CallError, CallFailure};
//! use mainstay_resilience::{timeout::{TimeoutConfig, TimeoutLayer}, typed::TypedLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let config = TimeoutConfig { limit: Some(Duration::from_millis(200)), ..TimeoutConfig::default() };
//! let hangs = service_fn(|_: String| std::future::pending::<Result<String, std::io::Error>>());
//! let client = ServiceBuilder::new().layer(TimeoutLayer::new(&config)?).layer(TypedLayer::new()).service(hangs);
//! let error: CallError<std::io::Error> = client.oneshot("call".to_owned()).await.unwrap_err();
//! assert_eq!(error.to_string(), "no answer within 200ms");
//! assert!(error.may_have_run(|_| true));
//! # Ok::<(), garde::Report>(())
//! # }).unwrap();
//! ```
//!
//! The call ends at its limit or at the [deadline](mainstay_core::ambient::deadline) of the current call, whichever is sooner; a result that is
//! ready then wins. A deadline that has passed before the call refuses it: then it was not sent. Stands twice in a client's stack: around
//! the retry for the whole call, and inside of it for each attempt. It bounds the time until the answer, not that of a body.
//!
//! Refuses with [`Reason::DeadlineExceeded`](mainstay_core::Reason::DeadlineExceeded), and drops what it was waiting for. Whoever waits for the service to be ready waits inside the limit
//! ([`TimeoutConfig::covers_readiness`]). Dropping the future drops the inner one.
//!
//! A timer is set only once the inner future was pending, and nothing is allocated. The clock is read once where there is a limit.

mod future;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use garde::Validate;
use mainstay_core::ambient;
use mainstay_core::call::CallFailure;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use future::End;
pub use future::TimeoutFuture;

use crate::events::Listener;

/// Settings of [`TimeoutLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutConfig {
    /// How long until the answer: at least 1 ms, or no limit but the deadline of the current call. 10 s by default, as long as the
    /// server's own default: nobody waits longer for it.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(at_least_a_millisecond)))]
    pub limit: Option<Duration>,
    /// Whether the time counts until the service is ready, such as in a queue. `true` by default: then the layer is always ready itself,
    /// and a call waits on a clone of the service. `false` passes readiness on.
    #[garde(skip)]
    pub covers_readiness: bool,
}

/// What a [`TimeoutLayer`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    /// How long the call had taken; nothing if it was not sent.
    pub after: Duration,
    /// What ended it.
    pub by: Limit,
}

/// What ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The layer's own limit.
    Own,
    /// The deadline of the current call.
    Deadline,
}

/// Ends calls that take too long. See the [module](self).
#[derive(Clone)]
pub struct TimeoutLayer {
    shared: Arc<Shared>,
}

/// The service of [`TimeoutLayer`].
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    limit: Option<Duration>,
    limit_from: Option<Arc<dyn Fn() -> Duration + Send + Sync>>,
    covers_readiness: bool,
    listener: Listener<TimedOut>,
}

// === impl TimeoutConfig ===

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self { limit: Some(Duration::from_secs(10)), covers_readiness: true }
    }
}

fn at_least_a_millisecond(limit: &Duration, (): &()) -> garde::Result {
    if *limit >= Duration::from_millis(1) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{limit:?} is too short: expected at least 1ms")))
    }
}

// === impl TimeoutLayer ===

impl TimeoutLayer {
    /// The layer with these settings.
    ///
    /// # Errors
    ///
    /// The limit is shorter than a millisecond.
    pub fn new(config: &TimeoutConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        let TimeoutConfig { limit, covers_readiness } = *config;
        let shared = Shared { limit, limit_from: None, covers_readiness, listener: Listener::none() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Asks before each call how long it may take, such as settings that follow their file.
    #[must_use]
    pub fn limit_from(mut self, limit: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).limit_from = Some(Arc::new(limit));
        self
    }

    /// Tells of every call that is ended. Runs on the call's task.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&TimedOut) + Send + Sync + 'static) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.listener = shared.listener.clone().and(listener);
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, shared: Arc::clone(&self.shared) }
    }
}

impl fmt::Debug for TimeoutLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutLayer").field("shared", &self.shared).finish()
    }
}

// === impl Timeout ===

impl<S, Req> Service<Req> for Timeout<S>
where
    S: Service<Req, Error: CallFailure> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TimeoutFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.shared.covers_readiness { Poll::Ready(Ok(())) } else { self.inner.poll_ready(cx) }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let end = self.shared.end();
        let is_past = end.as_ref().is_some_and(End::is_past);
        let listener = self.shared.listener.clone();
        if is_past {
            if !self.shared.covers_readiness {
                // Nobody will call the instance that was made ready: what it reserved goes with it.
                drop(mainstay_core::take_ready(&mut self.inner));
            }
            TimeoutFuture::refused(end, listener)
        } else if self.shared.covers_readiness {
            TimeoutFuture::waiting(self.inner.clone(), request, end, listener)
        } else {
            TimeoutFuture::calling(self.inner.call(request), end, listener)
        }
    }
}

// === impl Shared ===

impl Shared {
    fn end(&self) -> Option<End> {
        let limit = self.limit_from.as_ref().map_or(self.limit, |limit| Some(limit()));
        let deadline = ambient::deadline();
        if limit.is_none() && deadline.is_none() {
            return None;
        }
        Some(End::new(limit, deadline, Instant::now()))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("limit", &self.limit)
            .field("covers_readiness", &self.covers_readiness)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
