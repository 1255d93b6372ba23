//! The settings of the rate limit.

use std::num::NonZeroU32;
use std::time::Duration;

use garde::Validate;
use governor::Quota;
use serde::{Deserialize, Serialize};

/// Settings of [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitConfig {
    /// How many calls may be sent in each window, 1 or more; 100 by default.
    #[garde(skip)]
    pub quota: NonZeroU32,
    /// The window: longer than zero, up to a year; 1 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_window))]
    pub window: Duration,
    /// How many calls may be sent at once when none was for a while, 1 or more. None by default: the quota.
    #[garde(custom(comes_back(self)))]
    pub burst: Option<NonZeroU32>,
    /// The longest that a call waits for its time. Zero by default: it is refused instead.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(skip)]
    pub max_wait: Duration,
}

/// About a hundred years, which governor's nanoseconds hold several times.
const LONGEST: u128 = 100 * 365 * 24 * 60 * 60 * 1_000_000_000;

// === impl RateLimitConfig ===

impl Default for RateLimitConfig {
    fn default() -> Self {
        const HUNDRED: NonZeroU32 = NonZeroU32::new(100).expect("100 is not 0");
        Self { quota: HUNDRED, window: Duration::from_secs(1), burst: None, max_wait: Duration::ZERO }
    }
}

impl RateLimitConfig {
    /// How long one call takes to come back, in nanoseconds; rounded up, so that no window has more than its quota.
    const fn interval(&self) -> u128 {
        self.window.as_nanos().div_ceil(self.quota.get() as u128)
    }

    pub(super) fn quota(&self) -> Quota {
        let interval = u64::try_from(self.interval()).map_or(Duration::MAX, Duration::from_nanos);
        Quota::with_period(interval)
            .expect("validated: a window is longer than zero")
            .allow_burst(self.burst.unwrap_or(self.quota))
    }
}

fn is_window(window: &Duration, (): &()) -> garde::Result {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    if Duration::ZERO < *window && *window <= YEAR {
        Ok(())
    } else {
        Err(garde::Error::new("expected a window longer than zero, up to 366days"))
    }
}

fn comes_back(config: &RateLimitConfig) -> impl FnOnce(&Option<NonZeroU32>, &()) -> garde::Result {
    let interval = config.interval();
    move |burst, ()| match burst {
        Some(burst) if interval * u128::from(burst.get()) > LONGEST => Err(garde::Error::new(format!(
            "{burst} calls take more than 100 years to come back at this quota"
        ))),
        _ => Ok(()),
    }
}
