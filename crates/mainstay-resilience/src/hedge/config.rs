//! The settings of a hedge.

use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};

/// Settings of [`HedgeLayer`](super::HedgeLayer).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HedgeConfig {
    /// After how long a call is sent again, and once more after each further time as long: 1 ms to 1 h. By default not fixed: the time
    /// within which `quantile` of the calls have their answer.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(is_delay)))]
    pub delay: Option<Duration>,
    /// Which share of the calls has its answer before a call counts as slow: 0.5 to 0.999. 0.95 by default, so that about one call in
    /// twenty is sent twice. Measured to an eighth of its value.
    #[garde(custom(is_quantile))]
    pub quantile: f64,
    /// The shortest delay that is measured: 1 ms to 1 h. 1 ms by default, which is what timers are good for.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_delay))]
    pub min_delay: Duration,
    /// How many calls must have been measured before any is sent twice: 1 or more. 100 by default.
    #[garde(range(min = 1))]
    pub minimum_number_of_calls: u32,
    /// For how long a measured call counts, in ten steps: 1 s to 1 h. 1 min by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_window))]
    pub window: Duration,
    /// How often a call is sent at most, the first time included: 2 to 5. 2 by default.
    #[garde(range(min = 2, max = 5))]
    pub max_attempts: u32,
}

// === impl HedgeConfig ===

impl Default for HedgeConfig {
    fn default() -> Self {
        Self {
            delay: None,
            quantile: 0.95,
            min_delay: Duration::from_millis(1),
            minimum_number_of_calls: 100,
            window: Duration::from_secs(60),
            max_attempts: 2,
        }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);

fn is_delay(delay: &Duration, (): &()) -> garde::Result {
    if (Duration::from_millis(1)..=HOUR).contains(delay) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{delay:?} until a call is sent again: expected 1ms to 1h")))
    }
}

fn is_window(window: &Duration, (): &()) -> garde::Result {
    if (Duration::from_secs(1)..=HOUR).contains(window) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{window:?} as the time a call counts: expected 1s to 1h")))
    }
}

/// A range of garde's own lets NaN through.
fn is_quantile(quantile: &f64, (): &()) -> garde::Result {
    if (0.5..=0.999).contains(quantile) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("a quantile of {quantile}: expected 0.5 to 0.999")))
    }
}
