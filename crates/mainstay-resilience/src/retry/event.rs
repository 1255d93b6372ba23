//! What a retry tells, and what it counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay_core::call::Hint;

/// What a [`RetryLayer`](super::RetryLayer) did. Calls that end with their first attempt are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryEvent {
    /// A call is going to be sent again.
    Retrying {
        /// The attempt that is to come: 2 for the first repetition.
        attempt: u32,
        /// How long it is waited for.
        wait: Duration,
        /// What the service said about that.
        hint: Hint,
    },
    /// A call that could have been sent again was not.
    GaveUp {
        /// Why.
        because: Because,
        /// How often it was sent.
        attempts: u32,
    },
    /// A call that was sent again ended well, or with something that no repetition mends.
    Settled {
        /// How often it was sent.
        attempts: u32,
    },
}

/// Why a failed call was not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Because {
    /// It was sent as often as the settings allow.
    Attempts,
    /// All calls together have made as many extra attempts as they may.
    Budget,
    /// The next attempt would come too late for the caller.
    Deadline,
    /// The service asks for a longer wait than the settings take.
    Hint,
}

impl Because {
    /// The reason's stable name, for log fields and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Budget => "budget",
            Self::Deadline => "deadline",
            Self::Hint => "hint",
        }
    }
}

/// How often what has happened since the layer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryCounts {
    /// Attempts beyond the first of their call that were sent.
    pub retries: u64,
    /// Calls that were given up because they were sent as often as allowed.
    pub out_of_attempts: u64,
    /// Calls that were given up because the budget was spent.
    pub out_of_budget: u64,
    /// Calls that were given up because their deadline was too near.
    pub out_of_time: u64,
    /// Calls that were given up because the service asked for too long a wait.
    pub told_to_wait_too_long: u64,
}

/// Touched only where a call failed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    retries: AtomicU64,
    gave_up: [AtomicU64; 4],
}

impl Counters {
    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gave_up(&self, because: Because) {
        self.gave_up[because as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> RetryCounts {
        let gave_up = |because: Because| self.gave_up[because as usize].load(Ordering::Relaxed);
        RetryCounts {
            retries: self.retries.load(Ordering::Relaxed),
            out_of_attempts: gave_up(Because::Attempts),
            out_of_budget: gave_up(Because::Budget),
            out_of_time: gave_up(Because::Deadline),
            told_to_wait_too_long: gave_up(Because::Hint),
        }
    }
}
