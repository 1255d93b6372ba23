//! So many places and a bounded queue for them: the limit, what is in flight and who waits are one atomic number.
//!
//! While nobody waits, entering and leaving are one compare-and-swap each. A place that is given back while somebody
//! waits is handed to the first in the queue without ever being free, so nobody overtakes. Handing over and leaving the
//! queue are done under a lock, of which calls that find a place know nothing.
//!
//! The queue itself is a [`Semaphore`] that begins without permits: each permit is one place handed over. It is asked
//! only after the number has decided that a call waits, so tokio's budget for cooperative tasks makes nobody wait who
//! need not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mainstay_core::{Deadline, ambient};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

const BITS: u32 = 21;

/// The highest limit, and the longest queue: 2 097 151.
pub(crate) const MOST: u32 = (1 << BITS) - 1;

/// What a [`Places`] says of itself at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) limit: u32,
    /// Places that are taken or handed over; above the limit only after that was lowered.
    pub(crate) in_flight: u32,
    /// Calls in the queue that have not been handed a place yet. Above zero only where no place is free.
    pub(crate) waiting: u32,
}

/// The places of one layer.
#[derive(Debug)]
pub(crate) struct Places {
    count: AtomicU64,
    most_waiting: u32,
    queue: Semaphore,
    // Held while a place is handed over and while a call leaves the queue.
    handing_over: Mutex<()>,
}

/// The state of a layer that has places, which its permits keep alive.
pub(crate) trait HasPlaces {
    fn places(&self) -> &Places;
}

/// How a call comes in.
#[derive(Debug)]
pub(crate) enum Entry<T: HasPlaces> {
    Free(Permit<T>),
    Queued(Waiter<T>),
    Full,
}

/// One place, given back on drop.
#[derive(Debug)]
pub(crate) struct Permit<T: HasPlaces>(pub(crate) Arc<T>);

/// One place in the queue, left on drop.
#[derive(Debug)]
pub(crate) struct Waiter<T: HasPlaces>(Option<Arc<T>>);

/// When a wait that begins now ends at the latest: after `max_wait`, or when the current call's caller stops waiting.
pub(crate) fn wait_ends(max_wait: Option<Duration>, now: Instant) -> Option<Instant> {
    let longest = max_wait.map(|length| Deadline::after(now.into_std(), length));
    let ends = match (longest, ambient::deadline()) {
        (Some(longest), Some(deadline)) => Some(longest.earliest(deadline)),
        (longest, deadline) => longest.or(deadline),
    };
    ends.map(|deadline| Instant::from_std(deadline.instant()))
}

// === impl Count ===

impl Count {
    const fn pack(self) -> u64 {
        (self.limit as u64) << (2 * BITS) | (self.in_flight as u64) << BITS | self.waiting as u64
    }

    #[allow(clippy::cast_possible_truncation, reason = "each number is masked to 21 bits")]
    fn unpack(word: u64) -> Self {
        let number = |shift: u32| (word >> shift) as u32 & MOST;
        Self { limit: number(2 * BITS), in_flight: number(BITS), waiting: number(0) }
    }

    const fn enter(self) -> Option<Self> {
        // Whoever waits comes first.
        if self.waiting == 0 && self.in_flight < self.limit {
            Some(Self { in_flight: self.in_flight + 1, ..self })
        } else {
            None
        }
    }

    const fn queue(self, most_waiting: u32) -> Option<Self> {
        if self.waiting < most_waiting { Some(Self { waiting: self.waiting + 1, ..self }) } else { None }
    }

    /// A place is given back and is for nobody: the queue is empty, or the limit was lowered.
    const fn leave(self) -> Option<Self> {
        if self.waiting == 0 || self.in_flight > self.limit {
            Some(Self { in_flight: self.in_flight - 1, ..self })
        } else {
            None
        }
    }

    /// A free place is the first waiter's.
    const fn hand_over(self) -> Option<Self> {
        if self.waiting > 0 && self.in_flight < self.limit {
            Some(Self { in_flight: self.in_flight + 1, waiting: self.waiting - 1, ..self })
        } else {
            None
        }
    }
}

// === impl Places ===

