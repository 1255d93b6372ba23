//! Sums over a rolling time, in slots: no lock, one addition to the slot and one to the sum.
//!
//! Whoever finds that time has moved on empties the slots that begin, and only then shows the new time; until then the others go on
//! in the old slot, and nobody waits. Every change is made to a sum and to a slot alike, and a slot gives back what it is emptied
//! of, so a sum is that of its slots whenever nothing is under way. What somebody adds who was stopped half-way is forgotten
//! later than the rest, never twice.

use std::time::Duration;

use tokio::time::Instant;

use crate::sync::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// `WORDS` sums over the last `slots` slots of time, the current one included.
#[derive(Debug)]
pub(crate) struct Rolling<const WORDS: usize> {
    started: Instant,
    slot_nanos: u64,
    sums: [AtomicI64; WORDS],
    slots: Box<[[AtomicI64; WORDS]]>,
    // The current slot is `epoch % slots.len()`.
    epoch: AtomicU64,
    is_advancing: AtomicBool,
}

impl<const WORDS: usize> Rolling<WORDS> {
    /// Sums over `length`, forgotten in this many steps. Reads tokio's clock, and allocates the slots.
    pub(crate) fn new(length: Duration, slots: u32) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let slots = slots.max(1);
        Self {
            started: Instant::now(),
            slot_nanos: nanos.div_ceil(slots.into()).max(1),
            sums: std::array::from_fn(|_| AtomicI64::new(0)),
            slots: (0..slots).map(|_| std::array::from_fn(|_| AtomicI64::new(0))).collect(),
            epoch: AtomicU64::new(0),
            is_advancing: AtomicBool::new(false),
        }
    }

    /// Adds to each sum, and returns them as they are then.
    pub(crate) fn add(&self, amounts: [i64; WORDS], now: Instant) -> [i64; WORDS] {
        let slot = self.advance(now);
        std::array::from_fn(|word| match amounts[word] {
            0 => self.sums[word].load(Ordering::Relaxed),
            amount => {
                slot[word].fetch_add(amount, Ordering::Relaxed);
                self.sums[word].fetch_add(amount, Ordering::Relaxed) + amount
            }
        })
    }

    /// Adds to one sum.
    pub(crate) fn add_to(&self, word: usize, amount: i64, now: Instant) {
        self.advance(now)[word].fetch_add(amount, Ordering::Relaxed);
        self.sums[word].fetch_add(amount, Ordering::Relaxed);
    }

    /// Subtracts `amount` from one sum if that leaves at least `least`: in one step, so that no two spend the same.
    pub(crate) fn take(&self, word: usize, amount: i64, least: i64, now: Instant) -> bool {
        let slot = self.advance(now);
        let less = |sum: i64| (sum - amount >= least).then(|| sum - amount);
        if self.sums[word].fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            return false;
        }
        slot[word].fetch_sub(amount, Ordering::Relaxed);
        true
    }

    /// The sums as they are now.
    pub(crate) fn sums(&self, now: Instant) -> [i64; WORDS] {
        self.advance(now);
        std::array::from_fn(|word| self.sums[word].load(Ordering::Relaxed))
    }

    /// The slot of this instant, after what is older than all slots was forgotten. A clock that steps back stays in the slot.
    fn advance(&self, now: Instant) -> &[AtomicI64; WORDS] {
        let nanos = u64::try_from(now.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        let target = nanos / self.slot_nanos;
        let epoch = self.epoch.load(Ordering::Acquire);
        if target > epoch && !self.is_advancing.swap(true, Ordering::Acquire) {
            let epoch = self.epoch.load(Ordering::Relaxed);
            for beginning in (epoch + 1..=target).take(self.slots.len()) {
                for (word, amount) in self.slot(beginning).iter().enumerate() {
                    // The sum first: what is forgotten must not be spent in between.
                    let forgotten = amount.load(Ordering::Relaxed);
                    self.sums[word].fetch_sub(forgotten, Ordering::Relaxed);
                    amount.fetch_sub(forgotten, Ordering::Relaxed);
                }
            }
            self.epoch.store(target.max(epoch), Ordering::Release);
            self.is_advancing.store(false, Ordering::Release);
        }
        self.slot(self.epoch.load(Ordering::Acquire))
    }

    fn slot(&self, epoch: u64) -> &[AtomicI64; WORDS] {
        let slots = u64::try_from(self.slots.len()).expect("as many as a u32 counts");
        &self.slots[usize::try_from(epoch % slots).expect("fewer than there are slots")]
    }

    /// What the slots hold in sum, for tests.
    #[cfg(test)]
    pub(crate) fn sums_of_slots(&self) -> [i64; WORDS] {
        std::array::from_fn(|word| self.slots.iter().map(|slot| slot[word].load(Ordering::SeqCst)).sum())
    }

    /// When the time of the sums began, for tests.
    #[cfg(test)]
    pub(crate) const fn started(&self) -> Instant {
        self.started
    }
}
