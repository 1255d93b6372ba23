//! The settings of the adaptive limit, with the defaults of Netflix's concurrency-limits.

use std::num::NonZeroU32;
use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::bulkhead::places::MOST;

/// Settings of [`AdaptiveLimitLayer`](super::AdaptiveLimitLayer).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AdaptiveLimitConfig {
    /// How the limit is found. [`Gradient2`](Algorithm::Gradient2) by default.
    #[garde(dive)]
    pub algorithm: Algorithm,
    /// The most calls that wait for a place; up to 2 097 151, 0 by default: what finds no place is refused at once.
    #[garde(range(max = MOST))]
    pub max_waiting: u32,
    /// The longest that a call waits for a place. None by default: as long as its caller waits for it.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(skip)]
    pub max_wait: Option<Duration>,
    /// A caller that leaves after so long has not left of its own accord: its call counts as a drop. None by default:
    /// only one that leaves past its deadline does.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(skip)]
    pub timeout: Option<Duration>,
    /// What a failure says that is neither a time-out nor "overloaded". [`Ignored`](Failures::Ignored) by default.
    #[garde(skip)]
    pub failures: Failures,
}

/// How the limit is found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// One more while the limit is in use, a part less with each drop. Needs drops to find the end: calls that are
    /// refused or time out.
    Aimd(#[garde(dive)] AimdConfig),
    /// Keeps a few calls waiting in the service, which it finds out from the shortest time of an answer. Quick, and fits a service
    /// whose calls are alike.
    Vegas(#[garde(dive)] VegasConfig),
    /// Falls when answers take longer than they have for long. Bears calls that are unlike each other.
    Gradient2(#[garde(dive)] Gradient2Config),
}

/// What a failure says about how much the service can take.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Failures {
    /// Nothing: a failure is often quicker than the work, and would seem to show that there is room.
    #[default]
    Ignored,
    /// What its time says, as if it were a success.
    Measured,
    /// That the service has too much to do.
    Dropped,
}

/// Settings of [`Algorithm::Aimd`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AimdConfig {
    /// The limit at the beginning. 20 by default.
    #[garde(custom(between(self.min, self.max)))]
    pub initial: NonZeroU32,
    /// The lowest limit. 20 by default.
    #[garde(skip)]
    pub min: NonZeroU32,
    /// The highest limit, up to 2 097 151. 200 by default.
    #[garde(custom(between(self.min, HIGHEST)))]
    pub max: NonZeroU32,
    /// What is left of the limit after a drop; 0.5 up to but not 1, 0.9 by default.
    #[garde(custom(at_least_half))]
    pub backoff: f64,
    /// An answer that took longer counts as a drop. 5 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(skip)]
    pub timeout: Duration,
}

/// Settings of [`Algorithm::Vegas`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct VegasConfig {
    /// The limit at the beginning. 20 by default.
    #[garde(custom(between(self.min, self.max)))]
    pub initial: NonZeroU32,
    /// The lowest limit. 1 by default.
    #[garde(skip)]
    pub min: NonZeroU32,
    /// The highest limit, up to 2 097 151. 1 000 by default.
    #[garde(custom(between(self.min, HIGHEST)))]
    pub max: NonZeroU32,
    /// How much of each change is made; above 0 to 1, 1 by default.
    #[garde(custom(is_part))]
    pub smoothing: f64,
}

/// Settings of [`Algorithm::Gradient2`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Gradient2Config {
    /// The limit at the beginning. 20 by default.
    #[garde(custom(between(self.min, self.max)))]
    pub initial: NonZeroU32,
    /// The lowest limit. 20 by default.
    #[garde(skip)]
    pub min: NonZeroU32,
    /// The highest limit, up to 2 097 151. 200 by default.
    #[garde(custom(between(self.min, HIGHEST)))]
    pub max: NonZeroU32,
    /// How much of each change is made; above 0 to 1, 0.2 by default.
    #[garde(custom(is_part))]
    pub smoothing: f64,
    /// How many calls may wait in the service, and so how fast the limit grows; up to 1 000, 4 by default.
    #[garde(range(max = 1000))]
    pub queue: u32,
    /// Over how many answers the long average reaches. 600 by default.
    #[garde(skip)]
    pub long_window: NonZeroU32,
    /// How many times as long as the average an answer may take before the limit falls; 1 to 100, 1.5 by default.
    #[garde(custom(is_factor))]
    pub tolerance: f64,
}

const HIGHEST: NonZeroU32 = NonZeroU32::new(MOST).expect("it is not 0");
const TWENTY: NonZeroU32 = NonZeroU32::new(20).expect("20 is not 0");
const TWO_HUNDRED: NonZeroU32 = NonZeroU32::new(200).expect("200 is not 0");

impl Default for Algorithm {
    fn default() -> Self {
        Self::Gradient2(Gradient2Config::default())
    }
}

impl Default for AimdConfig {
    fn default() -> Self {
        let timeout = Duration::from_secs(5);
        Self { initial: TWENTY, min: TWENTY, max: TWO_HUNDRED, backoff: 0.9, timeout }
    }
}

impl Default for VegasConfig {
    fn default() -> Self {
        const THOUSAND: NonZeroU32 = NonZeroU32::new(1000).expect("1000 is not 0");
        Self { initial: TWENTY, min: NonZeroU32::MIN, max: THOUSAND, smoothing: 1.0 }
    }
}

impl Default for Gradient2Config {
    fn default() -> Self {
        const WINDOW: NonZeroU32 = NonZeroU32::new(600).expect("600 is not 0");
        Self {
            initial: TWENTY,
            min: TWENTY,
            max: TWO_HUNDRED,
            smoothing: 0.2,
            queue: 4,
            long_window: WINDOW,
            tolerance: 1.5,
        }
    }
}

fn between(min: NonZeroU32, max: NonZeroU32) -> impl FnOnce(&NonZeroU32, &()) -> garde::Result {
    move |limit, ()| {
        let fits = min <= *limit && *limit <= max;
        fits.then_some(()).ok_or_else(|| garde::Error::new(format!("{limit}: expected {min} to {max}")))
    }
}

// Written so that what is no number does not fit either.

fn at_least_half(backoff: &f64, (): &()) -> garde::Result {
    let fits = *backoff >= 0.5 && *backoff < 1.0;
    fits.then_some(()).ok_or_else(|| garde::Error::new(format!("{backoff}: expected 0.5 up to but not 1")))
}

fn is_part(smoothing: &f64, (): &()) -> garde::Result {
    let fits = *smoothing > 0.0 && *smoothing <= 1.0;
    fits.then_some(()).ok_or_else(|| garde::Error::new(format!("{smoothing}: expected more than 0, up to 1")))
}

fn is_factor(tolerance: &f64, (): &()) -> garde::Result {
    let fits = *tolerance >= 1.0 && *tolerance <= 100.0;
    fits.then_some(()).ok_or_else(|| garde::Error::new(format!("{tolerance}: expected 1 to 100")))
}
