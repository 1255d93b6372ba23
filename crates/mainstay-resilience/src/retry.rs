//! A call that failed is sent again, when that may help, is allowed, and comes in time.
//!
//! ```
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::{retry::{RetryConfig, RetryLayer}, typed::TypedLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use std::sync::atomic::{AtomicU32, Ordering};
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//!
//! # static CALLS: AtomicU32 = AtomicU32::new(0);
//! let flaky = service_fn(async |word: String| match CALLS.fetch_add(1, Ordering::Relaxed) {
//!     0 => Err(std::io::Error::other("connection reset")),
//!     _ => Ok(word.len()),
//! });
//! let retry = RetryLayer::new(&RetryConfig::default())?;
//! let client = ServiceBuilder::new().layer(retry).layer(TypedLayer::new()).service(flaky);
//! assert_eq!(client.oneshot("hello".to_owned()).await.unwrap(), 5);
//! # Ok::<(), garde::Report>(())
//! # }).unwrap();
//! ```
//!
//! Which calls may be sent twice, and which results ask for it, is said by [`Repeat`]: [`RepeatErrors`] where no protocol is known. What is
//! [refused](CallFailure::was_refused) by a layer further in is not sent again; an attempt that ran out of time is, if the call has not. The wait is drawn by the [back-off](BackoffConfig); what the service [hints](mainstay_core::call::Hint) is waited for, with up to a
//! tenth more (a second at most), and no wait reaches beyond the [deadline](mainstay_core::ambient::deadline) of the current call: then
//! the result at hand is the caller's at once. So it is when the [`Budget`] is spent. The layer has no error of its own.
//!
//! Stands inside of what bounds and accounts for a whole call (timeout, throttle), outside of what belongs to one attempt (breaker,
//! bulkhead, the attempt's timeout). A failed result is dropped before the wait, so that its connection is free; nothing of the service
//! is held ready while a call waits, and each attempt polls it ready anew. The current [context](mainstay_core::ambient) is that of
//! whoever polls the future. Dropping the future drops the attempt that is under way, and gives back what was withdrawn for one that
//! was not sent.
//!
//! The first attempt allocates nothing but what [`Repeat::again`] copies, which is nothing for a call that is not repeated; such a
//! call's future is the service's own.

mod backoff;
mod config;
mod decide;
mod event;
mod future;
mod rules;

use std::sync::Arc;
use std::task::{Context, Poll};

use garde::Validate;
use mainstay_core::call::{CallFailure, Repeat};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

pub use backoff::{Backoff, BackoffConfig, Jitter};
pub use config::{LongerHint, RetryConfig};
pub use event::{Because, RetryCounts, RetryEvent};
pub use future::RetryFuture;
pub use rules::RepeatErrors;

use crate::budget::Budget;
use crate::events::Listener;
use event::Counters;

/// Sends failed calls again. See the [module](self).
#[derive(Clone, Debug)]
pub struct RetryLayer<P = RepeatErrors> {
    rules: P,
    shared: Arc<Shared>,
}

/// The service of [`RetryLayer`].
#[derive(Clone, Debug)]
pub struct Retry<S, P> {
    inner: S,
    rules: P,
    shared: Arc<Shared>,
}

/// A live view of a [`RetryLayer`].
#[derive(Clone, Debug)]
pub struct RetryHandle {
    shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    config: RetryConfig,
    budget: Budget,
    listener: Listener<RetryEvent>,
    counters: Arc<Counters>,
}

// === impl RetryLayer ===

impl RetryLayer {
    /// The layer with these settings and a [`Budget`] of its own; all its services, and those of its clones, share it.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn new(config: &RetryConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        let budget = Budget::new(&config.budget)?;
        let shared =
            Shared { config: config.clone(), budget, listener: Listener::none(), counters: Arc::default() };
        Ok(Self { rules: RepeatErrors, shared: Arc::new(shared) })
    }
}

impl<P> RetryLayer<P> {
    /// By which rules calls are repeated, instead of [`RepeatErrors`].
    pub fn rules<Q>(self, rules: Q) -> RetryLayer<Q> {
        RetryLayer { rules, shared: self.shared }
    }

    /// Pays from this budget, which others may share, instead of the layer's own.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        Arc::make_mut(&mut self.shared).budget = budget;
        self
    }

    /// Tells of every call that is sent again or given up. Runs inside the call, on its task.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&RetryEvent) + Send + Sync + 'static) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.listener = shared.listener.clone().and(listener);
        self
    }

    /// What has happened so far, for metrics and tests.
    pub fn handle(&self) -> RetryHandle {
        RetryHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Retry<S, P> {
        Retry { inner, rules: self.rules.clone(), shared: Arc::clone(&self.shared) }
    }
}

// === impl Retry ===

impl<S, P, Req> Service<Req> for Retry<S, P>
where
    S: Service<Req, Error: CallFailure> + Clone,
    P: Repeat<Req, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RetryFuture<S, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let config = &self.shared.config;
        let may_repeat =
            config.max_attempts > 1 && (config.repeat_repetitions || !self.rules.is_repetition(&request));
        let again = if may_repeat { self.rules.again(&request) } else { None };
        let Some(again) = again else {
            if config.max_attempts > 1 {
                // Calls that are never sent twice are traffic too: the share is one of all calls.
                self.shared.budget.deposit(Instant::now());
            }
            return RetryFuture::once(self.inner.call(request));
        };
        self.rules.number(&mut request, 1);
        // The instance that was polled ready makes the first attempt; the clone is polled ready before it makes another.
        let spare = self.inner.clone();
        let attempt = self.inner.call(request);
        RetryFuture::repeating(attempt, spare, again, self.rules.clone(), Arc::clone(&self.shared))
    }
}

// === impl RetryHandle ===

impl RetryHandle {
    /// How often what has happened.
    pub fn counts(&self) -> RetryCounts {
        self.shared.counters.read()
    }

    /// The budget that extra attempts are paid from.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }
}

#[cfg(test)]
mod tests;
