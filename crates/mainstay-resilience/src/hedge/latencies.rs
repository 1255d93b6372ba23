//! How long calls take of late: a log-linear histogram over a rolling time, and a quantile of it.
//!
//! Eight buckets for each power of two, from 1 µs to 67 s: a quantile is at most an eighth too long, and never too short. To
//! record is two atomic additions. The quantile is read again at most every tenth of a second, by whoever is the first to need it; in between it is
//! one load.

use std::time::Duration;

use tokio::time::Instant;

use super::HedgeConfig;
use crate::rolling::Rolling;
use crate::sync::{AtomicU64, Ordering};

const BUCKETS: usize = 192;
/// Below this many microseconds each has a bucket of its own.
const LINEAR: u64 = 16;
const SLOTS: u32 = 10;
const REFRESH_MILLIS: u64 = 100;

#[derive(Debug)]
pub(super) struct Latencies {
    counts: Rolling<BUCKETS>,
    started: Instant,
    quantile: f64,
    least: Duration,
    minimum: u32,
    // The quantile when it was last read, in nanoseconds; 0: too few calls.
    known: AtomicU64,
    // When to read it again, in milliseconds since `started`.
    due: AtomicU64,
}

impl Latencies {
    pub(super) fn new(config: &HedgeConfig) -> Self {
        Self {
            counts: Rolling::new(config.window, SLOTS),
            started: Instant::now(),
            quantile: config.quantile,
            least: config.min_delay,
            minimum: config.minimum_number_of_calls,
            known: AtomicU64::new(0),
            due: AtomicU64::new(0),
        }
    }

    pub(super) fn record(&self, latency: Duration, now: Instant) {
        self.counts.add_to(bucket(latency), 1, now);
    }

    /// The quantile, not below the least; `None` while too few calls were measured.
    pub(super) fn delay(&self, now: Instant) -> Option<Duration> {
        let elapsed =
            u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX);
        let due = self.due.load(Ordering::Relaxed);
        let next = elapsed.saturating_add(REFRESH_MILLIS);
        if elapsed >= due
            && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let read = self.read(now).map_or(0, |delay| u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
            self.known.store(read, Ordering::Relaxed);
        }
        match self.known.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    fn read(&self, now: Instant) -> Option<Duration> {
        // A sum may lag behind its slots for a moment, and be below zero.
        let counts = self.counts.sums(now).map(|count| u64::try_from(count).unwrap_or(0));
        let total: u64 = counts.iter().sum();
        if total < self.minimum.into() {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of calls in a window, times a share of 1"
        )]
        let rank = (total as f64 * self.quantile).ceil() as u64;
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        at.map(|bucket| upper_edge(bucket).max(self.least))
    }
}

fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let index = if micros < LINEAR {
        micros
    } else {
        let power = u64::from(micros.ilog2());
        LINEAR + (power - 4) * 8 + ((micros >> (power - 3)) & 7)
    };
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// What every latency of the bucket is below, but for those of the last.
fn upper_edge(bucket: usize) -> Duration {
    let index = u64::try_from(bucket).expect("one of 192");
    Duration::from_micros(match index.checked_sub(LINEAR) {
        None => index + 1,
        Some(above) => (8 + above % 8 + 1) << (above / 8 + 1),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::{Instant, advance};

    use super::{BUCKETS, Latencies, bucket, upper_edge};
    use crate::hedge::HedgeConfig;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn record(latencies: &Latencies, millis: impl IntoIterator<Item = u32>) {
        millis.into_iter().for_each(|millis| latencies.record(millis * MILLISECOND, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_is_the_quantile_of_late_once_there_were_enough_calls() {
        let latencies = Latencies::new(&HedgeConfig::default());
        record(&latencies, 1..=99);
        assert_eq!(latencies.delay(Instant::now()), None, "too few");
        record(&latencies, [100]);
        assert_eq!(latencies.delay(Instant::now()), None, "it was read just now");
        advance(100 * MILLISECOND).await;
        let delay = latencies.delay(Instant::now()).unwrap();
        assert!((95 * MILLISECOND..=107 * MILLISECOND).contains(&delay), "{delay:?}");

        advance(Duration::from_secs(60)).await;
        assert_eq!(latencies.delay(Instant::now()), None, "all of it is long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_service_is_not_hedged_below_the_least_delay() {
        let latencies = Latencies::new(&HedgeConfig { min_delay: 5 * MILLISECOND, ..HedgeConfig::default() });
        record(&latencies, [0; 200]);
        assert_eq!(latencies.delay(Instant::now()), Some(5 * MILLISECOND));
    }

    proptest! {
        #[test]
        fn a_bucket_ends_above_its_latencies_and_at_most_an_eighth_above(micros in 0_u64..1 << 26) {
            let latency = Duration::from_micros(micros);
            let edge = upper_edge(bucket(latency));
            prop_assert!(latency < edge, "{latency:?} {edge:?}");
            prop_assert!(edge <= latency + latency / 8 + Duration::from_micros(1), "{latency:?} {edge:?}");
        }

        #[test]
        fn longer_is_never_in_an_earlier_bucket(one: u64, other: u64) {
            let [less, more] = [one.min(other), one.max(other)].map(|nanos| bucket(Duration::from_nanos(nanos)));
            prop_assert!(less <= more && more < BUCKETS);
        }
    }
}
