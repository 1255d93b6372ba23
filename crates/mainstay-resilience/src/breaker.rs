//! A service that fails is left alone for a while: a circuit breaker with Resilience4j's states, windows and words.
//!
//! ```
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::breaker::{BreakerConfig, BreakerLayer, SlidingWindow, State};
//! use mainstay_resilience::typed::TypedLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let config = BreakerConfig {
//!     sliding_window: SlidingWindow::Calls(10),
//!     minimum_number_of_calls: 5,
//!     ..BreakerConfig::default()
//! };
//! let breaker = BreakerLayer::new(&config)?;
//! let handle = breaker.handle();
//! let fails = service_fn(async |_: String| Err::<String, _>(std::io::Error::other("broken")));
//! let client = ServiceBuilder::new().layer(breaker).layer(TypedLayer::new()).service(fails);
//!
//! for _ in 0..5 {
//!     client.clone().oneshot("call".to_owned()).await.unwrap_err();
//! }
//! assert_eq!(handle.state(), State::Open);
//! let refused: CallError<std::io::Error> = client.oneshot("call".to_owned()).await.unwrap_err();
//! assert_eq!(refused.to_string(), "the circuit of this service is open");
//! # Ok::<(), garde::Report>(())
//! # }).unwrap();
//! ```
//!
//! The circuit opens when, of the calls in its [window](SlidingWindow), too many failed or were slow. An open one refuses every call; when its
//! time is over it is half-open: a few calls pass, and their rates decide whether it closes or opens again. What is a failure is said
//! by the judge ([`ErrorsFail`] by default), and when a call has ended by [`Settle`]; it is slow by the time until its answer.
//!
//! Where it differs from Resilience4j, on purpose:
//!
//! - A result counts only in the state that let its call through; later it is counted as [stale](BreakerMetrics::stale_results).
//! - Time is monotonic. A clock that is set changes nothing.
//! - A half-open circuit does not wait for ever for calls that hang ([`WhenStuck`]).
//! - A call whose caller goes away never closes a circuit, and gives its place back ([`AbandonedCalls`]).
//! - A service can be given its calls back in steps ([`RecoveryConfig`]), so that what has just come up is not knocked down again.
//! - The open time is jittered, and may be asked for by the service ([`OnRetryAfter`]).
//! - An open circuit refuses before the inner service is asked whether it is ready, and refuses in the call: readiness does not fail.
//!
//! Stands inside the retry, outside of the limits of an attempt. Refuses with [`Reason::Unavailable`] and the time that is left. Dropping the
//! future, or the answer that carries the call on, says that the call was abandoned.
//!
//! A closed circuit takes no lock and allocates nothing. It reads the clock twice if it looks for slow calls, once at the end if its window
//! is one of time, else never. A count window costs three atomic changes a call; its rate is exact whenever no other call is being
//! recorded at the same moment, and off by no more than those otherwise. A transition allocates the next state's window.

mod admitted;
mod circuit;
mod config;
mod event;
mod future;
mod handle;
mod keyed;
mod probation;
mod recovery;
mod window;

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};

use garde::Validate;
use mainstay_core::call::{AtAnswer, CallFailure, ErrorsFail, Settle};
use mainstay_core::{Reason, Rejection};
use rand::RngExt as _;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

pub use admitted::Admitted;
pub use config::{AbandonedCalls, BreakerConfig, OnRetryAfter, RecoveryConfig, SlidingWindow, WhenStuck};
pub use event::{BreakerEvent, BreakerMetrics, IllegalTransition, State};
pub use future::BreakerFuture;
pub use handle::BreakerHandle;
pub use keyed::{KeyOf, KeyedBreaker, KeyedBreakerHandle, KeyedBreakerLayer};

use crate::events::Listener;
use circuit::{Circuit, NotPermitted, World};

/// Refuses calls of a service that fails. See the [module](self).
#[derive(Clone, Debug)]
pub struct BreakerLayer<A = AtAnswer<ErrorsFail>> {
    settle: A,
    config: Arc<BreakerConfig>,
    listener: Listener<BreakerEvent>,
    circuit: Arc<Circuit>,
}

/// The service of [`BreakerLayer`].
#[derive(Debug)]
pub struct Breaker<S, A> {
    inner: S,
    settle: A,
    config: Arc<BreakerConfig>,
    circuit: Arc<Circuit>,
    // Whether the inner service was polled ready: an open circuit does not ask it.
    is_ready: bool,
}

