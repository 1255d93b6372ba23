//! What each key has used, in a fixed amount of memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many keys share a lock, and compete for room.
const WAYS: usize = 8;

type Set = [Slot; WAYS];

/// A table of sets; a key's set is named by its lowest bits.
#[derive(Debug)]
pub(super) struct Table {
    sets: Box<[Mutex<Set>]>,
}

// An empty slot is one of the key 0 that has used nothing: it need not be told apart.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    used_until: u64,
}

/// A key's place while it is decided on.
#[derive(Debug)]
pub(super) struct Held<'a> {
    set: MutexGuard<'a, Set>,
    place: usize,
    key: u64,
}

impl Table {
    pub(super) fn new(max_keys: u32) -> Self {
        let sets = (max_keys as usize).div_ceil(WAYS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// The key's place, or, where it has none, the place of the key that has used least, with what that one has used.
    pub(super) fn lock(&self, key: u64) -> Held<'_> {
        let set = usize::try_from(key % self.sets.len() as u64).expect("below the number of sets");
        let set = &self.sets[set];
        // Nothing panics while it is locked; if anything did, numbers would still be numbers.
        let set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|slot| slot.key == key);
        let place = known.unwrap_or_else(|| {
            (1..WAYS).fold(0, |least, at| if set[at].used_until < set[least].used_until { at } else { least })
        });
        Held { set, place, key }
    }
}

impl Held<'_> {
    pub(super) fn used_until(&self) -> u64 {
        self.set[self.place].used_until
    }

    /// Only what is recorded takes the place: a refused newcomer drives nobody out.
    pub(super) fn record(&mut self, used_until: u64) {
        self.set[self.place] = Slot { key: self.key, used_until };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Table;
    use crate::rate_limit::gcra::Quota;

    #[test]
    fn a_hot_key_is_not_reset_by_a_flood_of_others() {
        let quota = Quota::new(NonZeroU32::new(5).unwrap(), Duration::from_secs(60));
        let table = Table::new(8);
        let call = |key| {
            let mut held = table.lock(key);
            let admitted = quota.admit(held.used_until(), 0);
            admitted.map(|until| held.record(until)).is_ok()
        };
        assert_eq!((0..10).filter(|_| call(7)).count(), 5);
        for other in 100..10_000 {
            call(other);
        }
        assert!(!call(7), "the flood has bought the hot key another quota");
    }

    #[test]
    fn a_key_that_has_used_nothing_recently_gives_its_place_up_for_nothing() {
        let quota = Quota::new(NonZeroU32::new(1).unwrap(), Duration::from_secs(1));
        let table = Table::new(8);
        for round in 0..100_u64 {
            for key in 0..8 {
                let mut held = table.lock(round * 8 + key);
                let until = quota.admit(held.used_until(), round * 1_000_000_000).unwrap();
                held.record(until);
            }
        }
    }

    proptest! {
        #[test]
        fn however_small_the_table_no_key_gets_more_than_with_unbounded_memory_and_no_fewer_where_all_fit(
            calls in proptest::collection::vec((0_u64..40, 0_u64..2_000_000_000), 1..400),
        ) {
            let quota = Quota::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(9));
            let (small, large) = (Table::new(8), Table::new(1_024));
            let mut exact: HashMap<u64, u64> = HashMap::new();
            let mut admitted: HashMap<u64, Vec<u64>> = HashMap::new();
            let mut now = 0;
            for (key, gap) in calls {
                now += gap;
                let naive = exact.entry(key).or_default();
                let expected = quota.admit(*naive, now);
                let mut held = large.lock(key);
                prop_assert_eq!(quota.admit(held.used_until(), now), expected);
                if let Ok(until) = expected {
                    *naive = until;
                    held.record(until);
                }
                let mut held = small.lock(key);
                if let Ok(until) = quota.admit(held.used_until(), now) {
                    held.record(until);
                    admitted.entry(key).or_default().push(now);
                }
            }
            // What the small table let through of each key, a bucket of its own would have let through as well.
            for times in admitted.values() {
                let mut used_until = 0;
                for now in times {
                    used_until = quota.admit(used_until, *now).expect("more than the quota was let through");
                }
            }
        }
    }
}
