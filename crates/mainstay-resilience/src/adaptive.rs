//! As many calls at once as the service can take, found out by measuring.
//!
//! ```
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::adaptive::{AdaptiveLimitConfig, AdaptiveLimitLayer, Algorithm, VegasConfig};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let algorithm = Algorithm::Vegas(VegasConfig::default());
//! let layer = AdaptiveLimitLayer::new(&AdaptiveLimitConfig { algorithm, ..AdaptiveLimitConfig::default() })?
//!     .on_event(|event| drop(format!("{event:?}")));
//! let limit = layer.handle();
//! let client = ServiceBuilder::new()
//!     .layer(layer)
//!     .service_fn(async |name: String| Ok::<_, CallError<std::fmt::Error>>(format!("hello {name}")));
//! assert_eq!(client.oneshot("you".to_owned()).await.as_deref(), Ok("hello you"));
//! assert_eq!((limit.in_flight(), limit.limit()), (0, 20));
//! # Ok::<(), garde::Report>(())
//! # }).unwrap();
//! ```
//!
//! It is a [bulkhead](crate::bulkhead) whose limit moves, and queues, refuses and counts like one. What moves the limit,
//! at the end of each call:
//!
//! | the call | says to the algorithm |
//! |---|---|
//! | succeeded | how long it took, from the call to the answer |
//! | was refused as [overloaded](Verdict::Overloaded) | a drop |
//! | ended in [`Reason::DeadlineExceeded`], a time-out further in | a drop |
//! | was abandoned past its [deadline](mainstay_core::ambient::deadline), or after [`timeout`](AdaptiveLimitConfig::timeout) | a drop: a time-out further out |
//! | was abandoned before | nothing: callers that leave must not shrink the limit |
//! | failed otherwise | what [`failures`](AdaptiveLimitConfig::failures) says; nothing by default |
//! | is of no [account](Verdict::Ignored) | nothing |
//!
//! The verdict is that of [`Settle`]: [`ErrorsFail`] sees no overload in an answer, a protocol's judge does. The place of
//! a call is held until `Settle` says that it is over; its time is counted to the answer.
//!
//! The algorithms, their formulas and their defaults are those of Netflix's
//! [concurrency-limits](https://github.com/Netflix/concurrency-limits), except that a drop is never measured as an answer:
//! a quick refusal must not make the service seem quick. With the defaults [`Aimd`](Algorithm::Aimd) and
//! [`Gradient2`](Algorithm::Gradient2) never go below 20.
//!
//! **Give calls a deadline.** Where a service is always full and no call is ever dropped, slowness that lasts is taken
//! for the service's nature: by `Gradient2`, whose long average follows it, and by [`Vegas`](Algorithm::Vegas), which
//! measures its baseline anew under whatever load there is. Callers that give up are what brings the limit back.
//!
//! Stands inside the retry and outside what it protects. Refuses with [`Reason::Overloaded`], in the call's future, what
//! was never sent. Dropping the future gives its place to the next. Two readings of the clock a call and one short lock
//! at its end, for the algorithm's few numbers; nothing is allocated, but for a call that waits.

mod aimd;
mod algorithm;
mod config;
mod flight;
mod gradient2;
mod vegas;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use garde::Validate;
#[cfg(doc)]
use mainstay_core::call::Verdict;
use mainstay_core::call::{AtAnswer, CallFailure, ErrorsFail, Settle};
use mainstay_core::{Reason, take_ready};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub use self::config::{AdaptiveLimitConfig, AimdConfig, Algorithm, Failures, Gradient2Config, VegasConfig};
pub use self::flight::AdaptivePermit;

use self::flight::Shared;
use crate::bulkhead::passage::{Passage, Wait, call_in_turn, no_place, turn};
use crate::bulkhead::places::Entry;
use crate::events::Listener;

/// Lets as many calls run at once as the service can take. See the [module](self).
#[derive(Clone, Debug)]
pub struct AdaptiveLimitLayer<A = AtAnswer<ErrorsFail>> {
    shared: Arc<Shared>,
    max_wait: Option<Duration>,
    listener: Listener<AdaptiveLimitEvent>,
    settle: A,
}

/// The service of [`AdaptiveLimitLayer`].
#[derive(Clone, Debug)]
pub struct AdaptiveLimit<S, A = AtAnswer<ErrorsFail>> {
    inner: S,
    layer: AdaptiveLimitLayer<A>,
}

/// A live view of an [`AdaptiveLimitLayer`].
#[derive(Clone, Debug)]
pub struct AdaptiveLimitHandle {
    shared: Arc<Shared>,
}

/// What an adaptive limit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdaptiveLimitEvent {
    /// The limit is another one.
    LimitChanged {
        /// What it was.
        from: u32,
        /// What it is.
        to: u32,
    },
    /// A call found no place and waits for one.
    Queued,
    /// A call that waited has a place.
    Dequeued {
        /// How long it waited.
        waited: Duration,
    },
    /// A call was refused.
    Refused {
        /// How long it waited for a place; zero: there was no room to wait.
        waited: Duration,
    },
}

