//! Additive increase, multiplicative decrease: one more while the limit is in use, a part less with each drop.

use super::algorithm::{End, Sample, whole};
use super::config::AimdConfig;

/// `AIMDLimit` of Netflix's concurrency-limits.
#[derive(Debug)]
pub(super) struct Aimd {
    config: AimdConfig,
    limit: u32,
}

impl Aimd {
    pub(super) fn new(config: &AimdConfig) -> Self {
        Self { limit: config.initial.get(), config: config.clone() }
    }

    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn update(&mut self, sample: Sample) -> u32 {
        let limit = if sample.end == End::Dropped || sample.rtt > self.config.timeout {
            whole(f64::from(self.limit) * self.config.backoff)
        } else if sample.in_flight.saturating_mul(2) >= self.limit {
            self.limit + 1
        } else {
            self.limit
        };
        self.limit = limit.clamp(self.config.min.get(), self.config.max.get());
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::algorithm::{End, Sample};
    use super::super::config::AimdConfig;
    use super::super::simulation::samples;
    use super::Aimd;

    #[test]
    fn it_grows_by_one_while_half_of_it_is_used_and_a_drop_or_a_slow_answer_takes_a_tenth() {
        let mut aimd = Aimd::new(&AimdConfig { min: NonZeroU32::MIN, ..AimdConfig::default() });
        let answered =
            |in_flight, seconds| Sample { rtt: Duration::from_secs(seconds), in_flight, end: End::Answered };
        assert_eq!(aimd.limit(), 20);
        assert_eq!(aimd.update(answered(9, 1)), 20, "less than half is in use");
        assert_eq!(aimd.update(answered(10, 5)), 21);
        assert_eq!(aimd.update(answered(20, 6)), 18, "6 s are longer than 5 s");
        assert_eq!(aimd.update(Sample { end: End::Dropped, ..answered(1, 1) }), 16);
    }

    proptest! {
        #[test]
        fn it_is_what_the_formula_says(samples in samples()) {
            let config = AimdConfig { min: NonZeroU32::new(5).unwrap(), ..AimdConfig::default() };
            let mut aimd = Aimd::new(&config);
            let mut limit = 20_i64;
            for sample in samples {
                let drops = sample.end == End::Dropped || sample.rtt > Duration::from_secs(5);
                limit = match (drops, i64::from(sample.in_flight) * 2 >= limit) {
                    // 0.9 of a whole number, rounded down.
                    (true, _) => limit * 9 / 10,
                    (false, true) => limit + 1,
                    (false, false) => limit,
                };
                limit = limit.clamp(5, 200);
                prop_assert_eq!(i64::from(aimd.update(sample)), limit);
            }
        }
    }
}
