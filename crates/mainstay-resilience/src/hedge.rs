//! A call that takes longer than its like is sent a second time, and the first good answer counts.
//!
//! ```
//! use std::time::Duration;
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::{hedge::{HedgeConfig, HedgeLayer}, typed::TypedLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use std::sync::atomic::{AtomicU32, Ordering};
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//!
//! # static CALLS: AtomicU32 = AtomicU32::new(0);
//! let sometimes_slow = service_fn(async |word: String| {
//!     if CALLS.fetch_add(1, Ordering::Relaxed) == 0 {
//!         tokio::time::sleep(Duration::from_secs(3)).await;
//!     }
//!     Ok::<_, std::io::Error>(word.len())
//! });
//! let hedge = HedgeLayer::new(&HedgeConfig { delay: Some(Duration::from_millis(50)), ..HedgeConfig::default() })?;
//! let client = ServiceBuilder::new().layer(hedge).layer(TypedLayer::new()).service(sometimes_slow);
//! let started = tokio::time::Instant::now();
//! assert_eq!(client.oneshot("hello".to_owned()).await.unwrap(), 5);
//! assert_eq!(started.elapsed(), Duration::from_millis(50));
//! # Ok::<(), garde::Report>(())
//! # }).unwrap();
//! ```
//!
//! It mends slowness, not failure. The delay is a fixed one, or that within which a share of the calls of late had their answer (Dean and
//! Barroso, "The Tail at Scale", 2013); as long as too few were measured nothing is sent twice. Only calls that
//! [may be under way twice at once](Repeat::may_overlap) are. An attempt that fails while another is under way is dropped, and from then on no
//! further one is sent; the last one to fail is the caller's, and a retry around this layer decides about it. An answer that the
//! [rules](Repeat::next) return ends the call, and all other attempts of it are dropped at once: over HTTP/1 that closes their connections.
//!
//! What is measured: attempts that end with an answer that the rules return, or with [`Reason::DeadlineExceeded`](mainstay_core::Reason::DeadlineExceeded);
//! quick failures would make the service look fast. An attempt that is dropped, because another was quicker or the caller left, counts with the time
//! that it has taken so far if that is longer than the delay: it would have taken at least that long. A shorter time says nothing, and
//! is not counted; so the losers are no reason for the delay to fall.
//!
//! Each extra attempt is paid from a [`Budget`], which a retry may share, and none is sent when the call's
//! [deadline](mainstay_core::ambient::deadline) has passed. The instance that sends it is polled ready first; what that cannot do at once holds
//! nothing up. When it is refused by a layer further in, the call goes on without it.
//!
//! Stands inside of the retry, outside of what belongs to one attempt. The layer has no error of its own. Dropping the future drops all
//! attempts, and gives back what was withdrawn for one that was not sent. The first attempt allocates nothing but what
//! [`Repeat::again`] copies; each further one is boxed. Nothing is locked.

mod config;
mod event;
mod future;
mod latencies;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use garde::Validate;
use mainstay_core::call::{CallFailure, Repeat};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

pub use config::HedgeConfig;
pub use event::{HedgeCounts, HedgeEvent};
pub use future::HedgeFuture;

use crate::budget::{Budget, BudgetConfig};
use crate::events::Listener;
use crate::retry::RepeatErrors;
use event::Counters;
use latencies::Latencies;

/// Sends slow calls twice. See the [module](self).
#[derive(Clone, Debug)]
pub struct HedgeLayer<P = RepeatErrors> {
    rules: P,
    shared: Arc<Shared>,
}

/// The service of [`HedgeLayer`].
#[derive(Clone, Debug)]
pub struct Hedge<S, P> {
    inner: S,
    rules: P,
    shared: Arc<Shared>,
}

/// A live view of a [`HedgeLayer`].
#[derive(Clone, Debug)]
pub struct HedgeHandle {
    shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    max_attempts: u32,
    delay: Delay,
    budget: Budget,
    // Whether somebody else deposits the calls into the budget.
    is_filled: bool,
    listener: Listener<HedgeEvent>,
    counters: Arc<Counters>,
}

#[derive(Clone, Debug)]
enum Delay {
    Fixed(Duration),
    Measured(Arc<Latencies>),
}

// === impl HedgeLayer ===

impl HedgeLayer {
    /// The layer with these settings and a [`Budget`] of its own, with that one's defaults; all its services, and those of its clones, share
    /// it, and what they measure.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn new(config: &HedgeConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        let delay = match config.delay {
            Some(delay) => Delay::Fixed(delay),
            None => Delay::Measured(Arc::new(Latencies::new(config))),
        };
        let shared = Shared {
            max_attempts: config.max_attempts,
            delay,
            budget: Budget::new(&BudgetConfig::default())?,
            is_filled: false,
            listener: Listener::none(),
            counters: Arc::default(),
        };
        Ok(Self { rules: RepeatErrors, shared: Arc::new(shared) })
    }
}

