//! A call is refused when the service is not ready for it, instead of waiting until it is.
//!
//! ```
//! use mainstay_http::load_shed::{LoadShedConfig, LoadShedLayer};
//!
//! let layer = LoadShedLayer::new(&LoadShedConfig { enabled: true, ..LoadShedConfig::default() });
//! # let _: LoadShedLayer = layer;
//! ```
//!
//! Shedding means here what it means in tower: no queue forms in front of a service that pushes back, such as one behind a
//! bulkhead, a buffer or tower's own limits. axum's and tonic's routes are always ready, so around them alone it
//! sheds nothing: limit them with [`ConcurrencyLimitLayer`](crate::concurrency_limit::ConcurrencyLimitLayer). A call that
//! waited too long elsewhere is the deadline's.
//!
//! Stands inside the access log, outside whatever pushes back. Refuses with 503 and `retry-after`, or UNAVAILABLE for gRPC
//! ([`Reason::Overloaded`]). Unlike tower's, it is not misled by tokio's budget for cooperative tasks, which makes a ready
//! semaphore say `Pending`; and with the refused call it gives up the place in the inner queue, which an idle connection
//! would otherwise hold as soon as it is granted. Disabled, as it is by default, it passes everything on. No allocation;
//! dropping the future drops the inner one.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use garde::Validate;
use http::{Request, Response};
use mainstay_core::{Reason, Rejection, take_ready};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tokio::task::coop::unconstrained;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::AnswerBody;
use crate::load::{Answered, Gated};

/// Settings of [`LoadShedLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LoadShedConfig {
    /// Whether calls are refused when the service is not ready. `false` by default: they wait.
    #[garde(skip)]
    pub enabled: bool,
    /// When a refused caller may come back: `retry-after`, rounded up to whole seconds. 1 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(skip)]
    pub retry_after: Duration,
}

/// Refuses calls for which the service is not ready. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct LoadShedLayer {
    enabled: bool,
    retry_after: Duration,
}

/// The service of [`LoadShedLayer`].
#[derive(Debug)]
pub struct LoadShed<S> {
    inner: S,
    layer: LoadShedLayer,
    is_ready: bool,
}

pin_project! {
    /// The future of [`LoadShed`]. Dropping it drops the inner one.
    #[derive(Debug)]
    pub struct LoadShedFuture<F> {
        #[pin]
        gated: Gated<F>,
    }
}

// === impl LoadShedConfig ===

impl Default for LoadShedConfig {
    fn default() -> Self {
        Self { enabled: false, retry_after: Duration::from_secs(1) }
    }
}

// === impl LoadShedLayer ===

impl LoadShedLayer {
    /// The layer with these settings.
    pub const fn new(config: &LoadShedConfig) -> Self {
        Self { enabled: config.enabled, retry_after: config.retry_after }
    }
}

impl Default for LoadShedLayer {
    fn default() -> Self {
        Self::new(&LoadShedConfig::default())
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> LoadShed<S> {
        LoadShed { inner, layer: *self, is_ready: false }
    }
}

// === impl LoadShed ===

impl<S: Clone> Clone for LoadShed<S> {
    fn clone(&self) -> Self {
        // A clone has not been polled ready.
        Self { inner: self.inner.clone(), layer: self.layer, is_ready: false }
    }
}

impl<S, B, ResB> Service<Request<B>> for LoadShed<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
{
    type Response = Response<AnswerBody<ResB>>;
    type Error = S::Error;
    type Future = LoadShedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if !self.layer.enabled {
            ready!(self.inner.poll_ready(cx))?;
            self.is_ready = true;
            return Poll::Ready(Ok(()));
        }
        // A task that has used up its budget is not a service that is overloaded.
        let asked = pin!(unconstrained(poll_fn(|cx| self.inner.poll_ready(cx)))).poll(cx);
        self.is_ready = asked.is_ready();
        match asked {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let was_ready = std::mem::take(&mut self.is_ready);
        let gated = if was_ready {
            Gated::Passed { inner: self.inner.call(request) }
        } else {
            // The place in the inner queue goes with the refused call.
            drop(take_ready(&mut self.inner));
            let rejection =
                Rejection::new(Reason::Overloaded, "the service is not ready to take a call at the moment")
                    .with_retry_after(self.layer.retry_after);
            Gated::refused(rejection, &request)
        };
        LoadShedFuture { gated }
    }
}

// === impl LoadShedFuture ===

impl<F, ResB, E> Future for LoadShedFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<AnswerBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match ready!(self.project().gated.poll_answer(cx))? {
            Answered::Passed(response) => response.map(AnswerBody::inner),
            Answered::Refused(answer) => answer.map(AnswerBody::written),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::{Context, Poll, ready};

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use mainstay_core::{Outcome, Reason};
    use mainstay_testkit::cancel::drop_at_every_await;
    use mainstay_testkit::contract::{Law, Laws, http_layer_contract};
    use mainstay_testkit::probe::Probe;
    use tokio::task::consume_budget;
    use tokio::task::coop::{has_budget_remaining, poll_proceed};
    use tower::limit::ConcurrencyLimit;
    use tower::{Layer, Service, ServiceExt};

