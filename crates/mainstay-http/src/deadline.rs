//! No answer before the deadline: the call is dropped, and its caller told so.
//!
//! ```
//! # use std::time::Duration;
//! use mainstay_http::deadline::{DeadlineConfig, DeadlineLayer};
//!
//! let layer = DeadlineLayer::new(&DeadlineConfig { default: Duration::from_secs(2), ..DeadlineConfig::default() });
//! # let _: DeadlineLayer = layer;
//! ```
//!
//! A layer has a limit of its own, [`DeadlineConfig::default`], and takes the [`RequestContext`]'s deadline where that comes
//! first: one around a single route shortens it. [`DeadlineLayer::inherited`] has no limit of its own. What is covered is
//! the time until the response's headers: a body that streams on (server-sent events, a download, a gRPC server stream)
//! is not cut off.
//!
//! At the deadline the inner future is dropped, as if the client had gone away, and the answer is 504 for HTTP or a
//! Trailers-only DEADLINE_EXCEEDED for gRPC. A response that is ready at that very moment wins. A call whose deadline is
//! past when it comes in is refused without being called. A handler that blocks its thread cannot be stopped.
//!
//! Unlike tonic's own timeout, which exists only under `tonic::transport::Server` and answers CANCELLED, this one works
//! wherever the service is served. Like `tokio::time::timeout`, it fires also for a handler that is always busy and uses up
//! tokio's budget for cooperative tasks. Unlike `tower_http::timeout`, which polls its timer first, a ready answer costs no
//! timer at all: it is registered when the inner future was pending for the first time. No allocation.
//!
//! # Panics
//!
//! When a call is pending on a tokio runtime without `enable_time`.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use garde::Validate;
use http::{Request, Response};
use mainstay_core::{Deadline, Reason, Rejection, RequestContext, take_ready};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::refuse;
use crate::body::AnswerBody;
use crate::form::Form;

/// How long calls may take.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DeadlineConfig {
    /// How long a call may take that does not say otherwise. 10 s by default; at least 1 ms.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(at_least_a_millisecond))]
    pub default: Duration,
    /// The longest that a trusted caller may ask for. 60 s by default; at least [`default`](Self::default).
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(not_shorter_than(self.default)))]
    pub maximum: Duration,
}

/// Ends calls at their deadline. See the [module](self).
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    limit: Option<Duration>,
}

/// The service of [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub struct DeadlineGuard<S> {
    inner: S,
    limit: Option<Duration>,
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
        // None: nobody has set a limit.
        deadline: Option<Deadline>,
        form: Form,
        context: Option<RequestContext>,
    }
}

// === impl DeadlineConfig ===

impl Default for DeadlineConfig {
    fn default() -> Self {
        Self { default: Duration::from_secs(10), maximum: Duration::from_secs(60) }
    }
}

fn at_least_a_millisecond(length: &Duration, (): &()) -> garde::Result {
    if *length >= Duration::from_millis(1) {
        Ok(())
    } else {
        Err(garde::Error::new("shorter than 1ms: no call could ever be answered"))
    }
}

fn not_shorter_than(default: Duration) -> impl FnOnce(&Duration, &()) -> garde::Result {
    move |maximum, ()| {
        if *maximum >= default { Ok(()) } else { Err(garde::Error::new("shorter than the default deadline")) }
    }
}

// === impl DeadlineLayer ===

impl DeadlineLayer {
    /// The layer with [`DeadlineConfig::default`] as its own limit.
    pub fn new(config: &DeadlineConfig) -> Self {
        Self { limit: Some(config.default) }
    }

    /// The layer without a limit of its own: it keeps the context's deadline, and lets calls without one take for ever.
    ///
    /// For a stack whose [`ContextLayer`](crate::context::ContextLayer) decides, which may grant trusted callers more time.
    pub const fn inherited() -> Self {
        Self { limit: None }
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
        DeadlineGuard { inner, limit: self.limit }
    }
}

// === impl DeadlineGuard ===

impl<S, B, ResB> Service<Request<B>> for DeadlineGuard<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
{
    type Response = Response<AnswerBody<ResB>>;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let form = Form::of(&request);
        let context = request.extensions().get::<RequestContext>().cloned();
        // Where a context was just made, its clock is read once for both.
        let now = context.as_ref().map_or_else(|| Instant::now().into_std(), RequestContext::received_at);
        let own = self.limit.map(|limit| Deadline::after(now, limit));
        let inherited = context.as_ref().and_then(RequestContext::deadline);
        let deadline = own.into_iter().chain(inherited).reduce(Deadline::earliest);
        let inner = if deadline.is_some_and(|deadline| deadline.is_past(now)) {
            // Nobody will call the instance that was made ready: what it reserved goes with it.
            drop(take_ready(&mut self.inner));
            None
        } else {
            Some(self.inner.call(request))
        };
        DeadlineFuture { inner, timer: None, deadline, form, context }
    }
}

// === impl DeadlineFuture ===

impl<F, ResB, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<AnswerBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(inner) = this.inner.as_mut().as_pin_mut() {
            if let Poll::Ready(result) = inner.poll(cx) {
                return Poll::Ready(result.map(|response| response.map(AnswerBody::inner)));
            }
            let Some(deadline) = *this.deadline else {
                return Poll::Pending;
            };
            if this.timer.is_none() {
                this.timer.set(Some(sleep_until(deadline.instant().into())));
            }
            let timer = this.timer.as_mut().as_pin_mut().expect("set two lines above");
            // An inner future that has used up the task's budget would otherwise keep the timer pending for ever.
            if pin!(unconstrained(timer)).poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.inner.set(None);
        }
        Poll::Ready(Ok(too_late(*this.form, this.context.as_ref()).map(AnswerBody::written)))
    }
}

