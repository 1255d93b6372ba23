//! Who would have to wait is refused.
//!
//! ```
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::load_shed::LoadShedLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let client = ServiceBuilder::new()
//!     .layer(LoadShedLayer::default())
//!     .concurrency_limit(1)
//!     .service_fn(async |name: String| Ok::<_, CallError<std::fmt::Error>>(format!("hello {name}")));
//! assert_eq!(client.oneshot("you".to_owned()).await.as_deref(), Ok("hello you"));
//! # });
//! ```
//!
//! Shedding means here what it means in tower: no queue forms in front of a service that pushes back, such as a
//! connection that is busy, a buffer or tower's own limits. [`Bulkhead`](crate::bulkhead) and the other layers of this
//! crate refuse by themselves and push nothing back, so around them alone it sheds nothing.
//!
//! Stands outside whatever pushes back. It is always ready; a call for which the inner service is not is refused with
//! [`Reason::Overloaded`], in the call's future, and was never sent. An error of the inner readiness passes. Unlike
//! tower's, it is not misled by tokio's budget for cooperative tasks, which makes a ready semaphore say `Pending`; and
//! with the refused call it gives up the place in the inner queue, which would otherwise be granted to nobody.
//!
//! No allocation; dropping the future drops the inner one. A refusal costs a clone of the service.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use garde::Validate;
use mainstay_core::call::CallFailure;
use mainstay_core::{Reason, Rejection, take_ready};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tokio::task::coop::unconstrained;
use tower_layer::Layer;
use tower_service::Service;

use crate::events::Listener;

/// Settings of [`LoadShedLayer`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LoadShedConfig {
    /// When a refused caller may come back, longer than zero. None by default: it is not known.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(custom(is_some_time))]
    pub retry_after: Option<Duration>,
}

/// Refuses calls for which the service is not ready. See the [module](self).
#[derive(Clone, Debug)]
pub struct LoadShedLayer {
    shared: Arc<Shared>,
    retry_after: Option<Duration>,
    listener: Listener<LoadShedEvent>,
}

/// The service of [`LoadShedLayer`].
#[derive(Debug)]
pub struct LoadShed<S> {
    inner: S,
    layer: LoadShedLayer,
    is_ready: bool,
}

/// A live view of a [`LoadShedLayer`].
#[derive(Clone, Debug)]
pub struct LoadShedHandle {
    shared: Arc<Shared>,
}

/// What a load shedder did with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadShedEvent {
    /// A call was refused: the service was not ready for it.
    Refused,
}

#[derive(Debug, Default)]
struct Shared {
    refused: AtomicU64,
}

pin_project! {
    /// The future of [`LoadShed`]. Dropping it drops the inner one.
    #[derive(Debug)]
    #[project = LoadShedFutureProjection]
    pub struct LoadShedFuture<F> {
        #[pin]
        // None: the call is refused.
        inner: Option<F>,
        retry_after: Option<Duration>,
    }
}

fn is_some_time(retry_after: &Option<Duration>, (): &()) -> garde::Result {
    match retry_after {
        Some(Duration::ZERO) => Err(garde::Error::new("0s: expected a time longer than zero, or none")),
        _ => Ok(()),
    }
}

// === impl LoadShedLayer ===

impl LoadShedLayer {
    /// The layer with these settings; all its services, and those of its clones, share one handle.
    ///
    /// # Errors
    ///
    /// `retry_after` is zero.
    pub fn new(config: &LoadShedConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self { retry_after: config.retry_after, ..Self::default() })
    }

    /// Tells this of what happens, after those that were named before.
    #[must_use]
    pub fn on_event(self, listener: impl Fn(&LoadShedEvent) + Send + Sync + 'static) -> Self {
        Self { listener: self.listener.and(listener), ..self }
    }

    /// What happened so far.
    pub fn handle(&self) -> LoadShedHandle {
        LoadShedHandle { shared: Arc::clone(&self.shared) }
    }
}

impl Default for LoadShedLayer {
    fn default() -> Self {
        Self { shared: Arc::default(), retry_after: None, listener: Listener::none() }
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> LoadShed<S> {
        LoadShed { inner, layer: self.clone(), is_ready: false }
    }
}

// === impl LoadShed ===

impl<S: Clone> Clone for LoadShed<S> {
    fn clone(&self) -> Self {
        // A clone has not been polled ready.
        Self { inner: self.inner.clone(), layer: self.layer.clone(), is_ready: false }
    }
}

impl<S, Req> Service<Req> for LoadShed<S>
where
    S: Service<Req, Error: CallFailure> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = LoadShedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // A task that has used up its budget is not a service that is overloaded.
        let asked = pin!(unconstrained(poll_fn(|cx| self.inner.poll_ready(cx)))).poll(cx);
        self.is_ready = matches!(asked, Poll::Ready(Ok(())));
        match asked {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let retry_after = self.layer.retry_after;
        if std::mem::take(&mut self.is_ready) {
            return LoadShedFuture { inner: Some(self.inner.call(request)), retry_after };
        }
        // The place in the inner queue goes with the refused call.
        drop(take_ready(&mut self.inner));
        self.layer.shared.refused.fetch_add(1, Ordering::Relaxed);
        self.layer.listener.tell(|| LoadShedEvent::Refused);
        LoadShedFuture { inner: None, retry_after }
    }
}

// === impl LoadShedFuture ===

impl<F, Res, E> Future for LoadShedFuture<F>
where
    F: Future<Output = Result<Res, E>>,
    E: CallFailure,
{
    type Output = Result<Res, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(inner) = this.inner.as_pin_mut() {
            return inner.poll(cx);
        }
        let rejection =
            Rejection::new(Reason::Overloaded, "the service is not ready to take a call at the moment");
        Poll::Ready(Err(E::from(Rejection { retry_after: *this.retry_after, ..rejection })))
    }
}

// === impl LoadShedHandle ===

impl LoadShedHandle {
    /// How many calls were refused so far.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
