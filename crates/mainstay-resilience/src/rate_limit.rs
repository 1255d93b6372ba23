//! So many calls in a time.
//!
//! ```
//! # use std::num::NonZeroU32;
//! # use std::time::Duration;
//! use mainstay_core::call::CallError;
//! use mainstay_resilience::rate_limit::{RateLimitConfig, RateLimitLayer};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let config = RateLimitConfig {
//!     quota: NonZeroU32::new(50).expect("50 is not 0"),
//!     window: Duration::from_secs(1),
//!     max_wait: Duration::from_millis(200),
//!     ..RateLimitConfig::default()
//! };
//! let client = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(&config)?)
//!     .service_fn(async |name: String| Ok::<_, CallError<std::fmt::Error>>(format!("hello {name}")));
//! assert_eq!(client.oneshot("you".to_owned()).await.as_deref(), Ok("hello you"));
//! # Ok::<(), garde::Report>(())
//! # }).unwrap();
//! ```
//!
//! A client that keeps to the rate that its service allows is not told so by 429. The calls are counted in a bucket of
//! [`burst`](RateLimitConfig::burst) calls, which refills evenly (the generic cell rate algorithm, through [`governor`]):
//! the whole bucket may be used at once, and then comes back call by call. [`keyed`](RateLimitLayer::keyed) has a bucket
//! for each key, such as the host or the tenant.
//!
//! A call that finds the bucket empty is refused, or waits if its time comes within
//! [`max_wait`](RateLimitConfig::max_wait) and before the [deadline](mainstay_core::ambient::deadline) of the current
//! call. Each call that waits has a time of its own, which is taken from the bucket ahead: they go one by one in the
//! order in which they came, and do not wake up together to race for one call. Timers are exact to the millisecond, so
//! with more than a thousand calls a second some go together. While it waits, the inner service is not kept ready.
//!
//! Stands inside the retry: each attempt is a call. Refuses with [`Reason::RateLimited`], in the call's future, what was
//! never sent; `retry_after` is the exact time until there is a call, never zero, which edges round up to whole seconds.
//! Dropping the future drops the inner one; what the call took from the bucket is not given back, also when it still
//! waited for its time.
//!
//! One clock reading and one compare-and-swap a call, with keys one short lock and what making the key takes; nothing is
//! allocated, but one box for a call that waits, and what remembers a new key.

mod bucket;
mod config;
mod keyed;

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use garde::Validate;
use governor::Quota;
use mainstay_core::call::CallFailure;
use mainstay_core::{Reason, Rejection, ambient, take_ready};
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

pub use self::bucket::{Buckets, OneBucket};
pub use self::config::RateLimitConfig;
pub use self::keyed::BucketPerKey;

use crate::bulkhead::passage::{Passage, call_in_turn};
use crate::events::Listener;

/// Limits how often a service is called. See the [module](self).
pub struct RateLimitLayer<B = OneBucket> {
    shared: Arc<Shared<B>>,
    quota: Quota,
    max_wait: Duration,
    listener: Listener<RateLimitEvent>,
}

/// The service of [`RateLimitLayer`].
pub struct RateLimit<S, B = OneBucket> {
    inner: S,
    layer: RateLimitLayer<B>,
}

/// A live view of a [`RateLimitLayer`].
pub struct RateLimitHandle<B = OneBucket> {
    shared: Arc<Shared<B>>,
}

/// What a rate limit did with a call. A call that finds the bucket filled makes no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimitEvent {
    /// A call waits for its time.
    Delayed {
        /// How long it is until then.
        wait: Duration,
    },
    /// A call was refused.
    Refused {
        /// How long it is until a call can be sent.
        retry_after: Duration,
    },
}

#[derive(Debug)]
struct Shared<B> {
    buckets: B,
    waiting: AtomicU64,
    refused: AtomicU64,
}

/// A call that waits, counted until this is dropped.
struct Waiting<B>(Arc<Shared<B>>);

pin_project! {
    /// The future of [`RateLimit`]. Dropping it drops the inner one; a call that still waited for its time has used it up.
    #[derive(Debug)]
    pub struct RateLimitFuture<F, E> {
        #[pin]
        passage: Passage<F, (), E>,
    }
}

// === impl RateLimitLayer ===

impl RateLimitLayer {
    /// The layer with these settings; all its services, and those of its clones, share one bucket.
    ///
    /// # Errors
    ///
    /// A setting is out of its range, for example a window of zero.
    pub fn new(config: &RateLimitConfig) -> Result<Self, garde::Report> {
        config.validate()?;
        Ok(Self::of(config))
    }

    fn of(config: &RateLimitConfig) -> Self {
        let quota = config.quota();
        Self {
            shared: Shared::new(OneBucket::new(quota)),
            quota,
            max_wait: config.max_wait,
            listener: Listener::none(),
        }
    }

    /// Counts the calls of each key by themselves, and remembers at most so many keys.
    ///
    /// Where one more would be too many, an eighth of them is forgotten: those first whose buckets are full again, which
    /// loses nothing, then those that would be soonest. **Forgetting never grants**: a key that is not known begins with
    /// what the emptiest forgotten bucket had left. So however many keys there are, none is called more often than the
    /// quota allows; with too small a table, new ones are called less often. A key that is remembered costs its own size
    /// and some 20 bytes.
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// # use mainstay_resilience::rate_limit::RateLimitLayer;
    /// # struct Call { host: String }
    /// # let thousand = NonZeroUsize::new(1000).expect("1000 is not 0");
    /// let layer = RateLimitLayer::default().keyed(thousand, |call: &Call| call.host.clone());
    /// assert_eq!(layer.handle().keys(), 0);
    /// ```
    ///
    /// The buckets begin anew: take a [`handle`](Self::handle) after this.
    pub fn keyed<Req, K, F>(self, most_keys: NonZeroUsize, key: F) -> RateLimitLayer<BucketPerKey<K, F>>
    where
        K: Clone + Eq + Hash,
        F: Fn(&Req) -> K,
    {
        RateLimitLayer {
            shared: Shared::new(BucketPerKey::new(self.quota, most_keys, key)),
            quota: self.quota,
            max_wait: self.max_wait,
            listener: self.listener,
        }
    }
}

