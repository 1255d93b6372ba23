//! The settings of a client stack.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU32;
use std::time::Duration;

use garde::Validate;
use mainstay_http::body_timeout::BodyTimeoutConfig;
use mainstay_http::outbound::judge::JudgeConfig;
use mainstay_http::outbound::repeat::RepeatConfig;
use mainstay_http::outbound::replay::ReplayConfig;
use mainstay_http::propagate::PropagateConfig;
use mainstay_resilience::breaker::BreakerConfig;
use mainstay_resilience::bulkhead::BulkheadConfig;
use mainstay_resilience::hedge::HedgeConfig;
use mainstay_resilience::rate_limit::RateLimitConfig;
use mainstay_resilience::retry::RetryConfig;
use mainstay_resilience::throttle::ThrottleConfig;
use mainstay_resilience::timeout::TimeoutConfig;
use serde::{Deserialize, Serialize};

/// Settings of a [client stack](super::stack).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// How much of a request's body is kept to be sent again.
    #[garde(dive)]
    pub replay: ReplayConfig,
    /// How long a call may take until its answer, all attempts and waits included. 10 s by default, and never longer than the deadline
    /// of the call that it is made for.
    #[garde(dive)]
    pub timeout: TimeoutConfig,
    /// How many calls may be sent in a time. No limit by default.
    #[garde(dive)]
    pub rate_limit: Option<RateLimitConfig>,
    /// Whether fewer calls are sent to a service that refuses many. Off by default.
    #[garde(dive)]
    pub throttle: Option<ThrottleConfig>,
    /// How often, when and at whose expense a call is sent again.
    #[garde(dive)]
    pub retry: RetryConfig,
    /// Which calls may be sent again, and after which answers.
    #[garde(dive)]
    pub repeat: RepeatConfig,
    /// Whether a call that takes long is sent twice. Off by default; only calls that may be carried out twice are.
    #[garde(dive)]
    pub hedge: Option<HedgeConfig>,
    /// What the service learns of the call that it is called for.
    #[garde(dive)]
    pub propagate: PropagateConfig,
    /// When a service is left alone; one circuit for each origin.
    #[garde(dive)]
    pub breaker: BreakerConfig,
    /// For how many origins a circuit is kept, 1 or more. 1024 by default.
    #[garde(skip)]
    pub most_origins: NonZeroU32,
    /// How many attempts may be under way at once, to the end of their answers' bodies.
    #[garde(dive)]
    pub bulkhead: BulkheadConfig,
    /// How long one attempt may take until its answer.
    #[garde(dive)]
    pub attempt_timeout: AttemptTimeoutConfig,
    /// How long an answer's body may keep its reader waiting.
    #[garde(dive)]
    pub body_timeout: BodyTimeoutConfig,
    /// Which answers are failures of the service.
    #[garde(dive)]
    pub judge: JudgeConfig,
}

/// How long one attempt may take.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AttemptTimeoutConfig {
    /// How long until the answer: at least 1 ms, or no limit but that of the call. 5 s by default, half of a call's, so that one that
    /// hangs leaves time for another.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    #[garde(inner(custom(at_least_a_millisecond)))]
    pub limit: Option<Duration>,
}

/// The settings do not make a stack.
#[derive(Debug)]
pub struct StackError(pub(super) garde::Report);

impl Default for ClientConfig {
    fn default() -> Self {
        const ORIGINS: NonZeroU32 = NonZeroU32::new(1_024).expect("1024 is not 0");
        Self {
            replay: ReplayConfig::default(),
            timeout: TimeoutConfig::default(),
            rate_limit: None,
            throttle: None,
            retry: RetryConfig::default(),
            repeat: RepeatConfig::default(),
            hedge: None,
            propagate: PropagateConfig::default(),
            breaker: BreakerConfig::default(),
            most_origins: ORIGINS,
            bulkhead: BulkheadConfig::default(),
            attempt_timeout: AttemptTimeoutConfig::default(),
            body_timeout: BodyTimeoutConfig::default(),
            judge: JudgeConfig::default(),
        }
    }
}

impl Default for AttemptTimeoutConfig {
    fn default() -> Self {
        Self { limit: Some(Duration::from_secs(5)) }
    }
}

impl AttemptTimeoutConfig {
    pub(super) fn timeout(&self) -> TimeoutConfig {
        TimeoutConfig { limit: self.limit, covers_readiness: true }
    }
}

fn at_least_a_millisecond(limit: &Duration, (): &()) -> garde::Result {
    if *limit >= Duration::from_millis(1) {
        Ok(())
    } else {
        Err(garde::Error::new(format!("{limit:?} is too short: expected at least 1ms")))
    }
}

impl Display for StackError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("the client's settings do not make a stack:")?;
        for (path, error) in self.0.iter() {
            write!(f, "\n  {path}: {error}")?;
        }
        Ok(())
    }
}

impl Error for StackError {}
