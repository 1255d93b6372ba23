//! How many calls there were, and how many of them the service accepted.

use std::time::Duration;

use tokio::time::Instant;

use super::ThrottleConfig;
use crate::rolling::Rolling;

#[derive(Debug)]
pub(super) struct Accepts(Rolling<2>);

const STEPS: u32 = 60;

impl Accepts {
    pub(super) fn new(window: Duration) -> Self {
        Self(Rolling::new(window, STEPS))
    }

    /// A call is asked for: the probability with which it is to be refused, by what was before.
    pub(super) fn requested(&self, config: &ThrottleConfig, now: Instant) -> f64 {
        let [requests, accepts] = self.0.add([1, 0], now);
        probability(config, requests - 1, accepts)
    }

    pub(super) fn accepted(&self, now: Instant) {
        self.0.add([0, 1], now);
    }

    pub(super) fn probability(&self, config: &ThrottleConfig, now: Instant) -> f64 {
        let [requests, accepts] = self.0.sums(now);
        probability(config, requests, accepts)
    }
}

#[expect(clippy::cast_precision_loss, reason = "no window has 2^52 calls")]
fn probability(config: &ThrottleConfig, requests: i64, accepts: i64) -> f64 {
    if requests < i64::from(config.minimum_number_of_calls) {
        return 0.0;
    }
    let (requests, accepts) = (requests as f64, accepts.max(0) as f64);
    ((requests - config.k * accepts) / (requests + 1.0)).clamp(0.0, config.max_probability)
}
