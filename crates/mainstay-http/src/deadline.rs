//! Too slow a call is ended and its caller told so: before its answer, and in the bodies of both directions.
//!
//! ```
//! # use std::time::Duration;
//! use mainstay_http::deadline::{BodyLimits, DeadlineConfig, DeadlineLayer};
//!
//! let layer = DeadlineLayer::new(&DeadlineConfig {
//!     default: Duration::from_secs(2),
//!     response_body: BodyLimits { idle: Some(Duration::from_secs(30)), total: None },
//!     ..DeadlineConfig::default()
//! });
//! # let _: DeadlineLayer = layer;
//! ```
//!
//! # What is limited
//!
//! Until the answer's headers, the sooner of two: the [`RequestContext`]'s deadline, and, for [`DeadlineLayer::new`], the
//! layer's own, so that one around a single route shortens it. [`DeadlineLayer::in_stack`] stands in a stack whose
//! [`ContextLayer`](crate::context::ContextLayer) has the same settings and decides; [`DeadlineConfig::routes`] can lengthen it
//! there. A handler [extends](RequestContext::extend_deadline) both, up to [`DeadlineConfig::maximum`].
//!
//! In the answer's body, the idle and total limits of [`DeadlineConfig::response_body`], and, if [`Covers::Body`] says so,
//! the call's deadline. Server-sent events, gRPC and upgraded connections have no total; a gRPC stream ends at the
//! deadline only if its caller named one. Time counts while the service is waited for: a client that takes
//! nothing is for the server to end. In the request's body, [`UploadDeadlineLayer`].
//!
//! # What happens then
//!
//! Before the answer the inner future is dropped, as if the client had gone away, and the answer is 504 for HTTP or a
//! Trailers-only DEADLINE_EXCEEDED for gRPC. In the body, gRPC gets these as trailers; HTTP's transfer is broken off with
//! [`BodyTimedOut`]. What is ready at that very moment wins. A call whose deadline is
//! past when it comes in is refused without being called. A handler that blocks its thread cannot be stopped.
//!
//! Unlike tonic's own timeout, which exists only under `tonic::transport::Server` and answers CANCELLED, this one works
//! wherever the service is served. Like `tokio::time::timeout`, it fires also for a handler that is always busy and uses up
//! tokio's budget for cooperative tasks. Unlike `tower_http::timeout`, which polls its timer first, a ready answer costs no
//! timer at all: it is registered when the inner future was pending for the first time. And unlike its `TimeoutBody` (0.7.1),
//! which tells neither size nor end, so that answers lose their `content-length`, a limited body here says what it is.
//!
//! No allocation, but for the timer of a body that has limits, once, when it is waited for.
//!
//! # Panics
//!
//! When a call is pending on a tokio runtime without `enable_time`.

mod body;
mod config;
mod plan;
mod route;
mod until;
mod upload;

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use mainstay_core::{Reason, Rejection, RequestContext, take_ready};
use pin_project_lite::pin_project;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::refuse;
use crate::form::Form;
use crate::grpc_timeout;
use crate::headers::GRPC_TIMEOUT;
use body::BodyPlan;
pub use body::{BodyTimedOut, DeadlineBody};
pub use config::{BodyLimits, Covers, DeadlineConfig, RouteDeadline};
pub(crate) use plan::{Limits, Plan};
pub use route::{InvalidPathPattern, PathPattern};
use until::Until;
pub use upload::{UploadBody, UploadDeadline, UploadDeadlineLayer, UploadFuture, UploadTimedOut};

/// Ends calls at their deadline. See the [module](self).
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    plan: Plan,
    counts: Counts,
}

/// The service of [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub struct DeadlineGuard<S> {
    inner: S,
    plan: Plan,
    counts: Counts,
}

/// Which limit counts until the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// The sooner of the layer's own and the context's.
    Sooner,
    /// The context's where there is one: it was decided from the same settings.
    Context,
}

pin_project! {
    /// The future of [`DeadlineGuard`]. Dropping it drops the inner one and its timer.
    #[derive(Debug)]
    pub struct DeadlineFuture<F> {
        // None: refused before the call, or dropped at the deadline.
        #[pin]
        inner: Option<F>,
        #[pin]
        timer: Option<Sleep>,
        until: Until,
        plan: BodyPlan,
    }
}

