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
//! Shedding means here what it means in tower: no queue forms in front of a service that pushes back, such as a connection that
//! is busy, a buffer or tower's own limits. [`Bulkhead`](crate::bulkhead) and the other layers of this crate refuse by themselves and
//! push nothing back, so around them alone it sheds nothing.
//!
//! Stands outside whatever pushes back. It is always ready; a call for which the inner service is not is refused with
//! [`Reason::Overloaded`], in the call's future, and was never sent. An error of the inner readiness passes. Unlike tower's, it
//! is not misled by tokio's budget for cooperative tasks, which makes a ready semaphore say `Pending`; and with the refused call it gives up
//! the place in the inner queue, which would otherwise be granted to nobody.
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
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, ready};
    use std::time::Duration;

    use mainstay_core::Reason;
    use mainstay_core::call::{CallError, CallFailure, Cause};
    use mainstay_testkit::alloc::count_allocations_of;
    use mainstay_testkit::cancel::drop_at_every_await;
    use mainstay_testkit::contract::{Law, Laws, client_layer_contract};
    use mainstay_testkit::probe::{Probe, ProbeError};
    use tokio::task::consume_budget;
    use tokio::task::coop::{has_budget_remaining, poll_proceed};
    use tower::limit::ConcurrencyLimit;
    use tower::{Layer, Service, ServiceExt};
    use tower_layer::Stack;

    use super::{LoadShedConfig, LoadShedEvent, LoadShedLayer};
    use crate::typed::TypedLayer;

    type Failure = CallError<ProbeError>;

    fn echo() -> Probe<u32, u32, Failure> {
        Probe::with_error_type(Ok)
    }

    #[tokio::test]
    async fn a_call_is_refused_while_the_service_is_not_ready_and_served_after() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let retry_after = Some(Duration::from_millis(1500));
        let layer = LoadShedLayer::new(&LoadShedConfig { retry_after }).unwrap();
        let layer = layer.on_event({
            let heard = Arc::clone(&heard);
            move |event| heard.lock().unwrap().push(*event)
        });
        let probe = echo();
        let handle = probe.handle();
        let service = layer.layer(probe);
        handle.hold_readiness();
        let error = service.clone().oneshot(1).await.unwrap_err();
        let rejection = error.rejection().unwrap();
        assert_eq!((rejection.reason, rejection.retry_after), (Reason::Overloaded, retry_after));
        assert_eq!(rejection.message, "the service is not ready to take a call at the moment");
        assert!(!error.may_have_run(|_| true), "it was never sent");
        assert_eq!((handle.calls(), layer.handle().refused()), (0, 1));
        assert_eq!(*heard.lock().unwrap(), [LoadShedEvent::Refused]);
        handle.release_readiness();
        assert_eq!(service.oneshot(2).await, Ok(2));
        assert_eq!(layer.handle().refused(), 1);
    }

    #[tokio::test]
    async fn a_refused_call_leaves_the_inner_queue() {
        let limit = ConcurrencyLimit::new(echo(), 1);
        let mut holder = limit.clone();
        holder.ready().await.unwrap();
        let mut idle = LoadShedLayer::default().layer(limit.clone());
        assert!(idle.ready().await.unwrap().call(1).await.is_err());
        // The idle service must not be given the place that is free now.
        drop(holder);
        assert_eq!(LoadShedLayer::default().layer(limit).oneshot(2).await, Ok(2));
        drop(idle);
    }

    #[tokio::test]
    async fn a_task_without_budget_is_not_taken_for_an_overloaded_service() {
        /// Always ready, as long as the task has budget: a semaphore or a channel of tokio's.
        #[derive(Clone)]
        struct Cooperative;

        impl Service<u32> for Cooperative {
            type Response = u32;
            type Error = Failure;
            type Future = std::future::Ready<Result<u32, Failure>>;

            fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
                ready!(poll_proceed(cx)).made_progress();
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: u32) -> Self::Future {
                std::future::ready(Ok(request))
            }
        }

        let sheds_wrongly = tower::load_shed::LoadShed::new(Cooperative);
        let service = LoadShedLayer::default().layer(Cooperative);
        let served = tokio::spawn(async move {
            while has_budget_remaining() {
                consume_budget().await;
            }
            let shed = sheds_wrongly.oneshot(1).await.is_err();
            while has_budget_remaining() {
                consume_budget().await;
            }
            (shed, service.oneshot(2).await)
        });
        // tower's sheds here, so the test does test it.
        assert_eq!(served.await.unwrap(), (true, Ok(2)));
    }

    #[tokio::test]
    async fn an_error_of_the_inner_readiness_passes() {
        let probe = echo().fail_readiness(|| CallError::service(ProbeError::new("closed")));
        let mut service = LoadShedLayer::default().layer(probe);
        let error = service.ready().await.unwrap_err();
        assert_eq!(error.cause, Cause::Service(ProbeError::new("closed")));
    }

    #[tokio::test]
    async fn a_caller_that_leaves_leaves_nothing() {
        let probe = echo().pending_before_answer(2);
        let handle = probe.handle();
        let service = LoadShedLayer::default().layer(probe);
        let awaits = drop_at_every_await(|| service.clone().oneshot(1), |_| handle.assert_idle()).await;
        assert_eq!(awaits, 2);
    }

    #[tokio::test]
    async fn it_allocates_nothing_to_pass_or_to_refuse() {
        /// Answers at once, if it is ready at all.
        #[derive(Clone)]
        struct Ready(bool);

        impl Service<u32> for Ready {
            type Response = u32;
            type Error = Failure;
            type Future = std::future::Ready<Result<u32, Failure>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
                if self.0 { Poll::Ready(Ok(())) } else { Poll::Pending }
            }

            fn call(&mut self, request: u32) -> Self::Future {
                std::future::ready(Ok(request))
            }
        }

        for is_ready in [true, false] {
            let mut service = LoadShedLayer::default().layer(Ready(is_ready));
            let call = async { service.ready().await.unwrap().call(1).await };
            let (answer, allocations) = count_allocations_of(call).await;
            assert_eq!((answer.is_ok(), allocations.count), (is_ready, 0));
        }
    }

    #[test]
    fn settings_are_read_and_held_to_their_ranges() {
        let read: LoadShedConfig = serde_json::from_str(r#"{"retry_after": "2s"}"#).unwrap();
        assert_eq!(read, LoadShedConfig { retry_after: Some(Duration::from_secs(2)) });
        assert!(serde_json::from_str::<LoadShedConfig>(r#"{"enabled": true}"#).is_err());
        let never = LoadShedConfig { retry_after: Some(Duration::ZERO) };
        let report = LoadShedLayer::new(&never).unwrap_err().to_string();
        assert_eq!(report.trim(), "retry_after: 0s: expected a time longer than zero, or none");
    }

    #[tokio::test]
    async fn it_keeps_the_laws_of_layers() {
        fn inner(error: &Failure) -> Option<&ProbeError> {
            match &error.cause {
                Cause::Service(error) => Some(error),
                Cause::Rejected(_) => None,
            }
        }
        // It refuses where others push back: that is what it is for.
        let laws = Laws { back_pressure: Law::Waived, ..Laws::default() };
        let layer = || Stack::new(TypedLayer::new(), LoadShedLayer::default());
        client_layer_contract(layer, || "request", |_| "answer", inner, laws).await;
    }
}
