//! The settings of a circuit breaker, in Resilience4j's words.

use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};

/// Settings of [`BreakerLayer`](super::BreakerLayer). The defaults are Resilience4j's, unless said otherwise.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// The part of calls, in percent, that must fail for the circuit to open: above 0, up to 100. 50 by default.
    #[garde(custom(is_percentage))]
    pub failure_rate_threshold: f64,
    /// The part of calls, in percent, that must be slow for the circuit to open: above 0, up to 100. 100 by default.
    #[garde(custom(is_percentage))]
    pub slow_call_rate_threshold: f64,
    /// A call is slow whose answer takes longer than this: at least 1 ns. None by default (Resilience4j: 60 s): no call is slow, and no
    /// clock is read for it.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(is_some_time)))]
    pub slow_call_duration_threshold: Option<Duration>,
    /// Which calls the rates are taken of. The last 100 by default.
    #[garde(dive)]
    pub sliding_window: SlidingWindow,
    /// How many calls there must be for a rate: at least 1; of a count window at most its size counts. 100 by default.
    #[garde(range(min = 1))]
    pub minimum_number_of_calls: u32,
    /// How many calls a half-open circuit lets through to decide by: 1 to 1 000 000. 10 by default.
    #[garde(range(min = 1, max = 1_000_000))]
    pub permitted_number_of_calls_in_half_open_state: u32,
    /// How long an open circuit lets nothing through: 1 ms to 1 h. 60 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_wait))]
    pub wait_duration_in_open_state: Duration,
    /// What that is multiplied with each time the circuit opens again without having closed: 1 to 10. 1 by default.
    #[garde(custom(is_multiplier))]
    pub wait_multiplier: f64,
    /// The longest that it becomes, also by what the service asks for (`retry-after`): 1 ms to 1 h. 5 min by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_wait))]
    pub max_wait_duration_in_open_state: Duration,
    /// The part of the wait that is added at random, so that many clients do not ask again at once: 0 to 1. 0.1 by default (Resilience4j
    /// has none).
    #[garde(custom(is_part))]
    pub wait_jitter: f64,
    /// What a service that says when to come back (`Verdict::Overloaded` with a time) changes. `prolong` by default.
    #[garde(skip)]
    pub on_retry_after: OnRetryAfter,
    /// How long a half-open circuit waits for the calls that it let through: 1 ms to 1 h. By default as long as an open one (Resilience4j:
    /// for ever): a call that hangs must not keep it there.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(is_wait)))]
    pub max_wait_duration_in_half_open_state: Option<Duration>,
    /// What a half-open circuit does after that. `probe` by default.
    #[garde(skip)]
    pub when_half_open_is_stuck: WhenStuck,
    /// What a call says whose caller went away before its end. `after_deadline` by default.
    #[garde(skip)]
    pub abandoned_calls: AbandonedCalls,
    /// In which steps a service is given its calls back that has passed the half-open circuit's test. By default all at once, as
    /// Resilience4j does.
    #[garde(dive)]
    pub recovery: Option<RecoveryConfig>,
}

/// The steps in which a service that was left alone is given its calls back, while the circuit is half-open still.
///
/// In each step the first call passes, and every other one with the step's probability. A rate that is too high opens the circuit at once.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RecoveryConfig {
    /// How many of a hundred calls pass, step by step: each above 0 and below 100, 1 to 16 of them. 1, 5, 10, 25 and 50 by default.
    #[garde(length(min = 1, max = 16), inner(custom(is_part_of_calls)))]
    pub steps: Vec<f64>,
    /// How long a step takes, until the first call after it that ends without opening the circuit: 1 ms to 1 h. 5 s by default.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    #[garde(custom(is_wait))]
    pub step_duration: Duration,
}

/// Which calls the rates are taken of.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SlidingWindow {
    /// The last so many calls: 1 to 1 000 000, a byte each.
    Calls(#[garde(range(min = 1, max = 1_000_000))] u32),
    /// The calls of so long a time: 1 s to 1 h. It moves on in steps of a second, or of a tenth where it is shorter than 10 s: a call
    /// counts for the whole time less at most one step. What it costs does not depend on the number of calls.
    Time(
        #[serde(with = "humantime_serde")]
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        #[garde(custom(is_window))]
        Duration,
    ),
}

/// What a service that says when to come back changes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnRetryAfter {
    /// Nothing.
    Ignore,
    /// If this very call opens the circuit, it stays open for that long.
    #[default]
    Prolong,
    /// It opens the circuit at once, for that long: where one answer speaks for the whole service.
    Open,
}