fn too_late(form: Form, context: Option<&RequestContext>) -> Response<Bytes> {
    let rejection =
        Rejection::new(Reason::DeadlineExceeded, "the answer was not ready before the request's deadline");
    refuse(&rejection, form, context)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use garde::Validate;
    use http::{Request, Response};
    use mainstay_core::{Deadline, Outcome, Parts, Phase, RequestContext, RequestId, TraceContext};
    use mainstay_testkit::contract::{Laws, http_layer_contract};
    use mainstay_testkit::probe::Probe;
    use tokio::task::consume_budget;
    use tokio::time::{Instant, sleep};
    use tower::{Layer, Service, ServiceExt, service_fn};

    use super::{DeadlineConfig, DeadlineLayer};
    use crate::answer::Ended;
    use crate::body::AnswerBody;
    use crate::context::ContextLayer;

    async fn answer_after(taken: Duration, request: Request<()>) -> Response<AnswerBody<String>> {
        let service = service_fn(move |_: Request<()>| async move {
            sleep(taken).await;
            Ok::<_, Infallible>(Response::new("done".to_owned()))
        });
        DeadlineLayer::default().layer(service).oneshot(request).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_ended_at_its_deadline_and_not_before() {
        let started = Instant::now();
        let late = answer_after(Duration::from_secs(11), Request::new(())).await;
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        assert_eq!(late.status(), 504);
        assert_eq!(late.extensions().get(), Some(&Ended(Outcome::TimedOut(Phase::Answer))));

        let in_time = answer_after(Duration::from_secs(9), Request::new(())).await;
        assert_eq!(in_time.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_ready_at_the_deadline_wins() {
        assert_eq!(answer_after(Duration::from_secs(10), Request::new(())).await.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_grpc_caller_gets_deadline_exceeded_at_its_own_deadline() {
        let service = service_fn(async |_: Request<()>| {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let service = ContextLayer::default().layer(DeadlineLayer::default().layer(service));
        let grpc = |timeout| {
            let request = Request::builder().method("POST").header("content-type", "application/grpc");
            request.header("grpc-timeout", timeout).body(()).unwrap()
        };
        let started = Instant::now();
        let answer = service.clone().oneshot(grpc("50m")).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_millis(50));
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (200, &"4".parse().unwrap())
        );

        // Past when it comes in: refused without a call, so without a wait.
        let answer = service.oneshot(grpc("0n")).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "4");
        assert_eq!(started.elapsed(), Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn the_sooner_of_the_layers_own_limit_and_the_contexts_deadline_counts() {
        let limit = |secs| DeadlineConfig { default: Duration::from_secs(secs), ..DeadlineConfig::default() };
        let ended_after = async |outer: u64, inner: DeadlineLayer| {
            let service = service_fn(async |_: Request<()>| {
                sleep(Duration::from_secs(1_000)).await;
                Ok::<_, Infallible>(Response::new(String::new()))
            });
            let started = Instant::now();
            let service = ContextLayer::default().deadline(&limit(outer)).layer(inner.layer(service));
            service.oneshot(Request::new(())).await.unwrap();
            started.elapsed().as_secs()
        };
        assert_eq!(ended_after(10, DeadlineLayer::new(&limit(2))).await, 2);
        assert_eq!(ended_after(2, DeadlineLayer::new(&limit(10))).await, 2);
        assert_eq!(ended_after(3, DeadlineLayer::inherited()).await, 3);
        let unlimited = service_fn(async |_: Request<()>| {
            sleep(Duration::from_secs(1_000)).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let answer = DeadlineLayer::inherited().layer(unlimited).oneshot(Request::new(())).await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    #[tokio::test]
    async fn a_handler_that_is_always_busy_is_ended_too() {
        // Real time: a task that never waits would not let a paused clock move.
        let service = service_fn(async |_: Request<()>| {
            loop {
                consume_budget().await;
            }
            #[expect(unreachable_code, reason = "says the type of an answer that never comes")]
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let config = DeadlineConfig { default: Duration::from_millis(20), ..DeadlineConfig::default() };
        let answer = DeadlineLayer::new(&config).layer(service).oneshot(Request::new(())).await.unwrap();
        assert_eq!(answer.status(), 504);
    }

    #[tokio::test]
    async fn a_call_that_is_refused_gives_back_what_was_reserved_for_it() {
        let probe = Probe::new(|_: Request<()>| Ok(Response::new(String::new())));
        let handle = probe.handle();
        let mut service = DeadlineLayer::default().layer(probe);
        let trace = TraceContext::root([1; 16], [2; 8]);
        let now = Instant::now().into_std();
        let parts =
            Parts { deadline: Some(Deadline::at(now)), ..Parts::new(RequestId::v7(1, [0; 10]), trace, now) };
        let mut request = Request::new(());
        request.extensions_mut().insert(RequestContext::new(parts));
        let answer = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(answer.status(), 504);
        assert_eq!((handle.calls(), handle.reserved()), (0, 0));
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let config = |default, maximum| {
            let (default, maximum) = (Duration::from_millis(default), Duration::from_millis(maximum));
            DeadlineConfig { default, maximum }.validate().map_err(|report| report.to_string())
        };
        assert_eq!(config(1, 1), Ok(()));
        assert_eq!(
            config(0, 1),
            Err("default: shorter than 1ms: no call could ever be answered\n".to_owned())
        );
        assert_eq!(config(2, 1), Err("maximum: shorter than the default deadline\n".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_keeps_the_laws_of_layers_and_bodies() {
        http_layer_contract(DeadlineLayer::default, || Request::new(()), Laws::default()).await;
    }
}
