//! So many calls at once, and perhaps so many waiting.
//!
//! ```
//! # use std::num::NonZeroU32;
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::bulkhead::{BulkheadConfig, BulkheadLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let config = BulkheadConfig { max_waiting: 10, ..BulkheadConfig::default() };
//! let layer = BulkheadLayer::new(&config)?;
//! let bulkhead = layer.handle();
//! let client = ServiceBuilder::new()
//!     .layer(layer)
//!     .service_fn(async |name: String| Ok::<_, CallError<std::fmt::Error>>(format!("hello {name}")));
//! assert_eq!(client.oneshot("you".to_owned()).await.as_deref(), Ok("hello you"));
//! assert_eq!((bulkhead.in_flight(), bulkhead.limit()), (0, 256));
//! # Ok::<(), garde::Report>(())
//! # }).unwrap();
//! ```
//!
//! How many calls a service takes has to be known for that; [`adaptive`](crate::adaptive) finds it out.
//!
//! Stands inside the retry, so that a call in its back-off takes no place, and outside what it protects. A call counts
//! from its `call` until [`Settle`] says that it is over: at the answer, or with a protocol's, at the end of the answer's
//! body. Nothing is reserved in `poll_ready`, for a call that may never come.
//!
//! Without a free place a call waits if the queue has room, for [`max_wait`](BulkheadConfig::max_wait) and never past the
//! [deadline](mainstay_core::ambient::deadline) of the current call; places are handed on in the order of the queue, and
//! nobody overtakes. While it waits, the inner service is not kept ready. Refuses with
//! [`Reason::Overloaded`](mainstay_core::Reason::Overloaded), in the call's future: at once when the queue is full, or
//! when the wait ends. What was refused was never sent. When a place becomes free is not known, so there is no
//! `retry_after`.
//!
//! Dropping the future, queued or running, gives its place to the next.
//!
//! The count is one atomic number: a call that finds a place, with or without a queue behind it, takes no lock and
//! allocates nothing, and neither does one that is refused at once. A call that waits makes two small allocations, clones
//! the service and locks the queue for a moment.

pub(crate) mod passage;
pub(crate) mod places;

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use garde::Validate;
use mainstay_core::call::{AtAnswer, CallFailure, Done, ErrorsFail, Settle, Verdict};
use mainstay_core::take_ready;
use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use self::passage::{Passage, Wait, call_in_turn, no_place, turn};
use self::places::{Entry, HasPlaces, MOST, Permit, Places};
use crate::events::Listener;

/// Settings of [`BulkheadLayer`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BulkheadConfig {
    /// The most calls at once; 1 to 2 097 151, 256 by default (Resilience4j: 25).
    #[garde(custom(is_countable))]
    pub max_concurrent: NonZeroU32,
    /// The most calls that wait for a place; up to 2 097 151, 0 by default: what finds no place is refused at once.
    #[garde(range(max = MOST))]
    pub max_waiting: u32,
    /// The longest that a call waits for a place. None by default: as long as its caller waits for it.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(skip)]
    pub max_wait: Option<Duration>,
}

/// Lets so many calls run at once. See the [module](self).
#[derive(Clone, Debug)]
pub struct BulkheadLayer<A = AtAnswer<ErrorsFail>> {
    shared: Arc<Shared>,
    max_wait: Option<Duration>,
    listener: Listener<BulkheadEvent>,
    settle: A,
}

/// The service of [`BulkheadLayer`].
#[derive(Clone, Debug)]
pub struct Bulkhead<S, A = AtAnswer<ErrorsFail>> {
    inner: S,
    layer: BulkheadLayer<A>,
}

/// A live view and control of a [`BulkheadLayer`].
#[derive(Clone, Debug)]
pub struct BulkheadHandle {
    shared: Arc<Shared>,
}

/// What a bulkhead did with a call. A call that finds a place makes no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkheadEvent {
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

/// The place of a running call, given back when the call is over or this is dropped.
#[derive(Debug)]
pub struct BulkheadPermit {
    _place: Permit<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: Places,
}

pin_project! {
    /// The future of [`Bulkhead`]. Dropping it drops the inner one and gives its place back, or leaves the queue.
    #[derive(Debug)]
    pub struct BulkheadFuture<F, E, A = AtAnswer<ErrorsFail>> {
        #[pin]
        passage: Passage<F, BulkheadPermit, E>,
        settle: A,
    }
}

// === impl BulkheadConfig ===

impl Default for BulkheadConfig {
    fn default() -> Self {
        const PLACES: NonZeroU32 = NonZeroU32::new(256).expect("256 is not 0");
        Self { max_concurrent: PLACES, max_waiting: 0, max_wait: None }
    }
}

pub(crate) fn is_countable(limit: &NonZeroU32, (): &()) -> garde::Result {
    if limit.get() <= MOST {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{limit} calls at once: expected at most {MOST}")))
    }
}

