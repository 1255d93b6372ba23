//! The more of our calls a service refuses, the fewer we send: client-side adaptive throttling, as in Google's "Site Reliability
//! Engineering", chapter 21 ("Handling Overload").
//!
//! ```
//! use mainstay_resilience::throttle::{ThrottleConfig, ThrottleLayer};
//!
//! let throttle = ThrottleLayer::new(&ThrottleConfig::default())?;
//! assert_eq!(throttle.handle().rejection_probability(), 0.0);
//! # Ok::<(), garde::Report>(())
//! ```
//!
//! A call is refused with the probability `max(0, (requests − K · accepts) / (requests + 1))`, both counted over [`window`](ThrottleConfig::window):
//! nothing happens while the service accepts one call in `K`; beyond that what it would refuse anyway is refused here, where it
//! costs nobody anything. Refused calls count as requests, so the probability follows the demand; and it never exceeds
//! [`max_probability`](ThrottleConfig::max_probability), so that some calls find out that the service has recovered.
//!
//! The service accepts a call unless its verdict is `Verdict::Overloaded` (or `Failure`, if [so set](ThrottleConfig::count_failures)). A call that
//! was refused further in, or abandoned, says nothing and counts as accepted. Stands outside the retry: its calls are a caller's.
//!
//! Refuses with [`Reason::Overloaded`]. No lock and no allocation; a random number is drawn only while the probability is above 0.

mod window;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use garde::Validate;
use mainstay_core::call::{AtAnswer, CallFailure, Done, ErrorsFail, Settle, Verdict};
use mainstay_core::{Reason, Rejection};
use pin_project_lite::pin_project;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::events::Listener;
use window::Accepts;

/// Settings of [`ThrottleLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleConfig {
    /// How many requests there may be for each that is accepted before any is refused: 1 to 10. 2 by default; nearer to 1 is stricter.
    #[garde(custom(is_k))]
    pub k: f64,
    /// Of how long a time both are counted, in sixty steps: 1 s to 1 h. 2 min by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_window))]
    pub window: Duration,
    /// The highest probability: 0 to below 1. 0.9 by default; 0 refuses nothing.
    #[garde(custom(is_probability))]
    pub max_probability: f64,
    /// Nothing is refused while there were fewer requests than this. 20 by default.
    #[garde(skip)]
    pub minimum_number_of_calls: u32,
    /// Whether a failure that is no overload counts as not accepted too. `false` by default: that is the breaker's.
    #[garde(skip)]
    pub count_failures: bool,
}

/// What a [`ThrottleLayer`] did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ThrottleEvent {
    /// A call was refused, with this probability.
    Throttled(f64),
}

/// Refuses calls that the service would probably refuse. See the [module](self).
#[derive(Clone, Debug)]
pub struct ThrottleLayer<A = AtAnswer<ErrorsFail>> {
    settle: A,
    shared: Arc<Shared>,
}

/// The service of [`ThrottleLayer`].
#[derive(Clone, Debug)]
pub struct Throttle<S, A> {
    inner: S,
    settle: A,
    shared: Arc<Shared>,
}

/// A live view of a [`ThrottleLayer`].
#[derive(Clone, Debug)]
pub struct ThrottleHandle {
    shared: Arc<Shared>,
}

/// A call that is not over; the service accepted it unless it says otherwise.
#[derive(Debug)]
pub struct Throttled {
    // None: it is over.
    shared: Option<Arc<Shared>>,
}

#[derive(Clone, Debug)]
struct Shared {
    config: ThrottleConfig,
    accepts: Arc<Accepts>,
    listener: Listener<ThrottleEvent>,
}

pin_project! {
    /// The future of [`Throttle`]. Dropping it drops the inner one.
    #[derive(Debug)]
    pub struct ThrottleFuture<F, A> {
        #[pin]
        inner: Option<F>,
        call: Option<(A, Throttled)>,
    }
}

// === impl ThrottleConfig ===

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            k: 2.0,
            window: Duration::from_secs(120),
            max_probability: 0.9,
            minimum_number_of_calls: 20,
            count_failures: false,
        }
    }
}

fn is_k(k: &f64, (): &()) -> garde::Result {
    if (1.0..=10.0).contains(k) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{k} as K: expected 1 to 10")))
    }
}

