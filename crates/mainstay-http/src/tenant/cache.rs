//! What was found out a short time ago: a bounded map whose entries go in the order in which they came.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_core::TenantId;

/// The longest principal that is remembered, in bytes, so that the number of entries bounds the memory too.
const LONGEST_PRINCIPAL: usize = 256;

/// What is asked about: a tenant, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) tenant: TenantId,
    pub(super) principal: Option<Arc<str>>,
}

/// Values by the hash of their key. The key is compared too: two with one hash push each other out and are never confused.
///
/// All entries live equally long, so the oldest is the first to expire, and a queue is all the order that is needed.
#[derive(Debug)]
pub(super) struct Cache<V> {
    entries: HashMap<u64, Entry<V>>,
    oldest_first: VecDeque<(u64, Instant)>,
    most: usize,
    fresh_for: Duration,
}

#[derive(Debug)]
struct Entry<V> {
    key: Key,
    value: V,
    since: Instant,
}

impl Key {
    pub(super) fn is(&self, tenant: &str, principal: Option<&str>) -> bool {
        self.tenant.as_str() == tenant && self.principal.as_deref() == principal
    }
}

impl<V> Cache<V> {
    pub(super) fn new(most: usize, fresh_for: Duration) -> Self {
        Self { entries: HashMap::new(), oldest_first: VecDeque::new(), most, fresh_for }
    }

    /// The value and its tenant, if it is still fresh.
    pub(super) fn find(
        &self,
        hash: u64,
        tenant: &str,
        principal: Option<&str>,
        now: Instant,
    ) -> Option<(&TenantId, &V)> {
        let entry = self.entries.get(&hash).filter(|entry| entry.key.is(tenant, principal))?;
        self.is_fresh(entry.since, now).then_some((&entry.key.tenant, &entry.value))
    }

    /// Remembers the value, and forgets what is stale, and as many of the oldest as are too many.
    pub(super) fn insert(&mut self, hash: u64, key: Key, value: V, now: Instant) {
        let is_too_long = key.principal.as_ref().is_some_and(|name| name.len() > LONGEST_PRINCIPAL);
        if is_too_long || self.fresh_for.is_zero() {
            return;
        }
        // Each entry has at least one place in the queue, so a bound on the queue bounds both.
        while let Some((hash, since)) = self.oldest_first.front().copied() {
            if self.is_fresh(since, now) && self.oldest_first.len() < self.most {
                break;
            }
            self.oldest_first.pop_front();
            // An entry that was written again has a later place too.
            if self.entries.get(&hash).is_some_and(|entry| entry.since == since) {
                self.entries.remove(&hash);
            }
        }
        self.oldest_first.push_back((hash, now));
        self.entries.insert(hash, Entry { key, value, since: now });
    }

    fn is_fresh(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.fresh_for
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert!(self.entries.len() <= self.oldest_first.len(), "an entry without a place never goes");
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mainstay_core::TenantId;
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any};
    use proptest::{prop_assert, prop_assert_eq, proptest};
    use tokio::time::Instant;

    use super::{Cache, Key};

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: u64) -> Key {
        Key { tenant: TenantId::parse(&format!("t{number}")).unwrap(), principal: None }
    }

    #[test]
    fn an_entry_is_found_until_it_is_stale() {
        let mut cache = Cache::new(10, SECOND);
        let now = Instant::now().into_std();
        cache.insert(1, key(1), "one", now);
        assert_eq!(cache.find(1, "t1", None, now + SECOND / 2).map(|(_, value)| *value), Some("one"));
        assert!(cache.find(1, "t1", None, now + SECOND).is_none());
        assert!(cache.find(1, "t2", None, now).is_none(), "another tenant with the same hash");
        assert!(cache.find(1, "t1", Some("alice"), now).is_none(), "the same tenant for somebody");
        assert!(cache.find(1, "t1", None, now - SECOND).is_some(), "a clock that was read a little earlier");
    }

    #[test]
    fn what_may_not_be_remembered_is_not() {
        let now = Instant::now().into_std();
        let mut forgetful = Cache::new(10, Duration::ZERO);
        forgetful.insert(1, key(1), (), now);
        assert_eq!(forgetful.len(), 0);

        let mut cache = Cache::new(10, Duration::MAX);
        cache.insert(1, Key { principal: Some("a".repeat(257).into()), ..key(1) }, (), now);
        assert_eq!(cache.len(), 0);
        cache.insert(1, Key { principal: Some("a".repeat(256).into()), ..key(1) }, (), now);
        assert_eq!(cache.len(), 1);
    }

    fn step() -> impl Strategy<Value = (u64, u32)> {
        (0_u64..8, any::<u8>().prop_map(u32::from))
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_never_returns_what_is_stale_or_not_the_last_written(steps in vec(step(), 0..200)) {
            let mut cache = Cache::new(4, SECOND);
            let mut now = Instant::now().into_std();
            let mut written = [None; 8];
            for (count, (number, millis)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(u64::from(millis));
                let place = usize::try_from(number).unwrap();
                cache.insert(number, key(number), count, now);
                written[place] = Some((count, now));
                prop_assert!(cache.len() <= 4 && cache.oldest_first.len() <= 4);
                // What was just written is always there.
                let name = format!("t{number}");
                prop_assert!(cache.find(number, &name, None, now).is_some());
                for other in 0..8_u64 {
                    if let Some((_, found)) = cache.find(other, &format!("t{other}"), None, now) {
                        let (count, since) = written[usize::try_from(other).unwrap()].unwrap();
                        prop_assert_eq!(*found, count);
                        prop_assert!(now - since < SECOND);
                    }
                }
            }
        }
    }
}
