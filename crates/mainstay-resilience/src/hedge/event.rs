//! What a hedge tells, and what it counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a [`HedgeLayer`](super::HedgeLayer) did. Calls that are sent once are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HedgeEvent {
    /// A slow call was sent again.
    Hedged {
        /// Which attempt of this layer it is: 2 for the first extra one.
        attempt: u32,
        /// How long after the first one.
        after: Duration,
    },
    /// An extra attempt was the first to be answered.
    Won {
        /// Which one.
        attempt: u32,
    },
    /// A slow call was not sent again, because all calls together have made as many extra attempts as they may.
    OutOfBudget,
}

/// How often what has happened, since the layer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeCounts {
    /// Extra attempts that were sent.
    pub hedges: u64,
    /// Extra attempts that were the first to be answered.
    pub wins: u64,
    /// Slow calls that were not sent again for lack of budget.
    pub out_of_budget: u64,
}

/// Touched only where a call was slow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    hedges: AtomicU64,
    wins: AtomicU64,
    out_of_budget: AtomicU64,
}

impl Counters {
    pub(super) fn note(&self, event: HedgeEvent) {
        let counter = match event {
            HedgeEvent::Hedged { .. } => &self.hedges,
            HedgeEvent::Won { .. } => &self.wins,
            HedgeEvent::OutOfBudget => &self.out_of_budget,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> HedgeCounts {
        HedgeCounts {
            hedges: self.hedges.load(Ordering::Relaxed),
            wins: self.wins.load(Ordering::Relaxed),
            out_of_budget: self.out_of_budget.load(Ordering::Relaxed),
        }
    }
}