impl Places {
    /// `limit` is 1 to [`MOST`], `most_waiting` 0 to `MOST`; what is beyond counts as the nearer end.
    pub(crate) fn new(limit: u32, most_waiting: u32) -> Self {
        let count = Count { limit: limit.clamp(1, MOST), in_flight: 0, waiting: 0 };
        Self {
            count: AtomicU64::new(count.pack()),
            most_waiting: most_waiting.min(MOST),
            queue: Semaphore::const_new(0),
            handing_over: Mutex::new(()),
        }
    }

    pub(crate) fn count(&self) -> Count {
        Count::unpack(self.count.load(Ordering::Relaxed))
    }

    /// Changes the limit alone; [`serve`](Self::serve) must follow, outside of any lock of the caller's.
    pub(crate) fn set_limit(&self, limit: u32) {
        let limit = limit.clamp(1, MOST);
        self.update(|count| Some(Count { limit, ..count }));
    }

    /// Hands places that are free after the limit was raised to those that wait.
    pub(crate) fn serve(&self) {
        if self.count().hand_over().is_some() {
            let _handing_over = self.lock();
            while self.update(Count::hand_over).is_some() {
                self.queue.add_permits(1);
            }
        }
    }

    fn give_back(&self) {
        if self.update(Count::leave).is_some() {
            return;
        }
        let _handing_over = self.lock();
        let passed_on = |count: Count| Count { waiting: count.waiting - 1, ..count };
        // The queue may have emptied while this waited for the lock.
        let before = self.update(|count| Some(count.leave().unwrap_or_else(|| passed_on(count))));
        if before.is_some_and(|before| before.leave().is_none()) {
            self.queue.add_permits(1);
        }
    }

    /// A call leaves the queue; its hold on the semaphore is gone already, and a place that it was handed and did not
    /// take is the next one's.
    ///
    /// Under the lock, every call in the queue is either counted as waiting or has a permit in the semaphore. So whoever
    /// leaves takes one or the other with it, and it does not matter whose.
    fn leave_queue(&self) {
        let handing_over = self.lock();
        if let Ok(permit) = self.queue.try_acquire() {
            permit.forget();
            drop(handing_over);
            self.give_back();
        } else {
            self.update(|count| Some(Count { waiting: count.waiting - 1, ..count }));
        }
    }

    /// Only the number itself is shared: no other memory depends on its order.
    fn update(&self, change: impl Fn(Count) -> Option<Count>) -> Option<Count> {
        let change = |word| change(Count::unpack(word)).map(Count::pack);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).ok().map(Count::unpack)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.handing_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Entry ===

impl<T: HasPlaces> Entry<T> {
    /// Takes a place, or one in the queue.
    pub(crate) fn of(shared: &Arc<T>) -> Self {
        let places = shared.places();
        match places.update(|count| count.enter().or_else(|| count.queue(places.most_waiting))) {
            None => Self::Full,
            Some(before) if before.enter().is_some() => Self::Free(Permit(Arc::clone(shared))),
            Some(_) => Self::Queued(Waiter(Some(Arc::clone(shared)))),
        }
    }
}

// === impl Permit ===

impl<T: HasPlaces> Drop for Permit<T> {
    fn drop(&mut self) {
        self.0.places().give_back();
    }
}

// === impl Waiter ===

impl<T: HasPlaces> Waiter<T> {
    /// Waits for a place, until `ends` at the latest; `None`: there was none until then. Waiters come in the order in which they
    /// were first polled.
    pub(crate) async fn turn(self, ends: Option<Instant>) -> Option<Permit<T>> {
        match ends {
            None => Some(self.place().await),
            Some(ends) => timeout_at(ends, self.place()).await.ok(),
        }
    }

    async fn place(mut self) -> Permit<T> {
        if let Some(shared) = &self.0 {
            let handed_over = shared.places().queue.acquire().await.expect("the queue is never closed");
            handed_over.forget();
        }
        Permit(self.0.take().expect("only this and the drop after it take it"))
    }
}

impl<T: HasPlaces> Drop for Waiter<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.places().leave_queue();
        }
    }
}

#[cfg(test)]
mod tests;
