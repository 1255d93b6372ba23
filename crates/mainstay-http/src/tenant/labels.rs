//! A bound on how many tenants become labels of metrics.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use mainstay_core::TenantId;

/// The label of every tenant that has none of its own: no tenant's name, which begins with a letter or digit.
pub(super) const OTHER: &str = "_other";

/// Gives the first tenants their own name as a label, and all later ones `_other`, so that metrics stay few.
///
/// ```
/// use mainstay_core::TenantId;
/// use mainstay_http::tenant::TenantLabels;
///
/// let labels = TenantLabels::new(1);
/// let (acme, globex) = (TenantId::parse("acme")?, TenantId::parse("globex")?);
/// assert_eq!((labels.label(&acme), labels.label(&globex)), ("acme", "_other"));
/// assert_eq!(labels.label(&acme), "acme");
/// # Ok::<(), mainstay_core::InvalidTenantId>(())
/// ```
///
/// A tenant that has a label keeps it: nothing is ever taken back. Reading takes no lock and allocates nothing. Clones share
/// the labels. Ask only for tenants that were decided to be served: each that is asked for may take a place.
#[derive(Clone, Debug)]
pub struct TenantLabels(Arc<Table>);

/// Open addressing with linear probing. Slots fill and never empty, so a reader stops at the first empty one; there are at
/// least twice as many slots as names, so it always finds one.
#[derive(Debug)]
struct Table {
    slots: Box<[OnceLock<TenantId>]>,
    hasher: RandomState,
    most: usize,
    taken: AtomicUsize,
}

impl TenantLabels {
    /// Labels for so many tenants; with 0, every tenant's is `_other`.
    pub fn new(most: usize) -> Self {
        let slots = most.saturating_mul(2).next_power_of_two();
        Self(Arc::new(Table {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            hasher: RandomState::new(),
            most,
            taken: AtomicUsize::new(0),
        }))
    }

    /// The tenant's label: its name, if it has a place or one is left, else `_other`.
    pub fn label<'a>(&self, tenant: &'a TenantId) -> &'a str {
        if self.0.admits(tenant) { tenant.as_str() } else { OTHER }
    }
}

impl Table {
    fn admits(&self, tenant: &TenantId) -> bool {
        let mut has_place = false;
        for slot in self.probe(tenant) {
            if slot.get().is_none() {
                // The place is taken before the slot is filled, so that there are never more names than places.
                has_place = has_place || self.take_place();
                if !has_place {
                    return false;
                }
                if slot.set(tenant.clone()).is_ok() {
                    return true;
                }
            }
            // Filled before, or by another thread just now.
            if slot.get() == Some(tenant) {
                if has_place {
                    self.taken.fetch_sub(1, Ordering::Relaxed);
                }
                return true;
            }
        }
        false
    }

    /// Every slot once, from the tenant's own one on.
    fn probe(&self, tenant: &TenantId) -> impl Iterator<Item = &OnceLock<TenantId>> {
        // A power of two; only the low bits of the hash count.
        let mask = self.slots.len() - 1;
        let bytes = self.hasher.hash_one(tenant).to_ne_bytes();
        let start = usize::from_ne_bytes(std::array::from_fn(|at| bytes[at])) & mask;
        let (wrapped, first) = self.slots.split_at(start);
        first.iter().chain(wrapped)
    }

    fn take_place(&self) -> bool {
        let next = |taken| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

    use mainstay_core::TenantId;

    use super::{OTHER, TenantLabels};

    fn tenant(number: usize) -> TenantId {
        TenantId::parse(&format!("tenant-{number}")).unwrap()
    }

    #[test]
    fn the_first_keep_their_names_and_all_others_share_one() {
        let labels = TenantLabels::new(3);
        for _ in 0..2 {
            for number in 0..100 {
                let tenant = tenant(number);
                let expected = if number < 3 { tenant.as_str() } else { OTHER };
                assert_eq!(labels.label(&tenant), expected);
            }
        }
        assert_eq!(labels.clone().label(&tenant(3)), OTHER, "clones share the labels");
        assert_eq!(TenantLabels::new(0).label(&tenant(0)), OTHER);
        assert!(TenantId::parse(OTHER).is_err(), "a tenant of that name would be counted with the others");
    }

    #[test]
    fn threads_that_race_for_the_last_places_never_make_more_labels_than_allowed() {
        for _ in 0..50 {
            let labels = TenantLabels::new(8);
            let barrier = Barrier::new(4);
            let seen: BTreeSet<String> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            (0..20).map(|number| labels.label(&tenant(number)).to_owned()).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            assert!(seen.len() <= 9, "{seen:?}");
            // What the race has left of the places is there for whoever comes next.
            let named = (0..20).filter(|number| labels.label(&tenant(*number)) != OTHER).count();
            assert_eq!(named, 8);
        }
    }
}
