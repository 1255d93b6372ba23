//! So many places and a bounded queue for them: the limit, what is in flight and who waits are one atomic number.
//!
//! While nobody waits, entering and leaving are one compare-and-swap each. A place that is given back while somebody waits
//! is handed to the first in the queue without ever being free, so nobody overtakes. The queue is under a lock, of which
//! calls that find a place know nothing; nobody is woken while it is held.
//!
//! tokio's semaphore is not used: it would have to be told of lowered limits, hands a place on without asking for the limit when
//! a waiter leaves, and knows a waiter only from its first poll on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mainstay_core::{Deadline, ambient};
use tokio::sync::oneshot;
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
    queue: Mutex<Queue>,
}

/// Those that wait, in their order. While it is locked there are as many as are counted.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    next_number: u64,
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

/// One place in the queue, left on drop. As a future it is the place that it is handed.
#[derive(Debug)]
pub(crate) struct Waiter<T: HasPlaces> {
    // None: it has become a permit.
    shared: Option<Arc<T>>,
    number: u64,
    handed_over: oneshot::Receiver<()>,
}

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
            queue: Mutex::default(),
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
        while self.count().hand_over().is_some() {
            let mut queue = self.lock();
            let first = self.update(Count::hand_over).and_then(|_| queue.waiting.pop_front());
            drop(queue);
            hand_over_to(first);
        }
    }

    fn give_back(&self) {
        if self.update(Count::leave).is_some() {
            return;
        }
        let mut queue = self.lock();
        let passed_on = |count: Count| Count { waiting: count.waiting - 1, ..count };
        // The queue may have emptied while this waited for the lock.
        let before = self.update(|count| Some(count.leave().unwrap_or_else(|| passed_on(count))));
        let is_passed_on = before.is_some_and(|before| before.leave().is_none());
        let first = if is_passed_on { queue.waiting.pop_front() } else { None };
        drop(queue);
        hand_over_to(first);
    }

    /// A call leaves the queue, or was handed a place that it has not taken.
    fn leave_queue(&self, number: u64) {
        let mut queue = self.lock();
        if let Ok(index) = queue.waiting.binary_search_by_key(&number, |(number, _)| *number) {
            let left = queue.waiting.remove(index);
            self.update(|count| Some(Count { waiting: count.waiting - 1, ..count }));
            drop(queue);
            drop(left);
        } else {
            drop(queue);
            self.give_back();
        }
    }

    /// Only the number itself is shared: no other memory depends on its order.
    fn update(&self, change: impl Fn(Count) -> Option<Count>) -> Option<Count> {
        let change = |word| change(Count::unpack(word)).map(Count::pack);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).ok().map(Count::unpack)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never called while the queue is locked: the waker may be anybody's. A waiter that is gone gives the place back itself.
fn hand_over_to(waiter: Option<(u64, oneshot::Sender<()>)>) {
    if let Some((_, waiter)) = waiter {
        waiter.send(()).ok();
    }
}

// === impl Entry ===

impl<T: HasPlaces> Entry<T> {
    /// Takes a place, or one in the queue.
    pub(crate) fn of(shared: &Arc<T>) -> Self {
        let places = shared.places();
        if places.update(Count::enter).is_some() {
            return Self::Free(Permit(Arc::clone(shared)));
        }
        let enter_or_queue = |count: Count| count.enter().or_else(|| count.queue(places.most_waiting));
        // Who is refused takes no lock.
        if enter_or_queue(places.count()).is_none() {
            return Self::Full;
        }
        let mut queue = places.lock();
        match places.update(enter_or_queue) {
            None => Self::Full,
            Some(before) if before.enter().is_some() => Self::Free(Permit(Arc::clone(shared))),
            Some(_) => {
                let (number, handed_over) = queue.join();
                Self::Queued(Waiter { shared: Some(Arc::clone(shared)), number, handed_over })
            }
        }
    }
}

// === impl Queue ===

impl Queue {
    fn join(&mut self) -> (u64, oneshot::Receiver<()>) {
        let number = self.next_number;
        self.next_number += 1;
        let (hand_over, handed_over) = oneshot::channel();
        self.waiting.push_back((number, hand_over));
        (number, handed_over)
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
    /// Waits for a place, until `ends` at the latest; `None`: there was none until then.
    pub(crate) async fn turn(self, ends: Option<Instant>) -> Option<Permit<T>> {
        match ends {
            None => Some(self.await),
            Some(ends) => timeout_at(ends, self).await.ok(),
        }
    }
}

impl<T: HasPlaces> Future for Waiter<T> {
    type Output = Permit<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit<T>> {
        ready!(Pin::new(&mut self.handed_over).poll(cx))
            .expect("who is taken out of the queue is handed a place");
        Poll::Ready(Permit(self.shared.take().expect("a future is not polled after its end")))
    }
}

impl<T: HasPlaces> Drop for Waiter<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.places().leave_queue(self.number);
        }
    }
}

#[cfg(test)]
mod tests;
