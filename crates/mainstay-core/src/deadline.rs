//! The instant after which nobody waits for the answer any more.

use std::time::{Duration, Instant};

/// An instant on the monotonic clock after which the caller has given up.
///
/// It is a point, not a length: passing it on costs nothing and loses nothing, however long the call waited in between.
/// `now` is always an argument; take it from tokio's clock (`tokio::time::Instant::now().into_std()`), which tests pause.
///
/// ```
/// # use std::time::{Duration, Instant};
/// use mainstay_core::Deadline;
///
/// # let now = Instant::now();
/// let deadline = Deadline::after(now, Duration::from_secs(2));
/// assert_eq!(deadline.remaining(now + Duration::from_millis(500)), Duration::from_millis(1500));
/// assert!(deadline.is_past(now + Duration::from_secs(2)));
///
/// let sooner = Deadline::after(now, Duration::from_secs(1));
/// assert_eq!(deadline.earliest(sooner), sooner);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// What [`Deadline::after`] uses for a length that the clock cannot count up to: about a hundred years.
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

    /// The deadline at this instant.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The deadline `length` after `now`. A length beyond what the clock can hold becomes about a hundred years.
    pub fn after(now: Instant, length: Duration) -> Self {
        let mut length = length.min(Self::FAR);
        loop {
            match now.checked_add(length) {
                Some(instant) => return Self(instant),
                // No clock in use ends so soon; if one did, its end would be near enough.
                None => length /= 2,
            }
        }
    }

    /// The instant itself.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// How long the caller still waits; zero from the deadline on.
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Whether the caller has given up: true from the deadline itself on.
    pub fn is_past(self, now: Instant) -> bool {
        now >= self.0
    }

    /// The sooner of the two: what a call may take that has a limit of its own inside a call that has one.
    #[must_use]
    pub fn earliest(self, other: Self) -> Self {
        self.min(other)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::Deadline;

    #[test]
    fn a_length_beyond_the_clock_is_far_away_and_does_not_panic() {
        let now = Instant::now().into_std();
        let deadline = Deadline::after(now, Duration::MAX);
        assert!(deadline.remaining(now) > Duration::from_secs(3_000_000_000));
        assert!(!deadline.is_past(now));
    }

    #[test]
    fn a_deadline_of_zero_length_is_past_at_once() {
        let now = Instant::now().into_std();
        assert!(Deadline::after(now, Duration::ZERO).is_past(now));
        assert_eq!(Deadline::at(now).remaining(now), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn remaining_is_zero_exactly_when_past_and_earliest_is_the_sooner_one(
            a in 0_u64..10_000, b in 0_u64..10_000, elapsed in 0_u64..10_000,
        ) {
            let start = Instant::now().into_std();
            let (first, second) = (
                Deadline::after(start, Duration::from_millis(a)),
                Deadline::after(start, Duration::from_millis(b)),
            );
            let now = start + Duration::from_millis(elapsed);
            prop_assert_eq!(first.remaining(now).is_zero(), first.is_past(now));
            prop_assert_eq!(first.earliest(second), second.earliest(first));
            prop_assert_eq!(first.earliest(second).remaining(now), first.remaining(now).min(second.remaining(now)));
        }
    }
}
