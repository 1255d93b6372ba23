//! The generic cell rate algorithm: what a key has used is one number, the time at which its bucket will be full again.

use std::num::NonZeroU32;
use std::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A policy's numbers, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    // How long one call takes to come back.
    interval: u64,
    // How long all of them take.
    window: u64,
}

/// What is left of a key's quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) remaining: u64,
    /// In how many seconds, rounded up, there is one more; 0 if nothing is used.
    pub(super) reset: u64,
}

impl Quota {
    pub(super) fn new(quota: NonZeroU32, window: Duration) -> Self {
        let quota = u64::from(quota.get());
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let interval = (nanos / quota).max(1);
        Self { interval, window: interval.saturating_mul(quota) }
    }

    /// When the bucket will be full again if it gives one call now, or how long the caller must wait for it.
    pub(super) fn admit(self, used_until: u64, now: u64) -> Result<u64, u64> {
        let after = used_until.max(now).saturating_add(self.interval);
        let latest = now.saturating_add(self.window);
        if after <= latest { Ok(after) } else { Err(after - latest) }
    }

    pub(super) fn standing(self, used_until: u64, now: u64) -> Standing {
        let used = used_until.saturating_sub(now);
        let remaining = self.window.saturating_sub(used) / self.interval;
        let used_with_one_more = self.window.saturating_sub((remaining + 1).saturating_mul(self.interval));
        let reset = used.saturating_sub(used_with_one_more).div_ceil(NANOS_PER_SECOND);
        Standing { remaining, reset: if used == 0 { 0 } else { reset } }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Quota, Standing};

    const SECOND: u64 = 1_000_000_000;

    fn quota(calls: u32, seconds: u64) -> Quota {
        Quota::new(NonZeroU32::new(calls).unwrap(), Duration::from_secs(seconds))
    }

    #[test]
    fn the_whole_quota_may_be_used_at_once_and_comes_back_call_by_call() {
        let quota = quota(4, 8);
        let mut used_until = 0;
        for left in (0..4).rev() {
            used_until = quota.admit(used_until, 0).unwrap();
            assert_eq!(quota.standing(used_until, 0), Standing { remaining: left, reset: 2 });
        }
        assert_eq!(quota.admit(used_until, 0), Err(2 * SECOND));
        assert_eq!(quota.admit(used_until, 2 * SECOND - 1), Err(1));
        assert_eq!(quota.admit(used_until, 2 * SECOND), Ok(10 * SECOND));
        assert_eq!(quota.standing(used_until, 8 * SECOND), Standing { remaining: 4, reset: 0 });
        assert_eq!(quota.standing(used_until, 1), Standing { remaining: 0, reset: 2 });
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let quota = quota(u32::MAX, 86_400);
        assert!(quota.admit(u64::MAX, 0).is_err());
        assert!(quota.admit(0, u64::MAX).is_ok());
        assert_eq!(quota.standing(u64::MAX, 0).remaining, 0);
    }

    proptest! {
        /// A bucket of water, told the slow way.
        #[test]
        fn it_is_a_leaky_bucket(
            calls in 1_u32..20, seconds in 1_u64..20, gaps in proptest::collection::vec(0_u64..3_000_000_000, 1..200),
        ) {
            let quota = quota(calls, seconds);
            let drop_of_water = seconds * SECOND / u64::from(calls);
            let size = drop_of_water * u64::from(calls);
            let (mut now, mut used_until, mut level) = (0, 0, 0_u64);
            for gap in gaps {
                now += gap;
                level = level.saturating_sub(gap);
                match quota.admit(used_until, now) {
                    Ok(until) => {
                        prop_assert!(level + drop_of_water <= size);
                        level += drop_of_water;
                        used_until = until;
                    }
                    Err(wait) => {
                        prop_assert_eq!(wait, level + drop_of_water - size);
                        prop_assert!(quota.admit(used_until, now + wait).is_ok());
                        prop_assert!(quota.admit(used_until, now + wait - 1).is_err());
                    }
                }
                prop_assert_eq!(quota.standing(used_until, now).remaining, (size - level) / drop_of_water);
            }
        }
    }
}
