//! A bucket for each key, in bounded memory.

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::Quota;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

use super::bucket::{Ask, Buckets, Limiter};

/// Each key's calls are counted by themselves. See [`RateLimitLayer::keyed`](super::RateLimitLayer::keyed).
pub struct BucketPerKey<K, F>
where
    K: Clone + Eq + Hash,
{
    limiter: Limiter<K, Table<K>>,
    key: F,
}

/// The buckets of the keys that are remembered.
struct Table<K> {
    most: usize,
    // Held while governor decides about one bucket, and now and then to forget an eighth of them.
    buckets: Mutex<Remembered<K>>,
}

/// When each key's bucket will be full again.
///
/// Forgetting never grants: a key that is not known has a bucket like the fullest that was forgotten would have left it.
/// That is a full one, as long as only those are forgotten that are full again, which go first.
struct Remembered<K> {
    full_at: HashMap<K, Nanos>,
    forgotten: Nanos,
}

// === impl BucketPerKey ===

impl<K, F> BucketPerKey<K, F>
where
    K: Clone + Eq + Hash,
{
    pub(super) fn new(quota: Quota, most: NonZeroUsize, key: F) -> Self {
        let buckets = Mutex::new(Remembered { full_at: HashMap::new(), forgotten: Nanos::default() });
        Self { limiter: Limiter::new(quota, Table { most: most.get(), buckets }), key }
    }

    pub(super) fn keys(&self) -> usize {
        self.limiter.keys()
    }
}

impl<K, F, Req> Buckets<Req> for BucketPerKey<K, F>
where
    K: Clone + Eq + Hash,
    F: Fn(&Req) -> K,
{
    fn take(&self, request: &Req, at_most: Duration) -> Result<Duration, Duration> {
        self.limiter.take((self.key)(request), at_most)
    }
}

impl<K, F> Debug for BucketPerKey<K, F>
where
    K: Clone + Eq + Hash,
{
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketPerKey").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

// === impl Table ===

impl<K> Table<K> {
    fn lock(&self) -> MutexGuard<'_, Remembered<K>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> StateStore for Table<K> {
    type Key = Ask<K>;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask<K>, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut buckets = self.lock();
        if let Some(full_at) = buckets.full_at.get_mut(&ask.key) {
            let (allowed, now_full_at) = ask.decide(Some(*full_at), decide)?;
            *full_at = now_full_at;
            return Ok(allowed);
        }
        let (allowed, full_at) = ask.decide(Some(buckets.forgotten), decide)?;
        if buckets.full_at.len() >= self.most {
            buckets.forget_some();
        }
        buckets.full_at.insert(ask.key.clone(), full_at);
        Ok(allowed)
    }
}

impl<K: Clone + Eq + Hash> ShrinkableKeyedStateStore<Ask<K>> for Table<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.lock().full_at.retain(|_, full_at| *full_at > drop_below);
    }

    fn len(&self) -> usize {
        self.lock().full_at.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// === impl Remembered ===

impl<K: Eq + Hash> Remembered<K> {
    /// Forgets an eighth, and one at least: those that are full again first, then those that will be soonest.
    ///
    /// Looks at all of them, so that only every so many new keys pay for it.
    fn forget_some(&mut self) {
        let mut ends: Vec<Nanos> = self.full_at.values().copied().collect();
        let (_, last, _) = ends.select_nth_unstable(self.full_at.len() / 8);
        let last = *last;
        self.full_at.retain(|_, full_at| *full_at > last);
        self.forgotten = self.forgotten.max(last);
    }
}
