//! So many calls at once, over all services of one layer; the next is refused at once and not queued.
//!
//! ```
//! # use std::num::NonZeroU32;
//! use mainstay_http::concurrency_limit::{ConcurrencyLimitConfig, ConcurrencyLimitLayer};
//!
//! let config = ConcurrencyLimitConfig { max_in_flight: NonZeroU32::new(512), ..ConcurrencyLimitConfig::default() };
//! let layer = ConcurrencyLimitLayer::new(&config)?;
//! assert_eq!(layer.handle().in_flight(), 0);
//! # Ok::<(), garde::Report>(())
//! ```
//!
//! Stands inside the access log, outside the deadline. Refuses with 503 and `retry-after`, or UNAVAILABLE for gRPC
//! ([`Reason::Overloaded`]). A call counts from its `call` to the end of its answer's body: until the last frame, an error or
//! a drop, whichever comes first, so that a slow download counts for as long as it lasts. What was upgraded (WebSocket)
//! has no body any more and counts no longer. Dropping the future, or the body, gives the place back at once.
//!
//! By default there is no limit, nothing is counted, and the inner future is passed on as it is. The count is one atomic
//! number: no lock, no allocation. A refusal costs a clone of the service, whose readiness goes with the refused call.

mod body;

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use garde::Validate;
use http::{Request, Response};
use http_body::Body;
use mainstay_core::{Reason, Rejection, take_ready};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::AnswerBody;
use crate::load::{Answered, Exempt, Gated, are_paths};
pub use body::LimitedBody;

/// Settings of [`ConcurrencyLimitLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ConcurrencyLimitConfig {
    /// The most calls at once, 1 or more. None by default: no limit.
    #[garde(skip)]
    pub max_in_flight: Option<NonZeroU32>,
    /// When a refused caller may come back: `retry-after`, rounded up to whole seconds. 1 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(skip)]
    pub retry_after: Duration,
    /// Paths that are neither counted nor refused, such as `/health`, or `/health/*` for all below it. None by default.
    #[garde(custom(are_paths))]
    pub exempt: Vec<String>,
}

/// Refuses calls beyond a number at once. See the [module](self).
#[derive(Clone, Debug)]
pub struct ConcurrencyLimitLayer {
    shared: Arc<Shared>,
}

/// The service of [`ConcurrencyLimitLayer`].
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// A live view of a [`ConcurrencyLimitLayer`].
#[derive(Clone, Debug)]
pub struct ConcurrencyLimitHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: Option<NonZeroU32>,
    in_flight: AtomicU32,
    retry_after: Duration,
    exempt: Exempt,
}

/// One place of the limit, given back on drop.
#[derive(Debug)]
struct Permit(Arc<Shared>);

pin_project! {
    /// The future of [`ConcurrencyLimit`]. Dropping it drops the inner one and gives its place back.
    #[derive(Debug)]
    pub struct ConcurrencyLimitFuture<F> {
        #[pin]
        gated: Gated<F>,
        permit: Option<Permit>,
    }
}

// === impl ConcurrencyLimitConfig ===

impl Default for ConcurrencyLimitConfig {
    fn default() -> Self {
        Self { max_in_flight: None, retry_after: Duration::from_secs(1), exempt: Vec::new() }
    }
}

// === impl ConcurrencyLimitLayer ===

impl ConcurrencyLimitLayer {
    /// The layer with these settings; all its services, and those of its clones, share one count.
    ///
    /// # Errors
    ///
    /// An exempt path is none.
    pub fn new(config: &ConcurrencyLimitConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self::of(config))
    }

    fn of(config: &ConcurrencyLimitConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                limit: config.max_in_flight,
                in_flight: AtomicU32::new(0),
                retry_after: config.retry_after,
                exempt: Exempt::new(&config.exempt),
            }),
        }
    }

    /// What is going on right now, for metrics and tests.
    pub fn handle(&self) -> ConcurrencyLimitHandle {
        ConcurrencyLimitHandle { shared: Arc::clone(&self.shared) }
    }
}

impl Default for ConcurrencyLimitLayer {
    fn default() -> Self {
        Self::of(&ConcurrencyLimitConfig::default())
    }
}

impl<S> Layer<S> for ConcurrencyLimitLayer {
    type Service = ConcurrencyLimit<S>;

    fn layer(&self, inner: S) -> ConcurrencyLimit<S> {
        ConcurrencyLimit { inner, shared: Arc::clone(&self.shared) }
    }
}

// === impl ConcurrencyLimit ===

impl<S, B, ResB> Service<Request<B>> for ConcurrencyLimit<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    ResB: Body<Data = Bytes>,
{
    type Response = Response<LimitedBody<ResB>>;
    type Error = S::Error;
    type Future = ConcurrencyLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let permit = match self.shared.limit {
            Some(limit) if !self.shared.exempt.covers(&request) => {
                let permit = Permit::acquire(&self.shared, limit);
                if permit.is_none() {
                    // Nobody will call the instance that was made ready: what it reserved goes with it.
                    drop(take_ready(&mut self.inner));
                    let gated = Gated::refused(self.shared.rejection(), &request);
                    return ConcurrencyLimitFuture { gated, permit };
                }
                permit
            }
            _ => None,
        };
        ConcurrencyLimitFuture { gated: Gated::Passed { inner: self.inner.call(request) }, permit }
    }
}

// === impl ConcurrencyLimitFuture ===

impl<F, ResB, E> Future for ConcurrencyLimitFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
    ResB: Body<Data = Bytes>,
{
    type Output = Result<Response<LimitedBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answered = ready!(this.gated.poll_answer(cx));
        let permit = this.permit.take();
        Poll::Ready(Ok(match answered? {
            Answered::Passed(response) => {
                response.map(|body| LimitedBody::new(AnswerBody::inner(body), permit))
            }
            Answered::Refused(answer) => answer.map(|text| LimitedBody::new(AnswerBody::written(text), None)),
        }))
    }
}

// === impl ConcurrencyLimitHandle ===

impl ConcurrencyLimitHandle {
    /// How many calls are counted right now.
    pub fn in_flight(&self) -> u32 {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// The most there may be, if there is a limit.
    pub fn limit(&self) -> Option<NonZeroU32> {
        self.shared.limit
    }
}

// === impl Shared ===

impl Shared {
    fn rejection(&self) -> Rejection {
        Rejection::new(Reason::Overloaded, "the service works on as many calls as it takes at once")
            .with_retry_after(self.retry_after)
    }
}

// === impl Permit ===

impl Permit {
    /// Never counts above the limit, not even for a moment: a refusal must not cost somebody else a free place.
    fn acquire(shared: &Arc<Shared>, limit: NonZeroU32) -> Option<Self> {
        let one_more = |in_flight: u32| (in_flight < limit.get()).then(|| in_flight + 1);
        // Only the number itself is shared: no other memory depends on its order.
        shared.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