/// Tokio's clock and the thread's generator.
#[derive(Clone, Copy, Debug)]
struct Outside;

// === impl BreakerLayer ===

impl BreakerLayer {
    /// The layer with these settings, closed; all its services, and those of its clones, share one circuit.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn new(config: &BreakerConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        let (config, listener) = (Arc::new(config.clone()), Listener::none());
        let circuit = Arc::new(Circuit::new(Arc::clone(&config), listener.clone()));
        Ok(Self { settle: AtAnswer(ErrorsFail), config, listener, circuit })
    }
}

impl<A> BreakerLayer<A> {
    /// What counts as a failure, where a call ends with its answer.
    pub fn judge<J>(self, judge: J) -> BreakerLayer<AtAnswer<J>> {
        self.settle(AtAnswer(judge))
    }

    /// When a call ends, and what counts as a failure.
    pub fn settle<B>(self, settle: B) -> BreakerLayer<B> {
        let Self { config, listener, circuit, .. } = self;
        BreakerLayer { settle, config, listener, circuit }
    }

    /// Tells of everything that the circuit does. Runs inside the call, on its task, and may ask the handle. Begins a new circuit: give
    /// listeners before handles are taken.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&BreakerEvent) + Send + Sync + 'static) -> Self {
        self.listener = self.listener.and(listener);
        self.circuit = Arc::new(Circuit::new(Arc::clone(&self.config), self.listener.clone()));
        self
    }

    /// One circuit for each key of a request, such as its origin, instead of one for all: at most `capacity` are kept.
    pub fn keyed<F, K>(self, capacity: NonZeroU32, key_of: F) -> KeyedBreakerLayer<A, F, K>
    where
        K: Clone + Eq + Hash,
    {
        KeyedBreakerLayer::new(self.settle, self.config, self.listener, capacity, key_of)
    }

    /// A live view of the circuit, and control over it.
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle::new(Arc::clone(&self.circuit))
    }
}

impl<S, A: Clone> Layer<S> for BreakerLayer<A> {
    type Service = Breaker<S, A>;

    fn layer(&self, inner: S) -> Breaker<S, A> {
        Breaker {
            inner,
            settle: self.settle.clone(),
            config: Arc::clone(&self.config),
            circuit: Arc::clone(&self.circuit),
            is_ready: false,
        }
    }
}

// === impl Breaker ===

/// The clone is not ready, whatever the original is.
impl<S: Clone, A: Clone> Clone for Breaker<S, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settle: self.settle.clone(),
            config: Arc::clone(&self.config),
            circuit: Arc::clone(&self.circuit),
            is_ready: false,
        }
    }
}

impl<S, A, Req> Service<Req> for Breaker<S, A>
where
    S: Service<Req, Error: CallFailure> + Clone,
    A: Settle<S::Response, S::Error> + Clone,
{
    type Response = A::Answer<Admitted>;
    type Error = S::Error;
    type Future = BreakerFuture<S, A, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if !self.is_ready && self.circuit.is_shut(&Outside) {
            return Poll::Ready(Ok(()));
        }
        let polled = self.inner.poll_ready(cx);
        self.is_ready = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let is_ready = std::mem::take(&mut self.is_ready);
        let admission = match self.circuit.admit(&Outside) {
            Ok(admission) => admission,
            Err(refused) => {
                if is_ready {
                    // Nobody will call the instance that was made ready: what it reserved goes with it.
                    drop(mainstay_core::take_ready(&mut self.inner));
                }
                return BreakerFuture::refused(rejection(refused));
            }
        };
        // Made before the inner service is called: if that panics, the call was abandoned.
        let admitted = Admitted::new(Arc::clone(&self.circuit), admission, &self.config);
        let settle = self.settle.clone();
        if is_ready {
            BreakerFuture::calling(self.inner.call(request), settle, admitted)
        } else {
            // It was open a moment ago, so the inner service was not asked.
            BreakerFuture::waiting(self.inner.clone(), request, settle, admitted)
        }
    }
}

/// Allocates nothing.
fn rejection(refused: NotPermitted) -> Rejection {
    let rejection = Rejection::new(Reason::Unavailable, "the circuit of this service is open");
    match refused.retry_after {
        Some(retry_after) => rejection.with_retry_after(retry_after),
        None => rejection,
    }
}

// === impl Outside ===

impl World for Outside {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&self) -> f64 {
        rand::rng().random()
    }
}

#[cfg(test)]
mod tests;
