//! A value for each key, of which only so many are kept.
//!
//! Sixteen shards, each a table under a lock of its own that is held for one lookup, and each with its part of the capacity. What is
//! forgotten is found by the clock algorithm (second chance): a hand goes round, spares once what was used since it last came by,
//! and spares what its owner would rather keep; but it looks at no more than [`MOST_LOOKS`] values for each new key, so a flood of keys
//! costs a bounded time each and never grows the table.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;

/// How many values are looked at to find one to forget.
const MOST_LOOKS: usize = 64;

pub(crate) struct Keyed<K, V> {
    // SipHash with random keys: a stranger cannot choose keys that collide.
    hasher: RandomState,
    shards: [Mutex<Shard<K, V>>; SHARDS],
}

struct Shard<K, V> {
    capacity: usize,
    at: HashMap<K, usize>,
    kept: Vec<Kept<K, V>>,
    hand: usize,
}

struct Kept<K, V> {
    key: K,
    value: Arc<V>,
    was_used: bool,
}

impl<K: Clone + Eq + Hash, V> Keyed<K, V> {
    /// A table for so many keys, and at least sixteen.
    pub(crate) fn new(capacity: NonZeroU32) -> Self {
        let capacity = usize::try_from(capacity.get()).unwrap_or(usize::MAX);
        // The first shards have one more where the parts are not equal.
        let part = |shard: usize| (capacity / SHARDS + usize::from(shard < capacity % SHARDS)).max(1);
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|shard| Mutex::new(Shard::new(part(shard)))),
        }
    }

    /// The key's value, made now if there is none. `rather_keep` says which values are forgotten last.
    pub(crate) fn of(&self, key: &K, make: impl FnOnce() -> V, rather_keep: impl Fn(&V) -> bool) -> Arc<V> {
        let mut shard = self.shard(key);
        if let Some(at) = shard.at.get(key).copied() {
            shard.kept[at].was_used = true;
            return Arc::clone(&shard.kept[at].value);
        }
        let value = Arc::new(make());
        // Dropped after the lock is free: what a value does when it is dropped is its own.
        let forgotten = shard.insert(key.clone(), Arc::clone(&value), rather_keep);
        drop(shard);
        drop(forgotten);
        value
    }

    /// All that are kept, in no order.
    pub(crate) fn all(&self) -> Vec<(K, Arc<V>)> {
        let entries = |shard: &Mutex<Shard<K, V>>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.kept.iter().map(|kept| (kept.key.clone(), Arc::clone(&kept.value))).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(entries).collect()
    }

    /// A shard is changed in steps that do not panic half-way, so a poisoned lock holds a sound one.
    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, V>> {
        let at = self.hasher.hash_one(key) % SHARDS as u64;
        let shard = &self.shards[usize::try_from(at).expect("below sixteen")];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V> Shard<K, V> {
    fn new(capacity: usize) -> Self {
        Self { capacity, at: HashMap::new(), kept: Vec::new(), hand: 0 }
    }

    /// Returns what was forgotten for it.
    fn insert(&mut self, key: K, value: Arc<V>, rather_keep: impl Fn(&V) -> bool) -> Option<Kept<K, V>> {
        let kept = Kept { key: key.clone(), value, was_used: false };
        if self.kept.len() < self.capacity {
            self.at.insert(key, self.kept.len());
            self.kept.push(kept);
            return None;
        }
        let at = self.place_to_free(rather_keep);
        let forgotten = std::mem::replace(&mut self.kept[at], kept);
        self.at.remove(&forgotten.key);
        self.at.insert(key, at);
        Some(forgotten)
    }

    fn place_to_free(&mut self, rather_keep: impl Fn(&V) -> bool) -> usize {
        // Twice round clears every mark, so one that may go is found wherever there is one in reach.
        for _ in 0..MOST_LOOKS.min(2 * self.kept.len()) {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.kept.len();
            let kept = &mut self.kept[at];
            if !std::mem::take(&mut kept.was_used) && !rather_keep(&kept.value) {
                return at;
            }
        }
        self.hand
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use super::{Keyed, SHARDS};

    fn table(capacity: u32) -> Keyed<u32, u32> {
        Keyed::new(NonZeroU32::new(capacity).unwrap())
    }

    #[test]
    fn a_key_has_one_value_for_as_long_as_it_is_kept() {
        let table = table(100);
        let first = table.of(&7, || 1, |_| false);
        let again = table.of(&7, || unreachable!("it is there"), |_| false);
        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn a_flood_of_keys_does_not_grow_the_table_and_forgets_neither_what_is_used_nor_what_is_rather_kept() {
        let table = table(1_600);
        let (used, kept) = (table.of(&1_000_000, || 0, |_| false), table.of(&1_000_001, || 1, |_| false));
        for key in 0..100_000 {
            table.of(&key, || 0, |value| *value == 1);
            if key % 10 == 0 {
                table.of(&1_000_000, || 0, |value| *value == 1);
            }
        }
        assert!(table.all().len() <= 1_600);
        assert!(Arc::ptr_eq(&used, &table.of(&1_000_000, || 9, |_| false)));
        assert!(Arc::ptr_eq(&kept, &table.of(&1_000_001, || 9, |_| false)));
    }

    #[test]
    fn where_all_are_rather_kept_one_goes_nevertheless() {
        let table = table(16);
        (0..1_000).for_each(|key| drop(table.of(&key, || 1, |_| true)));
        assert!(table.all().len() <= SHARDS);
    }
}
