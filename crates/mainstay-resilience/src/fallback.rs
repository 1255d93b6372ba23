//! A call that failed gets another answer: a value, what a function makes, or what another service answers.
//!
//! ```
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::{fallback::FallbackLayer, typed::TypedLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let fails = service_fn(async |_: String| Err::<u32, _>(std::io::Error::other("broken")));
//! let client = ServiceBuilder::new()
//!     .layer(FallbackLayer::value(7))
//!     .layer(TypedLayer::new())
//!     .service(fails);
//! assert_eq!(client.oneshot("rates".to_owned()).await.unwrap(), 7);
//! # });
//! ```
//!
//! Which results are replaced is said by a judge: failures by default ([`ErrorsFail`]), and what layers further in refused ([`Verdict::Ignored`]
//! errors) too, for that is what a fallback is for: an open circuit, a full bulkhead. The answer says nothing of it: where callers must
//! know, make it tell them, or listen ([`FallbackLayer::on_event`]).
//!
//! Outermost in a client's stack. What a fallback itself ends with is the caller's. Dropping the future drops whichever of the two is under
//! way. Allocates nothing; a request is kept only for a fallback that [asks for it](FallbackLayer::service).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mainstay_core::call::{CallFailure, ErrorsFail, Judge, Verdict};
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use crate::events::Listener;

mod substitute;

pub use substitute::{Another, Function, Substitute, Value};

/// Settings of [`FallbackLayer`]: what an operator may turn off without a new build.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, garde::Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    /// Whether failed calls get another answer. `true` by default.
    #[garde(skip)]
    pub enabled: bool,
}

/// A [`FallbackLayer`] replaced the result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBack {
    /// What the result said.
    pub verdict: Verdict,
}

/// Gives failed calls another answer. See the [module](self).
#[derive(Clone, Debug)]
pub struct FallbackLayer<T, J = ErrorsFail> {
    substitute: T,
    judge: J,
    shared: Arc<Shared>,
}

/// The service of [`FallbackLayer`].
#[derive(Clone, Debug)]
pub struct Fallback<S, T, J> {
    inner: S,
    substitute: T,
    judge: J,
    shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    config: FallbackConfig,
    listener: Listener<FellBack>,
}

pin_project! {
    /// The future of [`Fallback`]. Dropping it drops the call, or the fallback, that is under way.
    pub struct FallbackFuture<S, T, J, Req>
    where
        S: Service<Req>,
        T: Substitute<Req, S::Response, S::Error>,
    {
        #[pin]
        step: Step<S::Future, T::Future>,
        // None: there is no other answer, or it is being made.
        kept: Option<(T::Kept, T, J)>,
        shared: Arc<Shared>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F, G> {
        Calling { #[pin] inner: F },
        FallingBack { #[pin] other: G },
    }
}

// === impl FallbackConfig ===

impl Default for FallbackConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}

// === impl FallbackLayer ===

impl<T> FallbackLayer<T> {
    fn of(substitute: T) -> Self {
        let shared = Shared { config: FallbackConfig::default(), listener: Listener::none() };
        Self { substitute, judge: ErrorsFail, shared: Arc::new(shared) }
    }
}

impl<V> FallbackLayer<Value<V>> {
    /// A clone of this value.
    pub fn value(value: V) -> Self {
        Self::of(Value(value))
    }
}

impl<F> FallbackLayer<Function<F>> {
    /// What this function makes of the failed result: `async |result| ...`.
    pub fn function(function: F) -> Self {
        Self::of(Function(function))
    }
}

impl<S> FallbackLayer<Another<S>> {
    /// What this service answers to the same request, which is cloned for it beforehand.
    pub fn service(service: S) -> Self {
        Self::of(Another(service))
    }
}

impl<T, J> FallbackLayer<T, J> {
    /// Whether it does anything.
    #[must_use]
    pub fn config(mut self, config: &FallbackConfig) -> Self {
        Arc::make_mut(&mut self.shared).config = *config;
        self
    }

    /// What counts as a failure, instead of any error.
    pub fn judge<I>(self, judge: I) -> FallbackLayer<T, I> {
        FallbackLayer { substitute: self.substitute, judge, shared: self.shared }
    }

    /// Tells of every call that gets another answer. Runs inside the call, on its task.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&FellBack) + Send + Sync + 'static) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.listener = shared.listener.clone().and(listener);
        self
    }
}

impl<S, T: Clone, J: Clone> Layer<S> for FallbackLayer<T, J> {
    type Service = Fallback<S, T, J>;

    fn layer(&self, inner: S) -> Fallback<S, T, J> {
        Fallback {
            inner,
            substitute: self.substitute.clone(),
            judge: self.judge.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

// === impl Fallback ===

impl<S, T, J, Req> Service<Req> for Fallback<S, T, J>
where
    S: Service<Req, Error: CallFailure>,
    T: Substitute<Req, S::Response, S::Error> + Clone,
    J: Judge<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FallbackFuture<S, T, J, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let kept = self
            .shared
            .config
            .enabled
            .then(|| (self.substitute.keep(&request), self.substitute.clone(), self.judge.clone()));
        let step = Step::Calling { inner: self.inner.call(request) };
        FallbackFuture { step, kept, shared: Arc::clone(&self.shared) }
    }
}

// === impl FallbackFuture ===

impl<S, T, J, Req> Future for FallbackFuture<S, T, J, Req>
where
    S: Service<Req, Error: CallFailure>,
    T: Substitute<Req, S::Response, S::Error>,
    J: Judge<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.step.as_mut().project() {
                StepProjection::FallingBack { other } => return other.poll(cx),
                StepProjection::Calling { inner } => ready!(inner.poll(cx)),
            };
            let Some((kept, mut substitute, judge)) = this.kept.take() else { return Poll::Ready(result) };
            let verdict = judge.judge(result.as_ref());
            if !verdict.is_failure() && result.is_ok() {
                return Poll::Ready(result);
            }
            this.shared.listener.tell(|| FellBack { verdict });
            let other = substitute.substitute(kept, result);
            this.step.set(Step::FallingBack { other });
        }
    }
}

impl<S, T, J, Req> fmt::Debug for FallbackFuture<S, T, J, Req>
where
    S: Service<Req>,
    T: Substitute<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let falls_back = matches!(self.step, Step::FallingBack { .. });
        f.debug_struct("FallbackFuture").field("falls_back", &falls_back).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