// === impl DeadlineLayer ===

impl DeadlineLayer {
    /// The layer with [`DeadlineConfig::default`] as its own limit.
    pub fn new(config: &DeadlineConfig) -> Self {
        Self { plan: Plan::new(config), counts: Counts::Sooner }
    }

    /// The layer in a stack whose [`ContextLayer`](crate::context::ContextLayer) has the same settings: that decides how long the
    /// call may take, and may grant trusted callers more time. Where no context is, the settings count.
    pub fn in_stack(config: &DeadlineConfig) -> Self {
        Self { plan: Plan::new(config), counts: Counts::Context }
    }

    /// The layer without a limit of its own: it keeps the context's deadline, and lets calls without one take for ever.
    pub const fn inherited() -> Self {
        Self { plan: Plan::UNLIMITED, counts: Counts::Context }
    }
}

impl Default for DeadlineLayer {
    fn default() -> Self {
        Self::new(&DeadlineConfig::default())
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineGuard<S>;

    fn layer(&self, inner: S) -> DeadlineGuard<S> {
        DeadlineGuard { inner, plan: self.plan.clone(), counts: self.counts }
    }
}

// === impl DeadlineGuard ===

impl<S, B, ResB> Service<Request<B>> for DeadlineGuard<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    ResB: Body,
{
    type Response = Response<DeadlineBody<ResB>>;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limits = self.plan.limits(&request);
        let plan = body_plan(&limits, &request);
        let context = request.extensions().get::<RequestContext>().cloned();
        // Where a context was just made, its clock is read once for both.
        let now = context.as_ref().map_or_else(|| Instant::now().into_std(), RequestContext::received_at);
        let decides = self.counts == Counts::Sooner || context.is_none();
        let own = Some(&limits).filter(|limits| decides && limits.covers != Covers::Nothing);
        let until = Until::new(own, context, now);
        let inner = if until.deadline().is_some_and(|deadline| deadline.is_past(now)) {
            // Nobody will call the instance that was made ready: what it reserved goes with it.
            drop(take_ready(&mut self.inner));
            None
        } else {
            Some(self.inner.call(request))
        };
        DeadlineFuture { inner, timer: None, until, plan }
    }
}

fn body_plan<B>(limits: &Limits, request: &Request<B>) -> BodyPlan {
    let form = Form::of(request);
    let named = || {
        let mut lines = request.headers().get_all(GRPC_TIMEOUT).iter();
        let timeout = lines.next().filter(|_| lines.next().is_none());
        timeout.is_some_and(|timeout| grpc_timeout::parse(timeout.as_bytes()).is_some())
    };
    BodyPlan {
        limits: limits.response,
        covers: limits.covers,
        form,
        is_connect: BodyPlan::is_connect(request.method()),
        caller_named_deadline: limits.covers == Covers::Body && form == Form::Grpc && named(),
    }
}

// === impl DeadlineFuture ===

impl<F, ResB, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
    ResB: Body,
{
    type Output = Result<Response<DeadlineBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(inner) = this.inner.as_mut().as_pin_mut() {
            if let Poll::Ready(result) = inner.poll(cx) {
                return Poll::Ready(
                    result.map(|response| DeadlineBody::limit(response, this.plan, this.until)),
                );
            }
            loop {
                let Some(deadline) = this.until.deadline() else {
                    return Poll::Pending;
                };
                let deadline = deadline.instant().into();
                if this.timer.is_none() {
                    this.timer.set(Some(sleep_until(deadline)));
                }
                let mut timer = this.timer.as_mut().as_pin_mut().expect("set two lines above");
                // An inner future that has used up the task's budget would otherwise keep the timer pending for ever.
                if pin!(unconstrained(timer.as_mut())).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if timer.deadline() >= deadline {
                    break;
                }
                // The handler was granted more time since.
                timer.reset(deadline);
            }
            this.inner.set(None);
        }
        let answer = too_late(this.plan.form, this.until.context.as_ref());
        Poll::Ready(Ok(answer.map(DeadlineBody::written)))
    }
}

fn too_late(form: Form, context: Option<&RequestContext>) -> Response<Bytes> {
    let rejection =
        Rejection::new(Reason::DeadlineExceeded, "the answer was not ready before the request's deadline");
    refuse(&rejection, form, context)
}

#[cfg(test)]
mod tests;