// === impl BulkheadLayer ===

impl BulkheadLayer {
    /// The layer with these settings; all its services, and those of its clones, share the places.
    ///
    /// # Errors
    ///
    /// A number is higher than can be counted.
    pub fn new(config: &BulkheadConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self::of(config))
    }

    fn of(config: &BulkheadConfig) -> Self {
        let places = Places::new(config.max_concurrent.get(), config.max_waiting);
        Self {
            shared: Arc::new(Shared { places }),
            max_wait: config.max_wait,
            listener: Listener::none(),
            settle: AtAnswer(ErrorsFail),
        }
    }
}

impl Default for BulkheadLayer {
    fn default() -> Self {
        Self::of(&BulkheadConfig::default())
    }
}

impl<A> BulkheadLayer<A> {
    /// Says when a call is over and gives its place back; at the answer by default.
    pub fn settle<B>(self, settle: B) -> BulkheadLayer<B> {
        BulkheadLayer { shared: self.shared, max_wait: self.max_wait, listener: self.listener, settle }
    }

    /// Tells this of what happens, after those that were named before.
    #[must_use]
    pub fn on_event(self, listener: impl Fn(&BulkheadEvent) + Send + Sync + 'static) -> Self {
        Self { listener: self.listener.and(listener), ..self }
    }

    /// What is going on right now, and the limit to change.
    pub fn handle(&self) -> BulkheadHandle {
        BulkheadHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, A: Clone> Layer<S> for BulkheadLayer<A> {
    type Service = Bulkhead<S, A>;

    fn layer(&self, inner: S) -> Bulkhead<S, A> {
        Bulkhead { inner, layer: self.clone() }
    }
}

// === impl Bulkhead ===

impl<S, A, Req> Service<Req> for Bulkhead<S, A>
where
    S: Service<Req, Error: CallFailure> + Clone + Send + 'static,
    Req: Send + 'static,
    A: Settle<S::Response, S::Error> + Clone,
{
    type Response = A::Answer<BulkheadPermit>;
    type Error = S::Error;
    type Future = BulkheadFuture<S::Future, S::Error, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let passage = match Entry::of(&self.layer.shared) {
            Entry::Free(place) => {
                let held = Some(BulkheadPermit { _place: place });
                Passage::Running { inner: self.inner.call(request), held }
            }
            Entry::Queued(waiter) => {
                // What the instance that was made ready holds is for others until this call's turn has come.
                drop(take_ready(&mut self.inner));
                let turn = turn(waiter, self.layer.max_wait, self.layer.listener.clone());
                let begin = |place| BulkheadPermit { _place: place };
                Passage::Waiting { turn: Box::pin(call_in_turn(self.inner.clone(), request, turn, begin)) }
            }
            Entry::Full => {
                drop(take_ready(&mut self.inner));
                self.layer.listener.tell(|| Wait::Refused { waited: Duration::ZERO }.into());
                Passage::refused(no_place())
            }
        };
        BulkheadFuture { passage, settle: self.layer.settle.clone() }
    }
}

// === impl BulkheadFuture ===

impl<F, Res, E, A> Future for BulkheadFuture<F, E, A>
where
    F: Future<Output = Result<Res, E>>,
    E: CallFailure,
    A: Settle<Res, E>,
{
    type Output = Result<A::Answer<BulkheadPermit>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (result, held) = ready!(this.passage.poll_result(cx))?;
        Poll::Ready(this.settle.settle(result, held))
    }
}

// === impl BulkheadEvent ===

impl From<Wait> for BulkheadEvent {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Queued => Self::Queued,
            Wait::Dequeued { waited } => Self::Dequeued { waited },
            Wait::Refused { waited } => Self::Refused { waited },
        }
    }
}

// === impl BulkheadPermit ===

impl Done for BulkheadPermit {
    fn done(self, _: Verdict) {}
}

impl HasPlaces for Shared {
    fn places(&self) -> &Places {
        &self.places
    }
}

// === impl BulkheadHandle ===

impl BulkheadHandle {
    /// How many calls have a place right now; more than the [limit](Self::limit) only after that was lowered.
    pub fn in_flight(&self) -> u32 {
        self.shared.places.count().in_flight
    }

    /// How many calls wait for a place right now.
    pub fn waiting(&self) -> u32 {
        self.shared.places.count().waiting
    }

    /// The most calls at once.
    pub fn limit(&self) -> u32 {
        self.shared.places.count().limit
    }

    /// Changes the most calls at once, up to 2 097 151. A higher limit serves those that wait at once; a lower one takes
    /// effect as running calls end.
    pub fn set_limit(&self, limit: NonZeroU32) {
        self.shared.places.set_limit(limit.get());
        self.shared.places.serve();
    }
}

#[cfg(test)]
mod tests;