fn is_probability(probability: &f64, (): &()) -> garde::Result {
    if (0.0..1.0).contains(probability) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{probability} as a probability: expected 0 to below 1")))
    }
}

fn is_window(window: &Duration, (): &()) -> garde::Result {
    if (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(window) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{window:?} as a window: expected 1s to 1h")))
    }
}

// === impl ThrottleLayer ===

impl ThrottleLayer {
    /// The layer with these settings; all its services, and those of its clones, count together.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn new(config: &ThrottleConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        let accepts = Arc::new(Accepts::new(config.window));
        let shared = Shared { config: config.clone(), accepts, listener: Listener::none() };
        Ok(Self { settle: AtAnswer(ErrorsFail), shared: Arc::new(shared) })
    }
}

impl<A> ThrottleLayer<A> {
    /// What says that the service did not accept a call, where the call ends with its answer.
    pub fn judge<J>(self, judge: J) -> ThrottleLayer<AtAnswer<J>> {
        self.settle(AtAnswer(judge))
    }

    /// When a call ends, and what says that the service did not accept it.
    pub fn settle<B>(self, settle: B) -> ThrottleLayer<B> {
        ThrottleLayer { settle, shared: self.shared }
    }

    /// Tells of every call that is refused. Runs inside the call, on its task.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&ThrottleEvent) + Send + Sync + 'static) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.listener = shared.listener.clone().and(listener);
        self
    }

    /// A live view.
    pub fn handle(&self) -> ThrottleHandle {
        ThrottleHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, A: Clone> Layer<S> for ThrottleLayer<A> {
    type Service = Throttle<S, A>;

    fn layer(&self, inner: S) -> Throttle<S, A> {
        Throttle { inner, settle: self.settle.clone(), shared: Arc::clone(&self.shared) }
    }
}

// === impl Throttle ===

impl<S, A, Req> Service<Req> for Throttle<S, A>
where
    S: Service<Req, Error: CallFailure> + Clone,
    A: Settle<S::Response, S::Error> + Clone,
{
    type Response = A::Answer<Throttled>;
    type Error = S::Error;
    type Future = ThrottleFuture<S::Future, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let probability = self.shared.accepts.requested(&self.shared.config, Instant::now());
        if probability > 0.0 && rand::rng().random::<f64>() < probability {
            // Nobody will call the instance that was made ready: what it reserved goes with it.
            drop(mainstay_core::take_ready(&mut self.inner));
            self.shared.listener.tell(|| ThrottleEvent::Throttled(probability));
            return ThrottleFuture { inner: None, call: None };
        }
        let throttled = Throttled { shared: Some(Arc::clone(&self.shared)) };
        let call = Some((self.settle.clone(), throttled));
        ThrottleFuture { inner: Some(self.inner.call(request)), call }
    }
}

// === impl ThrottleFuture ===

impl<F, A, Res, E> Future for ThrottleFuture<F, A>
where
    F: Future<Output = Result<Res, E>>,
    A: Settle<Res, E>,
    E: CallFailure,
{
    type Output = Result<A::Answer<Throttled>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let text = "the service refuses so many calls that this one was not sent";
            return Poll::Ready(Err(Rejection::new(Reason::Overloaded, text).into()));
        };
        let result = ready!(inner.poll(cx));
        let (settle, throttled) = this.call.take().expect("a future is not polled after it is ready");
        Poll::Ready(settle.settle(result, throttled))
    }
}

// === impl Throttled ===

impl Done for Throttled {
    fn done(mut self, verdict: Verdict) {
        let Some(shared) = self.shared.take() else { return };
        let refused = match verdict {
            Verdict::Overloaded { .. } => true,
            Verdict::Failure => shared.config.count_failures,
            Verdict::Success | Verdict::Ignored => false,
        };
        if !refused {
            shared.accepts.accepted(Instant::now());
        }
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.accepts.accepted(Instant::now());
        }
    }
}

// === impl ThrottleHandle ===

impl ThrottleHandle {
    /// The probability with which the next call is refused, 0 to 1.
    pub fn rejection_probability(&self) -> f64 {
        self.shared.accepts.probability(&self.shared.config, Instant::now())
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
