//! How long to wait before the next attempt: exponential, with jitter, exact to the nanosecond.

use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};

/// How long to wait before each further attempt.
///
/// The limit is `base` before the second attempt and `multiplier` times as much before each next one, up to `max`; what is waited
/// is drawn from it by [`Jitter`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BackoffConfig {
    /// The first limit, at most 1 h. 50 ms by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(at_most_an_hour))]
    pub base: Duration,
    /// The largest limit, at most 1 h and not below `base`. 2 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(at_most_an_hour), custom(not_below(self.base)))]
    pub max: Duration,
    /// What the limit is multiplied with, to a thousandth: 1 to 10. 2 by default.
    #[garde(custom(is_multiplier))]
    pub multiplier: f64,
    /// How the wait is drawn. `full` by default.
    #[garde(skip)]
    pub jitter: Jitter,
}

/// How a wait is drawn from its limit, so that clients that failed together do not come back together.
///
/// Compared by AWS ("Exponential Backoff And Jitter"): `full` makes the fewest calls, `decorrelated` is about as good, `equal` is
/// slower than both, and `none` brings everybody back at once.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Anything from nothing to the limit.
    #[default]
    Full,
    /// Half of the limit, and anything up to the other half.
    Equal,
    /// Anything from `base` to three times the wait before, at most `max`; the multiplier has no effect.
    Decorrelated,
    /// The limit itself: only for tests.
    None,
}

/// The waits of one call.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: u64,
    max: u64,
    multiplier_mille: u64,
    jitter: Jitter,
    // The next limit; for `Decorrelated` the wait before.
    current: u64,
}

const HOUR: Duration = Duration::from_secs(3_600);

// === impl BackoffConfig ===

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(50),
            max: Duration::from_secs(2),
            multiplier: 2.0,
            jitter: Jitter::Full,
        }
    }
}

pub(super) fn at_most_an_hour(length: &Duration, (): &()) -> garde::Result {
    if *length <= HOUR {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{length:?} between two attempts: expected at most 1h")))
    }
}

fn not_below(base: Duration) -> impl FnOnce(&Duration, &()) -> garde::Result {
    move |max, ()| {
        if *max >= base {
            Ok(())
        } else {
            Err(garde::Error::new(format!("{max:?} is below the base of {base:?}")))
        }
    }
}

fn is_multiplier(multiplier: &f64, (): &()) -> garde::Result {
    if (1.0..=10.0).contains(multiplier) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{multiplier} as a multiplier: expected 1 to 10")))
    }
}

// === impl Backoff ===

impl Backoff {
    /// The waits of one call under settings that were checked.
    pub fn new(config: &BackoffConfig) -> Self {
        let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "1 to 10 by the settings' range; the cast saturates otherwise"
        )]
        let multiplier_mille = (config.multiplier * 1_000.0).round() as u64;
        let base = nanos(config.base);
        Self { base, max: nanos(config.max), multiplier_mille, jitter: config.jitter, current: base }
    }

    /// How long to wait before the next attempt. `random` is any number of the whole range, new for each call.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use mainstay_resilience::retry::{Backoff, BackoffConfig, Jitter};
    ///
    /// let config = BackoffConfig { jitter: Jitter::None, ..BackoffConfig::default() };
    /// let mut backoff = Backoff::new(&config);
    /// assert_eq!([backoff.next(0), backoff.next(0), backoff.next(0)], [50, 100, 200].map(Duration::from_millis));
    /// ```
    pub fn next(&mut self, random: u64) -> Duration {
        let limit = self.current.min(self.max);
        let wait = match self.jitter {
            Jitter::Full => between(0, limit, random),
            Jitter::Equal => between(limit / 2, limit, random),
            Jitter::None => limit,
            Jitter::Decorrelated => {
                let most = self.current.saturating_mul(3).clamp(self.base, u64::MAX);
                between(self.base, most, random).min(self.max)
            }
        };
        self.current = match self.jitter {
            Jitter::Decorrelated => wait,
            // Once at the limit it stays there, so no number of attempts overflows.
            Jitter::Full | Jitter::Equal | Jitter::None => {
                let grown = u128::from(limit) * u128::from(self.multiplier_mille) / 1_000;
                u64::try_from(grown).unwrap_or(u64::MAX).min(self.max)
            }
        };
        Duration::from_nanos(wait)
    }

    /// Begins anew, as before the second attempt.
    pub fn reset(&mut self) {
        self.current = self.base;
    }
}

