//! The calls that a half-open circuit lets through, and decides by.

use std::time::Duration;

use tokio::time::Instant;

use super::window::{Seen, Tally};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// One half-open time. Places are taken by calls and not given back by results, so never more than the permitted number are
/// let through; a call that says nothing gives its place back.
#[derive(Debug)]
pub(super) struct Probation {
    /// Which opening in a row this follows.
    pub(super) opens: u32,
    pub(super) since: Instant,
    places: AtomicU32,
    tally: AtomicU64,
}

impl Probation {
    pub(super) fn new(opens: u32, places: u32, since: Instant) -> Self {
        Self { opens, since, places: AtomicU32::new(places), tally: AtomicU64::new(0) }
    }

    pub(super) fn take_place(&self) -> bool {
        let one_less = |places: u32| places.checked_sub(1);
        self.places.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less).is_ok()
    }

    pub(super) fn give_place_back(&self) {
        self.places.fetch_add(1, Ordering::AcqRel);
    }

    /// How long the calls that were let through may still take.
    pub(super) fn left(&self, patience: Duration, now: Instant) -> Duration {
        patience.saturating_sub(now.saturating_duration_since(self.since))
    }

    /// The tally with this call. In one addition, so one of two calls that end together sees both.
    pub(super) fn record(&self, seen: Seen) -> Tally {
        let change = Tally::word(seen);
        Tally::of_word(self.tally.fetch_add(change, Ordering::AcqRel) + change)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally::of_word(self.tally.load(Ordering::Acquire))
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> u32 {
        self.places.load(Ordering::SeqCst)
    }
}