pin_project! {
    /// The future of [`AdaptiveLimit`]. Dropping it drops the inner one and gives its place back, or leaves the queue.
    #[derive(Debug)]
    pub struct AdaptiveLimitFuture<F, E, A = AtAnswer<ErrorsFail>> {
        #[pin]
        passage: Passage<F, AdaptivePermit, E>,
        settle: A,
    }
}

// === impl AdaptiveLimitLayer ===

impl AdaptiveLimitLayer {
    /// The layer with these settings; all its services, and those of its clones, share one limit.
    ///
    /// # Errors
    ///
    /// A setting is out of its range, for example `initial` below `min`.
    pub fn new(config: &AdaptiveLimitConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self::of(config))
    }

    fn of(config: &AdaptiveLimitConfig) -> Self {
        Self {
            shared: Arc::new(Shared::new(config)),
            max_wait: config.max_wait,
            listener: Listener::none(),
            settle: AtAnswer(ErrorsFail),
        }
    }
}

impl Default for AdaptiveLimitLayer {
    fn default() -> Self {
        Self::of(&AdaptiveLimitConfig::default())
    }
}

impl<A> AdaptiveLimitLayer<A> {
    /// Says when a call is over, gives its place back and judges it; at the answer, by [`ErrorsFail`], by default.
    pub fn settle<B>(self, settle: B) -> AdaptiveLimitLayer<B> {
        AdaptiveLimitLayer { shared: self.shared, max_wait: self.max_wait, listener: self.listener, settle }
    }

    /// Tells this of what happens, after those that were named before.
    #[must_use]
    pub fn on_event(self, listener: impl Fn(&AdaptiveLimitEvent) + Send + Sync + 'static) -> Self {
        Self { listener: self.listener.and(listener), ..self }
    }

    /// What is going on right now, for metrics and tests.
    pub fn handle(&self) -> AdaptiveLimitHandle {
        AdaptiveLimitHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, A: Clone> Layer<S> for AdaptiveLimitLayer<A> {
    type Service = AdaptiveLimit<S, A>;

    fn layer(&self, inner: S) -> AdaptiveLimit<S, A> {
        AdaptiveLimit { inner, layer: self.clone() }
    }
}

// === impl AdaptiveLimit ===

impl<S, A, Req> Service<Req> for AdaptiveLimit<S, A>
where
    S: Service<Req, Error: CallFailure> + Clone + Send + 'static,
    Req: Send + 'static,
    A: Settle<S::Response, S::Error> + Clone,
{
    type Response = A::Answer<AdaptivePermit>;
    type Error = S::Error;
    type Future = AdaptiveLimitFuture<S::Future, S::Error, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let listener = self.layer.listener.clone();
        let passage = match Entry::of(&self.layer.shared) {
            Entry::Free(place) => {
                let held = Some(AdaptivePermit::begin(place, listener));
                Passage::Running { inner: self.inner.call(request), held }
            }
            Entry::Queued(waiter) => {
                // What the instance that was made ready holds is for others until this call's turn has come.
                drop(take_ready(&mut self.inner));
                let turn = turn(waiter, self.layer.max_wait, listener.clone());
                let begin = |place| AdaptivePermit::begin(place, listener);
                Passage::Waiting { turn: Box::pin(call_in_turn(self.inner.clone(), request, turn, begin)) }
            }
            Entry::Full => {
                drop(take_ready(&mut self.inner));
                listener.tell(|| Wait::Refused { waited: Duration::ZERO }.into());
                Passage::refused(no_place())
            }
        };
        AdaptiveLimitFuture { passage, settle: self.layer.settle.clone() }
    }
}

// === impl AdaptiveLimitFuture ===

impl<F, Res, E, A> Future for AdaptiveLimitFuture<F, E, A>
where
    F: Future<Output = Result<Res, E>>,
    E: CallFailure,
    A: Settle<Res, E>,
{
    type Output = Result<A::Answer<AdaptivePermit>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (result, mut held) = ready!(this.passage.poll_result(cx))?;
        let rejection = result.as_ref().err().and_then(CallFailure::rejection);
        held.answered(rejection.is_some_and(|rejection| rejection.reason == Reason::DeadlineExceeded));
        Poll::Ready(this.settle.settle(result, held))
    }
}

// === impl AdaptiveLimitHandle ===

impl AdaptiveLimitHandle {
    /// The most calls at once right now.
    pub fn limit(&self) -> u32 {
        self.shared.places.count().limit
    }

    /// How many calls have a place right now; more than the [limit](Self::limit) only after that has fallen.
    pub fn in_flight(&self) -> u32 {
        self.shared.places.count().in_flight
    }

    /// How many calls wait for a place right now.
    pub fn waiting(&self) -> u32 {
        self.shared.places.count().waiting
    }
}

// === impl AdaptiveLimitEvent ===

impl From<Wait> for AdaptiveLimitEvent {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Queued => Self::Queued,
            Wait::Dequeued { waited } => Self::Dequeued { waited },
            Wait::Refused { waited } => Self::Refused { waited },
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
