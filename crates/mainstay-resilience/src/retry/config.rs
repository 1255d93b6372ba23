//! The settings of a retry.

use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};

use super::backoff::{BackoffConfig, at_most_an_hour};
use crate::budget::BudgetConfig;

/// Settings of [`RetryLayer`](super::RetryLayer).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// How often a call is sent at most, the first time included: 1 to 10. 1 sends nothing again. 3 by default.
    #[garde(range(min = 1, max = 10))]
    pub max_attempts: u32,
    /// How long to wait before each further attempt.
    #[garde(dive)]
    pub backoff: BackoffConfig,
    /// The longest wait that the service may ask for, such as by `retry-after`: at most 1 h. 10 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(at_most_an_hour))]
    pub max_hint: Duration,
    /// What becomes of a call whose service asks for a longer wait. `give_up` by default.
    #[garde(skip)]
    pub longer_hint: LongerHint,
    /// An attempt is not worth its wait when less than this is left of the call's deadline after it. 5 ms by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(skip)]
    pub min_attempt_time: Duration,
    /// Whether a call that is made for a call that is itself a repetition is sent again too. `false` by default: three tiers that
    /// each send thrice would send 27 times.
    #[garde(skip)]
    pub repeat_repetitions: bool,
    /// How many extra attempts all calls together may make.
    #[garde(dive)]
    pub budget: BudgetConfig,
}

/// What becomes of a call whose service asks for a longer wait than we take.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LongerHint {
    /// It ends with what the service answered.
    #[default]
    GiveUp,
    /// It is sent again after the longest wait that we take.
    Cap,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff: BackoffConfig::default(),
            max_hint: Duration::from_secs(10),
            longer_hint: LongerHint::GiveUp,
            min_attempt_time: Duration::from_millis(5),
            repeat_repetitions: false,
            budget: BudgetConfig::default(),
        }
    }
}
