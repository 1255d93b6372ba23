//! The calls that a rate is taken of: the last so many, or those of so long a time.

use std::time::Duration;

use tokio::time::Instant;

use super::config::SlidingWindow;
use crate::rolling::Rolling;
use crate::sync::{AtomicU8, AtomicU64, Ordering};

/// What one call was, as a window sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// How many of the calls in a window were what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
}

/// The calls of one generation of a circuit; another generation has another window, so nothing late can get into it.
#[derive(Debug)]
pub(super) enum Window {
    Calls(CountWindow),
    Time(Rolling<3>),
}

/// Exactly the last N calls. A call is written by a swap that gives back the one it displaces, and their difference is added to the
/// tally: so the tally is the sum of the slots whenever no call is being recorded, and off by no more than the calls that are.
#[derive(Debug)]
pub(super) struct CountWindow {
    slots: Box<[AtomicU8]>,
    next: AtomicU64,
    tally: AtomicU64,
}

// === impl Window ===

impl Window {
    pub(super) fn new(window: SlidingWindow) -> Self {
        match window {
            SlidingWindow::Calls(size) => Self::Calls(CountWindow::new(size)),
            SlidingWindow::Time(length) => Self::Time(Rolling::new(length, steps(length))),
        }
    }

    /// The tally with this call, as far as it is known: a count window that other threads are in the midst of changing may
    /// have none, and the last of them sees it whole.
    pub(super) fn record(&self, seen: Seen, now: impl FnOnce() -> Instant) -> Option<Tally> {
        match self {
            Self::Calls(window) => window.record(seen),
            Self::Time(window) => {
                Some(tally(window.add([1, i64::from(seen.failed), i64::from(seen.slow)], now())))
            }
        }
    }

    pub(super) fn tally(&self, now: impl FnOnce() -> Instant) -> Tally {
        match self {
            Self::Calls(window) => Tally::of_word(window.tally.load(Ordering::Relaxed)),
            Self::Time(window) => tally(window.sums(now())),
        }
    }
}

/// Seconds, as Resilience4j; tenths of what is shorter than ten of them.
fn steps(length: Duration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(u32::MAX).max(10)
}

fn tally([calls, failed, slow]: [i64; 3]) -> Tally {
    // Below zero only while another thread is between its two additions.
    let count = |sum: i64| u64::try_from(sum).unwrap_or(0);
    Tally { calls: count(calls), failed: count(failed), slow: count(slow) }
}

// === impl CountWindow ===

impl CountWindow {
    fn new(size: u32) -> Self {
        let slots = (0..size.max(1)).map(|_| AtomicU8::new(0)).collect();
        Self { slots, next: AtomicU64::new(0), tally: AtomicU64::new(0) }
    }

    fn record(&self, seen: Seen) -> Option<Tally> {
        let size = u64::try_from(self.slots.len()).expect("as many as a u32 counts");
        let at = self.next.fetch_add(1, Ordering::Relaxed) % size;
        let slot = &self.slots[usize::try_from(at).expect("below the number of slots")];
        let displaced = slot.swap(code_of(seen), Ordering::Relaxed);
        let change = word_of(code_of(seen)).wrapping_sub(word_of(displaced));
        let sum = self.tally.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        let tally = Tally::of_word(sum);
        // A thread that displaced a call whose own thread has not added it yet subtracts it too early: then the fields may have
        // borrowed from each other, and mean nothing until that other thread has added.
        (tally.calls <= size && tally.failed <= tally.calls && tally.slow <= tally.calls).then_some(tally)
    }

    /// What the slots hold, for tests.
    #[cfg(test)]
    pub(super) fn tally_of_slots(&self) -> Tally {
        Tally::of_word(self.slots.iter().map(|slot| word_of(slot.load(Ordering::SeqCst))).sum())
    }
}

/// A slot's content: 0 is empty.
const fn code_of(seen: Seen) -> u8 {
    1 | (seen.failed as u8) << 1 | (seen.slow as u8) << 2
}

fn word_of(code: u8) -> u64 {
    let bit = |at: u32| u64::from(code >> at & 1);
    bit(0) | bit(1) << Tally::BITS | bit(2) << (2 * Tally::BITS)
}

// === impl Tally ===

impl Tally {
    /// Three counts in one word: of at most a million calls each.
    const BITS: u32 = 21;

    /// What one call adds to a word.
    pub(super) fn word(seen: Seen) -> u64 {
        word_of(code_of(seen))
    }

    pub(super) const fn of_word(word: u64) -> Self {
        let mask = (1 << Self::BITS) - 1;
        Self { calls: word & mask, failed: word >> Self::BITS & mask, slow: word >> (2 * Self::BITS) & mask }
    }

    /// The part that failed and the part that was slow, in percent, if there are enough calls.
    pub(super) fn rates(self, minimum: u32) -> Option<(f64, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "no window has 2^52 calls")]
        let percent = |part: u64| part as f64 * 100.0 / self.calls as f64;
        (self.calls > 0 && self.calls >= u64::from(minimum))
            .then(|| (percent(self.failed), percent(self.slow)))
    }
}
