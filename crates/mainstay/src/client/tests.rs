//! What must hold of the client stack as a whole; what it does to real servers' faults is in the workspace's `tests/`.

use std::time::Duration;

use mainstay_resilience::hedge::HedgeConfig;
use mainstay_resilience::rate_limit::RateLimitConfig;

use super::{ClientConfig, stack};

#[test]
fn it_can_be_read_in_its_order_with_the_settings_in_effect() {
    let mut config = ClientConfig::default();
    config.timeout.limit = Some(Duration::from_secs(3));
    config.rate_limit = Some(RateLimitConfig::default());
    config.hedge = Some(HedgeConfig::default());
    insta::assert_snapshot!(stack("payments", &config).unwrap().describe());
}

#[test]
fn settings_out_of_range_make_no_stack_and_are_named() {
    let mut config = ClientConfig::default();
    config.retry.max_attempts = 0;
    config.hedge = Some(HedgeConfig { max_attempts: 9, ..HedgeConfig::default() });
    let error = stack("payments", &config).unwrap_err().to_string();
    assert!(error.contains("retry.max_attempts") && error.contains("hedge"), "{error}");
}