/// What a half-open circuit does when the calls that it let through do not end.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhenStuck {
    /// It gives up on them, and lets as many others through.
    #[default]
    Probe,
    /// It opens.
    Open,
    /// It closes.
    Close,
}

/// What a call says whose caller went away before its end. Whatever it says, it never closes a circuit, and gives its place in a
/// half-open one back.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AbandonedCalls {
    /// Nothing: callers go away for reasons of their own.
    Ignore,
    /// The service failed if the caller's deadline had passed, else nothing: a timeout further out must not hide a service that hangs.
    #[default]
    AfterDeadline,
    /// The service failed.
    Fail,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failure_rate_threshold: 50.0,
            slow_call_rate_threshold: 100.0,
            slow_call_duration_threshold: None,
            sliding_window: SlidingWindow::Calls(100),
            minimum_number_of_calls: 100,
            permitted_number_of_calls_in_half_open_state: 10,
            wait_duration_in_open_state: Duration::from_secs(60),
            wait_multiplier: 1.0,
            max_wait_duration_in_open_state: Duration::from_secs(300),
            wait_jitter: 0.1,
            on_retry_after: OnRetryAfter::Prolong,
            max_wait_duration_in_half_open_state: None,
            when_half_open_is_stuck: WhenStuck::Probe,
            abandoned_calls: AbandonedCalls::AfterDeadline,
            recovery: None,
        }
    }
}

impl Default for RecoveryConfig {
    fn default() -> Self {
        Self { steps: vec![1.0, 5.0, 10.0, 25.0, 50.0], step_duration: Duration::from_secs(5) }
    }
}

// === impl BreakerConfig ===

impl BreakerConfig {
    /// How many calls there must be in the window for a rate.
    pub(super) fn minimum_calls(&self) -> u32 {
        match self.sliding_window {
            SlidingWindow::Calls(size) => self.minimum_number_of_calls.min(size),
            SlidingWindow::Time(_) => self.minimum_number_of_calls,
        }
    }

    /// The same for a half-open circuit.
    pub(super) fn minimum_probes(&self) -> u32 {
        self.minimum_number_of_calls.min(self.permitted_number_of_calls_in_half_open_state)
    }

    /// How long a circuit stays open that opens for the `opens`-th time in a row. `random` is 0 to 1.
    pub(super) fn open_for(&self, opens: u32, asked: Option<Duration>, random: f64) -> Duration {
        let longest = self.max_wait_duration_in_open_state;
        let exponent = i32::try_from(opens.saturating_sub(1).min(1_000)).expect("a thousand at most");
        let grown = self.wait_duration_in_open_state.as_secs_f64() * self.wait_multiplier.powi(exponent);
        let asked = asked.filter(|_| self.on_retry_after != OnRetryAfter::Ignore).unwrap_or_default();
        // The plain wait may be set above the longest: then it is that.
        let wait = Duration::try_from_secs_f64(grown).unwrap_or(longest).max(asked).min(longest);
        wait.max(self.wait_duration_in_open_state).mul_f64(1.0 + self.wait_jitter * random)
    }

    pub(super) fn half_open_for(&self) -> Duration {
        self.max_wait_duration_in_half_open_state.unwrap_or(self.wait_duration_in_open_state)
    }
}

fn is_percentage(percent: &f64, (): &()) -> garde::Result {
    if *percent > 0.0 && *percent <= 100.0 {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{percent} percent: expected more than 0, up to 100")))
    }
}

fn is_part_of_calls(percent: &f64, (): &()) -> garde::Result {
    if *percent > 0.0 && *percent < 100.0 {
        Ok(())
    } else {
        Err(garde::Error::new(format!(
            "{percent} percent of the calls: expected more than 0 and less than 100"
        )))
    }
}

fn is_part(part: &f64, (): &()) -> garde::Result {
    if (0.0..=1.0).contains(part) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{part} as a part: expected 0 to 1")))
    }
}

fn is_multiplier(multiplier: &f64, (): &()) -> garde::Result {
    if (1.0..=10.0).contains(multiplier) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{multiplier} as a multiplier: expected 1 to 10")))
    }
}

fn is_some_time(length: &Duration, (): &()) -> garde::Result {
    if length.is_zero() { Err(garde::Error::new("0s: expected at least 1ns")) } else { Ok(()) }
}

fn is_wait(wait: &Duration, (): &()) -> garde::Result {
    if (Duration::from_millis(1)..=Duration::from_secs(3_600)).contains(wait) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{wait:?} as a wait: expected 1ms to 1h")))
    }
}

fn is_window(window: &Duration, (): &()) -> garde::Result {
    if (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(window) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{window:?} as a window: expected 1s to 1h")))
    }
}
