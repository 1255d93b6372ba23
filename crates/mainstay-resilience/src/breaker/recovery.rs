//! A service that has passed its test is given its calls back in steps.

use std::time::Duration;

use tokio::time::Instant;

use super::config::RecoveryConfig;
use super::window::{Seen, Tally};
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// One step. Its first call passes whatever the chance is, so that every step sees one.
#[derive(Debug)]
pub(super) struct Recovery {
    /// Which opening in a row this follows.
    pub(super) opens: u32,
    step: usize,
    since: Instant,
    has_begun: AtomicBool,
    tally: AtomicU64,
}

impl Recovery {
    pub(super) fn first(opens: u32, since: Instant) -> Self {
        Self { opens, step: 0, since, has_begun: AtomicBool::new(false), tally: AtomicU64::new(0) }
    }

    /// The step after this one; `None` after the last.
    pub(super) fn next(&self, config: &RecoveryConfig, since: Instant) -> Option<Self> {
        let step = self.step + 1;
        (step < config.steps.len()).then(|| Self { step, ..Self::first(self.opens, since) })
    }

    /// Whether a call passes. `random` is 0 to 1.
    pub(super) fn admits(&self, config: &RecoveryConfig, random: impl FnOnce() -> f64) -> bool {
        let is_first =
            !self.has_begun.load(Ordering::Relaxed) && !self.has_begun.swap(true, Ordering::Relaxed);
        is_first || random() * 100.0 < config.steps[self.step]
    }

    /// A call that was let through says nothing: the next one is the first.
    pub(super) fn give_turn_back(&self) {
        self.has_begun.store(false, Ordering::Relaxed);
    }

    /// How long the step still takes.
    pub(super) fn left(&self, config: &RecoveryConfig, now: Instant) -> Duration {
        config.step_duration.saturating_sub(now.saturating_duration_since(self.since))
    }

    /// The tally with this call, in one addition.
    pub(super) fn record(&self, seen: Seen) -> Tally {
        let change = Tally::word(seen);
        Tally::of_word(self.tally.fetch_add(change, Ordering::AcqRel) + change)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally::of_word(self.tally.load(Ordering::Acquire))
    }
}