    use super::{LoadShedConfig, LoadShedLayer};
    use crate::answer::Ended;

    fn shedding() -> LoadShedLayer {
        LoadShedLayer::new(&LoadShedConfig { enabled: true, ..LoadShedConfig::default() })
    }

    fn hello() -> Probe<Request<()>, Response<Full<Bytes>>> {
        Probe::new(|_| Ok(Response::new(Full::from("hello"))))
    }

    #[tokio::test]
    async fn a_call_is_refused_while_the_service_is_not_ready_and_served_after() {
        let probe = hello();
        let handle = probe.handle();
        let service = shedding().layer(probe);
        handle.hold_readiness();
        let refused = service.clone().oneshot(Request::new(())).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        assert_eq!(refused.extensions().get(), Some(&Ended(Outcome::Rejected(Reason::Overloaded))));
        assert_eq!(handle.calls(), 0);
        handle.release_readiness();
        assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn a_refused_call_leaves_the_inner_queue() {
        let limit = ConcurrencyLimit::new(hello(), 1);
        let mut holder = limit.clone();
        holder.ready().await.unwrap();
        let mut idle = shedding().layer(limit.clone());
        assert_eq!(idle.ready().await.unwrap().call(Request::new(())).await.unwrap().status(), 503);
        // The idle service must not be given the place that is free now.
        drop(holder);
        assert_eq!(shedding().layer(limit).oneshot(Request::new(())).await.unwrap().status(), 200);
        drop(idle);
    }

    #[tokio::test]
    async fn a_task_without_budget_is_not_taken_for_an_overloaded_service() {
        /// Always ready, as long as the task has budget: a semaphore or a channel of tokio's.
        #[derive(Clone)]
        struct Cooperative;

        impl Service<Request<()>> for Cooperative {
            type Response = Response<Full<Bytes>>;
            type Error = Infallible;
            type Future = std::future::Ready<Result<Self::Response, Infallible>>;

            fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                ready!(poll_proceed(cx)).made_progress();
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, _: Request<()>) -> Self::Future {
                std::future::ready(Ok(Response::default()))
            }
        }

        let sheds_wrongly = tower::load_shed::LoadShed::new(Cooperative);
        let service = shedding().layer(Cooperative);
        let served = tokio::spawn(async move {
            while has_budget_remaining() {
                consume_budget().await;
            }
            let shed = sheds_wrongly.oneshot(Request::new(())).await.is_err();
            while has_budget_remaining() {
                consume_budget().await;
            }
            (shed, service.oneshot(Request::new(())).await.unwrap().status().as_u16())
        });
        // tower's sheds here, so the test does test it.
        assert_eq!(served.await.unwrap(), (true, 200));
    }

    #[tokio::test]
    async fn a_caller_that_leaves_leaves_nothing_and_disabled_it_waits() {
        let probe = hello().pending_before_ready(1).pending_before_answer(2);
        let handle = probe.handle();
        let service = LoadShedLayer::default().layer(probe);
        let call = || service.clone().oneshot(Request::new(()));
        assert_eq!(drop_at_every_await(call, |_| handle.assert_idle()).await, 3);
    }

    #[tokio::test]
    async fn it_keeps_the_laws_of_layers_and_bodies() {
        let laws = Laws { back_pressure: Law::Waived, ..Laws::default() };
        http_layer_contract(shedding, || Request::new(()), laws).await;
        http_layer_contract(LoadShedLayer::default, || Request::new(()), Laws::default()).await;
    }
}