/// A number of `least..=most`, each as likely as any other, but for less than one part in 2^20 where the range is an hour.
fn between(least: u64, most: u64, random: u64) -> u64 {
    let range = u128::from(most - least) + 1;
    let part = (u128::from(random) * range) >> 64;
    least + u64::try_from(part).expect("below the range, whose length fits")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::{Backoff, BackoffConfig, Jitter};

    fn config(jitter: Jitter, base: Duration, max: Duration) -> BackoffConfig {
        BackoffConfig { base, max, multiplier: 2.0, jitter }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn whole_seconds_are_jittered_to_the_nanosecond() {
        let mut random = SmallRng::seed_from_u64(7);
        for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
            let draws: HashSet<Duration> = (0..1_000)
                .map(|_| Backoff::new(&config(jitter, SECOND, 60 * SECOND)).next(random.random()))
                .collect();
            assert!(draws.len() > 990, "{jitter:?}: {} different waits", draws.len());
        }
    }

    #[test]
    fn full_jitter_is_half_of_the_limit_on_average_and_equal_three_quarters() {
        let mut random = SmallRng::seed_from_u64(7);
        for (jitter, mean) in [(Jitter::Full, 0.5), (Jitter::Equal, 0.75)] {
            let config = config(jitter, SECOND, SECOND);
            let sum: f64 =
                (0..10_000).map(|_| Backoff::new(&config).next(random.random()).as_secs_f64()).sum();
            // Three standard deviations of the mean of so many draws.
            assert!((sum / 10_000.0 - mean).abs() < 3.0 * 0.289 / 100.0, "{jitter:?}: {}", sum / 10_000.0);
        }
    }

    #[test]
    fn two_calls_of_one_policy_do_not_wait_alike() {
        let mut random = rand::rng();
        let config = config(Jitter::Full, SECOND, 60 * SECOND);
        let mut waits = || {
            let mut backoff = Backoff::new(&config);
            [0; 5].map(|_: u8| backoff.next(random.random()))
        };
        assert_ne!(waits(), waits());
    }

    #[test]
    fn a_thousand_attempts_do_not_overflow_and_a_reset_begins_anew() {
        let mut backoff = Backoff::new(&config(Jitter::None, SECOND, 3_600 * SECOND));
        let last = (0..1_024).map(|_| backoff.next(u64::MAX)).last();
        assert_eq!(last, Some(3_600 * SECOND));
        backoff.reset();
        assert_eq!(backoff.next(0), SECOND);
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_limits(
            base in 0_u64..3_600_000_000_000, more in 0_u64..3_600_000_000_000, multiplier in 1.0..=10.0_f64,
            draws in prop::collection::vec(any::<u64>(), 1..50), which in 0_usize..4,
        ) {
            let jitter = [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::None][which];
            let (base, max) = (Duration::from_nanos(base), Duration::from_nanos(base.saturating_add(more)));
            let mut backoff = Backoff::new(&BackoffConfig { base, max, multiplier, jitter });
            let mut limit = base.as_nanos();
            for random in draws {
                let wait = backoff.next(random);
                prop_assert!(wait <= max);
                match jitter {
                    Jitter::Full => prop_assert!(wait.as_nanos() <= limit),
                    Jitter::Equal => prop_assert!(wait.as_nanos() <= limit && wait.as_nanos() >= limit / 2),
                    Jitter::None => prop_assert_eq!(wait.as_nanos(), limit),
                    Jitter::Decorrelated => prop_assert!(wait >= base),
                }
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 10")]
                let mille = (multiplier * 1_000.0).round() as u128;
                limit = (limit * mille / 1_000).min(max.as_nanos());
            }
        }
    }
}
