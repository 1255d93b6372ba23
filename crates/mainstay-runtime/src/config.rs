//! Settings of the runtime.

use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};

const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How connections are read, and how long the end may take.
#[derive(Debug, Clone, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// How long open requests may go on after the first signal, as `30s`. Default: 30 s; at most an hour. Zero
    /// hardly waits: what is not done at once is cut. Kubernetes kills after `terminationGracePeriodSeconds`, which
    /// should be longer.
    #[garde(custom(at_most_an_hour))]
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub grace_period: Duration,
    /// How long a client may take to send a request's head, and how long an HTTP/1.1 connection may be idle before one,
    /// as `10s`. Default: 10 s; above zero, at most an hour. Over HTTP/2 it limits the connection's first bytes only.
    #[garde(custom(at_most_an_hour), custom(above_zero))]
    #[serde(with = "humantime_serde")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub header_read_timeout: Duration,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self { grace_period: Duration::from_secs(30), header_read_timeout: Duration::from_secs(10) }
    }
}

fn at_most_an_hour(value: &Duration, (): &()) -> garde::Result {
    if *value <= LONGEST { Ok(()) } else { Err(garde::Error::new("longer than an hour")) }
}

fn above_zero(value: &Duration, (): &()) -> garde::Result {
    if value.is_zero() { Err(garde::Error::new("has to be above zero")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_units_and_defaults() {
        let config: RuntimeConfig = serde_json::from_str(r#"{"grace_period": "1m 5s"}"#).unwrap();
        assert_eq!(config.grace_period, Duration::from_secs(65));
        assert_eq!(config.header_read_timeout, Duration::from_secs(10));
        assert!(serde_json::from_str::<RuntimeConfig>(r#"{"grace": "1s"}"#).is_err());
    }

    #[test]
    fn durations_without_sense_are_refused() {
        let config = RuntimeConfig { grace_period: Duration::MAX, header_read_timeout: Duration::ZERO };
        let report = config.validate().unwrap_err().to_string();
        assert_eq!(report, "grace_period: longer than an hour\nheader_read_timeout: has to be above zero\n");
        assert!(RuntimeConfig::default().validate().is_ok());
    }
}