impl Default for RateLimitLayer {
    fn default() -> Self {
        Self::of(&RateLimitConfig::default())
    }
}

impl<B> RateLimitLayer<B> {
    /// Tells this of what happens, after those that were named before.
    #[must_use]
    pub fn on_event(self, listener: impl Fn(&RateLimitEvent) + Send + Sync + 'static) -> Self {
        Self { listener: self.listener.and(listener), ..self }
    }

    /// What is going on right now, for metrics and tests.
    pub fn handle(&self) -> RateLimitHandle<B> {
        RateLimitHandle { shared: Arc::clone(&self.shared) }
    }

    /// Takes a call from the request's bucket: now, or as far ahead as the call can wait.
    fn take<Req>(&self, request: &Req) -> Result<Duration, Duration>
    where
        B: Buckets<Req>,
    {
        self.shared.buckets.take(request, Duration::ZERO).or_else(|wait| {
            let mut at_most = self.max_wait;
            if let Some(deadline) = ambient::deadline() {
                // What is sent at the deadline is sent for nobody.
                let left = deadline.remaining(Instant::now().into_std());
                at_most = at_most.min(left.saturating_sub(Duration::from_nanos(1)));
            }
            if at_most < wait { Err(wait) } else { self.shared.buckets.take(request, at_most) }
        })
    }
}

impl<S, B> Layer<S> for RateLimitLayer<B> {
    type Service = RateLimit<S, B>;

    fn layer(&self, inner: S) -> RateLimit<S, B> {
        RateLimit { inner, layer: self.clone() }
    }
}

impl<B> Clone for RateLimitLayer<B> {
    fn clone(&self) -> Self {
        let (shared, listener) = (Arc::clone(&self.shared), self.listener.clone());
        Self { shared, quota: self.quota, max_wait: self.max_wait, listener }
    }
}

impl<B: fmt::Debug> fmt::Debug for RateLimitLayer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut layer = f.debug_struct("RateLimitLayer");
        layer.field("buckets", &self.shared.buckets).field("quota", &self.quota);
        layer.field("max_wait", &self.max_wait).field("listener", &self.listener).finish()
    }
}

// === impl RateLimit ===

impl<S, B, Req> Service<Req> for RateLimit<S, B>
where
    S: Service<Req, Error: CallFailure> + Clone + Send + 'static,
    Req: Send + 'static,
    B: Buckets<Req> + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RateLimitFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let passage = match self.layer.take(&request) {
            Ok(Duration::ZERO) => Passage::Running { inner: self.inner.call(request), held: Some(()) },
            Ok(wait) => {
                let time = Instant::now() + wait;
                self.layer.listener.tell(|| RateLimitEvent::Delayed { wait });
                // What the instance that was made ready holds is for others until this call's time has come.
                drop(take_ready(&mut self.inner));
                let waiting = Waiting::of(&self.layer.shared);
                let turn = async move {
                    sleep_until(time).await;
                    drop(waiting);
                    Ok(())
                };
                Passage::Waiting { turn: Box::pin(call_in_turn(self.inner.clone(), request, turn, |()| ())) }
            }
            Err(retry_after) => {
                drop(take_ready(&mut self.inner));
                self.layer.shared.refused.fetch_add(1, Ordering::Relaxed);
                self.layer.listener.tell(|| RateLimitEvent::Refused { retry_after });
                let rejection =
                    Rejection::new(Reason::RateLimited, "the quota of calls to the service is used up");
                Passage::refused(rejection.with_retry_after(retry_after))
            }
        };
        RateLimitFuture { passage }
    }
}

impl<S: Clone, B> Clone for RateLimit<S, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, B: fmt::Debug> fmt::Debug for RateLimit<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

// === impl RateLimitFuture ===

impl<F, Res, E> Future for RateLimitFuture<F, E>
where
    F: Future<Output = Result<Res, E>>,
    E: CallFailure,
{
    type Output = Result<Res, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (result, ()) = ready!(self.project().passage.poll_result(cx))?;
        Poll::Ready(result)
    }
}

// === impl RateLimitHandle ===

impl<B> RateLimitHandle<B> {
    /// How many calls wait for their time right now.
    pub fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// How many calls were refused so far.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl<K, F> RateLimitHandle<BucketPerKey<K, F>>
where
    K: Clone + Eq + Hash,
{
    /// How many keys are remembered right now.
    pub fn keys(&self) -> usize {
        self.shared.buckets.keys()
    }
}

impl<B> Clone for RateLimitHandle<B> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<B: fmt::Debug> fmt::Debug for RateLimitHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitHandle").field("shared", &self.shared).finish()
    }
}

// === impl Shared ===

impl<B> Shared<B> {
    fn new(buckets: B) -> Arc<Self> {
        Arc::new(Self { buckets, waiting: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }
}

impl<B> Waiting<B> {
    fn of(shared: &Arc<Shared<B>>) -> Self {
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl<B> Drop for Waiting<B> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