impl<P> HedgeLayer<P> {
    /// By which rules calls are repeated, instead of [`RepeatErrors`].
    pub fn rules<Q>(self, rules: Q) -> HedgeLayer<Q> {
        HedgeLayer { rules, shared: self.shared }
    }

    /// Pays from this budget instead of the layer's own, and deposits each call into it.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        self.paying_from(budget, false)
    }

    /// Pays from this budget, into which a layer around this one deposits the same calls: a retry.
    #[must_use]
    pub fn shared_budget(self, budget: Budget) -> Self {
        self.paying_from(budget, true)
    }

    fn paying_from(mut self, budget: Budget, is_filled: bool) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        (shared.budget, shared.is_filled) = (budget, is_filled);
        self
    }

    /// Tells of every extra attempt. Runs inside the call, on its task.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&HedgeEvent) + Send + Sync + 'static) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.listener = shared.listener.clone().and(listener);
        self
    }

    /// What has happened so far, for metrics and tests.
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, P: Clone> Layer<S> for HedgeLayer<P> {
    type Service = Hedge<S, P>;

    fn layer(&self, inner: S) -> Hedge<S, P> {
        Hedge { inner, rules: self.rules.clone(), shared: Arc::clone(&self.shared) }
    }
}

// === impl Hedge ===

impl<S, P, Req> Service<Req> for Hedge<S, P>
where
    S: Service<Req, Error: CallFailure> + Clone,
    P: Repeat<Req, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = HedgeFuture<S, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if !self.shared.is_filled {
            self.shared.budget.deposit(Instant::now());
        }
        let again = if self.rules.is_repetition(&request) { None } else { self.rules.again(&request) };
        let Some(again) = again else {
            return HedgeFuture::once(self.inner.call(request));
        };
        let now = Instant::now();
        // The instance that was polled ready makes the first attempt; the clone is polled ready before it makes another.
        let spare = self.inner.clone();
        let first = self.inner.call(request);
        HedgeFuture::hedged(first, spare, again, self.rules.clone(), Arc::clone(&self.shared), now)
    }
}

// === impl HedgeHandle ===

impl HedgeHandle {
    /// How often what has happened.
    pub fn counts(&self) -> HedgeCounts {
        self.shared.counters.read()
    }

    /// After how long a call that is made now would be sent again; `None` while too few were measured.
    pub fn delay(&self) -> Option<Duration> {
        self.shared.delay.at(Instant::now())
    }

    /// The budget that extra attempts are paid from.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }
}

// === impl Delay ===

impl Delay {
    fn at(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Fixed(delay) => Some(*delay),
            Self::Measured(latencies) => latencies.delay(now),
        }
    }

    fn measured(&self, latency: Duration, now: Instant) {
        if let Self::Measured(latencies) = self {
            latencies.record(latency, now);
        }
    }
}

#[cfg(test)]
mod tests;
