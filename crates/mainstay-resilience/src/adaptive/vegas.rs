//! TCP Vegas: the shortest time that an answer ever took tells how many of the calls in flight wait in the service's queue.

use std::time::Duration;

use super::algorithm::{End, Sample, whole};
use super::config::VegasConfig;

/// How many samples for each call of the limit pass, at most, before the baseline is measured anew.
const PROBE_EVERY: f64 = 30.0;

/// `VegasLimit` of Netflix's concurrency-limits, but for drops: they lower the limit at once and are neither counted nor
/// measured, so that the time of a quick refusal does not become the baseline.
#[derive(Debug)]
pub(super) struct Vegas {
    config: VegasConfig,
    limit: f64,
    // The time of an answer when nothing waits; None: not known yet.
    baseline: Option<Duration>,
    samples_since_probe: f64,
    // 0.5 to 1, so that many clients do not probe in step.
    probe_jitter: f64,
}

impl Vegas {
    pub(super) fn new(config: &VegasConfig, random: f64) -> Self {
        Self {
            limit: f64::from(config.initial.get()),
            config: config.clone(),
            baseline: None,
            samples_since_probe: 0.0,
            probe_jitter: jitter(random),
        }
    }

    pub(super) fn limit(&self) -> u32 {
        whole(self.limit)
    }

    pub(super) fn update(&mut self, sample: Sample, random: impl FnOnce() -> f64) -> u32 {
        let target = match sample.end {
            End::Dropped => Some(self.limit - self.step()),
            End::Answered => self.target(sample, random),
        };
        if let Some(target) = target {
            let target = target.clamp(f64::from(self.config.min.get()), f64::from(self.config.max.get()));
            let smoothing = self.config.smoothing;
            self.limit = (1.0 - smoothing) * self.limit + smoothing * target;
        }
        self.limit()
    }

    /// `None`: the limit stays.
    fn target(&mut self, sample: Sample, random: impl FnOnce() -> f64) -> Option<f64> {
        self.samples_since_probe += 1.0;
        if self.probe_jitter * PROBE_EVERY * self.limit <= self.samples_since_probe {
            self.samples_since_probe = 0.0;
            self.probe_jitter = jitter(random());
            self.baseline = Some(sample.rtt);
            return None;
        }
        let baseline = match self.baseline {
            Some(baseline) if baseline <= sample.rtt => baseline,
            _ => {
                self.baseline = Some(sample.rtt);
                return None;
            }
        };
        // More places would show nothing: those that there are stand empty.
        if f64::from(sample.in_flight) * 2.0 < self.limit {
            return None;
        }
        let queue = (self.limit * (1.0 - ratio(baseline, sample.rtt))).ceil();
        let step = self.step();
        let (alpha, beta) = (3.0 * step, 6.0 * step);
        if queue <= step {
            Some(self.limit + beta)
        } else if queue < alpha {
            Some(self.limit + step)
        } else if queue > beta {
            Some(self.limit - step)
        } else {
            None
        }
    }

    /// The whole decimal logarithm of the limit, 1 or more.
    fn step(&self) -> f64 {
        f64::from(self.limit().ilog10().max(1))
    }
}

fn jitter(random: f64) -> f64 {
    0.5 + random / 2.0
}

/// 1 for two times of zero.
fn ratio(part: Duration, of: Duration) -> f64 {
    if of.is_zero() { 1.0 } else { part.as_secs_f64() / of.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::algorithm::{End, Sample};
    use super::super::config::VegasConfig;
    use super::super::simulation::samples;
    use super::Vegas;

    fn sample(millis: u64, in_flight: u32) -> Sample {
        Sample { rtt: Duration::from_millis(millis), in_flight, end: End::Answered }
    }

    #[test]
    fn it_grows_while_nothing_queues_and_shrinks_when_too_much_does() {
        let mut vegas = Vegas::new(&VegasConfig::default(), 0.5);
        let mut update = |sample| vegas.update(sample, || unreachable!("far from a probe"));
        assert_eq!(update(sample(100, 20)), 20, "the first is the baseline");
        assert_eq!(update(sample(100, 9)), 20, "less than half is in use");
        assert_eq!(update(sample(100, 10)), 26, "nothing queues: by 6");
        assert_eq!(update(sample(108, 26)), 27, "2 queue: by 1");
        assert_eq!(update(sample(118, 27)), 27, "5 queue: it is well");
        assert_eq!(update(sample(140, 27)), 26, "8 queue: down by 1");
        let dropped = Sample { end: End::Dropped, ..sample(1, 1) };
        assert_eq!(update(dropped), 25, "a drop is down by 1, whatever is in flight");
        assert_eq!(update(sample(117, 25)), 25, "and its time is not the baseline");
    }

    #[test]
    fn a_service_that_has_become_slower_has_a_new_baseline_after_a_while() {
        let mut vegas = Vegas::new(&VegasConfig::default(), 0.0);
        vegas.update(sample(100, 1), || 0.0);
        // 0.5 * 30 * 20 samples, the first among them; none of which moves the limit, for want of load.
        for _ in 0..299 {
            vegas.update(sample(200, 1), || 0.0);
        }
        assert_eq!(vegas.baseline, Some(Duration::from_millis(200)));
        assert_eq!(vegas.update(sample(200, 20), || 0.0), 26);
    }

    proptest! {
        #[test]
        fn it_is_what_the_formula_says(samples in samples(), random in 0.0..1.0_f64) {
            let mut vegas = Vegas::new(&VegasConfig::default(), random);
            let (mut limit, mut baseline, mut count, mut jitter) = (20.0_f64, f64::MAX, 0.0, 0.5 + random / 2.0);
            for sample in samples {
                let rtt = sample.rtt.as_secs_f64();
                let log = limit.floor().log10().floor().max(1.0);
                let queue = (limit * (1.0 - baseline / rtt)).ceil();
                if sample.end == End::Dropped {
                    limit -= log;
                } else {
                    count += 1.0;
                    if count >= jitter * 30.0 * limit {
                        (count, baseline, jitter) = (0.0, rtt, 0.5 + random / 2.0);
                    } else if rtt < baseline {
                        baseline = rtt;
                    } else if f64::from(sample.in_flight) * 2.0 < limit {
                    } else if queue <= log {
                        limit += 6.0 * log;
                    } else if queue < 3.0 * log {
                        limit += log;
                    } else if queue > 6.0 * log {
                        limit -= log;
                    }
                }
                limit = limit.clamp(1.0, 1000.0);
                prop_assert_eq!(f64::from(vegas.update(sample, || random)), limit);
            }
        }
    }
}
