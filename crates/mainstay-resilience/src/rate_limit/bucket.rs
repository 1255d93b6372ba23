//! Calls as governor counts them, on tokio's clock, and its calls that are paid ahead.

use std::fmt::{self, Debug, Formatter};
use std::hash::Hash;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// Where the calls of a rate limit are counted: in [one bucket](OneBucket), or in one [for each key](super::BucketPerKey).
pub trait Buckets<Req> {
    /// Takes one call from the request's bucket, now or ahead, but not further than `at_most`.
    ///
    /// `Ok` says how long the call has to wait for its time, which is its own. `Err` says how long until a call could be
    /// sent; it is longer than `at_most`, and nothing was taken.
    ///
    /// # Errors
    ///
    /// The call would have to wait longer.
    fn take(&self, request: &Req, at_most: Duration) -> Result<Duration, Duration>;
}

/// All calls are counted together: one atomic number, without a lock.
pub struct OneBucket(Limiter<(), Bucket>);

/// A bucket's state is one number, the time at which it will be full again ("theoretical arrival time").
#[derive(Debug, Default)]
struct Bucket(InMemoryState);

/// governor, told of what is asked for as a part of the key.
pub(super) struct Limiter<K, S>(RateLimiter<Ask<K>, S, TokioClock, NoOpMiddleware<Nanos>>)
where
    S: StateStore<Key = Ask<K>>;

/// A call of this key, to be sent so many nanoseconds from now.
///
/// The rule is the same at all times: whoever asks for a call an hour ahead asks for one now of a bucket that is full an
/// hour sooner. So a store shows the algorithm what it has, moved by `ahead`, and moves back what the algorithm makes of
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ask<K> {
    pub(super) key: K,
    ahead: u64,
}

/// Nanoseconds of tokio's clock since the limit was made.
#[derive(Debug)]
struct TokioClock {
    epoch: Instant,
}

// === impl Limiter ===

impl<K, S> Limiter<K, S>
where
    K: Clone + Eq + Hash,
    S: StateStore<Key = Ask<K>>,
{
    pub(super) fn new(quota: Quota, store: S) -> Self {
        Self(RateLimiter::new(quota, store, TokioClock { epoch: Instant::now() }))
    }

    /// As [`Buckets::take`] says: asks for a call now, and if there is none for the one that governor names, until nobody else was
    /// quicker to take it.
    pub(super) fn take(&self, key: K, at_most: Duration) -> Result<Duration, Duration> {
        let mut ask = Ask { key, ahead: 0 };
        loop {
            let Err(refused) = self.0.check_key(&ask) else { return Ok(Duration::from_nanos(ask.ahead)) };
            let further = refused.wait_time_from(self.0.clock().now());
            let wait = Duration::from_nanos(ask.ahead).saturating_add(further);
            // Never zero: if the call's time has come meanwhile, the next round takes it.
            if wait > at_most {
                return Err(wait);
            }
            ask.ahead = nanos(wait);
        }
    }
}

impl<K, S> Limiter<K, S>
where
    K: Clone + Eq + Hash,
    S: ShrinkableKeyedStateStore<Ask<K>>,
{
    pub(super) fn keys(&self) -> usize {
        self.0.len()
    }
}

impl<K: Debug, S: StateStore<Key = Ask<K>> + Debug> Debug for Limiter<K, S> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Ask ===

impl<K> Ask<K> {
    /// Decides about a bucket that is full at this time; `None`: it is full.
    pub(super) fn decide<T, E>(
        &self,
        full_at: Option<Nanos>,
        decide: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    ) -> Result<(T, Nanos), E> {
        let ahead = Nanos::from(self.ahead);
        let (allowed, full_at) = decide(full_at.map(|full_at| full_at.saturating_sub(ahead)))?;
        Ok((allowed, full_at + ahead))
    }
}

// === impl TokioClock ===

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(nanos(self.epoch.elapsed()))
    }
}

/// More than 584 years are 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

// === impl OneBucket ===

impl OneBucket {
    pub(super) fn new(quota: Quota) -> Self {
        Self(Limiter::new(quota, Bucket::default()))
    }
}

impl<Req> Buckets<Req> for OneBucket {
    fn take(&self, _: &Req, at_most: Duration) -> Result<Duration, Duration> {
        self.0.take((), at_most)
    }
}

impl StateStore for Bucket {
    type Key = Ask<()>;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask<()>, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(&NotKeyed::NonKey, |full_at| ask.decide(full_at, &decide))
    }
}

impl Debug for OneBucket {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OneBucket").field(&self.0).finish()
    }
}
